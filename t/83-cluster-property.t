# SPDX-License-Identifier: BSD-2-Clause
#
# The same spans in one server, behind a front with three storage nodes and
# behind a front of two fronts: whatever is asked, the answers are equal.
# Queries are drawn by chance, of what has one right answer: aggregates, and
# rows in an order without ties.  SPOOR_SEED repeats a run, CLUSTER_QUERIES
# says how many (300).

use strict;
use warnings;

use File::Temp qw(tempdir);
use JSON::PP ();
use Test::Cluster;
use Test::More;
use Test::Spoor;
use Test::Traces qw(uri);

my $seed = defined $ENV{SPOOR_SEED} ? $ENV{SPOOR_SEED} : time ^ $$;
my $count = $ENV{CLUSTER_QUERIES} || 300;
my $start = time - 1800;
my $canonical = JSON::PP->new->canonical;
my $service = '"resource_attr:service.name"';

srand $seed;
diag "SPOOR_SEED=$seed";

my $single = Test::Spoor->new(conf => { workers => 1 })->start;
my %cluster = map { $_ => Test::Cluster->new(stores => 3,
    levels => $_)->start } 1, 2;
my @asked = (['one server', $single], ['front and 3 nodes',
    $cluster{1}->front], ['two levels', $cluster{2}->front]);

# The third part of the spans comes when the others are in parts.
for my $part (1 .. 3) {
    load($_->[1], $part) for @asked;
    if ($part == 2) {
        $single->post('/internal/force_flush', '', undef, 60);
        $cluster{$_}->flush for 1, 2;
    }
}

