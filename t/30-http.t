# SPDX-License-Identifier: BSD-2-Clause
#
# HTTP/1.1: routes, replies, bodies, keep-alive, pipelining.

use strict;
use warnings;

use Test::More;
use Test::Http;
use Test::Spoor qw(wait_for);
use Time::HiRes qw(sleep time);

my $http = Test::Http->new(flags => {
    'opentelemetry.traces.maxRequestSize' => '4MiB' });
my $end = "Host: a\r\n\r\n";

# --- routes ------------------------------------------------------------------

my $reply = $http->get('/health');
is $reply->{status}, 200, '/health';
is $reply->{body}, 'OK', 'its body';
is $reply->{headers}{server}, 'spoor', 'Server';
like $reply->{headers}{date},
    qr/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/, 'Date';
is $reply->{headers}{'x-content-type-options'}, 'nosniff', 'nosniff';
ok $reply->{headers}{'x-server-hostname'}, 'X-Server-Hostname';
is $reply->{headers}{'cache-control'}, 'no-store', 'no-store';
is $reply->{headers}{connection}, undef, 'stays open';

for (
    ['GET', '/nope', 404], ['GET', '/', 404], ['GET', '/health/', 404],
    ['GET', '/Health', 404], ['POST', '/nope', 404], ['FOO', '/nope', 404],
    ['GET', '//health', 200], ['GET', '/%68ealth', 200],
    ['GET', '///health?x', 200], ['HEAD', '/health', 200],
    ['POST', '/health', 405], ['DELETE', '/health', 405],
    ['FOO', '/health', 405], ['GET', '/echo', 405], ['HEAD', '/echo', 405],
    ['PUT', '/form', 405], ['TRACE', '/health', 405],
    ['GET', '/arg/', 404], ['GET', '/services//operations', 404],
) {
    my ($method, $target, $status) = @$_;
    $reply = $http->request($method, $target);
    is $reply->{status}, $status, "$method $target";
}
like $http->get('/a%00')->{body}, qr/escape/, 'NUL in a path';
is $http->get("/no\$pe%0d%0a%1b[1m<b>")->{body},
    "unknown path: /no\$pe???[1m<b>\n", 'an unknown path is named, safely';
is length($http->get('/' . 'x' x 5000)->{body}),
    length('unknown path: ') + 256 + 4, 'and shortly';
is $http->request('POST', '/health')->{headers}{allow},
    'GET, HEAD, OPTIONS', 'Allow';
is $http->request('DELETE', '/form')->{headers}{allow},
    'GET, HEAD, POST, OPTIONS', 'Allow with POST';
for ('/.', '/..', '/./health', '/../health', '/a/../health', '/%2e/health',
    '/%2e%2e/health', '/.%2E/health', '/arg/..%2f', '/arg/%2e%2e%2fx',
    '/arg/..', '/%', '/%4', '/%zz', '/a%2', '/health%00', '/arg/%00') {
    is $http->get($_)->{status}, 400, "bad path $_";
}
sub shown {
    my ($target, $name) = @_;
    my ($value) = $http->get($target)->{body} =~ /^\Q$name\E=(.*)$/m;
    return $value;
}
is shown('/arg/x', 'route'), '/arg/*', 'star';
is shown('/arg/exact', 'route'), '/arg/exact', 'exact wins';
is shown('/arg/x/tail', 'route'), '/arg/*', 'first star wins';
is shown('/arg/a%2Fb', 'arg'), 'a%2Fb', 'escaped slash stays';
is shown('/arg/a%2Fb', 'path'), '/arg/a/b', 'decoded path';
is shown('/arg/a//b', 'arg'), 'a/b', 'slashes are collapsed';
is shown('/arg/%61%20b', 'arg'), 'a%20b', 'needless escapes are gone';
is shown('/arg/x?y=/../z', 'query'), 'y=/../z', 'query is raw';
is shown('/services/a%2F%C3%A9/operations', 'arg'), 'a%2F%C3%A9',
    'service name';
is shown('/services/a/b/operations', 'arg'), 'a/b', 'star takes slashes';

# --- arguments ---------------------------------------------------------------

is shown('/form?a=1&a=2&b=%41+c', 'a[1]'), '2', 'repeated argument';
is shown('/form?a=1&a=2&b=%41+c', 'b[0]'), 'A c', 'unescaped argument';
is shown('/form?c+d=x', 'c d[0]'), 'x', 'escaped name';
is shown('/form?c%20d=y', 'c d[0]'), 'y', 'escaped name, %20';
is shown('/form?a', 'a[0]'), '', 'argument without value';
is shown('/form?aa=1', 'a[0]'), undef, 'another name';
is shown('/form?a=%', 'a[0]'), '%', 'malformed escape is kept';
is shown('/form?&&a=1&', 'a[0]'), '1', 'empty pairs';
is shown('/form?a=b=c', 'a[0]'), 'b=c', 'equals sign in a value';
$reply = $http->request('POST', '/form?a=query&b=query',
    { 'Content-Type' => 'application/x-www-form-urlencoded; charset=x' },
    'a=body&c%20d=%2B');
