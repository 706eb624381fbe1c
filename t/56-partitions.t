# SPDX-License-Identifier: BSD-2-Clause
#
# Days are listed, detached, attached and snapshotted while the server runs:
# every endpoint with what it refuses, under load, over restarts and kill -9
# at each step, and from one server to another.

use strict;
use warnings;

use File::Find;
use JSON::PP ();
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

sub post {
    my ($spoor, $path, $form) = @_;

    return $spoor->post("/internal/partition/$path", defined $form ? $form
        : '', defined $form ? { 'content-type' =>
        'application/x-www-form-urlencoded' } : undef, 150);
}

sub answer {
    my ($reply) = @_;
    my $body = defined $reply->{body} ? $reply->{body} : '';
    $body =~ s/\n\z//;

    return "$reply->{status} $body";
}

sub listed {
    my ($spoor) = @_;

    return join ' ', @{JSON::PP::decode_json(post($spoor, 'list')->{body})};
}

sub names_of { return join ' ', sort map { day_of($_) } @_ }

# Spans of a trace that ended so many days ago.
sub send_trace {
    my ($spoor, $ago, $id, %span) = @_;
    my $end = $now - 86400 * $ago;

    return post_traces($spoor, resource_spans("days $ago", map {
        otlp_span(traceId => $id, name => "op $_", %span,
            startTimeUnixNano => $end - 1 . '000000000',
            endTimeUnixNano => $end . '000000000') } 1 .. 3));
}

my %id = map { $_ => otlp_span()->{traceId} } 0 .. 9;

sub spans_of {
    my ($spoor, $ago) = @_;
    my $trace = jaeger_trace($spoor, $id{$ago});

    return $trace ? scalar @{$trace->{spans}} : 0;
}

sub counts {
    my ($spoor, @agos) = @_;

    return join ' ', map { spans_of($spoor, $_) } @agos;
}

# A count over all days that says if it is partial.
sub count_all {
    my ($spoor) = @_;
    my $reply = $spoor->get('/select/logsql/query?query='
        . uri('* | count() n') . '&start=0');
    my ($n) = $reply->{body} =~ /"n":"(\d+)"/;

    $n = "status $reply->{status}" if !defined $n;
    return $reply->{headers}{'spoor-partial'} ? "$n, partial" : $n;
}

sub check_is_clean {
    my ($dir, $rows, $name) = @_;
    my $out = run_command([spoorctl_bin(), 'check', '--deep', $dir]);

    is $out->{status}, 0, "$name: check --deep"
        or diag $out->{out} . $out->{err};
    like $out->{out}, qr/ parts, $rows spans, /, "$name: each span once"
        or diag $out->{out};
    return $out->{out};
}

# --- endpoints ----------------------------------------------------------------

my $spoor = Test::Spoor->new(conf => { workers => 2,
    'storage.retention' => '30d' });
my $data = $spoor->data_dir;
$spoor->start;
is answer(post($spoor, 'list')), '200 []', 'no day yet';
is answer(post($spoor, 'snapshot/list')), '200 []', 'no snapshot yet';
is answer(post($spoor, 'snapshot/create')), '200 []', 'nothing to snapshot';
send_trace($spoor, $_, $id{$_}) for 0 .. 3;
is listed($spoor), names_of(0 .. 3), 'days that are in memory';
ok flush($spoor), 'flushed';
is listed($spoor), names_of(0 .. 3), 'and in parts';
is count_all($spoor), 12, 'all spans';

