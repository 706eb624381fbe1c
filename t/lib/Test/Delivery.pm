# SPDX-License-Identifier: BSD-2-Clause
#
# A front with storage nodes, and whether what was answered 200 is on them:
#
#     my ($front, @stores) = cluster(3, 'cluster.insert_timeout' => '1s');
#     my @spans = send_all($front, 'all are up');
#     is_exact('all are up', \@spans, \@stores);

package Test::Delivery;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time);

our @EXPORT = qw(cluster traces rows is_exact wait_exact send_all
    set_faults);

my $json = JSON::PP->new->utf8;

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

# Spans of so many new traces.
sub traces {
    my ($traces, $spans) = @_;

    return map { my $first = otlp_span(); map {
        otlp_span(traceId => $first->{traceId}) } 1 .. $spans } 1 .. $traces;
}

# Until all are there.
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

# The front first, then its n nodes.
sub cluster {
    my ($n, %conf) = @_;
    my @stores = map { Test::Spoor->new(conf => { workers => 1 })->start }
        1 .. $n;
    my $front = Test::Spoor->new(conf => { %fast, workers => 2, %conf,
        storage_nodes => [map { '127.0.0.1:' . $_->port } @stores] })->start;
    return ($front, @stores);
}

# Sends n requests, all of which must be stored; their spans.
sub send_all {
    my ($server, $name, $n) = @_;
    my (@all, $slow);

    for (1 .. $n || 10) {
        my @spans = traces(6, 2);
        my $start = time();
        my $reply = $server->post('/v1/traces', otlp_pb(@spans), { otlp_type('pb') });
        $slow = time() - $start if !$slow || time() - $start > $slow;
        if ($reply->{status} != 200) {
            is $reply->{status}, 200, "$name: stored" or diag $reply->{body};
            return;
        }
        push @all, @spans;
    }
    pass "$name: all stored";
    diag sprintf '%s: the slowest took %.2f s', $name, $slow;
    return @all;
}

# Fault points of a server that has SPOOR_FAULT_FILE.
sub set_faults {
    my ($file, $text) = @_;

    open my $out, '>', "$file.new" or die "$file: $!\n";
    print $out "$text\n";
    close $out;
    rename "$file.new", $file or die "$file: $!\n";
    select undef, undef, undef, 0.05;
    return;
}

1;
