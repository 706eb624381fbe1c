# SPDX-License-Identifier: BSD-2-Clause
#
# Inserts through a front: what was answered 200 is on the nodes, each span
# once and each trace on one node, whatever happens to nodes and to the front.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8;
my @headers = (pb => { otlp_type('pb') }, json => { otlp_type('json') });
my %type = @headers;

# Rows of a node as [trace, span], of a tenant.
sub rows {
    my ($store, $headers) = @_;
    my $reply = $store->get('/select/logsql/query?query='
        . uri('* | fields trace_id, span_id'), $headers, 60);

    return map { [@$_{qw(trace_id span_id)}] }
        map { $json->decode($_) } split /\n/, $reply->{body};
}

# All rows are there once, and each trace is on one node (unless spread).
sub is_exact {
    my ($name, $spans, $stores, %option) = @_;
    my (%count, %home, %wanted);

    $wanted{$_->{spanId}} = 1 for @$spans;
    for my $i (0 .. $#$stores) {
        for (rows($stores->[$i], $option{headers})) {
            my ($trace, $span) = @$_;
            next unless $wanted{$span} || !$option{of_these};
            $count{$span}++;
            $home{$trace}{$i} = 1;
        }
    }
    my $lost = grep { !$count{$_} } keys %wanted;
    my $double = grep { $count{$_} > 1 } keys %count;
    my $spread = grep { keys %$_ > 1 } values %home;
    is "$lost lost, $double twice", '0 lost, 0 twice', "$name: exactly once"
        or return;
    is $spread, 0, "$name: each trace is on one node" unless $option{spread};
    my %nodes = map { (keys %$_) => 1 } values %home;
    return scalar keys %nodes;
}

sub traces {
    my ($traces, $spans) = @_;

    return map { my $first = otlp_span(); map {
        otlp_span(traceId => $first->{traceId}) } 1 .. $spans } 1 .. $traces;
}

sub wait_exact {
    my ($spans, $stores, $seconds) = @_;

    return wait_for(sub {
        my %seen;
        $seen{$_->[1]} = 1 for map { rows($_) } @$stores;
        return !grep { !$seen{$_->{spanId}} } @$spans;
    }, $seconds || 30);
}

my %fast = ('cluster.probe_interval' => '100ms',
    'cluster.connect_timeout' => '500ms', 'cluster.insert_timeout' => '3s');

sub cluster {
    my ($n, %conf) = @_;
    my @stores = map { Test::Spoor->new(conf => { workers => 1 })->start }
        1 .. $n;
    my $front = Test::Spoor->new(conf => { %fast, workers => 2, %conf,
        storage_nodes => [map { '127.0.0.1:' . $_->port } @stores] })->start;
    return ($front, @stores);
}

my ($front, @stores) = cluster(3);

# --- forms --------------------------------------------------------------------

{
    my @all;

    for my $form ('pb', 'json') {
        my @spans = traces(20, 3);
        my $body = $form eq 'pb' ? otlp_pb(@spans) : otlp_json(@spans);
        my $reply = $front->post('/v1/traces', $body, $type{$form});
        is $reply->{status}, 200, "$form: stored" or diag $reply->{body};
        push @all, @spans;
    }
    is is_exact('forms', \@all, \@stores), 3, 'all nodes have some';
    is $front->metric('vt_rows_ingested_total'), 120, 'counted by the front';
    my $stored = 0;
    $stored += $_->metric('vt_rows_ingested_total{type="internalinsert"}')
        for @stores;
    is $stored, 120, 'and by the nodes';
}

for my $server ($front, @stores) {
    is $server->stop, 0, 'stopped';
}
done_testing;
