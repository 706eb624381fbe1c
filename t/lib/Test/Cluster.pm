# SPDX-License-Identifier: BSD-2-Clause
#
# A cluster for a black-box test: storage nodes, and fronts in one or two
# levels before them.
#
#     my $cluster = Test::Cluster->new(stores => 3, levels => 2)->start;
#     $cluster->front->post('/v1/traces', ...);
#     $cluster->flush;            # all stores: memory to parts
#     $cluster->stop;
#
# Two levels: a front whose nodes are two fronts, which share the stores out
# among them; one store more than one is the last's.  Servers are Test::Spoor's,
# which checks their logs and stops what still runs.

package Test::Cluster;

use strict;
use warnings;

use Test::Spoor;
use Test::Traces ();

# What is waited for when something is down; a busy machine answers late.
my %quick = ('cluster.probe_interval' => '200ms',
    'cluster.connect_timeout' => '5s');

# stores (3), levels (1), store_conf and front_conf: hashes of directives.
sub new {
    my ($class, %option) = @_;

    return bless {
        nstores => $option{stores} || 3,
        levels => $option{levels} || 1,
        store_conf => { workers => 1, %{$option{store_conf} || {}} },
        front_conf => { workers => 1, %quick, %{$option{front_conf} || {}} },
        stores => [],
        fronts => [],
    }, $class;
}

sub names_of {
    return map { '127.0.0.1:' . $_->port } @_;
}

sub add_front {
    my ($self, @nodes) = @_;
    my $front = Test::Spoor->new(conf => { %{$self->{front_conf}},
        storage_nodes => [names_of(@nodes)] })->start;

    push @{$self->{fronts}}, $front;
    return $front;
}

sub start {
    my ($self) = @_;

    push @{$self->{stores}}, map {
        Test::Spoor->new(conf => $self->{store_conf})->start
    } 1 .. $self->{nstores};
    my @nodes = $self->stores;
    if ($self->{levels} > 1) {
        my $half = int(@nodes / 2);
        my @second = splice @nodes, $half ? $half : 1;
        @nodes = map { $self->add_front(@$_) }
            grep { @$_ } \@nodes, \@second;
    }
    $self->{top} = $self->add_front(@nodes);
    return $self;
}

# The one that clients talk to.
sub front { return $_[0]{top} }
sub stores { return @{$_[0]{stores}} }
sub fronts { return @{$_[0]{fronts}} }

# Of all stores; false when one fails.
sub flush { return !grep { !Test::Traces::flush($_) } $_[0]->stores }
sub merge { return !grep { !Test::Traces::merge($_) } $_[0]->stores }

# Spans that each store has.
sub spans {
    return map {
        my $reply = $_->get('/select/logsql/stats_query?query='
            . Test::Traces::uri('* | count() n') . '&time=' . time());
        $reply->{body} =~ /"value":\[[^,\]]*,"(\d+)"\]/ ? $1 : 0;
    } $_[0]->stores;
}

# The fronts first: what they hold goes to the stores.
sub stop {
    my ($self) = @_;

    $_->stop for reverse($self->fronts), $self->stores;
    return;
}

1;
