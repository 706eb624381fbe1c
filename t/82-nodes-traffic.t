# SPDX-License-Identifier: BSD-2-Clause
#
# What a front counts of its storage nodes and knows of them when there is
# traffic: nodes that refuse spans, die, hang with spans in their hands, and
# workers of the front that die meanwhile.

use strict;
use warnings;

use JSON::PP;
use Test::Metrics;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8;
my $sent = 0;

sub nodes_of {
    my ($spoor) = @_;
    my $reply = $spoor->get('/internal/cluster');

    return {} unless $reply->{status} == 200;
    return { map { $_->{name} => $_ }
        @{$json->decode($reply->{body})->{nodes}} };
}

sub becomes {
    my ($spoor, $name, $what, $condition) = @_;
    my $last;

    my $done = wait_for(sub {
        $last = nodes_of($spoor)->{$name};
        return $last && $condition->($last);
    }, 40);
    ok $done, $what or diag explain $last;
    return $last;
}

# Some traces of one span each; the status of the answer.
sub insert {
    my ($spoor, $n) = @_;

    my $status = post_traces($spoor, resource_spans('s',
        map { otlp_span(name => 'n', traceId => join('', map {
            sprintf '%08x', 1 + int rand 0xfffffffe } 1 .. 4)) } 1 .. $n)
        )->{status};
    $sent += $n if $status == 200;
    return $status;
}

sub found {
    my ($spoor) = @_;
    my $reply = $spoor->get('/select/logsql/query?query='
        . uri('* | stats count() n'));

    return "$reply->{status}: $reply->{body}" if $reply->{status} != 200;
    return $json->decode($reply->{body})->{n};
}

