#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The sample files load: the small one as it is; the full one as it is (it
# says nothing but defaults), and with every directive taken into use.

use strict;
use warnings;

use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $dir = Test::Spoor->new->dir;

# The values that count with this file, without their origins.
sub values_of {
    my @args = @_;
    my $got = run_command([spoor_bin(), '-p', '/nowhere', @args, '-T']);

    is $got->{status}, 0, "-T @args" or diag($got->{err});
    return join '', map { s/  #.*//r . "\n" } grep { !/^#/ }
        split /\n/, $got->{out};
}

my $defaults = values_of();
my $small = spoor_root() . '/conf/spoor.yaml';
my $full = spoor_root() . '/conf/spoor.full.yaml';

is values_of('-c', $small), values_of('-otlpGRPCListenAddr=:4317'),
    'spoor.yaml has the defaults, and the port of OTLP over gRPC';
is values_of('-c', $full), $defaults, 'spoor.full.yaml as it is';

open my $in, '<', $full or die "$full: $!\n";
open my $out, '>', "$dir/used.yaml" or die "$dir/used.yaml: $!\n";
print $out map { s/^( *)#(?! )/$1/r } <$in>;
close $out or die "$dir/used.yaml: $!\n";
is values_of('-c', "$dir/used.yaml"), $defaults,
    'spoor.full.yaml with everything in use';

done_testing();
