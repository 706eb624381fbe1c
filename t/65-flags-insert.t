# SPDX-License-Identifier: BSD-2-Clause
#
# insert.max_concurrent and insert.max_queue_duration: inserts that find no
# place wait for one, in their order, and not for ever.

use strict;
use warnings;

use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Test::Otlp;
use Test::Spoor qw(wait_for);
use Test::Traces;
use Time::HiRes qw(sleep time);

my $path = '/v1/traces';

# Each sync of the log takes a while.
sub server {
    my ($wait, $sleep_ms) = @_;
    my $spoor = Test::Spoor->new(
        args => ["-insert.maxQueueDuration=$wait", '-maxConcurrentInserts=1'],
        conf => { workers => 1 },
        env => { SPOOR_FAULT => "wal.after_pwritev:sleep=$sleep_ms" });

    $spoor->start;
    return $spoor;
}

# Sends a span of this name and does not wait for the answer.
sub send_span {
    my ($spoor, $name) = @_;
    my $body = otlp_pb(otlp_span(name => $name));
    my $socket = $spoor->connect;

    syswrite $socket, "POST $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Content-Type: application/x-protobuf\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    sleep 0.05;
    return $socket;
}

sub status_of {
    my ($spoor, $socket) = @_;

    return $spoor->read_raw($socket, seconds => 20) =~ m{^HTTP/1.1 (\d+)}
        ? $1 : 'none';
}

sub names {
    my ($spoor) = @_;

    return join ' ', sort $spoor->get('/select/logsql/query?query=*')->{body}
        =~ /"name":"(\w+)"/g;
}

# --- they wait and are stored ---------------------------------------------------

my $spoor = server('1m', 300);
my @sockets = map { send_span($spoor, "span$_") } 1 .. 4;
is join(' ', map { status_of($spoor, $_) } @sockets), '200 200 200 200',
    'all four are stored, one after the other';
is names($spoor), 'span1 span2 span3 span4', 'and there';

# --- who leaves is forgotten -------------------------------------------------------

@sockets = map { send_span($spoor, "more$_") } 1 .. 3;
# With a reset: an end alone may be a client that waits for its answer.
my $gone = splice @sockets, 1, 1;
setsockopt $gone, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
close $gone;
is join(' ', map { status_of($spoor, $_) } @sockets), '200 200',
    'those that stayed have an answer';
is names($spoor), 'more1 more3 span1 span2 span3 span4',
    'nothing of the one that left';
is $spoor->stop, 0, 'stops';

# --- they do not wait for ever ------------------------------------------------------

$spoor = server('200ms', 1500);
my $first = send_span($spoor, 'first');
my $began = time;
my $second = send_span($spoor, 'second');
my $text = $spoor->read_raw($second, seconds => 20);
like $text, qr{^HTTP/1.1 429 }, 'refused';
like $text, qr/^retry-after: 1\r$/mi, 'to come again';
like $text, qr/insert\.max_concurrent.*insert\.max_queue_duration/s,
    'it says why';
cmp_ok time - $began, '<', 1.2, 'soon';
is status_of($spoor, $first), '200', 'the first is stored';
is names($spoor), 'first', 'the second is not';
is $spoor->stop, 0, 'stops';

# --- those that wait when the server ends ---------------------------------------------

$spoor = server('1m', 300);
@sockets = map { send_span($spoor, "last$_") } 1 .. 3;
$spoor->signal('QUIT');
is join(' ', map { status_of($spoor, $_) } @sockets), '200 200 200',
    'a graceful end stores those that wait';
$spoor->stop;

done_testing;
