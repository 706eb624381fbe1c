# SPDX-License-Identifier: BSD-2-Clause
#
# HTTP/1.1: limits, slow clients, memory of bodies, stalled readers.

use strict;
use warnings;

use Test::More;
use Test::Http;
use Test::Spoor qw(wait_for);
use Time::HiRes qw(sleep time);

my $end = "Host: a\r\n\r\n";
my $is_sanitized = ($ENV{SPOOR_OBJDIR} || '') =~ /asan|tsan/;
my $http = Test::Http->new(flags => {
    'opentelemetry.traces.maxRequestSize' => '1MiB' });

# --- sizes at limit -1, 0, +1 (units test the parser itself) ------------------

my $line = 8192 - length('GET / HTTP/1.1');
for my $over (-1, 0, 1) {
    is $http->status('GET /' . 'a' x ($line + $over) . " HTTP/1.1\r\n$end"),
        $over > 0 ? 414 : 404, "request line, limit + $over";
    is $http->status("GET /health HTTP/1.1\r\nX: " .
        'a' x (8192 - 3 + $over) . "\r\n$end"), $over > 0 ? 431 : 200,
        "field, limit + $over";
    is $http->status("GET /health HTTP/1.1\r\n" .
        join('', map { "X-$_: a\r\n" } 1 .. 99 + $over) . $end),
        $over > 0 ? 431 : 200, "number of fields, limit + $over";
    my $head = "GET /health HTTP/1.1\r\n" . ('X: ' . 'a' x 995 . "\r\n") x 32;
    my $rest = 32768 + $over - length("$head$end") - length "Y: \r\n";
    is $http->status("${head}Y: " . 'b' x $rest . "\r\n$end"),
        $over > 0 ? 431 : 200, "whole head, limit + $over";
    my $size = (1 << 20) + $over;
    my $body = 'x' x $size;
    my $reply = $http->request('POST', '/sink', {}, $body);
    is $reply->{status}, $over > 0 ? 413 : 200, "body, limit + $over";
    is $http->status("POST /sink HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .
        $end . sprintf("%x\r\n", $size - 10) . substr($body, 10) .
        "\r\na\r\n0123456789\r\n0\r\n\r\n"), $over > 0 ? 413 : 200,
        "chunked body, limit + $over";
    my $form = 'a=' . 'x' x ((1 << 20) - 2 + $over);
    is $http->request('POST', '/form', {}, $form)->{status},
        $over > 0 ? 413 : 200, "form, limit + $over";
}
for my $length ('1048577', '999999999999', '18446744073709551615',
    '18446744073709551616', '9' x 400) {
    my $conn = $http->connect;
    $conn->send("POST /sink HTTP/1.1\r\nContent-Length: $length\r\n$end");
    my $reply = $conn->reply;
    is $reply->{status}, 413, "length $length, before its body";
    is $reply->{headers}{connection}, 'close', 'closes';
}
is $http->status("POST /sink HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .
    "${end}ffffffffffffffff\r\n"), 413, 'chunk of 2^64 - 1';
is $http->status("POST /sink HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .
    "${end}5\r\nhello\r\nfffffffffffffffb\r\n"), 413,
    'chunk that makes the sum wrap';
is $http->status("POST /sink HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .
    "${end}1;" . 'x' x 20000 . "\r\n"), 400, 'chunk extensions';
is $http->status("POST /sink HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" .
    "${end}0\r\n" . "X: y\r\n" x 3000), 400, 'trailers';
is $http->stats->{body_bytes}, 0, 'all bodies are gone';

# A refused body that keeps coming does not hide the answer behind a reset.
{
    my $conn = $http->connect;
    $conn->send("POST /sink HTTP/1.1\r\nContent-Length: 3000000\r\n$end");
    $conn->send('x' x 500000);
    my $reply = $conn->reply;
    is $reply && $reply->{status}, 413, 'answer while the body is sent';
}

# --- memory for bodies -------------------------------------------------------

