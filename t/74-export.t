# SPDX-License-Identifier: BSD-2-Clause
#
# spoorctl export and import: what one server has is in another one after it,
# span by span and bit by bit, offline and online; what cannot be read or
# stored is said.

use strict;
use warnings;

use Test::More;
use Test::Otlp;
use Test::Relay;
use Test::Spoor;
use Test::Traces;

my $ctl = spoorctl_bin();
my $helper = ($ENV{SPOOR_OBJDIR} || spoor_root() . '/objs')
    . '/t/helper/otlp_spans';
my $server_a = Test::Spoor->new;
my $server_b = Test::Spoor->new;
my $dir = $server_a->dir;

sub ctl { return run_command([$ctl, @_]) }

# A line for each span of files, with a hash of everything it holds.
sub hashes {
    my $run = run_command([$helper, 'hash', @_]);

    is $run->{status}, 0, 'hashes' or diag $run->{err};
    return $run->{out};
}

sub lines { return scalar(() = $_[0] =~ /\n/g) }

# Exports offline; the status and messages too.
sub offline {
    my ($server, $file, @words) = @_;

    unlink "$dir/$file";
    my $run = ctl('export', '--data', $server->data_dir, '--out',
        "$dir/$file", @words);
    return ($run, "$dir/$file");
}

# --- a server with spans of every kind ---------------------------------------

$server_a->start;
for my $seed (1 .. 4) {
    my $wild = run_command([$helper, 'wild', $seed, 2000]);
    is $wild->{status}, 0, "wild spans $seed";
    my $reply = $server_a->post('/v1/traces', $wild->{out},
        { otlp_type('pb') });
    is $reply->{status}, 200, 'are taken';
}
my $stored = $server_a->metric('vt_rows_ingested_total');
cmp_ok $stored, '>', 7500, "$stored are stored";

like ctl('export', '--data', $server_a->data_dir, '--out', "$dir/no.pb")
    ->{err}, qr/is in use by a running spoor: stop it first/,
    'offline needs a stopped server';

# --- offline: from parts, and from logs --------------------------------------

$server_a->stop;
my ($run, $file) = offline($server_a, 'parts.pb');
is $run->{status}, 0, 'export --data' or diag $run->{err};
like $run->{err}, qr/^$stored spans, \d+ bytes/m, 'says how many';
like $run->{err}, qr/ 0 spans only in logs/, 'of parts';
my $all = hashes($file);
is lines($all), $stored, 'all spans';
for my $name (qw(parts.jsonl parts.json.gz parts.pb.zst)) {
    my ($again, $path) = offline($server_a, $name);
    is $again->{status}, 0, $name;
    is lines(hashes($path)), $stored, "$name: all spans";
}
is hashes("$dir/parts.pb.zst"), $all, 'compressed: the same';

# A server that was killed: spans in its log only.
$server_a->start;
my $late = run_command([$helper, 'wild', 9, 1000])->{out};
$server_a->post('/v1/traces', $late, { otlp_type('pb') });
$stored += $server_a->metric('vt_rows_ingested_total');
$server_a->kill_all;
($run, $file) = offline($server_a, 'logs.pb');
is $run->{status}, 0, 'export of a server that was killed';
like $run->{err}, qr/ [1-9]\d* spans only in logs/, 'with those of its log';
$all = hashes($file);
is lines($all), $stored, 'all spans';

my $stdout = ctl('export', '--data', $server_a->data_dir, '--out', '-',
    '--format', 'proto', '--quiet');
is hashes(spew("$dir/stdout.pb", $stdout->{out})), $all, 'standard output';
($run) = offline($server_a, 'split.pb.zst', '--split', '200KB');
my @files = sort glob "$dir/split-*.pb.zst";
cmp_ok scalar @files, '>', 2, scalar(@files) . ' files';
is hashes(@files), $all, 'split: the same spans';
($run, $file) = offline($server_a, 'none.pb', '--tenant', '7:8');
is $run->{status}, 0, 'another tenant';
like $run->{err}, qr/^0 spans,/m, 'has none';
like $run->{err}, qr/$stored spans of other tenants were left out/,
    'and it says so';
