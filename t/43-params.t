# SPDX-License-Identifier: BSD-2-Clause
#
# What a request may ask for its spans (VT-* headers and query arguments):
# each by header and by argument, errors, the same result from memory, from
# parts and after a replay, and what makes two requests the same.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $spoor = Test::Spoor->new(conf => { workers => 2 });
$spoor->start;

sub dropped {
    return $spoor->metric("vt_rows_dropped_total{reason=\"$_[0]\"}") || 0;
}
sub rows { return $spoor->metric('vt_rows_ingested_total') || 0 }
sub duplicates {
    return $spoor->metric('spoor_ingest_duplicate_requests_total') || 0;
}

# A request with one span that has something of everything.
sub body {
    my ($span) = @_;

    $span->{scope} ||= { name => 'lib', version => '1',
        attributes => attributes(flavour => 'x') };
    $span->{attributes} ||= attributes('secret' => 'hush',
        'http.path' => '/cart', 'http.code' => { intValue => '200' },
        'text' => "\e[31mred\e[0m",
        'map' => { kvlistValue => { values => attributes(
            'secret' => 'psst', 'open' => "\e[1mbold") } });
    $span->{events} ||= [
        { timeUnixNano => otlp_now(), name => 'first',
            attributes => attributes(a => 1, b => 2) },
        { timeUnixNano => otlp_now(), name => 'second' } ];
    $span->{status} ||= { code => 2, message => 'broken' };
    return traces_json(resource_spans(
        ['service.name' => 'shop', 'host' => 'h1'], $span));
}

# post(span, arguments, headers): the reply.
sub post {
    my ($span, $args, $headers) = @_;
    my $query = join '&', map { uri($_) . '=' . uri($args->{$_}) }
        sort keys %{$args || {}};

    return $spoor->post('/v1/traces' . (length $query ? "?$query" : ''),
        body($span), { otlp_type('json'), %{$headers || {}} });
}

# Everything of the only span of a trace that parameters can change.
sub shown {
    my ($id) = @_;
    my $trace = jaeger_trace($spoor, $id) or return 'nothing';
    my $span = $trace->{spans}[0];
    my $process = $trace->{processes}{$span->{processID}};
    my %all = map { $_ => tags($span->{tags})->{$_}[1] }
        keys %{tags($span->{tags})};

    delete @all{'span.kind', 'otel.status_code', 'error'};
    $all{$_} = tags($process->{tags})->{$_}[1]
        for map { $_->{key} } @{$process->{tags}};
    $all{service} = $process->{serviceName};
    $all{operation} = $span->{operationName};
    $all{events} = [map { my $log = tags($_->{fields});
        +{ map { $_ => $log->{$_}[1] } keys %$log } } @{$span->{logs}}];
    return \%all;
}

my %plain = ('secret' => 'hush', 'http.path' => '/cart', 'http.code' => 200,
    'text' => "\e[31mred\e[0m", 'map.secret' => 'psst',
    'map.open' => "\e[1mbold", 'otel.scope.name' => 'lib',
    'otel.scope.version' => '1', 'scope_attr:flavour' => 'x',
    'otel.status_description' => 'broken', 'host' => 'h1',
    'service' => 'shop', 'operation' => 'span',
    'events' => [{ event => 'first', a => '1', b => '2' },
        { event => 'second' }]);

# changed(name => value, ...): undef takes it out.
sub changed {
    my %change = @_;
    my %all = (%plain, %change);

    delete @all{grep { !defined $all{$_} } keys %all};
    return \%all;
}

# [argument, header, value, what is then shown]
my @cases = (
    ['ignore_fields', 'VT-Ignore-Fields', 'span_attr:secret',
        changed('secret' => undef)],
    ['ignore_fields', 'VT-Ignore-Fields', 'span_attr:map.secret, scope_name',
        changed('map.secret' => undef, 'otel.scope.name' => undef)],
    ['ignore_fields', 'VT-Ignore-Fields', 'span_attr:http.*,resource_attr:h*',
        changed('http.path' => undef, 'http.code' => undef,
            'host' => undef)],
    ['ignore_fields', 'VT-Ignore-Fields', 'event:*,scope_attr:flavour',
        changed('events' => [], 'scope_attr:flavour' => undef)],
    ['ignore_fields', 'VT-Ignore-Fields',
        'event:0:event_attr:a,event:event_attr:b:0,event:1:event_name',
        changed('events' => [{ event => 'first' }, {}])],
    ['ignore_fields', 'VT-Ignore-Fields', 'name,status_message,trace_id',
        changed('operation' => '', 'otel.status_description' => undef)],
    ['decolorize_fields', 'VT-Decolorize-Fields', 'span_attr:text',
        changed('text' => 'red')],
    ['decolorize_fields', 'VT-Decolorize-Fields', 'span_attr:*',
        changed('text' => 'red', 'map.open' => 'bold')],
    ['extra_fields', 'VT-Extra-Fields', 'env=prod,zone=a=b',
        changed('env' => 'prod', 'zone' => 'a=b')],
    ['extra_fields', 'VT-Extra-Fields',
        'resource_attr:service.name=other,span_attr:secret=none,name=new',
        changed('service' => 'other', 'secret' => 'none',
            'operation' => 'new')],
    ['extra_fields', 'VT-Extra-Fields',
        'scope_attr:flavour=y,scope_version=2,resource_attr:team=red',
        changed('scope_attr:flavour' => 'y', 'otel.scope.version' => '2',
            'team' => 'red')],
    ['_stream_fields', 'VT-Stream-Fields', 'resource_attr:host,kind',
        \%plain],
    ['_time_field', 'VT-Time-Field', 'whatever', \%plain],
    ['_msg_field', 'VT-Msg-Field', 'whatever', \%plain],
);