{
    my $sent = 0;
    my @conns = map { $http->connect } 1 .. 50;
    for (@conns) {
        $_->send("POST /sink HTTP/1.1\r\nContent-Length: 1048576\r\n$end");
        $_->send('x' x 1000);
    }
    # Each a first step; a few got a buffer that was kept from before.
    cmp_ok $http->stats->{body_bytes}, '<=', 50 * 65536 + 4 * (2 << 20),
        'memory follows the bytes, not the promise';
    $_->close for @conns;
    ok wait_for(sub { $http->stats->{body_bytes} == 0 }, 5), 'and is freed';

    $http->request('POST', '/budget?bytes=131072');
    my $first = $http->connect;
    $first->send("POST /sink HTTP/1.1\r\nContent-Length: 100000\r\n$end" .
        'x' x 90000);
    ok wait_for(sub { $http->stats->{body_bytes} >= 100000 }, 5),
        'one body takes the budget';
    my $second = $http->connect;
    my $begin = time();
    $second->send("POST /sink HTTP/1.1\r\nContent-Length: 100000\r\n$end" .
        'x' x 100000);
    my $third = $http->connect;
    $third->request('POST', '/echo', {}, 'small');
    is $third->reply->{body}, 'small', 'small bodies need none of it';
    my $reply = $second->reply;
    is $reply->{status}, 503, 'the next waits, then is refused';
    cmp_ok time() - $begin, '>', 0.9, 'after a second';
    is $reply->{headers}{'retry-after'}, 1, 'Retry-After';
    my $fourth = $http->connect;
    $fourth->send("POST /sink HTTP/1.1\r\nContent-Length: 100000\r\n$end" .
        'x' x 100000);
    sleep 0.3;
    $first->send('x' x 10000);
    is $first->reply->{status}, 200, 'the first ends';
    is $fourth->reply->{status}, 200, 'and lets the next in';
    is $http->stats->{body_bytes}, 0, 'nothing is left';
    $http->request('POST', '/budget');
}

# --- stalled readers ---------------------------------------------------------

{
    my $before = $http->stats->{rss_kb};
    my @conns = map { $http->connect } 1 .. 10;
    $_->send("GET /big?bytes=300000000 HTTP/1.1\r\n$end") for @conns;
    sleep 1;
    my $stats = $http->stats;
    cmp_ok $stats->{rss_kb} - $before, '<', $is_sanitized ? 250_000 : 40_000,
        'stalled readers hold bounded memory';
    my $got = 0;
    my $conn = shift @conns;
    my $reply = $conn->reply(20);
    is $reply && length $reply->{body}, 300000000, 'who reads, gets it all';
    $_->close for @conns;
    ok wait_for(sub { $http->stats->{aborted} == 9 }, 5),
        'handlers hear of those who leave';
    $before = $http->stats->{rss_kb};
    @conns = map { $http->connect } 1 .. 300;
    $_->send("GET /big?bytes=30000000 HTTP/1.1\r\n$end") for @conns;
    sleep 1;
    $stats = $http->stats;
    my $more = $stats->{rss_kb} - $before;
    diag "300 stalled readers: $more KiB, $stats->{queued} bytes queued";
    cmp_ok $more, '<', $is_sanitized ? 1_000_000 : 130_000,
        'so do many of them';
    $_->close for @conns;
    ok wait_for(sub { $http->stats->{aborted} == 309 }, 5), 'all are gone';
    # Asks for replies, takes none.
    my $handled = $http->stats->{handled};
    $conn = $http->connect;
    $conn->send("GET /text?bytes=100000 HTTP/1.1\r\n$end" x 2000);
    sleep 0.5;
    cmp_ok $http->stats->{handled} - $handled, '<', 300,
        'no further requests for who takes no replies';
    my $n = 0;
    $n++ while $n < 2000 && $conn->reply(10);
    is $n, 2000, 'until it takes them';
}
{
    my $aborted = $http->stats->{aborted};
    my $conn = $http->connect;
    $conn->send("GET /slow?ms=3000 HTTP/1.1\r\n$end");
    sleep 0.1;
    my $begin = time();
    $conn->close;
    ok wait_for(sub { $http->stats->{aborted} > $aborted }, 5),
        'a query is ended when its client leaves';
    cmp_ok time() - $begin, '<', 0.5, 'soon';
    $conn = $http->connect;
    $conn->send("GET /form?a=1 HTTP/1.1\r\n$end");
    shutdown $conn->{socket}, 1;
    like $conn->read_all(3), qr/a\[0\]=1/, 'half-closed: answered';
    ok $conn->{closed}, 'then closed';
    $conn = $http->connect;
    $conn->send("POST /slow_insert?ms=300 HTTP/1.1\r\nContent-Length: 1\r\n" .
        "${end}x");
    shutdown $conn->{socket}, 1;
    is $conn->reply->{body}, 'slow', 'an insert is answered, too';
}

