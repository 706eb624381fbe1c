# SPDX-License-Identifier: BSD-2-Clause
#
# The terminal client: load from a seed, files of requests, what it shows of
# a server, and what it says when something is wrong.  (check: 52-damage.t)

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $spoor = Test::Spoor->new;
my $dir = $spoor->dir;
my $ctl = spoorctl_bin();
my $start = int(time()) - 3600;

sub ctl { return run_command([$ctl, @_], env => { SPOOR_URL => $spoor->url }) }

# Exit status and message on standard error; nothing on standard output.
sub fails {
    my ($words, $pattern, $name) = @_;
    my $run = ctl(@$words);

    is $run->{status}, 2, "$name: status 2";
    like $run->{err}, $pattern, "$name: the message"
        or diag $run->{err};
    is $run->{out}, '', "$name: nothing on standard output";
    return;
}

# --- gen to a file -----------------------------------------------------------

sub gen {
    my ($file, @words) = @_;
    my $run = ctl('gen', '--out', "$dir/$file", '--start', $start, @words);

    is $run->{status}, 0, "gen @words" or diag $run->{err};
    return slurp("$dir/$file");
}

my $one = gen('one', '--traces', 50);
cmp_ok length $one, '>', 50000, 'some bytes';
is md5_hex(gen('two', '--traces', 50)), md5_hex($one),
    'same seed, same bytes';
isnt md5_hex(gen('b', '--traces', 50, '--profile', 'b')), md5_hex($one),
    'another profile: other spans';
isnt md5_hex(gen('seed', '--traces', 50, '--seed', 2)), md5_hex($one),
    'another seed, other bytes';
my $json = gen('one.json', '--traces', 50, '--json');
is md5_hex(gen('two.json', '--traces', 50, '--json')), md5_hex($json),
    'the same as JSON';
my @lines = split /\n/, $json;
is scalar @lines, 3, 'JSON: a line for each request of 20 traces';
my $spans = 0;
for my $line (@lines) {
    my $request = JSON::PP->new->utf8->decode($line);
    $spans += map { @{$_->{spans}} } map { @{$_->{scopeSpans}} }
        @{$request->{resourceSpans}};
}
cmp_ok $spans, '>', 500, "$spans spans";

# --- sending -----------------------------------------------------------------

$spoor->start;

sub rows { return $spoor->metric('vt_rows_ingested_total') }

sub sends {
    my ($words, $want, $name, $stdin) = @_;
    my $before = rows();
    my $run = run_command([$ctl, 'send', @$words],
        env => { SPOOR_URL => $spoor->url },
        defined $stdin ? (stdin => $stdin) : ());

    is $run->{status}, 0, "$name: sent" or diag $run->{err};
    is rows() - $before, $want, "$name: stored";
    return $run;
}

sends(["$dir/one"], $spans, 'protobuf');
sends(["$dir/one.json"], $spans, 'lines of JSON');
sends(["$dir/one"], 0, 'the same file again');
gen('three', '--traces', 30, '--seed', 3);
my $three = slurp("$dir/three");
sends(['-'], JSON::PP->new->utf8->decode(gen('three.json', '--traces', 30,
    '--seed', 3, '--batch', 30, '--json')) && spans_of('three.json'),
    'standard input', $three);

sub spans_of {
    my ($file) = @_;

    return scalar(() = slurp("$dir/$file") =~ /"spanId"/g)
        - (() = slurp("$dir/$file") =~ /"links":\[[^\]]*"spanId"/g);
}

my @requests = map { traces_json(resource_spans("sent $_",
    otlp_span(name => "a \"}] {[ \\ $_"))) } 1 .. 6;
sends(['--json', '-'], 1, 'JSON on standard input', $requests[0]);
my $pretty = JSON::PP->new->utf8->pretty->encode(
    JSON::PP->new->utf8->decode($requests[1]));
sends([spew("$dir/pretty.json", $pretty)], 1, 'JSON on many lines');
sends([spew("$dir/many.jsonl", join "\n", @requests[2, 3], '', '')], 2,
    'JSON lines');
sends([spew("$dir/a.json", $requests[4]), spew("$dir/b.json", $requests[5])],
    2, 'two files');
my $some = ctl('send', spew("$dir/old.json", traces_json(resource_spans('x',
    otlp_span(), otlp_span(traceId => '0' x 32)))));
is $some->{status}, 0, 'partial success is success';
like $some->{err}, qr/refused/, 'but it is said';

