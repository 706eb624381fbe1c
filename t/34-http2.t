# SPDX-License-Identifier: BSD-2-Clause
#
# HTTP/2: real clients, then frames that no honest client sends.  Beside each
# flood an honest client is answered all the time.

use strict;
use warnings;

use Test::More;
use Test::Http;
use Test::Http2 qw(:all);
use Test::Spoor qw(run_command wait_for);
use Time::HiRes qw(sleep time);

my $http = Test::Http->new(flags => {
    'http.headerTimeout' => '1s', 'http.idleConnTimeout' => '2s',
    'http.sendTimeout' => '2s',
});
my $url = 'http://127.0.0.1:' . $http->port;

sub dial { return Test::Http2->connect($http->port, @_) }

sub has_command {
    my ($name) = @_;

    return scalar grep { -x "$_/$name" } split /:/, $ENV{PATH};
}

# --- clients -------------------------------------------------------------------

sub curl {
    my (@words) = @_;

    return run_command(['curl', '-sS', '-m', 20, '--http2-prior-knowledge',
        @words])->{out};
}

like curl('-i', "$url/health"), qr{^HTTP/2 200.*\r\n\r\nOK$}s, 'curl: GET';
like curl('-I', "$url/text?bytes=100"),
    qr{^HTTP/2 200.*content-length: 100\r\n\r\n$}s, 'curl: HEAD';
is curl('-d', 'hello', "$url/echo"), 'hello', 'curl: POST';
is length curl('-d', 'x' x 100000, "$url/echo"), 100000, 'curl: large POST';
is curl('-H', 'Transfer-Encoding: chunked', '-d', 'abc', "$url/sink"),
    curl('-d', 'abc', "$url/sink"), 'curl: without a length';
is length curl("$url/big?bytes=20000000"), 20000000, 'curl: streamed reply';
like curl('-i', "$url/nix"), qr{^HTTP/2 404}, 'curl: unknown path';
like curl('-i', '-X', 'DELETE', "$url/echo"), qr{^HTTP/2 405.*allow: POST}s,
    'curl: wrong method';
like curl('-i', '-X', 'OPTIONS', '-H', 'Origin: http://a', '-H',
    'Access-Control-Request-Method: POST', "$url/echo"),
    qr{^HTTP/2 204.*access-control-allow-origin: \*}s, 'curl: preflight';
is length curl('--compressed', "$url/text?bytes=300000"), 300000,
    'curl: gzip reply';
like curl('-i', '-H', 'Accept-Encoding: gzip', "$url/text?bytes=5000"),
    qr{content-encoding: gzip}, 'curl: it is gzip';
like curl('-i', "$url/form?a=1&b=2", '-H', 'AccountID: 7'),
    qr{\nmethod=GET\n.*\ntenant=7:0\n.*\na\[0\]=1\n}s, 'curl: fields, arguments';
like run_command(['curl', '-sS', '-i', '--http2', "$url/health"])->{out},
    qr{^HTTP/1\.1 200}, 'Upgrade: h2c is ignored';

SKIP: {
    skip 'nghttp2-client is not installed', 3 unless has_command('h2load');
    my $out = run_command(['h2load', '-n', 5000, '-c', 5, '-m', 100,
        "$url/health"])->{out};
    like $out, qr/5000 succeeded, 0 failed, 0 errored/, 'h2load: 100 at once';
    open my $body, '>', '/tmp/spoor-h2-body.' . $$ or die $!;
    print $body 'x' x 300000;
    close $body;
    $out = run_command(['h2load', '-n', 500, '-c', 4, '-m', 20, '-d',
        "/tmp/spoor-h2-body.$$", "$url/sink"])->{out};
    like $out, qr/500 succeeded, 0 failed, 0 errored/, 'h2load: bodies';
    unlink "/tmp/spoor-h2-body.$$";
    $out = run_command(['nghttp', '-nv', "$url/slow?ms=50"])->{out};
    like $out, qr/:status: 200/, 'nghttp';
}