my $now = time;
my ($old) = offline($server_a, 'old.pb', '--end', $now - 7200);
my ($new) = offline($server_a, 'new.pb', '--start', $now - 7200);
cmp_ok lines(hashes("$dir/old.pb")), '>', 100, '--end';
cmp_ok lines(hashes("$dir/new.pb")), '>', 100, '--start';
is join('', sort split /^/, hashes("$dir/old.pb", "$dir/new.pb")), $all,
    'together all';

# --- import ------------------------------------------------------------------

$server_b->start;

sub import_b {
    my (@words) = @_;

    return ctl('import', '--url', $server_b->url, '--quiet', @words);
}

my $import = import_b("$dir/logs.pb");
is $import->{status}, 0, 'import' or diag $import->{err};
like $import->{out}, qr/^$stored spans in \d+ requests/, 'of all';
is $server_b->metric('vt_rows_ingested_total'), $stored, 'which are stored';
$import = import_b("$dir/logs.pb");
is $import->{status}, 0, 'once more';
is $server_b->metric('vt_rows_ingested_total'), $stored,
    'which is stored once';
$server_b->stop;
($run, $file) = offline($server_b, 'b.pb');
is hashes($file), $all, 'both servers have the same, bit by bit';

# --- what import reads -------------------------------------------------------

$server_b->start;
my $good = traces_json(resource_spans('import', otlp_span(name => 'good')));
my $bad = import_b(spew("$dir/bad.jsonl", "$good\n{\"resourceSpans\":7}\n\n"
    . traces_json(resource_spans('import', otlp_span(name => 'two'),
    otlp_span(traceId => '0' x 32))) . "\nrubbish\n"));
is $bad->{status}, 1, 'bad lines: status 1';
like $bad->{err}, qr{bad\.jsonl: line 2: JSON: }, 'the first is named';
like $bad->{err}, qr{bad\.jsonl: line 5: JSON: }, 'the second, too';
like $bad->{err}, qr/^spoorctl: 2 lines or requests could not be read$/m,
    'and counted';
like $bad->{err}, qr/^spoorctl: 1 spans were not sent: trace_id/m,
    'a span without an id';
like $bad->{out}, qr/^2 spans in 1 requests/, 'the good ones are sent';
my $many = import_b(spew("$dir/many.jsonl", "x\n" x 5000));
is $many->{status}, 2, 'rubbish: status 2';
like $many->{err}, qr{many\.jsonl: no file of OTLP requests},
    'is no OTLP at all';
$many = import_b(spew("$dir/many.jsonl", "$good\n" . "x\n" x 5000));
is lines($many->{err}), 22, 'not every bad line is printed';
my $ancient = import_b(spew("$dir/ancient.jsonl",
    traces_json(resource_spans('import', otlp_span(
    startTimeUnixNano => '1000000000000000000',
    endTimeUnixNano => '1000000001000000000')))));
is $ancient->{status}, 1, 'beyond retention: status 1';
like $ancient->{err}, qr/^spoorctl: 1 spans were refused by the server: .+/m,
    'with the reason';
like $ancient->{out}, qr/^0 spans in 1 requests/, 'none is stored';

# A server that is busy, and one whose answers are lost.
my $relay = Test::Relay->new($server_b->port, qw(busy cut busy close pass));
my $fresh = run_command([$helper, 'wild', 41, 3000])->{out};
my $count = $server_b->metric('vt_rows_ingested_total');
$run = run_command([$ctl, 'import', '--quiet', '--url', $relay->url,
    spew("$dir/fresh.pb", $fresh)]);
is $run->{status}, $run->{err} =~ /refused/ ? 1 : 0, 'a busy server'
    or diag $run->{err};
cmp_ok $relay->requests, '>=', 5, 'is asked again';
$relay->stop;
my ($said_sent) = $run->{out} =~ /^(\d+) spans/;
is $server_b->metric('vt_rows_ingested_total') - $count, $said_sent,
    "$said_sent spans are stored once";
cmp_ok $said_sent, '>', 2500, 'nearly all';