for my $path (qw(list attach detach snapshot/create snapshot/list
    snapshot/delete snapshot/delete_stale)) {
    for my $method (qw(GET PUT DELETE)) {
        my $reply = $spoor->request($method, "/internal/partition/$path");
        is $reply->{status}, 405, "$path: no $method";
        like $reply->{headers}{allow}, qr/^POST\b/, "$path: Allow";
    }
}
my $day = day_of(2);
for my $verb (qw(attach detach)) {
    like answer(post($spoor, $verb)), qr/^400 .*"name" is missing/,
        "$verb: no name";
    like answer(post($spoor, "$verb?name=" . uri($_))),
        qr/^400 .*is no day/, "$verb: \"$_\"" for '2026', '20261301',
        '20260230', '19691231', '2026-11-01', '20261121/..', 'x' x 200;
    like answer(post($spoor, "$verb?name=20200101")),
        qr/^400 there is no/, "$verb: an unknown day";
}
like answer(post($spoor, "attach?name=$day")), qr/^400 .*attached already/,
    'attach: it is attached';

is answer(post($spoor, 'detach', "name=$day")), '200 ', 'a form is taken';
is listed($spoor), names_of(0, 1, 3), 'it is not listed';
is counts($spoor, 0 .. 3), '3 3 0 3', 'its spans are not found';
is count_all($spoor), 9, 'nor counted';
is_deeply [sort(jaeger_names($spoor))], ['days 0', 'days 1', 'days 3'],
    'nor is its service';
like answer(post($spoor, "detach?name=$day")), qr/^400 .*detached already/,
    'detach: it is detached';
like answer(send_trace($spoor, 2, $id{2})),
    qr/^200 .*"rejectedSpans":"3".*is detached/, 'its spans are refused';
is $spoor->metric('vt_rows_dropped_total{reason="detached"}'), 3, 'counted';
like answer(post_traces($spoor, resource_spans('both', map { otlp_span(
    endTimeUnixNano => $now - 86400 * $_ . '000000000') } 2, 1))),
    qr/^200 .*"rejectedSpans":"1"/, 'but those of other days taken';
ok flush($spoor), 'flushed';
is count_all($spoor), 10, 'one more';
like answer(post($spoor, "snapshot/create?partition_prefix=$day")),
    qr/^400 there is no day/, 'no snapshot of a detached day';

$spoor->restart;
is counts($spoor, 0 .. 3), '3 3 0 3', 'detached after a restart';
$spoor->kill_all;
$spoor->start;
is counts($spoor, 0 .. 3), '3 3 0 3', 'and after kill -9';
like answer(send_trace($spoor, 2, $id{2})), qr/^200 .*is detached/,
    'refused, too';
is $spoor->stop, 0, 'stop';
like check_is_clean($data, 13, 'detached'), qr/^note: day $day is detached$/m,
    'check tells of it';
$spoor->start;
is answer(post($spoor, "attach?name=$day")), '200 ', 'attached';
is listed($spoor), names_of(0 .. 3), 'listed';
is counts($spoor, 0 .. 3), '3 3 3 3', 'all days';
is answer(send_trace($spoor, 2, $id{4})), '200 {}', 'spans are taken again';
is count_all($spoor), 16, 'and counted';

# --- what is not whole is not attached -----------------------------------------

sub tree {
    my ($dir) = @_;
    my @all;

    find({ no_chdir => 1, wanted => sub {
        push @all, $_ . ' ' . (-f $_ ? -s _ : 'dir')
            if !m{/(?:DETACHED|NODE|spoor\.pid.*|.*\.wal)\z};
    } }, $dir);
    return join "\n", sort @all;
}

