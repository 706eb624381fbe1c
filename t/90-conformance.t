# SPDX-License-Identifier: BSD-2-Clause
#
# The Jaeger cases of the conformance suite.  Services, operations and traces
# by id must pass; of the search cases, those that ask for tags and durations
# are counted only, until the server can answer them.

use strict;
use warnings;

use Test::More;
use Test::Spoor;
use Test::Traces;

my $suite = $ENV{SPOOR_CONFORMANCE} || spoor_root()
    . '/../shared/conformance';

plan skip_all => "no conformance suite ($suite)" unless -f "$suite/run.py";
plan skip_all => 'no python3'
    if run_command(['python3', '--version'])->{status} != 0;

my $spoor = Test::Spoor->new(conf => { 'storage.retention' => '100y' });
$spoor->start;

# The runner waits for the spans with a query of a language that is not there
# yet, so its parts are called one by one.
my $ingest = run_command(['python3', '-c', <<'END', $suite, $spoor->url],
import sys
sys.path.insert(0, sys.argv[1])
import suite
suite.ingest(suite.Client(sys.argv[2]),
    [sys.argv[1] + "/spans.json", sys.argv[1] + "/spans_events.json"], "pb", 1)
END
    env => { PYTHONDONTWRITEBYTECODE => 1 });
is $ingest->{status}, 0, 'ingest' or diag $ingest->{err};
is $spoor->metric('vt_rows_ingested_total'), 449, 'all spans are stored';

my %must = map { $_ => 1 } qw(services trace);

for my $where ('memory', 'parts') {
    my $run = run_command(['python3', "$suite/run.py", '--url', $spoor->url,
        '--ingest', 'none', '--only', 'jaeger/*', '--tap', '--jobs', '2'],
        env => { PYTHONDONTWRITEBYTECODE => 1 }, seconds => 120);
    my (%passed, %failed, @wrong);
    for my $line (split /\n/, $run->{out}) {
        my ($not, $name, $group) =
            $line =~ m{^(not )?ok \d+ - (jaeger/(\w+)/\S+)} or next;
        $not ? $failed{$group}++ : $passed{$group}++;
        push @wrong, $name if $not && $must{$group};
    }
    my %groups = (%passed, %failed);
    diag(join ', ', "from $where", map {
        sprintf '%s: %d of %d', $_, $passed{$_} || 0,
            ($passed{$_} || 0) + ($failed{$_} || 0)
    } sort keys %groups);
    cmp_ok $passed{$_} || 0, '>', 0, "$where: $_ cases ran"
        for sort keys %must;
    is_deeply \@wrong, [], "$where: services, operations, traces by id"
        or diag $run->{out};
    ok flush($spoor), 'flushed' if $where eq 'memory';
}

done_testing;
