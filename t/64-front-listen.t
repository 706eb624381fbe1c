# SPDX-License-Identifier: BSD-2-Clause
#
# Addresses that are not of IPv4 alone: both protocols at once (enable_tcp6,
# *:port), IPv6, UNIX sockets.

use strict;
use warnings;

use IO::Socket::IP;
use IO::Socket::UNIX;
use Test::More;
use Test::Otlp;
use Test::Spoor;

my $has_ipv6 = IO::Socket::IP->new(LocalHost => '::1', Listen => 1) ? 1 : 0;

# Status of /health at an address; 0: nobody answers.
sub health {
    my ($socket) = @_;

    return 0 unless $socket;
    print $socket "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        . "\r\n";
    my $line = <$socket>;
    return defined $line && $line =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}

sub at {
    my ($host, $port) = @_;

    return health(IO::Socket::IP->new(PeerHost => $host, PeerPort => $port,
        Timeout => 5));
}

sub at_path { return health(IO::Socket::UNIX->new(Peer => $_[0])) }

# --- IPv6 ------------------------------------------------------------------------

SKIP: {
    skip 'this machine has no IPv6', 14 unless $has_ipv6;
    my $both = free_port();
    my $six = free_port();
    my $four = free_port();
    my $spoor = Test::Spoor->new(conf => { workers => 1 });
    $spoor->write_conf('http.listen' => ['127.0.0.1:' . $spoor->port,
        "*:$both", "[::]:$six", ":$four"]);
    $spoor->start;

    is at('127.0.0.1', $both), 200, '*:port takes IPv4';
    is at('::1', $both), 200, 'and IPv6';
    is at('::1', $six), 200, '[::]:port takes IPv6';
    is at('127.0.0.1', $six), 0, 'and nothing else';
    is at('127.0.0.1', $four), 200, ':port takes IPv4';
    is at('::1', $four), 0, 'and nothing else';
    for my $host ('127.0.0.1', '::1') {
        my $socket = IO::Socket::IP->new(PeerHost => $host,
            PeerPort => $both);
        print $socket "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: "
            . "application/json\r\nContent-Length: 1\r\n\r\n{";
        <$socket>;
    }
    ok $spoor->wait_log(qr/[\s"]127\.0\.0\.1:\d+: 400 /),
        'the log shows an address of IPv4 as one';
    ok $spoor->wait_log(qr/\[::1\]:\d+: 400 /), 'and one of IPv6';
    $spoor->stop;

    my $flag = Test::Spoor->new(args => ['-enableTCP6',
        "-httpListenAddr=:$four"], conf => { workers => 1 });
    $flag->{port} = $four;
    $flag->start;
    is at('127.0.0.1', $four), 200, '-enableTCP6: :port takes IPv4';
    is at('::1', $four), 200, 'and IPv6';
    $flag->signal('HUP');
    ok wait_for(sub { ($flag->metric('spoor_reloads_total') || 0) == 1 }, 10),
        'a reload keeps it';
    is at('::1', $four), 200, 'as it was';
    $flag->stop;
}

# --- UNIX sockets ------------------------------------------------------------------

my $spoor = Test::Spoor->new(conf => { workers => 1 });
my $path = $spoor->dir . '/spoor.sock';
my $tcp = '127.0.0.1:' . $spoor->port;

$spoor->write_conf('http.listen' => [$tcp, "unix:$path"]);
$spoor->start;
is at_path($path), 200, 'a UNIX socket';
is sprintf('%o', (stat $path)[2] & 07777), '666', 'is there for all';
like $spoor->log, qr/listening on .*unix:\Q$path\E/, 'the log names it';

my $second = Test::Spoor->new(conf => { workers => 1 });
$second->write_conf('http.listen' => ['127.0.0.1:' . $second->port,
    "unix:$path"]);
$second->start_nowait;
isnt $second->wait_exit(20), 0, 'another server does not take it away';
is at_path($path), 200, 'it still works';

$spoor->kill_all;
is at_path($path), 0, 'after a crash nobody listens';
ok -S $path, 'on the file that is left';
$spoor->start;
is at_path($path), 200, 'which the next start replaces';

my $more = $spoor->dir . '/more.sock';
$spoor->write_conf('http.listen' => [$tcp, "unix:$more"]);
$spoor->signal('HUP');
ok wait_for(sub { at_path($more) == 200 }, 10), 'a reload opens another';
ok wait_for(sub { at_path($path) == 0 }, 10), 'and closes the first';

for my $bad (['unix:spoor.sock', 'or unix:/path'],
    ['unix:/' . 'x' x 108, 'more than 107 bytes'],
    ["unix:" . $spoor->dir . '/no/such', 'No such file'],
    ["unix:" . $spoor->conf_file, 'Address already in use']) {
    my $wrong = Test::Spoor->new(conf => { workers => 1 });

    $wrong->write_conf('http.listen' => [$bad->[0]]);
    $wrong->start_nowait;
    isnt $wrong->wait_exit(20), 0, "refused: $bad->[1]";
    like $wrong->log, qr/\Q$bad->[1]\E/, 'with a reason';
}
ok -f $spoor->conf_file, 'a file that is no socket is left alone';

done_testing();
