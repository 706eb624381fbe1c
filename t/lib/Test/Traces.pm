# SPDX-License-Identifier: BSD-2-Clause
#
# Traces for tests that store them and read them back through the Jaeger API.
#
#     post_traces($spoor, resource_spans('shop', otlp_span(name => 'a')));
#     my $trace = jaeger_trace($spoor, $id);
#     in_all_states($spoor, sub { my ($where) = @_; ... });

package Test::Traces;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Test::More ();
use Test::Otlp;
use Test::Spoor qw(wait_for);

our @EXPORT = qw(attributes resource_spans traces_json post_traces
    jaeger_trace jaeger_names tags json_text uri flush in_all_states
    find_traces is_stored_once);
our @EXPORT_OK = qw(merge);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# Canonical JSON of anything: numbers and strings differ.
sub json_text { return $json->encode($_[0]) }

# Percent-encodes every byte but letters and digits; text is encoded as UTF-8.
sub uri {
    my ($text) = @_;

    utf8::encode($text) if utf8::is_utf8($text);
    $text =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

# attributes(key => value ...): plain values are strings, hashes are OTLP
# values as they are ({ intValue => '5' }).
sub attributes {
    my (@pairs) = @_;
    my @list;

    while (my ($key, $value) = splice @pairs, 0, 2) {
        $value = { stringValue => "$value" } unless ref $value;
        push @list, { key => $key, value => $value };
    }
    return \@list;
}

# resource_spans(service or [attributes ...], spans): one ResourceSpans.  A
# span may bring a scope, which is then the scope of all.
sub resource_spans {
    my ($resource, @spans) = @_;
    my ($scope) = map { delete $_->{scope} } grep { $_->{scope} } @spans;

    $resource = ['service.name' => $resource] unless ref $resource;
    return {
        resource => { attributes => attributes(@$resource) },
        scopeSpans => [{ scope => $scope || {}, spans => \@spans }],
    };
}

sub traces_json { return $json->encode({ resourceSpans => [@_] }) }

# Sends them as JSON; the reply.
sub post_traces {
    my ($spoor, @resource_spans) = @_;
    my %headers = ref $resource_spans[-1] eq 'ARRAY'
        ? @{pop @resource_spans} : ();

    return $spoor->post('/v1/traces', traces_json(@resource_spans),
        { otlp_type('json'), %headers });
}

# A trace by id, undef when there is none.
sub jaeger_trace {
    my ($spoor, $id, $headers) = @_;
    my $answer = $spoor->get_json("/select/jaeger/api/traces/$id", $headers);

    return $answer && $answer->{data} ? $answer->{data}[0] : undef;
}

# Services, or the operations of one, as a list.
sub jaeger_names {
    my ($spoor, $service, $headers) = @_;
    my $path = '/select/jaeger/api/services';

    $path .= '/' . uri($service) . '/operations' if defined $service;
    my $answer = $spoor->get_json($path, $headers);
    return $answer && $answer->{data} ? @{$answer->{data}} : ();
}

# find_traces($spoor, service => 'a', limit => 5): the ids found, in order.
sub find_traces {
    my ($spoor, %arg) = @_;
    my $query = join '&', map { "$_=" . uri($arg{$_}) } sort keys %arg;
    my $answer = $spoor->get_json("/select/jaeger/api/traces?$query");

    return map { $_->{traceID} } @{$answer->{data} || []};
}

# A list of tags as a hash from key to [type, value].
sub tags {
    my ($list) = @_;

    return { map { $_->{key} => [$_->{type}, $_->{value}] } @$list };
}

# How often each span id of a trace comes: a test that all are there once.
sub is_stored_once {
    my ($spoor, $id, $spans, $name) = @_;
    my $trace = jaeger_trace($spoor, $id);
    my %seen;

    $seen{$_->{spanID}}++ for @{$trace ? $trace->{spans} : []};
    my $all = 0;
    $all += $_ for values %seen;
    return Test::More::is("$all of " . keys %seen, "$spans of $spans", $name);
}

sub flush {
    my ($spoor) = @_;

    return $spoor->post('/internal/force_flush', '')->{status} == 200;
}

# Until no part of level 1 is left.
sub merge {
    my ($spoor) = @_;

    return $spoor->post('/internal/force_merge', '')->{status} == 200 &&
        wait_for(sub {
            return $spoor->metric('vt_active_force_merges') == 0 &&
                $spoor->metric('vt_active_merges') == 0 &&
                $spoor->metric('vt_storage_parts{type="storage/small"}') == 0;
        }, 60);
}

# Runs the checks from memory, from parts, after a restart and after a crash.
sub in_all_states {
    my ($spoor, $checks) = @_;

    $checks->('memory');
    Test::More::ok(flush($spoor), 'flushed');
    $checks->('parts');
    Test::More::is($spoor->stop, 0, 'stopped');
    $spoor->start;
    $checks->('restart');
    $spoor->kill_all;
    $spoor->start;
    $checks->('after kill -9');
    return;
}

1;
