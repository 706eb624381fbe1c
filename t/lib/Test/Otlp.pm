# SPDX-License-Identifier: BSD-2-Clause
#
# OTLP requests for black-box tests, protobuf made by hand.
#
#     my $body = otlp_json(otlp_span(name => 'a'));
#     my $body = otlp_pb(otlp_span(name => 'a'));
#     $spoor->post('/v1/traces', $body, { otlp_type('pb') });

package Test::Otlp;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Time::HiRes qw(time);

our @EXPORT = qw(otlp_span otlp_json otlp_pb otlp_type pb_field pb_varint
    otlp_now);

my $count = 0;

# Nanoseconds now, as text.
sub otlp_now { return sprintf('%.0f', time() * 1e6) . '000' }

sub otlp_type {
    my ($form, $encoding) = @_;

    my %headers = ('Content-Type' => $form eq 'json' ? 'application/json'
        : 'application/x-protobuf');
    $headers{'Content-Encoding'} = $encoding if defined $encoding;
    return %headers;
}

# A span with ids of its own that ended now; anything may be given.
sub otlp_span {
    my (%span) = @_;

    $count++;
    return {
        traceId => sprintf('%08x%08x%08x%08x', $$, $count, int(time()), 7),
        spanId => sprintf('%08x%08x', $$, $count),
        name => 'span',
        kind => 2,
        startTimeUnixNano => otlp_now(),
        endTimeUnixNano => otlp_now(),
        %span,
    };
}

sub _attributes {
    return [ { key => 'service.name', value => { stringValue => 'test' } } ];
}

sub otlp_json {
    my (@spans) = @_;

    return JSON::PP->new->utf8->canonical->encode({ resourceSpans => [{
        resource => { attributes => _attributes() },
        scopeSpans => [{ scope => { name => 'scope' }, spans => \@spans }],
    }] });
}

sub pb_varint {
    my ($n) = @_;
    my $bytes = '';

    while ($n > 127) {
        $bytes .= chr(128 | $n % 128);
        $n = int($n / 128);
    }
    return $bytes . chr($n);
}

# A length-delimited field.
sub pb_field {
    my ($field, $bytes) = @_;

    return pb_varint($field * 8 + 2) . pb_varint(length $bytes) . $bytes;
}

sub _pb_span {
    my ($span) = @_;

    return pb_field(1, pack('H*', $span->{traceId}))
        . pb_field(2, pack('H*', $span->{spanId}))
        . pb_field(5, $span->{name})
        . pb_varint(6 * 8) . pb_varint($span->{kind})
        . pb_varint(7 * 8 + 1) . pack('Q<', $span->{startTimeUnixNano})
        . pb_varint(8 * 8 + 1) . pack('Q<', $span->{endTimeUnixNano});
}

sub otlp_pb {
    my (@spans) = @_;

    my $service = pb_field(1, 'service.name')
        . pb_field(2, pb_field(1, 'test'));
    return pb_field(1, pb_field(1, pb_field(1, $service))
        . pb_field(2, pb_field(1, pb_field(1, 'scope'))
            . join('', map { pb_field(2, _pb_span($_)) } @spans)));
}

1;
