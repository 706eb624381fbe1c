# SPDX-License-Identifier: BSD-2-Clause
#
# All the ways to stop, and the death of the master.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use Test::More;
use Test::Spoor;
use Test::Process;
use Time::HiRes qw(sleep time);

my @roles = qw(worker merge retention);

sub all_pids {
    my ($toy) = @_;

    return map { role_pids($toy, $_) } @roles;
}

# --- QUIT ---------------------------------------------------------------------

my $toy = toy(conf => { workers => 2, shutdown_timeout => '1s' });
$toy->start;
my $slow = slow_request($toy, 2500);
my $idle = $toy->connect;
my @pids = all_pids($toy);
my $start = time();
$toy->signal('QUIT');
ok !defined IO::Socket::INET->new(PeerAddr => '127.0.0.1',
    PeerPort => $toy->port) || wait_for(sub { !IO::Socket::INET->new(
    PeerAddr => '127.0.0.1', PeerPort => $toy->port) }, 2),
    'QUIT: takes no new connections';
my $body = body_of($toy, $slow);
ok defined $body, 'a request in flight is answered';
is $toy->wait_exit, 0, 'status 0';
cmp_ok time() - $start, '>', 2, 'it took as long as the request';
ok is_gone($_, 1), "process $_ is gone" for @pids;
like $toy->log, qr/merge \(\d+\) ended.*stopped\n\z/s, 'the log ends well';
unlike $toy->log, qr/on its way out|killing/, 'nobody was killed';

# --- TERM ---------------------------------------------------------------------

$toy->start;
$slow = slow_request($toy, 20000);
my $quick = slow_request($toy, 600);
$start = time();
$toy->signal('TERM');
ok defined body_of($toy, $quick), 'TERM: a short request is answered';
is $toy->wait_exit, 0, 'status 0';
my $took = time() - $start;
ok $took > 0.9 && $took < 2.5, "bounded by shutdown_timeout ($took s)";
ok !defined body_of($toy, $slow, 1), 'a long request is cut';
like $toy->log, qr/requests are not finished, but the time for it is over/,
    'the log says so';

# Twice: at once.
$toy->write_conf(shutdown_timeout => '1m');
$toy->start;
$slow = slow_request($toy, 20000);
$start = time();
$toy->signal('INT');
sleep 0.3;
ok $toy->is_running, 'INT waits for requests';
$toy->signal('INT');
is $toy->wait_exit, 0, 'status 0';
cmp_ok time() - $start, '<', 2, 'INT twice does not';

# After QUIT.
$toy->start;
$slow = slow_request($toy, 20000);
$toy->signal('QUIT');
sleep 0.2;
$toy->write_conf(shutdown_timeout => '1s');
$toy->signal('HUP');
sleep 0.2;
is scalar role_pids($toy, 'worker'), 1, 'HUP after QUIT does nothing';
my ($worker) = role_pids($toy, 'worker');
kill 'KILL', $worker;
is $toy->wait_exit, 0, 'the last worker was killed: the end';
like $toy->log, qr/worker \d \($worker\) ended on signal 9/, 'and told';

# A worker that does not obey.
my $stall = toy(conf => { workers => 1, shutdown_timeout => '500ms' });
$stall->start;
my $socket = $stall->connect;
syswrite $socket, "GET /stall HTTP/1.1\r\n\r\n";
sleep 0.2;
$start = time();
is $stall->stop, 0, 'a worker that hangs';
$took = time() - $start;
ok $took > 2.3 && $took < 4.5, "is killed after the bound and 2 s ($took s)";
like $stall->log, qr/worker 0 \(\d+\) is late: killing it/, 'and it is told';

# One that is stopped.
$stall->start;
($worker) = role_pids($stall, 'worker');
kill 'STOP', $worker;
is $stall->stop, 0, 'a worker that is paused';
ok is_gone($worker), 'is killed, too';

# --- at other times -----------------------------------------------------------

my $early = toy(env => { TOY_FAIL => 'merge' });
$early->start_nowait;
ok $early->wait_log(qr/merge.*restarting/), 'starting';
is $early->stop, 0, 'TERM while starting';

# --- -s -----------------------------------------------------------------------

my $verbs = toy(conf => { workers => 1 });
$verbs->start;
my $pid_file = $verbs->data_dir . '/spoor.pid';
like((ask($verbs, 'dance'))[1],
    qr/unknown verb "dance"; there are: stop, quit, reload, reopen, upgrade/,
    'unknown verb');
