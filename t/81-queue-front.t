#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The durable queue of a front from outside: no node is there, a node hangs,
# the queue or its disk is full, files are damaged or of another front, the
# front dies, is reloaded with fewer workers, is retired.  All acknowledged
# spans are on the nodes once in the end.

use strict;
use warnings;

use File::Copy qw(copy);
use Test::FrontLoad;
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $path = '/insert/opentelemetry/v1/traces';
my %json = ('Content-Type' => 'application/json');
my $batch = 0;
my %sent;

# A set of its own ids; the batches that were answered 200 are remembered.
sub insert {
    my ($set, $front) = @_;
    my ($client, $n) = (9, ++$batch);
    my $now = sprintf('%.0f', time() * 1e6) . '000';
    my $body = Test::FrontLoad::_batch($set, $client, $n, $now);
    my $reply = ($front || $set->front)->post($path, $body, \%json, 20);

    push @{$sent{$set}}, $n if $reply->{status} == 200;
    return $reply;
}

# Every span of what was acknowledged, once; of nothing else more than once.
sub all_there {
    my ($set, $name) = @_;
    my $seen = $set->read_nodes;
    my ($lost, $doubled, $wrong) = (0, 0, 0);

    for my $n (@{$sent{$set}}) {
        $lost += grep { !$seen->{$_} } Test::FrontLoad::_batch_keys($set, 9,
            $n);
    }
    $doubled += $_->[0] > 1, $wrong += $_->[1] for values %$seen;
    is("$lost lost, $doubled doubled, $wrong wrong",
        '0 lost, 0 doubled, 0 wrong', "$name: " . scalar(@{$sent{$set}})
        . ' inserts are stored');
    return;
}

sub down { $_->kill_all for $_[0]->nodes }
sub up { $_->start for $_[0]->nodes }

sub spans_waiting {
    my ($set) = @_;
    my $ran = run_command([spoorctl_bin(), 'check', $set->front->data_dir]);

    return $ran->{out} =~ /parcels with (\d+) spans wait/ ? $1 : $ran->{out};
}

sub arm {
    my ($server, $rule) = @_;
    my $file = $server->dir . '/faults';

    spew("$file.new", $rule);
    rename "$file.new", $file;
    sleep 0.05;
    return;
}

# Small limits, so that they are met.
sub new_set {
    my (%front) = @_;

    return Test::FrontLoad->new(nodes => 2,
        env => { SPOOR_FAULT_FILE => 'faults' },
        front => { 'cluster.probe_interval' => '50ms',
            'cluster.insert_timeout' => '2s', %front });
}

# --- nobody is there ----------------------------------------------------------

my $set = new_set()->start;
is(insert($set)->{status}, 200, 'an insert');
is(scalar($set->queue_files), undef, 'which needs no queue');
down($set);
is_deeply([map { insert($set)->{status} } 1 .. 20], [(200) x 20],
    'without any node inserts are answered 200');
cmp_ok(scalar(my @files = $set->queue_files), '>=', 1, 'they are in files');
is(spans_waiting($set), 240, 'as spoorctl check says');
$set->front->kill_all;
$set->front->start;
ok(wait_for(sub {
    ($set->front->metric('spoor_cluster_queue_parcels') || 0) >= 20
}, 10), 'a new front has what a killed one left');
is(insert($set)->{status}, 200, 'and puts more to it');
up($set);
ok($set->drain(30), 'nodes come back: the queue becomes empty');
all_there($set, 'all nodes were away');
ok(wait_for(sub { !glob $set->front->data_dir . '/queue/*' }, 10),
    'and has no file after a while');

# --- reload with fewer workers, orderly stop -----------------------------------

down($set);
insert($set) for 1 .. 10;
$set->front->write_conf(workers => 1);
$set->front->signal('HUP');
ok(wait_for(sub { @{$set->front->pids->{worker} || []} == 1 }, 20),
    'one worker is left');
ok(wait_for(sub {
    ($set->front->metric('spoor_cluster_queue_parcels') || 0) >= 10
}, 10), 'and has what both had');
is($set->front->stop, 0, 'an orderly stop');
is(spans_waiting($set), 120, 'keeps all of it');
$set->front->write_conf(workers => 2);
$set->front->start;
up($set);
ok($set->drain(30), 'the queue becomes empty');
all_there($set, 'fewer workers');

# --- a node that hangs ----------------------------------------------------------

my ($hanging) = $set->nodes;
my @pids = map { @$_ } values %{$hanging->pids};
kill 'STOP', @pids;
is_deeply([map { insert($set)->{status} } 1 .. 4], [(200) x 4],
    'a node hangs: inserts are answered');
cmp_ok($set->front->metric('spoor_cluster_unknown_parcels_total'), '>=', 1,
    'what it may have is not known');
sleep 2.5;
$set->front->kill_all;
$set->front->start;
insert($set) for 1 .. 4;
kill 'CONT', @pids;
ok($set->drain(30), 'it goes on, and is asked');
all_there($set, 'a node hung, the front died');

# --- the disk of the front ------------------------------------------------------

down($set);
insert($set) for 1 .. 3;
arm($set->front, 'sys.fallocate@worker:ENOSPC,sys.pwritev@worker:ENOSPC');
my $reply = insert($set);
is($reply->{status}, 503, 'the disk is full: 503');
ok($reply->{headers}{'retry-after'}, 'with Retry-After');
unlink $set->front->dir . '/faults';
sleep 0.05;
is(insert($set)->{status}, 200, 'it heals');
arm($set->front, 'sys.fdatasync@worker:EIO:1-2');
is(insert($set)->{status}, 503, 'a sync fails: 503');
unlink $set->front->dir . '/faults';
sleep 0.05;
is(insert($set)->{status}, 200, 'the next has another file');
arm($set->front, 'sys.pwritev@worker:ENOSPC');
up($set);
ok($set->drain(30), 'what waits is sent while nothing can be noted');
unlink $set->front->dir . '/faults';
sleep 2.5;
$set->front->kill_all;
$set->front->start;
ok($set->drain(30), 'and noted when it can');
all_there($set, 'full disk');