is answer(post($spoor, "detach?name=$day")), '200 ', 'detached';
my $home = "$data/partitions/$day";
my ($part) = glob "$home/*.l[12]";
my $aside = $spoor->dir . '/aside';
for my $case (
    ['no MANIFEST', qr/no MANIFEST/, sub { unlink "$home/MANIFEST" }],
    ['a part is missing', qr/\Q$part\E/, sub { unlink $part }],
    ['a part is cut', qr/\Q$part\E/, sub { spew($part, substr slurp($part), 0,
        100) }],
    ['a part is another', qr/\Q$part\E/, sub { my ($other) = glob "$data/"
        . 'partitions/' . day_of(0) . '/*.l[12]'; spew($part,
        slurp($other)) }],
    ['MANIFEST is damaged', qr/damaged/, sub { my $m = slurp("$home/MANIFEST");
        substr($m, 100, 1) ^= "\1"; spew("$home/MANIFEST", "$m") }],
    ['the directory of another day', qr/is damaged|holds parts of day/, sub {
        system 'cp', '-a', glob("$data/partitions/" . day_of(0) . '/*'),
            $home }],
    ['a bit of its footer', qr/\Q$part\E/, sub { my $p = slurp($part);
        substr($p, -1, 1) ^= "\1"; spew($part, $p) }],
    ) {
    my ($name, $pattern, $damage) = @$case;
    system 'rm', '-rf', $aside;
    system 'cp', '-a', $home, $aside;
    $damage->();
    my $before = tree($data);
    like answer(post($spoor, "attach?name=$day")), qr/^400 .*$pattern/,
        "$name: not attached";
    is tree($data), $before, "$name: nothing is changed";
    system 'rm', '-rf', $home;
    system 'cp', '-a', $aside, $home;
}
is answer(post($spoor, "attach?name=$day")), '200 ', 'whole: attached';
is count_all($spoor), 16, 'all is there';

# --- moved away ----------------------------------------------------------------

is answer(post($spoor, "detach?name=$day")), '200 ', 'detached';
rename $home, $aside . '.moved' or die "rename: $!\n";
like answer(send_trace($spoor, 2, $id{2})), qr/^200 .*is detached/,
    'moved away: spans are refused';
ok flush($spoor), 'flushed';
ok !-e $home, 'moved away: no new directory';
$spoor->kill_all;
$spoor->start;
ok !-e $home, 'moved away: nor after kill -9';
like answer(send_trace($spoor, 2, $id{2})), qr/^200 .*is detached/,
    'moved away: still refused';
is answer(post($spoor, "attach?name=$day")), '200 ', 'attached, it is empty';
is answer(send_trace($spoor, 2, $id{5})), '200 {}', 'and may begin anew';
ok flush($spoor), 'flushed';
is answer(post($spoor, "detach?name=$day")), '200 ', 'detached once more';
system 'rm', '-rf', $home;
rename $aside . '.moved', $home or die "rename: $!\n";
is answer(post($spoor, "attach?name=$day")), '200 ', 'the old one comes back';
is counts($spoor, 0 .. 5), '3 3 3 3 3 0', 'with its spans';
is count_all($spoor), 16, 'no other';

# --- under load ---------------------------------------------------------------

# Inserts of all days and queries, while a day goes and comes.
my $writer = fork();
if ($writer == 0) {
    my $n = 0;
    open my $out, '>', $spoor->dir . '/sent' or POSIX::_exit(1);
    $out->autoflush(1);
    while (!-e $spoor->dir . '/enough') {
        for my $ago (0 .. 3) {
            my $reply = send_trace($spoor, $ago, sprintf('%032x', 1e6 + ++$n));
            my $rejected = $reply->{body} =~ /"rejectedSpans":"(\d)"/ ? $1 : 0;
            print $out "$ago $n ", $reply->{status} == 200 ? 3 - $rejected
                : "status $reply->{status}", "\n";
        }
    }
    POSIX::_exit(0);
}
my $reader = fork();
if ($reader == 0) {
    my $bad = 0;
    while (!-e $spoor->dir . '/enough') {
        my $c = counts($spoor, 0, 1, 3);
        $bad++ if $c ne '3 3 3';
        $bad++ if spans_of($spoor, 2) !~ /^[03]$/;
        $bad++ if count_all($spoor) =~ /partial|status/;
    }
    POSIX::_exit($bad > 100 ? 100 : $bad);
}
my $rounds = 0;
for my $round (1 .. 6) {
    sleep 0.2;
    my $d = answer(post($spoor, "detach?name=$day"));
    $rounds++ if $d eq '200 ';
    is spans_of($spoor, 2), 0, "round $round: detached ($d)";
    my $names = join ' ', map { "$_ " . -s } sort glob "$home/*";
    sleep 0.1;
    is join(' ', map { "$_ " . -s } sort glob "$home/*"), $names,
        "round $round: nobody writes there";
    is answer(post($spoor, "attach?name=$day")), '200 ',
        "round $round: attached";
    is spans_of($spoor, 2), 3, "round $round: it is there";
}
is $rounds, 6, 'detached six times under load';
spew($spoor->dir . '/enough', '');
waitpid $writer, 0;
is $?, 0, 'the writer is well';
waitpid $reader, 0;
is $? >> 8, 0, 'no wrong, missing or double span of other days';
my ($sent, $refused, @odd) = (0, 0);
for (split /\n/, slurp($spoor->dir . '/sent')) {
    my ($ago, $n, $taken) = /^(\d) (\d+) (\d)$/ or push(@odd, $_), next;
    $sent += $taken;
    $refused++ if $taken == 0;
    push @odd, $_ if $ago != 2 && $taken != 3 || $taken !~ /^[03]$/;
}
is scalar @odd, 0, 'spans of other days are all taken' or diag "@odd[0..3]";
cmp_ok $refused, '>', 0, "$refused requests of the day were refused";
is count_all($spoor), 16 + $sent, "$sent spans are there once";
$spoor->restart;
is count_all($spoor), 16 + $sent, 'the same after a restart';
is $spoor->metric('spoor_worker_restarts_total'), 0, 'no process died';

