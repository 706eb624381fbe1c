#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The real server, every process of it: at the Nth call of any kind that a
# process of one role makes, that process is killed, or everything stops at
# once, or the call fails.  Each point is a server of its own that stores,
# flushes, merges, is snapshotted, has a day detached and attached, loses a
# worker and stops; then it starts without the fault and everything that was
# acknowledged is read back by id, byte for byte (t/helper/ledger.c), counted
# by a scan, and checked on disk.
#
# t/faults.t has the store alone and thousands of points; this one has what is
# around it.  SWEEP_POINTS (default 10; SWEEP_POINTS=all: each call of each
# role), SWEEP_SEED, SWEEP_JOBS, SWEEP_ONLY (one rule of SPOOR_FAULT).

use strict;
use warnings;

use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SWEEP_SEED} || 1;
my $jobs = $ENV{SWEEP_JOBS} || 3;
my $wanted = $ENV{SWEEP_POINTS} || 10;
my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $ledger = "$objdir/t/helper/ledger";
my $dir = tempdir('spoor-sweep-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my @outcomes = qw(unnoticed refused died ended LOST DOUBLED WRONG DAMAGED
    NO_START);

# --- one life ----------------------------------------------------------------

sub yesterday { return POSIX::strftime('%Y%m%d', gmtime(time() - 86400)) }

# A request that may fail, because the server may be dying; its status.
sub ask {
    my ($spoor, $path) = @_;

    return 599 unless $spoor->is_running;
    return $spoor->post("/internal/$path", '', undef, 4)->{status};
}

sub load_some {
    my ($spoor, $file, $first, $clients) = @_;

    return unless $spoor->is_running;
    run_command([$ledger, 'load', '--url', $spoor->url, '--ledger', $file,
        '--seed', $seed, '--clients', $clients || 3, '--ms', 3000, '--batches', 2,
        '--first', $first, '--tries', 25], seconds => 60);
    return;
}

# All that a server does, in an order that reaches much of it.
sub live {
    my ($spoor, $file) = @_;

    load_some($spoor, $file, 0);
    ask($spoor, 'force_flush');
    load_some($spoor, $file, 10);
    my ($worker) = @{$spoor->pids->{worker} || []};
    kill 'KILL', $worker if $worker;
    load_some($spoor, $file, 20);
    ask($spoor, 'force_flush');
    if (ask($spoor, 'force_merge') == 200) {
        wait_for(sub {
            my $left = eval { $spoor->metric('vt_active_force_merges') };
            !defined $left || $left == 0;
        }, 2);
    }
    ask($spoor, 'partition/snapshot/create');
    ask($spoor, 'partition/detach?name=' . yesterday());
    # Spans of a detached day are rejected in a success: not acknowledged.
    my $attached = wait_for(sub {
        ask($spoor, 'partition/attach?name=' . yesterday()) =~ /^[24]/
    }, 3);
    load_some($spoor, $file, 30, $attached ? 3 : 2);
    return;
}

# Starts with the fault; false when the server ended by itself.
sub start_with {
    my ($spoor, $fault) = @_;

    $spoor->{env} = { SPOOR_FAULT => $fault };
    $spoor->start_nowait;
    return wait_for(sub {
        return -1 if !$spoor->is_running;
        return $spoor->get('/health', undef, 2)->{status} == 200;
    }, 4);
}

sub stop_any {
    my ($spoor) = @_;

    if ($spoor->is_running) {
        kill 'TERM', $spoor->pid;
        wait_for(sub { !$spoor->is_running }, 8);
    }
    $spoor->kill_all;
    return;
}

# --- reading back ------------------------------------------------------------

sub verify {
    my ($spoor, $file) = @_;

    $spoor->{env} = {};
    $spoor->start_nowait;
    my $up = wait_for(sub {
        return -1 if !$spoor->is_running;
        return $spoor->get('/health', undef, 2)->{status} == 200;
    }, 20);
    return ('NO_START', 'the server does not start') if !$up || $up == -1;
    # The fault may have come between detaching and attaching.
    ask($spoor, 'partition/attach?name=' . yesterday());
    return ('WRONG', 'no request was made') unless -e $file;
    my $out = run_command([$ledger, 'verify', '--url', $spoor->url,
        '--ledger', $file], seconds => 120);
    my %found = $out->{out} =~ /(\w+)=(\d+)/g;
    my $count = $spoor->get('/select/logsql/query?query='
        . '*+%7C+count()+n')->{body};
    my ($rows) = $count =~ /"n":"(\d+)"/;
    my $said = "$out->{out}$out->{err}count $count";
    return ('LOST', $said) if $found{lost};
    return ('DOUBLED', $said) if $found{doubled} || !defined $rows
        || $rows > $found{found_spans};
    return ('WRONG', $said) if $out->{status} || $rows != $found{found_spans};
    my $status = $spoor->stop;
    return ('WRONG', "stop: $status") if !defined $status || $status;
    my $check = run_command([spoorctl_bin(), 'check', '--deep',
        $spoor->data_dir], seconds => 60);
    return ('DAMAGED', $check->{out} . $check->{err}) if $check->{status};
    return ('WRONG', $check->{out} . $said)
        if $check->{out} !~ /parts, $rows spans/;
    return ('unnoticed', $said, $found{refused} + $found{unknown}
        + $found{retried});
}

