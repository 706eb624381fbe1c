# SPDX-License-Identifier: BSD-2-Clause
#
# Requests that two servers could understand differently: each is refused
# once, the connection is closed and what follows is never answered.

use strict;
use warnings;

use Test::More;
use Test::Http;

my $http = Test::Http->new;
my $next = "GET /arg/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

# One answer of an error, then the end.
sub refused {
    my ($bytes, $statuses) = @_;
    my $conn = $http->connect;

    $conn->send($bytes . $next);
    my $reply = $conn->reply(5) or return 'no reply';
    my $status = $reply->{status};
    return "status $status" if $status !~ /^(?:$statuses)$/;
    return 'not closed' if ($reply->{headers}{connection} || '') ne 'close';
    shutdown $conn->{socket}, 1;
    $conn->read_all(5);
    return 'more than one reply' if length $conn->{in};
    return 'still open' unless $conn->{closed};
    return '';
}

# --- lines -------------------------------------------------------------------

my @lines = (
    "GET / HTTP/1.1\n", "GET /\r\n", "GET  / HTTP/1.1\r\n",
    "GET /  HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", "GET\t/\tHTTP/1.1\r\n",
    "GET /a b HTTP/1.1\r\n", "GET / HTTP/1.1\r\r\n", "\rGET / HTTP/1.1\r\n",
    " GET / HTTP/1.1\r\n", "GET /\0 HTTP/1.1\r\n", "GET /\x80 HTTP/1.1\r\n",
    "GET /# HTTP/1.1\r\n", "GET / HTTP/1.1\0\r\n", "GET / http/1.1\r\n",
    "GET / HTTP/1.01\r\n", "GET / HTTP/ 1.1\r\n", "GET / HTTP/1.1,\r\n",
    "GET a HTTP/1.1\r\n", "GET http://a\@b/ HTTP/1.1\r\n",
    "CONNECT a:1 HTTP/1.1\r\n", "GET / HTTP/3.0\r\n", "GET / HTTP/1.9\r\n",
    "\n\nGET / HTTP/1.1\r\n", "G(T / HTTP/1.1\r\n", "\0GET / HTTP/1.1\r\n",
);
for (@lines) {
    (my $name = $_) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    is refused("${_}Host: a\r\n\r\n", '400|505'), '', "line $name";
}

# --- bodies of requests whose length is in doubt ------------------------------

my @encodings = (
    "Transfer-Encoding : chunked\r\n", "Transfer-Encoding\t: chunked\r\n",
    " Transfer-Encoding: chunked\r\n", "\tTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n", "Transfer-Encoding: chunked\n",
    "Transfer-Encoding: \x0bchunked\r\n", "Transfer-Encoding: \x0cchunked\r\n",
    "Transfer-Encoding: chunked\0\r\n", "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: identity\r\n", "Transfer-Encoding: chunked;x=y\r\n",
    "Transfer-Encoding: 'chunked'\r\n", "Transfer-Encoding: [chunked]\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n\tx\r\n", "Transfer-Encoding: ,\r\n",
    "Transfer-Encoding:\r\n", "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked,chunked\r\n", "X: y\nTransfer-Encoding: chunked\r\n",
    "X: y\rTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\r\n",
    "Transfer-Encoding\0: chunked\r\n", "Transfer-Encoding\xa0: chunked\r\n",
    "Transfer-Encoding: \xa0chunked\r\n", ": chunked\r\n",
    "Transfer-Encoding: chunked chunked\r\n",
);
my @lengths = (
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5, 5\r\n",
    "Content-Length: +5\r\n", "Content-Length: -5\r\n",
    "Content-Length: 0x5\r\n", "Content-Length: 5 5\r\n",
    "Content-Length: 5\n", "Content-Length : 5\r\n",
    " Content-Length: 5\r\n", "Content-Length: 5\r\n 0\r\n",
    "Content-Length:\r\n 5\r\n", "Content-Length: \x0b5\r\n",
    "Content-Length: 5\0\r\n", "Content-Length: 5.0\r\n",
    "Content-Length: 5e0\r\n", "Content-Length: 5_0\r\n",
    "Content-Length: \"5\"\r\n", "Content-Length:\r\n",
    "Content-Length: 5;\r\n", "Content-Length\0: 5\r\n",
    "Content-Length: \xef\xbc\x95\r\n",
);
my %others = (
    alone => ['', ''],
    'length' => ["Content-Length: 5\r\n", ''],
    'length behind' => ['', "Content-Length: 5\r\n"],
    chunked => ["Transfer-Encoding: chunked\r\n", ''],
    'chunked behind' => ['', "Transfer-Encoding: chunked\r\n"],
    other => ["X-A: b\r\n", "X-C: d\r\n"],
);
my @bodies = ("0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n");
my ($tried, $wrong) = (0, 0);
for my $field (@encodings, @lengths) {
    for my $other (sort keys %others) {
        for my $body (@bodies) {
            for my $line ('POST /echo', 'GET /health') {
                my ($before, $behind) = @{$others{$other}};
                my $problem = refused("$line HTTP/1.1\r\nHost: a\r\n$before" .
                    "$field$behind\r\n$body", '400|413|501');
                $tried++;
                next if $problem eq '';
                $wrong++;
                (my $name = $field) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
                diag "$line, $name, $other: $problem" if $wrong < 10;
            }
        }
    }
}
cmp_ok $tried, '>', 1000, "$tried requests of doubtful length";
is $wrong, 0, 'are refused once and closed';
for my $line ('POST /echo', 'GET /health') {
    for my $both ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: CHUNKED\r\nX: y\r\ncontent-length: 0\r\n") {
        is refused("$line HTTP/1.1\r\nHost: a\r\n$both\r\n0\r\n\r\n", '400'),
            '', 'both';
    }
    is refused("$line HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" .
        "0\r\n\r\n", '400'), '', 'chunked in HTTP/1.0';
}