# --- many idle connections ---------------------------------------------------

SKIP: {
    my $want = 2000;
    my $limit = `sh -c 'ulimit -n'`;
    skip "only $limit descriptors", 4 if $limit < $want + 100;
    my $fresh = Test::Http->new;
    my $before = $fresh->stats->{rss_kb};
    my @conns = map { $fresh->connect } 1 .. $want;
    $_->send("GET /health HTTP/1.1\r\n$end") for @conns;
    my $ok = grep { my $r = $_->reply; $r && $r->{status} == 200 } @conns;
    is $ok, $want, "$want connections are served";
    my $stats = $fresh->stats;
    cmp_ok $stats->{spoor_http_connections}, '>=', $want, 'and kept';
    my $each = ($stats->{rss_kb} - $before) / $want;
    diag sprintf 'memory of an idle connection: %.1f KiB', $each;
    cmp_ok $each, '<', $is_sanitized ? 40 : 4, 'each is small';
    $ok = grep {
        $_->send("GET /health HTTP/1.1\r\n$end");
        my $r = $_->reply;
        $r && $r->{status} == 200;
    } @conns;
    is $ok, $want, 'and served again';
}

# --- time --------------------------------------------------------------------

my $slow = Test::Http->new(flags => {
    'http.headerTimeout' => '600ms', 'http.idleConnTimeout' => '900ms',
    'http.sendTimeout' => '700ms', 'http.minBodyRate' => '10000',
    'http.connTimeout' => '1500ms' });

# How long until the server closed, and what it said.
sub closed_after {
    my ($conn, $drip, $pause) = @_;
    my $begin = time();

    while (time() - $begin < 8) {
        last if $conn->{closed};
        last if !defined $drip && $conn->is_closed(8);
        $conn->send($drip) if defined $drip;
        $conn->read_all($pause || 0.05);
    }
    my ($status) = $conn->{in} =~ /^HTTP\/1\.1 (\d+)/;
    return (time() - $begin, $status || 0);
}

