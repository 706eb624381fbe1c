# SPDX-License-Identifier: BSD-2-Clause
#
# Queries of a front: every API answers as one server with all spans does, a
# trace on two nodes is shown once, fronts stand behind fronts; what is missing
# is an error that names the node, or a partial answer when that was asked for.

use strict;
use warnings;

use JSON::PP ();
use POSIX qw(strftime);
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my %quick = ('cluster.probe_interval' => '100ms',
    'cluster.connect_timeout' => '1s', 'cluster.select_idle_timeout' => '2s');

my $whole = Test::Spoor->new(conf => { workers => 1 })->start;
my @stores = map { Test::Spoor->new(conf => { workers => 1 })->start } 1 .. 3;
my @names = map { '127.0.0.1:' . $_->port } @stores;
my $front = Test::Spoor->new(conf => { workers => 2, %quick,
    storage_nodes => \@names })->start;
my $middle = Test::Spoor->new(conf => { workers => 1, %quick,
    storage_nodes => [@names[0, 1]] })->start;
my $top = Test::Spoor->new(conf => { workers => 1, %quick,
    storage_nodes => ['127.0.0.1:' . $middle->port, $names[2]] })->start;

# --- spans --------------------------------------------------------------------

my $begin = int(time()) - 600;
my @services = qw(shop cart pay mail);
my $nspan = 0;

sub at { return sprintf '%d%09d', $begin + $_[0], $_[1] || 0 }

sub span {
    my ($trace, $n, $parent, @more) = @_;
    my $start = $trace * 5 + $n;

    $nspan++;
    return otlp_span(traceId => sprintf('%032x', 0xabc000 + $trace),
        spanId => sprintf('%016x', $trace * 100 + $n + 1),
        ($parent ? (parentSpanId => sprintf '%016x', $trace * 100 + $parent)
            : ()),
        name => 'op-' . ($trace + $n) % 7, kind => 1 + $n % 5,
        startTimeUnixNano => at($start), endTimeUnixNano =>
            at($start, 1000 * ($trace % 11 + 1)),
        attributes => attributes('http.status' => { intValue =>
            200 + $trace % 3 }, 'user' => 'u' . $trace % 5),
        status => { code => $trace % 4 == 0 ? 2 : 0 }, @more);
}

sub trace_of {
    my ($trace) = @_;

    return (resource_spans($services[$trace % 4], span($trace, 0, 0),
            span($trace, 1, 1)),
        resource_spans($services[($trace + 1) % 4], span($trace, 2, 2)));
}

my $ntraces = 40;
my @placed;

for my $i (0 .. $ntraces - 1) {
    push @{$placed[$i % 3]}, trace_of($i);
}
for my $node (0 .. 2) {
    is post_traces($stores[$node], @{$placed[$node]})->{status}, 200,
        "spans for node $node";
    is post_traces($whole, @{$placed[$node]})->{status}, 200, 'and for all';
}

# A trace that came in while a node was away: a span of it is on both.
my @double = (resource_spans('shop', span(100, 0, 0), span(100, 1, 1)),
    resource_spans('cart', span(100, 2, 2)));
post_traces($stores[0], $double[0]);
post_traces($stores[2], @double);
post_traces($whole, @double);
post_traces($stores[1], resource_spans('other', span(101, 0, 0)),
    [AccountID => 7, ProjectID => 9]);
post_traces($whole, resource_spans('other', span(101, 0, 0)),
    [AccountID => 7, ProjectID => 9]);

# --- the same answers ----------------------------------------------------------

