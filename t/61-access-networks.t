# SPDX-License-Identifier: BSD-2-Clause
#
# One host has 2^64 addresses of IPv6: they count as one where passwords wait
# for their check.

use strict;
use warnings;

use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Test::Spoor;

my $port = free_port();
my $spoor = Test::Spoor->new(conf => { workers => 1,
    'otlp_grpc.listen' => "127.0.0.1:$port" },
    args => ['-otlpGRPCListenAddr.useProxyProtocol=true']);
open my $out, '>', $spoor->dir . '/users' or die "$!\n";
# 11: about 120 ms each.
print $out "$_:" . crypt("$_-pw", '$2b$11$abcdefghijklmnopqrstuv') . "\n"
    for qw(ann bob);
close $out;
chmod 0600, $spoor->dir . '/users';
$spoor->write_conf('auth.users_file' => $spoor->dir . '/users');
$spoor->start;

# A request of a client at this address, sent and not read.
sub begin {
    my ($from, $user, $password) = @_;
    my $family = $from =~ /:/ ? 'TCP6' : 'TCP4';
    my $to = $from =~ /:/ ? '::1' : '127.0.0.1';
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port) or die "connect: $!\n";

    syswrite $socket, "PROXY $family $from $to 1 2\r\n"
        . "GET /select/jaeger/api/services HTTP/1.1\r\nHost: a\r\n"
        . "Connection: close\r\nAuthorization: Basic "
        . encode_base64("$user:$password", '') . "\r\n\r\n";
    return $socket;
}

sub status_of {
    my ($socket) = @_;
    my $text = $spoor->read_raw($socket, seconds => 60);

    return $text =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'none';
}

my @flood = map { begin(sprintf('2001:db8:0:1:%x::1', $_), "u$_", 'wrong') }
    1 .. 40;
is status_of(begin('2001:db8:0:2::1', 'ann', 'ann-pw')), 200,
    'another network has its turn';
is status_of(begin('192.0.2.1', 'bob', 'bob-pw')), 200, 'so has IPv4';
my %got;
$got{status_of($_)}++ for @flood;
is_deeply [sort keys %got], [401, 503], 'the flood has 401 or 503';
cmp_ok $got{503}, '>=', 20, "most of it without a check ($got{503})";

done_testing;
