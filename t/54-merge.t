# SPDX-License-Identifier: BSD-2-Clause
#
# Parts are merged by themselves and on request while queries run: every
# trace stays as it is, copies in several parts become one, and a merge that
# is cut short anywhere leaves nothing behind.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $traces = 12;
my @points = qw(merge.after_write merge.after_rename merge.after_replace
    merge.before_flip merge.after_flip merge.between_unlinks);

my %stored; # trace id => { span id => 1 }
my $rows = 0;
my $serial = 0;

sub files {
    my ($spoor, $end) = @_;
    my @files = glob $spoor->data_dir . "/partitions/*/*.$end";

    return @files;
}

sub small { return $_[0]->metric('vt_storage_parts{type="storage/small"}') }
sub big { return $_[0]->metric('vt_storage_parts{type="storage/big"}') }
sub merges { return $_[0]->metric('vt_merges_total') }

sub count_rows {
    my ($spoor) = @_;
    my $reply = $spoor->get('/select/logsql/query?query='
        . uri('* | stats count() n'));

    return $reply->{body} =~ /"n":"(\d+)"/ ? $1 : -1;
}

# Two new spans of each trace and a copy of an older one, as one part.
sub store_part {
    my ($spoor) = @_;
    my @spans;

    for my $id (sort keys %stored) {
        my ($old) = sort keys %{$stored{$id}};
        for (1 .. 2) {
            my $span = otlp_span(traceId => $id, name => "part $serial",
                spanId => sprintf('%08x%08x', ++$serial, $$),
                attributes => attributes(serial => $serial));
            push @spans, $span;
            $stored{$id}{$span->{spanId}} = $span;
        }
        push @spans, $stored{$id}{$old} if $old;
    }
    $rows += @spans;
    my $reply = post_traces($spoor, resource_spans('merge', @spans));
    return $reply->{status} == 200 && flush($spoor);
}

sub store_parts {
    my ($spoor, $n) = @_;
    my $stored = grep { store_part($spoor) } 1 .. $n;

    is $stored, $n, "$n parts are stored";
}

sub wrong_traces {
    my ($spoor) = @_;

    return grep {
        my $trace = jaeger_trace($spoor, $_);
        my %seen;

        $seen{$_->{spanID}}++ for @{$trace ? $trace->{spans} : []};
        join(' ', map { "$_ $seen{$_}" } sort keys %seen) ne
            join(' ', map { "$_ 1" } sort keys %{$stored{$_}});
    } sort keys %stored;
}

sub unique_rows {
    my $n = 0;

    $n += keys %{$stored{$_}} for keys %stored;
    return $n;
}

sub all_there {
    my ($spoor, $name) = @_;

    is_deeply [wrong_traces($spoor)], [], "$name: every trace is whole";
}

# Asks for all traces and the count until it is told to stop.
sub ask_all_the_time {
    my ($spoor, $low, $high) = @_;
    my $pid = fork();

    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    my ($wrong, $rounds, $stop) = (0, 0, 0);
    local $SIG{TERM} = sub { $stop = 1 };
    while (!$stop) {
        my @wrong = wrong_traces($spoor);
        my $n = count_rows($spoor);
        $wrong += @wrong;
        $wrong++ if $n < $low || $n > $high;
        diag("asked: @wrong, count $n ($low to $high)")
            if @wrong || $n < $low || $n > $high;
        $rounds++;
    }
    POSIX::_exit($wrong ? 1 : $rounds ? 0 : 2);
}

sub end_asking {
    my ($pid, $name) = @_;

    kill 'TERM', $pid;
    waitpid $pid, 0;
    is $?, 0, "$name: what was asked in between was right";
}

sub force_merge {
    my ($spoor, $query) = @_;

    return $spoor->post('/internal/force_merge' . ($query || ''), '')
        ->{status};
}

sub is_idle {
    my ($spoor) = @_;

    return $spoor->metric('vt_active_force_merges') == 0
        && $spoor->metric('vt_active_merges') == 0
        && $spoor->metric('spoor_retired_files') == 0;
}

sub check_stopped {
    my ($spoor, $name) = @_;

    is $spoor->stop, 0, "$name: an orderly stop";
    my $out = run_command([spoorctl_bin(), 'check', '--deep',
        $spoor->data_dir]);
    is $out->{status}, 0, "$name: spoorctl check --deep"
        or diag $out->{out} . $out->{err};
    unlike $out->{out}, qr/^note:/m, "$name: no leftovers"
        or diag $out->{out};
    return $out->{out} =~ /parts, (\d+) spans/ ? $1 : -1;
}

