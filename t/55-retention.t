# SPDX-License-Identifier: BSD-2-Clause
#
# Days are dropped by age and by size, and no others: after a reload, at a
# start, while queries and inserts go on, with kill -9 at each step; and a
# clock that jumps does not delete anything.

use strict;
use warnings;

use POSIX qw(strftime);
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $now = time();
# Days must not change in the middle.
sleep 130 - ($now % 86400 - 86280) if $now % 86400 > 86280;
$now = int time();

sub day_of { return strftime('%Y%m%d', gmtime($now - 86400 * $_[0])) }

# One trace a day, that many days ago; its id and span count by day.
my %trace;

sub send_day {
    my ($spoor, $ago, $bytes) = @_;
    my $end = $now - 86400 * $ago;
    my $id = $trace{$ago} ? $trace{$ago}{id} : otlp_span()->{traceId};
    my $text = join '', map { chr(33 + rand 90) } 1 .. ($bytes || 10);
    my $reply = post_traces($spoor, resource_spans('days', map {
        otlp_span(traceId => $id, name => "day $ago",
            startTimeUnixNano => $end - 1 . '000000000',
            endTimeUnixNano => $end . '000000000',
            attributes => attributes(text => $text)) } 1 .. 3));

    if ($reply->{status} == 200 && $reply->{body} eq '{}') {
        $trace{$ago}{id} = $id;
        $trace{$ago}{spans} += 3;
    }
    return "$reply->{status} $reply->{body}";
}

sub spans_of {
    my ($spoor, $ago) = @_;
    my $trace = jaeger_trace($spoor, $trace{$ago}{id});

    return $trace ? scalar @{$trace->{spans}} : 0;
}

# Which of the days are there, whole; '?' behind one that is there in part.
sub days_seen {
    my ($spoor, @agos) = @_;
    my @seen;

    for my $ago (@agos) {
        my $spans = spans_of($spoor, $ago);
        push @seen, $spans == $trace{$ago}{spans} ? $ago : "$ago?" if $spans;
    }
    return join ' ', @seen;
}

sub days_on_disk {
    my ($spoor) = @_;

    return join ' ', sort map { m{(\d{8})$} ? $1 : $_ }
        glob $spoor->data_dir . '/partitions/*';
}

sub names_of { return join ' ', sort map { day_of($_) } @_ }

sub reload {
    my ($spoor, %conf) = @_;
    my $old = $spoor->pids->{retention}[0];

    $spoor->write_conf(%conf);
    $spoor->signal('HUP');
    return wait_for(sub { my $pids = $spoor->pids->{retention};
        $pids && $pids->[0] != $old }, 20);
}

sub trash_is_empty {
    my ($spoor) = @_;

    return wait_for(sub { !glob $spoor->data_dir . '/.trash/dropped-*' }, 10);
}

# --- age ----------------------------------------------------------------------

my $spoor = Test::Spoor->new(conf => { workers => 2,
    'storage.retention' => '100y' });
my @all = (0, 1, 2, 5, 9, 40);

$spoor->start;
is send_day($spoor, $_), '200 {}', "spans of $_ days ago" for @all;
ok flush($spoor), 'flushed';
is send_day($spoor, $_), '200 {}', "more, $_ days ago" for @all;
is days_seen($spoor, @all), "@all", 'all days are there';
is $spoor->metric('vt_partitions'), 6, 'vt_partitions';

# A part of each day is in memory when the retention shrinks.
ok reload($spoor, 'storage.retention' => '5d'), 'retention: 5d';
ok wait_for(sub { days_on_disk($spoor) eq names_of(0, 1, 2, 5) }, 15),
    'the older days go' or diag days_on_disk($spoor);
ok flush($spoor), 'flushed';
is days_on_disk($spoor), names_of(0, 1, 2, 5), 'and do not come back';
is days_seen($spoor, @all), '0 1 2 5', 'the others are whole';
is $spoor->metric('vt_partitions'), 4, 'vt_partitions';
is $spoor->metric('spoor_partitions_dropped_total{reason="age"}'), 2, 'counted';
ok trash_is_empty($spoor), '.trash is emptied';
like $spoor->log, qr/day ${\day_of(40)} is dropped, it is older than/,
    'the log says so';
like send_day($spoor, 9), qr/^200 .*before the retention window/,
    'and its spans are refused';
$spoor->kill_all;
$spoor->start;
is days_seen($spoor, @all), '0 1 2 5', 'the same after kill -9';
is $spoor->stop, 0, 'stop';
my $check = run_command([spoorctl_bin(), 'check', '--deep',
    $spoor->data_dir]);
is $check->{status}, 0, 'spoorctl check' or diag $check->{out};
like $check->{out}, qr/^4 days, \d+ parts, 24 spans/m, 'four days';

