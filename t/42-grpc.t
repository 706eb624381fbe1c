# SPDX-License-Identifier: BSD-2-Clause
#
# OTLP over gRPC as clients see it: encodings, statuses, deadlines, what is
# refused early, and that one body is one body whatever it came by.

use strict;
use warnings;

use IO::Compress::Deflate qw(deflate);
use IO::Compress::Gzip qw(gzip);
use MIME::Base64 qw(decode_base64);
use Test::More;
use Test::Http2 qw(:all);
use Test::Otlp;
use Test::Spoor;
use Time::HiRes qw(time);

my $export = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
my $grpc_port = free_port();
my $spoor = Test::Spoor->new(conf => {
    'workers' => 1,
    'insert.max_request_size' => '8MiB',
    'otlp_grpc.listen' => "127.0.0.1:$grpc_port",
});
$spoor->start;

my $conn = Test::Http2->connect($grpc_port);

sub message {
    my ($bytes, $flags) = @_;

    return pack('CN', $flags || 0, length $bytes) . $bytes;
}

# A call with a body as it is; {code, message, details, body, http}.
sub call {
    my ($body, %option) = @_;
    my @fields = ('content-type' => $option{type} || 'application/grpc',
        te => 'trailers', @{$option{fields} || []});
    my $conn = $option{conn} || $conn;
    my $reply = $conn->post($option{path} || $export, $body, \@fields,
        $option{seconds});
    my %status = (%{$reply->{headers} || {}}, %{$reply->{trailers} || {}});

    return {
        code => $status{'grpc-status'},
        message => $status{'grpc-message'},
        details => decode_base64($status{'grpc-status-details-bin'} || ''),
        has_trailers => defined $reply->{trailers},
        headers => $reply->{headers},
        body => $reply->{body},
        http => $reply->{status},
    };
}

sub code_is {
    my ($reply, $code, $name) = @_;

    return is defined $reply->{code} ? $reply->{code}
        : 'HTTP ' . ($reply->{http} || 'no reply'), $code, $name;
}

sub packed {
    my ($pack, $plain) = @_;

    $pack->(\$plain => \my $packed);
    return $packed;
}

# Both formats allow to say: what follows is not compressed.
sub zstd {
    my ($plain) = @_;
    my $n = length $plain;

    return pack('V', 0xfd2fb528) . "\xa0" . pack('V', $n)
        . substr(pack('V', 1 | $n << 3), 0, 3) . $plain;
}

sub snappy {
    my ($plain) = @_;

    return pb_varint(length $plain) . "\xf4"
        . pack('v', length($plain) - 1) . $plain;
}

sub rows { return $spoor->metric('vt_rows_ingested_total') || 0 }

sub is_stored {
    my ($span, $name) = @_;
    my $trace = $spoor->get_json("/select/jaeger/api/traces/$span->{traceId}");

    is $trace->{data}[0]{spans}[0]{operationName}, $span->{name}, $name;
    return;
}

# --- success -----------------------------------------------------------------

my $reply = call(message(''));
code_is($reply, 0, 'an empty request is a success');
is $reply->{http}, 200, 'over HTTP 200';
is $reply->{headers}{'content-type'}, 'application/grpc+proto', 'its type';
is $reply->{body}, "\0\0\0\0\0", 'with an empty answer';
ok $reply->{has_trailers}, 'the status comes behind it';
like $reply->{headers}{'grpc-accept-encoding'}, qr/gzip.*zstd/,
    'says what it can decode';

my %forms = (
    identity => sub { $_[0] },
    gzip => sub { packed(\&gzip, $_[0]) },
    deflate => sub { packed(\&deflate, $_[0]) },
    zstd => \&zstd,
    snappy => \&snappy,
);
for my $encoding (sort keys %forms) {
    my $span = otlp_span(name => "by $encoding");
    my $body = $forms{$encoding}->(otlp_pb($span));
    my $is_plain = $encoding eq 'identity';
    $reply = call(message($body, $is_plain ? 0 : 1),
        fields => ['grpc-encoding' => $encoding]);
    code_is($reply, 0, "$encoding") or diag $reply->{message};
    is_stored($span, "$encoding: stored");
}
{
    my $span = otlp_span(name => 'plain in gzip');
    $reply = call(message(otlp_pb($span)), fields => ['grpc-encoding' =>
        'gzip']);
    code_is($reply, 0, 'a plain message although an encoding is named');
    is_stored($span, 'is stored');
}
for my $type ('application/grpc+proto', 'application/grpc;x=y',
    'Application/gRPC') {
    code_is(call(message(otlp_pb(otlp_span())), type => $type), 0, $type);
}
{
    my $span = otlp_span(name => 'main port');
    my $main = Test::Http2->connect($spoor->port);
    code_is(call(message(otlp_pb($span)), conn => $main), 0,
        'the main address takes it, too');
    is_stored($span, 'and stores it');
    is $conn->get('/health')->{body}, 'OK', 'the other one takes the rest';
}
{
    my @spans = map { otlp_span(name => "large $_") } 1 .. 20000;
    my $start = time();
    code_is(call(message(otlp_pb(@spans))), 0, '20,000 spans');
    is_stored($spans[-1], 'the last one is stored');
}
is $spoor->metric('vt_rows_ingested_total{type="opentelemetry_traces_otlpgrpc"}'),
    rows(), 'counted as gRPC';
