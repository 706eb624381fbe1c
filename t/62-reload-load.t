# SPDX-License-Identifier: BSD-2-Clause
#
# Clients do not notice: reloads that change everything a reload may change,
# and upgrades, under load.  bench/reloads is the same at length.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Load;
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $more_port = free_port();
my $spoor = Test::Spoor->new(conf => { workers => 2 });
my $address = '127.0.0.1:' . $spoor->port;

# What each reload changes.
my @changes = (
    {},
    { 'http.listen' => "$address,127.0.0.1:$more_port" },
    { workers => 1 },
    { worker_connections => 500, 'insert.max_concurrent' => 64 },
    { workers => 3 },
    { 'search.max_traces' => 77, 'insert.max_request_size' => '4MiB' },
    { 'http.listen' => $address, workers => 2 },
);

$spoor->start;
ok $spoor->wait_log(qr/ready: 2 workers/), 'a server';
my $load = Test::Load->start($spoor->port, qw(close keep h2 grpc));
sleep 0.5;
for my $n (0 .. $#changes) {
    $spoor->write_conf(%{$changes[$n]});
    my ($status, $text) = $spoor->ask('reload');
    like $text, qr/^reload: done, \d workers?\n\z/, "reload $n";
    if ($n == 1) {
        local $spoor->{port} = $more_port;
        is $spoor->get('/health')->{status}, 200, 'one address more';
    }
    sleep 0.1;
}
ok !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $more_port),
    'which is closed again';
for my $n (1 .. 3) {
    my ($status, $text) = $spoor->upgrade;
    is $status, 0, "upgrade $n";
    diag $text if $status;
    sleep 0.3;
}
ok $load->runs, 'all clients are there';
my $sums = $load->stop;
is $sums->{failed}, 0, 'no request failed';
diag $_ for @{$sums->{why}};
diag sprintf "%d requests, %d sent again, slowest %.0f ms", $sums->{requests},
    $sums->{again}, 1000 * $sums->{slowest};
cmp_ok $sums->{requests}, '>', 100, 'there were many';
cmp_ok $sums->{slowest}, '<', 10, 'none waited for long';
for my $kind (qw(close keep h2 grpc)) {
    my $reply = $spoor->get('/select/logsql/query?query=name:="load%20'
        . "$kind\"%20%7C%20stats%20count%28%29%20n,count_uniq%28span_id%29%20u");
    like $reply->{body}, qr/"n":"$sums->{$kind}{spans}"/,
        "$kind: all acknowledged spans are there";
    like $reply->{body}, qr/"u":"$sums->{$kind}{spans}"/, 'once';
}
is $spoor->stop, 0, 'stops';

done_testing;
