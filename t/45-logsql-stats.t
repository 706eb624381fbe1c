# SPDX-License-Identifier: BSD-2-Clause
#
# Stats functions and the pipes that count, rank and sum up, from memory and
# from parts; each query twice, as what is known of parts is kept.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time);

my $spoor = Test::Spoor->new;
my $json = JSON::PP->new->utf8->canonical;
my $now_us = int(time() * 1e6) - 60_000_000;

$spoor->start;

sub at {
    my ($ago, $ms, %span) = @_;
    my $start = $now_us - $ago * 1_000_000;

    return otlp_span(startTimeUnixNano => "${start}000",
        endTimeUnixNano => ($start + $ms * 1000) . '000', %span);
}

# The rows of an answer as lines of JSON.
sub ask {
    my ($query) = @_;
    my $reply = $spoor->get('/select/logsql/query?query=' . uri($query));

    is $reply->{status}, 200, $query or diag $reply->{body};
    return join "\n", map { $json->encode($json->decode($_)) }
        split /\n/, $reply->{body};
}

sub gives {
    my ($where, $query, @want) = @_;

    @want = map { $json->encode($_) } @want;
    is ask($query), join("\n", @want), "$where: $query" for 1 .. 2;
}

# Rows in any order.
sub gives_all {
    my ($where, $query, @want) = @_;

    for (1 .. 2) {
        is_deeply [sort split /\n/, ask($query)],
            [sort map { $json->encode($_) } @want], "$where: $query";
    }
}

post_traces($spoor,
    resource_spans('cart',
        at(10, 5, name => 'GET /cart', kind => 2, attributes => attributes(
            user => 'ann', n => { intValue => '7' })),
        at(9, 50, name => 'GET /cart', kind => 2, attributes => attributes(
            user => "b'<b>", n => { intValue => '70' })),
        at(8, 500, name => 'SET', kind => 3)),
    resource_spans('pay',
        at(7, 1500, name => 'charge', kind => 1, attributes =>
            attributes(user => 'ann', took => '1.5s'))));
# Its rows are in the same blocks.
post_traces($spoor, resource_spans('x', at(7, 1, name => 'other', attributes =>
    attributes(other_tenant => 'x'))), [AccountID => 7]);

in_all_states($spoor, sub {
    my ($where) = @_;

    gives($where, '* | stats count_empty(span_attr:n) a, sum_len(name) b, '
        . 'count_uniq_hash(span_attr:user) c, rate_sum(span_attr:n) d, '
        . 'rate() e, stddev(kind) if (kind:=2) f', { a => '2', b => '27',
        c => '2', d => '77', e => '4', f => '0' });
    gives($where, '* | stats histogram(span_attr:n) h, '
        . 'histogram(span_attr:took) t', { h =>
        '[{"vmrange":"6.813e+00...7.743e+00","hits":1},'
        . '{"vmrange":"6.813e+01...7.743e+01","hits":1}]',
        t => '[{"vmrange":"1.468e+09...1.668e+09","hits":1}]' });
    gives($where, '* | sort by (_time) | stats by (name) '
        . 'values(span_attr:user) v | sort by (name)',
        { name => 'GET /cart', v => '["ann","b\u0027\u003cb>"]' },
        { name => 'SET', v => '[""]' }, { name => 'charge', v => '["ann"]' });
    gives($where, '* | stats row_max(duration, name, span_attr:took) m, '
        . 'row_min(_time, kind, span_attr:n) l, field_max(duration, name) f, '
        . 'field_min(duration, span_attr:user) g, any(span_attr:took) t',
        { m => '{"name":"charge","span_attr:took":"1.5s"}',
        l => '{"kind":"2","span_attr:n":"7"}', f => 'charge', g => 'ann',
        t => '1.5s' });
    gives($where, '* | stats json_values(name, span_attr:n) '
        . 'sort by (_time desc) limit 3 j', { j => '["{\"name\":\"charge\"}",'
        . '"{\"name\":\"SET\"}",'
        . '"{\"name\":\"GET /cart\",\"span_attr:n\":\"70\"}"]' });
    gives($where, '* | stats count() switch(case (kind:=2) as a, '
        . 'case ("span_attr:user":=ann) as b, default as c)',
        { a => '2', b => '1', c => '1' });
    gives_all($where, '* | stats by (kind) row_any(name) r, '
        . 'json_values(span_attr:n) j', { kind => '1', r =>
        '{"name":"charge"}', j => '["{}"]' }, { kind => '2', r =>
        '{"name":"GET /cart"}', j => '["{\"span_attr:n\":\"7\"}",'
        . '"{\"span_attr:n\":\"70\"}"]' }, { kind => '3', r =>
        '{"name":"SET"}', j => '["{}"]' })
        if $where eq 'memory';
    gives($where, '* | first 1 by (duration) | fields name, duration',
        { name => 'GET /cart', duration => '5000000' });
    gives($where, '* | last 1 by (_time) partition by (kind) rank as r '
        . '| fields name, r', { name => 'charge', r => '1' },
        { name => 'GET /cart', r => '1' }, { name => 'SET', r => '1' });
    gives($where, '* | top 2 by (span_attr:user) rank',
        { 'span_attr:user' => 'ann', hits => '2', rank => '1' },
        { hits => '1', rank => '2' });
    gives($where, '* | top 2 by (name) hits as n', { name => 'GET /cart',
        n => '2' }, { name => 'SET', n => '1' });
    gives_all($where, '* | field_values span_attr:user filter "b>"',
        { 'span_attr:user' => "b'<b>", hits => '1' });
    gives_all($where, '* | field_names filter ":n"',
        { name => 'span_attr:n', hits => '2' });
    gives($where, '* | fields name, kind | facets 1',
        { field_name => 'kind', field_value => '2', hits => '2' },
        { field_name => 'name', field_value => 'GET /cart', hits => '2' });
    gives($where, '* | running_stats by (name) count() n, '
        . 'last(duration) offset 1 as d | fields name, n, d',
        { name => 'GET /cart', n => '1' },
        { name => 'GET /cart', n => '2', d => '5000000' },
        { name => 'SET', n => '1' }, { name => 'charge', n => '1' });
    gives($where, '* | total_stats max(duration) m, first(name) f '
        . '| fields kind, m, f', map { { kind => "$_", m => '1500000000',
        f => 'GET /cart' } } 2, 2, 3, 1);
    gives($where, 'kind:=2 | query_stats | fields RowsFound',
        { RowsFound => '2' });
    gives($where, '* | block_stats | filter field:=name '
        . '| stats sum(rows) r, sum(values_bytes) b',
        { r => '4', b => '27' });
    gives($where, '* | block_stats | filter field:other_tenant | fields field');
    for my $query ('*', '* | sort by (_time)', '* | field_names', '* | facets '
        . '9 keep_const_fields', '* | pack_json as p', '* | pack_logfmt as p',
        '* | row_any(*) x', '* | json_values(*) x', '* | fields span_attr:* '
        . '| pack_logfmt as p') {
        for my $format (qw(json csv)) {
            my $body = $spoor->get("/select/logsql/query?format=$format&query="
                . uri($query))->{body};

            like $body, qr/cart|ann|span_attr/, "$where: $query as $format";
            unlike $body, qr/other_tenant/, "$where: nothing of others";
        }
    }
    gives($where, '* | block_stats | filter field:=name '
        . '| stats sum(dict_items) n | filter n:>3 | fields n');
    gives($where, '* | blocks_count as n | filter n:>0 | fields nosuch');
});
$spoor->stop;
done_testing;
