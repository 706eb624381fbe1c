# SPDX-License-Identifier: BSD-2-Clause
#
# Requests that two servers could understand differently: each is refused
# once, the connection is closed and what follows is never answered.

use strict;
use warnings;

use Test::More;
use Test::Hostile;
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

for (@hostile_lines) {
    my $name = hostile_name($_);
    is refused("${_}Host: a\r\n\r\n", '400|505'), '', "line $name";
}

# --- bodies of requests whose length is in doubt ------------------------------

my @bodies = ("0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n");
my ($tried, $wrong) = (0, 0);
for my $field (@hostile_encodings, @hostile_lengths) {
    for my $other (sort keys %hostile_others) {
        for my $body (@bodies) {
            for my $line ('POST /echo', 'GET /health') {
                my ($before, $behind) = @{$hostile_others{$other}};
                my $problem = refused("$line HTTP/1.1\r\nHost: a\r\n$before" .
                    "$field$behind\r\n$body", '400|413|501');
                $tried++;
                next if $problem eq '';
                $wrong++;
                my $name = hostile_name($field);
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

for my $body (@hostile_chunks) {
    my $name = hostile_name($body);
    is refused("POST /echo HTTP/1.1\r\nHost: a\r\n" .
        "Transfer-Encoding: chunked\r\n\r\n$body", '400'), '',
        "chunks $name";
}

# --- Host --------------------------------------------------------------------

for my $host (@hostile_hosts) {
    my $name = hostile_name($host);
    is refused("GET /health HTTP/1.1\r\n$host\r\n", '400'), '', "Host '$name'";
    is refused("GET http://a/health HTTP/1.1\r\n$host\r\n", '400'), '',
        "absolute form, Host '$name'";
}

# --- other protocols ---------------------------------------------------------

for my $bytes ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x80\x2e\x01",
    "PRI * HTTP/2.0\r\n\r\nMS\r\n\r\n", "PRI / HTTP/2.0\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
    "*1\r\n\$4\r\nPING\r\n", "\0" x 40, "EHLO a\r\n",
    "HTTP/1.1 200 OK\r\n\r\n", "{\"a\":1}\n", "\xff\xf4\xff\xfd\x06") {
    my $name = hostile_name(substr $bytes, 0, 12);
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