# --- requests over frames --------------------------------------------------------

my $conn = dial();
is $conn->get('/health')->{body}, 'OK', 'frames: GET';
is $conn->{settings}{3}, 100, 'says how many streams it takes';
is $conn->{settings}{6}, 65536, 'and how much of fields';
my $data = join '', map { chr(rand 256) } 1 .. 100000;
is $conn->post('/echo', $data)->{body}, $data, 'frames: POST';
is length $conn->post('/echo', 'y' x 5_000_000)->{body}, 5_000_000,
    'a body beyond the windows';
is $conn->post('/echo', '')->{body}, '', 'an empty body';
my @ids = map { $conn->request('GET', '/slow?ms=200') } 1 .. 50;
my $start = time();
my $right = grep { $conn->reply($_)->{body} eq 'slow' } @ids;
is $right, 50, '50 streams';
cmp_ok time() - $start, '<', 5, 'at the same time';
my $reply = $conn->get('/slow?ms=1', [expect => '100-continue']);
is $reply->{status}, 200, 'Expect without a body';
my $id = $conn->request('POST', '/echo', [expect => '100-continue'],
    open => 1);
ok $conn->until(sub { $conn->{streams}{$id}{interim} }, 5), '100 is sent';
$conn->data($id, 'abc', 1);
is $conn->reply($id)->{body}, 'abc', 'and the body taken';
$id = $conn->request('POST', '/echo', {}, open => 1);
$conn->data($id, 'abc');
$conn->frame(HEADERS, END_HEADERS | END_STREAM, $id,
    literal('x-trailer', 'y'));
is $conn->reply($id)->{body}, 'abc', 'trailers of a request';
$id = $conn->request('POST', '/echo', {}, open => 1);
$conn->frame(DATA, PADDED | END_STREAM, $id, "\x05abc" . "\0" x 5);
is $conn->reply($id)->{body}, 'abc', 'padding';
my $block = $conn->block('GET', '/form?a=5', ['x-long' => 'z' x 20000]);
$id = $conn->{next};
$conn->{next} += 2;
$conn->frame(HEADERS, END_STREAM, $id, substr $block, 0, 10);
$conn->frame(CONTINUATION, 0, $id, substr $block, 10, 10000);
$conn->frame(CONTINUATION, END_HEADERS, $id, substr $block, 10010);
like $conn->reply($id)->{body}, qr/a\[0\]=5/, 'CONTINUATION';
$id = $conn->request('POST', '/echo', ['content-length' => 10], open => 1);
$conn->data($id, 'abc', 1);
is $conn->reply($id)->{reset}, PROTOCOL_ERROR, 'wrong content-length';
$reply = $conn->post('/health', 'x' x 1000);
is $reply->{status}, 405, 'answered before the body';
ok $conn->is_alive, 'the connection goes on';
$id = $conn->request('POST', '/echo', ['content-length' => 1 << 40],
    open => 1);
is $conn->reply($id)->{status}, 413, 'a promise that is too large';
{
    # What was on its way is dropped, and not held against the client.
    my $refused = 0;
    for (1 .. 20) {
        my $id = $conn->request('POST', '/echo',
            ['content-length' => 1 << 40], open => 1);
        $conn->send(Test::Http2::bytes_of_frame(DATA, 0, $id, 'x' x 16384)
            x 60);
        $refused++ if ($conn->reply($id)->{status} || 0) == 413;
    }
    is $refused, 20, 'with 20 MB that nobody reads';
}
$id = $conn->request('GET', '/form', {}, open => 1);
$conn->frame(DATA, 0, $id, 'x' x 16384) for 1 .. 70;
$conn->until(sub { $conn->{streams}{$id}{status} }, 5);
is $conn->{streams}{$id}{status}, 413, 'a form that is too large';
is $conn->get('/fail?status=503&why=x')->{status}, 503, 'errors';
ok !defined $conn->get('/fail?status=200')->{headers}{'x-injected'},
    'no field is injected';
