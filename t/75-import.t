# SPDX-License-Identifier: BSD-2-Clause
#
# spoorctl import from a VictoriaTraces server: lines of /select/logsql/query,
# from a file and over HTTP.  spoor's own lines have the same data model, so
# one spoor is the server to leave; both must then answer the same.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Relay;
use Test::Spoor;
use Test::Traces;

my $ctl = spoorctl_bin();
my $helper = ($ENV{SPOOR_OBJDIR} || spoor_root() . '/objs')
    . '/t/helper/otlp_spans';
my %conf = (conf => { 'storage.retention' => '100y' });
my $old = Test::Spoor->new(%conf);
my $new = Test::Spoor->new(%conf);
my $dir = $new->dir;

sub import_new {
    my (@words) = @_;

    return run_command([$ctl, 'import', '--url', $new->url, '--quiet',
        @words]);
}

# All rows of a tenant, by span id.
sub rows {
    my ($server, $account, $query) = @_;
    my $reply = $server->post('/select/logsql/query',
        'query=' . ($query || '*'), { AccountID => $account || 0,
        'Content-Type' => 'application/x-www-form-urlencoded' }, 60);
    my %rows;

    for my $line (split /\n/, $reply->{body}) {
        my $row = eval { JSON::PP->new->utf8->decode($line) }
            or die "no JSON: " . substr($line, 0, 200) . "\n";
        # It has the tenant in it.
        delete $row->{_stream_id} if $account;
        $rows{$row->{span_id}} = $row;
    }
    return \%rows;
}

# Rows that differ; text that JSON cannot hold is another one afterwards.
sub differing {
    my ($left, $right) = @_;
    my $json = JSON::PP->new->canonical;
    my @differ;

    for my $id (sort keys %{{ %$left, %$right }}) {
        my ($a, $b) = map { $json->encode($_->{$id} || {}) } $left, $right;

        push @differ, "$a\n$b" if $a ne $b && $a !~ /\x{fffd}/;
    }
    diag(join "\n", @differ[0 .. ($#differ < 2 ? $#differ : 2)]) if @differ;
    return scalar @differ;
}

$old->start;
$new->start;

# --- spans of every kind, as lines -------------------------------------------

for my $seed (1 .. 3) {
    my $wild = run_command([$helper, 'wild', $seed, 100])->{out};
    is $old->post('/v1/traces', $wild, { otlp_type('pb') })->{status}, 200,
        "wild spans $seed";
}
ok flush($old), 'flushed';
my $lines = $old->get('/select/logsql/query?query=*', undef, 60)->{body};
my $count = () = $lines =~ /\n/g;
cmp_ok $count, '>', 280, "$count rows";
my $before = rows($old);
my $run = import_new('--from', 'victoriatraces', spew("$dir/a.jsonl",
    $lines));
is $run->{status}, 0, 'import of lines' or diag $run->{err};
like $run->{out}, qr/^$count spans in \d+ requests/, 'of all';
is differing($before, rows($new)), 0, 'both servers answer the same';
is import_new('--from', 'victoriatraces', "$dir/a.jsonl")->{status}, 0,
    'once more';
is $new->metric('vt_rows_ingested_total'), $count, 'stored once';

# The spelling of newer releases, and in another order.
(my $newer = $lines) =~ s/"(event|link):(\d+):((?:\\.|[^"\\])*)":/"$1:$3:$2":/g;
isnt $newer, $lines, 'numbers behind the names of events';
$newer = join '', map { "$_\n" } reverse split /\n/, $newer;
is import_new('--from', 'victoriatraces', '--tenant', 2,
    spew("$dir/newer.jsonl", $newer))->{status}, 0, 'import of these';
delete $_->{_stream_id} for values %$before;
is differing($before, rows($new, 2)), 0, 'the same rows';

# --- the server itself -------------------------------------------------------

$run = import_new('--tenant', 3, '--from-url', $old->url, '--slice',
    '1MiB');
is $run->{status}, 0, 'import --from-url' or diag $run->{err};
like $run->{out}, qr/^$count spans in/, 'of all';
is differing($before, rows($new, 3)), 0, 'the same rows';
my $relay = Test::Relay->new($old->port, qw(pass busy cut pass));
$run = run_command([$ctl, 'import', '--url', $new->url, '--tenant', 4,
    '--from-url', $relay->url]);