my ($differences, $with_rows, $errors) = (0, 0, 0);
for my $n (1 .. $count) {
    my $text = query();
    my ($want, @got) = map { answer($_->[1], $text) } @asked;

    $with_rows++ if $want =~ /^\{/;
    $errors++ if $want !~ /^200/ && $want !~ /^\{/ && $want ne '';
    for my $i (0, 1) {
        next if $got[$i] eq $want;
        $differences++;
        diag "$asked[$i + 1][0]: $text\n--- one server\n"
            . substr($want, 0, 600) . "\n--- $asked[$i + 1][0]\n"
            . substr($got[$i], 0, 600) if $differences <= 5;
    }
}
diag "$count queries, each of three: $with_rows with rows, $errors with an "
    . "error, $differences differences";
is $differences, 0, 'all answers are equal';
cmp_ok $with_rows, '>', $count / 2, 'most have rows';
cmp_ok $errors, '<', $count / 10, 'few have errors';

for my $path ('/select/jaeger/api/services',
    '/select/jaeger/api/services/frontend/operations',
    '/select/jaeger/api/traces?service=frontend&limit=500&start='
    . ($start - 60) * 1_000_000, jaeger_ids()) {
    my ($want, @got) = map { sorted_json($_->[1]->get($path)->{body}) } @asked;
    my $short = substr $path, 0, 60;

    is $got[$_], $want, "$asked[$_ + 1][0]: $short" for 0, 1;
}

$cluster{$_}->stop for 1, 2;
$single->stop;
done_testing;

sub load {
    my ($server, $part) = @_;
    my $made = run_command([Test::Spoor::spoorctl_bin(), 'gen', '--quiet',
        '--traces', 80, '--seed', $part, '--batch', 10, '--spread', '9m',
        '--start', $start + 600 * ($part - 1), '--url', $server->url]);

    is $made->{status}, 0, "part $part was sent" or diag $made->{err};
    return;
}

# Lines in one order, where the query gives none; fields in one order, which
# is that of memtables or parts.
sub answer {
    my ($server, $text) = @_;
    my $reply = $server->get('/select/logsql/query?query=' . uri($text));
    my @lines = split /\n/, $reply->{body};

    return "$reply->{status} $reply->{body}" if $reply->{status} != 200;
    @lines = map { $canonical->encode($canonical->decode($_)) } @lines;
    @lines = sort @lines unless $text =~ /sort by \([^)]*\)[^|]*$/;
    return join "\n", @lines;
}

sub any { return $_[rand @_] }

sub some {
    my ($n, @of) = @_;
    my %picked;

    $picked{any(@of)} = 1 while keys %picked < $n;
    return join ', ', sort keys %picked;
}

sub filter {
    my ($depth) = @_;
    my $what = rand;

    if ($depth > 0 && $what < 0.35) {
        my ($a, $b) = (filter($depth - 1), filter($depth - 1));
        return any("($a) ($b)", "($a) or ($b)", "($a) !($b)");
    }
    return any('*', "$service:=frontend", "$service:~\"^(cart|pay)\"",
        "$service:in(cart, payment, checkout)", 'kind:=' . int(1 + rand 4),
        'status_code:=2', 'duration:>' . int(rand 50) . 'ms',
        'duration:range(1ms, ' . int(5 + rand 100) . 'ms]', 'name:"GET"*',
        'name:*', '*:error', '"span_attr:http.response.status_code":*',
        '"span_attr:http.response.status_code":>=400', 'parent_span_id:""',
        'name:len_range(5, 12)', '"event:0:event_name":*',
        '{"resource_attr:service.name"="cart"}',
        'trace_id:in(status_code:=2 | fields trace_id)',
        '_time:[' . ($start + int rand 900) . ', '
            . ($start + 900 + int rand 900) . ']');
}

sub function {
    my ($i) = @_;

    return any('count()', 'count(parent_span_id)', 'sum(duration)',
        'avg(duration)', 'min(duration)', 'max(duration)',
        'count_uniq(trace_id)', "count_uniq($service)",
        'quantile(' . any(0.1, 0.5, 0.9, 0.99) . ', duration)',
        'median(duration)', "uniq_values($service)", 'sum_len(name)',
        'min(_time)', 'max(name)', 'count() if (status_code:=2)',
        'rate()', 'histogram(duration)', 'count_empty(parent_span_id)')
        . " f$i";
}

sub stats {
    my $by = any('', "by ($service)", 'by (kind, status_code)', 'by (name)',
        'by (_time:' . any(qw(1m 5m 7m)) . ')', "by (_time:5m, $service)",
        'by (duration:10ms)', 'by (trace_id)');

    return "stats $by " . join(', ', map { function($_) } 1 .. 1 + rand 4);
}

my @ids = ('trace_id', 'span_id');

sub rows_pipe {
    return any('fields ' . some(3, 'name', 'kind', 'duration', $service,
            '_time', 'status_code') . ', trace_id, span_id',
        'format "<name>/<kind>" as f', 'math duration / 1000 as us',
        'copy name as n', 'rename name as n', 'delete _stream, _stream_id',
        'len(name) as l', 'filter ' . filter(0), 'extract "<m> " from name',
        'replace ("e", "E") at name');
}

sub query {
    my $text = filter(2);

    $text .= ' | ' . rows_pipe() for 1 .. rand 3;
    $text .= ' | ' . any(
        sub { stats() }, sub { stats() }, sub { stats() },
        sub { 'sort by (' . any('duration desc, ', '_time, ', 'name desc, ',
            '') . 'trace_id, span_id) ' . any('', 'offset 7 ') . 'limit '
            . int(1 + rand 40) },
        sub { 'fields trace_id, span_id, name' },
        sub { "uniq by ($service)" . any('', ' with hits') },
        sub { 'uniq by (name, kind) with hits' },
        sub { 'field_names' }, sub { "field_values $service" },
        sub { 'top 1000 by (name)' }, sub { 'top 1000 by (kind, status_code)' },
        sub { 'count()' },
        sub { "stats by ($service) count() n | filter n:>20 | "
            . 'sort by (n desc, "resource_attr:service.name") limit 3' },
        sub { 'sort by (trace_id, span_id) | running_stats by (trace_id) '
            . 'count() n, sum(duration) d | fields trace_id, span_id, n, d' },
        sub { 'join by (trace_id) (status_code:=2 | stats by (trace_id) '
            . 'count() bad) inner | stats by (bad) count() n' },
        sub { "union (kind:=3) | stats by ($service) count() n" })->();
    return $text;
}

sub jaeger_ids {
    my $body = $single->get('/select/jaeger/api/traces?service=frontend'
        . '&limit=5&start=' . ($start - 60) * 1_000_000)->{body};
    my %ids = map { $_ => 1 } $body =~ /"traceID":"([0-9a-f]{32})"/g;

    return map { "/select/jaeger/api/traces/$_" } (sort keys %ids)[0 .. 2];
}

# Whatever the order of keys and processes.
sub sorted_json {
    my ($text) = @_;
    my $data = JSON::PP::decode_json($text);
    my $json = JSON::PP->new->canonical;

    return $text unless ref $data->{data} eq 'ARRAY';
    for my $trace (grep { ref } @{$data->{data}}) {
        my $processes = delete $trace->{processes};
        $_->{process} = $processes->{delete $_->{processID}}
            for @{$trace->{spans}};
    }
    return $json->encode($data);
}
