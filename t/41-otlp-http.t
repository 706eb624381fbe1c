# SPDX-License-Identifier: BSD-2-Clause
#
# OTLP over HTTP as clients see it: answers, statuses and bodies of the
# specification, and what a hostile body costs.

use strict;
use warnings;

use IO::Compress::Gzip qw(gzip);
use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Time::HiRes qw(time);

my $path = '/insert/opentelemetry/v1/traces';
my $spoor = Test::Spoor->new(conf => {
    'workers' => 1,
    'insert.max_request_size' => '8MiB',
});
$spoor->start;

sub send_pb { return $spoor->post($path, $_[0], { otlp_type('pb', $_[1]) }) }
sub send_json {
    return $spoor->post($path, $_[0], { otlp_type('json', $_[1]) });
}
sub rows { return $spoor->metric('vt_rows_ingested_total') || 0 }
sub dropped {
    return $spoor->metric("vt_rows_dropped_total{reason=\"$_[0]\"}") || 0;
}

sub packed {
    my ($plain) = @_;

    gzip(\$plain => \my $packed);
    return $packed;
}

# The JSON of an error.
sub is_error {
    my ($reply, $status, $code, $name) = @_;

    is $reply->{status}, $status, "$name: $status";
    my $type = $reply->{headers}{'content-type'} || '';
    if ($type eq 'application/json') {
        my $error = eval { JSON::PP::decode_json($reply->{body}) } || {};
        is $error->{code}, $code, "$name: code";
        ok length($error->{message} || ''), "$name: $error->{message}";
    } else {
        is $type, 'application/x-protobuf', "$name: content type";
        is substr($reply->{body}, 0, 3), "\x08" . chr($code) . "\x12",
            "$name: code and a message";
    }
    return;
}

# --- success -----------------------------------------------------------------

for my $to ($path, '/v1/traces', '//insert/opentelemetry/v1/traces') {
    my $span = otlp_span(name => "at $to");
    my $reply = $spoor->post($to, otlp_pb($span), { otlp_type('pb') });
    is $reply->{status}, 200, "protobuf to $to";
    is $reply->{body}, '', 'an empty message';
    is $reply->{headers}{'content-type'}, 'application/x-protobuf', 'type';
    my $trace =
        $spoor->get_json("/select/jaeger/api/traces/$span->{traceId}");
    is $trace->{data}[0]{spans}[0]{operationName}, $span->{name},
        'and it is there';
}

my $span = otlp_span(name => 'json');
my $reply = send_json(otlp_json($span));
is $reply->{status}, 200, 'JSON';
is $reply->{body}, '{}', 'an empty message';
is $reply->{headers}{'content-type'}, 'application/json', 'type';
is $spoor->get_json("/select/jaeger/api/traces/$span->{traceId}")
    ->{data}[0]{spans}[0]{operationName}, 'json', 'and it is there';

$reply = $spoor->post($path, otlp_json(otlp_span()),
    { 'Content-Type' => 'application/json; charset=utf-8' });
is $reply->{status}, 200, 'a content type with a parameter';
$reply = $spoor->post($path, otlp_pb(otlp_span()),
    { 'Content-Type' => 'application/protobuf' });
is $reply->{status}, 200, 'application/protobuf';

is send_pb(packed(otlp_pb(otlp_span())), 'gzip')->{status}, 200, 'gzip';
is send_json(packed(otlp_json(otlp_span())), 'gzip')->{status}, 200,
    'JSON in gzip';
is send_pb('')->{status}, 200, 'an empty body';
is send_json('{}')->{status}, 200, 'an empty request';

my $before = rows();
is send_pb(otlp_pb(map { otlp_span() } 1 .. 1000))->{status}, 200,
    'a body that is decoded on a thread';
is rows() - $before, 1000, 'spans are counted';

# --- partial success ---------------------------------------------------------

$before = rows();
my $ids = dropped('trace_id');
$reply = send_json(otlp_json(otlp_span(),
    otlp_span(traceId => '0' x 32), otlp_span(traceId => 'abc')));
is $reply->{status}, 200, 'one good span and two bad ones';
my $partial = JSON::PP::decode_json($reply->{body})->{partialSuccess};
is $partial->{rejectedSpans}, '2', 'says how many';
like $partial->{errorMessage}, qr/trace_id/, 'and why';
is rows() - $before, 1, 'the good one is stored';
is dropped('trace_id') - $ids, 2, 'the bad ones are counted';

$reply = send_pb(otlp_pb(otlp_span(spanId => 'abcd')));
is $reply->{status}, 200, 'only a bad one';
like $reply->{body}, qr/^\x0a.\x08\x01\x12.1 span rejected: span_id/s,
    'partial success';

$reply = send_json(otlp_json(otlp_span(endTimeUnixNano => '1')));
like $reply->{body}, qr/before the retention window/, 'too old';
$reply = send_json(otlp_json(
    otlp_span(endTimeUnixNano => int(time() + 30 * 86400) . '000000000')));
like $reply->{body}, qr/in the future/, 'too new';
ok dropped('too_small_timestamp') == 1 && dropped('too_big_timestamp') == 1,
    'both counted';
my @many = map { { key => "k$_", value => { boolValue => \1 } } } 1 .. 1001;
$reply = send_json(otlp_json(otlp_span(attributes => \@many)));
like $reply->{body}, qr/too many fields/, 'too many attributes';

# --- errors ------------------------------------------------------------------