# --- snapshots, and another server ---------------------------------------------

my @questions = (map({ "/select/jaeger/api/traces/$id{$_}" } 0 .. 5),
    '/select/jaeger/api/services', (map { "/select/logsql/$_" }
    'query?start=0&query=' . uri('* | sort by (_time, trace_id, span_id) | '
        . 'fields _time, trace_id, span_id, name'),
    'query?start=0&query=' . uri('* | stats by (name) count() n, '
        . 'count_uniq(trace_id) t | sort by (name)')));

sub ask_all {
    my ($server) = @_;

    return map { my $reply = $server->get($_);
        "$_ $reply->{status} $reply->{body}" } @questions;
}

send_trace($spoor, 1, $id{6});
my $made = post($spoor, 'snapshot/create');
is $made->{status}, 200, 'a snapshot of all days';
my @paths = @{JSON::PP::decode_json($made->{body})};
is scalar @paths, 4, 'four paths';
is answer(post($spoor, 'snapshot/list')), "200 $made->{body}", 'listed';
my @expect = ask_all($spoor);
my $expect_count = count_all($spoor);
is $expect_count, 19 + $sent, 'what was sent before it is in it';

my $other = Test::Spoor->new(conf => { workers => 1,
    'storage.retention' => '30d' });
$other->start;
for my $path (@paths) {
    my ($name) = $path =~ m{/partitions/(\d{8})/snapshots/\d{14}-[0-9a-f]{8}$}
        or fail("a path: $path");
    # As rsync does: names of its own first.
    system 'cp', '-a', $path, $other->data_dir . "/partitions/.$name.copy";
    rename $other->data_dir . "/partitions/.$name.copy",
        $other->data_dir . "/partitions/$name" or die "rename: $!\n";
    is spans_of($other, 0) + 0, $name eq day_of(0) ? 0 : spans_of($other, 0),
        "$name: copied, not attached";
    is answer(post($other, "attach?name=$name")), '200 ',
        "$name: attached elsewhere";
}
is count_all($other), $expect_count, 'elsewhere: the same number';
is_deeply [ask_all($other)], \@expect, 'elsewhere: every answer is the same';
# New spans of the days, with ids of this server.
is answer(send_trace($other, $_, $id{7})), '200 {}', "elsewhere: more of $_"
    for 0 .. 3;
ok flush($other), 'elsewhere: flushed';
$other->kill_all;
$other->start;
is count_all($other), $expect_count + 12, 'elsewhere: all after kill -9';
is $other->stop, 0, 'elsewhere: stop';
check_is_clean($other->data_dir, $expect_count + 12, 'elsewhere');