sub run_point {
    my ($spoor, $fault) = @_;
    my $file = $spoor->dir . '/ledger';
    my $log = $spoor->log_file;

    remove_tree($spoor->data_dir);
    mkdir $spoor->data_dir;
    unlink $file, $log;
    my $up = start_with($spoor, $fault);
    my $ended = !$up || $up == -1;
    live($spoor, $file) unless $ended;
    $ended ||= !$spoor->is_running;
    stop_any($spoor);
    my $killed = () = $spoor->log =~ /killed by signal|died|signal 9/g;
    rename $log, "$log.first";
    if ($ended && !-e $file) { # nothing was stored: it must start all the same
        open my $out, '>', $file or die "$file: $!";
        close $out;
    }
    my ($outcome, $said, $refused) = verify($spoor, $file);
    $spoor->kill_all;
    if ($outcome eq 'unnoticed') {
        # One worker is killed in each life.
        $outcome = $ended ? 'ended' : $killed > 1 ? 'died'
            : $refused ? 'refused' : 'unnoticed';
    }
    return ($outcome, $said);
}

# --- points ------------------------------------------------------------------

# The calls of a life, by role.
sub count_calls {
    my $spoor = Test::Spoor->new(conf => { workers => 1 });
    my $counts = "$dir/counts";
    my %calls;

    open my $make, '>', $counts or die "$counts: $!";
    close $make;
    $spoor->{env} = { SPOOR_SYS_COUNT => $counts };
    $spoor->start;
    live($spoor, $spoor->dir . '/ledger');
    $spoor->stop;
    open my $in, '<:raw', $counts or die "$counts: $!";
    while (read($in, my $entry, 64) == 64) {
        my ($name, $n) = unpack 'Z56 Q<', $entry;
        my ($kind, $role) = $name =~ /^(\w+)@(\w+)/ or next;
        $calls{$role}{$kind} += $n;
        $calls{$role}{all} += $n;
    }
    close $in;
    my ($outcome, $said) = verify($spoor, $spoor->dir . '/ledger');
    ok scalar(grep { $outcome eq $_ } qw(unnoticed refused)),
        'control: a life without faults' or diag($said);
    diag('calls: ' . join ' ', map { "$_ $calls{$_}{all}" } sort keys %calls);
    return \%calls;
}

sub make_points {
    my ($calls) = @_;
    my @points;

    for my $role (sort keys %$calls) {
        for my $n (1 .. $calls->{$role}{all}) {
            push @points, "sys.*\@$role:kill:$n", "sys.*\@$role:crash:$n",
                "sys.*\@$role:EIO:$n-$n", "sys.*\@$role:ENOSPC:$n-$n";
        }
        for my $n (1 .. $calls->{$role}{pwritev} || 0) {
            push @points, "sys.pwritev\@$role:tear:$n",
                "sys.pwritev\@$role:short:$n-$n";
        }
        push @points, "sys.open\@$role:EMFILE:$_-$_"
            for 1 .. $calls->{$role}{open} || 0;
    }
    srand $seed;
    for my $i (reverse 1 .. $#points) {
        my $j = int rand $i + 1;
        @points[$i, $j] = @points[$j, $i];
    }
    splice @points, $wanted if $wanted ne 'all' && $wanted < @points;
    srand; # names of temporary files must differ from run to run
    return @points;
}

sub job {
    my ($job, @points) = @_;
    my $spoor = Test::Spoor->new(conf => { workers => 1 });

    open my $out, '>', "$dir/job.$job" or die "job.$job: $!";
    $out->autoflush(1);
    for (my $i = $job; $i < @points; $i += $jobs) {
        my ($outcome, $said) = eval { run_point($spoor, $points[$i]) };

        ($outcome, $said) = ('WRONG', $@) unless defined $outcome;
        $said =~ s/\n/\\n/g;
        $said = substr $said, 0, 1500;
        print {$out} "$points[$i] $outcome $said\n";
        if ($outcome =~ /^[A-Z]/) {
            (my $name = $points[$i]) =~ s/[^\w.]/_/g;
            my $log = $spoor->log_file;
            system "cat $log.first $log > /tmp/sweep-$name.log";
        }
    }
    $spoor->kill_all;
    remove_tree($spoor->dir);
    return;
}

my $begin = time();
my @points = $ENV{SWEEP_ONLY} ? ($ENV{SWEEP_ONLY}) : make_points(count_calls());
my @pids;
for my $job (0 .. $jobs - 1) {
    my $pid = fork();
    die "fork: $!" unless defined $pid;
    if ($pid == 0) {
        job($job, @points);
        POSIX::_exit(0);
    }
    push @pids, $pid;
}
waitpid $_, 0 for @pids;

my (%table, $done, $bad);
for my $job (0 .. $jobs - 1) {
    open my $in, '<', "$dir/job.$job" or next;
    while (<$in>) {
        my ($point, $outcome, $said) = /^(\S+) (\S+) (.*)/ or next;
        my ($role, $what) = $point =~ /@(\w+):(\w+)/;

        $table{"$role $what"}{$outcome}++;
        $done++;
        next if $outcome !~ /^[A-Z]/;
        $bad++;
        diag("violation: $point: $outcome: $said");
    }
    close $in;
}
diag(sprintf '%-20s %6s' . ' %9s' x @outcomes, 'fault', 'points', @outcomes);
for my $name (sort keys %table) {
    my $sum = 0;

    $sum += $_ for values %{$table{$name}};
    diag(sprintf '%-20s %6d' . ' %9d' x @outcomes, $name, $sum,
        map { $table{$name}{$_} || 0 } @outcomes);
}
diag(sprintf 'points=%d violations=%d seconds=%.0f', $done || 0, $bad || 0,
    time() - $begin);
is $done, scalar @points, 'every point was run';
is $bad || 0, 0, 'nothing acknowledged was lost, doubled or changed';
done_testing();
