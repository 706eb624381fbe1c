#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# A front with two workers and three storage nodes under load; one thing
# after the other dies: a worker, a master, a node, the front, all at once,
# and whoever comes to a fault point of sender, queue or log.  After each the
# set comes to itself without an operator.  In the end every acknowledged
# span is there, once, as each node says.
#
# Then a storm, where one thing dies before the last one is back.  A request
# whose worker and node die together may be sent again by its client while
# that node is away, and another node stores it, too: such doubles are spans
# that no answer was given for, they are counted and shown.
#
# CLUSTER_KILL_STORM (seconds, default 15), CLUSTER_KILL_SEED.

use strict;
use warnings;

use Test::FrontLoad;
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $seed = $ENV{CLUSTER_KILL_SEED} || int rand 1e6;
my $storm_seconds = $ENV{CLUSTER_KILL_STORM} || 15;
srand $seed;
diag("seed $seed");

my $set = Test::FrontLoad->new(nodes => 3,
    env => { SPOOR_FAULT_FILE => 'faults' },
    front => { 'cluster.probe_interval' => '100ms',
        'cluster.insert_timeout' => '3s' });
my $front = $set->front;
my @nodes = $set->nodes;
$_->{env} = { SPOOR_FAULT_FILE => 'faults' } for @nodes;

# --- what happens -------------------------------------------------------------

sub arm {
    my ($server, $rule) = @_;
    my $file = $server->dir . '/faults';

    spew("$file.new", $rule);
    rename "$file.new", $file;
    return;
}

sub disarm { unlink $_->dir . '/faults' for $front, @nodes }

# Workers that died while their master lived.
sub deaths {
    my $deaths = 0;

    $deaths += () = $_->log =~ /ended on signal/g for $front, @nodes;
    return $deaths;
}

sub one_of { return $_[int rand @_] }

sub kill_one {
    my ($server, $role) = @_;
    my $pid = one_of(@{$server->pids->{$role} || []});

    kill 'KILL', $pid if $pid;
    return;
}

# The master dies; its children go by themselves.
sub kill_master {
    my ($server) = @_;

    kill 'KILL', $server->pid if $server->is_running;
    wait_for(sub { !$server->is_running }, 5);
    return;
}

my %happens = (
    'front: a worker' => sub { kill_one($front, 'worker') },
    'front: both workers' => sub {
        kill 'KILL', @{$front->pids->{worker} || []};
    },
    'front: the master' => sub { kill_master($front) },
    'front: all of it' => sub { $front->kill_all },
    'front: reload' => sub { $front->signal('HUP') if $front->is_running },
    'front: orderly restart' => sub { $front->restart if $front->is_running },
    'node: a worker' => sub { kill_one(one_of(@nodes), 'worker') },
    'node: the master' => sub { kill_master(one_of(@nodes)) },
    'node: all of it' => sub { one_of(@nodes)->kill_all },
    'node: away for a while' => sub {
        one_of(@nodes)->kill_all;
        sleep 1.5;
    },
    'node: orderly restart' => sub {
        my $node = one_of(@nodes);
        $node->restart if $node->is_running;
    },
    'node: hangs for a while' => sub {
        my $node = one_of(@nodes);
        my @pids = map { @$_ } values %{$node->pids};
        kill 'STOP', @pids;
        sleep 2.5;
        kill 'CONT', @pids;
    },
    'nodes: all of them for a while' => sub {
        $_->kill_all for @nodes;
        sleep 1;
    },
    'everything' => sub { $_->kill_all for $front, @nodes },
);

# Points that only the queue meets: no node is there then.
my @queue_points = map { "queue.$_" } qw(after_create after_new_file
    after_write after_sync after_lock after_adopt after_set_node after_done
    before_unlink);
my @front_points = map { "sender.$_" } qw(before_send after_answer
    before_answer);
my @node_points = qw(ingest.after_append wal.after_pwritev
    wal.after_fdatasync ingest.after_commit ingest.after_reply);

