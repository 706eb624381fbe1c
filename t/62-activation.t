# SPDX-License-Identifier: BSD-2-Clause
#
# Sockets that a service manager opens: by address, by name, refused ones, a
# restart that refuses nobody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Test::Spoor;
use Test::Process;
use Time::HiRes qw(sleep time);

sub listener {
    my ($port, %option) = @_;

    return IO::Socket::INET->new(Proto => 'tcp', Listen => 5, ReuseAddr => 1,
        LocalAddr => '127.0.0.1', LocalPort => $port, %option)
        || die "listen: $!";
}

# What a manager does between fork and exec.
sub activation {
    my ($names, @sockets) = @_;

    return sub {
        my @fds = map { POSIX::fcntl_dup($_) } @sockets;
        POSIX::dup2($fds[$_], 3 + $_) for 0 .. $#fds;
        @ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, scalar @fds);
        $ENV{LISTEN_FDNAMES} = $names if defined $names;
    };
}

# A copy above those that will be overwritten.
sub POSIX::fcntl_dup {
    my ($socket) = @_;

    return fcntl($socket, 0, 20) || die "dup: $!"; # F_DUPFD
}

sub refused {
    my ($name, $why, %option) = @_;
    my $toy = toy(%option);

    $toy->start_nowait;
    is $toy->wait_exit(20), 1, "$name: does not start";
    like $toy->log, $why, 'says why';
    return;
}

my $port = free_port();
my $socket = listener($port);
my $foreign = listener(0);

# --- by address -----------------------------------------------------------------

my $toy = toy(port => $port, before_exec => activation(undef, $socket));
# The manager's socket takes clients before there is a server.
my $early = $toy->connect;
syswrite $early, "GET /slow?1 HTTP/1.1\r\nHost: x\r\n\r\n";
$toy->start;
ok defined body_of($toy, $early), 'a client that came before the server';
unlike $toy->log, qr/cannot bind/, 'nothing is bound again';
open my $env, '<', '/proc/' . $toy->pid . '/environ';
my ($worker) = role_pids($toy, 'worker');
ok !(grep { !$toy->get('/health')->{status} == 200 } 1 .. 20), 'serves';

# A restart: clients wait in the manager's socket.
is $toy->stop, 0, 'stops';
my $between = $toy->connect;
syswrite $between, "GET /slow?1 HTTP/1.1\r\nHost: x\r\n\r\n";
$toy->start;
ok defined body_of($toy, $between), 'a client that came between two servers';

# --- reload and upgrade -----------------------------------------------------------

my $second = free_port();
$toy->write_conf('http.listen' => "127.0.0.1:$second");
is((ask($toy, 'reload'))[0], 0, 'the address is not named any more');
$toy->write_conf('http.listen' => "127.0.0.1:$second,127.0.0.1:$port");
is((ask($toy, 'reload'))[1], "reload: done, 2 workers\n",
    'and is again: the socket was kept');
is $toy->get('/health')->{status}, 200, 'it serves';
is(($toy->upgrade)[0], 0, 'an upgrade hands it on');
is $toy->get('/health')->{status}, 200, 'it serves';
is $toy->stop, 0, 'stops';

# --- by name ----------------------------------------------------------------------

my $grpc = listener(0);
$toy = toy(conf => { 'http.listen' => '127.0.0.1:1',
    'otlp_grpc.listen' => '127.0.0.1:2' },
    before_exec => activation('otlp_grpc:http', $grpc, $socket));
$toy->{port} = $port;
$toy->start;
is $toy->get('/health')->{status}, 200, 'a socket by its name';
like $toy->log, qr/listening on 127\.0\.0\.1:$port, 127\.0\.0\.1:@{[$grpc->sockport]}/,
    'the log has the real addresses';
$toy->{port} = $grpc->sockport;
is $toy->get('/health')->{status}, 200, 'the other one, too';
is $toy->stop, 0, 'stops';

# An address goes before a name: the first "http" belongs to the second one.
$toy = toy(conf => { 'http.listen' => "127.0.0.1:1,127.0.0.1:$port" },
    before_exec => activation('http:http', $socket, $foreign));
$toy->{port} = $foreign->sockport;
$toy->start;
is $toy->get('/health')->{status}, 200, 'a name takes what no address takes';
is $toy->stop, 0, 'stops';

SKIP: {
    my $any = eval {
        require IO::Socket::IP;
        IO::Socket::IP->new(Listen => 5, LocalHost => '::', LocalPort => 0,
            V6Only => 0, ReuseAddr => 1);
    } or skip 'no IPv6', 2;
    my $free = $any->sockport;
    $toy = toy(port => $free, conf => { 'http.listen' => ":$free" },
        before_exec => activation(undef, $any));
    $toy->start;
    is $toy->get('/health')->{status}, 200,
        'ListenStream=PORT is the :PORT of http.listen';
    is $toy->stop, 0, 'stops';
}

# --- refused ----------------------------------------------------------------------

my $free = free_port();
my $at = '127\.0\.0\.1:' . $foreign->sockport;
refused('a socket that nothing names',
    qr/error.*passed the socket "spoor\.socket" \($at\), and nothing listens there: name that/,
    port => $free, before_exec => activation('spoor.socket', $foreign));
my $udp = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1');
refused('UDP', qr/descriptor 3 \(http\) is no stream socket that listens/,
    port => $free, before_exec => activation('http', $udp));
my $connected = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => '127.0.0.1',
    PeerPort => $foreign->sockport) or die "connect: $!";
refused('a connection (Accept=yes)', qr/use ListenStream= and Accept=no/,
    port => $free, before_exec => activation('http', $connected));
refused('no descriptor', qr/inherited descriptor 3 \(unknown\): (?:Bad|Socket operation on)/,
    port => $free, before_exec => sub {
        POSIX::close(3);
        @ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 1);
    });
refused('no number', qr/LISTEN_FDS: "many" is no number up to 64/,
    port => $free, before_exec => sub {
        @ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 'many');
    });
$toy = toy(before_exec => sub {
    @ENV{qw(LISTEN_PID LISTEN_FDS)} = (1, 7);
});
$toy->start;
is $toy->get('/health')->{status}, 200, 'descriptors for somebody else';
is $toy->stop, 0, 'stops';

# --- systemd's own activator --------------------------------------------------------

SKIP: {
    my ($activator) = grep { -x } '/usr/bin/systemd-socket-activate',
        '/lib/systemd/systemd-socket-activate';
    skip 'no systemd-socket-activate', 3 unless $activator;
    my $activated = free_port();
    $toy = toy(port => $activated);
    my $pid = fork();
    if ($pid == 0) {
        open STDERR, '>', $toy->log_file;
        open STDOUT, '>', '/dev/null';
        setpgrp 0, 0;
        exec $activator, '-l', "127.0.0.1:$activated", $ENV{SPOOR_BIN}, '-c',
            $toy->conf_file or POSIX::_exit(127);
    }
    $toy->{pid} = $toy->{group} = $pid;
    ok wait_for(sub { $toy->get('/health', undef, 5)->{status} == 200 }, 10),
        'started by the first client';
    ok $toy->wait_log(qr{listening on 127\.0\.0\.1:$activated}), 'on its socket';
    is $toy->stop, 0, 'stops';
}

done_testing;
