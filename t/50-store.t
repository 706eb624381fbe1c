# SPDX-License-Identifier: BSD-2-Clause
#
# What is acknowledged is stored, once: each fsync mode, orderly stops and
# kill -9, requests sent again, days, retention.

use strict;
use warnings;

use IO::Compress::Gzip qw(gzip);
use JSON::PP ();
use POSIX qw(strftime);
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

sub files { return grep { !/\/\.\.?$/ } glob "$_[0]/{,.}*" }

# [rows in parts, rows in logs] of a stopped server; everything must be whole.
sub on_disk {
    my ($spoor, $name) = @_;
    my $out = run_command([spoorctl_bin(), 'check', '--deep',
        $spoor->data_dir]);

    is $out->{status}, 0, "$name: spoorctl check --deep"
        or diag $out->{out} . $out->{err};
    return [$out->{out} =~ /parts, (\d+) spans.*log files with (\d+) spans/];
}

# An answer without its head.
sub answer {
    my ($reply) = @_;

    return "$reply->{status} $reply->{body}";
}

sub new_id { return otlp_span()->{traceId} }

# A span of a trace that ended so many seconds ago.
sub ended {
    my ($seconds, %span) = @_;
    my $end = sprintf '%.0f', (time() - $seconds) * 1e6;

    return otlp_span(startTimeUnixNano => ($end - 1000) . '000',
        endTimeUnixNano => "${end}000", %span);
}

# --- modes, stops and crashes ------------------------------------------------

for my $fsync (qw(always interval off)) {
    my $spoor = Test::Spoor->new(conf => { 'storage.fsync' => $fsync,
        'storage.fsync_interval' => '50ms' });
    my %spans; # trace id => how many

    my $send = sub {
        my ($how_many) = @_;
        for (1 .. $how_many) {
            my $id = new_id();
            my $reply = post_traces($spoor, resource_spans("mode $fsync",
                map { otlp_span(traceId => $id) } 1 .. 3));
            $spans{$id} = 3 if $reply->{status} == 200;
            $id = new_id();
            $reply = $spoor->post('/v1/traces',
                otlp_pb(map { otlp_span(traceId => $id) } 1 .. 4),
                { otlp_type('pb') });
            $spans{$id} = 4 if $reply->{status} == 200;
        }
    };
    my $all_there = sub {
        my ($name) = @_;
        my @wrong = grep {
            my $trace = jaeger_trace($spoor, $_);
            !$trace || @{$trace->{spans}} != $spans{$_};
        } keys %spans;
        is scalar @wrong, 0, "$fsync: $name: all " . keys(%spans)
            . ' traces are there';
    };

    $spoor->start;
    $send->(15);
    is scalar keys %spans, 30, "$fsync: all acknowledged";
    $all_there->('from memory');
    $spoor->kill_all;
    $spoor->start;
    $all_there->('after kill -9');
    $send->(15);
    is $spoor->stop, 0, "$fsync: an orderly stop";
    is_deeply [grep { !/\.dig$/ } files($spoor->data_dir . '/wal')], [],
        "$fsync: no log is left";
    is_deeply on_disk($spoor, $fsync), [210, 0], "$fsync: rows on disk";
    $spoor->start;
    $all_there->('after a stop');
    $send->(5);
    ok flush($spoor), "$fsync: flushed";
    $send->(5);
    $spoor->kill_all;
    $spoor->start;
    $all_there->('some in parts, some in the log');
    if ($fsync eq 'interval') {
        $send->(1);
        ok wait_for(sub { $spoor->metric('spoor_log_sync_seconds_count') }, 5),
            'interval: the log is synced';
    } elsif ($fsync eq 'always') {
        $send->(1);
        cmp_ok $spoor->metric('spoor_log_sync_seconds_count'), '>=', 2,
            'always: the log is synced';
    } else {
        is $spoor->metric('spoor_log_sync_seconds_count'), 0,
            'off: the log is not synced';
    }
    # A worker alone, while the others go on.
    $send->(5);
    my $workers = $spoor->pids->{worker};
    $spoor->signal('KILL', $workers->[0]);
    $all_there->('while a worker is dead');
    ok wait_for(sub { @{$spoor->pids->{worker} || []} == 2
        && $spoor->pids->{worker}[0] != $workers->[0] }, 20),
        "$fsync: a new worker";
    $send->(5);
    $all_there->('after the death of a worker');
    my $rows = 0;
    $rows += $_ for values %spans;
    is $spoor->stop, 0, "$fsync: stop";
    is_deeply on_disk($spoor, "$fsync, at the end"), [$rows, 0],
        "$fsync: each row once";
}

# --- requests sent again -----------------------------------------------------

