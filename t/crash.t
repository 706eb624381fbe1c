#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Nothing acknowledged is ever lost: SIGKILL of every process kind, of all at
# once, at random moments and at every named step of a write, flush, publish
# and recovery, under load with client retries.
#
# Each round: load runs, something dies, the load goes on until its requests
# are answered, then every trace of the round is read back by id and compared
# byte for byte (t/helper/ledger.c).  Every few rounds and at the end the
# server is stopped with SIGTERM and `spoorctl check --deep` must find exactly
# as many rows on disk as were found by id: none twice.  A round with SIGTERM
# instead of SIGKILL is the control.
#
# CRASH_ROUNDS (default 24; `make crash` runs 220), CRASH_SEED.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Test::Spoor qw(wait_for run_command);
use Time::HiRes qw(sleep time);

my $rounds = $ENV{CRASH_ROUNDS} || 24;
my $seed = $ENV{CRASH_SEED} || $$ + time();
my $check_every = 12;
my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $ledger = "$objdir/t/helper/ledger";

# Every step that is named in the sources of the store and can be met here.
my @points = qw(
    ingest.after_append wal.after_new_file wal.after_pwritev
    wal.after_fdatasync ingest.after_commit ingest.after_reply
    flush.freeze publish.after_part_write publish.after_part_sync
    publish.after_rename publish.after_dir_sync manifest.before_rewrite
    manifest.after_rewrite manifest.after_write manifest.after_sync
    publish.between_manifests catalog.before_flip catalog.after_flip
    wal.before_unlink merge.after_write merge.after_rename
    merge.after_replace merge.before_flip merge.after_flip
    merge.between_unlinks
);
# These are met by the process that recovers: a second crash on top.
my @recover_points = qw(
    recover.before_publish publish.after_rename manifest.after_write
    publish.between_manifests recover.before_flip catalog.after_flip
    recover.before_unlink recover.after_free
);
my @kinds = (
    qw(worker point all point merge point worker+stop retention point
       master point recover all+recover control));

srand($seed);
diag("CRASH_SEED=$seed CRASH_ROUNDS=$rounds");

my $faults;
my $spoor = Test::Spoor->new;
$faults = $spoor->dir . '/faults';
$spoor->{env}{SPOOR_FAULT_FILE} = $faults;
arm('');
$spoor->start;

my (%count, %total, $found_all, $kills, $armed_hits);
$found_all = $kills = $armed_hits = 0;
my ($point_next, $recover_next) = (int rand @points,
    int rand @recover_points);
my $failed = 0;

for my $round (1 .. $rounds) {
    my $kind = $kinds[($round - 1) % @kinds];
    my $result = round($round, $kind);

    $count{$kind}++;
    $total{$_} += $result->{$_} for keys %$result;
    my $bad = grep { $result->{$_} } qw(lost doubled wrong invented halves
        errors);
    $failed++ if $bad;
    ok(!$bad, "round $round ($kind): $result->{acked} batches acknowledged, "
        . 'all there, once, equal')
        or diag(join ' ', map { "$_=$result->{$_}" } sort keys %$result);
    if ($round % $check_every == 0 || $round == $rounds) {
        check_disk($round);
        $spoor->start if $round != $rounds;
    }
    last if $failed > 3;
}

diag(sprintf "%-24s %s", 'rounds', $rounds);
diag(sprintf "%-24s %s", "  of them $_", $count{$_}) for sort keys %count;
diag(sprintf "%-24s %s", 'processes killed', $kills);
diag(sprintf "%-24s %s", 'fault points hit', $armed_hits);
diag(sprintf "%-24s %s", $_, $total{$_} || 0) for qw(batches acked unknown
    refused retried resent acked_spans found_spans lost doubled wrong halves
    invented);
done_testing();

# --- a round -----------------------------------------------------------------

sub round {
    my ($round, $kind) = @_;
    my $file = $spoor->dir . "/ledger.$round";
    my $load = load_start($round, $file);

    sleep(0.05 + rand 0.25);
    post_now('/internal/force_flush') if rand() < 0.5;
    post_now('/internal/force_merge') if rand() < 0.5;
    strike($kind);
    waitpid $load, 0;
    arm('');
    $spoor->start if !$spoor->is_running;
    wait_for(sub { $spoor->get('/health')->{status} == 200 }, 20);
    my $out = run_command([$ledger, 'verify', '--url', $spoor->url,
        '--ledger', $file], seconds => 300);
    diag($out->{err}) if length $out->{err};
    my %result = $out->{out} =~ /(\w+)=(\d+)/g;
    $result{errors}++ if !exists $result{acked};
    $found_all += $result{found_spans} || 0;
    unlink $file;
    return \%result;
}