# Snapshots do not change when the day does.
send_trace($spoor, 0, $id{8});
ok flush($spoor), 'flushed';
is $spoor->stop, 0, 'stop';
like check_is_clean($data, $expect_count + 3, 'snapshots'),
    qr/^note: 4 snapshots$/m, 'check looks at snapshots';
$spoor->start;
unlink glob "$paths[0]/*.l[12]";
like answer(post($spoor, 'snapshot/delete')), qr/^400 .*"path" is missing/,
    'delete: no path';
like answer(post($spoor, 'snapshot/delete?path=' . uri($_))),
    qr/^400 .*not the path of a snapshot/, "delete: $_"
    for '/etc/passwd', "$data/partitions", "$data/partitions/$day",
    "$data/partitions/$day/snapshots/..", "$paths[0]/", "$paths[0]/MANIFEST",
    substr($paths[0], 1);
is answer(post($spoor, 'snapshot/delete?path=' . uri($paths[0]))), '204 ',
    'delete';
ok !-e $paths[0], 'it is gone';
like answer(post($spoor, 'snapshot/delete?path=' . uri($paths[0]))),
    qr/^400 there is no snapshot/, 'delete: once';
is answer(post($spoor, 'snapshot/delete_stale')), '200 []',
    'none is three days old';
like answer(post($spoor, 'snapshot/delete_stale?max_age=x')),
    qr/^400 .*duration/, 'delete_stale: no duration';
sleep 1.1;
is scalar @{JSON::PP::decode_json(post($spoor,
    'snapshot/delete_stale?max_age=1s')->{body})}, 3, 'three are a second old';
is answer(post($spoor, 'snapshot/list')), '200 []', 'none is left';
is count_all($spoor), $expect_count + 3, 'the data is untouched';
my $two = JSON::PP::decode_json(post($spoor, 'snapshot/create?'
    . 'partition_prefix=' . $day)->{body});
is scalar @$two, 1, 'of one day';
like $two->[0], qr{/partitions/$day/snapshots/}, 'of this one';
like answer(post($spoor, 'snapshot/create?partition_prefix=2026x')), qr/^400/,
    'prefix: digits';
is answer(post($spoor, 'snapshot/create?partition_prefix=1999')), '200 []',
    'prefix: of no day';
is $spoor->stop, 0, 'stop';

# --- a key --------------------------------------------------------------------

$spoor->write_conf('http.partition_manage_auth_key' => 'open sesame',
    'storage.snapshots_max_age' => '1s');
sleep 2;
$spoor->start;
ok wait_for(sub { !-e $two->[0] }, 10), 'stale snapshots go by themselves';
for my $path (qw(list attach detach snapshot/create snapshot/list
    snapshot/delete snapshot/delete_stale)) {
    like answer(post($spoor, $path)), qr/^401 .*-partitionManageAuthKey/,
        "$path: no key";
    is post($spoor, "$path?authKey=" . uri($_))->{status}, 401,
        "$path: wrong key \"$_\"" for 'open', 'open sesame ', 'x' x 11;
}
is post($spoor, 'list?authKey=' . uri('open sesame'))->{status}, 200,
    'the key in the URL';
is post($spoor, 'list', 'authKey=open+sesame')->{status}, 200,
    'the key in a form';
unlike $spoor->log, qr/sesame/, 'it is not in the log';
unlike $spoor->get('/flags')->{body}, qr/sesame/, 'nor in /flags';
is $spoor->stop, 0, 'stop';

# --- kill -9 at each step -----------------------------------------------------

my $killed = Test::Spoor->new(conf => { workers => 1,
    'storage.retention' => '30d' });
my $faults = $killed->dir . '/faults';
$killed->{env}{SPOOR_FAULT_FILE} = $faults;
spew($faults, '');
$killed->start;
send_trace($killed, $_, $id{$_}) for 0 .. 2;
ok flush($killed), 'three days';
send_trace($killed, $_, $id{$_ + 3}) for 0 .. 2;

