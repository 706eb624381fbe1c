# SPDX-License-Identifier: BSD-2-Clause
#
# Queries while clients write, memtables are flushed, parts are merged and the
# merge process is killed: each count lies between what was answered before
# the query began and what was sent before it ended, counts do not fall, and
# each trace that was answered is whole, with its own content, each span once.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $writers = 2;
my $spans = 5;           # of a request, which is a trace
my $seconds = $ENV{CONCURRENT_SECONDS} || 8;

my $spoor = Test::Spoor->new(conf => { workers => 2 });
my $dir = $spoor->dir;

# A byte of a file for each request: its size is the number.
sub tally {
    my ($name) = @_;

    open my $out, '>>', "$dir/$name" or die "$name: $!";
    syswrite $out, '.';
    close $out;
}

sub tallied {
    my ($name) = @_;
    my $sum = 0;

    $sum += -s "$dir/$name.$_" || 0 for 1 .. $writers;
    return $sum;
}

sub child {
    my ($code) = @_;
    my $pid = fork();

    die "fork: $!" unless defined $pid;
    return $pid if $pid;
    my $wrong = eval { $code->(time() + $seconds) };
    diag($@) if $@;
    POSIX::_exit(defined $wrong && !$wrong ? 0 : 1);
}

sub trace_id { return sprintf '%08x%024x', $_[0], 1 + $_[1] }

# Every third trace ended a day ago.
sub request_spans {
    my ($writer, $i) = @_;
    my $end = time() - ($i % 3 == 2 ? 86400 : 0);

    return map { otlp_span(traceId => trace_id($writer, $i),
        spanId => sprintf('%08x%08x', 1 + $i, $_),
        name => "work $writer $i $_",
        startTimeUnixNano => sprintf('%.0f', $end * 1e6) . '000',
        endTimeUnixNano => sprintf('%.0f', $end * 1e6 + $_) . '000') }
        1 .. $spans;
}

sub writer {
    my ($writer, $end) = @_;
    my $i = 0;

    while (time() < $end) {
        my @spans = request_spans($writer, $i++);
        tally("sent.$writer");
        my $reply = post_traces($spoor, resource_spans("w$writer", @spans));
        die "writer $writer: $reply->{status}" if $reply->{status} != 200;
        tally("acked.$writer");
    }
    return 0;
}

# The count of a query: { n => number } or undef.
sub ask_count {
    my ($query) = @_;
    my $reply = $spoor->get('/select/logsql/query?query=' . uri($query));

    return unless $reply->{status} == 200 &&
        !$reply->{headers}{'spoor-partial'};
    my $sum = 0;
    $sum += $1 while $reply->{body} =~ /"n":"(\d+)"/g;
    return $sum;
}

sub counter {
    my ($query, $each, $end) = @_;
    my ($wrong, $last, $rounds) = (0, 0, 0);

    while (time() < $end) {
        my $low = tallied('acked') * $each;
        my $n = ask_count($query);
        my $high = tallied('sent') * $each;
        $rounds++;
        next if defined $n && $n >= $low && $n <= $high && $n >= $last
            && ($last = $n);
        next if defined $n && $n == 0 && $low == 0 && $last == 0;
        $wrong++;
        diag(sprintf '%s: %s, not %d to %d, before %d', $query,
            defined $n ? $n : 'no answer', $low, $high, $last)
            if $wrong < 5;
    }
    tally("rounds.1") for 1 .. $rounds;
    return $wrong;
}

# What is wrong with a trace that was answered; undef: nothing.
sub trace_fault {
    my ($writer, $i) = @_;
    my $trace = jaeger_trace($spoor, trace_id($writer, $i));
    my %seen;

    return 'is missing' unless $trace;
    for my $span (@{$trace->{spans}}) {
        my $k = hex substr $span->{spanID}, 8;
        return "shows span $k twice" if $seen{$k}++;
        return "has $span->{operationName} as span $k"
            if $span->{operationName} ne "work $writer $i $k";
    }
    return 'has ' . keys(%seen) . ' spans' if keys %seen != $spans;
    return;
}

sub trace_reader {
    my ($end) = @_;
    my ($wrong, $rounds) = (0, 0);

    while (time() < $end) {
        my $writer = 1 + int rand $writers;
        my $n = -s "$dir/acked.$writer" || 0;
        if ($n == 0) {
            sleep 0.01;
            next;
        }
        # The newest and any.
        for my $i ($n - 1, int rand $n) {
            my $fault = trace_fault($writer, $i);
            $rounds++;
            next unless $fault;
            $wrong++;
            diag("trace $i of writer $writer $fault") if $wrong < 5;
        }
    }
    tally('traces.1') for 1 .. $rounds;
    return $wrong;
}

# Flushes and merges all the time, and kills the merge process.
sub mover {
    my ($end) = @_;
    my $round = 0;

    while (time() < $end) {
        $spoor->post('/internal/force_flush', '');
        $spoor->post('/internal/force_merge', '') if ++$round % 4 == 0;
        kill 'KILL', @{$spoor->pids->{merge} || []} if $round % 15 == 0;
        sleep 0.03;
    }
    tally('flushes.1') for 1 .. $round;
    return 0;
}

$spoor->start;
my @children = (
    (map { my $writer = $_; child(sub { writer($writer, @_) }) }
        1 .. $writers),
    child(sub { counter('* | stats count() as n', $spans, @_) }),
    child(sub { counter('* | stats by (name) count() as n', $spans, @_) }),
    child(sub { counter('* | stats count_uniq(trace_id) as n', 1, @_) }),
    child(\&trace_reader),
    child(\&mover),
);
my @names = ('a writer', 'another', 'counts are right',
    'counts by name are right', 'counts of traces are right',
    'traces are right', 'flushes and merges');
for my $i (0 .. $#children) {
    waitpid $children[$i], 0;
    is $?, 0, $names[$i];
}
my $acked = tallied('acked');
is ask_count('* | stats count() as n'), $acked * $spans,
    'in the end every row is there, once';
is ask_count('* | stats count_uniq(trace_id) as n'), $acked,
    'and every trace';
my %tallied = map { $_ => -s "$dir/$_.1" || 0 } qw(rounds traces flushes);
diag(sprintf '%d requests, %d counts, %d traces, %d flushes, %d merges',
    $acked, @tallied{qw(rounds traces flushes)},
    $spoor->metric('vt_merges_total') || 0);
cmp_ok $tallied{rounds}, '>', 20, 'counts were asked';
cmp_ok $tallied{traces}, '>', 20, 'traces, too';
done_testing();