# --- chunks ------------------------------------------------------------------

for my $body ("5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
    "5;\nx\r\nhello\r\n0\r\n\r\n", "5;\rx\r\nhello\r\n0\r\n\r\n",
    "5\r\nhelloworld\r\n0\r\n\r\n", "6\r\nhello\r\n0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n\r\n0\r\n\r\n",
    "00000000000000005\r\nhello\r\n0\r\n\r\n", "5\0\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX\r\n\r\n", "5\r\nhello\r\n0\r\nX: y\n\r\n",
    "5\r\nhello\r\n0\r\n\n", "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
    "5\r\nhello\r\ng\r\n\r\n", "\x0b5\r\nhello\r\n0\r\n\r\n",
    "5\r\rhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\rX") {
    (my $name = $body) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    is refused("POST /echo HTTP/1.1\r\nHost: a\r\n" .
        "Transfer-Encoding: chunked\r\n\r\n$body", '400'), '',
        "chunks $name";
}

# --- Host --------------------------------------------------------------------

for my $host ('', "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n",
    "Host: a b\r\n", "Host: a,b\r\nHost: c\r\n", "Host: a\@b\r\n",
    "Host: a/b\r\n", "Host: a:b\r\n", "Host: [::1\r\n", "Host : a\r\n",
    "Host: a\0\r\n", "Host: a\r\n b\r\n", "Host: \xff\r\n") {
    (my $name = $host) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    is refused("GET /health HTTP/1.1\r\n$host\r\n", '400'), '', "Host '$name'";
    is refused("GET http://a/health HTTP/1.1\r\n$host\r\n", '400'), '',
        "absolute form, Host '$name'";
}

# --- other protocols ---------------------------------------------------------

for my $bytes ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x80\x2e\x01",
    "PRI * HTTP/2.0\r\n\r\nMS\r\n\r\n", "PRI / HTTP/2.0\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
    "*1\r\n\$4\r\nPING\r\n", "\0" x 40, "EHLO a\r\n",
    "HTTP/1.1 200 OK\r\n\r\n", "{\"a\":1}\n", "\xff\xf4\xff\xfd\x06") {
    (my $name = substr $bytes, 0, 12) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    is refused($bytes, '400|505'), '', "not HTTP: $name";
}

# --- noise -------------------------------------------------------------------

srand 20261121;
my $bad = 0;
for (1 .. 300) {
    my $bytes = join '', map { chr rand 256 } 1 .. 1 + rand 200;
    my $conn = $http->connect;
    $conn->send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n$bytes\r\n\r\n\n");
    my $reply = $conn->reply(5);
    $bad++ unless $reply && $reply->{status} == 200;
    shutdown $conn->{socket}, 1;
    $bad++ unless $conn->is_closed(5);
}
is $bad, 0, 'noise behind a request';
my $stats = $http->stats;
is $stats->{handled}, 0, 'no smuggled request was ever handled';
is $stats->{body_bytes}, 0, 'no memory is left';
Test::Http::check_servers();
done_testing();