# --- gen to the server -------------------------------------------------------

my $before = rows();
my $gen = ctl('gen', '--traces', 40, '--seed', 9);
is $gen->{status}, 0, 'gen to the server' or diag $gen->{err};
my ($said) = $gen->{out} =~ /^(\d+) spans of 40 traces in 2 requests/;
ok $said, 'it says what it did';
is rows() - $before, $said, 'all are stored';
for my $encoding (qw(gzip deflate zstd snappy)) {
    for my $form ([], ['--json']) {
        my $run = ctl('gen', '--traces', 2, '--encoding', $encoding, @$form,
            '--seed', length($encoding) + 100 * @$form, '--quiet');
        is "$run->{status}$run->{out}$run->{err}", '0',
            "gen as $encoding @$form";
    }
}

# --- asking ------------------------------------------------------------------

my $services = ctl('services');
is $services->{status}, 0, 'services';
my @names = split /\n/, $services->{out};
is_deeply \@names, [jaeger_names($spoor)], 'one a line';
my $operations = ctl('services', 'frontend');
is_deeply [split /\n/, $operations->{out}],
    [jaeger_names($spoor, 'frontend')], 'operations of a service';
is ctl('services', 'nobody')->{status}, 1, 'no such service: status 1';

my $ids = ctl('search', '--service', 'frontend', '--limit', 7, '-o', 'ids');
is $ids->{status}, 0, 'search -o ids';
my @ids = split /\n/, $ids->{out};
is_deeply \@ids, [find_traces($spoor, service => 'frontend', limit => 7)],
    'the newest, one a line';
my $search = ctl('search', '--service', 'frontend', '--limit', 7);
my @found = split /\n/, $search->{out};
is scalar @found, 7, 'search: a line each';
is_deeply [map { /^(\w+)/ } @found], \@ids, 'the same traces';
is scalar(grep { /^\w+  \d{4}-\d\d-\d\dT[\d:.]+Z +[\d.]+ms +\d+ spans/ }
    @found), 7, 'time, duration, spans';
my ($operation) = split /\n/, $operations->{out};
is ctl('search', '--service', 'frontend', '--operation', $operation)
    ->{status}, 0, 'search by operation';
my $none = ctl('search', '--service', 'nobody');
is $none->{status}, 1, 'nothing found: status 1';
like $none->{err}, qr/no traces found/, 'and says so';
is ctl('search', '--service', 'frontend', '--since', '1ms')->{status}, 1,
    'search --since';

# The waterfall: a line for each span, children below their parents.
my $trace = jaeger_trace($spoor, $ids[0]);
my $shown = ctl('trace', '--width', 120, $ids[0]);
is $shown->{status}, 0, 'trace';
my ($head, @rows) = split /\n/, $shown->{out};
my $count = @{$trace->{spans}};
like $head, qr/^trace $ids[0]  \d{4}-\S+Z .* $count spans/, 'its head';
is scalar @rows, $count, 'a line for each span';
my %service = map { $_ => $trace->{processes}{$_}{serviceName} }
    keys %{$trace->{processes}};
