# SPDX-License-Identifier: BSD-2-Clause
#
# Reload by generations, and opening the log again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Spoor;
use Test::Process;
use Time::HiRes qw(sleep time);

my $toy = toy(conf => { workers => 2 });
$toy->start;

sub all_pids {
    my %pids = %{$toy->pids};

    return sort map { @{$pids{$_}} } qw(worker merge retention);
}

# --- a good one ---------------------------------------------------------------

my @before = all_pids();
my $slow = slow_request($toy, 1500);
$toy->write_conf('search.max_traces' => 77);
$toy->signal('HUP');
ok $toy->wait_log(qr/reload: done, 2 workers/), 'reloaded';
my @after = all_pids();
my %is_old = map { $_ => 1 } @before;
is scalar(grep { $is_old{$_} } map { role_pids($toy, $_) } qw(merge retention)),
    0, 'merge and retention are new';
like $toy->log, qr/worker 0\[\d+\].*generation 1, .*max_traces 77/,
    'the new generation has the new configuration';
my ($served) = $toy->get('/health')->{body} =~ /(\d+)/;
ok !(grep { $_ == $served } @before), 'new workers serve';
ok defined body_of($toy, $slow), 'a request in flight is answered';
ok is_gone($_), "process $_ of the old generation is gone" for @before;
is scalar role_pids($toy, 'worker'), 2, 'two workers are left';
my @ends = $toy->log =~ /((?:worker|merge|retention).* ended.*)/g;
is scalar(grep { /signal|status/ } @ends), 0, 'nobody had to be killed';
my ($merges) = $toy->log =~ /reloading(.*reload: done)/s;
like $merges, qr/merge \(\d+\) ended.*merge \(\d+\) started/s,
    'the old merge ends before the new one starts';

# --- verbs --------------------------------------------------------------------

my ($status, $text) = ask($toy, 'reload');
is $status, 0, '-s reload: status';
is $text, "reload: done, 2 workers\n", '-s reload: text';
$toy->write_conf(workers => 3);
($status, $text) = ask($toy, 'reload');
is $text, "reload: done, 3 workers\n", 'more workers';
is scalar role_pids($toy, 'worker'), 3, 'they run';
$toy->write_conf(workers => 1);
($status, $text) = ask($toy, 'reload');
is $text, "reload: done, 1 worker\n", 'fewer workers';
ok wait_for(sub { role_pids($toy, 'worker') == 1 }), 'one is left';
$toy->write_conf(workers => 200);
($status, $text) = ask($toy, 'reload');
is $status, 0, 'more workers than there are slots';
like $text, qr/^reload: done, 3 workers\nwarning: workers: 200 need a restart, there are 3$/,
    'a warning';
$toy->write_conf(workers => 2);

# --- what needs a restart -----------------------------------------------------

my $data = $toy->data_dir;
$toy->write_conf('storage.path' => "$data-other",
    'storage.fsync' => 'off');
$toy->signal('HUP');
ok $toy->wait_log(qr/storage\.path: a change needs a restart/),
    'a change that needs a restart is named';
ok $toy->wait_log(qr/storage\.fsync: a change needs a restart/),
    'each of them';
ok $toy->wait_log(qr/storage\.fsync: a change.*reload: done/s), 'no error';
ok !-e "$data-other", 'and not followed';
my $again = run_command([spoor_bin(), '-c', $toy->conf_file, '-s', 'reopen']);
isnt $again->{status}, 0, 'but -s looks where the file says';
like $again->{err}, qr/no spoor is running here/, 'and says what it finds';
$toy->write_conf('storage.path' => $data, 'storage.fsync' => 'always');

# --- bad ones -----------------------------------------------------------------

my $good_file = $toy->dir . '/good.yaml';
rename $toy->conf_file, $good_file or diag "rename: $!";
@before = all_pids();
$toy->write_conf(workers => 'many', nonsense => 1);
$toy->signal('HUP');
ok $toy->wait_log(qr/reload failed, the old configuration stays/),
    'a bad configuration';
like $toy->log, qr/error\tmaster.*\Q@{[$toy->conf_file]}\E:\d+:\d+: error:.*workers/,
    'its errors are in the log';
like $toy->log, qr/error\tmaster.*nonsense/, 'all of them';
is_deeply [all_pids()], \@before, 'nothing has changed';
my $ran = run_command([spoor_bin(), '-c', $good_file, '-s', 'reload']);
isnt $ran->{status}, 0, '-s reload with it: status';
like $ran->{out}, qr/\Areload: failed\n.*nonsense.*\n.*workers.*\n/s,
    '-s reload: the errors';
$toy->write_conf(workers => 2, nonsense => undef,
    'search.max_traces' => 666);
($status, $text) = ask($toy, 'reload');
isnt $status, 0, 'a module that does not like it';
like $text, qr/^reload: failed\ntoy: a number it does not like$/, 'says why';
is_deeply [all_pids()], \@before, 'nothing has changed';

