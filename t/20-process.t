# SPDX-License-Identifier: BSD-2-Clause
#
# Processes: what runs, and what happens when one of them ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Spoor;
use Test::Process;
use Time::HiRes qw(sleep time);

# --- what runs ----------------------------------------------------------------

my $toy = toy(conf => { workers => 2 }, env => { TOY_RECOVERY => 1 });
$toy->start;
my $log = $toy->log;

like $log, qr/ready: 2 workers, listening on 127\.0\.0\.1:@{[$toy->port]}\b/,
    'says that it is ready';
like $log, qr/recovering slot -1.*ready: 2 workers/s, 'recovery comes first';
unlike substr($log, 0, index($log, 'recovering slot')), qr/worker 0/,
    'no worker before that';
is scalar role_pids($toy, 'worker'), 2, 'two workers';
is scalar role_pids($toy, 'merge'), 1, 'one merge';
is scalar role_pids($toy, 'retention'), 1, 'one retention';
is scalar role_pids($toy, 'recover'), 0, 'recovery has ended';

my $pid_file = $toy->data_dir . '/spoor.pid';
open my $in, '<', $pid_file or diag "$pid_file: $!";
is scalar <$in>, $toy->pid . "\n", 'pid file';
is sprintf('%o', (stat "$pid_file.sock")[2] & 07777), '600',
    'nobody else can reach the control socket';
for my $role (qw(worker merge retention)) {
    my ($pid) = role_pids($toy, $role);
    is getpgrp($pid), getpgrp($toy->pid), "$role is in the master's group";
}

# --- kill -9 ------------------------------------------------------------------

for my $role (qw(worker merge retention)) {
    my @before = role_pids($toy, $role);
    kill 'KILL', $before[0];
    my $took = respawned($toy, $role, $before[0], scalar @before);
    ok defined $took && $took < 1, "$role is back in under a second";
    like $toy->log,
        qr/$role.*\($before[0]\) ended on signal 9 \(Killed\), .* in 0 ms/,
        'the log says why';
}
ok $toy->wait_log(qr/recovering slot [01]\n/), 'the slot is recovered';
ok $toy->wait_log(qr/recover \(\d+\) is done.*recover \(\d+\) is done/s),
    'recovery ends';
is $toy->get('/health')->{status}, 200, 'still serves';

# A worker that is started while its old slot is being recovered.
like $toy->log, qr/slot 2, generation 0/, 'took another slot';
my ($worker) = role_pids($toy, 'worker');
kill 'KILL', $worker;
ok respawned($toy, 'worker', $worker, 2), 'again';
ok wait_for(sub { my @n = $toy->log =~ /is done/g; @n == 3 }, 5),
    'recovered again';
my @slots = $toy->log =~ /slot (\d+), generation/g;
cmp_ok((sort { $b <=> $a } @slots)[0], '<=', 3, 'slots are used again');

# --- back-off -----------------------------------------------------------------

my $count = 3;
my ($retention) = role_pids($toy, 'retention');
for (1 .. $count) {
    kill 'KILL', $retention;
    my $dead = $retention;
    respawned($toy, 'retention', $dead, 1);
    ($retention) = role_pids($toy, 'retention');
}
my @delays = $toy->log =~ /retention \(\d+\) ended on .*restarting in (\d+) ms/g;
is "@delays", '0 100 200 400',
    'who keeps dying is started ever more slowly';

# --- an orderly end of a child that nobody in the master asked for ------------

my ($merge) = role_pids($toy, 'merge');
kill 'TERM', $merge;
ok respawned($toy, 'merge', $merge, 1), 'merge is started again';
like $toy->log, qr/leaving well/, 'it left in an orderly way';
kill 'INT', role_pids($toy, 'worker');
kill 'HUP', role_pids($toy, 'worker');
kill 'WINCH', role_pids($toy, 'worker');
sleep 0.2;
is scalar(grep { /ended/ && /worker/ && !/signal 9/ } split /\n/, $toy->log),
    0, 'signals of a terminal do not concern workers';
is $toy->stop, 0, 'stops with status 0';
ok !-e $pid_file && !-e "$pid_file.sock", 'its files are gone';