like $reply->{body}, qr/^a\[0\]=body\na\[1\]=query\nb\[0\]=query\nc d\[0\]=\+$/m,
    'arguments of a form come first';
$reply = $http->request('POST', '/form?a=query',
    { 'Content-Type' => 'text/plain' }, 'a=body');
like $reply->{body}, qr/^a\[0\]=query$/m, 'a body that is no form';

for (
    [{}, '0:0'], [{ AccountID => '12', ProjectID => '4294967295' },
        '12:4294967295'],
    [{ AccountID => '5' }, '5:0'], [{ ProjectID => '7' }, '0:7'],
) {
    my ($headers, $tenant) = @$_;
    like $http->get('/form', $headers)->{body}, qr/^tenant=$tenant$/m,
        "tenant $tenant";
}
for ('', '-1', '+1', '4294967296', '1 2', '0x1', 'abc', '1.0') {
    is $http->get('/form', { AccountID => $_ })->{status}, 400,
        "tenant '$_' is refused";
}

# --- replies -----------------------------------------------------------------

$reply = $http->request('HEAD', '/text?bytes=500');
is $reply->{headers}{'content-length'}, 500, 'HEAD: length';
my $conn = $http->connect;
$conn->send("HEAD /text?bytes=500 HTTP/1.1\r\n${end}HEAD /big HTTP/1.1\r\n" .
    "${end}HEAD /nope HTTP/1.1\r\n${end}GET /health HTTP/1.1\r\n$end");
is $conn->reply(5, 1)->{status}, 200, 'HEAD of a whole reply';
is $conn->reply(5, 1)->{status}, 200, 'HEAD of a streamed reply';
is $conn->reply(5, 1)->{status}, 404, 'HEAD of nothing';
is $conn->reply->{body}, 'OK', 'no bytes between';

$reply = $http->get('/big?bytes=3000000');
is $reply->{headers}{'transfer-encoding'}, 'chunked', 'streamed in chunks';
is length $reply->{body}, 3000000, 'all of it';
is length $http->get('/text?bytes=3000000')->{body}, 3000000, 'whole reply';
$reply = $http->raw("GET /big?bytes=100000 HTTP/1.0\r\n\r\n");
unlike $reply, qr/chunked/, 'no chunks in HTTP/1.0';
like $reply, qr/^Connection: close\r\n/m, 'closed at the end';
like $reply, qr/\r\n\r\n(?:x{1000}){100}$/, "all of it";
$conn = $http->connect;
$conn->send("GET /big?bytes=300000&break=100000 HTTP/1.1\r\n$end");
is $conn->reply, undef, 'a broken reply has no end';
ok $conn->is_closed, 'and is cut';

$reply = $http->get('/html');
like $reply->{headers}{'content-security-policy'}, qr/default-src 'none'/,
    'policy of pages';
sleep 1.1; # the log takes ten lines a second of one kind
$reply = $http->get('/fail?status=503&why=%0d%0aX');
is $reply->{status}, 503, 'error';
is $reply->{headers}{'x-injected'}, undef, 'no injected field';
is $reply->{headers}{'x-evil'}, 'a??X-Injected: b', 'made safe';
like $http->log, qr/503 to GET \/fail/, 'logged';
unlike $http->log, qr/[\x00-\x08\x0b-\x1f]/, 'the log has no control bytes';

SKIP: {
    eval { require IO::Uncompress::Gunzip; 1 }
        or skip 'no IO::Uncompress::Gunzip', 1;
    for my $bytes (1023, 1024, 50000, 65536, 65537, 2000000) {
        my $plain = $http->get("/text?bytes=$bytes")->{body};
        $reply = $http->get("/text?bytes=$bytes",
            { 'Accept-Encoding' => 'br, gzip;q=0.5' });
        my $packed = $reply->{body};
        my $is_gzip = ($reply->{headers}{'content-encoding'} || '') eq 'gzip';
        is $is_gzip ? 1 : 0, $bytes >= 1024 ? 1 : 0, "$bytes bytes packed";
        if ($is_gzip) {
            my $out = '';
            IO::Uncompress::Gunzip::gunzip(\$packed, \$out);
            $packed = $out;
            is $reply->{headers}{vary}, 'Accept-Encoding', 'Vary';
        }
        ok $packed eq $plain, 'the same bytes';
    }
}
for ('gzip;q=0', 'identity', 'br', '*;q=0', 'gzip;q=0.000, *') {
    is $http->get('/text?bytes=5000', { 'Accept-Encoding' => $_ })
        ->{headers}{'content-encoding'}, undef, "no gzip for $_";
}
for ('gzip', 'GZIP', '*', 'x-gzip', 'deflate, gzip;q=1.0', 'gzip ; q=0.1') {
    is $http->get('/text?bytes=5000', { 'Accept-Encoding' => $_ })
        ->{headers}{'content-encoding'}, 'gzip', "gzip for $_";
}