my $spoor = Test::Spoor->new(conf => { workers => 2 });
$spoor->start;
my $rows = 0; # stored
my @resend;   # [name, body, headers, answer]

sub plain { return $_[0] }

sub packed {
    gzip(\$_[0] => \my $packed);
    return $packed;
}

# Sends it several times, to whichever worker takes it: one answer, one copy.
sub send_often {
    my ($name, $body, $headers, $spans) = @_;
    my %answers;

    $answers{answer($spoor->post('/v1/traces', $body, $headers))}++
        for 1 .. 8;
    is scalar keys %answers, 1, "$name: one answer" or diag explain \%answers;
    push @resend, [$name, $body, $headers, keys %answers];
    $rows += $spans;
    return (keys %answers)[0];
}

sub resend_all {
    my ($when) = @_;

    for my $sent (@resend) {
        my ($name, $body, $headers, $answer) = @$sent;
        is answer($spoor->post('/v1/traces', $body, $headers)), $answer,
            "$when: $name: the same answer";
    }
    ok flush($spoor), "$when: flushed";
    is $spoor->metric('vt_storage_rows'), $rows, "$when: no row more";
    return;
}

my $bad = otlp_span(spanId => '0' x 16);
my $json = traces_json(resource_spans('again', map { otlp_span() } 1 .. 5));
is send_often('JSON', $json, { otlp_type('json') }, 5), '200 {}', 'success';
is send_often('protobuf', otlp_pb(map { otlp_span() } 1 .. 5),
    { otlp_type('pb') }, 5), '200 ', 'success';
my $partial = traces_json(resource_spans('again', otlp_span(), $bad,
    otlp_span()));
like send_often('partial JSON', $partial, { otlp_type('json') }, 2),
    qr/^200 .*"rejectedSpans":"1"/, 'partial success';
like send_often('partial protobuf', otlp_pb(otlp_span(), $bad, $bad),
    { otlp_type('pb') }, 1), qr/^200 \x0a.\x08\x02\x12.*rejected/,
    'partial success';
send_often('gzip', packed(traces_json(resource_spans('again', otlp_span()))),
    { otlp_type('json', 'gzip') }, 1);
is answer($spoor->post('/v1/traces', packed($json),
    { otlp_type('json', 'gzip') })), '200 {}',
    'the same body in another encoding';