for ([GET => '/a#b', 400], [GET => "/\x80", 400], [GET => '/../a', 400],
    [GET => '/' . 'x' x 9000, 414], [OPTIONS => '*', 204]) {
    my ($method, $path, $status) = @$_;
    (my $name = substr $path, 0, 10) =~ s/([^ -~])/sprintf '\\x%x', ord $1/ge;
    $reply = $conn->reply($conn->request($method, $path));
    is $reply->{status} || "reset $reply->{reset}", $status, "path $name";
}
$reply = $conn->get('/health', [map { ("x-$_" => 'v') } 1 .. 100]);
is $reply->{status}, 200, '100 fields';
$reply = $conn->get('/health', [map { ("x-$_" => 'v') } 1 .. 101]);
is $reply->{status}, 431, '101 fields';
for (['connection' => 'close'], ['transfer-encoding' => 'chunked'],
    ['te' => 'gzip'], ['Upper' => 'x'], ["a\0" => 'x'], ['a' => "x\n"],
    [':path' => '/x'], [':status' => '200'], ['a' => ' x']) {
    (my $name = "@$_") =~ s/([^ -~])/sprintf '\\x%x', ord $1/ge;
    is $conn->get('/health', $_)->{reset}, PROTOCOL_ERROR, "field $name";
}
$id = $conn->request('GET', '/big?bytes=9999999&break=5000000');
is $conn->reply($id)->{reset}, 2, 'a broken reply is reset';
ok $conn->is_alive, 'all on one connection';

my $stats = $http->stats;
cmp_ok $stats->{'spoor_http_protocol_requests_total{protocol="http2"}'}, '>',
    100, 'requests are counted by protocol';
cmp_ok $stats->{spoor_http2_connections_total}, '>', 5, 'and connections';
is $stats->{'spoor_http_body_bytes'}, 0, 'no body is left';

# --- aborts -----------------------------------------------------------------------

my $aborted = $http->stats->{aborted};
$conn = dial();
$id = $conn->request('GET', '/slow?ms=5000');
$conn->frame(RST_STREAM, 0, $id, pack 'N', CANCEL);
ok wait_for(sub { $http->stats->{aborted} == $aborted + 1 }, 5),
    'a reset reaches the handler';
$conn->request('GET', '/slow?ms=5000');
$conn->is_alive;
$conn->close;
ok wait_for(sub { $http->stats->{aborted} == $aborted + 2 }, 5),
    'so does the end of the connection';
$conn = dial(window => 0);
$id = $conn->request('GET', '/big?bytes=90000000');
$conn->until(sub { length($conn->{streams}{$id}{body} || '') >= 65535 }, 5);
is length $conn->{streams}{$id}{body}, 65535, 'not more than the window';
cmp_ok $http->stats->{queued}, '<', 3_000_000, 'and little is queued';
$conn->frame(RST_STREAM, 0, $id, pack 'N', CANCEL);
ok wait_for(sub { $http->stats->{aborted} == $aborted + 3 }, 5),
    'a writer is told of a reset';
$conn->frame(WINDOW_UPDATE, 0, 0, pack 'N', 100000);
is $conn->get('/health')->{body}, 'OK', 'when the window is open again';

# The reply is complete here, and all but its last byte is taken.
$conn = dial(window => 0, settings => { 4 => 0x7fffffff });
$conn->frame(WINDOW_UPDATE, 0, 0, pack 'N', 17 * 65536 - 1 - 65535);
$id = $conn->request('GET', '/big?bytes=' . 17 * 65536);
$conn->until(sub { length($conn->{streams}{$id}{body} || '')
    == 17 * 65536 - 1 }, 5);
is dial()->get('/health')->{body}, 'OK', 'a window one byte short harms nobody';
$conn->frame(WINDOW_UPDATE, 0, 0, pack 'N', 1);
is length $conn->reply($id)->{body}, 17 * 65536, 'nor the reply';