$stored{otlp_span()->{traceId}} = {} for 1 .. $traces;

# --- by itself ---------------------------------------------------------------

my $spoor = Test::Spoor->new(conf => { workers => 1 });
my $faults = $spoor->dir . '/faults';
$spoor->{env}{SPOOR_FAULT_FILE} = $faults;

sub arm {
    my ($text) = @_;

    open my $out, '>', "$faults.tmp" or die "$faults.tmp: $!";
    print $out $text;
    close $out;
    rename "$faults.tmp", $faults or die "$faults: $!";
    sleep 0.02;
}

arm('');
$spoor->start;
store_parts($spoor, 10);
is small($spoor), 10, 'ten parts wait';
is count_rows($spoor), $rows, 'copies in different parts count twice';
all_there($spoor, 'before');
store_parts($spoor, 5);
my $asking = ask_all_the_time($spoor, unique_rows(), $rows + 3 * $traces);
ok store_part_unseen(), 'the sixteenth';
ok wait_for(sub { small($spoor) == 0 }, 40), 'sixteen are merged';
is big($spoor), 1, 'into one';
ok wait_for(sub { is_idle($spoor) }, 40), 'files are removed';
end_asking($asking, 'merge');
is scalar files($spoor, 'l1'), 0, 'no level-1 file is left';
is scalar files($spoor, 'l2'), 1, 'one level-2 file';
all_there($spoor, 'merged');
is count_rows($spoor), unique_rows(), 'copies are one row now';
is $spoor->metric('spoor_merge_duplicate_rows_total'),
    $rows - unique_rows(), 'and were counted';
is $spoor->metric('vt_rows_merged_total'), $rows, 'rows merged';
like $spoor->log, qr/merged 16 parts of \d{8}: $rows rows in/, 'logged';

# The asking child does not know the new spans: only copies of old ones.
sub store_part_unseen {
    my @spans = map { my $spans = $stored{$_};
        my ($old) = sort keys %$spans; $spans->{$old} } sort keys %stored;

    $rows += @spans;
    return post_traces($spoor, resource_spans('merge', @spans))->{status}
        == 200 && flush($spoor);
}

# --- on request --------------------------------------------------------------

my ($day) = map { m{/(\d{8})/} } files($spoor, 'l2');
store_parts($spoor, 3);
is small($spoor), 3, 'three more parts wait';
is force_merge($spoor, '?partition_prefix=199901'), 200, 'another month';
ok wait_for(sub { is_idle($spoor) }, 40), 'is done at once';
is small($spoor), 3, 'nothing was merged';
is force_merge($spoor, '?partition_prefix=' . substr $day, 0, 6), 200,
    'this month';
ok wait_for(sub { small($spoor) == 0 && big($spoor) == 1 && is_idle($spoor)
    }, 40), 'all parts are one';
is scalar files($spoor, 'l?'), 1, 'one file';
all_there($spoor, 'forced');
is count_rows($spoor), unique_rows(), 'forced: every row once';
is force_merge($spoor, "?partition_prefix=$_"), 400, "no prefix: $_"
    for 'x', '202611210', '-1', '2026%0a';
my $status = 200;
$status = force_merge($spoor) for 1 .. 40;
ok $status == 200 || $status == 503, "many requests: $status";
ok wait_for(sub { is_idle($spoor) }, 40), 'are served';
is big($spoor), 1, 'a single part stays';

# --- a day with one part of level 1 --------------------------------------------

{
    my $lone = Test::Spoor->new(conf => { workers => 1 });

    $lone->start;
    post_traces($lone, resource_spans('lone', otlp_span()));
    ok flush($lone), 'a flush';
    is small($lone), 1, 'one part waits';
    is force_merge($lone), 200, 'and is merged when asked for';
    ok wait_for(sub { small($lone) == 0 && big($lone) == 1 && is_idle($lone)
        }, 40), 'alone';
    is force_merge($lone), 200, 'once more';
    ok wait_for(sub { is_idle($lone) }, 40), 'has nothing to do';
    is $lone->metric('vt_merges_total'), 1, 'one merge';
    $lone->stop;
}

# --- the merge process dies ---------------------------------------------------

