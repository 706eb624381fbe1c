# SPDX-License-Identifier: BSD-2-Clause
#
# A server with little memory: its sizes are those of docs/sizes.md, and what
# goes beyond them is refused, with Retry-After where trying again helps.

use strict;
use warnings;

use IO::Compress::Gzip qw(gzip);
use Test::Cgroup;
use Test::More;
use Test::Otlp;
use Test::Spoor qw(wait_for);
use Test::Traces;
use Time::HiRes qw(sleep time);

my $path = '/v1/traces';
my $mib = 1 << 20;

# --- sizes come from the control group ----------------------------------------

SKIP: {
    my $group = Test::Cgroup->new(memory => 256 * $mib, cpu => 0.5)
        or skip 'no control group: ' . Test::Cgroup->why, 3;
    my $spoor = Test::Spoor->new(conf => { workers => undef },
        before_exec => sub { $group->enter });

    $spoor->start;
    like $spoor->log, qr/1 worker for 1 CPU, 161 MB allowed of 268/,
        'half a CPU and 256 MiB are seen';
    is scalar @{$spoor->pids->{worker}}, 1, 'one worker';
    cmp_ok $group->memory->{held}, '<', 64 * $mib, 'holds little at rest';
    $spoor->stop;
    $group->remove;
}

# --- the least of each --------------------------------------------------------

# 8 MiB of bodies, 16 of decoding, 16/6 of one body.  Each sync of the log
# takes a while, so that what is decoded is held.
my $spoor = Test::Spoor->new(
    conf => { workers => 1, 'memory.allowed_bytes' => '32MiB' },
    env => { SPOOR_FAULT => 'wal.after_pwritev:sleep=2000' });
$spoor->start;
like $spoor->log, qr/33 MB allowed of \d+; MB of a worker: bodies 8, /,
    'memory.allowed_bytes in the log';
like $spoor->log,
    qr/decoding 17, largest body 3, queries 67, one 17, answers 8, cache 4/,
    'the least of all';

my $span = otlp_pb(otlp_span(name => 'n' x 2000));
my $large = $span x int(2.5 * $mib / length $span);
my $too_large = 'x' x (3 * $mib);

sub send_body {
    my ($body, @encoding) = @_;

    return $spoor->post($path, $body, { otlp_type('pb', @encoding) });
}
sub zip {
    my ($body) = @_;

    gzip(\$body, \my $zipped) or die;
    return $zipped;
}
sub is_retried {
    my ($reply, $status, $what) = @_;

    is $reply->{status}, $status, $what or diag $reply->{body};
    like $reply->{headers}{'retry-after'} // '', qr/^[1-9]\d*$/,
        "$what: Retry-After";
    return;
}

is send_body($too_large)->{status}, 413, 'one body over its size';
is send_body(zip($too_large), 'gzip')->{status}, 413, 'inflated over it';

# Decoding: the first is held by the slow log.
sub begin_post {
    my ($sent, $length, @fields) = @_;
    my $socket = $spoor->connect;

    syswrite $socket, join "\r\n", "POST $path HTTP/1.1", 'Host: a',
        'Connection: close', 'Content-Type: application/x-protobuf', @fields,
        "Content-Length: $length", '', $sent;
    return $socket;
}

my $zipped = zip($large);
my $first = begin_post($zipped, length $zipped, 'Content-Encoding: gzip');
sleep 0.7;
is_retried(send_body(zip($large . $span), 'gzip'), 429,
    'more than can be decoded at a time');
like $spoor->read_raw($first), qr{^HTTP/1.1 200 }, 'the first is stored';
is send_body(zip($large . $span), 'gzip')->{status}, 200,
    'then there is room again';

# Bodies: eight that stop before their end, and need no more yet, hold 8 MiB.
my @held = map { begin_post('x' x ($mib - 1000), 2 * $mib) } 1 .. 8;
ok wait_for(sub {
    ($spoor->metric('spoor_http_body_bytes') || 0) > 7.9 * $mib;
}), 'bodies that do not end hold all';
my $start = time;
is_retried(send_body($span x 200), 503, 'no room for a body');
cmp_ok time - $start, '<', 5, 'soon';
is $spoor->get('/health')->{status}, 200, 'health is answered';
is $spoor->get('/select/jaeger/api/services')->{status}, 200, 'so is a query';
close $_ for @held;
ok wait_for(sub { send_body($span)->{status} == 200 }), 'then there is room';

# --- queries -------------------------------------------------------------------

$spoor->stop;
delete $spoor->{env}{SPOOR_FAULT};
$spoor->start;
is $spoor->spoorctl('gen', '--traces', 3000)->{status}, 0, '3000 traces';

sub query {
    my ($query) = @_;

    return $spoor->get('/select/logsql/query?query=' . uri($query));
}

my $reply = query('* | sort by (duration desc)');
is $reply->{status}, 400, 'a query that keeps too much';
like $reply->{body}, qr/^query needs (?:more than 16 MiB of|too much) memory$/,
    'says so';
$reply = $spoor->get('/select/jaeger/api/traces?service=frontend&limit=1000');
is $reply->{status}, 422, 'so does an answer';
like substr($reply->{body}, 0, 200), qr/too large|larger than 16 MiB/,
    'and says so';
is query('* | sort by (duration desc) limit 10')->{status}, 200,
    'one that needs less is answered';
like query('* | count() n')->{body}, qr/"n":"\d{5}"/, 'all spans are there';

$spoor->stop;
$spoor->write_conf('search.max_query_memory' => '64MiB');
$spoor->start;
is query('* | sort by (duration desc) limit 10000')->{status}, 200,
    'search.max_query_memory gives more';
is $spoor->stop, 0, 'stops';

done_testing;