$before = rows();
is_error(send_pb("\x0a\x7f"), 400, 3, 'malformed protobuf');
is_error(send_json('{"resourceSpans":'), 400, 3, 'malformed JSON');
is_error(send_json('{"resourceSpans":5}'), 400, 3, 'JSON of another shape');
is_error(send_json('{}', 'br'), 400, 3, 'unknown content encoding');
is_error(send_json('{}', 'gzip'), 400, 3, 'not gzip');
is_error($spoor->post($path, '{}', { otlp_type('json'), AccountID => 'x' }),
    400, 3, 'a tenant that is no number');
is_error(send_json(' ' x (9 * 1024 * 1024)), 413, 8, 'a large body');
is_error(send_pb(packed("\0" x (64 * 1024 * 1024)), 'gzip'), 413, 8,
    'a gzip bomb');
is $spoor->post($path, 'x', { 'Content-Type' => 'text/plain' })->{status},
    415, 'a content type that is none of ours';
is $spoor->post($path, 'x')->{status}, 415, 'no content type';
$reply = $spoor->get($path);
is $reply->{status}, 405, 'GET';
like $reply->{headers}{allow}, qr/\bPOST\b/, 'with Allow';
is rows(), $before, 'nothing was stored';

# --- damage ------------------------------------------------------------------

my $whole = otlp_pb(otlp_span(), otlp_span());
my %statuses;
for my $len (1 .. length($whole) - 1) {
    $statuses{send_pb(substr $whole, 0, $len)->{status}}++;
}
is_deeply \%statuses, { 400 => length($whole) - 1 },
    'cut at every byte: refused';
is rows(), $before, 'and never stored';

# --- hostile bodies ----------------------------------------------------------

sub worker_rss_kib {
    my ($pid) = @{$spoor->pids->{worker}};

    open my $in, '<', "/proc/$pid/status" or return 0;
    my ($rss) = do { local $/; <$in> } =~ /^VmRSS:\s+(\d+)/m;
    my ($high) = do { seek $in, 0, 0; local $/; <$in> } =~ /^VmHWM:\s+(\d+)/m;
    return ($rss, $high);
}

my ($rss) = worker_rss_kib();
my $empty = pb_field(1, pb_field(2, "\x12\x00" x 2_000_000));
is_error(send_pb($empty), 413, 8, '2,000,000 empty spans');
$empty = pb_field(1, pb_field(2, "\x12\x00" x 900_000));
is_error(send_pb($empty), 413, 8, '900,000 empty spans');
is_error(send_json('{"resourceSpans":[{"scopeSpans":[{"spans":[{}'
    . ',{}' x 1_300_000 . ']}]}]}'), 413, 8, '1,300,000 in JSON');
my (undef, $high) = worker_rss_kib();
note "resident before $rss KiB, at most $high KiB";
SKIP: {
    skip 'sanitizers need memory of their own', 1
        if ($ENV{SPOOR_OBJDIR} || '') =~ /asan|tsan/;
    cmp_ok $high - $rss, '<', 32 * 1024,
        'a body of 4 MB costs less than 32 MiB';
}

my $deep = '';
for (1 .. 100_000) {
    $deep = pb_field(5, pb_field(1, $deep)) if length $deep < 1_000_000;
}
my $start = time();
is_error(send_pb(pb_field(1, pb_field(2, pb_field(2,
    pb_field(9, pb_field(2, $deep)))))), 400, 3, 'a bottomless value');
cmp_ok time() - $start, '<', 2, 'refused soon';

# --- clients that go away ----------------------------------------------------

my $zipped = packed(otlp_pb(map { otlp_span() } 1 .. 2000));
for my $wait (0, 0.001, 0.003, 0.01) {
    for (1 .. 5) {
        my $socket = $spoor->connect;
        syswrite $socket, "POST $path HTTP/1.1\r\nHost: x\r\n"
            . "Content-Type: application/x-protobuf\r\n"
            . "Content-Encoding: gzip\r\n"
            . 'Content-Length: ' . length($zipped) . "\r\n\r\n$zipped";
        select undef, undef, undef, $wait if $wait > 0;
        close $socket;
    }
}
is send_pb(otlp_pb(otlp_span()))->{status}, 200,
    'clients that went away did no harm';
is scalar @{$spoor->pids->{worker}}, 1, 'the worker lives';
ok wait_for(sub {
    $spoor->get('/metrics')->{body} =~ /^spoor_ingest_queue 0$/m
}), 'no insert is left behind';

is $spoor->stop, 0, 'stops';

# --- too many at a time ------------------------------------------------------

# Each sync of the log takes a while, and one insert may wait for it.
my $slow = Test::Spoor->new(
    conf => { 'workers' => 1, 'insert.max_concurrent' => 1,
        'insert.max_queue_duration' => '0' },
    env => { SPOOR_FAULT => 'wal.after_pwritev:sleep=1500' });
$slow->start;

my $body = otlp_pb(otlp_span());
my $first = $slow->connect;
syswrite $first, "POST $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    . "Content-Type: application/x-protobuf\r\nContent-Length: "
    . length($body) . "\r\n\r\n$body";
select undef, undef, undef, 0.3;
$reply = $slow->post($path, otlp_json(otlp_span()), { otlp_type('json') });
is_error($reply, 429, 8, 'one insert more than allowed');
is $reply->{headers}{'retry-after'}, '1', 'with Retry-After';
like $slow->read_raw($first), qr{^HTTP/1.1 200 }, 'the first is stored';
is $slow->post($path, $body, { otlp_type('pb') })->{status}, 200,
    'then there is room again';
is $slow->stop, 0, 'stops';

done_testing;
