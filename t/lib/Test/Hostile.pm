# SPDX-License-Identifier: BSD-2-Clause
#
# Parts of requests that two servers could understand differently, for tests
# that build requests of them: request lines, fields that tell how long a body
# is, bodies in chunks, Host.

package Test::Hostile;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(@hostile_lines @hostile_encodings @hostile_lengths
    %hostile_others @hostile_chunks @hostile_hosts hostile_name);

# Bytes as a name that can be printed.
sub hostile_name {
    my ($bytes) = @_;

    $bytes =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    return $bytes;
}

# A request line and its end.
our @hostile_lines = (
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

# Bodies in chunks, or something like it.
our @hostile_encodings = (
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

# A body of 5 bytes, or something like it.
our @hostile_lengths = (
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

# What stands before and behind one of those.
our %hostile_others = (
    alone => ['', ''],
    'length' => ["Content-Length: 5\r\n", ''],
    'length behind' => ['', "Content-Length: 5\r\n"],
    chunked => ["Transfer-Encoding: chunked\r\n", ''],
    'chunked behind' => ['', "Transfer-Encoding: chunked\r\n"],
    other => ["X-A: b\r\n", "X-C: d\r\n"],
);

# Bodies that are no good chunks.
our @hostile_chunks = ("5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
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
    "5\r\rhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\rX");

# No good Host, or two.
our @hostile_hosts = ('', "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n",
    "Host: a b\r\n", "Host: a,b\r\nHost: c\r\n", "Host: a\@b\r\n",
    "Host: a/b\r\n", "Host: a:b\r\n", "Host: [::1\r\n", "Host : a\r\n",
    "Host: a\0\r\n", "Host: a\r\n b\r\n", "Host: \xff\r\n");

1;