# --- CORS --------------------------------------------------------------------

$reply = $http->request('OPTIONS', '/echo', {
    Origin => 'http://x', 'Access-Control-Request-Method' => 'POST',
    'Access-Control-Request-Headers' => 'content-type, x-a' });
is $reply->{status}, 204, 'preflight';
is $reply->{headers}{'access-control-allow-origin'}, '*', 'origin';
is $reply->{headers}{'access-control-allow-methods'}, 'POST, OPTIONS',
    'methods';
is $reply->{headers}{'access-control-allow-headers'}, 'content-type, x-a',
    'headers as asked for';
is $reply->{headers}{'content-length'}, undef, 'no length with 204';
for ("a b", "a\x80", 'x' x 1025) {
    is $http->request('OPTIONS', '/echo',
        { 'Access-Control-Request-Headers' => $_ })
        ->{headers}{'access-control-allow-headers'}, '*', 'odd headers: *';
}
$reply = $http->request('OPTIONS', '/health');
is $reply->{status}, 204, 'OPTIONS elsewhere';
is $reply->{headers}{'access-control-allow-origin'}, undef, 'without CORS';
is $reply->{headers}{allow}, 'GET, HEAD, OPTIONS', 'Allow';
is $http->request('OPTIONS', '*')->{status}, 204, 'OPTIONS *';
is $http->request('OPTIONS', '/nope')->{status}, 404, 'OPTIONS of nothing';
is $http->get('/form')->{headers}{'access-control-allow-origin'}, '*',
    'CORS on replies';
is $http->get('/text')->{headers}{'access-control-allow-origin'}, undef,
    'and only there';

# --- keep-alive and pipelining -----------------------------------------------

$conn = $http->connect;
for my $i (1 .. 20) {
    $conn->request('GET', "/arg/$i");
    like $conn->reply->{body}, qr/^arg=$i$/m, "request $i of a connection";
}
$conn->request('GET', '/health', { Connection => 'close' });
is $conn->reply->{headers}{connection}, 'close', 'close is answered';
ok $conn->is_closed, 'and done';
ok $http->connect->send("GET /health HTTP/1.0\r\n\r\n"), 'HTTP/1.0';
like $http->raw("GET /health HTTP/1.0\r\n\r\n"), qr/Connection: close\r\n/,
    '1.0 is closed';
$conn = $http->connect;
$conn->send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
is $conn->reply->{headers}{connection}, 'keep-alive', '1.0 is kept if asked';
$conn->send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
is $conn->reply->{status}, 200, 'twice';

$conn = $http->connect;
my $n = 2000;
$conn->send(join '', map { "GET /arg/$_ HTTP/1.1\r\n$end" } 1 .. $n);
my $wrong = 0;
for my $i (1 .. $n) {
    my $got = $conn->reply or last;
    $wrong++ unless $got->{body} =~ /^arg=$i$/m;
    $n--;
}
is $n, 0, 'pipelined requests are all answered';
is $wrong, 0, 'in order';
$conn = $http->connect;
$conn->send("GET /slow?ms=100 HTTP/1.1\r\n${end}POST /echo HTTP/1.1\r\n" .
    "Host: a\r\nContent-Length: 5\r\n\r\nhelloGET /slow?ms=1 HTTP/1.1\r\n" .
    "${end}POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n" .
    "\r\n3\r\nabc\r\n0\r\n\r\nGET /nope HTTP/1.1\r\n$end");
is $conn->reply->{body}, 'slow', 'slow one first';
is $conn->reply->{body}, 'hello', 'then a body';
is $conn->reply->{body}, 'slow', 'then a slow one';
is $conn->reply->{body}, 'abc', 'then chunks';
is $conn->reply->{status}, 404, 'then an error';
$conn = $http->connect;
$conn->send("GET /slow?ms=300 HTTP/1.1\r\n$end" .
    ("GET /text?bytes=10 HTTP/1.1\r\n" . "X: " . 'y' x 3000 . "\r\n$end") x 9);
is $conn->reply->{body}, 'slow', 'more input than the buffer holds';
is length $conn->reply->{body}, 10, "waiting request $_" for 1 .. 9;

# --- bodies ------------------------------------------------------------------