for my $point (@points) {
    my ($merge) = @{$spoor->pids->{merge}};
    store_parts($spoor, 3);
    arm("$point:kill:1");
    is force_merge($spoor), 200, "$point: a merge begins";
    ok wait_for(sub { !kill 0, $merge }, 40), "$point: its process dies";
    arm('');
    my $asking = ask_all_the_time($spoor, unique_rows(), $rows);
    ok wait_for(sub { small($spoor) == 0 && big($spoor) == 1 &&
        is_idle($spoor) }, 40), "$point: its successor finishes";
    end_asking($asking, $point);
    is scalar files($spoor, '*'), 1, "$point: one file"
        or diag join ' ', files($spoor, '*');
    all_there($spoor, $point);
    is count_rows($spoor), unique_rows(), "$point: every row once";
}
is check_stopped($spoor, 'after deaths'), unique_rows(), 'rows on disk';

# --- all processes die --------------------------------------------------------

my $copies = 0;
for my $point (@points) {
    $spoor->start;
    $copies += 3 * $traces;
    store_parts($spoor, 3);
    arm("$point:stop:1");
    is force_merge($spoor), 200, "$point: a merge begins";
    my ($merge) = @{$spoor->pids->{merge}};
    ok wait_for(sub { state_of($merge) eq 'T' }, 40), "$point: it stops there";
    all_there($spoor, "$point, in the middle");
    $spoor->kill_all;
    arm('');
    $spoor->start;
    all_there($spoor, "$point, new start");
    my $n = count_rows($spoor);
    ok $n >= unique_rows() && $n <= unique_rows() + $copies,
        "$point: rows are there";
    is check_stopped($spoor, $point), $n, "$point: rows on disk";
}

sub state_of {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/stat" or return '';
    return (split ' ', (<$in> =~ /\) (.*)/)[0])[0];
}

# --- an orderly stop in the middle ---------------------------------------------

$spoor->start;
store_parts($spoor, 3);
arm('merge.after_write:sleep=1500');
is force_merge($spoor), 200, 'a slow merge';
ok wait_for(sub { $spoor->metric('vt_active_merges') == 1 }, 40), 'runs';
check_stopped($spoor, 'stop in a merge');
arm('');
$spoor->start;
is force_merge($spoor), 200, 'merge the rest';
ok wait_for(sub { small($spoor) == 0 && big($spoor) == 1 }, 40), 'one part';
all_there($spoor, 'at the end');

# --- a worker's recovery meanwhile ----------------------------------------------

# It has read the manifests when what they list is merged.
store_parts($spoor, 3);
my ($worker) = @{$spoor->pids->{worker}};
my $recoveries = $spoor->metric('spoor_recoveries_total');
arm('recover.after_look:sleep=4000');
kill 'KILL', $worker;
ok wait_for(sub { $spoor->get('/health')->{status} == 200 }, 40),
    'another worker';
is force_merge($spoor), 200, 'a merge while a log is recovered';
ok wait_for(sub { small($spoor) == 0 && big($spoor) == 1 }, 40), 'is done';
is $spoor->metric('spoor_recoveries_total'), $recoveries,
    'before the recovery is';
ok wait_for(sub { $spoor->metric('spoor_recoveries_total') > $recoveries },
    40), 'then that is';
arm('');
is count_rows($spoor), unique_rows(), 'every row once';
is small($spoor), 0, 'what was merged does not come back';
all_there($spoor, 'recovered');

# --- errors ----------------------------------------------------------------------

# What fails, and what the log says; the merge is done soon after.
for my $case (
    ['sys.statvfs@merge:ENOSPC:1-1', undef],
    ['file.free@merge:ENOSPC:1-1', qr/merge put off/],
    ['sys.pwritev@merge:EIO:2-2', qr/merge of \d+ parts of \d+ failed/],
    ['sys.pwritev@merge:ENOSPC:2-2', qr/merge put off/],
    ['sys.rename@merge:EIO:1-1', qr/merge of \d+ parts of \d+ failed/],
    # The third sync of a merge is that of the manifest.
    (map { ["sys.$_\@merge:EIO:1-1", undef] } qw(fdatasync fsync unlink)),
    ['sys.fdatasync@merge:EIO:2-2', qr/not in the manifest yet/],
    ['sys.pwritev@merge:short:1-9', undef],
) {
    my ($fault, $says) = @$case;
    my $from = length $spoor->log;
    store_parts($spoor, 2);
    arm($fault);
    is force_merge($spoor), 200, "$fault: a merge begins";
    ok wait_for(sub { small($spoor) == 0 && big($spoor) == 1 &&
        is_idle($spoor) }, 40), "$fault: it is done in the end";
    arm('');
    like substr($spoor->log, $from), $says, "$fault: logged" if $says;
    all_there($spoor, $fault);
    is count_rows($spoor), unique_rows(), "$fault: every row once";
}
# What could not be removed stays until a start.
is $spoor->stop, 0, 'stopped after errors';
$spoor->start;
check_stopped($spoor, 'after errors');
$spoor->start;