# --- clocks ------------------------------------------------------------------------

$conn = dial();
ok $conn->is_closed(4), 'without a request it is closed';
is $conn->goaway(0), NO_ERROR, 'with a GOAWAY';
$conn = dial();
$conn->get('/health');
$start = time();
ok $conn->is_closed(5), 'so is an idle one';
cmp_ok time() - $start, '>', 1.5, 'after idle_timeout';
$conn = dial();
$conn->get('/health');
$conn->frame(HEADERS, END_STREAM, 3, substr $conn->block('GET', '/'), 0, 5);
is $conn->goaway(4), ENHANCE_YOUR_CALM, 'a head that does not end';
$conn = dial();
$id = $conn->request('POST', '/echo', {}, open => 1);
$conn->data($id, 'x');
$conn->until(sub { $conn->{streams}{$id}{status} }, 5);
is $conn->{streams}{$id}{status}, 408, 'a body that does not come';
ok $conn->is_alive, 'and the connection goes on';
$conn = dial(window => 0);
$id = $conn->request('GET', '/big?bytes=9000000');
is $conn->reply($id, 12)->{reset}, CANCEL, 'a window that stays closed';
ok $conn->is_closed(5), 'and the connection is idle then';
my $half = Test::Http2->connect($http->port, quiet => 1);
$half->send('PRI * HTTP/2.0');
$half->until(sub { $half->{text} }, 4);
like $half->{text}, qr/^HTTP\/1\.1 408/, 'half a preface';

# --- hostile frames ------------------------------------------------------------------

# Error of the connection after frames; they come after a good request.
sub error_of {
    my (@frames) = @_;
    my $conn = dial();

    $conn->get('/health');
    $conn->send(join '', @frames);
    my $code = $conn->goaway(5);
    return 'still open' unless $conn->is_closed(5);
    return defined $code ? $code : 'no GOAWAY';
}

sub f { return Test::Http2::bytes_of_frame(@_) }
my $get = Test::Http2->block('GET', '/health');
my $post = Test::Http2->block('POST', '/echo');

is error_of(f(DATA, 0, 0, 'x')), PROTOCOL_ERROR, 'DATA on stream 0';
is error_of(f(DATA, 0, 9, 'x')), PROTOCOL_ERROR, 'DATA on an idle stream';
is error_of(f(HEADERS, 5, 2, $get)), PROTOCOL_ERROR, 'an even stream';
is error_of(f(HEADERS, 5, 1, $get)), STREAM_CLOSED, 'a stream used twice';
is error_of(f(HEADERS, 4, 3, $post), f(DATA, 8, 3, "\xffab")),
    PROTOCOL_ERROR, 'padding beyond the frame';
is error_of(f(HEADERS, 1, 3, $get), f(PING, 0, 0, 'x' x 8)),
    PROTOCOL_ERROR, 'a frame within a header block';
is error_of(f(CONTINUATION, 4, 3, $get)), PROTOCOL_ERROR,
    'CONTINUATION out of the blue';
is error_of(f(HEADERS, 5, 3, "\xff\xff\xff\xff\xff\xff")),
    COMPRESSION_ERROR, 'an index without end';
is error_of(f(HEADERS, 5, 3, "\xbe")), COMPRESSION_ERROR,
    'an index of nothing';
is error_of(f(SETTINGS, 0, 0, 'x')), FRAME_SIZE_ERROR, 'half a setting';
is error_of(f(SETTINGS, 0, 0, pack 'nN', 4, 1 << 31)), FLOW_CONTROL_ERROR,
    'a window beyond 2^31';
is error_of(f(PING, 0, 0, 'x')), FRAME_SIZE_ERROR, 'a short PING';
is error_of(f(WINDOW_UPDATE, 0, 0, pack 'N', 0)), PROTOCOL_ERROR,
    'a window update of 0';
