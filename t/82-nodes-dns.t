# SPDX-License-Identifier: BSD-2-Clause
#
# Storage nodes by name: A and AAAA, an own node for each address, SRV, names
# of /etc/hosts, and what happens when DNS changes, shrinks or is gone.

use strict;
use warnings;

use File::Temp qw(tempdir);
use JSON::PP;
use Test::Dns;
use Test::More;
use Test::Spoor;
use Test::Tls;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8;

sub nodes_of {
    my ($spoor) = @_;
    my $reply = $spoor->get('/internal/cluster');

    return [] unless $reply->{status} == 200;
    return $json->decode($reply->{body})->{nodes};
}

sub names_of { return join ' ', map { $_->{name} } @{nodes_of($_[0])} }

sub states_of {
    return join ' ', map { "$_->{name}=$_->{state}" } @{nodes_of($_[0])};
}

sub becomes {
    my ($spoor, $want, $what) = @_;
    my $states;

    ok wait_for(sub {
        $states = states_of($spoor);
        return $states eq $want;
    }, 30), $what or diag "got  $states\nwant $want";
    return;
}

my @stores = map { Test::Spoor->new(conf => { workers => 1 })->start } 1 .. 2;
my ($port, $port2) = map { $_->port } @stores;
my $dns = Test::Dns->new;
my %limits = ('cluster.probe_interval' => '100ms', workers => 2,
    'cluster.connect_timeout' => '1s', 'cluster.discovery_interval' => '200ms');

sub front_of {
    my (@nodes) = @_;

    return Test::Spoor->new(conf => { %limits, storage_nodes => \@nodes },
        env => { SPOOR_DNS_SERVERS => $dns->address });
}

# --- a name with addresses ----------------------------------------------------

{
    # Nobody listens on the address of IPv6: the next one is tried.
    $dns->set('Store.test A' => ['127.0.0.1'], 'store.test AAAA' => ['::1']);
    my $front = front_of("Store.TEST:$port", "localhost:$port2")->start;
    becomes($front, "store.test:$port=up localhost:$port2=up",
        'a name with two addresses is one node; /etc/hosts counts');

    # The server moves.
    $stores[0]->kill_all;
    becomes($front, "store.test:$port=down localhost:$port2=up", 'down');
    my ($node) = @{nodes_of($front)};
    like $node->{why}, qr/refused/, "why: $node->{why}";
    $stores[0]->write_conf('http.listen' => "127.0.0.9:$port");
    $stores[0]->start_nowait;
    $dns->set('store.test A' => ['127.0.0.9'], 'Store.test A' => [],
        'store.test AAAA' => []);
    becomes($front, "store.test:$port=up localhost:$port2=up",
        'up again at its new address');

    # DNS is gone, and workers start anew.
    $dns->stop;
    ok $front->wait_log(qr/store\.test:$port is not found: DNS: .*last are/i,
        20), 'the log says that DNS is gone';
    sleep 1;
    becomes($front, "store.test:$port=up localhost:$port2=up",
        'the last addresses are used');
    my @before = @{$front->pids->{worker}};
    my $begin = time;
    $front->signal('HUP');
    ok wait_for(sub {
        my %now = map { $_ => 1 } @{$front->pids->{worker} || []};
        return %now && !grep { $now{$_} } @before;
    }, 30), 'new workers without DNS';
    becomes($front, "store.test:$port=up localhost:$port2=up",
        'know them, too');
    my $lines = () = $front->log =~ /is not found: DNS/g;
    is $lines, 1, 'said once, by all workers together';
    like $front->get('/metrics')->{body},
        qr/^spoor_cluster_lookup_errors_total [1-9]/m, 'counted';
    $dns->start;
    ok $front->wait_log(qr/store\.test:$port is found again/i, 20),
        'its return is told';
    $front->stop;
    $stores[0]->kill_all;
    $stores[0]->write_conf('http.listen' => "127.0.0.1:$port");
    $stores[0]->start;
}

# --- SRV ----------------------------------------------------------------------

