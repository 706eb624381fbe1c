# SPDX-License-Identifier: BSD-2-Clause
#
# What a query is printed as means what it meant: every recorded case of
# LogsQL is asked with the canonical text of its query, which
# /select/logsql/parse tells, and has to pass as before.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use JSON::PP ();
use Test::More;
use Test::Spoor;
use Test::Traces;

my $suite = $ENV{SPOOR_CONFORMANCE} || spoor_root()
    . '/../shared/conformance';

plan skip_all => "no conformance suite ($suite)" unless -f "$suite/run.py";
plan skip_all => 'no python3'
    if run_command(['python3', '--version'])->{status} != 0;

# Held to be wrong, as in t/90-conformance.t.
my %held = map { $_ => 1 } (
    'logsql/http/field-names-values/field-names-values-014',
    'logsql/stats/by/by-022',
);
my $json = JSON::PP->new->utf8;
my $spoor = Test::Spoor->new(conf => { 'storage.retention' => '100y' });
my ($nqueries, $nchanged) = (0, 0);

$spoor->start;
my $dir = $spoor->dir . '/canonical';
for my $file (glob "$suite/logsql/*/*.case") {
    my ($name) = $file =~ m{/(logsql/.*)$};

    make_path(dirname("$dir/$name"));
    open my $in, '<:raw', $file or die "$file: $!\n";
    open my $out, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
    print $out map { canonical_line($_) } <$in>;
    close $out or die "$dir/$name: $!\n";
}
cmp_ok $nqueries, '>', 1200, "$nqueries queries";
cmp_ok $nchanged, '>', 500, "$nchanged are printed in other words";

my $run = run_command(['python3', "$suite/run.py", '--url', $spoor->url,
    '--dir', $dir, '--ingest', 'pb', '--tap', '--jobs', '2'],
    env => { PYTHONDONTWRITEBYTECODE => 1 }, seconds => 300);
my ($npassed, @wrong) = (0);
for my $line (split /\n/, $run->{out}) {
    my ($not, $case) = $line =~ m{^(not )?ok \d+ - (\S+)} or next;

    $npassed++ unless $not;
    push @wrong, $case if $not && !$held{$case};
}
cmp_ok $npassed, '>', 1500, "$npassed cases pass with printed queries";
is_deeply \@wrong, [], 'none fails'
    or diag substr $run->{out} . $run->{err}, 0, 100_000;

$spoor->stop;
done_testing;

# A line of a case; a query that is parsed gives way to its canonical text.
sub canonical_line {
    my ($line) = @_;
    my $query = $line =~ /^arg: query=(.*)$/ ? $1
        : $line =~ /^arg-json: query=(.*)$/
        ? $json->allow_nonref->decode($1) : undef;

    return $line if !defined $query;
    my $reply = $spoor->post('/select/logsql/parse', 'query=' . uri($query),
        { 'Content-Type' => 'application/x-www-form-urlencoded' });
    my $answer = eval { $json->decode($reply->{body}) };
    return $line if !$answer || !defined $answer->{query};
    $nqueries++;
    $nchanged++ if $answer->{query} ne $query;
    return 'arg-json: query=' . $json->allow_nonref->encode($answer->{query})
        . "\n";
}
