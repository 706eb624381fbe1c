#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# README's walk through a cluster, as it is typed but for the ports, and what
# it promises.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my ($section) = slurp(spoor_root() . '/README.md')
    =~ /^## A cluster on one machine\n(.*?)^## /ms
    or BAIL_OUT('README has no cluster');
my @blocks = $section =~ /^```sh\n(.*?)^```$/msg;
is scalar(@blocks), 2, 'two blocks of commands';

# objs/ is where the checkout has it.
my $dir = tempdir('spoor-walk-XXXXXX', TMPDIR => 1, CLEANUP => 1);
mkdir "$dir/objs";
symlink spoor_bin(), "$dir/objs/spoor";
symlink spoorctl_bin(), "$dir/objs/spoorctl";
my %port = map { $_ => free_port() } qw(10491 10492 10481 10471);

my $script = join "echo --\n", @blocks;
$script =~ s/\b(104\d\d)\b/$port{$1} || BAIL_OUT("no port $1")/ge;
# What is left when a step fails ends with the shell.
my $ran = run_command(['bash', '-eu', '-c', "cd $dir\n"
    . "trap 'kill \$(jobs -p) 2> /dev/null || :' EXIT\n$script"],
    seconds => 120);
is $ran->{status}, 0, 'all commands succeed';
diag $ran->{out}, $ran->{err} if $ran->{status};
ok ! -e "$dir/cluster", 'and leave nothing behind';

my ($before, $after) = split /^--\n/m, $ran->{out};
my @sent = "$ran->{out}$ran->{err}" =~ /^(\d+) spans of/mg;
is scalar(@sent), 2, 'spans were sent twice';
$_ ||= 0 for @sent[0, 1];

sub counts {
    my ($text) = @_;

    return $text =~ /^\s*(?:\{"count\(\*\)":")?(\d+)(?:"\})?\s*$/mg;
}

my @node = @port{10491, 10492};
like $before, qr/127\.0\.0\.1:$node[0]\b/, 'spoorctl cluster has a node';
like $before, qr/127\.0\.0\.1:$node[1]\b/, 'and the other one';
is +(counts($before))[-1], $sent[0], 'all spans are counted';
like $after, qr/storage node 127\.0\.0\.1:$node[1]/,
    'a query names the node that is away';
my @counts = counts($after);
cmp_ok $counts[0], '>', 0, 'a partial answer has something';
cmp_ok $counts[0], '<', $sent[0] + $sent[1], 'but not all';
is $counts[-1], $sent[0] + $sent[1], 'with the node all are there again';

done_testing();