# Nodes go and come while nothing is under way, and the front has seen it: the
# death of the worker is the only thing that happens to an insert.
sub at_queue_point {
    my ($point) = @_;
    my $is_later = $point =~ /set_node|done|unlink/; # when nodes come back
    my $is_rare = $point =~ /create|new_file|lock|adopt|unlink/;
    my $rule = "$point\@worker:kill:" . ($is_rare ? 1 : 1 + int rand 3);
    my $deaths = deaths();

    $set->pause;
    $_->kill_all for @nodes;
    ok(wait_for(sub {
        $set->poke;
        my $up = $front->metric('spoor_node_is_up');
        return defined $up && $up == 0;
    }, 20), "$point: the front knows that no node is there");
    arm($front, $rule) unless $is_later;
    $set->resume;
    sleep 0.5;
    # Its file is adopted, and its heir needs a new one.
    kill_one($front, 'worker'), $deaths++
        if $point =~ /create|new_file|lock|adopt/;
    wait_for(sub { deaths() > $deaths }, 5) unless $is_later;
    sleep 1; # clients try again
    $set->pause;
    arm($front, $rule) if $is_later;
    $_->start for @nodes;
    wait_for(sub { deaths() > $deaths }, 5) if $is_later;
    $set->drain(30);
    $set->resume;
    return;
}

# --- one after the other ------------------------------------------------------

my @rows;
my $deaths_before = 0;

sub settle {
    my ($name) = @_;
    my $from = time();

    disarm();
    $set->heal;
    my $is_empty = $set->drain(60);
    my $deaths = deaths();
    push @rows, [$name, $deaths - $deaths_before, time() - $from];
    $deaths_before = $deaths;
    ok($is_empty, "$name: the queue becomes empty");
    return;
}

$set->start;
$set->send(4);
sleep 0.5;
for my $name (sort keys %happens) {
    $happens{$name}->();
    sleep 0.3;
    settle($name);
}
for my $point (@front_points) {
    arm($front, "$point\@worker:kill:" . (1 + int rand 20));
    sleep 0.7;
    settle("front at $point");
}
for my $point (@node_points) {
    arm(one_of(@nodes), "$point:kill:" . (1 + int rand 20));
    sleep 0.7;
    settle("node at $point");
}
for my $point (@queue_points) {
    at_queue_point($point);
    settle("front at $point");
}

sub judge {
    my ($name) = @_;
    my $sum = $set->judge;

    my $deaths = deaths();
    my $taken = () = $front->log =~ /are taken over/g;
    diag(sprintf "%-20s %12s %8s %6s %8s %8s %8s", $name, 'acknowledged',
        'found', 'lost', 'doubled', 'wrong', 'possible');
    diag(sprintf "%-20s %12d %8d %6d %8d %8d %8d", 'spans',
        @$sum{qw(acknowledged found lost doubled wrong possible)});
    diag("$deaths workers died alone, $taken files of the queue were adopted");
    diag($sum->{told}) if $sum->{told} ne '';
    is($sum->{lost}, 0, "$name: no acknowledged span is lost");
    is($sum->{wrong}, 0, "$name: none is wrong");
    is($sum->{refused} + $sum->{partial} + $sum->{unknown}, 0,
        "$name: all were taken in the end");
    return $sum;
}

$set->stop_senders;
settle('the end');
my $sum = judge('one after the other');
cmp_ok($sum->{acknowledged}, '>', 1000, 'there was load');
is($sum->{doubled}, 0, 'none is there twice');
diag(sprintf "%-34s %d workers died, came to itself in %.1f s", @$_)
    for @rows;

# --- a storm ------------------------------------------------------------------

@rows = ();
$set->send(4);
my $end = time() + $storm_seconds;
my $n = 0;
while (time() < $end) {
    for my $server ($front, @nodes) {
        next if $server->is_running || rand() < 0.3;
        $server->kill_all;
        $server->start_nowait;
    }
    $happens{one_of(sort keys %happens)}->();
    arm($front, one_of(@front_points, @queue_points) . '@worker:kill:'
        . (1 + int rand 10)) if rand() < 0.4;
    arm(one_of(@nodes), one_of(@node_points) . ':kill:' . (1 + int rand 10))
        if rand() < 0.3;
    sleep rand 0.7;
    $n++;
}
disarm();
$set->heal;
$set->stop_senders;
settle("a storm of $n");
my $storm = judge('a storm');
cmp_ok($storm->{acknowledged}, '>', $sum->{acknowledged}, 'there was load');
diag("doubled in the storm: $storm->{doubled}");
$_->stop for $front, @nodes;
is_deeply([$set->queue_files], [], 'no file is left in the queue');

done_testing();