# Files that the file exporter 0.162 of a Collector has written, of what
# "gen --traces 3 --batch 2 --seed 5 --start 1795219200" sends.
my $recorded = spoor_root() . '/t/data/collector';
is ctl('gen', '--traces', 3, '--batch', 3, '--seed', 5, '--start',
    1795219200, '--out', "$dir/same.pb")->{status}, 0, 'the same spans';
my $same = hashes("$dir/same.pb");
is lines($same), 48, 'some';
for my $form (qw(lines.json zstd.json lengths.proto zstd.proto)) {
    is hashes("$recorded/$form"), $same, "a Collector's file: $form";
}

# Its forms, made here: every request behind its length, with zstd or not.
my @collector = map { traces_json(resource_spans("collector $_",
    otlp_span(name => "span $_"))) } 1 .. 3;
my $before = $server_b->metric('vt_rows_ingested_total');
is import_b(spew("$dir/lengths.json", join '', map { pack('N/a*', $_) }
    @collector))->{status}, 0, 'JSON behind lengths';
is $server_b->metric('vt_rows_ingested_total') - $before, 3, 'is stored';
my $bare = run_command([$helper, 'wild', 21, 50])->{out};
is import_b(spew("$dir/bare.pb", $bare))->{status}, 0, 'one bare request';
cmp_ok $server_b->metric('vt_rows_ingested_total') - $before, '>', 50,
    'is stored';
is import_b(spew("$dir/cut.pb", substr(slurp("$dir/logs.pb"), 0, 100000)))
    ->{status}, 2, 'a file that was cut';
is import_b('--tenant', '3:4', spew("$dir/tenant.jsonl", $good))->{status},
    0, 'import for a tenant';
$run = ctl('export', '--url', $server_b->url, '--tenant', '3:4', '--out',
    "$dir/of-tenant.jsonl", '--quiet');
like slurp("$dir/of-tenant.jsonl"), qr/"good"/, 'which has it';

# --- online: a running server ------------------------------------------------

$server_a->start;

sub online {
    my ($file, @words) = @_;

    unlink "$dir/$file";
    my $export = ctl('export', '--url', $server_a->url, '--out',
        "$dir/$file", @words);
    return ($export, "$dir/$file");
}

for my $when ('parts', 'memory and parts') {
    if ($when ne 'parts') {
        my $more = run_command([$helper, 'wild', 31, 1000])->{out};
        $server_a->post('/v1/traces', $more, { otlp_type('pb') });
        $stored += $server_a->metric('vt_rows_ingested_total');
    }
    ($run, $file) = online('online.pb.zst');
    is $run->{status}, 0, "export --url, $when" or diag $run->{err};
    like $run->{err}, qr/^$stored spans, /m, 'of all spans';
    is lines(hashes($file)), $stored, 'which are in the file';
    ok !-e "$file.progress", 'nothing is left behind';
}
my $online = hashes("$dir/online.pb.zst");
for my $name (qw(online.jsonl online.json.gz)) {
    is [online($name)]->[0]{status}, 0, "export --url to $name";
    is lines(hashes("$dir/$name")), $stored, 'all spans';
}
my @traces = map { substr $_, 0, 32 } split /^/, $online;
my $id = $traces[0];
($run, $file) = online('query.pb', '--query', "trace_id:=$id");
is hashes($file), join('', grep { /^$id/ } split /^/, $online),
    'export --query';
like [online('bad.pb', '--query', 'a:(')]->[0]{err},
    qr/the server answered 400: /, 'a bad query';
is [online('nobody.pb', '--tenant', '9')]->[0]{status}, 0,
    'a tenant without spans';
is -s "$dir/nobody.pb", 0, 'an empty file';

# The route itself.
sub route { return $server_a->get('/select/otlp/export?' . $_[0]) }
my $one = route("query=trace_id:=$id");
is $one->{headers}{'content-type'}, 'application/x-protobuf', 'the route';
is hashes(spew("$dir/route.pb", $one->{body})), hashes($file),
    'answers a request';
is hashes(spew("$dir/route.jsonl",
    route("query=trace_id:=$id&format=json")->{body})),
    hashes("$dir/route.jsonl"), 'as JSON';
is route('query=*&extra_filters=trace_id:=' . ('e' x 32))->{body}, '',
    'extra_filters';