is $spoor->metric("vt_http_requests_total{path=\"$export\"}"),
    $spoor->metric('spoor_http_protocol_requests_total{protocol="grpc"}'),
    'and as requests';

# --- one body is one body --------------------------------------------------------

{
    my $body = otlp_pb(otlp_span(name => 'twice'));
    my $before = rows();
    code_is(call(message($body)), 0, 'a body by gRPC');
    is $spoor->post('/v1/traces', $body, { otlp_type('pb') })->{status}, 200,
        'the same by HTTP';
    code_is(call(message(packed(\&gzip, $body), 1),
        fields => ['grpc-encoding' => 'gzip']), 0, 'and compressed');
    is rows(), $before + 1, 'is stored once';
    code_is(call(message($body), fields => [accountid => 5]), 0,
        'by another tenant');
    is rows(), $before + 2, 'it is another';
}
{
    my $span = otlp_span(name => 'tenant');
    code_is(call(message(otlp_pb($span)),
        fields => [accountid => 7, projectid => 8]), 0, 'tenant');
    my $path = "/select/jaeger/api/traces/$span->{traceId}";
    is $spoor->get($path, { AccountID => 7, ProjectID => 8 })->{status}, 200,
        'is there for its tenant';
    isnt $spoor->get($path)->{status}, 200, 'and for no other';
    for ('x', '-1', '4294967296', '') {
        code_is(call(message(''), fields => [accountid => $_]), 3,
            "AccountID '$_'");
    }
}

# --- partial success ---------------------------------------------------------------

$reply = call(message(otlp_pb(otlp_span(), otlp_span(traceId => 'ab'))));
code_is($reply, 0, 'a span that cannot be stored');
like $reply->{body}, qr/^\0\0\0\0.\x0a.\x08\x01\x12.1 span rejected: trace/s,
    'is a partial success';

# --- statuses --------------------------------------------------------------------

$reply = call(message("\x0a\xff"));
code_is($reply, 3, 'malformed protobuf');
like $reply->{message}, qr/^protobuf: /, 'says so';
is substr($reply->{details}, 0, 3), "\x08\x03\x12", 'details';
ok !length $reply->{body} && !$reply->{has_trailers}, 'all in the headers';
for (['', 13, 'no message'], ["\0\0\0", 13, 'half a prefix'],
    ["\0\0\0\0\x0aabc", 13, 'a message that is cut'],
    [message('') . message(''), 13, 'two messages'],
    [message('abc') . 'd', 13, 'more than a message'],
    [message('', 7), 13, 'flags of 7'], [message('', 2), 13, 'flags of 2'],
    [message('', 1), 13, 'compressed by nothing']) {
    my ($body, $code, $name) = @$_;
    code_is(call($body), $code, $name);
}
code_is(call(message('x', 1), fields => ['grpc-encoding' => 'identity']), 13,
    'compressed by identity');
$reply = call(message('x', 1), fields => ['grpc-encoding' => 'lzma']);
code_is($reply, 12, 'an unknown encoding');
like $reply->{headers}{'grpc-accept-encoding'}, qr/gzip/, 'names the known';
code_is(call(message('not gzip', 1), fields => ['grpc-encoding' => 'gzip']),
    13, 'damaged gzip');
