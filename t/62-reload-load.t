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
use Test::Tls;
use Time::HiRes qw(sleep time);

my ($port, $tls_port, $more_port) = map { free_port() } 1 .. 3;
my $dir = File::Temp::tempdir(CLEANUP => 1);
certs($dir, 'name=ca ca=1 cn=ca',
    map { "name=v$_ san=DNS:a.test issuer=ca" } 0 .. 1);

# The configuration with this besides; each has another certificate than the
# one before.
my $serial = 0;
sub change {
    my ($spoor, $text, @addresses) = @_;
    my $cert = 'v' . $serial++ % 2;

    $spoor->{yaml} = "http.listen:\n" . join('', map {
        "  - address: 127.0.0.1:$_\n" } $port, @addresses)
        . "  - address: 127.0.0.1:$tls_port\n    tls: true\n"
        . "    cert: $dir/$cert.pem\n    key: $dir/$cert.key\n"
        . 'storage.path: ' . $spoor->data_dir . "\n$text\n";
    $spoor->write_conf;
    return;
}

# What each reload changes.
my @changes = (
    ['workers: 2'],
    ['workers: 2', $more_port],
    ['workers: 1', $more_port],
    ["workers: 1\nworker_connections: 500\ninsert.max_concurrent: 64"],
    ['workers: 3', $more_port],
    ["workers: 3\nsearch.max_traces: 77\ninsert.max_request_size: 4MiB"],
    ['workers: 2'],
);

my $spoor = Test::Spoor->new(port => $port, conf => { workers => 2 });
change($spoor, 'workers: 2');
$spoor->start;
ok $spoor->wait_log(qr/ready: 2 workers/), 'a server';
my @kinds = qw(close keep h2 grpc tls);
my $load = Test::Load->start($port, { tls => $tls_port, ca => "$dir/ca.pem" },
    @kinds);
sleep 0.5;
for my $n (0 .. $#changes) {
    change($spoor, @{$changes[$n]});
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
for my $kind (@kinds) {
    my $reply = $spoor->get('/select/logsql/query?query=name:="load%20'
        . "$kind\"%20%7C%20stats%20count%28%29%20n,count_uniq%28span_id%29%20u");
    like $reply->{body}, qr/"n":"$sums->{$kind}{spans}"/,
        "$kind: all acknowledged spans are there";
    like $reply->{body}, qr/"u":"$sums->{$kind}{spans}"/, 'once';
}
is $spoor->stop, 0, 'stops';

done_testing;
