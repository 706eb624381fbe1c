# SPDX-License-Identifier: BSD-2-Clause
#
# Who accepts connections, and when nobody can.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Spoor;
use Test::Process;
use Time::HiRes qw(sleep time);

my %sockets_before;

# TCP connections that a process holds, since note_sockets().
sub sockets_of {
    my ($pid) = @_;

    return scalar grep { (readlink $_ || '') =~ /^socket:/ }
        glob "/proc/$pid/fd/*";
}

sub note_sockets {
    my ($toy) = @_;

    %sockets_before = map { $_ => sockets_of($_) } role_pids($toy, 'worker');
    return;
}

# All workers run, and none holds the connection of a health check any more:
# all have the same number of sockets, now and a moment later.
sub is_settled {
    my ($toy, $workers) = @_;

    return 0 unless -e $toy->data_dir . '/spoor.pid';
    return 0 unless role_pids($toy, 'worker') == $workers;
    note_sockets($toy);
    my $before = join ' ', sort values %sockets_before;
    return 0 unless $before =~ /^(\d+)(?: \1)*$/;
    sleep 0.1;
    note_sockets($toy);
    return $before eq join ' ', sort values %sockets_before;
}

sub shares {
    my ($toy) = @_;

    return map { sockets_of($_) - $sockets_before{$_} }
        role_pids($toy, 'worker');
}

sub sum {
    my $sum = 0;

    $sum += $_ for @_;
    return $sum;
}

# --- shares -------------------------------------------------------------------

for my $case ([2, 4], [2, 16], [3, 12], [2, 300]) {
    my ($workers, $conns) = @$case;
    my $toy = toy(conf => { workers => $workers });
    $toy->start;
    ok wait_for(sub { is_settled($toy, $workers) }), "$workers workers";
    my $fair = $conns / $workers;
    my $slack = $fair < 8 ? 1 : $fair / 4;
    my (@held, @shares);

    # A worker that another program keeps from running for long cannot take
    # its share, so there are three tries.
    for my $try (1 .. 3) {
        @held = ();
        wait_for(sub { is_settled($toy, $workers) });
        @held = map { $toy->connect } 1 .. $conns;
        wait_for(sub { sum(shares($toy)) == $conns });
        @shares = sort { $a <=> $b } shares($toy);
        last if $shares[0] >= $fair - $slack;
        diag("try $try: shares @shares");
    }
    is sum(@shares), $conns, "$conns connections at once are accepted";
    cmp_ok $shares[0], '>=', $fair - $slack, "shares: @shares";
    @held = ();
    ok wait_for(sub { sum(shares($toy)) == 0 }), 'they end';

    # One after the other, each held.
    @held = map { sleep 0.005; $toy->connect } 1 .. 2 * $workers;
    ok wait_for(sub { sum(shares($toy)) == 2 * $workers }), 'one by one';
    @shares = shares($toy);
    is scalar(grep { $_ == 0 } @shares), 0, "are shared: @shares";
    $toy->stop;
}

# --- a worker that takes part in nothing --------------------------------------

my $toy = toy(conf => { workers => 2 });
$toy->start;
my ($paused) = role_pids($toy, 'worker');
kill 'STOP', $paused;
my $start = time();
my $good = grep { $toy->get('/health')->{status} == 200 } 1 .. 20;
is $good, 20, 'with a paused worker the other serves';
cmp_ok time() - $start, '<', 2, 'without much delay';
my @held = map { $toy->connect } 1 .. 50;
my @slow = map { slow_request($toy, 10) } 1 .. 3;
is scalar(grep { defined body_of($toy, $_) } @slow), 3, 'also behind others';
@held = ();
kill 'CONT', $paused;
is $toy->get('/health')->{status}, 200, 'going on';
$toy->stop;

# --- the limit of connections -------------------------------------------------

$toy = toy(conf => { workers => 1, worker_connections => 16 });
$toy->start;
ok wait_for(sub { is_settled($toy, 1) }), 'no other connection is open';
@held = map { $toy->connect } 1 .. 20;
ok wait_for(sub { sum(shares($toy)) == 16 }), 'as many as it may hold';
sleep 0.1;
is sum(shares($toy)), 16, 'not more';
like $toy->log, qr/worker_connections: 16 connections are open, more must wait/,
    'the log says so';
splice @held, 0, 10;
ok wait_for(sub { sum(shares($toy)) == 10 }), 'then the others';
is $toy->get('/health')->{status}, 200, 'going on';
$toy->stop;

# --- no descriptors -----------------------------------------------------------

SKIP: {
    skip 'no prlimit', 3 if system('prlimit --version >/dev/null 2>&1') != 0;
    $toy = toy(conf => { workers => 1 });
    $toy->start;
    note_sockets($toy);
    my ($worker) = role_pids($toy, 'worker');
    my $lowest = 0;
    $lowest++ while -l "/proc/$worker/fd/$lowest";
    system 'prlimit', '--pid', $worker, "--nofile=$lowest:";
    @held = map { $toy->connect } 1 .. 2;
    ok $toy->wait_log(qr/cannot accept connections: Too many open files; trying again in 100 ms/),
        'without descriptors';
    sleep 1;
    my ($ticks) = slurp("/proc/$worker/stat") =~ /\) (?:\S+ ){11}(\d+)/;
    cmp_ok $ticks, '<', 20, 'it does not spin';
    system 'prlimit', '--pid', $worker, '--nofile=1000:';
    ok wait_for(sub { sum(shares($toy)) == 2 }), 'until there are some again';
    $toy->stop;
}

done_testing;