# The successor of one that dies cannot read the manifest at first.
store_parts($spoor, 2);
my ($merge) = @{$spoor->pids->{merge}};
my $from = length $spoor->log;
arm('merge.before_flip:stop:1');
is force_merge($spoor), 200, 'a merge begins';
ok wait_for(sub { state_of($merge) eq 'T' }, 40), 'it stops half-way';
arm('sys.open@merge:EIO:1-3');
kill 'KILL', $merge;
ok wait_for(sub { small($spoor) == 0 && big($spoor) == 1 &&
    is_idle($spoor) }, 40), 'it is cleared up in the end';
arm('');
like substr($spoor->log, $from), qr/not cleared up yet/, 'not at once';
all_there($spoor, 'cleared up late');

# --- a damaged input ------------------------------------------------------------

# Bytes in the middle of the newest part, where its rows are; a single one may
# be of the padding.
sub damage_newest {
    my ($spoor) = @_;
    my ($file) = reverse sort(files($spoor, 'l1'));
    my $at = int((-s $file) / 3);

    open my $io, '+<:raw', $file or die "$file: $!\n";
    seek $io, $at, 0;
    read $io, my $bytes, 400;
    seek $io, $at, 0;
    print $io $bytes ^ ("\x55" x length $bytes);
    close $io;
    return $file;
}

my %before = map { $_ => { %{$stored{$_}} } } keys %stored;
store_parts($spoor, 1);
my $damaged = damage_newest($spoor);
%stored = %before;
store_parts($spoor, 3);
is force_merge($spoor), 200, 'one of five parts is damaged';
ok wait_for(sub { $spoor->metric('spoor_parts_bad') == 1 && is_idle($spoor)
    && big($spoor) == 1 }, 40), 'it is set aside, the others are merged';
is small($spoor), 1, 'two parts';
like $spoor->log, qr/damaged part is left out.*\Q$damaged\E/,
    'the log names the file';
all_there($spoor, 'beside the damaged part');
is $spoor->stop, 0, 'stopped';
$spoor->start;
is $spoor->metric('spoor_parts_bad'), 1, 'it is known after a restart';
all_there($spoor, 'after a restart');
is force_merge($spoor), 200, 'merge again';
ok wait_for(sub { is_idle($spoor) }, 40), 'nothing to do';
is big($spoor), 1, 'no merge takes it';

sub restarts {
    return $_[0]->metric('spoor_worker_restarts_total{role="merge"}');
}

# --- an input that kills ----------------------------------------------------------

store_parts($spoor, 6);
arm(join ',', map { "merge.after_write:kill:$_" } 1 .. 12);
my $deaths = -restarts($spoor);
is force_merge($spoor), 200, 'merges that die';
wait_for(sub { $spoor->metric('spoor_parts_unmerged') > 0 }, 40);
$deaths += restarts($spoor);
arm('');
diag("the merge process died $deaths times");
cmp_ok $deaths, '>=', 6, 'more than once or twice';
cmp_ok $spoor->metric('spoor_parts_unmerged'), '>=', 1,
    'then some parts are left alone';
cmp_ok $spoor->metric('spoor_parts_unmerged'), '<=', 4,
    'not all of them';
ok wait_for(sub { is_idle($spoor) }, 40), 'the others are merged';
all_there($spoor, 'with parts that are left alone');
is $spoor->stop, 0, 'stopped';
$spoor->start;
is $spoor->metric('spoor_parts_unmerged'), 0, 'a new start tries again';
is force_merge($spoor), 200, 'forced';
ok wait_for(sub { small($spoor) == 1 && big($spoor) == 1 &&
    is_idle($spoor) }, 40), 'only the damaged one is left';
all_there($spoor, 'at last');

done_testing;