# --- a panic ------------------------------------------------------------------

my $crash = toy(conf => { workers => 1 }, env => { TOY_RECOVERY => 1 },
    expect_panic => 1, expect_sanitizer => 1);
$crash->start;
($worker) = role_pids($crash, 'worker');
$crash->raw("GET /crash HTTP/1.1\r\n\r\n", seconds => 5);
ok respawned($crash, 'worker', $worker, 1), 'a worker that failed a check';
like $crash->log,
    qr/error\tmaster.*worker 0 \($worker\): panic: pid $worker: .*asked to crash/,
    'the master tells what it said';
like $crash->log, qr/worker 0 \($worker\) ended on signal 6 \(Aborted\)/,
    'and how it ended';
$crash->stop;

# --- processes that do not start ----------------------------------------------

my $flag = $crash->dir . '/fail';
open my $out, '>', $flag or die "$flag: $!";
close $out;
my $bad = toy(env => { TOY_FAIL => 'recover' });
$bad->start_nowait;
is $bad->wait_exit(20), 1, 'recovery fails: the server does not start';
like $bad->log, qr/cannot start: toy: told to fail/, 'why';
like $bad->log, qr/cannot be recovered: 4 attempts failed/, 'after four tries';
unlike $bad->log, qr/worker \d \(\d+\) started/, 'no worker was started';

$bad = toy(env => { TOY_FAIL => 'merge' });
$bad->start_nowait;
is $bad->wait_exit(20), 1, 'merge refuses to start: nor does the server';
like $bad->log, qr/did not start 5 times, giving up/, 'it says so';
unlike $bad->log, qr/ready: /, 'it was never ready';

$bad = toy(env => { TOY_FAIL => "merge:$flag" });
$bad->start_nowait;
ok $bad->wait_log(qr/merge.*restarting in 100 ms/), 'fails';
unlink $flag;
ok $bad->wait_log(qr/ready: 2 workers/), 'and is ready when it starts';
is $bad->stop, 0, 'stops';

# --- fork fails, or the master dies between two forks -------------------------

my $faults = $toy->dir . '/faults';
my $poor = toy(conf => { workers => 1 }, env => { SPOOR_FAULT_FILE => $faults });
$poor->start;
arm('master_fork:EAGAIN');
($worker) = role_pids($poor, 'worker');
kill 'KILL', $worker;
ok $poor->wait_log(qr/cannot start worker: fork: .*trying again in 200 ms/),
    'fork fails';
unlink $faults;
ok respawned($poor, 'worker', $worker, 1), 'and works again';
is $poor->stop, 0, 'stops';

for my $nth (1 .. 5) {
    $poor = toy(conf => { workers => 2 },
        env => { SPOOR_FAULT => "master_fork:kill:$nth" });
    $poor->start_nowait;
    is $poor->wait_exit(10), 128 + 9, "the master dies before fork $nth";
    ok wait_for(sub { !Test::Spoor::_group_lives($poor->{group}) }, 5),
        'and its children';
}

sub arm {
    my ($rules) = @_;

    open my $file, '>', $faults or die "$faults: $!";
    print $file $rules;
    close $file;
    sleep 0.05;
    return;
}

# --- addresses ----------------------------------------------------------------

my $other = toy(port => $bad->port);
$bad->start;
my $start = time();
$other->start_nowait;
is $other->wait_exit(20), 1, 'the address is taken';
like $other->log, qr/cannot bind .*Address already in use; trying again/,
    'says so and tries again';
like $other->log, qr/error.*cannot start: cannot bind/, 'and gives up';
cmp_ok time() - $start, '>', 2.5, 'after some seconds';
$bad->stop;

my $same = toy(dir => $bad->dir, port => free_port());
$bad->write_conf;
$bad->start;
$same->write_conf;
$same->start_nowait;
is $same->wait_exit(20), 1, 'a second master with the same pid file';
like $same->log, qr/another spoor is running with the same pid file/,
    'says so';
is $bad->get('/health')->{status}, 200, 'the first is not disturbed';
is((ask($bad, 'reopen'))[1], "reopen: done\n", 'and still answers');

done_testing;