sub answer {
    my ($spoor, $path, $is_lines) = @_;
    my $reply = $spoor->get($path);
    my $body = $reply->{body};

    $body = join '', sort map { "$_\n" } split /\n/, $body if $is_lines;
    return "$reply->{status} $body" if $is_lines || $body !~ /^[\[{]/;
    $body = $json->decode($body);
    # Groups of stats come in no order.
    $body->{data}{result} = [sort { $json->encode($a) cmp $json->encode($b) }
        @{$body->{data}{result}}] if ref $body eq 'HASH' &&
        ref $body->{data} eq 'HASH' && $body->{data}{result};
    return "$reply->{status} " . $json->encode($body);
}

sub same {
    my ($path, $name, $is_lines) = @_;
    my $want = answer($whole, $path, $is_lines);

    $name ||= $path;
    unlike $want, qr/^[45]/, "$name: one server answers";
    for my $to (['front', $front], ['two levels', $top]) {
        my $got = answer($to->[1], $path, $is_lines);
        ok $got eq $want, "$name: $to->[0]"
            or diag "want " . substr($want, 0, 1500) . "\ngot "
                . substr $got, 0, 1500;
    }
}

sub logsql {
    my ($query, %arg) = @_;
    my $what = delete $arg{what} || 'query';

    $arg{query} = $query;
    return "/select/logsql/$what?" . join '&',
        map { "$_=" . uri($arg{$_}) } sort keys %arg;
}

# Without the trace that is on two nodes: rows are not told apart.
my %range = (start => $begin - 10, end => $begin + 490);

same(logsql($_, %range), $_, 1) for '*', 'name:"op-3"',
    '"resource_attr:service.name":shop | fields name, duration',
    '* | sort by (_time desc) limit 7 | fields _time, trace_id, span_id',
    '* | sort by (duration, span_id) limit 5 | fields duration, span_id',
    '* | count()', '* | stats by (name) count() n, sum(duration) s, '
        . 'quantile(0.5, duration) q, uniq_values(kind) k | sort by (name)',
    '* | stats count_uniq(trace_id) n, min(duration) a, max(duration) b',
    '* | uniq by (name) with hits | sort by (name)',
    '* | top 3 by (span_attr:user)', '* | field_names | sort by (name)',
    '* | format "<name>-<kind>" as x | fields x | uniq by (x)',
    'name:in(name:"op-3" | fields name) | fields span_id',
    'trace_id:in(* | stats by (trace_id) max(duration) d | '
        . 'sort by (d desc, trace_id) limit 3 | fields trace_id) '
        . '| fields trace_id, span_id',
    '* | stats by (name) count() n | join by (name) '
        . '(kind:1 | stats by (name) count() m) | sort by (name)',
    '_time:1h | stats count() n', '* | limit 0',
    'nothing:here', '* | stats by (_time:1m) count() n | sort by (_time)';
is scalar(split /\n/, $_->get(logsql('* | fields span_id', %range,
    limit => 5))->{body}), 5, 'limit' for $front, $top;
same(logsql('*', %range, limit => 5), 'newest rows', 1);
same(logsql('*', %range, what => $_), $_) for 'field_names',
    'streams', 'stream_ids', 'stream_field_names';
same(logsql('*', %range, what => 'hits', step => '1m'), 'hits');
same(logsql('*', %range, what => 'hits', step => '1m', field => 'name'),
    'hits by name');
same(logsql('*', %range, what => 'facets'), 'facets');
same(logsql('*', %range, what => 'field_values', field => 'name'),
    'field_values');
same(logsql('*', %range, what => 'stream_field_values', field => 'name'),
    'stream_field_values');
same(logsql('_time:<' . strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $begin + 490)
    . ' | stats by (name) count() n',
    what => 'stats_query', time => $begin + 590), 'stats_query');
same(logsql('* | stats by (name) count() n', what => 'stats_query_range',
    %range, step => '2m'), 'stats_query_range');
same('/select/tenant_ids', 'tenant_ids');
same('/select/jaeger/api/services', 'services');
same('/select/jaeger/api/services/shop/operations', 'operations');
same('/select/jaeger/api/dependencies?endTs=' . ($begin + 900) * 1000,
    'dependencies');
same('/select/jaeger/api/traces?service=shop&limit=5', 'newest traces');
same('/select/jaeger/api/traces?service=shop&limit=100', 'all traces');
same('/select/jaeger/api/traces?service=pay&operation=op-2', 'by operation');
same('/select/jaeger/api/traces?service=shop&tags='
    . uri('{"user":"u3"}'), 'by a tag');
same(sprintf('/select/jaeger/api/traces/%032x', 0xabc000 + $_), "trace $_")
    for 0, 1, 2, 100;
same(sprintf('/select/jaeger/api/traces?traceID=%032x&traceID=%032x'
    . '&traceID=deadbeef', 0xabc001, 0xabc064), 'several traces');
is_stored_once($front, sprintf('%032x', 0xabc064), 3,
    'a trace on two nodes is shown once');
is $front->get("/select/jaeger/api/traces/deadbeef")->{status}, 404,
    'no such trace';

sub export_of {
    my ($spoor, $format) = @_;
    my $body = $spoor->get('/select/otlp/export?query=' . uri('name:"op-3"')
        . "&format=$format&start=$range{start}&end=$range{end}")->{body};
    my %spans;

    return length $body unless $format eq 'json';
    for my $request (map { $json->decode($_) } split /\n/, $body) {
        for my $resource (@{$request->{resourceSpans}}) {
            for my $scope (@{$resource->{scopeSpans}}) {
                $spans{$_->{spanId}} = $json->encode([$resource->{resource},
                    $_]) for @{$scope->{spans}};
            }
        }
    }
    return join "\n", map { "$_ $spans{$_}" } sort keys %spans;
}

is export_of($_->[1], 'json'), export_of($whole, 'json'),
    "export: $_->[0]" for ['front', $front], ['two levels', $top];
cmp_ok export_of($front, 'proto'), '>', 100, 'export: protobuf';

done_testing;