is route('query=*|limit+1')->{status}, 400, 'no pipes';
is route('query=*&format=xml')->{status}, 400, 'bad format';
is route('')->{status}, 400, 'no query';

# Ends on and around whole seconds, which are shown without a fraction.
my $second = $now - 600;
my @ends = ($second . '000000000', $second . '400000000', $second
    . '900000000', $second + 1 . '000000000', $second + 1 . '000000001');
for my $fewer (0 .. 4) {
    my @some = @ends[$fewer .. 4];

    post_traces($server_a, resource_spans('second', map { otlp_span(
        startTimeUnixNano => $_, endTimeUnixNano => $_) } @some),
        [AccountID => 20 + $fewer]);
    ($run, $file) = online("second$fewer.pb", '--tenant', 20 + $fewer);
    is lines(hashes($file)), 5 - $fewer, 'spans around a second: '
        . (5 - $fewer);
}
# A server that is busy, cuts its answers, or says that they are partial.
sub relayed {
    my ($words, @more) = @_;
    my $relay = Test::Relay->new($server_a->port, @$words);

    unlink glob "$dir/relayed*" unless "@more" =~ /--resume/;
    my $export = ctl('export', '--url', $relay->url, '--out',
        "$dir/relayed.pb", @more);
    $relay->stop;
    return $export;
}

$run = relayed([qw(busy pass busy cut close pass)]);
is $run->{status}, 0, 'busy and broken answers are tried again'
    or diag $run->{err};
is hashes("$dir/relayed.pb"), $online, 'and nothing is missing or double';
like $run->{err}, qr/503: busy.?; trying again/, 'it says so';
$run = relayed([qw(pass bad)]);
is $run->{status}, 2, '400: status 2';
like $run->{err}, qr/the server answered 400: bad/, 'at once';
$run = relayed([qw(pass partial)]);
is $run->{status}, 2, 'partial: status 2';
like $run->{err}, qr/leaves damaged data out/, 'with the reason';
$run = relayed([qw(pass partial)], '--partial');
is $run->{status}, 1, '--partial: status 1';
like $run->{err}, qr/the export is not complete/, 'with a warning';
is hashes("$dir/relayed.pb"), $online, 'what there is was taken';
$run = relayed([qw(pass close)], '--quiet');
is $run->{status}, 2, 'gives up at last';
like $run->{err}, qr/given up after 8 tries/, 'and says so';

# Interrupted after some slices, resumed.
my $middle = $now - 2 * 3600;
$run = relayed([qw(pass pass bad)], '--start', '9h');
is $run->{status}, 2, 'interrupted';
like $run->{err}, qr/export --resume goes on/, 'and says how to go on';
ok -e "$dir/relayed.pb.progress", 'there is a file that says where';
my $half = lines(hashes("$dir/relayed.pb"));
my $progress = slurp("$dir/relayed.pb.progress");
spew("$dir/relayed.pb", slurp("$dir/relayed.pb") . 'half of a request');
spew("$dir/relayed.pb.progress", $progress =~ s/http:\S+/$server_a->url/er);
$run = ctl('export', '--resume', '--url', $server_a->url, '--out',
    "$dir/relayed.pb");
is $run->{status}, 0, '--resume' or diag $run->{err};
is hashes("$dir/relayed.pb"), $online, 'all spans, each once';
cmp_ok $half, '<', $stored, "$half of them before";
ok !-e "$dir/relayed.pb.progress", 'the file is gone';
like ctl('export', '--resume', '--url', $server_a->url, '--out',
    "$dir/relayed.pb")->{err}, qr/nothing to resume/, 'only once';

# More than an answer may have: shorter slices.
my $many_spans = ctl('gen', '--url', $server_a->url, '--traces', 1000,
    '--spread', '1s', '--start', $now - 60, '--batch', 200, '--quiet');
is $many_spans->{status}, 0, 'many spans within a second';
my $total = $server_a->metric('vt_rows_ingested_total');
$relay = Test::Relay->new($server_a->port, 'pass');
$file = "$dir/many.pb.zst";
$run = ctl('export', '--url', $relay->url, '--out', $file, '--slice', '1MB',
    '--start', $now - 70, '--quiet');