{
    my $service = '_spoor._tcp.test';
    $dns->set("$service SRV" => ["9 0 $port2 n2.test", "0 7 $port N1.test"],
        'n1.test A' => ['127.0.0.1'], 'n2.test A' => ['127.0.0.1']);
    my $front = front_of("srv+$service")->start;
    becomes($front, "n1.test:$port=up n2.test:$port2=up",
        'a node for each record, whatever its priority');
    my $since = nodes_of($front)->[0]{since};

    $dns->set("$service SRV" => ["0 0 $port n1.test", "0 0 $port2 n2.test",
        '0 0 1 n3.test']);
    ok wait_for(sub { names_of($front) =~ / n3\.test:1$/ }, 20),
        'a new record is a new node';
    my $node = nodes_of($front)->[2];
    is $node->{state}, 'down', 'its target has no address';
    like $node->{why}, qr/no such host/, "why: $node->{why}";
    $dns->set("$service SRV" => ["0 0 $port n1.test"]);
    becomes($front, "n1.test:$port=up", 'records that are gone leave');
    is nodes_of($front)->[0]{since}, $since, 'the one that stays is the same';
    like $front->log, qr/n2\.test:$port2 is not in the DNS of srv\+/, 'told';

    unlike $front->log, qr/are both at/, 'nothing is there twice';
    $dns->set("$service SRV" => []);
    sleep 3;
    is names_of($front), "n1.test:$port",
        'no record at all is taken for a failure of DNS';
    $dns->set("$service SRV" => ['0 0 0 .']);
    sleep 1;
    is names_of($front), "n1.test:$port", 'as is "no such service"';

    $dns->set("$service SRV" => ["0 0 $port n1.test"]);
    ok $front->wait_log(qr/\Q$service\E is found again/, 20), 'it is back';
    $dns->set("$service SRV" => ["0 0 $port n1.test", '0 0 0 n2.test']);
    ok $front->wait_log(qr/the record "n2.test", port 0, is no place/, 20),
        'a record that cannot be: told';
    $dns->set("$service SRV" => ["0 0 $port n1.test",
        "0 0 $port2 n2.test\r\nX: y"]);
    sleep 1;
    is names_of($front), "n1.test:$port", 'and such an answer changes nothing';

    # 60 records are over 512 bytes: TCP.
    my @many = map { sprintf 'm%02d.test', $_ } 1 .. 60;
    $dns->set("$service SRV" => [map { "0 0 1 $_" } @many],
        map { ("$_ A" => ['127.0.0.1']) } @many);
    ok wait_for(sub { names_of($front) eq join ' ', map { "$_:1" } @many },
        30), 'a large answer comes over TCP';
    $front->stop;
}

# --- a node for each address --------------------------------------------------

{
    my $other = Test::Spoor->new(port => $port, conf => { workers => 1,
        'http.listen' => "127.0.0.2:$port" });
    $other->start_nowait;
    $dns->set('all.test A' => ['127.0.0.2', '127.0.0.1'],
        'all.test AAAA' => []);
    my $front = front_of("dns+all.test:$port")->start;
    becomes($front, "127.0.0.1:$port=up 127.0.0.2:$port=up",
        'a node for each address');
    $dns->set('all.test A' => ['127.0.0.1']);
    becomes($front, "127.0.0.1:$port=up", 'one leaves');
    $front->stop;
    $other->stop;
}

# --- certificates of names ----------------------------------------------------

sub tls_front {
    my ($address, $ca, @words) = @_;

    return Test::Spoor->new(conf => \%limits, args => [
        "-storageNode=$address", "-storageNode.tlsCAFile=$ca", @words],
        env => { SPOOR_DNS_SERVERS => $dns->address })->start;
}

SKIP: {
    skip 'openssl is not installed', 1
        if system('openssl version > /dev/null 2>&1') != 0;
    my $dir = tempdir('spoor-nodes-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    certs($dir, 'name=ca ca=1 cn=ca', 'name=a cn=a san=DNS:tls.test issuer=ca');
    my $tls = free_port();
    my $plain = free_port();
    my $store = Test::Spoor->new(port => $plain, yaml => <<"END")->start;
http.listen:
  - address: 127.0.0.1:$plain
  - address: 127.0.0.1:$tls
    cert: $dir/a.pem
    key: $dir/a.key
workers: 1
storage.path: data
END
    $dns->set('tls.test A' => ['127.0.0.1'], 'other.test A' => ['127.0.0.1'],
        '_tls._tcp.test SRV' => ["0 0 $tls tls.test"]);
    my %is_up = ("tls.test:$tls" => 'up', "dns+tls.test:$tls" => 'up',
        'srv+_tls._tcp.test' => 'up', "other.test:$tls" => 'down',
        "dns+other.test:$tls" => 'down', "127.0.0.1:$tls" => 'down');
    for my $address (sort keys %is_up) {
        my $front = tls_front($address, "$dir/ca.pem");
        my $node;
        ok wait_for(sub {
            $node = nodes_of($front)->[0];
            return $node && $node->{state} eq $is_up{$address};
        }, 30), "$address is $is_up{$address}" or diag explain $node;
        like $node->{why}, qr/certificate|name/i, "why: $node->{why}"
            if $node->{state} eq 'down';
        $front->stop;
    }
    my $front = tls_front("dns+other.test:$tls", "$dir/ca.pem",
        '-storageNode.tlsServerName=tls.test');
    becomes($front, "127.0.0.1:$tls=up", 'with the name that it has');
    $front->stop;
    $store->stop;
}

# --- names that nobody knows --------------------------------------------------

{
    my $front = front_of('srv+nothing.test', "gone.test:$port",
        "127.0.0.1:$port")->start;
    becomes($front, "srv+nothing.test=down gone.test:$port=down "
        . "127.0.0.1:$port=up", 'names not found are nodes that are down');
    my $said = run_command([spoorctl_bin(), 'cluster', $front->url]);
    is $said->{status}, 1, 'spoorctl says so';
    like $said->{out}, qr/^srv\+nothing\.test is down: DNS: there is no such/m,
        'and why';
    $dns->set('nothing.test SRV' => ["0 0 $port2 localhost"]);
    unlike $front->log, qr/are both at/, 'nothing is there twice';
    $dns->set('gone.test A' => ['127.0.0.1']);
    ok $front->wait_log(qr/gone\.test:$port and \S+ are both at \S+:$port/,
        20), 'one server under two names: a warning';
    becomes($front, "localhost:$port2=up gone.test:$port=up "
        . "127.0.0.1:$port=up", 'until they are found');
    $front->stop;
}

done_testing;