sub closes {
    my ($name, $status, $least, $most, $conn, @drip) = @_;
    my ($took, $got) = closed_after($conn, @drip);

    is $got, $status, "$name: status";
    cmp_ok $took, '>', $least, "$name: not too early";
    cmp_ok $took, '<', $most, "$name: not too late";
    return;
}
my $conn = $slow->connect;
closes('silent connection', 0, 0.5, 2, $conn);
$conn = $slow->connect;
$conn->send("GET /health HTTP/1.1\r\n");
closes('half a head', 408, 0.5, 2, $conn);
$conn = $slow->connect;
$conn->send("GET /health HTTP/1.1\r\n");
closes('dripping head', 408, 0.5, 2, $conn, "X: y\r\n");
$conn = $slow->connect;
closes('dripping request line', 408, 0.5, 2, $conn, 'G');
$conn = $slow->connect;
$conn->request('GET', '/health');
is $conn->reply->{status}, 200, 'a request';
closes('then idle', 0, 0.7, 2.5, $conn);
$conn = $slow->connect;
$conn->request('GET', '/health');
is $conn->reply->{status}, 200, 'a request';
sleep 0.7;
$conn->send('GET /hea');
closes('then half a head', 408, 0.4, 2, $conn);
$conn = $slow->connect;
$conn->send("POST /sink HTTP/1.1\r\nContent-Length: 100000\r\n$end");
closes('no body', 408, 0.5, 2, $conn);
$conn = $slow->connect;
$conn->send("POST /sink HTTP/1.1\r\nContent-Length: 100000\r\n$end");
closes('dripping body', 408, 0.5, 3, $conn, 'x' x 50);
$conn = $slow->connect;
$conn->send("POST /sink HTTP/1.1\r\nTransfer-Encoding: chunked\r\n$end");
closes('dripping chunks', 408, 0.5, 3, $conn, "1\r\nx\r\n");
$conn = $slow->connect;
$conn->send("POST /sink HTTP/1.1\r\nContent-Length: 1000000\r\n$end" .
    'x' x 900000);
closes('much of a body, then nothing', 408, 0.7, 2.5, $conn);
$conn = $slow->connect;
$conn->send("POST /sink HTTP/1.1\r\nContent-Length: 40000\r\n$end");
for (1 .. 40) {
    $conn->send('x' x 1000);
    sleep 0.04;
}
is $conn->reply->{status}, 200, 'a body that is slow, but fast enough';
$conn = $slow->connect;
$conn->send("GET /slow?ms=1200 HTTP/1.1\r\n$end");
is $conn->reply->{status}, 200, 'a handler may take longer than all that';
$conn = $slow->connect;
{
    my $begin = time();
    my $last;
    for (1 .. 60) {
        $conn->request('GET', '/health');
        $last = $conn->reply or last;
        last if ($last->{headers}{connection} || '') eq 'close';
        sleep 0.05;
    }
    is $last->{headers}{connection}, 'close', 'an old connection is closed';
    cmp_ok time() - $begin, '>', 1.4, 'at its age';
}
{
    my $aborted = $slow->stats->{aborted};
    $conn = $slow->connect;
    $conn->send("GET /big?bytes=100000000 HTTP/1.1\r\n$end");
    ok wait_for(sub { $slow->stats->{aborted} > $aborted }, 5),
        'a reader that takes nothing is cut';
    is $slow->stats->{'spoor_http_refused_total{reason="slow_reader"}'}, 1,
        'and counted';
}
# Takes some bytes all the time, but few: 5 kB a second where 10 kB are asked.
for my $target ('/big?bytes=100000000', '/text?bytes=3000000') {
    for my $how ('keep-alive', 'close') {
        my $cut = 'spoor_http_refused_total{reason="slow_reader"}';
        my $before = $slow->stats->{$cut};
        my $begin = time();
        $conn = $slow->connect(rcvbuf => 2048);
        $conn->send("GET $target HTTP/1.1\r\nConnection: $how\r\n$end");
        while (time() - $begin < 6) {
            sysread $conn->{socket}, my $bytes, 250;
            sleep 0.05;
            last if $slow->stats->{$cut} > $before;
        }
        cmp_ok time() - $begin, '<', 6, "too slow a reader of $target, $how";
        cmp_ok time() - $begin, '>', 0.6, 'is given some time';
    }
}
is $slow->stats->{body_bytes}, 0, 'no memory is left';

# --- full ----------------------------------------------------------------------

my $small = Test::Http->new(flags => { workerConnections => 16 });
{
    my @idle = map { $small->connect } 1 .. 40;
    $_->send("GET /hea") for @idle[20 .. 39];
    my $ok = 0;
    for (1 .. 20) {
        my $reply = $small->get('/health');
        $ok++ if $reply && $reply->{status} == 200;
    }
    is $ok, 20, 'idle and slow connections do not keep out others';
}

Test::Http::check_servers();
done_testing();