is $run->{status}, 0, 'are exported in slices' or diag $run->{err};
cmp_ok $relay->requests, '>', 12, 'of ' . $relay->requests . ' requests';
$relay->stop;
my ($got) = $run->{err} =~ /^(\d+) spans/m;
cmp_ok $got, '>', 14_000, "$got of them";
is lines(hashes($file)), $got, 'all in the file';

# --- merged, then damaged -----------------------------------------------------

is $server_a->post('/internal/force_merge', '')->{status}, 200, 'merge';
ok wait_for(sub { my @small = glob $server_a->data_dir
    . '/partitions/*/*.l1'; !@small }, 60), 'all parts are merged';
($run, $file) = online('merged.pb');
is $run->{status}, 0, 'export of merged parts';
my $merged = hashes($file);
is lines($merged), $stored + $got, 'all spans';
$server_a->stop;
($run, $file) = offline($server_a, 'merged-too.pb');
is $run->{status}, 0, 'offline, too' or diag $run->{err};
is hashes($file), $merged, 'the same';

my ($part) = sort { -s $b <=> -s $a } glob $server_a->data_dir
    . '/partitions/*/*.l*';
my $bytes = slurp($part);
substr $bytes, $_ * length($bytes) / 40, 1, 'x' for 1 .. 20;
spew($part, $bytes);
($run, $file) = offline($server_a, 'damaged.pb');
is $run->{status}, 1, 'offline, damaged: status 1';
like $run->{err}, qr/^spoorctl: \Q$part\E: .+/m, 'it names the file';
like $run->{err}, qr/^spoorctl: the export is not complete/m, 'and says so';
my %good = map { $_ => 1 } split /^/, $merged;
is scalar(grep { !$good{$_} } split /^/, hashes($file)), 0,
    'what there is is right';
$server_a->start;
($run, $file) = online('partial.pb');
is $run->{status}, 2, 'online, damaged: status 2';
like $run->{err}, qr/leaves damaged data out|ends early/, 'with the reason';
($run, $file) = online('partial.pb', '--partial');
is $run->{status}, 1, '--partial: status 1' or diag $run->{err};
is scalar(grep { !$good{$_} } split /^/, hashes($file)), 0,
    'what there is is right';

# --- words -------------------------------------------------------------------

for my $case (
    [['export'], qr/^usage: spoorctl export/],
    [['export', '--data', $dir, '--out', "$dir/bad.jsonl"],
        qr/bad\.jsonl is there already/],
    [['export', '--data', $dir, '--out', "$dir/new1.jsonl"],
        qr/is no data directory of spoor/],
    [['export', '--data', $dir, '--out', "$dir/no/a.pb"], qr{/no/a\.pb: },],
    [['export', '--format', 'xml'], qr/--format: bad value "xml"/],
    [['export', '--start', 'noon'], qr/--start: bad value "noon"/],
    [['export', '--split', '0'], qr/--split: bad value "0"/],
    [['export', '--slice', '1KB'], qr/--slice: bad value "1KB"/],
    [['export', '--tenant', '1:x'], qr/--tenant: bad value "1:x"/],
    [['export', '--data', $dir, '--query', 'x', '--out', 'y'],
        qr/--data goes with neither/],
    [['export', '--resume', '--out', '-'], qr/--resume and --split need/],
    [['export', '--url', 'http://127.0.0.1:1', '--out', "$dir/down.pb"],
        qr/^spoorctl: cannot connect to 127\.0\.0\.1:1: Connection refused$/m],
    [['import'], qr/^usage: spoorctl import/],
    [['import', '--url', 'http://127.0.0.1:1', "$dir/fresh.pb"],
        qr/given up after 6 tries: .*Connection refused/],
    [['import', '--header', 'x', 'y'], qr/--header: bad value "x"/],
    [['import', '--from', 'zipkin', 'y'], qr/--from: bad value "zipkin"/],
    [['import', "$dir/nothing"], qr{^spoorctl: \Q$dir\E/nothing: .*No such}],
) {
    my $bad_words = ctl(@{$case->[0]});
    is $bad_words->{status}, 2, "@{$case->[0]}: status 2";
    like $bad_words->{err}, $case->[1], 'with the reason';
}

done_testing;
