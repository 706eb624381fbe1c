# SPDX-License-Identifier: BSD-2-Clause
#
# Inserts through a front: in every form and with all that a request can say
# they end up on the nodes as they would on one, each trace on one node.

use strict;
use warnings;

use JSON::PP ();
use Test::Delivery;
use Test::Http2;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $json = JSON::PP->new->utf8;
my %type = (pb => { otlp_type('pb') }, json => { otlp_type('json') });

my $grpc_port = free_port();
my ($front, @stores) = cluster(3,
    'otlp_grpc.listen' => "127.0.0.1:$grpc_port");

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
    my $conn = Test::Http2->connect($grpc_port);
    my @spans = traces(20, 3);
    my $message = otlp_pb(@spans);
    my $reply = $conn->post('/opentelemetry.proto.collector.trace.v1.'
        . 'TraceService/Export', pack('CN', 0, length $message) . $message,
        ['content-type' => 'application/grpc', te => 'trailers']);
    is $reply->{trailers}{'grpc-status'}, 0, 'gRPC: stored';
    push @all, @spans;
    is is_exact('forms', \@all, \@stores), 3, 'all nodes have some';
    is $front->metric('vt_rows_ingested_total'), 180, 'counted by the front';
    my $stored = 0;
    $stored += $_->metric('vt_rows_ingested_total{type="internalinsert"}')
        for @stores;
    is $stored, 180, 'and by the nodes';
    for my $server ($front, @stores) {
        is $server->stop, 0, 'stopped';
    }
    ($front, @stores) = cluster(3);
}

# --- what the request says ----------------------------------------------------

# Fields of a row come in any order.
sub sorted_rows {
    my $canonical = JSON::PP->new->utf8->canonical;

    return sort map { $canonical->encode($json->decode($_)) }
        map { split /\n/, $_ } @_;
}

# The same bodies to a node of its own give the same rows.
{
    my $single = Test::Spoor->new(conf => { workers => 1 })->start;
    my $query = '/select/logsql/query?query=' . uri('*');
    my %vt = ('VT-Extra-Fields' => 'zone=north,span_attr:tier=gold',
        'VT-Ignore-Fields' => 'span_attr:secret*',
        'VT-Decolorize-Fields' => 'name',
        'VT-Stream-Fields' => 'span_attr:shop');
    my $number = 0;

    for my $headers ({ AccountID => 7, ProjectID => 8 },
        { AccountID => 9, %vt }, { AccountID => 10 }) {
        $number++;
        my @spans = map { { %$_, name => "\e[1mred\e[0m",
            traceState => 'a=b', flags => 1, droppedAttributesCount => 3,
            attributes => attributes(shop => 'x', secret => 'y',
                n => { intValue => '5' }, deep => { kvlistValue =>
                    { values => attributes(a => 1) } }),
            events => [{ name => 'e', timeUnixNano => otlp_now(),
                attributes => attributes(k => 'v') }],
            links => [{ traceId => $_->{traceId}, spanId => $_->{spanId} }],
            status => { code => 2, message => 'bad' } } } traces(10, 2);
        my $body = traces_json(resource_spans('one', @spans[0 .. 9]),
            resource_spans(['service.name' => 'two', host => 'h'],
                { %{$spans[10]}, scope => { name => 's', version => '1',
                    attributes => attributes(in => 'scope') } },
                @spans[11 .. 19]));

        for my $server ($front, $single) {
            my $reply = $server->post('/v1/traces', $body,
                { otlp_type('json'), %$headers });
            is $reply->{status}, 200, "request $number: stored";
        }
        my %who = map { $_ => $headers->{$_} } grep { /ID$/ }
            keys %$headers;
        my @want = sorted_rows($single->get($query, \%who)->{body});
        my @got = sorted_rows(map { $_->get($query, \%who)->{body} }
            @stores);
        is scalar @want, 20, 'all rows on one node';
        is_deeply \@got, \@want, 'the same rows on three';
    }
    is $single->stop, 0, 'stopped';
}

# What nodes reject is added up, and told to who sends it again.
{
    my $old = '1000000000000000000';
    my @bad = map { { %$_, startTimeUnixNano => $old,
        endTimeUnixNano => $old } } traces(9, 1);
    my @good = traces(9, 1);
    my $body = otlp_json(map { ($bad[$_], $good[$_]) } 0 .. 8);
    my %answers;

    for (1 .. 6) {
        my $reply = $front->post('/v1/traces', $body, $type{json});
        $answers{"$reply->{status} $reply->{body}"} = 1;
    }
    is keys %answers, 1, 'all workers give one answer';
    like join(' ', keys %answers), qr/"rejectedSpans":"9"/,
        'the sum of what nodes rejected';
    like join(' ', keys %answers), qr/retention/, 'and why';
    is_exact('partial success', \@good, \@stores, of_these => 1);
    ok $front->metric('spoor_ingest_duplicate_requests_total') >= 5,
        'the same body again is known';
}

# --- what is no request of a front --------------------------------------------

{
    my $path = '/internal/insert';
    my $reply = $stores[0]->post("$path?version=spoor1", 'garbage');

    is $reply->{status}, 400, 'no parcel';
    $reply = $stores[0]->post($path, '');
    is $reply->{status}, 400, 'no version';
    $reply = $stores[0]->post("$path?version=spoor2", '');
    is $reply->{status}, 400, 'another version';
    like $reply->{body}, qr/speaks version spoor1.*the front speaks spoor2/,
        'names both';
    $reply = $stores[0]->post("$path?version=spoor1", '');
    is $reply->{status}, 200, 'nothing at all';
    is $reply->{body}, "spoor1\n", 'has an answer';
    is $stores[0]->get("$path?version=spoor1")->{status}, 405, 'only POST';
}

for my $server ($front, @stores) {
    is $server->stop, 0, 'stopped';
}
done_testing;
