# SPDX-License-Identifier: BSD-2-Clause
#
# The recorded cases of the conformance suite, asked of a front with three
# storage nodes and of a front of two fronts: what one server passes
# (t/90-conformance.t), they pass.  CLUSTER_FULL=1 runs all cases with each way
# of ingest, from memory, from parts and behind a forced merge; else they are
# asked of each once.

use strict;
use warnings;

use Test::Cluster;
use Test::More;
use Test::Spoor;

my $suite = $ENV{SPOOR_CONFORMANCE} || spoor_root()
    . '/../shared/conformance';
my $is_full = $ENV{CLUSTER_FULL};

plan skip_all => "no conformance suite ($suite)" unless -f "$suite/run.py";
plan skip_all => 'no python3'
    if run_command(['python3', '--version'])->{status} != 0;

my @groups = qw(datamodel jaeger logsql/filters logsql/http logsql/pipes
    logsql/stats);
# Held to be wrong, as in t/90-conformance.t.
my %held = map { $_ => 1 } (
    'logsql/http/field-names-values/field-names-values-014',
    'logsql/stats/by/by-022',
);

for my $levels (1, 2) {
    for my $ingest ($is_full ? qw(pb json pb-gzip) : $levels == 1 ? 'pb'
        : 'json') {
        my $where = $levels == 1 ? 'front and 3 nodes' : 'two levels';
        my $cluster = Test::Cluster->new(stores => 3, levels => $levels,
            store_conf => { 'storage.retention' => '100y' })->start;

        run_suite($cluster, $ingest, "$where, $ingest, memory");
        my @spans = $cluster->spans;
        ok !grep({ $_ == 0 } @spans), "$where: spans of each node: @spans";
        if ($is_full) {
            ok $cluster->flush, 'flushed';
            run_suite($cluster, 'none', "$where, $ingest, parts");
            ok $cluster->merge, 'merged';
            run_suite($cluster, 'none', "$where, $ingest, merged");
        }
        $cluster->stop;
    }
}
done_testing;

sub run_suite {
    my ($cluster, $ingest, $name) = @_;
    my $run = run_command(['python3', "$suite/run.py", '--url',
        $cluster->front->url, '--ingest', $ingest, '--tap', '--jobs', '2'],
        env => { PYTHONDONTWRITEBYTECODE => 1 }, seconds => 600);
    my (%passed, %all, @wrong);

    for my $line (split /\n/, $run->{out}) {
        my ($not, $case, $group) =
            $line =~ m{^(not )?ok \d+ - ((logsql/\w+|\w+)/\S+)} or next;
        $all{$group}++;
        $passed{$group}++ unless $not;
        push @wrong, $case if $not && !$held{$case};
    }
    diag(join ', ', $name, map { "$_: " . ($passed{$_} || 0) . "/$all{$_}" }
        sort keys %all);
    cmp_ok $passed{$_} || 0, '>', 0, "$name: $_ cases ran"
        for @groups;
    is_deeply \@wrong, [], "$name: what must pass"
        or diag substr $run->{out} . $run->{err}, 0, 100_000;
}
