# SPDX-License-Identifier: BSD-2-Clause
#
# Forms in parts, error bodies, headers and limits of the query API.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $json = JSON::PP->new->utf8;
my $spoor = Test::Spoor->new(args => ['-workers=1']);

$spoor->start;
is post_traces($spoor, resource_spans('cart', map { otlp_span(name => "n$_",
    kind => $_) } 1 .. 3))->{status}, 200, 'spans';

# --- multipart/form-data -----------------------------------------------------------

sub parts {
    my ($path, @fields) = @_;
    my $body = '';

    while (my ($name, $value) = splice @fields, 0, 2) {
        $body .= "--xYz\r\nContent-Disposition: form-data; name=\"$name\"\r\n"
            . "\r\n$value\r\n";
    }
    return $spoor->post("/select/logsql/$path", "$body--xYz--\r\n",
        { 'Content-Type' => 'multipart/form-data; boundary=xYz' });
}

sub names {
    my ($reply) = @_;

    is $reply->{status}, 200, 'status' or diag $reply->{body};
    return join ' ', sort $reply->{body} =~ /"name":"(\w+)"/g;
}

is names(parts('query', query => 'kind:>1 | fields name')), 'n2 n3',
    'a query in a part';
is names(parts('query', query => '*', extra_filters => 'kind:<3',
    extra_filters => 'kind:>1')), 'n2', 'arguments come more than once';
is names(parts('query', query => 'name:="100%" or name:=n1')), 'n1',
    'and are not escaped';
is names(parts('query?query=kind:=3', limit => 5)), 'n3',
    'others are in the URL';
is names(parts('query?extra_filters=kind:%3C2', query => '*')), 'n1',
    'filters of both count';

my $reply = parts('query', limit => 1);
is $reply->{status}, 400, 'no query';
is $reply->{body}, "argument query is missing\n", 'is told';
for my $type ('application/json', 'multipart/mixed; boundary=xYz',
    'multipart/form-data', 'text/plain') {
    $reply = $spoor->post('/select/logsql/query', '{"query":"*"}',
        { 'Content-Type' => $type });
    is $reply->{status}, 400, "$type is no form";
    like $reply->{body}, qr/'\Q$type\E' is not read, but for application/,
        "$type: it says so";
}

# --- errors have the form of their endpoint -------------------------------------------

for my $path ('stats_query', 'stats_query_range') {
    $reply = $spoor->get("/select/logsql/$path?query="
        . uri('* | stats count() n') . '&step=1h', { AccountID => 'x' });
    is $reply->{status}, 400, "$path: a bad tenant";
    is $reply->{headers}{'content-type'}, 'application/json', 'JSON';
    my $error = $json->decode($reply->{body});
    is $error->{status}, 'error', 'status';
    is $error->{errorType}, '400', 'errorType';
    like $error->{error}, qr/^accountid is not/, 'error';
}
$reply = $spoor->get('/select/jaeger/api/services', { AccountID => 'x' });
is $reply->{status}, 400, 'Jaeger: a bad tenant';
like $json->decode($reply->{body})->{errors}[0]{msg}, qr/^accountid is not/,
    'in its envelope';
$reply = $spoor->get('/select/logsql/query?query=*', { AccountID => 'x' });
is $reply->{body}, "accountid is not a decimal number of 32 bits\n",
    'others are text';

# --- VL-Selected-Time-Range -------------------------------------------------

sub range_of {
    my ($path, $query) = @_;
    my $reply = $spoor->get("/select/logsql/$path?step=1h&start=1&query="
        . uri($query));

    is $reply->{status}, 200, $query or diag $reply->{body};
    return $reply->{headers}{'vl-selected-time-range'};
}

for my $path ('hits', 'stats_query_range') {
    my $stats = $path eq 'hits' ? '' : ' | stats count() n';

    is range_of($path, "_time:[2026-01-01Z, 2026-01-02Z) *$stats"),
        '[1767225600000000000,1767311999999999999]', "$path: of the query";
    is range_of($path, "*$stats"), undef, "$path: not that of arguments";
}
is range_of('stats_query', '_time:1h * | stats count() n'), undef,
    'only where charts are made';

# --- /select/vmalert --------------------------------------------------------

$reply = $spoor->get('/select/vmalert/api/v1/rules');
is $reply->{status}, 400, 'no vmalert';
is $json->decode($reply->{body})->{status}, 'error', 'as JSON';
like $json->decode($reply->{body})->{msg}, qr/vmalert/, 'with a reason';

# --- explain names no hidden fields -----------------------------------------

$reply = $spoor->get('/select/logsql/query?explain=1&hidden_fields_filters='
    . uri('sec*,"top secret"') . '&query=' . uri('kind:=2 and '
    . 'trace_id:in(kind:=2 | fields trace_id) | fields name | limit 3'));
is $reply->{status}, 200, 'a plan' or diag $reply->{body};
unlike $reply->{body}, qr/sec\*|top secret|delete/, 'without the patterns';
my $plan = $json->decode($reply->{body});
is $plan->{query}, 'kind:=2 trace_id:in(kind:=2 | fields trace_id) | fields name '
    . '| limit 3', 'the query as it was asked';
is join(', ', map { $_->{pipe} } @{$plan->{stages}}),
    'hidden fields, fields name, limit 3, answer', 'its stages';

# --- options(allow_partial_response) is read ------------------------------------------------------

is names($spoor->get('/select/logsql/query?query='
    . uri("options(allow_partial_response=$_) *"))), 'n1 n2 n3',
    "allow_partial_response=$_" for 'true', 'false';
is $spoor->get("/select/jaeger/api/services?allow_partial_response=$_->[0]")
    ->{status}, $_->[1], "Jaeger: $_->[0]" for [0, 200], [1, 200], ['x', 400];

# --- pack_logfmt of long texts ----------------------------------------------

is post_traces($spoor, resource_spans('long', otlp_span(name => 'long',
    attributes => attributes(t => q{<'} x 200_000 . ' '))))->{status}, 200,
    'a long text';

# The text so many times, packed.
sub packed {
    my ($n) = @_;

    return $spoor->post('/select/logsql/query', 'query=' . uri('name:=long | '
        . 'rename "span_attr:t" as t | format "' . '<t>' x $n . '" as l | '
        . 'pack_logfmt fields (l) as p | fields p'),
        { 'Content-Type' => 'application/x-www-form-urlencoded' });
}

$reply = packed(2);
is $reply->{status}, 200, 'packed' or diag substr $reply->{body}, 0, 200;
ok $json->decode($reply->{body})->{p} eq 'l="'
    . (q{\u003c\u0027} x 200_000 . ' ') x 2 . '"', 'to the last byte';
# 6 and 14 texts: before and after the signs are escaped.
$reply = packed(8);
is $reply->{status}, 400, 'too long';
like $reply->{body}, qr/MiB|memory|long/, "it says so: $reply->{body}";
$spoor->stop;
done_testing;