sub metric {
    my ($spoor, $name, %labels) = @_;
    my ($samples) = read_metrics($spoor->get('/metrics')->{body});
    my ($one) = grep {
        my $sample = $_;
        $sample->{name} eq $name && !grep {
            ($sample->{labels}{$_} // '') ne $labels{$_} } keys %labels;
    } @$samples;

    return $one ? $one->{value} : undef;
}

my @stores = map { Test::Spoor->new(conf => { workers => 1 })->start } 1 .. 2;
my ($a, $b) = map { '127.0.0.1:' . $_->port } @stores;
my $front = Test::Spoor->new(conf => {
    'cluster.probe_interval' => '100ms', 'cluster.connect_timeout' => '1s',
    'cluster.insert_timeout' => '1s', workers => 2,
    storage_nodes => [$a, $b] })->start;

# --- counters -----------------------------------------------------------------

is insert($front, 50), 200, 'an insert' for 1 .. 4;
is found($front), $sent, 'all are found';
{
    my $nodes = nodes_of($front);
    my $rows = $nodes->{$a}{insert}{rows} + $nodes->{$b}{insert}{rows};
    is $rows, $sent, 'rows of all nodes together';
    for my $name ($a, $b) {
        my $node = $nodes->{$name};
        cmp_ok $node->{insert}{rows}, '>', $sent / 4, "$name has its share";
        for my $kind (qw(insert select)) {
            my $calls = $node->{$kind};
            cmp_ok $calls->{requests}, '>', 0, "$name: requests of $kind";
            cmp_ok $calls->{sent_bytes}, '>', 0, 'bytes to it';
            cmp_ok $calls->{received_bytes}, '>', 0, 'bytes from it';
            is_deeply [grep { $_ } values %{$calls->{errors}}], [], 'no error';
            ok $calls->{p50_ms} <= $calls->{p99_ms} && $calls->{mean_ms} > 0,
                'times';
            is metric($front, 'spoor_node_requests_total', addr => $name,
                type => $kind), $calls->{requests}, 'the metric says the same';
            ok defined metric($front, 'spoor_node_request_duration_seconds',
                addr => $name, type => $kind, quantile => '0.99'), 'p99';
        }
        is metric($front, 'spoor_node_rows_total', addr => $name,
            type => 'insert'), $node->{insert}{rows}, 'rows';
    }
    my $said = run_command([spoorctl_bin(), 'cluster', $front->url]);
    my $calls = qr/[1-9]\d* +0 +\S+ms +\S+ms/;
    like $said->{out}, qr/^\Q$a\E +up +\d+s +on +$calls +$calls -$/m,
        'and the table';
}

# --- a node that refuses spans ------------------------------------------------

{
    $stores[1]->write_conf('internal_insert.disable' => 'true');
    $stores[1]->restart;
    # It may be down for a moment; then it refuses.
    my $node = becomes($front, $b, 'a node that refuses spans gets none',
        sub {
            is insert($front, 20), 200, 'others take them' if $sent < 2000;
            return $_[0]{inserts}{state} eq 'off' && $_[0]{state} eq 'up';
        });
    like $node->{inserts}{why}, qr/40[34]|disabled/,
        "why: $node->{inserts}{why}";
    cmp_ok $node->{insert}{errors}{refused}, '>', 0, 'counted';
    is found($front), $sent, 'it is still asked by queries';
    is metric($front, 'spoor_node_is_up', addr => $b), 1, 'it is up';
    my $said = run_command([spoorctl_bin(), 'cluster', $front->url]);
    is $said->{status}, 1, 'spoorctl: something is wrong';
    like $said->{out}, qr/^\Q$b\E +up +\d+s +off /m, 'in the table';
    like $said->{out}, qr/^\Q$b\E takes no spans for \d+s: /m, 'and why';
    like $front->log, qr/storage node \Q$b\E takes no spans: /, 'in the log';

    $stores[1]->write_conf('internal_insert.disable' => 'false');
    $stores[1]->restart;
    becomes($front, $b, 'and again, when it takes them', sub {
        insert($front, 20);
        return $_[0]{inserts}{state} eq 'on' && $_[0]{state} eq 'up' &&
            $front->log =~ /storage node \Q$b\E takes spans again after/;
    });
}

# --- a node that refuses queries ----------------------------------------------

{
    $stores[1]->write_conf('internal_select.disable' => 'true');
    $stores[1]->restart;
    becomes($front, $b, 'a node that refuses queries', sub {
        found($front);
        return $_[0]{state} eq 'up' && $_[0]{refuses_queries};
    });
    is nodes_of($front)->{$b}{inserts}{state}, 'on', 'it still takes spans';
    my $said = run_command([spoorctl_bin(), 'cluster', $front->url]);
    is $said->{status}, 1, 'spoorctl: something is wrong';
    like $said->{out}, qr/^\Q$b\E refuses queries/m, 'and what';
    $stores[1]->write_conf('internal_select.disable' => 'false');
    $stores[1]->restart;
    becomes($front, $b, 'no more', sub {
        found($front);
        return $_[0]{state} eq 'up' && !$_[0]{refuses_queries};
    });
}

# --- a node that dies ---------------------------------------------------------

{
    $stores[1]->kill_all;
    my $begin = time;
    is insert($front, 40), 200, 'an insert when a node has just died';
    my $node = becomes($front, $b, 'it is known to be down',
        sub { $_[0]{state} eq 'down' });
    cmp_ok time - $begin, '<', 5, 'at once';
    cmp_ok $node->{insert}{errors}{unreachable}, '>', 0, 'counted';
    like found($front), qr/^502: .*\Q$b\E/s, 'a query says who is missing';
    $stores[1]->start;
    becomes($front, $b, 'and back', sub { $_[0]{state} eq 'up' });
    is found($front), $sent, 'nothing is missing';
}

# --- a node that hangs with spans in its hands --------------------------------

{
    kill 'STOP', -$stores[1]{group};
    my $until = time + 20;
    my $waits;
    # Until it has got some and did not answer.
    do {
        is insert($front, 40), 200, 'an insert while a node hangs';
        sleep 0.2;
        $waits = nodes_of($front)->{$b}{queue}{parcels};
    } while (!$waits && time < $until);
    my $node = becomes($front, $b, 'it is down', sub {
        $_[0]{state} eq 'down' && $_[0]{queue}{parcels} > 0 });
    cmp_ok $node->{insert}{errors}{slow}, '>', 0, 'since it was slow';
    cmp_ok $node->{queue}{bytes}, '>', 0, 'bytes wait for it';
    my $parcels = $node->{queue}{parcels};
    is metric($front, 'spoor_node_queue_parcels', addr => $b), $parcels,
        'the metric says the same';

    kill 'KILL', @{$front->pids->{worker}};
    sleep 1;
    ok wait_for(sub { $front->get('/health')->{status} == 200 }, 20),
        'new workers';
    becomes($front, $b, "$parcels parcels still wait, none counted twice",
        sub { $_[0]{queue}{parcels} == $parcels });
    sleep 1.5;
    is nodes_of($front)->{$b}{queue}{parcels}, $parcels, 'and later';

    kill 'CONT', -$stores[1]{group};
    becomes($front, $b, 'when it goes on, nothing waits',
        sub { $_[0]{state} eq 'up' && $_[0]{queue}{parcels} == 0 &&
            $_[0]{queue}{bytes} == 0 });
    is found($front), $sent, 'every span is there once';
}

done_testing;
