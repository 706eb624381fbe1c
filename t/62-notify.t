# SPDX-License-Identifier: BSD-2-Clause
#
# What a service manager hears: states, the line of status, signs of life.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;
use Test::Spoor;
use Test::Process;
use Time::HiRes qw(sleep time);

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $path = "$dir/notify";
my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path)
    or die "$path: $!";
my @heard;

# Messages up to now, and those that come until one matches.
sub hear {
    my ($pattern, $seconds) = @_;
    my $end = time() + ($seconds || 10);

    while (1) {
        for my $i (0 .. $#heard) {
            next unless $heard[$i] =~ $pattern;
            my $found = $heard[$i];
            splice @heard, 0, $i + 1;
            return $found;
        }
        my $left = $end - time();
        return '' if $left <= 0
            || !IO::Select->new($socket)->can_read($left);
        recv $socket, my $text, 4096, 0;
        push @heard, $text;
    }
}

my %env = (NOTIFY_SOCKET => $path);

# --- states ---------------------------------------------------------------------

my $toy = toy(conf => { workers => 2, 'search.max_traces' => 10 },
    env => { %env });
$toy->start;
like hear(qr/recovering/), qr/^EXTEND_TIMEOUT_USEC=\d+\nSTATUS=recovering/,
    'recovery asks for time';
like hear(qr/READY=1/), qr/^READY=1\nSTATUS=ready: 2 workers, 0 spans\/s/,
    'ready';
is((ask($toy, 'reload'))[0], 0, 'a reload');
like hear(qr/RELOADING=1/), qr/^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=reloading\z/,
    'begins';
like hear(qr/READY=1/), qr/^READY=1\nSTATUS=ready: 2 workers/, 'and ends';
$toy->write_conf('search.max_traces' => 666);
is((ask($toy, 'reload'))[0], 1, 'a reload that fails');
like hear(qr/RELOADING=1/), qr/RELOADING/, 'begins';
like hear(qr/READY=1/), qr/^READY=1\nSTATUS=ready: .*; the last reload failed\z/,
    'ends and is remembered';
$toy->write_conf('search.max_traces' => 10);
is((ask($toy, 'reload'))[0], 0, 'one that does not');
hear(qr/RELOADING=1/);
unlike hear(qr/READY=1/), qr/failed/, 'and is forgotten';

my $old = $toy->pid;
is(($toy->upgrade)[0], 0, 'an upgrade');
like hear(qr/MAINPID/), qr/^MAINPID=@{[$toy->pid]}\n/, 'names the new master';
like hear(qr/READY=1/), qr/^READY=1\nSTATUS=ready: 2 workers/,
    'which is ready after that';
unlike join("\n", @heard), qr/STOPPING/, 'nothing stops';
is $toy->stop, 0, 'a stop';
like hear(qr/STOPPING=1/),
    qr/^STOPPING=1\nEXTEND_TIMEOUT_USEC=\d+\nSTATUS=finishing requests, \d+ process/,
    'is announced';

# --- an abstract address, and addresses that are none ----------------------------

my $abstract = "\0spoor-test-$$";
my $other = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $abstract)
    or die "abstract: $!";
($socket, my $kept) = ($other, $socket);
@heard = ();
$toy = toy(env => { NOTIFY_SOCKET => "\@spoor-test-$$" });
$toy->start;
ok hear(qr/READY=1/), 'an abstract address';
is $toy->stop, 0, 'stops';
$socket = $kept;
for ("$dir/nobody", 'relative', '/') {
    $toy = toy(env => { NOTIFY_SOCKET => $_ });
    $toy->start;
    like $toy->log, qr/warn.*NOTIFY_SOCKET: /, "$_: a warning";
    is $toy->stop, 0, 'and no more';
}

# --- signs of life ----------------------------------------------------------------

@heard = ();
$toy = toy(conf => { workers => 2 }, env => { %env,
    WATCHDOG_USEC => 1_200_000 });
$toy->start;
hear(qr/READY=1/);
ok hear(qr/^WATCHDOG=1\z/, 2), "a sign of life ($_)" for 1 .. 3;
my $stuck = $toy->connect;
syswrite $stuck, "GET /stall HTTP/1.1\r\nHost: x\r\n\r\n";
ok $toy->wait_log(qr/error.*worker \d \(\d+\) does not answer: the watchdog is left alone/, 5),
    'a worker hangs: it is said';
1 while hear(qr/WATCHDOG=1/, 0.01);
@heard = ();
is hear(qr/WATCHDOG=1/, 1.5), '', 'and no sign is given';
kill 'KILL', $toy->log =~ /worker \d \((\d+)\) does not answer/;
ok hear(qr/WATCHDOG=1/, 5), 'with another worker there are signs again';
kill 'STOP', $toy->pid;
1 while hear(qr/WATCHDOG=1/, 0.01);
@heard = ();
is hear(qr/WATCHDOG=1/, 1.5), '', 'a master that hangs gives none';
kill 'CONT', $toy->pid;
is $toy->stop('KILL'), 128 + 9, 'ends';

@heard = ();
$toy = toy(env => { %env, WATCHDOG_USEC => 300_000, WATCHDOG_PID => $$ });
$toy->start;
hear(qr/READY=1/);
is hear(qr/WATCHDOG=1/, 1), '', 'a watchdog that waits for another process';
is $toy->stop, 0, 'stops';

# --- the real one: what the status says -------------------------------------------

$ENV{SPOOR_BIN} = spoor_root() . '/objs/spoor' if !$ENV{SPOOR_OBJDIR};
$ENV{SPOOR_BIN} = "$ENV{SPOOR_OBJDIR}/spoor" if $ENV{SPOOR_OBJDIR};
@heard = ();
my $spoor = Test::Spoor->new(conf => { workers => 1 }, env => { %env,
    WATCHDOG_USEC => 3_000_000 });
$spoor->start;
like hear(qr/READY=1/),
    qr/STATUS=ready: 1 worker, 0 spans\/s, 0 B\z/, 'an empty store';
require Test::Otlp;
is $spoor->post('/v1/traces', Test::Otlp::otlp_json(map {
    Test::Otlp::otlp_span() } 1 .. 500),
    { Test::Otlp::otlp_type('json') })->{status}, 200, 'spans';
is $spoor->post('/internal/force_flush', '')->{status}, 200, 'flushed';
ok hear(qr/WATCHDOG=1/), 'signs of life';
like hear(qr/spans\/s/, 15),
    qr/STATUS=ready: 1 worker, [\d.]+k? spans\/s, [\d.]+ KiB, oldest \d{4}-\d\d-\d\d\z/,
    'each ten seconds: spans, bytes, the oldest day';
is $spoor->stop, 0, 'stops';

done_testing;