# At a start.
$spoor->write_conf('storage.retention' => '1d');
$spoor->start;
ok wait_for(sub { days_on_disk($spoor) eq names_of(0, 1) }, 15),
    'a shorter retention at a start';
is days_seen($spoor, @all), '0 1', 'two days are left';
$spoor->stop;

# Only what comes in.
$spoor->write_conf('storage.retention' => '30d',
    'storage.max_backfill_age' => '12h');
$spoor->start;
like send_day($spoor, 1), qr/^200 .*before the retention window/,
    'storage.max_backfill_age: an old span is refused';
is send_day($spoor, 0), '200 {}', 'a new one is not';
is days_seen($spoor, 0, 1), '0 1', 'what is stored stays';
my $sample = qr/one of them: trace [0-9a-f]{32}, service "days", name "day 1"/;
like $spoor->log, qr/spans rejected: .*$sample, ended \d{4}-/,
    'a sample in the log';
$spoor->stop;

# --- kill -9 at each step -----------------------------------------------------

for my $point (qw(after_state after_flip after_rename mid_unlink)) {
    my $killed = Test::Spoor->new(conf => { workers => 1,
        'storage.retention' => '100y' });

    %trace = ();
    $killed->{env}{SPOOR_FAULT} = "retention.$point:kill:1";
    $killed->start;
    send_day($killed, $_) for 0, 3, 8;
    ok flush($killed), "$point: flushed";
    reload($killed, 'storage.retention' => '4d');
    ok wait_for(sub { days_on_disk($killed) eq names_of(0, 3) }, 20),
        "$point: the successor ends it" or diag days_on_disk($killed);
    is days_seen($killed, 0, 3, 8), '0 3', "$point: days";
    ok trash_is_empty($killed), "$point: .trash";
    like send_day($killed, 3), qr/^200 \{\}/, "$point: inserts go on";
    cmp_ok $killed->metric('spoor_worker_restarts_total{role="retention"}'),
        '==', 1, "$point: the process was killed";
    is $killed->stop, 0, "$point: stop";
}

# --- size ---------------------------------------------------------------------

%trace = ();
my $large = Test::Spoor->new(conf => { workers => 1,
    'storage.retention' => '100y' });
$large->start;
send_day($large, $_, 300_000) for 0 .. 5;
ok flush($large), 'days of some size';
is days_seen($large, 0 .. 5), '0 1 2 3 4 5', 'six days';
my $bytes = $large->metric('vt_data_size_bytes');
ok reload($large, 'storage.retention_max_bytes' => int($bytes * 3.5 / 6)),
    'room for three and a half';
ok wait_for(sub { days_on_disk($large) eq names_of(0 .. 2) }, 15),
    'three days stay' or diag days_on_disk($large);
is days_seen($large, 0 .. 5), '0 1 2', 'the newest';
is $large->metric('spoor_partitions_dropped_total{reason="size"}'), 3, 'counted';
ok reload($large, 'storage.retention_max_bytes' => 1), 'room for nothing';
ok wait_for(sub { days_on_disk($large) eq names_of(0, 1) }, 15),
    'the last two days stay' or diag days_on_disk($large);
is days_seen($large, 0 .. 5), '0 1', 'whole';
$large->write_conf('storage.retention_max_bytes' => 1,
    'storage.retention_max_percent' => 50);
$large->signal('HUP');
ok $large->wait_log(qr/spoor\.yaml:\d+:\d+: error:.*excludes/, 10),
    'both limits at once are an error';
is days_seen($large, 0, 1), '0 1', 'the old configuration counts';
$large->write_conf('storage.retention_max_bytes' => undef,
    'storage.retention_max_percent' => 1);
$large->stop;
$large->start;
sleep 1;
is days_seen($large, 0, 1), '0 1', 'the last two days stay on a full disk';
$large->stop;

%trace = ();
my $percent = Test::Spoor->new(conf => { workers => 1,
    'storage.retention' => '100y' });
$percent->start;
send_day($percent, $_) for 0 .. 3;
ok flush($percent), 'four days';
ok reload($percent, 'storage.retention_max_percent' => 100), 'any fullness';
sleep 1;
is days_seen($percent, 0 .. 3), '0 1 2 3', 'nothing is dropped';
ok reload($percent, 'storage.retention_max_percent' => 1),
    'the file system is fuller than one percent';
ok wait_for(sub { days_on_disk($percent) eq names_of(0, 1) }, 25),
    'the last two days stay' or diag days_on_disk($percent);
is days_seen($percent, 0 .. 3), '0 1', 'whole';
is $percent->stop, 0, 'stop';

# --- many days at once ---------------------------------------------------------

%trace = ();
my $wide = Test::Spoor->new(conf => { workers => 1,
    'storage.retention' => '100y' });
$wide->start;
send_day($wide, 0);
my @spans = map { my $end = $now - 86400 * $_; otlp_span(
    startTimeUnixNano => $end . '000000000',
    endTimeUnixNano => $end . '000000000') } 1 .. 70;
