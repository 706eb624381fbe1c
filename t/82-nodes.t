# SPDX-License-Identifier: BSD-2-Clause
#
# A front and its storage nodes: which are up, what people see of it, and how
# fast it is noticed when a node dies, hangs, stops or comes back.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8;

sub cluster_of {
    my ($spoor) = @_;
    my $reply = $spoor->get('/internal/cluster');

    return {} unless $reply->{status} == 200;
    return $json->decode($reply->{body});
}

# By name.
sub nodes_of {
    my ($spoor) = @_;

    return { map { $_->{name} => $_ } @{cluster_of($spoor)->{nodes} || []} };
}

sub becomes {
    my ($spoor, $name, $state, $seconds) = @_;
    my $last;

    my $done = wait_for(sub {
        $last = nodes_of($spoor)->{$name};
        return $last && $last->{state} eq $state;
    }, $seconds || 30);
    ok $done, "$name becomes $state" or diag explain $last;
    return $last;
}

sub spoorctl {
    my ($spoor, @words) = @_;

    return run_command([spoorctl_bin(), 'cluster', @words, $spoor->url]);
}

my @stores = map { Test::Spoor->new(conf => { workers => 1 })->start } 1 .. 2;
my ($a, $b) = map { '127.0.0.1:' . $_->port } @stores;
my %limits = ('cluster.probe_interval' => '100ms',
    'cluster.connect_timeout' => '1s', workers => 2);
my $front = Test::Spoor->new(conf => { %limits,
    storage_nodes => [$a, $b] })->start;

# --- what there is to see -----------------------------------------------------

{
    my $seen = cluster_of($stores[0]);
    ok !$seen->{is_front}, 'a store is no front';
    like $seen->{message}, qr/no storage nodes/, 'and says so';
    my $said = spoorctl($stores[0]);
    is $said->{status}, 0, 'spoorctl cluster of a store';
    like $said->{out}, qr/no storage nodes/, 'says so, too';

    becomes($front, $_, 'up') for $a, $b;
    $seen = cluster_of($front);
    ok $seen->{is_front}, 'a front is one';
    is_deeply [map { $_->{name} } @{$seen->{nodes}}], [$a, $b],
        'its nodes in the order of the configuration';
    is $seen->{nodes}[0]{inserts}{state}, 'on', 'takes inserts';
    is $seen->{nodes}[0]{queue}{parcels}, 0, 'nothing waits';
    like $seen->{nodes}[0]{since}, qr/^\d{4}-\d\d-\d\dT/, 'since when';

    $said = spoorctl($front);
    is $said->{status}, 0, 'spoorctl: all is well' or diag $said->{err};
    like $said->{out}, qr/^NODE +STATE +FOR +INSERTS /, 'a heading';
    like $said->{out}, qr/^\Q$_\E +up +\d+s +on +0 +0 /m, "a row of $_"
        for $a, $b;
    $said = spoorctl($front, '--json');
    is $said->{status}, 0, 'with --json';
    is scalar @{$json->decode($said->{out})->{nodes}}, 2,
        'the answer as it is';
    $said = run_command([spoorctl_bin(), 'cluster', '--url', $front->url]);
    like $said->{out}, qr/^\Q$a\E +up/m, 'with --url';
    $said = run_command([spoorctl_bin(), 'cluster', 'a', 'b']);
    is $said->{status}, 2, 'two servers are a mistake';

    my $metrics = $front->get('/metrics')->{body};
    for my $name ($a, $b) {
        like $metrics, qr/^spoor_node_is_up\{addr="\Q$name\E"\} 1$/m,
            "metric of $name";
        like $metrics,
            qr/^vt_insert_remote_is_reachable\{addr="\Q$name\E"\} 1$/m,
            "the one VictoriaTraces has of $name";
    }
    unlike $stores[0]->get('/metrics')->{body}, qr/^spoor_node_is_up/m,
        'a store has none of them';
}

# --- a node dies and comes back -----------------------------------------------

