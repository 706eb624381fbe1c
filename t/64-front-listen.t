# SPDX-License-Identifier: BSD-2-Clause
#
# Addresses that are not of IPv4 alone: both protocols at once (enable_tcp6,
# *:port), IPv6, UNIX sockets; addresses that want a PROXY header.

use strict;
use warnings;

use IO::Socket::IP;
use IO::Socket::UNIX;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Time::HiRes qw(sleep time);

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

# --- PROXY headers -------------------------------------------------------------

my $proxied = free_port();
my $refused = 'spoor_http_refused_total{reason="proxy_header"}';
my $head = "PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n";
my $binary = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x08"
    . "\x0a\0\0\x01\xc8\x22\x01\xbb";

$spoor = Test::Spoor->new(conf => { workers => 1,
    'http.header_timeout' => '1s' });
$spoor->write_conf('http.listen' => undef);
push @{$spoor->{args}},
    '-httpListenAddr=127.0.0.1:' . $spoor->port . ",127.0.0.1:$proxied",
    '-httpListenAddr.useProxyProtocol=false,true';
$spoor->start;

# Sends parts, one after the other; what comes until the end.
sub told {
    my (@parts) = @_;
    my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1',
        PeerPort => $proxied, Timeout => 5);
    my $in = '';

    local $SIG{PIPE} = 'IGNORE';
    for my $part (@parts) {
        syswrite $socket, $part;
        sleep 0.004 if @parts > 1;
    }
    while (sysread $socket, $in, 65536, length $in) {
    }
    return $in;
}

my $request = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
my $bad = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    . "Content-Type: application/json\r\nContent-Length: 1\r\n\r\n{";
like told("$head$request"), qr/\AHTTP\/1\.1 200 /, 'version 1';
like told("$binary$request"), qr/\AHTTP\/1\.1 200 /, 'version 2';
like told(split //, "$binary$request"), qr/\AHTTP\/1\.1 200 /,
    'byte by byte';
like told("$head$bad"), qr/\AHTTP\/1\.1 400 /, 'a bad request';
ok $spoor->wait_log(qr/\b203\.0\.113\.7:51234: 400 /),
    'comes from the client in the header';
like told("$binary$bad"), qr/\AHTTP\/1\.1 400 /, 'and another';
ok $spoor->wait_log(qr/\b203\.0\.113\.8:51234: 400 /), 'of version 2';
told("PROXY UNKNOWN\r\n$bad");
ok $spoor->wait_log(qr/\b127\.0\.0\.1:\d+: 400 /),
    'of nobody that is told: from the proxy';
is $spoor->metric($refused), 0, 'nothing was refused';

my $n = 0;
for my $wrong ($request, "PROXY TCP4 1.2.3.4\r\n$request",
    "$head$head$request", "PROXY ", substr($binary, 0, 20), 'x',
    "\x16\x03\x01\0\0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
    my $begin = time();
    my $answer = told($wrong);
    # The second of two headers is no request.
    my $is_late = length $answer ? 1 : 0;

    like $answer, $is_late ? qr/\AHTTP\/1\.1 400 / : qr/\A\z/,
        'no answer without a good header';
    cmp_ok time() - $begin, '<', 5, 'and the connection is closed';
    $n += !$is_late;
}
is $n, 7, 'as all of them but a second header';
is $spoor->metric($refused), $n, 'which is counted';
IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $proxied)->close
    for 1 .. 3;
sleep 0.1;
is $spoor->metric($refused), $n, 'to open and close is not';
like $spoor->log, qr/127\.0\.0\.1:\d+: closed, no good PROXY header: it did not/,
    'the log tells why';

# --- who may send one --------------------------------------------------------------

for my $from ('10.0.0.0/8', '10.0.0.0/8;127.0.0.0/8') {
    my $is_in = $from =~ /127/;
    my $limited = Test::Spoor->new(conf => { workers => 1 });

    $proxied = free_port();
    $limited->write_conf('http.listen' => undef);
    push @{$limited->{args}}, '-httpListenAddr=127.0.0.1:' . $limited->port
        . ",127.0.0.1:$proxied",
        "-httpListenAddr.proxyProtocolFrom=,$from";
    $limited->start;
    like told("$head$request"), $is_in ? qr/\AHTTP\/1\.1 200 / : qr/\A\z/,
        "from $from: " . ($is_in ? 'an answer' : 'none');
    is $limited->metric($refused), $is_in ? 0 : 1, 'and it is counted';
    $limited->stop;
}
for my $wrong ('10.0.0.1/8', 'lan', '10.0.0.0/8;;') {
    my $bad = Test::Spoor->new(conf => { workers => 1 });

    push @{$bad->{args}}, "-httpListenAddr.proxyProtocolFrom=$wrong";
    $bad->start_nowait;
    isnt $bad->wait_exit(20), 0, "refused: $wrong";
    like $bad->log, qr/must be an address or a network/, 'with a reason';
}

done_testing();