$slow = slow_request($verbs, 1500);
$start = time();
my ($status, $text) = ask($verbs, 'quit');
is $status, 0, '-s quit: status';
is $text, "quit: done\n", '-s quit: text';
cmp_ok time() - $start, '>', 0.9, 'it waited';
ok !-e $pid_file, 'the pid file is gone by then';
is $verbs->wait_exit, 0, 'the master, too';
ok defined body_of($verbs, $slow), 'the request was answered';

$verbs->start;
is((ask($verbs, 'stop'))[1], "stop: done\n", '-s stop');
is $verbs->wait_exit, 0, 'stopped';
($status, $text) = ask($verbs, 'stop');
is $status, 1, 'nothing to stop';
like $text, qr/no spoor is running here: nobody listens on \Q$pid_file\E\.sock/,
    'says so';

# Files that a crash left behind.
$verbs->start;
$verbs->kill_all;
ok -e $pid_file && -S "$pid_file.sock", 'a crash leaves files behind';
is((ask($verbs, 'stop'))[0], 1, 'nobody answers');
$verbs->start;
is((ask($verbs, 'reopen'))[1], "reopen: done\n", 'they do no harm');

# Strange clients.
my $path = "$pid_file.sock";
for my $words ('', "\n", "stop", 'x' x 40, "reopen\nreopen\n", "\0\n") {
    my $client = IO::Socket::UNIX->new(Peer => $path) or diag "$path: $!";
    syswrite $client, $words;
    close $client;
}
my @held = map { IO::Socket::UNIX->new(Peer => $path) } 1 .. 40;
sleep 0.2;
is $verbs->get('/health')->{status}, 200, 'strange clients do no harm';
@held = ();
is((ask($verbs, 'reopen'))[1], "reopen: done\n", 'the next is served');
SKIP: {
    skip 'not root', 1 if $> != 0;
    my $pid = fork();
    if ($pid == 0) {
        chmod 0755, $verbs->dir;
        $) = '65534 65534';
        $> = 65534;
        exit(IO::Socket::UNIX->new(Peer => $path) ? 1 : 0);
    }
    waitpid $pid, 0;
    is $?, 0, 'other users are not heard';
}
$verbs->stop;

# A path longer than a socket's address.
my $long = 'd' x 120;
mkdir $verbs->data_dir . "/$long" or diag "mkdir: $!";
$verbs->write_conf(pid => "$long/spoor.pid");
$verbs->start;
is((ask($verbs, 'stop'))[1], "stop: done\n", 'a long path');
is $verbs->wait_exit, 0, 'stopped';

# --- the master dies ----------------------------------------------------------

my $orphan = toy(conf => { workers => 2 });
$orphan->start;
@pids = all_pids($orphan);
$slow = slow_request($orphan, 1500);
$start = time();
$orphan->signal('KILL');
$orphan->wait_exit;
my ($merge, $retention) = @pids[2, 3];
ok is_gone($merge, 1) && is_gone($retention, 1),
    'merge and retention leave with the master at once';
ok wait_for(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
    PeerPort => $orphan->port) }, 1), 'nobody listens any more';
ok defined body_of($orphan, $slow), 'workers answer what they have';
ok is_gone($_, 5), "process $_ is gone" for @pids;
cmp_ok time() - $start, '<', 5, 'within five seconds';

$orphan->start;
@pids = all_pids($orphan);
$slow = slow_request($orphan, 60000);
$start = time();
$orphan->signal('KILL');
$orphan->wait_exit;
$orphan->start;
is $orphan->get('/health')->{status}, 200,
    'a new master starts while an old worker leaves';
ok is_gone($_, 6), "process $_ is gone" for @pids;
cmp_ok time() - $start, '<', 6, 'even with a request that does not end';

# Holding the loop.
@pids = all_pids($orphan);
$socket = $orphan->connect;
syswrite $socket, "GET /stall HTTP/1.1\r\n\r\n";
sleep 0.2;
$orphan->signal('KILL');
$orphan->wait_exit;
my @free = grep { is_gone($_, 5) } @pids;
cmp_ok scalar @free, '>=', @pids - 1, 'a worker that hangs is the last';
kill 'KILL', @pids;

done_testing;
