# SPDX-License-Identifier: BSD-2-Clause
#
# /metrics, read; and a little of everything for a server to count.

package Test::Metrics;

use strict;
use warnings;

use Exporter qw(import);
use Test::Otlp;
use Test::Traces;

our @EXPORT = qw(read_metrics find_samples give_load metric_names);

# ([{name, labels => {}, value}], {name => type}).
sub read_metrics {
    my ($text) = @_;
    my (@samples, %types);

    for my $line (split /\n/, $text) {
        if ($line =~ /^# TYPE (\w+) (\w+)/) {
            $types{$1} = $2;
            next;
        }
        next unless $line =~ /^(\w+)(?:\{(.*)\})? (\S+)$/;
        my ($name, $rest, $value, %labels) = ($1, $2, $3);
        if (defined $rest) {
            while ($rest =~ /(\w+)="((?:[^"\\]|\\.)*)"/g) {
                my ($label, $text) = ($1, $2);
                $text =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge;
                $labels{$label} = $text;
            }
        }
        push @samples,
            { name => $name, labels => \%labels, value => $value };
    }
    return (\@samples, \%types);
}

# Those of the name that have the labels: "a b=PATTERN".
sub find_samples {
    my ($samples, $name, $labels) = @_;
    my @found = grep { $_->{name} eq $name } @$samples;

    for my $want (split ' ', $labels) {
        my ($label, $pattern) = split /=/, $want, 2;
        @found = grep { defined $_->{labels}{$label} &&
            (!defined $pattern || $_->{labels}{$label} =~ /^(?:$pattern)$/) }
            @found;
    }
    return @found;
}

# Inserts in each form, queries, errors.
sub give_load {
    my ($spoor) = @_;

    for my $service (qw(a b)) {
        for my $n (1 .. 4) {
            post_traces($spoor, resource_spans($service,
                map { otlp_span(name => $_) } qw(x y z)));
        }
    }
    # More than 64 KiB, so that a thread decodes it; none is stored.
    post_traces($spoor, resource_spans('a', map { otlp_span(
        traceId => '0' x 32, name => 'n' x 1000) } 1 .. 100));
    $spoor->post('/insert/opentelemetry/v1/traces', 'x',
        { 'Content-Type' => 'application/x-protobuf' });
    $spoor->get('/select/jaeger/api/services');
    $spoor->get('/select/jaeger/api/traces?service=a');
    for (1 .. 3) {
        $spoor->get('/select/logsql/query?query=*');
        $spoor->get('/select/logsql/stats_query?query='
            . uri('* | stats count() n'));
    }
    $spoor->get('/select/logsql/query?query=' . uri('((('));
    $spoor->get('/nothing');
    $spoor->get('/metrics');
    return;
}

# Names of metrics in a PromQL expression.
sub metric_names {
    my ($expr) = @_;
    my %names;

    $expr =~ s/"(?:[^"\\]|\\.)*"//g;
    $expr =~ s/\{[^}]*\}//g;
    $names{$1} = 1
        while $expr =~ /\b((?:vt|vm|spoor|process)_\w+|flag|up)\b/g;
    return sort keys %names;
}

1;