$relay->stop;
is $run->{status}, 0, 'a server that stumbles' or diag $run->{err};
is differing($before, rows($new, 4)), 0, 'the same rows';
is scalar(() = keys %{rows($new, 4)}), $count, 'each once';
$run = import_new('--tenant', 5, '--from-url', $old->url, '--query',
    'kind:=1 or kind:=2');
my ($some) = $run->{out} =~ /^(\d+) spans in/;
is $some, scalar(grep { $_->{kind} =~ /^[12]$/ } values %$before),
    '--query';
$run = import_new('--tenant', 6, '--from-url', $old->url, '--end',
    '2020-01-01', '--start', '2019-01-01T00:00:00Z');
like $run->{out}, qr/^0 spans in 0 requests/, '--start and --end';
$relay = Test::Relay->new($old->port, qw(pass partial));
$run = import_new('--tenant', 7, '--from-url', $relay->url);
$relay->stop;
is $run->{status}, 2, 'a partial answer: status 2';
like $run->{err}, qr/\(--start \S+ goes on\): .*leaves damaged data out/,
    'with the reason';

# --- recorded rows of VictoriaTraces -----------------------------------------

# Spans that went through LogsQL lines pass the recorded cases as spans that
# came over OTLP do.
sub conformance {
    my $suite = $ENV{SPOOR_CONFORMANCE} || spoor_root()
        . '/../shared/conformance';
    my @spoor = map { Test::Spoor->new(%conf) } 1, 2;
    my @runs;

    plan skip_all => "no conformance suite ($suite)"
        unless -f "$suite/run.py" &&
        run_command(['python3', '--version'])->{status} == 0;
    $_->start for @spoor;
    for my $i (0, 1) {
        my $case = run_command(['python3', "$suite/run.py", '--url',
            $spoor[$i]->url, '--ingest', $i ? 'none' : 'pb', '--tap',
            '--jobs', 2], env => { PYTHONDONTWRITEBYTECODE => 1 },
            seconds => 300);
        $runs[$i] = [grep { m{^ok .* - (?:datamodel|logsql|jaeger)} }
            split /\n/, $case->{out}];
        next if $i;
        my $import = run_command([$ctl, 'import', '--quiet', '--url',
            $spoor[1]->url, '--from-url', $spoor[0]->url]);
        is $import->{status}, 0, 'imported' or diag $import->{err};
    }
    my %passed = map { s/^ok \d+ - //r => 1 } @{$runs[1]};
    my @lost = grep { !$passed{$_} } map { s/^ok \d+ - //r } @{$runs[0]};
    cmp_ok scalar @{$runs[0]}, '>', 800,
        scalar(@{$runs[0]}) . ' cases pass before';
    is_deeply \@lost, [], 'and after';

    # Rows that VictoriaTraces itself has answered.
    my @answers = map { split /\n/, slurp($_) }
        glob "$suite/datamodel/*.case";
    my $recorded = join '', map { "$_\n" } grep { /"span_id"/ &&
        /"trace_id"/ && /"start_time_unix_nano"/ && s/^  (?=\{"_time")// }
        @answers;
    my $import = run_command([$ctl, 'import', '--quiet', '--url',
        $spoor[1]->url, '--tenant', 1, '--from', 'victoriatraces',
        spew("$dir/recorded.jsonl", $recorded)]);
    is $import->{status}, 0, 'recorded rows' or diag $import->{err};
    my $mine = rows($spoor[1], 1);
    my ($n, @wrong) = 0;
    for my $row (map { JSON::PP->new->utf8->decode($_) } split /\n/,
        $recorded) {
        my $own = $mine->{$row->{span_id}} || {};
        delete $row->{_stream_id};
        push @wrong, grep { ($own->{$_} // '') ne $row->{$_} } keys %$row;
        $n++;
    }
    cmp_ok $n, '>', 10, "$n recorded rows";
    is_deeply \@wrong, [], 'come back as they were';
    $_->stop for @spoor;
    return done_testing;
}

subtest 'conformance' => \&conformance;

# --- what lines may be -------------------------------------------------------

my $ns = time . '000000000';

sub line {
    my (%more) = @_;
    my %row = (trace_id => 'ab' x 16, span_id => 'cd' x 8, name => 'x',
        start_time_unix_nano => $ns, end_time_unix_nano => $ns, %more);

    delete $row{$_} for grep { !defined $row{$_} } keys %row;
    return JSON::PP->new->canonical->encode(\%row) . "\n";
}

my @bad = (
    ['rubbish', qr/JSON: /], ['[]', qr/JSON: expected an object/],
    ['{"a":"b"} x', qr/JSON: /], ['{"a":{"b":"c"}}', qr/JSON: /],
    [line(kind => 'server'), qr/kind: "server"/],
    [line(kind => '2147483648'), qr/kind: "2147483648"/],
    [line(flags => '-1'), qr/flags: "-1"/],
    [line(end_time_unix_nano => 'soon'), qr/end_time_unix_nano: "soon"/],
    [line(start_time_unix_nano => undef, end_time_unix_nano => undef),
        qr/_time: ""/],
    [line('event:0:nothing' => 1), qr/no event has this field/],
    [line('link:0:link_span_id' => 'x'), qr/link_span_id: "x"/],
    [line('event:4096:event_name' => 'x'), qr/too many events/],
    [line('event:event_name' => 'x'), qr/no event or link has this field/],
    ["{\"a\":\"\e[31m", qr/JSON: /],
);
$run = import_new('--tenant', 8, '--from', 'victoriatraces',
    spew("$dir/bad.jsonl", join '', map { $_->[0] =~ s/\n*\z/\n/r } @bad));
is $run->{status}, 1, 'bad lines: status 1';
my @said = split /\n/, $run->{err};
for my $i (0 .. $#bad) {
    my $number = $i + 1;
    like $said[$i], qr{bad\.jsonl: line $number: .*$bad[$i][1]|$bad[$i][1]},
        "line $number";
}
like $run->{err}, qr/^spoorctl: 14 lines or requests could not be read$/m,
    'all are counted';
unlike $run->{err}, qr/\e/, 'nothing for the terminal';

$run = import_new('--tenant', 8, '--from', 'victoriatraces',
    spew("$dir/odd.jsonl", join '', "\n",
    line(trace_id => undef, span_id => undef, trace_id_idx => 'ab' x 16),
    line(trace_id => 'abc'), line(span_id => undef),
    line(name => 'by _time', span_id => '1' x 16, _time =>
        '2026-11-20T00:00:00.5Z', start_time_unix_nano => undef,
        end_time_unix_nano => undef),
    line(name => 'by duration', span_id => '2' x 16, duration => 5000,
        end_time_unix_nano => undef),
    line(name => 'gap', span_id => '3' x 16, 'event:2:event_name' => 'late'),
    line(name => 'comma', span_id => '4' x 16, note => 'a,b'),
    line(name => 'twice', span_id => '5' x 16, env => 'one'),
    line(name => 'twice', span_id => '6' x 16, env => 'two'),
    line(name => 'number', span_id => '7' x 16, kind => 3)
    =~ s/"kind":3/"kind": 3, "span_attr:t": true, "span_attr:n": null/r));
is $run->{status}, 1, 'spans without ids: status 1';
like $run->{err}, qr/^spoorctl: 2 spans were not sent: trace_id/m,
    'they are counted';
like $run->{out}, qr/^7 spans in .*; 1 lines are no spans; 1 fields became/,
    'rows of an index are not spans';
my $odd = rows($new, 8);
is $odd->{'1' x 16}{end_time_unix_nano}, '1795132800500000000',
    'the end is _time';
is $odd->{'2' x 16}{duration}, 5000, 'the end is start and duration';
is $odd->{'3' x 16}{'event:2:event_name'}, 'late', 'numbers of events stay';
is $odd->{'4' x 16}{'span_attr:note'}, 'a,b',
    'an extra field that no header can say';
my $twice = jaeger_trace($new, 'ab' x 16, { AccountID => 8 });
is join(' ', sort map { $_->{value} } grep { $_->{key} eq 'env' }
    map { @{$_->{tags}} } @{$twice->{spans}}), 'one two',
    'extra fields of each';
is $odd->{'7' x 16}{'span_attr:t'}, 'true', 'true';

for my $case (
    [['--from-url', 'http://127.0.0.1:1'], qr/Connection refused/],
    [['--from-url', $old->url, 'file'], qr/^usage: spoorctl import/],
    [['--from-url', $old->url, '--query', 'a:('], qr/answered 400: /],
) {
    my $words = import_new(@{$case->[0]});
    is $words->{status}, 2, "@{$case->[0]}: status 2";
    like $words->{err}, $case->[1], 'with the reason';
}

done_testing;
