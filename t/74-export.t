# SPDX-License-Identifier: BSD-2-Clause
#
# spoorctl export and import: what one server has is in another one after it,
# span by span and bit by bit, offline and online; what cannot be read or
# stored is said.

use strict;
use warnings;

use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $ctl = spoorctl_bin();
my $helper = ($ENV{SPOOR_OBJDIR} || spoor_root() . '/objs')
    . '/t/helper/otlp_spans';
my $server_a = Test::Spoor->new;
my $server_b = Test::Spoor->new;
my $dir = $server_a->dir;

sub slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or return '';
    local $/;
    return scalar <$in>;
}

sub spew {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $text;
    close $out;
    return $path;
}

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

# The Collector's forms: every request behind its length, with zstd or not.
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
like $server_b->get('/select/logsql/query?query=*', { AccountID => 3,
    ProjectID => 4 })->{body}, qr/"good"/, 'which has it';

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
    [['export', '--tenant', '1:x'], qr/--tenant: bad value "1:x"/],
    [['import'], qr/^usage: spoorctl import/],
    [['import', '--header', 'x', 'y'], qr/--header: bad value "x"/],
    [['import', '--from', 'zipkin', 'y'], qr/--from: bad value "zipkin"/],
    [['import', "$dir/nothing"], qr{^spoorctl: \Q$dir\E/nothing: .*No such}],
) {
    my $bad_words = ctl(@{$case->[0]});
    is $bad_words->{status}, 2, "@{$case->[0]}: status 2";
    like $bad_words->{err}, $case->[1], 'with the reason';
}

done_testing;