for my $length (0, 1, 4000, 4096, 5000, 65535, 65536, 65537, 200001, 1 << 20,
    4 << 20) {
    my $body = join '', map { chr(33 + $_ % 90) } 1 .. 997;
    $body = substr $body x (1 + $length / 997), 0, $length;
    $reply = $http->request('POST', '/echo', {}, $body);
    ok $reply && $reply->{body} eq $body, "body of $length bytes";
    for my $size (7, 1000, 100000) {
        next if $length / $size > 20000;
        my $chunks = join '', map { sprintf("%x\r\n", length) . "$_\r\n" }
            unpack "(a$size)*", $body;
        $conn = $http->connect;
        $conn->send("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .
            "$end${chunks}0\r\nX-Trailer: y\r\n\r\nGET /health HTTP/1.1\r\n" .
            $end);
        $reply = $conn->reply;
        ok $reply && $reply->{body} eq $body, "in chunks of $size";
        is $conn->reply->{body}, 'OK', 'and the request behind';
    }
}
{
    my $body = join '', map { chr(32 + rand 90) } 1 .. 3000;
    my $text = "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n$end" .
        join('', map { sprintf("%X;e=1\r\n", length) . "$_\r\n" }
            unpack '(a77)*', $body) . "0\r\n\r\n";
    for my $slice (1, 3, 17) {
        $conn = $http->connect;
        setsockopt $conn->{socket}, 6, 1, 1;
        $conn->send($_) for unpack "(a$slice)*", substr $text, 0, 2000;
        $conn->send(substr $text, 2000);
        $reply = $conn->reply;
        ok $reply && $reply->{body} eq $body, "chunks in slices of $slice";
    }
}
is $http->request('GET', '/health', {}, '')->{status}, 200,
    'Content-Length: 0 anywhere';
$conn = $http->connect;
$conn->request('GET', '/health', {}, 'x');
is $conn->reply->{status}, 413, 'a body where none is taken';
ok $conn->is_closed, 'closes';

# --- Expect ------------------------------------------------------------------

sub expect {
    my ($head, $body) = @_;
    $conn = $http->connect;
    $conn->send("$head\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    return 'silence' unless $conn->more(2);
    return 'refused' unless $conn->{in} =~ /^HTTP\/1\.1 100 Continue\r\n\r\n/;
    $conn->send($body);
    return $conn->reply->{body};
}
is expect("POST /echo HTTP/1.1\r\nContent-Length: 5", 'hello'), 'hello',
    '100-continue';
is expect("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked",
    "5\r\nhello\r\n0\r\n\r\n"), 'hello', '100-continue, chunked';
is expect("POST /echo HTTP/1.1\r\nContent-Length: 5000000", ''), 'refused',
    'no invitation for too large a body';
is expect("POST /nope HTTP/1.1\r\nContent-Length: 5", ''), 'refused',
    'nor for an unknown path';
is expect("POST /health HTTP/1.1\r\nContent-Length: 5", ''), 'refused',
    'nor for a wrong method';
is expect("POST /echo HTTP/1.1\r\nContent-Length: 0", ''), 'refused',
    'nor without a body';
is expect("POST /echo HTTP/1.0\r\nContent-Length: 5", 'hello'), 'silence',
    'nor in HTTP/1.0';
$conn = $http->connect;
$conn->send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" .
    "Content-Length: 5\r\n\r\nhello");
is $conn->reply->{interim}, 0, 'nor when the body is there';

# --- large bodies that wait to be compressed --------------------------------

{
    # The least of every budget: 8 MiB of replies.
    my $small = Test::Http->new(flags => { 'memory.allowedBytes' => '32MiB' });
    my $begin = time();

    $small->get('/hold?queries=1&ms=4000');
    is $small->get('/text?bytes=100000', { 'Accept-Encoding' => 'gzip' })
        ->{headers}{'content-encoding'}, 'gzip', 'a large reply is packed';
    cmp_ok time() - $begin, '<', 3, 'while searches hold their threads';
    $small->get('/hold?ms=3000');
    my @waiting = map { $small->connect } 1 .. 3;
    $_->send("GET /text?bytes=3000000 HTTP/1.1\r\n"
        . "Accept-Encoding: gzip\r\n$end") for @waiting;
    ok wait_for(sub { $small->get('/text?bytes=1')->{status} == 503 }, 2),
        'bodies that wait for a thread count as replies that wait';
    for my $conn (@waiting) {
        $reply = $conn->reply(20);
        is $reply->{headers}{'content-encoding'}, 'gzip', 'they are packed';
    }
    ok wait_for(sub { $small->get('/text?bytes=1')->{status} == 200 }, 5),
        'and count no more';
}

# --- counters ----------------------------------------------------------------

my $stats = $http->stats;
is $stats->{body_bytes}, 0, 'no body memory is left';
cmp_ok $stats->{'spoor_http_connections'}, '<', 20, 'connections are counted';
cmp_ok $stats->{'spoor_http_received_bytes_total'}, '>', 10_000_000,
    'received bytes';
Test::Http::check_servers();
done_testing();
