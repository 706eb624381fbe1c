# SPDX-License-Identifier: BSD-2-Clause
#
# The process model with the real modules: what the toy of the tests before
# cannot show.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep time);

sub ask {
    my ($spoor, $verb) = @_;
    my $ran = run_command([spoor_bin(), '-c', $spoor->conf_file, '-s', $verb]);

    return ($ran->{status}, $ran->{out} . $ran->{err});
}

sub role_pids {
    my ($spoor, $role) = @_;

    return @{$spoor->pids->{$role} || []};
}

my $spoor = Test::Spoor->new(conf => { workers => 2 });
$spoor->start;
ok $spoor->wait_log(qr/ready: 2 workers, listening on/), 'ready';

# --- kill -9 of each role -----------------------------------------------------

for my $role (qw(worker merge retention)) {
    my @before = role_pids($spoor, $role);
    my $start = time();
    kill 'KILL', $before[0];
    ok wait_for(sub {
        my @now = role_pids($spoor, $role);
        return @now == @before && !grep { $_ == $before[0] } @now;
    }), "$role is started again";
    cmp_ok time() - $start, '<', 1, 'in under a second';
}
is $spoor->get('/health')->{status}, 200, 'serves';

# --- every request is answered while generations change -----------------------

my $pid = fork();
if ($pid == 0) {
    my ($good, $bad, $end) = (0, 0, time() + 4);
    while (time() < $end) {
        $spoor->get('/health')->{status} == 200 ? $good++ : $bad++;
    }
    print "# $good requests, $bad failed\n";
    POSIX::_exit($bad == 0 && $good > 0 ? 0 : 1);
}
for (1 .. 5) {
    my ($status, $text) = ask($spoor, 'reload');
    is $text, "reload: done, 2 workers\n", '-s reload';
    sleep 0.3;
}
waitpid $pid, 0;
is $?, 0, 'no request failed during five reloads';

my $good_file = $spoor->dir . '/good.yaml';
rename $spoor->conf_file, $good_file or diag "rename: $!";
$spoor->write_conf(workers => 'many');
my $ran = run_command([spoor_bin(), '-c', $good_file, '-s', 'reload']);
is $ran->{status}, 1, 'a bad configuration: status';
like $ran->{err}, qr/\Areload: failed\n.*"workers" must be/, 'and its errors';
rename $good_file, $spoor->conf_file or diag "rename: $!";

# --- one data directory, two masters ------------------------------------------

my $other = Test::Spoor->new(dir => $spoor->dir);
rename $other->conf_file, $spoor->dir . '/other.yaml' or diag "rename: $!";
$spoor->write_conf(workers => 2);
my $started = fork();
if ($started == 0) {
    open STDERR, '>', $spoor->dir . '/other.log';
    exec spoor_bin(), '-c', $spoor->dir . '/other.yaml', '-pidFile=other.pid'
        or POSIX::_exit(127);
}
ok wait_for(sub {
    open my $in, '<', $spoor->dir . '/other.log' or return 0;
    grep { /(?:lock|in use|another|wait)/i } <$in>;
}), 'a second master on the same data says what it waits for';
is $spoor->get('/health')->{status}, 200, 'the first is not disturbed';
is $other->get('/health', undef, 1)->{status}, 599, 'the second does not serve';
kill 'TERM', $started;
waitpid $started, 0;

# --- the end ------------------------------------------------------------------

my @pids = map { role_pids($spoor, $_) } qw(worker merge retention);
is((ask($spoor, 'quit'))[1], "quit: done\n", '-s quit');
is $spoor->wait_exit, 0, 'status 0';
is scalar(grep { is_alive($_) } @pids), 0, 'nobody is left';

$spoor->start;
@pids = map { role_pids($spoor, $_) } qw(worker merge retention);
my $start = time();
$spoor->signal('KILL');
$spoor->wait_exit;
ok wait_for(sub { !grep { is_alive($_) } @pids }), 'the master dies';
cmp_ok time() - $start, '<', 5, 'and its children within five seconds';
$spoor->start;
is $spoor->get('/health')->{status}, 200, 'a new one starts';
is $spoor->stop, 0, 'and stops';

# --- a second TERM does not wait for requests ---------------------------------

my $slow = Test::Spoor->new(conf => { workers => 1 },
    env => { SPOOR_FAULT => 'ingest.after_append:sleep=1500' });
$slow->start;
my $sender = fork();
if ($sender == 0) {
    $slow->spoorctl('gen', '--traces', 200);
    POSIX::_exit(0);
}
ok wait_for(sub { $slow->metric('spoor_ingest_queue') }),
    'an insert is in the making';
$start = time();
$slow->signal('TERM');
ok $slow->wait_log(qr/signal TERM/), 'TERM';
$slow->signal('TERM');
is $slow->wait_exit, 0, 'twice: status 0';
cmp_ok time() - $start, '<', 5, 'at once';
like $slow->log, qr/worker 0 \(\d+\) ended$/m, 'the worker ends well';
waitpid $sender, 0;

done_testing;
