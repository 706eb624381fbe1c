# SPDX-License-Identifier: BSD-2-Clause
#
# No function or variable of ours has the name of one in a library we link:
# the linker would silently take one for the other.

use strict;
use warnings;

use Test::More;
use Test::Spoor;

chdir spoor_root();

my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $archive = "$objdir/libspoor.a";

plan skip_all => "$archive is not built" unless -e $archive;

# name => object file.
my %ours;
my $object = '';
for (`nm -g --defined-only $archive 2> /dev/null`) {
    $object = $1 if /^(\S+\.o):/;
    next unless /^[0-9a-f]+ [A-Z] (\w+)$/;
    push @{$ours{$1}}, $object;
}
cmp_ok(scalar keys %ours, '>', 100, 'our names are found');

my @twice = grep { @{$ours{$_}} > 1 } sort keys %ours;
is_deeply(\@twice, [], 'no name is defined twice');

# Every library the programs load, those of libraries included.
my %libraries;
for my $program (spoor_bin(), spoorctl_bin(), glob("$objdir/t/unit/*")) {
    next unless -x $program && -B $program;
    for (`ldd $program 2> /dev/null`) {
        $libraries{$1} = 1 if m{=> (/\S+)};
    }
}
my @libraries = grep { !/sanitizer|lib[at]san|libubsan/ } sort keys %libraries;
cmp_ok(scalar @libraries, '>', 3, 'libraries are found');

my @common;
for my $library (@libraries) {
    for (`nm -D --defined-only $library 2> /dev/null`) {
        next unless /^[0-9a-f]+ [A-Z] ([^@\s]+)/ && $ours{$1};
        push @common, "$1 of $ours{$1}[0] is also in $library";
    }
}
is_deeply(\@common, [], 'no name is that of a library');

done_testing;
