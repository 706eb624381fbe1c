#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The durable queue of a front under faults at every step (t/helper/
# fault_queue.c): a process killed, calls that fail, power lost.  What was
# acknowledged is there, once, equal, and for the right node.
#
# "make check" takes a sample; "make check-full" sets FAULTS_FULL, which is
# all of it.  QUEUE_POINTS, QUEUE_SEED.

use strict;
use warnings;

use Test::More;
use Test::Spoor qw(run_command);

my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $program = "$objdir/t/helper/fault_queue";
my $points = $ENV{QUEUE_POINTS} || ($ENV{FAULTS_FULL} ? 0 : 25);
my $seed = $ENV{QUEUE_SEED} || 1 + int rand 1000;

my $run = run_command([$program, '--seed', $seed, '--sample', $points],
    seconds => 3600);
diag("seed $seed\n$run->{out}");
like($run->{out}, qr/ violations=0\n/, 'no violation');
is($run->{status}, 0, 'all was run') or diag($run->{err});

# A disk that does not sync loses, and this is seen.
my $control = run_command([$program, '--control', '--sample', 300]);
my ($lost) = $control->{out} =~ /violations=(\d+)/;
cmp_ok($lost || 0, '>', 10, 'control: without fdatasync there are losses');

done_testing();