my @missing = grep {
    my $label = substr "$service{$_->{processID}}  $_->{operationName}", 0,
        20;
    !grep { /\Q$label\E/ } @rows;
} @{$trace->{spans}};
is scalar @missing, 0, 'with its name';
is scalar(grep { !/\d(?:us|ms|s)\b/ } @rows), 0, 'and its duration';
my ($root) = grep { !@{$_->{references}} } @{$trace->{spans}};
like $rows[0], qr/^\Q$service{$root->{processID}}\E/, 'the root comes first';
ok !(grep { /^\S/ } @rows[1 .. $#rows]), 'the others are indented';
unlike $shown->{out}, qr/\e/, 'no colours when it is no terminal';
my $widest = 0;
for (@rows) {
    (my $text = $_) =~ s/[\x80-\xbf]//g;
    $widest = length $text if length $text > $widest;
}
cmp_ok $widest, '<=', 120, '--width is kept';
my $raw = ctl('trace', '--json', $ids[0]);
is $raw->{out}, $spoor->get("/select/jaeger/api/traces/$ids[0]")->{body},
    'trace --json';

# Names are a peer's choice: no control character reaches the terminal.
my $evil = otlp_span(name => "a\e]0;x\ab\x{9b}31m\x{7f}\r\n",
    traceId => 'e' x 32);
post_traces($spoor, resource_spans("evil\e[31m", $evil));
for my $run (ctl('trace', 'e' x 32), ctl('search', '--service',
    "evil\e[31m"), ctl('services'), ctl('services', "evil\e[31m")) {
    is $run->{status}, 0, 'an evil name';
    unlike $run->{out}, qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/,
        'is shown without control characters';
}

# A cycle of parents, a span that is its own parent, many levels.
my @knot = (
    otlp_span(traceId => 'c' x 32, spanId => '1' x 16,
        parentSpanId => '2' x 16),
    otlp_span(traceId => 'c' x 32, spanId => '2' x 16,
        parentSpanId => '1' x 16),
    otlp_span(traceId => 'c' x 32, spanId => '3' x 16,
        parentSpanId => '3' x 16));
post_traces($spoor, resource_spans('knot', @knot));
my $knot = ctl('trace', 'c' x 32);
is scalar(() = $knot->{out} =~ /knot/g), 3, 'a cycle: every span once';
my @deep = map { otlp_span(traceId => 'd' x 32,
    spanId => sprintf('%016x', $_ + 1),
    parentSpanId => $_ ? sprintf('%016x', $_) : '') } 0 .. 999;
post_traces($spoor, resource_spans('deep', @deep));
is scalar(() = ctl('trace', 'd' x 32)->{out} =~ /deep/g), 1000,
    '1000 levels';

# --- what it says ------------------------------------------------------------

is ctl('trace', 'f' x 32)->{status}, 1, 'no such trace: status 1';
like ctl('trace', 'f' x 32)->{err}, qr/404: trace not found$/,
    'no such trace: the message';
fails(['trace', 'xyz'], qr/400: a trace id has 1 to 32 hex digits$/,
    'bad id');
fails(['search', '--service', 'a', '--limit', 5000],
    qr/400: limit: above search\.max_traces$/, 'the server refuses');
fails([], qr/^usage: spoorctl VERB/, 'no verb');
fails(['serve'], qr/unknown verb "serve"/, 'unknown verb');
fails(['gen', '--tarces', 3], qr/unrecognized option '--tarces'.*usage/s,
    'unknown option');
fails(['gen', '--profile', 'x'], qr/--profile: bad value "x"/, 'bad profile');
fails(['gen', '--traces', 'x'], qr/--traces: bad value "x"/, 'bad number');
fails(['gen', '--batch', 0], qr/--batch: bad value "0"/, 'out of range');
fails(['gen', '--traces'], qr/requires an argument/, 'value missing');
fails(['gen', '--encoding', 'rar'], qr/--encoding: bad value "rar"/,
    'unknown encoding');
fails(['gen', 'x'], qr/^usage: spoorctl gen/, 'a word too many');
fails(['search'], qr/^usage: spoorctl search/, 'no service');
fails(['search', '--service', 'a', '-o', 'xml'], qr/-o: bad value "xml"/,
    'unknown output');
fails(['trace'], qr/^usage: spoorctl trace/, 'no id');
fails(['send'], qr/^usage: spoorctl send/, 'no file');
fails(['send', "$dir/none"], qr{^spoorctl: \Q$dir\E/none: .*No such file},
    'no such file');
fails(['send', spew("$dir/bad.json", '{"resourceSpans":[')],
    qr{bad\.json: the server answered 400: JSON: unexpected end}, 'bad JSON');
fails(['send', spew("$dir/bad", "\x0a\x05x")],
    qr{bad: the server answered 400: [ -~]+$}, 'bad protobuf');
fails(['services', '--url', 'ftp://x'], qr/must begin with http/, 'bad URL');
fails(['services', '--url', 'http://127.0.0.1:1'],
    qr/cannot connect to 127\.0\.0\.1:1: Connection refused/, 'server down');
fails(['services', '--url', 'http://no.such.host.invalid'],
    qr/no\.such\.host\.invalid/, 'unknown host');
fails(['gen', '--out', '/nonexistent/x'], qr{/nonexistent/x: .*No such file},
    'no such directory');
is ctl('help')->{status}, 0, 'help';
for my $verb (qw(gen send services search trace check)) {
    my $help = ctl($verb, '--help');
    is $help->{status}, 0, "$verb --help";
    like $help->{out}, qr/^usage: spoorctl $verb /, "$verb --help: usage";
    like ctl('help')->{out}, qr/^  $verb +\w/m, "help lists $verb";
}
like ctl('--version')->{out}, qr/^spoorctl \d+\.\d+/, '--version';

done_testing;
