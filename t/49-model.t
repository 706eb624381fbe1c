#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The model of the storage protocol, searched to its end (docs/protocol.md).
# Needs spin; MODEL_FULL=1 runs every configuration, and shows that each
# mistake that can be built in is found.

use strict;
use warnings;
use FindBin;
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(time);
use lib "$FindBin::Bin/lib";
use Test::Spoor;

my $model = "$FindBin::Bin/model/store.pml";
my $full = $ENV{MODEL_FULL};
my $memory_mb = 6000;
# The compiler takes longer than a short search.
my $optimize = $full ? '-O2' : '-O0';

plan skip_all => 'spin is not installed'
    unless grep { -x "$_/spin" } split /:/, $ENV{PATH};

# name => [what is searched, definitions]; "quick" ones run always.
my @quick = qw(queries crashes);
my @sound = (
    queries => ['queries beside ingest and flush', 'ROWS=2 KILLS=0 CRASHES=0'],
    deaths => ['a worker or its recovery dies, twice',
        'ROWS=2 KILLS=2 CRASHES=0 READS_AT_ONCE=1'],
    crashes => ['all die, or the power fails',
        'ROWS=2 KILLS=0 CRASHES=1 READS_AT_ONCE=1'],
    death_queries => ['a death beside queries', 'ROWS=2 KILLS=1 CRASHES=0'],
    twice => ['two crashes, the second in boot, too',
        'ONE_DAY ROWS=2 KILLS=0 CRASHES=2 READS_AT_ONCE=1'],
    both => ['a death and a crash',
        'ONE_DAY ROWS=2 KILLS=1 CRASHES=1 READS_AT_ONCE=1'],
    merge_queries => ['merges beside queries',
        'MERGE=1 ONE_DAY ROWS=2 KILLS=0 CRASHES=0'],
    merge_deaths => ['a death beside merges',
        'MERGE=1 ONE_DAY ROWS=2 KILLS=1 CRASHES=0 READS_AT_ONCE=1'],
    merge_crashes => ['a crash beside merges',
        'MERGE=1 ONE_DAY ROWS=2 KILLS=0 CRASHES=1 READS_AT_ONCE=1'],
    drop_queries => ['a drop beside queries',
        'DROP=1 ROWS=2 KILLS=0 CRASHES=0'],
    drop_deaths => ['a death beside a drop',
        'DROP=1 ROWS=2 KILLS=1 CRASHES=0 READS_AT_ONCE=1'],
    drop_crashes => ['a crash beside a drop',
        'DROP=1 ROWS=2 KILLS=0 CRASHES=1 READS_AT_ONCE=1'],
    drop_merge => ['a drop beside merges',
        'DROP=1 MERGE=1 ONE_DAY ROWS=2 KILLS=0 CRASHES=0 READS_AT_ONCE=1'],
);
my %sound = @sound;
my $workers = 'WORKERS=2 ONE_DAY ROWS=2 KILLS=1 CRASHES=0 READS_AT_ONCE=1';

# [number, what is wrong, the configuration that finds it]; the first ones
# run always.
my @quick_mistakes = (4, 6, 7, 12);
my @mistakes = (
    [1, 'the catalogue changes before the manifest', 'deaths'],
    [2, 'merged files are unlinked under readers', 'merge_queries'],
    [3, 'flushed positions are kept by slot', 'both'],
    [4, 'a memtable of two days leaves in two generations', 'deaths'],
    [5, 'a log is removed before the last manifest is synced', 'crashes'],
    [6, 'a memtable is used again under readers', 'queries'],
    [7, 'requests are answered before the log is synced', 'crashes'],
    [8, 'a reader does not look at the generation again', 'queries'],
    [9, 'what a dead writer began is not taken back', $workers],
    [10, 'recovery lists parts without a second look', 'merge_deaths'],
    [11, 'a merge cut short is always taken back', 'merge_deaths'],
    [12, 'a part is listed before its data is synced', 'crashes'],
    [13, 'positions go before their logs are gone for good', 'twice'],
    [14, 'a manifest is edited for a day that was dropped', 'drop_deaths'],
    [15, 'a merge does not look whether its inputs are alive', 'drop_merge'],
    [16, 'rows are visible before they are in the log', 'crashes'],
    [17, 'recovery changes the catalogue in two generations', 'deaths'],
    [18, 'boot adopts every part that no manifest lists', 'crashes'],
    [19, 'recovery does not see that a day was dropped', 'drop_deaths'],
    [20, 'recovery lists parts of a day that is being dropped',
        'drop_deaths'],
    [21, 'a flush looks at the state of a day first', 'drop_deaths'],
    [22, 'a merge looks at the state of a day first', 'drop_merge'],
);

# One exhaustive search: { found => text or undef, states, seconds }.
sub search {
    my ($definitions) = @_;
    my $dir = tempdir('spoor-model-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $flags = join ' ', map { "-D$_" } split ' ', $definitions;
    my $out = `cd $dir && spin -a $flags $model 2>&1 && cc $optimize -w -DSAFETY \\
        -DCOLLAPSE -DNOFAIR -DVECTORSZ=2048 -DMEMLIM=$memory_mb -o pan \\
        pan.c 2>&1`;
    return { error => $out } unless -x "$dir/pan";
    my $start = time();
    $out = `cd $dir && nice ./pan -E -m200000 -w24 2>&1`;
    my ($states) = $out =~ /(\d+) states, stored/;
    my ($errors) = $out =~ /errors: (\d+)/;
    my ($found) = $out =~ /(assertion violated .*) \(at depth/;
    return { error => $out } unless defined $errors;
    # A search that was cut short has proved nothing.
    return { error => $out }
        if !$errors && $out =~ /Search not completed|max search depth/;
    return { found => $found, states => $states,
        seconds => time() - $start };
}

my %wanted = map { $_ => 1 } @quick;
my ($total, $seconds) = (0, 0);
while (my ($name, $row) = splice @sound, 0, 2) {
    next unless $full || $wanted{$name};
    my $result = search($row->[1]);
    is($result->{error}, undef, "$row->[0]: the search ends");
    next if $result->{error};
    is($result->{found}, undef, "$row->[0]: every state is sound");
    diag(sprintf '%-40s %9d states %6.1f s', $row->[0], $result->{states},
        $result->{seconds});
    $total += $result->{states};
    $seconds += $result->{seconds};
}
diag(sprintf '%-40s %9d states %6.1f s', 'together', $total, $seconds);

my %always = map { $_ => 1 } @quick_mistakes;
for my $mistake (@mistakes) {
    my ($number, $text, $where) = @$mistake;
    next unless $full || $always{$number};
    my $definitions = $sound{$where} ? $sound{$where}[1] : $where;
    my $result = search("$definitions BUG=$number");
    ok($result->{found}, "found: $text");
    diag(sprintf 'found: %-55s %7d states, %s', $text,
        $result->{states} || 0, $result->{found} || 'NOT FOUND');
}

done_testing();
