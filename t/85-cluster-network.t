#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# bench/nemesis in short, without what needs hosts of their own: nodes that
# hang, cut answers, refuse connections, come and go, die, are restarted.
# Nothing acknowledged is lost or doubled, no answer is wrong.

use strict;
use warnings;

use Test::More;
use Test::Spoor;

my $ran = run_command([spoor_root() . '/bench/nemesis', '--links', '--seconds',
    '1.5', '--lead', '0.5', '--only',
    'never answers|are cut|refuses|flapping|^node killed|rolling restart'],
    seconds => 240);
my @rows = grep { /s +\d+ +\d+ +[\d.]+s$/ } split /\n/, $ran->{out};

diag $_ for split /\n/, $ran->{out};
diag $ran->{err} if $ran->{err};
is $ran->{status}, 0, 'nothing lost, doubled or wrong';
is scalar @rows, 6, 'all troubles were had';

done_testing;
