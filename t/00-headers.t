# SPDX-License-Identifier: BSD-2-Clause
#
# Each header compiles alone, and a second time without harm.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;
use Test::Spoor;

chdir spoor_root();

my $cc = (split ' ', $ENV{CC} || 'cc')[0];
my $flags = ($ENV{SPOOR_CFLAGS} || '') . ' -std=gnu11 -Wall -Wextra -Werror'
    . ' -Wno-unused-function -Wno-unused-const-variable -D_GNU_SOURCE'
    . ' -fsyntax-only -Isrc -It/unit';
my @headers = sort glob 'src/*/*.h t/unit/tap.h';
my $dir = tempdir('spoor-headers-XXXXXX', TMPDIR => 1, CLEANUP => 1);

for my $header (@headers) {
    (my $name = $header) =~ s{^(?:src|t/unit)/}{};
    my $source = "$dir/test.c";
    open my $out, '>', $source or die "$source: $!\n";
    print $out "#include \"$name\"\n" x 2, "typedef int not_empty;\n";
    close $out;
    my $said = `$cc $flags $source 2>&1`;
    ok($? == 0, "$name compiles alone") or diag($said);
}

done_testing;
