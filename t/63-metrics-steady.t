# SPDX-License-Identifier: BSD-2-Clause
#
# No counter ever goes backwards while the master lives: over reloads, killed
# workers, merge and retention processes.  Gauges of the dead are gone.

use strict;
use warnings;

use Test::More;
use Test::Metrics;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $spoor = Test::Spoor->new(conf => { 'metrics.expose_metadata' => 'true' });
$spoor->start;

# name{labels} => value of all that may only grow.
sub counters {
    my ($samples, $types) = read_metrics($spoor->get('/metrics')->{body});
    my %value;

    for my $sample (@$samples) {
        my ($name, $labels) = @$sample{qw(name labels)};
        (my $base = $name) =~ s/_(?:bucket|sum|count)$//;
        my $type = $types->{$name} || $types->{$base} || '';
        next unless $type eq 'counter' || $type eq 'histogram'
            || $type eq 'summary' && !defined $labels->{quantile};
        $value{"$name\{" . join(',', map { "$_=$labels->{$_}" }
            sort keys %$labels) . '}'} = $sample->{value};
    }
    return \%value;
}

my $last = counters();

sub only_grew {
    my ($when) = @_;
    my $now = counters();
    my @fell = grep { !defined $now->{$_} || $now->{$_} < $last->{$_} }
        sort keys %$last;

    ok !@fell, "$when: nothing fell of " . keys %$now
        or diag(map { "$_: $last->{$_}, "
            . (defined $now->{$_} ? $now->{$_} : 'gone') . "\n" } @fell);
    $last = $now;
    return;
}

# More than the ticks in which processes measure themselves.
sub watch {
    my ($when) = @_;

    for (1 .. 4) {
        give_load($spoor);
        only_grew($when);
        select undef, undef, undef, 0.4;
    }
    return;
}

watch('at work');
my $cpu = $last->{'process_cpu_seconds_total{}'};
cmp_ok $cpu, '>', 0, 'CPU time';
flush($spoor);

for my $role (qw(worker merge retention)) {
    my $pids = $spoor->pids;
    my @idle = map { $spoor->connect } 1 .. 3; # open until the end

    wait_for(sub { $spoor->metric('spoor_http_connections') >= 3 }, 5);
    $spoor->signal('KILL', @{$pids->{$role}});
    ok $spoor->wait_log(qr/$role.*killed by signal|$role.*signal 9/i, 10),
        "$role was killed";
    ok wait_for(sub {
        my $now = $spoor->pids->{$role} || [];
        return @$now == @{$pids->{$role}}
            && !grep { my $pid = $_; grep { $_ == $pid } @$now }
                @{$pids->{$role}};
    }, 15), 'and started again';
    watch("$role killed");
    if ($role eq 'worker') {
        cmp_ok $spoor->metric('spoor_http_connections'), '<=', 2,
            'connections of the dead are not counted';
        cmp_ok $spoor->metric('vm_tcplistener_conns'), '<=', 2,
            'nor those of their listeners';
    }
    is $spoor->metric("spoor_processes{role=\"$role\"}"),
        scalar @{$pids->{$role}}, 'as many processes as before';
}
is $spoor->metric('spoor_worker_restarts_total{role="worker"}'), 2,
    'restarts are counted';
cmp_ok $last->{'process_cpu_seconds_total{}'}, '>', $cpu, 'more CPU time';
is $spoor->metric('vm_concurrent_insert_current'), 0, 'no insert';
is $spoor->metric('vt_concurrent_select_current'), 0, 'no query';

for my $n (1 .. 2) {
    my $before = $last->{'spoor_reloads_total{}'};

    $spoor->signal('HUP');
    for (1 .. 10) {
        give_load($spoor);
        only_grew("reload $n");
    }
    ok wait_for(sub { counters()->{'spoor_reloads_total{}'} > $before }, 20),
        'reloaded';
    watch("reload $n is done");
}
is $last->{'vt_streams_created_total{}'}, 6, 'streams are remembered';
my $sum = 0;
$sum += $last->{$_} for grep { /^vt_http_requests_total\{/ } keys %$last;
is $last->{'vm_http_requests_all_total{}'}, $sum,
    'requests of all endpoints are all requests';

done_testing;