code_is(call(message(''), path => '/a.B/C'), 12, 'an unknown method');
code_is(call(message(''), path => $export . 's'), 12, 'or nearly known');
code_is(call(message(''), path => '/health'), 12, 'a path that is no method');
code_is(call(message('{}'), type => 'application/grpc+json'), 12, 'JSON');
is call('', type => 'text/plain')->{http}, 415, 'another content type';
is $conn->get($export)->{status}, 405, 'GET';
code_is(call("\0\x7f\xff\xff\xff", seconds => 5), 8, 'a length of 2 GiB');
{
    # Before the rest is sent.
    my $id = $conn->request('POST', $export,
        ['content-type' => 'application/grpc'], open => 1);
    $conn->data($id, "\0\x7f\xff\xff\xffab");
    $conn->until(sub { $conn->{streams}{$id}{ended} }, 5);
    is $conn->{streams}{$id}{headers}{'grpc-status'}, 8, 'at once';
}
$reply = call(message("\0" x (8 * 1024 * 1024 + 1)));
code_is($reply, 8, 'a message that is too large');
unlike $reply->{details}, qr/RetryInfo/, 'which is not to be sent again';

# Bombs of each encoding, most of 1 GiB; what they cost is bounded.
my $mib16 = packed(\&gzip, "\0" x (16 << 20));
my %bombs = (
    gzip => packed(\&gzip, "\0" x (9 << 20)),
    'gzip, 64 members' => $mib16 x 64,
    deflate => packed(\&deflate, "\0" x (64 << 20)),
    # Blocks of 128 KiB that say which byte to repeat.
    zstd => pack('V', 0xfd2fb528) . "\0\x50" . "\x02\0\x10\0" x 8192
        . "\x01\0\0",
    'zstd that promises' => pack('V', 0xfd2fb528) . "\xe0"
        . pack('Q<', 1 << 40) . "\x01\0\0",
    # Copies of 64 bytes from one byte before.
    snappy => pb_varint(16 << 20) . "\0x"
        . "\xfe\x01\0" x (16 * 16384),
    'snappy that promises' => pb_varint((1 << 32) - 1) . "\0x",
);

sub rss {
    my $kb = 0;

    for my $pid (map { @$_ } values %{$spoor->pids}) {
        open my $in, '<', "/proc/$pid/status" or next;
        while (<$in>) {
            $kb += $1 if /^VmRSS:\s+(\d+)/;
        }
    }
    return $kb;
}
my $rss = rss();
for my $name (sort keys %bombs) {
    my ($encoding) = $name =~ /^(\w+)/;
    my $start = time();
    $reply = call(message($bombs{$name}, 1),
        fields => ['grpc-encoding' => $encoding]);
    # What ends before its promise is damaged.
    like $reply->{code}, $name eq 'snappy that promises' ? qr/^13$/ : qr/^8$/,
        "a bomb: $name" or diag $reply->{message};
    unlike $reply->{details}, qr/RetryInfo/, 'not to be sent again, either';
    cmp_ok time() - $start, '<', 2, 'and quickly known';
}
cmp_ok rss() - $rss, '<', 24 * 1024, 'memory behind the bombs'
    unless $ENV{SPOOR_OBJDIR};
code_is(call(message($mib16 x 2, 1), fields => ['grpc-encoding' => 'gzip',
    'content-length' => 5 + 2 * length $mib16]), 8, 'with a length, too');

# Metadata without end.
code_is(call(message(''), fields => [map { ("x-$_" => 'v') } 1 .. 101]), 8,
    '101 fields');
{
    my $large = Test::Http2->connect($grpc_port);
    my $block = Test::Http2->block('POST', $export,
        ['content-type' => 'application/grpc', 'x-y' => 'v' x 40000]);
    $large->frame(HEADERS, END_STREAM, 1, substr $block, 0, 16000, '');
    $large->frame(CONTINUATION, 0, 1, substr $block, 0, 16000, '');
    $large->frame(CONTINUATION, END_HEADERS, 1, $block);
    is $large->goaway(5), ENHANCE_YOUR_CALM, '40 KB of fields';
}
like call(message(''), path => '/a%25b/%0a')->{message},
    qr{^unknown method /a%2525b/%250a$}, 'the message is escaped';

# --- deadlines ---------------------------------------------------------------------

code_is(call(message(''), fields => ['grpc-timeout' => '1n']), 4, '1 ns');
code_is(call(message(''), fields => ['grpc-timeout' => '10S']), 0, '10 s');
code_is(call(message(''), fields => ['grpc-timeout' => '99999999H']), 0,
    '11,000 years');