my $reply = post_traces($wide, resource_spans('wide', @spans));
is $reply->{status}, 429, '70 new days at once: later';
ok $reply->{headers}{'retry-after'}, 'Retry-After';
is $wide->metric('spoor_ingest_requests_refused_total{reason="new_days"}'), 1,
    'counted';
is send_day($wide, 0), '200 {}', 'days that are there cost nothing';
is send_day($wide, 63), '200 {}', 'nor those that were granted';
like send_day($wide, 65), qr/^429/, 'new ones wait';
is post_traces($wide, resource_spans('wide', @spans), [AccountID => 5])
    ->{status}, 200, 'another tenant has days of its own';
is post_traces($wide, resource_spans('wide', @spans))->{status}, 200,
    'and then they are there';
is $wide->stop, 0, 'stop';

# --- under load -----------------------------------------------------------------

# Days are dropped again and again while spans of them come in and merges run:
# each request of a day that stays is there, of others all or nothing.
my $busy = Test::Spoor->new(conf => { workers => 2,
    'storage.retention' => '100y', 'storage.retention_max_bytes' => 1,
    'storage.flush_interval' => '1s' });
$busy->start;
my @ids = map { [] } 0 .. 5;
my $until = time() + 24;
my ($requests, $partial) = (0, 0);
while (time() < $until) {
    for my $ago (0 .. 5) {
        my $end = $now - 86400 * $ago;
        my $id = otlp_span()->{traceId};
        my $reply = post_traces($busy, resource_spans('busy', map {
            otlp_span(traceId => $id, startTimeUnixNano => $end . '000000000',
            endTimeUnixNano => $end . '000000000') } 1 .. 3));
        $requests++;
        $partial++ if $reply->{status} == 200 && $reply->{body} ne '{}';
        push @{$ids[$ago]}, $id if $reply->{status} == 200;
        fail("$reply->{status} $reply->{body}") if $reply->{status} != 200;
    }
    my $reply = $busy->get('/select/logsql/query?start=0&query='
        . uri('* | count() n'));
    fail('a query: ' . $reply->{status}) if $reply->{status} != 200
        || $reply->{headers}{'spoor-partial'};
    sleep 0.02;
}
cmp_ok $busy->metric('spoor_partitions_dropped_total{reason="size"}'), '>=', 4,
    "$requests requests, $partial in part, while days were dropped";
ok flush($busy), 'flushed';
my %found;
for (split /\n/, $busy->get('/select/logsql/query?start=0&query='
    . uri('* | stats by (trace_id) count() n'))->{body}) {
    $found{$1} = $2 if /"trace_id":"(\w+)".*"n":"(\d+)"/;
}
is scalar(grep { ($found{$_} || 0) != 3 } @{$ids[0]}, @{$ids[1]}), 0,
    'the last two days are whole';
is scalar(grep { $_ != 3 } values %found), 0, 'of others all or nothing';
is $busy->metric('spoor_parts_bad') + $busy->metric('spoor_parts_offline'), 0,
    'no part is missing';
is $busy->metric('spoor_worker_restarts_total'), 0, 'no process died';
$busy->kill_all;
$busy->start;
is $busy->metric('spoor_parts_bad'), 0, 'nor after kill -9';
is $busy->stop, 0, 'stop';
$check = run_command([spoorctl_bin(), 'check', '--deep', $busy->data_dir]);
is $check->{status}, 0, 'spoorctl check' or diag $check->{out};

# --- a clock that jumps -------------------------------------------------------

%trace = ();
my $jump = Test::Spoor->new(conf => { workers => 1,
    'storage.retention' => '7d' });
my $clock = $jump->dir . '/clock';
$jump->{env}{SPOOR_CLOCK_FILE} = $clock;

sub set_clock {
    my ($text) = @_;

    open my $out, '>', "$clock.tmp" or die "$clock: $!\n";
    print $out $text;
    close $out;
    rename "$clock.tmp", $clock;
    sleep 0.05;
    return;
}

set_clock('+0s');
$jump->start;
send_day($jump, $_) for 0, 3;
ok flush($jump), 'two days';
set_clock('+365d');
reload($jump, 'storage.retention' => '6d');
ok $jump->wait_log(qr/the clock says .* is not dropped before/, 15),
    'a year ahead: doubted';
sleep 1;
is days_seen($jump, 0, 3), '0 3', 'a year ahead: no day is dropped';
$jump->kill_all;
$jump->start;
sleep 1;
is days_seen($jump, 0, 3), '0 3', 'nor after a start';
set_clock('+0s');
reload($jump, 'storage.retention' => '2d');
ok wait_for(sub { days_on_disk($jump) eq names_of(0) }, 15),
    'a clock that is right again: retention works';
$jump->stop;

done_testing;