is error_of(f(WINDOW_UPDATE, 0, 0, pack 'N', 0x7fffffff)),
    FLOW_CONTROL_ERROR, 'a connection window beyond 2^31';
is error_of(f(PUSH_PROMISE, 4, 3, pack('N', 2) . $get)), PROTOCOL_ERROR,
    'PUSH_PROMISE by a client';
is error_of("\x01\x00\x00\x00\x00\x00\x00\x00\x03"), FRAME_SIZE_ERROR,
    'a frame of 64 KiB';

# Bodies that find no memory wait, and the windows bound what waits.
{
    my $conn = dial();
    $conn->is_alive;
    $http->request('POST', '/budget?bytes=65536');
    my $id = $conn->request('POST', '/sink', {}, open => 1);
    $conn->frame(DATA, 0, $id, 'x' x 16384) for 1 .. 60;
    is $conn->reply($id, 5)->{status}, 503, 'no memory for a body';
    is $http->stats->{spoor_http_body_bytes}, 0, 'and nothing is kept';
    ok $conn->is_alive, 'the connection goes on';
    $id = $conn->request('POST', '/sink', {}, open => 1);
    $conn->frame(DATA, 0, $id, 'x' x 16384) for 1 .. 80;
    is $conn->reply($id, 5)->{reset}, FLOW_CONTROL_ERROR,
        'data beyond the window';
    $http->request('POST', '/budget?bytes=67108864');
}

# --- floods, with an honest client beside them ---------------------------------------

my $probes = 0;
my $slowest = 0;
my $failed = 0;
my $sends;

# Sends make() until the server says that it has had enough or the seconds are
# over; what it said.  stubborn => 1 goes on until it closes.
sub flood {
    my ($seconds, $make, %option) = @_;
    my $end = time() + $seconds;
    my $conn = dial(%option);
    my $probe = dial();

    $sends = 0;
    while (time() < $end && !$conn->{closed}) {
        $sends++;
        $conn->send($make->($conn)) or last;
        $conn->_more(0) if !$option{deaf};
        last if $conn->{goaways} && !$option{stubborn};
        my $start = time();
        $probe->get('/health')->{status} or $failed++;
        $probes++;
        my $took = time() - $start;
        $slowest = $took if $took > $slowest;
    }
    $conn->goaway(2);
    return ($conn->{goaways} ? $conn->{goaways}[-1][1]
        : $conn->{closed} ? 'closed' : 'still open');
}

my $rss = $http->stats->{rss_kb};
sub next_id { my $id = $_[0]{next}; $_[0]{next} += 2; return $id }

is flood(10, sub {
    my ($conn) = @_;
    return join '', map { my $id = next_id($conn);
        f(HEADERS, 5, $id, $get) . f(RST_STREAM, 0, $id, pack 'N', 8) }
        1 .. 100;
}, stubborn => 1), ENHANCE_YOUR_CALM, 'rapid reset';
is flood(10, sub {
    my ($conn) = @_;
    return join '', map { my $id = next_id($conn);
        f(HEADERS, 5, $id, $get) . f(WINDOW_UPDATE, 0, $id, pack 'N', 0) }
        1 .. 100;
}), PROTOCOL_ERROR, 'resets that the server is made to send';
# Who has acknowledged the number breaks the protocol.
for my $option ([mute => 1], []) {
    like flood(10, sub {
        my ($conn) = @_;
        return join '', map { f(HEADERS, 5, next_id($conn),
            Test::Http2->block('GET', '/slow?ms=20000')) } 1 .. 200;
    }, @$option), @$option ? qr/^11$/ : qr/^(?:1|11)$/,
        'streams beyond the number allowed';
}
for my $block ('', literal('x', 'y'), literal('x', 'y' x 1000)) {
    my $first = 1;
    is flood(10, sub {
        my $frames = $first ? f(HEADERS, 1, 1, $get) : '';
        $first = 0;
        return $frames . f(CONTINUATION, 0, 1, $block) x 50;
    }), ENHANCE_YOUR_CALM, 'CONTINUATION of ' . length($block) . ' bytes';
}
is flood(10, sub { f(PING, 0, 0, 'x' x 8) x 500 }, stubborn => 1),
    ENHANCE_YOUR_CALM, 'PING';
