# SPDX-License-Identifier: BSD-2-Clause
#
# A graceful end: what was begun is answered, nothing new is taken.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Test::Http;
use Test::Spoor qw(wait_for);
use Time::HiRes qw(sleep time);

my $end = "Host: a\r\n\r\n";

# --- one of each -------------------------------------------------------------

{
    my $http = Test::Http->new;
    my %conn = map { $_ => $http->connect }
        qw(idle fresh slow body big head pipelined);
    $conn{idle}->request('GET', '/health');
    $conn{idle}->reply;
    $conn{slow}->send("GET /slow?ms=1000 HTTP/1.1\r\n$end");
    $conn{body}->send("POST /echo HTTP/1.1\r\nContent-Length: 10\r\n${end}hello");
    $conn{big}->send("GET /big?bytes=20000000 HTTP/1.1\r\n$end");
    $conn{head}->send("GET /health HTTP/1.1\r\n");
    $conn{pipelined}->send("GET /slow?ms=300 HTTP/1.1\r\n$end" x 2);
    sleep 0.2;
    my $begin = time();
    kill 'TERM', $http->pid;
    ok wait_for(sub {
        !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $http->port);
    }, 5), 'no new connections';
    ok $conn{idle}->is_closed(3), 'an idle connection is closed';
    cmp_ok time() - $begin, '<', 1, 'soon';
    $conn{fresh}->send("GET /health HTTP/1.1\r\n$end");
    my $reply = $conn{fresh}->reply;
    is $reply->{status}, 200, 'the first request of a connection is answered';
    is $reply->{headers}{connection}, 'close', 'and closed';
    $conn{body}->send('world');
    $reply = $conn{body}->reply;
    is $reply->{body}, 'helloworld', 'a body may end';
    is $reply->{headers}{connection}, 'close', 'and is the last';
    $conn{head}->send($end);
    $reply = $conn{head}->reply;
    is $reply->{body}, 'OK', 'a head may end';
    $reply = $conn{slow}->reply;
    is $reply->{body}, 'slow', 'a handler may end';
    $reply = $conn{pipelined}->reply;
    is $reply->{headers}{connection}, 'close', 'the first of two';
    ok $conn{pipelined}->is_closed, 'is the last';
    $reply = $conn{big}->reply(20);
    is $reply && length $reply->{body}, 20000000, 'a large reply is finished';
    my $pid = $http->pid;
    ok wait_for(sub { !-e "/proc/$pid" || waitpid($pid, POSIX::WNOHANG()) },
        5), 'then the process ends';
    $http->{status} = $?;
    cmp_ok time() - $begin, '<', 5, 'without waiting for the bound';
}

# --- the bound ---------------------------------------------------------------

{
    my $http = Test::Http->new(
        flags => { 'http.maxGracefulShutdownDuration' => '1s' });
    my $slow = $http->connect;
    my $big = $http->connect;
    $slow->send("GET /slow?ms=60000 HTTP/1.1\r\n$end");
    $big->send("GET /big?bytes=200000000 HTTP/1.1\r\n$end");
    sleep 0.2;
    my $begin = time();
    is $http->stop, 0, 'a process does not wait for ever';
    cmp_ok time() - $begin, '>', 0.9, 'but as long as it should';
    cmp_ok time() - $begin, '<', 3, 'and no longer';
}

# --- under load --------------------------------------------------------------

# Requests on kept connections until the server closes them.  Exit status: 0
# when every request that was refused had been sent to a closed connection.
sub client {
    my ($http) = @_;
    my ($answered, $lost) = (0, 0);

    while (1) {
        my $conn = eval { $http->connect } or last;
        while (1) {
            my $sent = time();
            $conn->request('POST', '/echo', {}, 'x' x 2000) or last;
            my $reply = $conn->reply(5);
            if (!$reply) {
                # Closed before it was answered: only an idle connection.
                $lost++ if length $conn->{in};
                $lost++ if !$conn->{closed};
                last;
            }
            $lost++ if $reply->{status} != 200 || length $reply->{body} != 2000;
            $answered++;
            last if ($reply->{headers}{connection} || '') eq 'close';
        }
    }
    return ($answered, $lost);
}

{
    my $http = Test::Http->new;
    my @pids;
    for my $i (1 .. 8) {
        my $pid = fork();
        die "fork: $!\n" unless defined $pid;
        if ($pid == 0) {
            my ($answered, $lost) = client($http);
            open my $out, '>', "$http->{dir}/client.$i"
                or POSIX::_exit(3);
            print $out "$answered $lost\n";
            close $out;
            POSIX::_exit(0);
        }
        push @pids, $pid;
    }
    sleep 1;
    is $http->stop, 0, 'ends under load';
    my ($answered, $lost) = (0, 0);
    for my $i (1 .. 8) {
        waitpid $pids[$i - 1], 0;
        my ($a, $l) = split ' ', Test::Http::slurp("$http->{dir}/client.$i");
        $answered += $a;
        $lost += $l;
    }
    diag "$answered requests answered";
    cmp_ok $answered, '>', 100, 'requests were answered';
    is $lost, 0, 'none half, none wrong';
}

Test::Http::check_servers();
done_testing();