{
    $stores[0]->kill_all;
    my $node = becomes($front, $a, 'down');
    like $node->{why}, qr/refused/, 'why';
    is $node->{inserts}{state}, 'off', 'no inserts';
    is nodes_of($front)->{$b}{state}, 'up', 'the other one is up';
    my $said = spoorctl($front);
    is $said->{status}, 1, 'spoorctl: something is missing';
    like $said->{out}, qr/^\Q$a\E +down /m, 'in the table';
    like $said->{out}, qr/^\Q$a\E is down: .*refused/m, 'and why';
    like $front->get('/metrics')->{body},
        qr/^spoor_node_is_up\{addr="\Q$a\E"\} 0$/m, 'metric';
    sleep 1;
    my $lines = () = $front->log =~ /storage node \Q$a\E is down/g;
    is $lines, 1, 'one line in the log, of all workers';

    $stores[0]->start;
    my $begin = time;
    becomes($front, $a, 'up', 10);
    cmp_ok time - $begin, '<', 5, 'soon';
    $lines = () = $front->log =~ /storage node \Q$a\E is up again after/g;
    is $lines, 1, 'one line of that';
}

# --- a node hangs -------------------------------------------------------------

{
    kill 'STOP', -$stores[1]{group};
    my $node = becomes($front, $b, 'down');
    like $node->{why}, qr/time|answer/i, "why: $node->{why}";
    my @states;
    for (1 .. 10) {
        push @states, nodes_of($front)->{$b}{state};
        sleep 0.3;
    }
    is_deeply [grep { $_ ne 'down' } @states], [],
        'the kernel takes its connections, and still it stays down';
    kill 'CONT', -$stores[1]{group};
    becomes($front, $b, 'up', 10);
}

# --- a reload with another list -----------------------------------------------

{
    my $c = Test::Spoor->new(conf => { workers => 1 })->start;
    my $name = '127.0.0.1:' . $c->port;
    my $since = nodes_of($front)->{$a}{since};
    $stores[1]->kill_all;
    becomes($front, $b, 'down');

    $front->write_conf(storage_nodes => [$a, $b, $name]);
    $front->signal('HUP');
    becomes($front, $name, 'up');
    ok wait_for(sub { @{cluster_of($front)->{nodes}} == 3 }, 10), 'three';
    is nodes_of($front)->{$a}{since}, $since, 'what was known stays known';
    is nodes_of($front)->{$b}{state}, 'down', 'also of the one that is down';

    $front->write_conf(storage_nodes => [$name]);
    $front->signal('HUP');
    ok wait_for(sub {
        my @names = map { $_->{name} } @{cluster_of($front)->{nodes}};
        return "@names" eq $name;
    }, 10), 'one';
    $stores[1]->start;
    $front->write_conf(storage_nodes => [$a, $b]);
    $front->signal('HUP');
    ok wait_for(sub { nodes_of($front)->{$b} }, 10), 'and back';
    becomes($front, $b, 'up', 10);
    $c->stop;
}

# --- a worker that is killed --------------------------------------------------

{
    my @workers = @{$front->pids->{worker}};
    my $since = nodes_of($front)->{$a}{since};
    kill 'KILL', @workers;
    ok wait_for(sub {
        my $now = nodes_of($front)->{$a};
        return $now && $now->{since} eq $since;
    }, 20), 'new workers know what the old ones knew';
}

# --- what answers, but not well -----------------------------------------------

# Answers everything with the status in the file.
sub answerer {
    my ($file) = @_;
    my $listen = IO::Socket::INET->new(Listen => 50, ReuseAddr => 1,
        LocalAddr => '127.0.0.1', LocalPort => 0) or die "listen: $!\n";
    my $parent = $$;
    my $pid = fork;

    die "fork: $!\n" unless defined $pid;
    return ($pid, $listen->sockport) if $pid;
    my $select = IO::Select->new($listen);
    while (getppid == $parent) {
        $select->can_read(1) or next;
        my $client = $listen->accept or next;
        sysread $client, my $head, 65536;
        my $status = slurp($file);
        print $client "HTTP/1.1 $status x\r\nContent-Length: 3\r\n",
            "Connection: close\r\n\r\nno\n";
        close $client;
    }
    POSIX::_exit(0);
}

{
    my $file = $front->dir . '/status';
    spew($file, '503');
    my ($pid, $port) = answerer($file);
    my $name = "127.0.0.1:$port";
    my $other = Test::Spoor->new(conf => { %limits,
        storage_nodes => [$name] })->start;

    my $node = becomes($other, $name, 'down');
    like $node->{why}, qr/503/, "503 of /health: $node->{why}";
    for my $status (403, 404, 401, 200) {
        spew($file, $status);
        becomes($other, $name, 'up');
        spew($file, '502');
        becomes($other, $name, 'down');
    }
    $other->stop;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

done_testing;