down($set);
insert($set) for 1 .. 5;
$set->front->kill_all;
$set->front->start;
ok(wait_for(sub {
    ($set->front->metric('spoor_cluster_queue_parcels') || 0) >= 5
}, 10), 'a front has only the files');
arm($set->front, 'file.pread@worker:EIO');
up($set);
ok(wait_for(sub { $set->front->log =~ /cannot be read now, they wait/ }, 20),
    'which cannot be read for a while');
unlink $set->front->dir . '/faults';
ok($set->drain(30), 'then they can');
all_there($set, 'a queue that could not be read');

# --- damage, and a front that is retired ------------------------------------------

down($set);
insert($set) for 1 .. 10;
$set->front->kill_all;
is(spans_waiting($set), 120, 'ten inserts wait');
my ($file) = $set->queue_files;
my $bytes = slurp($file);
# The body of the first parcel.
substr($bytes, 4096 + 64 + 40, 1) ^= "\x08";
spew($file, $bytes);
my $ran = run_command([spoorctl_bin(), 'check', $set->front->data_dir]);
isnt($ran->{status}, 0, 'spoorctl check tells damage');
my ($left) = $ran->{out} =~ /with (\d+) spans wait/;
cmp_ok($left, '>=', 100, 'and what is left') or diag($ran->{out});
my $heir = new_set();
mkdir $heir->front->data_dir . '/queue';
for my $from ($set->queue_files) {
    my ($name) = $from =~ m{([^/]+)$};
    my $to = $heir->front->data_dir . "/queue/$name";
    copy($from, "$to.new") or die "$to: $!\n";
    rename "$to.new", $to;
}
# The heir serves the same nodes.
$heir->front->write_conf(storage_nodes => $set->front->{conf}{storage_nodes});
up($set);
$heir->front->start;
ok($heir->drain(30), 'another front sends what the copied files have');
my $seen = $set->read_nodes;
my @expected = map { Test::FrontLoad::_batch_keys($set, 9, $_) }
    @{$sent{$set}};
is(scalar(grep { !$seen->{$_} } @expected), 120 - $left,
    'but for what was damaged');
is(scalar(grep { $_->[0] > 1 } values %$seen), 0, 'nothing twice');
is(scalar(my @aside = glob $heir->front->data_dir . '/queue/*.damaged'), 1,
    'the damaged file is kept');
like($heir->front->log, qr/is damaged in 1 places/, 'and told in the log');
$heir->front->stop;
$_->stop for $set->nodes;

# --- limits ----------------------------------------------------------------------

my $small = new_set('cluster.queue_max_bytes' => '2MiB', workers => 1);
$small->start;
down($small);
my $last;
for (1 .. 2000) {
    $last = insert($small);
    last if $last->{status} != 200;
}
is($last->{status}, 503, 'a full queue: 503');
ok($last->{headers}{'retry-after'}, 'with Retry-After');
cmp_ok(scalar @{$sent{$small}}, '>', 100, 'after many that were taken');
my $sum = 0;
$sum += -s $_ for $small->queue_files;
cmp_ok($sum, '<=', 2 * 1024 * 1024 * (1 + 1 / 64) + 100_000,
    "its files have $sum bytes");
cmp_ok($small->front->metric('spoor_cluster_queue_refused_total'), '>=', 1,
    'it is counted');
up($small);
ok($small->drain(60), 'nodes come back: it becomes empty');
is(insert($small)->{status}, 200, 'and takes inserts');
all_there($small, 'full queue');
$small->front->stop;

my $none = Test::FrontLoad->new(nodes => 1, front => {
    'cluster.queue_max_bytes' => 0, 'cluster.probe_interval' => '50ms' });
$none->start;
down($none);
is(insert($none)->{status}, 503, 'without a queue: 503');
up($none);
ok(wait_for(sub { insert($none)->{status} == 200 }, 10), 'until a node is up');
all_there($none, 'no queue');
$none->front->stop;

# --- after unknown_timeout ---------------------------------------------------------

my $short = new_set('cluster.unknown_timeout' => '4s');
$short->start;
($hanging) = $short->nodes;
@pids = map { @$_ } values %{$hanging->pids};
kill 'STOP', @pids;
insert($short) for 1 .. 4;
my $unknown = $short->front->metric('spoor_cluster_unknown_parcels_total');
cmp_ok($unknown, '>=', 1, 'a node hangs');
ok(wait_for(sub {
    $short->front->metric('spoor_cluster_possible_doubles_total') >= $unknown
}, 20), 'after cluster.unknown_timeout possible doubles are counted');
like($short->front->log, qr/they may be there twice/, 'and logged');
ok($short->drain(20), 'another node has them');
kill 'KILL', @pids;
$hanging->kill_all;
$hanging->start;
$seen = $short->read_nodes;
is(scalar(grep { !$seen->{$_} }
    map { Test::FrontLoad::_batch_keys($short, 9, $_) } @{$sent{$short}}), 0,
    'nothing is lost');
diag(scalar(grep { $_->[0] > 1 } values %$seen) . ' of '
    . scalar(keys %$seen) . ' spans are there twice, '
    . "$unknown parcels were possible doubles");
$short->front->stop;

done_testing();