# Another tenant, another body: these are new.
send_often('another tenant', $json, { otlp_type('json'), AccountID => 5 }, 5);
(my $spaced = $json) =~ s/^\{/{ /;
send_often('another body', $spaced, { otlp_type('json') }, 5);

# At the same time from many clients.
{
    my $body = traces_json(resource_spans('race', map { otlp_span() }
        1 .. 50));
    my @pids;
    for (1 .. 12) {
        my $pid = fork();
        die "fork: $!\n" unless defined $pid;
        if ($pid == 0) {
            my $ok = 1;
            for (1 .. 3) {
                $ok &&= answer($spoor->post('/v1/traces', $body,
                    { otlp_type('json') })) eq '200 {}';
            }
            POSIX::_exit($ok ? 0 : 1);
        }
        push @pids, $pid;
    }
    my $failed = grep { waitpid $_, 0; $? != 0 } @pids;
    is $failed, 0, 'a race: all clients are told that it is stored';
    push @resend, ['race', $body, { otlp_type('json') }, '200 {}'];
    $rows += 50;
}
resend_all('at once');
cmp_ok $spoor->metric('spoor_ingest_duplicate_requests_total'), '>=', 50,
    'they are counted';

$spoor->signal('KILL', $spoor->pids->{worker}[0]);
wait_for(sub { @{$spoor->pids->{worker} || []} == 2 }, 20);
resend_all('after the death of a worker');
$spoor->kill_all;
$spoor->start;
resend_all('after kill -9, rows in parts');
send_often('late', traces_json(resource_spans('again', otlp_span())),
    { otlp_type('json') }, 1);
like send_often('late partial', traces_json(resource_spans('again',
    otlp_span(), $bad)), { otlp_type('json') }, 1), qr/rejectedSpans/,
    'partial success';
$spoor->kill_all;
$spoor->start;
resend_all('after kill -9, rows in the log');
is $spoor->stop, 0, 'an orderly stop';
is_deeply on_disk($spoor, 'resent'), [$rows, 0], 'no row twice on disk';
$spoor->start;
resend_all('after a stop');
$spoor->signal('HUP');
sleep 0.5;
resend_all('after a reload');

# --- days --------------------------------------------------------------------

my $id = new_id();
my %seconds = map { $_ => 86400 * $_ } 0 .. 3;
is answer(post_traces($spoor, resource_spans('days', map {
    ended($seconds{$_}, traceId => $id, name => "day $_")
} sort keys %seconds))), '200 {}', 'a trace of four days';
in_all_states($spoor, sub {
    my ($where) = @_;

    is_stored_once($spoor, $id, 4, "$where: all four days are read");
    is_deeply [find_traces($spoor, service => 'days',
        start => int((time() - 3.5 * 86400) * 1e6),
        end => int((time() - 2.5 * 86400) * 1e6))], [$id],
        "$where: found by its oldest day";
    is_deeply [jaeger_names($spoor, 'days')], [map { "day $_" } 0 .. 3],
        "$where: names of all days";
});
is $spoor->stop, 0, 'stop';
for my $ago (0 .. 3) {
    my $day = strftime '%Y%m%d', gmtime(time() - 86400 * $ago);
    ok -e $spoor->data_dir . "/partitions/$day/MANIFEST",
        "a partition for $day";
}

# --- retention ---------------------------------------------------------------

$spoor->write_conf('storage.retention' => '3d',
    'storage.future_retention' => '1d');
$spoor->start;

sub rejected {
    my ($span, $reason, $name) = @_;
    my $metric = "vt_rows_dropped_total{reason=\"$reason\"}";
    my $before = $spoor->metric($metric);
    my $reply = post_traces($spoor, resource_spans('retention', $span,
        otlp_span(traceId => $span->{traceId}, name => 'kept')));
    my $answer = eval { JSON::PP::decode_json($reply->{body}) } || {};

    is $reply->{status}, 200, "$name: success";
    is $answer->{partialSuccess}{rejectedSpans}, '1', "$name: but for one";
    ok $answer->{partialSuccess}{errorMessage}, "$name: "
        . ($answer->{partialSuccess}{errorMessage} || '');
    is $spoor->metric($metric) - $before, 1, "$name: counted";
    is_stored_once($spoor, $span->{traceId}, 1, "$name: the other is kept");
    my $alone = post_traces($spoor, resource_spans('retention',
        { %$span, name => 'alone' }));
    like $alone->{body}, qr/"rejectedSpans":"1"/, "$name: alone";
    return;
}

rejected(ended(5 * 86400), 'too_small_timestamp', 'too old');
rejected(ended(-3 * 86400), 'too_big_timestamp', 'too new');
rejected({ %{ended(0)}, startTimeUnixNano => '18446744073709551615',
    endTimeUnixNano => '18446744073709551615' }, 'time', 'beyond all time');
# Whole days: the day of the end decides.
my $midnight = int(time() / 86400) * 86400;
is answer(post_traces($spoor, resource_spans('edge', otlp_span(
    startTimeUnixNano => ($midnight - 20 * 86400) . '000000000',
    endTimeUnixNano => ($midnight - 3 * 86400) . '000000000')))), '200 {}',
    'the first moment of the oldest day';
like answer(post_traces($spoor, resource_spans('edge', otlp_span(
    startTimeUnixNano => ($midnight - 20 * 86400) . '000000000',
    endTimeUnixNano => ($midnight - 3 * 86400 - 1) . '999999999')))),
    qr/"rejectedSpans":"1"/, 'the last moment before it';

# --- one request larger than a memtable --------------------------------------

my $file = $spoor->dir . '/large';
my $large = '';
my $spans = 0;
for my $seed (1 .. 5) {
    my $gen = run_command([spoorctl_bin(), 'gen', '--out', $file, '--traces',
        1000, '--seed', $seed]);
    my ($n) = $gen->{out} =~ /^(\d+) spans/ or die $gen->{err};
    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    $large .= <$in>; # protobuf messages add up
    $spans += $n;
}
my $before = $spoor->metric('vt_rows_ingested_total');
is answer($spoor->post('/v1/traces', $large, { otlp_type('pb') })), '200 ',
    'a request of ' . int(length($large) / 1e6) . ' MB';
is $spoor->metric('vt_rows_ingested_total') - $before, $spans,
    "$spans spans";
my $had = $spoor->metric('vt_storage_rows');
$spoor->kill_all;
$spoor->start;
ok flush($spoor), 'flushed';
my $now = $spoor->metric('vt_storage_rows');
is answer($spoor->post('/v1/traces', $large, { otlp_type('pb') })), '200 ',
    'sent again';
ok flush($spoor), 'flushed';
is $spoor->metric('vt_storage_rows'), $now, 'stored once';
is $spoor->post('/v1/traces', otlp_pb(otlp_span()) x 300_000,
    { otlp_type('pb') })->{status}, 413,
    'more spans than all memtables hold: not to be sent again';
is $spoor->stop, 0, 'stop';
is_deeply on_disk($spoor, 'large'), [$now, 0], 'all rows once on disk';

done_testing;