for ('', '1', 'S', '1x', '-1S', '123456789S', '1 S') {
    code_is(call(message(''), fields => ['grpc-timeout' => $_]), 13,
        "grpc-timeout '$_'");
}
{
    my $id = $conn->request('POST', $export, ['content-type' =>
        'application/grpc', 'grpc-timeout' => '300m'], open => 1);
    my $start = time();
    $conn->until(sub { $conn->{streams}{$id}{ended} }, 5);
    is $conn->{streams}{$id}{headers}{'grpc-status'}, 4,
        'a body that comes too late';
    cmp_ok time() - $start, '<', 2, 'is not awaited';
}

# --- health ------------------------------------------------------------------------

my $check = '/grpc.health.v1.Health/Check';
my $service = 'opentelemetry.proto.collector.trace.v1.TraceService';
is call(message(''), path => $check)->{body}, message("\x08\x01"),
    'health: serving';
is call(message(pb_field(1, $service)), path => $check)->{body},
    message("\x08\x01"), 'the service, too';
code_is(call(message(pb_field(1, 'a.B')), path => $check), 5,
    'an unknown service');

# --- not over HTTP/1.1 -------------------------------------------------------------

$reply = $spoor->post($export, message(''),
    { 'Content-Type' => 'application/grpc' });
is $reply->{status}, 505, 'gRPC over HTTP/1.1';
like $reply->{body}, qr/HTTP\/2/, 'says what it needs';

# --- half-sent messages hold little --------------------------------------------------

{
    my $before = $spoor->metric('spoor_http_body_bytes');
    my @conns = map { Test::Http2->connect($grpc_port) } 1 .. 10;
    for my $conn (@conns) {
        for (1 .. 50) {
            my $id = $conn->request('POST', $export,
                ['content-type' => 'application/grpc'], open => 1);
            $conn->data($id, pack('CN', 0, 8 * 1024 * 1024) . 'x' x 100);
        }
        $conn->is_alive;
    }
    cmp_ok $spoor->metric('spoor_http_body_bytes') - $before, '<=',
        500 * 65536 + 8 * 1024 * 1024, '500 promises of 8 MiB';
}

# --- floods of calls -------------------------------------------------------------

sub bytes_of_call {
    my ($id, $reset) = @_;

    return Test::Http2::bytes_of_frame(HEADERS, END_HEADERS, $id,
        Test::Http2->block('POST', $export,
            ['content-type' => 'application/grpc']))
        . Test::Http2::bytes_of_frame(DATA, $reset == 1 ? 0 : END_STREAM,
            $id, message(otlp_pb(otlp_span())))
        . Test::Http2::bytes_of_frame(RST_STREAM, 0, $id, pack 'N', CANCEL);
}

for my $reset (1, 2) {
    my $name = $reset == 1 ? 'before their end' : 'when they run';
    my $flood = Test::Http2->connect($grpc_port);
    my $end = time() + 10;
    my $id = 1;
    my $failed = 0;
    while (time() < $end && !$flood->{goaways} && !$flood->{closed}) {
        my @ids = map { $id + 2 * $_ } 0 .. 49;
        $id += 100;
        $flood->send(join '', map { bytes_of_call($_, $reset) } @ids)
            or last;
        my $reply = call(message(''));
        $failed++ if !defined $reply->{code} || $reply->{code} != 0
            && $reply->{details} !~ /too many inserts.*RetryInfo/s;
    }
    is $flood->goaway(5), ENHANCE_YOUR_CALM, "calls reset $name";
    is $failed, 0, 'and others are answered';
}
ok wait_for(sub { ($spoor->metric('spoor_http_body_bytes') || 0) == 0 }, 5),
    'no body is left of them';
code_is(call(message(otlp_pb(otlp_span()))), 0, 'and spans are stored');

# --- a server that cannot store ----------------------------------------------------

my $full = Test::Spoor->new(conf => {
    'workers' => 1, 'storage.min_free_disk' => '1000TB' });
$full->start;
wait_for(sub { $full->log =~ /inserts are refused/ }, 5);
$reply = call(message(otlp_pb(otlp_span())),
    conn => Test::Http2->connect($full->port));
like $reply->{code}, qr/^(?:8|14)$/, "read-only: $reply->{code}";
like $reply->{details}, qr/google\.rpc\.RetryInfo\x12.\x0a.\x08./s,
    'to be sent again, later';
like call(message(pb_field(1, $service)), path => $check,
    conn => Test::Http2->connect($full->port))->{body}, qr/\x08\x02$/,
    'health: not serving';

done_testing;