like flood(10, sub { f(PING, 0, 0, 'x' x 8) x 500 }, deaf => 1,
    rcvbuf => 4096), qr/^(?:11|closed)$/, 'PING, answers not read';
is flood(10, sub { f(PING, 1, 0, 'x' x 8) x 500 }), ENHANCE_YOUR_CALM,
    'answers to no PING';
is flood(10, sub { f(SETTINGS, 0, 0, '') x 500 }), ENHANCE_YOUR_CALM,
    'SETTINGS';
is flood(10, sub { f(PRIORITY, 0, 3, pack 'NC', 1, 1) x 500 }),
    ENHANCE_YOUR_CALM, 'PRIORITY';
is flood(10, sub { f(WINDOW_UPDATE, 0, 0, pack 'N', 1) x 500 }),
    ENHANCE_YOUR_CALM, 'WINDOW_UPDATE';
is flood(10, sub { f(0xee, 0, 0, 'x' x 100) x 500 }), ENHANCE_YOUR_CALM,
    'unknown frames';
{
    my $first = 1;
    is flood(10, sub {
        my $frames = $first ? f(HEADERS, 4, 1, $post) : '';
        $first = 0;
        return $frames . f(DATA, 0, 1, '') x 500;
    }), ENHANCE_YOUR_CALM, 'empty DATA';
}

# One entry of the table, named again and again.
my $bomb = "\x40" . Test::Http2::integer(1, 7, 0) . 'b'
    . Test::Http2::integer(3900, 7, 0) . 'v' x 3900;
is flood(10, sub {
    my ($conn) = @_;
    my $id = next_id($conn);
    return f(HEADERS, 5, $id, $get . ($id == 1 ? $bomb : '')
        . "\xbe" x 12000);
}), ENHANCE_YOUR_CALM, 'HPACK bomb';
{
    my $conn = dial();
    $conn->get('/health', []);
    my $id = $conn->{next};
    $conn->frame(HEADERS, 5, $id, $get . $bomb . "\xbe" x 30);
    is $conn->reply($id)->{status}, 431, 'a small bomb is an answer';
    ok $conn->is_alive, 'and the connection goes on';
}

# Each of these makes the server reset a stream.
my $slow = Test::Http2->block('GET', '/slow?ms=20000');
my %provoked = (
    'a malformed field' => sub {
        return f(HEADERS, 5, $_[0], $get . literal('Upper', 'x')) },
    'a stream window beyond 2^31' => sub {
        return f(HEADERS, 5, $_[0], $slow)
            . f(WINDOW_UPDATE, 0, $_[0], pack 'N', 0x7fffffff) },
    'less than promised' => sub {
        return f(HEADERS, 4, $_[0], Test::Http2->block('POST', '/echo',
            ['content-length' => 10])) . f(DATA, 1, $_[0], 'abc') },
);
for my $name (sort keys %provoked) {
    is flood(10, sub {
        my ($conn) = @_;
        return join '', map { $provoked{$name}->(next_id($conn)) } 1 .. 50;
    }), ENHANCE_YOUR_CALM, "resets provoked by $name";
}
is flood(10, sub {
    my ($conn) = @_;
    return join '', map { my $id = next_id($conn);
        f(HEADERS, 4, $id, Test::Http2->block('POST', '/slow_insert'))
            . f(DATA, 1, $id, 'x') . f(RST_STREAM, 0, $id, pack 'N', 8) }
        1 .. 100;
}), ENHANCE_YOUR_CALM, 'rapid reset of what cannot be cancelled';
is flood(10, sub { f(SETTINGS, 0, 0, pack('nN', 4, 65535) x 2700) x 4 }),
    ENHANCE_YOUR_CALM, 'SETTINGS of 2700 values';
