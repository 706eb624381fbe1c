# SPDX-License-Identifier: BSD-2-Clause
#
# Calls between services: asked of memory, of parts, and after a restart.

use strict;
use warnings;

use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time);

my $path = '/select/jaeger/api/dependencies';
my $spoor = Test::Spoor->new;
$spoor->start;

my $now_ms = int(time() * 1e3);
my $n = 0;

# A span that ended $ago seconds before now.
sub at {
    my ($ago, %span) = @_;
    my $end = ($now_ms - $ago * 1000) . '000000';

    return otlp_span(startTimeUnixNano => $end, endTimeUnixNano => $end,
        %span);
}

# A trace: web calls cart, which calls db twice and itself once.
sub send_trace {
    my ($ago, @headers) = @_;
    my $trace = sprintf '%032x', ++$n;
    my $id = sub { return sprintf '%08x%08x', $n, $_[0] };

    is post_traces($spoor,
        resource_spans('web', at($ago, traceId => $trace,
            spanId => $id->(1))),
        resource_spans('cart',
            at($ago, traceId => $trace, spanId => $id->(2),
                parentSpanId => $id->(1)),
            at($ago, traceId => $trace, spanId => $id->(3),
                parentSpanId => $id->(2))),
        resource_spans('db',
            map { at($ago, traceId => $trace, spanId => $id->($_),
                parentSpanId => $id->(3)) } 4, 5),
        @headers)->{status}, 200, "trace $n";
    return;
}

sub calls {
    my ($args, $headers) = @_;
    my $reply = $spoor->get($path . ($args || ''), $headers);

    is $reply->{status}, 200, 'status of ' . ($args || 'no arguments');
    return join ', ', map { "$_->{parent} $_->{child} $_->{callCount}" }
        @{JSON::PP->new->utf8->decode($reply->{body})->{data}};
}

is calls(), '', 'no calls';
send_trace($_) for 10, 20, 5000;
send_trace(30, [AccountID => 7]);

in_all_states($spoor, sub {
    my ($where) = @_;

    is calls(), 'cart db 6, web cart 3', "$where: the last day";
    is calls('?lookback=3600000'), 'cart db 4, web cart 2',
        "$where: an hour";
    is calls('?lookback=1h'), 'cart db 4, web cart 2', "$where: 1h";
    is calls("?lookback=15000&endTs=$now_ms"), 'cart db 2, web cart 1',
        "$where: fifteen seconds";
    is calls('?endTs=' . ($now_ms - 15000)), 'cart db 4, web cart 2',
        "$where: until then";
    is calls('?service=web'), 'web cart 3', "$where: of one service";
    is calls('', { AccountID => 7 }), 'cart db 2, web cart 1',
        "$where: another tenant";
    is calls('', { AccountID => 8 }), '', "$where: a tenant without rows";
});

for my $bad ('endTs=x', 'endTs=99999999999999999999', 'lookback=-1',
    'lookback=x') {
    is $spoor->get("$path?$bad")->{status}, 400, $bad;
}

done_testing;
