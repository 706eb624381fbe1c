#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# A front whose list of nodes changes under load, by reloads, upgrades and
# kills of its workers: no request fails, and every span that was acknowledged
# is on one node, once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Load;
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep);

my @nodes = map { Test::Spoor->new(conf => { workers => 1 })->start } 1 .. 3;
my $front = Test::Spoor->new(conf => { workers => 2 });

# The nodes of these numbers; at another address each other time.
my $serial = 0;
sub list {
    my (@numbers) = @_;
    my $host = $serial++ % 2 ? 'localhost' : '127.0.0.1';

    $front->{conf}{storage_nodes} =
        [map { "$host:" . $nodes[$_]->port } @numbers];
    $front->write_conf;
    return;
}

list(0, 1);
$front->start;
ok $front->wait_log(qr/ready: 2 workers/), 'a front';
my @kinds = qw(close keep h2 grpc);
my $load = Test::Load->start($front->port, { pause => 0.005 }, @kinds);
sleep 0.5;
for my $numbers ([1, 2], [0, 1, 2], [2, 1, 0], [0], [0, 1, 2]) {
    list(@$numbers);
    my ($status, $text) = $front->ask('reload');
    like $text, qr/^reload: done, 2 workers\n\z/, "nodes @$numbers";
    sleep 0.4;
}
for my $n (1 .. 2) {
    my ($status, $text) = $front->upgrade;
    is $status, 0, "upgrade $n";
    diag $text if $status;
    sleep 0.4;
}
ok $load->runs, 'all clients are there';
my $sums = $load->stop;
is $sums->{failed}, 0, 'no request failed';
diag $_ for @{$sums->{why}};
diag sprintf "%d requests, %d sent again, slowest %.0f ms", $sums->{requests},
    $sums->{again}, 1000 * $sums->{slowest};
cmp_ok $sums->{requests}, '>', 100, 'there were many';
is $front->metric('spoor_cluster_queue_parcels'), 0, 'nothing waits';

# What a query of each node says of the spans of a kind; and the front.
sub count {
    my ($server, $kind, $what) = @_;
    my $reply = $server->get('/select/logsql/query?query=name:="load%20'
        . "$kind\"%20%7C%20stats%20$what%20n");

    return $reply->{body} =~ /"n":"(\d+)"/ ? $1 : "$reply->{status} $reply->{body}";
}
for my $kind (@kinds) {
    my %sum;
    my @n = map { count($_, $kind, 'count()') } @nodes;

    is eval { $n[0] + $n[1] + $n[2] }, $sums->{$kind}{spans},
        "$kind: all acknowledged spans are on a node, once";
    cmp_ok $_, '>', 0, "$kind: each has some" for @n;
    is count($front, $kind, 'count()'), $sums->{$kind}{spans},
        "$kind: the front finds them";
    is count($front, $kind, 'count_uniq(span_id)'), $sums->{$kind}{spans},
        "$kind: each once";
}
is $_->stop, 0, 'stops' for $front, @nodes;

done_testing;