sub arm {
    spew("$faults.new", $_[0]);
    rename "$faults.new", $faults;
    sleep 0.03;
    return;
}

# Until it works, as a person would.
sub again {
    my ($path) = @_;
    my $reply;

    wait_for(sub {
        $reply = post($killed, $path);
        return $reply->{status} == 200
            || $reply->{body} =~ /(?:attached|detached) already/;
    }, 30);
    return $reply->{status} == 200 || $reply->{body} =~ /already/ ? 'done'
        : answer($reply);
}

$day = day_of(1);
my $all = 18;
for my $point (qw(detach.after_detaching detach.after_flush
    detach.after_detached detach.after_flip detach.after_save)) {
    arm("$point:kill:1");
    like answer(post($killed, "detach?name=$day")), qr/^503 .*interrupted/,
        "$point: interrupted";
    arm('');
    my $n = count_all($killed);
    like $n, qr/^(?:18|12)$/, "$point: the day is there or not ($n)";
    is again("detach?name=$day"), 'done', "$point: once more";
    is count_all($killed), 12, "$point: now it is not";
    is counts($killed, 0, 2), '3 3', "$point: others are";
    is again("attach?name=$day"), 'done', "$point: attached";
    is count_all($killed), 18, "$point: all spans";
}
for my $point (qw(attach.after_check attach.after_tidy attach.after_rewrite
    attach.after_save attach.after_flip)) {
    is again("detach?name=$day"), 'done', "$point: detached";
    arm("$point:kill:1");
    like answer(post($killed, "attach?name=$day")), qr/^503 .*interrupted/,
        "$point: interrupted";
    arm('');
    my $n = count_all($killed);
    like $n, qr/^(?:$all|12)$/, "$point: the day is there or not ($n)";
    is again("attach?name=$day"), 'done', "$point: attached";
    is count_all($killed), $all, "$point: all spans";
    is answer(send_trace($killed, 1, otlp_span()->{traceId})), '200 {}',
        "$point: open";
    $all += 3;
}
for my $point (qw(snapshot.mid_links snapshot.after_links
    snapshot.after_rename snapshot.before_remove)) {
    arm("$point:kill:1");
    if ($point =~ /remove/) {
        my $made = post($killed, 'snapshot/create');
        my ($path) = @{JSON::PP::decode_json($made->{body})};
        like answer(post($killed, 'snapshot/delete?path=' . uri($path))),
            qr/^503 .*interrupted/, "$point: interrupted";
        ok !-e $path, "$point: not listed as whole";
    } else {
        like answer(post($killed, 'snapshot/create')),
            qr/^503 .*interrupted/, "$point: interrupted";
    }
    arm('');
    ok wait_for(sub { !glob $killed->data_dir
        . '/partitions/*/snapshots/*.{tmp,old}' }, 10),
        "$point: leftovers go";
    is post($killed, 'snapshot/create')->{status}, 200, "$point: once more";
    is count_all($killed), $all, "$point: all spans";
    is post($killed, 'snapshot/delete_stale?max_age=0s')->{status}, 200,
        "$point: removed";
}
my ($last) = @{JSON::PP::decode_json(post($killed, 'snapshot/create')
    ->{body})};
is $killed->stop, 0, 'stop';
my $out = run_command([spoorctl_bin(), 'check', '--deep',
    $killed->data_dir]);
is $out->{status}, 0, 'check --deep after all that' or diag $out->{out};

# Damage of a snapshot is found, too.
my $manifest = slurp("$last/MANIFEST");
substr($manifest, 20, 1) ^= "\1";
spew("$last/MANIFEST", $manifest);
my ($linked) = glob "$last/*.l[12]";
unlink $linked;
$out = run_command([spoorctl_bin(), 'check', $killed->data_dir]);
is $out->{status}, 1, 'check of a damaged snapshot';
like $out->{out}, qr/^damage: \Q$last\E/m, 'names it';

done_testing;
