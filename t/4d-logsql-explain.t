# SPDX-License-Identifier: BSD-2-Clause
#
# explain=1: the plan of a query and what it has cost; the log of slow ones.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time);

my $json = JSON::PP->new->utf8;
my $spoor = Test::Spoor->new(conf =>
    { 'search.log_slow_query_duration' => '1ns' });

$spoor->start;

sub plan_of {
    my ($path, %arg) = @_;
    my $reply = $spoor->get("/select/logsql/$path?explain=1&" . join '&',
        map { "$_=" . uri($arg{$_}) } sort keys %arg);

    is $reply->{status}, 200, "$path $arg{query}" or diag $reply->{body};
    is $reply->{headers}{'content-type'}, 'application/json', 'type';
    return $json->decode($reply->{body});
}

post_traces($spoor, resource_spans('cart',
    map { otlp_span(name => "span $_", kind => 1 + $_ % 2) } 1 .. 100));
post_traces($spoor, resource_spans('pay', otlp_span(name => 'charge', kind => 1)));

for my $where ('memory', 'parts') {
    my $got = plan_of('query', query => 'kind:=2 | fields name | '
        . 'sort by (name) | limit 5');

    like $got->{query}, qr/^kind:=2 \| fields name \| sort by \(name\)/,
        "$where: the query";
    is $got->{parts} > 0, $where eq 'parts', "$where: parts";
    cmp_ok $got->{blocks}{read}, '>', 0, "$where: blocks read";
    is $got->{blocks}{all}, $got->{blocks}{read} +
        $got->{blocks}{skipped_by_time} + $got->{blocks}{skipped_by_filter} +
        $got->{blocks}{answered_by_index}, "$where: every block is told";
    is $got->{rows_found}, 50, "$where: rows that pass";
    cmp_ok $got->{rows_read}, '>=', 100, "$where: rows read";
    cmp_ok $got->{bytes_read}, '>', 0, "$where: bytes"
        if $where eq 'parts';
    is $got->{stages}[0]{rows}, 50, "$where: rows of the first stage";
    is $got->{stages}[0]{pipe}, 'fields name', "$where: its pipe";
    is $got->{stages}[-1]{pipe}, 'answer', "$where: the last stage";
    is $got->{stages}[-1]{rows}, 5, "$where: rows of the answer";

    $got = plan_of('query', query => 'trace_id:=0102030405060708090a0b0c0d0e0f'
        . '10 "resource_attr:service.name":=cart | count()');
    is $got->{rows_found}, 0, "$where: nothing found";
    my $skipped = 0;
    for my $filter (@{$got->{skipping_filters}}) {
        like $filter->{filter}, qr/^(trace_id:=0102030405060708090a0b0c0d0e0f10
            |"resource_attr:service.name":=cart)$/x,
            "$where: a filter that skips blocks";
        $skipped += $filter->{blocks};
    }
    is $skipped, $got->{blocks}{skipped_by_filter}, "$where: all are told";

    $got = plan_of('hits', query => '*', step => '1h');
    like $got->{stages}[0]{pipe}, qr/^stats by \(_time:/, "$where: hits";
    $got = plan_of('stats_query', query => '* | count() n', time => time());
    like $got->{stages}[0]{pipe}, qr/count/, "$where: stats_query";
    $got = plan_of('query', query => 'trace_id:in(name:="span 3" | '
        . 'fields trace_id) | count() n');
    like $got->{query}, qr/^trace_id:in\(/, "$where: a query inside";
    plan_of('field_names', query => '*');
    plan_of('facets', query => '*');
    ok flush($spoor), 'flushed' if $where eq 'memory';
}

# Filters that the pipe makes are gone when the plan is printed: blocks that
# they skip, between two windows, are counted only.
for my $ago (3000, 2000, 1000) {
    my $time = int((time() - $ago) * 1e6) . '000';

    post_traces($spoor, resource_spans('ctx', otlp_span(kind => 1,
        name => $ago == 2000 ? 'between' : 'hit', startTimeUnixNano => $time,
        endTimeUnixNano => $time)));
    ok flush($spoor), 'a part';
}
my $context = plan_of('query',
    query => 'name:=hit | stream_context before 1 time_window 1s');
cmp_ok $context->{blocks}{skipped_by_filter}, '>', 0, 'blocks skipped';
is_deeply [grep { !/^name:=hit$/ } map { $_->{filter} }
    @{$context->{skipping_filters}}], [], 'by a filter of the query, as told';
is $spoor->get('/select/logsql/query?query=*&explain=x')->{status}, 400,
    'a bad explain';
like $spoor->log, qr/slow query of tenant 0:0: \d+ ms, CPU \d+ ms, .*kind:=2/,
    'the slow query log';
cmp_ok $spoor->metric('vt_slow_queries_total'), '>', 3, 'slow queries counted';
$spoor->stop;
done_testing;