sub load_start {
    my ($round, $file) = @_;
    my $pid = fork();

    die "fork: $!" unless defined $pid;
    if ($pid == 0) {
        exec { $ledger } $ledger, 'load', '--url', $spoor->url, '--ledger', $file,
            '--seed', ($seed % 1000000) * 1000 + $round, '--clients', 4,
            '--ms', 400, $round % 2 ? '--json' : ()
            or POSIX::_exit(127);
    }
    return $pid;
}

sub strike {
    my ($kind) = @_;

    if ($kind =~ /^(worker|merge|retention)$/) {
        kill_role($kind, 1);
    } elsif ($kind eq 'worker+stop') {
        my @workers = @{$spoor->pids->{worker} || []};
        kill 'STOP', $workers[1] if @workers > 1;
        kill 'KILL', $workers[0] if @workers;
        $kills++;
        sleep 0.6;
        kill 'CONT', $workers[1] if @workers > 1;
    } elsif ($kind eq 'point') {
        hit_point($points[$point_next++ % @points]);
    } elsif ($kind eq 'recover') {
        arm($recover_points[$recover_next++ % @recover_points] . ':kill:1');
        kill_role('worker', 1);
        sleep 0.4;
        arm('');
    } elsif ($kind eq 'master') {
        my $master = $spoor->pid;
        kill 'KILL', $master;
        $kills++;
        wait_for(sub { !$spoor->is_running }, 5);
        $spoor->start;
    } elsif ($kind eq 'all' || $kind eq 'all+recover') {
        $spoor->kill_all;
        $kills++;
        if ($kind eq 'all+recover') {
            arm($recover_points[$recover_next++ % @recover_points]
                . ':kill:1');
            $spoor->start_nowait;
            sleep 0.3;
            arm('');
            $spoor->kill_all if rand() < 0.5;
        }
        $spoor->start if !$spoor->is_running;
    } else {
        is($spoor->stop, 0, 'control: an orderly stop');
        $spoor->start;
    }
}

# The process that reaches the step dies there; flushes make it reach most.
sub hit_point {
    my ($point) = @_;
    my $before = () = $spoor->log =~ /killed|signal 9/g;

    arm("$point:kill:" . (1 + int rand 3));
    for (1 .. 4) {
        sleep 0.06;
        post_now('/internal/force_flush');
        post_now('/internal/force_merge');
    }
    my $after = () = $spoor->log =~ /killed|signal 9/g;
    $armed_hits++ if $after > $before;
    $kills++ if $after > $before;
}

sub kill_role {
    my ($role, $n) = @_;
    my @pids = @{$spoor->pids->{$role} || []};

    for my $pid (@pids[0 .. ($n < @pids ? $n : @pids) - 1]) {
        $kills += kill 'KILL', $pid;
    }
}

sub arm {
    my ($text) = @_;

    open my $out, '>', "$faults.tmp" or die "$faults.tmp: $!";
    print $out $text;
    close $out;
    rename "$faults.tmp", $faults or die "$faults: $!";
}

# A child of its own: an answer may take long or never come.
sub post_now {
    my ($path) = @_;
    my $pid = fork();

    return if !defined $pid;
    if ($pid == 0) {
        eval { $spoor->post($path, '', undef, 2) };
        POSIX::_exit(0);
    }
    $SIG{CHLD} = 'DEFAULT';
    waitpid $pid, 0;
}

# Stops the server; what is on disk must be what was found by id.
sub check_disk {
    my ($round) = @_;

    is($spoor->stop, 0, "after round $round: an orderly stop");
    my $out = run_command([Test::Spoor::spoorctl_bin(), 'check', '--deep',
        $spoor->data_dir], seconds => 120);
    is($out->{status}, 0, "after round $round: spoorctl check --deep")
        or diag($out->{out} . $out->{err});
    my ($rows) = $out->{out} =~ /parts, (\d+) spans/;
    my ($log_rows) = $out->{out} =~ /log files with (\d+) spans/;
    is($rows, $found_all, "after round $round: every row once on disk");
    is($log_rows, 0, "after round $round: the log is empty");
}