# --- each argument and header, in all states ---------------------------------

my @stored;
for my $case (@cases) {
    my ($arg, $header, $value, $want) = @$case;

    for my $way ("?$arg", $header) {
        my $span = otlp_span();
        my $reply = $way eq $header ? post($span, {}, { $header => $value })
            : post($span, { $arg => $value });

        is $reply->{status}, 200, "$way: $value";
        push @stored, [$span->{traceId}, $want, "$way: $value"];
    }
}
in_all_states($spoor, sub {
    my ($where) = @_;

    for my $stored (@stored) {
        my ($id, $want, $name) = @$stored;

        is json_text(shown($id)), json_text($want), "$where: $name";
    }
});
is $spoor->metric('spoor_quarantined_records_total') || 0, 0,
    'nothing is in quarantine';

# Straight from the log, without ever having been a part.
@stored = ();
for my $case (@cases) {
    my ($arg, undef, $value, $want) = @$case;
    my $span = otlp_span();

    is post($span, { $arg => $value })->{status}, 200, "$arg: $value";
    push @stored, [$span->{traceId}, $want, $value];
}
$spoor->kill_all;
$spoor->start;
for my $stored (@stored) {
    is json_text(shown($stored->[0])), json_text($stored->[1]),
        "replayed: $stored->[2]";
}

# --- several at a time, precedence -------------------------------------------

my $span = otlp_span();
is post($span, { ignore_fields => 'span_attr:secret' },
    { 'VT-Ignore-Fields' => 'span_attr:http.path',
        'VT-Extra-Fields' => 'env=dev' })->{status}, 200, 'both';
is json_text(shown($span->{traceId})),
    json_text(changed('secret' => undef, 'env' => 'dev')),
    'the argument wins over its header, other headers count';
$span = otlp_span();
is post($span, { ignore_fields => '' },
    { 'VT-Ignore-Fields' => 'span_attr:secret' })->{status}, 200, 'empty';
is json_text(shown($span->{traceId})), json_text(changed('secret' => undef)),
    'an empty argument says nothing';
$span = otlp_span();
is post($span, { extra_fields => 'span_attr:secret=x',
    ignore_fields => 'span_attr:secret', decolorize_fields => 'span_attr:*',
    _stream_fields => 'span_attr:secret' })->{status}, 200, 'all';
is json_text(shown($span->{traceId})), json_text(changed('secret' => 'x',
    'text' => 'red', 'map.open' => 'bold')), 'extra fields come last';

# --- debug -------------------------------------------------------------------

my ($rows, $debug) = (rows(), dropped('debug'));
for my $way ('1', 'true', 'ON') {
    $span = otlp_span(name => "debugged $way");
    is post($span, { debug => $way, extra_fields => 'env=seen' })->{status},
        200, "debug=$way";
    is shown($span->{traceId}), 'nothing', 'is not stored';
}
$span = otlp_span();
is post($span, {}, { 'VT-Debug' => 't' })->{status}, 200, 'VT-Debug';
is rows(), $rows, 'no row is counted';
is dropped('debug') - $debug, 4, 'but as dropped';
like $spoor->log, qr/debug: .* \/v1\/traces: .*debugged true.*env=seen/,
    'and logged';
$span = otlp_span();
is post($span, { debug => 'false' })->{status}, 200, 'debug=false';
is json_text(shown($span->{traceId})), json_text(\%plain), 'is stored';

# --- errors ------------------------------------------------------------------

$rows = rows();
for my $bad (['extra_fields', 'env', 'not name=value'],
    ['extra_fields', '=x', 'no name'], ['extra_fields', 'env=', 'no value'],
    ['extra_fields', 'trace_id=1', 'cannot be set'],
    ['extra_fields', 'kind=server', 'not a number'],
    ['ignore_fields', 'x' x 200, 'longer than 128'],
    ['ignore_fields', join(',', 1 .. 300), 'more than 256'],
    ['debug', 'perhaps', 'neither true nor false']) {
    my ($arg, $value, $says) = @$bad;
    my $header = $arg eq 'debug' ? 'VT-Debug'
        : 'VT-' . join '-', map { ucfirst } split /_/, $arg;

    for my $reply (post(otlp_span(), { $arg => $value }),
        post(otlp_span(), {}, { $header => $value })) {
        is $reply->{status}, 400, "$arg=" . substr $value, 0, 20;
        like $reply->{body}, qr/\Q$says\E/, 'says why';
    }
}
is rows(), $rows, 'nothing was stored';

# --- the same request --------------------------------------------------------

my $before = duplicates();
$span = otlp_span();
my $body = body($span);
sub again {
    my ($query, %headers) = @_;

    return $spoor->post("/v1/traces?$query", $body,
        { otlp_type('json'), %headers })->{status};
}
is again('ignore_fields=span_attr:secret,host'), 200, 'a request';
is again('ignore_fields=host,,span_attr:secret,host'), 200, 'in other words';
is duplicates() - $before, 1, 'is a duplicate';
is again('', 'VT-Ignore-Fields' => 'host, span_attr:secret'), 200,
    'and as a header';
is duplicates() - $before, 2, 'is one, too';
is again('ignore_fields=host'), 200, 'with other parameters';
is again('_stream_fields=host'), 200, 'again with others';
is again(''), 200, 'with none';
is duplicates() - $before, 2, 'is none';
is again('_time_field=x&debug=0'), 200, 'with some that change nothing';
is duplicates() - $before, 3, 'is one';
$spoor->kill_all;
$spoor->start;
is again('ignore_fields=host,span_attr:secret'), 200, 'after kill -9';
is duplicates(), 1, 'is still one';

$spoor->stop;
done_testing;
