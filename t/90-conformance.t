# SPDX-License-Identifier: BSD-2-Clause
#
# The recorded cases of the conformance suite, with each way of ingest, from
# memory and from parts.  What this version promises must pass; the rest is
# counted, so that the numbers can be followed.

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

# Groups that must pass as a whole.
my %must = map { $_ => 1 } qw(datamodel jaeger logsql/filters logsql/http);
# Held to be wrong: the peer counts 1_000 as 1000, which are two texts.
my %held = ('logsql/http/field-names-values/field-names-values-014' => 1);
for my $ingest (qw(pb json pb-gzip)) {
    my $spoor = Test::Spoor->new(conf => { 'storage.retention' => '100y' });

    $spoor->start;
    for my $where ('memory', 'parts') {
        run_suite($spoor, $where eq 'memory' ? $ingest : 'none',
            "$ingest, $where");
        ok flush($spoor), 'flushed' if $where eq 'memory';
    }
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
        push @wrong, $case if $not && $must{$group} && !$held{$case};
    }
    diag(join ', ', $name, map { "$_: " . ($passed{$_} || 0) . "/$all{$_}" }
        sort keys %all);
    cmp_ok $passed{$_} || 0, '>', 0, "$name: $_ cases ran"
        for sort keys %must;
    is_deeply \@wrong, [], "$name: what must pass"
        or diag substr $run->{out} . $run->{err}, 0, 100_000;
}
