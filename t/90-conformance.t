# SPDX-License-Identifier: BSD-2-Clause
#
# The recorded cases of the conformance suite, with each way of ingest, from
# memory, from level-1 parts and behind a forced merge.  All must pass but
# those that are held to be wrong.

use strict;
use warnings;

use Test::More;
use Test::Spoor;
use Test::Traces qw(:DEFAULT merge);

my $suite = $ENV{SPOOR_CONFORMANCE} || spoor_root()
    . '/../shared/conformance';

plan skip_all => "no conformance suite ($suite)" unless -f "$suite/run.py";
plan skip_all => 'no python3'
    if run_command(['python3', '--version'])->{status} != 0;

my @groups = qw(datamodel jaeger logsql/filters logsql/http logsql/pipes
    logsql/stats);
# Held to be wrong:
my %held = map { $_ => 1 } (
    # the peer counts 1_000 as 1000, which are two texts
    'logsql/http/field-names-values/field-names-values-014',
    # a bucket of fractions is cut toward zero instead of to the floor
    'logsql/stats/by/by-022',
);
for my $ingest (qw(pb json pb-gzip)) {
    my $spoor = Test::Spoor->new(conf => { 'storage.retention' => '100y' });

    $spoor->start;
    run_suite($spoor, $ingest, "$ingest, memory");
    ok flush($spoor), 'flushed';
    run_suite($spoor, 'none', "$ingest, parts");
    ok merge($spoor), 'merged';
    run_suite($spoor, 'none', "$ingest, merged");
    $spoor->stop;
}
done_testing;

sub run_suite {
    my ($spoor, $ingest, $name) = @_;
    my $run = run_command(['python3', "$suite/run.py", '--url', $spoor->url,
        '--ingest', $ingest, '--tap', '--jobs', '2'],
        env => { PYTHONDONTWRITEBYTECODE => 1 }, seconds => 300);
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