my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
$toy->write_conf('search.max_traces' => 5, 'http.listen' =>
    ["127.0.0.1:$toy->{port}", '127.0.0.1:' . $taken->sockport]);
($status, $text) = ask($toy, 'reload');
isnt $status, 0, 'an address that is taken';
like $text, qr/^reload: failed\n.*cannot bind .*in use/, 'says which';
is_deeply [all_pids()], \@before, 'nothing has changed';

# --- addresses ----------------------------------------------------------------

my $old_port = $toy->{port};
my $new_port = free_port();
$toy->write_conf('http.listen' => "127.0.0.1:$new_port");
($status, $text) = ask($toy, 'reload');
is $status, 0, 'another address';
$toy->{port} = $new_port;
is $toy->get('/health')->{status}, 200, 'is served';
ok wait_for(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
    PeerPort => $old_port) }), 'the old one is closed';

# --- new workers that do not start --------------------------------------------

my $flag = $toy->dir . '/fail';
my $weak = toy(conf => { workers => 1 },
    env => { TOY_FAIL => "worker:$flag" });
$weak->start;
@before = role_pids($weak, 'worker');
open my $out, '>', $flag or die "$flag: $!";
close $out;
($status, $text) = ask($weak, 'reload');
isnt $status, 0, 'new workers that do not start: the reload fails';
like $text, qr/^reload: failed\nthe new workers do not start/, 'says so';
is_deeply [role_pids($weak, 'worker')], \@before, 'the old ones stay';
is $weak->get('/health')->{status}, 200, 'and serve';
unlink $flag;
($status, $text) = ask($weak, 'reload');
is $text, "reload: done, 1 worker\n", 'later it works';
$weak->stop;

# --- many reloads -------------------------------------------------------------

my $hang = toy(conf => { workers => 1, shutdown_timeout => '1s' },
    env => { TOY_HANG => 1 });
$hang->start;
is((ask($hang, 'reload'))[0], 0, 'first reload, workers that do not drain');
is((ask($hang, 'reload'))[0], 0, 'second');
is scalar role_pids($hang, 'worker'), 3, 'two generations drain';
my $start = time();
is((ask($hang, 'reload'))[0], 0, 'third');
cmp_ok time() - $start, '>=', 0.9, 'waits for the oldest to go';
like $hang->log, qr/2 generations of workers are draining: generation 0 gets 1 s/,
    'which is made to';
is scalar role_pids($hang, 'worker'), 3, 'two generations drain';
$hang->stop;

# Reloads in a row, asked for while others run.
$hang = toy(conf => { workers => 2 });
$hang->start;
$hang->signal('HUP'), sleep 0.01 for 1 .. 20;
is((ask($hang, 'reload'))[1], "reload: done, 2 workers\n", 'twenty in a row');
ok wait_for(sub { role_pids($hang, 'worker') == 2 }), 'two workers are left';
is scalar role_pids($hang, 'merge'), 1, 'one merge';
is $hang->stop, 0, 'stops';

# --- the log ------------------------------------------------------------------

my $logs = toy(conf => { workers => 1 });
my $file = $logs->dir . '/file.log';
$logs->write_conf('log.file' => $file);
$logs->start;
rename $file, "$file.1" or diag "rename: $!";
$logs->signal('USR1');
ok wait_for(sub { -s $file && slurp($file) =~ /opened again/ }),
    'USR1: a new file';
my ($worker) = role_pids($logs, 'worker');
kill 'KILL', $worker;
ok wait_for(sub { slurp($file) =~ /worker 0 \(\d+\) started/ }),
    'the master writes to it';
rename $file, "$file.2" or diag "rename: $!";
is((ask($logs, 'reopen'))[1], "reopen: done\n", '-s reopen');
my ($merge) = role_pids($logs, 'merge');
sleep 0.2;
kill 'TERM', $merge;
ok wait_for(sub { slurp($file) =~ /merge\[$merge\].*leaving well/ }),
    'children write to the new file';
$logs->write_conf('log.file' => "$file.new");
is((ask($logs, 'reload'))[0], 0, 'another file by reload');
ok wait_for(sub { slurp("$file.new") =~ /worker 0\[\d+\]/ }), 'is written';
$logs->stop;

# --- WINCH --------------------------------------------------------------------

my $winch = toy(conf => { workers => 1 });
$winch->start;
SKIP: {
    skip 'there is a terminal', 3 if open my $tty, '<', '/dev/tty';
    $winch->signal('WINCH');
    ok wait_for(sub { !role_pids($winch, 'worker') }), 'WINCH: no workers';
    is scalar role_pids($winch, 'merge'), 1, 'but the others';
    is((ask($winch, 'reload'))[1], "reload: done, 1 worker\n",
        'a reload brings them back');
}

done_testing;