like flood(10, sub { f(SETTINGS, 0, 0, pack 'nN', 4, 100) x 500 }, deaf => 1,
    rcvbuf => 4096), qr/^(?:11|closed)$/, 'SETTINGS, answers not read';
{
    for ([0, 'x', 'of one byte'], [PADDED, "\0", 'of padding only'],
        [PADDED, "\xff" . "\0" x 255, 'of long padding']) {
        my ($flags, $payload, $name) = @$_;
        my $first = 1;
        is flood(10, sub {
            my $frames = $first ? f(HEADERS, 4, 1, $post) : '';
            $first = 0;
            return $frames . f(DATA, $flags, 1, $payload) x 500;
        }), ENHANCE_YOUR_CALM, "DATA $name";
        cmp_ok $sends, '<', 50, 'not for long';
    }
    like flood(1, sub {
        my ($conn) = @_;
        return f(HEADERS, 5, next_id($conn), "\x3f\xe1\x1f" x 5000 . $get);
    }), qr/^(?:0|still open)$/, 'sizes of the HPACK table cost nothing';
}
{
    my $first = 1;
    is flood(10, sub {
        my $frames = $first ? f(HEADERS, 5, 1,
            Test::Http2->block('GET', '/big?bytes=9000000')) : '';
        $first = 0;
        return $frames . f(WINDOW_UPDATE, 0, 1, pack 'N', 1) x 200;
    }, window => 0, settings => { 4 => 0 }), ENHANCE_YOUR_CALM,
        'a window that opens byte by byte';
}
ok wait_for(sub { $http->stats->{spoor_http_body_bytes} == 0 }, 5),
    'no body is left of the floods';
is $failed, 0, "$probes honest requests, all answered";
cmp_ok $slowest, '<', $ENV{SPOOR_OBJDIR} ? 5 : 1, 'none late';
diag sprintf 'slowest beside a flood: %.1f ms', $slowest * 1000;
cmp_ok $http->stats->{rss_kb} - $rss, '<', 32 * 1024,
    'memory after the floods' unless $ENV{SPOOR_OBJDIR};
$stats = $http->stats;
for (qw(reset_flood control_flood head_too_large)) {
    cmp_ok $stats->{"spoor_http_refused_total{reason=\"$_\"}"}, '>', 0,
        "$_ is counted";
}

# Readers with closed windows: what they hold is bounded, and ends.
{
    my @held = map { dial(window => 0, settings => { 4 => 0 }) } 1 .. 20;
    $_->request('GET', '/big?bytes=10000000') for map { ($_) x 50 } @held;
    $_->is_alive for @held;
    my $queued = $http->stats->{queued};
    cmp_ok $queued, '<', 120_000_000,
        "1000 streams with closed windows: $queued bytes queued";
    ok wait_for(sub { $http->stats->{spoor_http_connections} <= 2 }, 15),
        'stalled streams are ended';
}

# --- the end ---------------------------------------------------------------------------

$conn = dial();
$id = $conn->request('GET', '/slow?ms=700');
my $post_id = $conn->request('POST', '/echo', {}, open => 1);
$conn->is_alive;
kill 'TERM', $http->pid;
ok defined $conn->goaway(3), 'GOAWAY when the process drains';
is $conn->{goaways}[0][0], 0x7fffffff, 'the first leaves time';
$conn->data($post_id, 'abc', 1);
is $conn->reply($post_id)->{body}, 'abc', 'what was begun is completed';
is $conn->reply($id)->{body}, 'slow', 'and what runs is answered';
ok $conn->is_closed(5), 'then it is closed';
cmp_ok scalar @{$conn->{goaways}}, '>=', 2, 'with a second GOAWAY';

Test::Http::check_servers();
done_testing;
