# SPDX-License-Identifier: BSD-2-Clause
#
# Clients that ask for much and read little: the memory of their replies is
# bounded, and they keep neither queries nor ingest from running.

use strict;
use warnings;

use Test::More;
use IO::Socket::INET;
use Test::Http2;
use Test::Spoor qw(wait_for);
use Time::HiRes qw(sleep time);

# The least of every budget: 8 MiB of replies, 16 MiB a query.
my $spoor = Test::Spoor->new(conf => { workers => 1,
    'memory.allowed_bytes' => '32MiB', 'search.max_concurrent_requests' => 1 });

$spoor->start;
my $sent = $spoor->spoorctl('gen', '--traces', 4000);
is $sent->{status}, 0, 'spans are there' or diag $sent->{err};

# Reads nothing but a little window.
sub reader {
    my ($target) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp') or die "$!\n";

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, pack 'i', 4096;
    connect $socket, pack_sockaddr_in($spoor->port, inet_aton('127.0.0.1'))
        or die "connect: $!\n";
    syswrite $socket, "GET /select/$target HTTP/1.1\r\nHost: a\r\n\r\n";
    return $socket;
}

# Seconds until a search is answered; undef: it is not.
sub seconds_until_answer {
    my $start = time;

    return wait_for(sub {
        $spoor->get('/select/jaeger/api/traces?service=checkout&limit=1')
            ->{status} == 200;
    }, 40) ? time - $start : undef;
}

# --- a reply that is sent while it is made ------------------------------------

my @streams = map { reader('logsql/query?query=*') } 1 .. 3;
sleep 1;
my $ingest = time;
is $spoor->spoorctl('gen', '--traces', 100)->{status}, 0,
    'spans are taken meanwhile';
cmp_ok time - $ingest, '<', 5, 'and soon';
my $lookup = time;
is $spoor->get('/select/jaeger/api/services')->{status}, 200,
    'what needs no search is answered meanwhile';
cmp_ok time - $lookup, '<', 2, 'and soon';
# Each is cut after 5 seconds when others wait.
my $took = seconds_until_answer();
ok defined $took, 'a query gets its turn';
cmp_ok $took // 99, '<', 25, sprintf 'after %.1f s', $took // 99;
unlike $spoor->read_raw($streams[0], seconds => 4), qr/\r\n0\r\n\r\n\z/,
    'a reply that was cut does not look whole';
@streams = ();

# --- whole replies ------------------------------------------------------------

my @readers = map {
    reader('jaeger/api/traces?service=checkout&limit=200')
} 1 .. 20;
sleep 2;
my ($most) = grep { defined } map { rss($_) } @{$spoor->pids->{worker}};
# AddressSanitizer keeps what was freed.
cmp_ok $most, '<', $ENV{ASAN_OPTIONS} ? 400e6 : 100e6,
    sprintf 'a worker holds %.0f MB', $most / 1e6;
is $spoor->spoorctl('gen', '--traces', 100)->{status}, 0,
    'spans are taken meanwhile';
$took = seconds_until_answer();
ok defined $took, 'a query gets its turn';
cmp_ok $spoor->metric('spoor_http_refused_total{reason="slow_reader"}'), '>',
    0, 'a reader was cut for it';

# --- one that asks on ---------------------------------------------------------

# All replies wait on the connection that the next question comes by.
@readers = ();
ok defined seconds_until_answer(), 'queries run again';
my ($pid) = @{$spoor->pids->{worker}};
my $asker = Test::Http2->connect($spoor->port, window => 0);
my $search = '/select/jaeger/api/traces?service=checkout&limit=200';
for (1 .. 60) {
    $asker->request('GET', $search);
    sleep 0.5;
    $asker->is_alive or last;
}
ok $asker->{closed}, 'it is cut, too';
ok defined seconds_until_answer(), 'and a query gets its turn';
is $spoor->pids->{worker}[0], $pid, 'the worker lives';

# --- many idle connections ----------------------------------------------------

# One of HTTP/2 costs some 20 KiB; 8 MiB hold fewer than 400 of them.
my @idle;
for (1 .. 600) {
    my $socket = $spoor->connect;
    syswrite $socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . "\0\0\0\4\0\0\0\0\0";
    sysread $socket, my $settings, 100;
    push @idle, $socket;
}
is $spoor->get('/health')->{status}, 200, '600 idle connections, one more';
cmp_ok $spoor->metric('spoor_http_connections'), '<', 400,
    'the oldest were closed';
is $spoor->spoorctl('gen', '--traces', 100)->{status}, 0,
    'spans are taken meanwhile';

sub rss {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/status" or return;
    local $/;
    return <$in> =~ /^RssAnon:\s+(\d+) kB/m ? $1 * 1024 : undef;
}

done_testing;
