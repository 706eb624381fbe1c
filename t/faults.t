#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Every fault at every step, in a server in little (t/helper/fault_world.h):
# kill and errno at the Nth call of each kind, power loss on a disk that
# forgets, damage to every file, errors while it starts and answers.  What was
# acknowledged is there, once, equal, or the test fails; the tables of faults
# and outcomes are printed.
#
# "make check" takes a sample; "make check-full" sets FAULTS_FULL, which is
# all of it.  FAULTS_POINTS, FAULTS_STATES, FAULTS_READS, FAULTS_FLIPS,
# FAULTS_SEED, FAULTS_JOBS; FAULTS_SECONDS: of each table.

use strict;
use warnings;

use Test::More;
use Test::Spoor qw(run_command);

my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $full = $ENV{FAULTS_FULL};
my $seed = $ENV{FAULTS_SEED} || 1;
my $jobs = $ENV{FAULTS_JOBS} || 6;
my $points = $ENV{FAULTS_POINTS} || ($full ? 1_000_000 : 200);
my $reads = $ENV{FAULTS_READS} || ($full ? 1_000_000 : 100);
my $flips = $ENV{FAULTS_FLIPS} || ($full ? 6000 : 200);
my $states = $ENV{FAULTS_STATES} || ($full ? 1_000_000 : 200);

# Runs a program whose last line has "violations=N"; all it says is shown.
sub run_table {
    my ($name, @words) = @_;
    my $run = run_command([@words, '--seconds', $ENV{FAULTS_SECONDS} || 0],
        seconds => 7200);

    diag("$name:\n$run->{out}");
    like($run->{out}, qr/ violations=0 /, "$name: no violation");
    is($run->{status}, 0, "$name: all was run") or diag($run->{err});
    return $run->{out};
}

run_table('kill and errno at the Nth call', "$objdir/t/helper/fault_sweep",
    '--seed', $seed, '--sample', $points, '--jobs', $jobs, '--requests',
    $full ? 32 : 12);

run_table('power loss, simulated disk', "$objdir/t/helper/fault_power",
    '--seed', $seed, '--states', $states, '--jobs', 2, '--requests',
    $full ? 60 : 12);

run_table('errors of a start and of questions',
    "$objdir/t/helper/fault_reads", '--seed', $seed, '--sample', $reads,
    '--jobs', 3);

run_table('damage to files', "$objdir/t/helper/fault_flips", '--seed', $seed,
    '--flips', $flips, '--others', int $flips / 4, '--jobs', 2);

# Without syncs much is lost, so losses are seen.
my $control = run_command(["$objdir/t/helper/fault_power", '--control',
    '--seed', $seed, '--states', 60]);
my ($lost) = $control->{out} =~ /violations=(\d+)/;
cmp_ok($lost || 0, '>', 10, 'control: without fsync there are losses');

done_testing();
