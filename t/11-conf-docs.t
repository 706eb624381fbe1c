#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# What is made out of the directive table is up to date, and the samples
# load.  To make the files again: t/11-conf-docs.t --write.

use strict;
use warnings;

use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my %made = (
    'conf/spoor.full.yaml' => ['--print-sample'],
    'docs/configuration.md' => ['--print-reference'],
    'man/spoor.8' => ['--print-man=spoor.8'],
    'man/spoor.yaml.5' => ['--print-man=spoor.yaml.5'],
);

chdir spoor_root() or die "chdir: $!\n";
for my $name (sort keys %made) {
    my $got = run_command([spoor_bin(), @{$made{$name}}]);

    is $got->{status}, 0, "@{$made{$name}}";
    if (@ARGV && $ARGV[0] eq '--write') {
        open my $file, '>', $name or die "$name: $!\n";
        print $file $got->{out};
        close $file or die "$name: $!\n";
    }
    open my $file, '<', $name or die "$name: $!\n";
    my $text = do { local $/; <$file> };
    ok $text eq $got->{out}, "$name is up to date"
        or diag('t/11-conf-docs.t --write makes it again');
}

for my $name ('conf/spoor.yaml', 'conf/spoor.full.yaml') {
    my $got = run_command([spoor_bin(), '-p', '/nowhere', '-c',
        spoor_root() . "/$name", '-T']);

    is $got->{status}, 0, "$name loads" or diag($got->{err});
}

SKIP: {
    skip 'mandoc is not installed', 2 if !grep { -x "$_/mandoc" }
        split /:/, $ENV{PATH};
    for my $page ('spoor.8', 'spoor.yaml.5') {
        my $got = run_command(['mandoc', '-Tlint', '-Wwarning',
            "man/$page"]);

        is $got->{out} . $got->{err}, '', "$page: mandoc has no warning";
    }
}

done_testing();
