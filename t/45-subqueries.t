# SPDX-License-Identifier: BSD-2-Clause
#
# Queries inside a query: in(), contains_*(), join, union; what reaches them
# (tenant, times, extra filters, limits) and what does not.

use strict;
use warnings;
use utf8;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time);

my $spoor = Test::Spoor->new;
my $json = JSON::PP->new->utf8;
my $now_us = int(time() * 1e6) - 60_000_000;
my $service = '"resource_attr:service.name"';

$spoor->start;

sub at {
    my ($ago, $trace, %span) = @_;
    my $start = $now_us - $ago * 1_000_000;
    my $fields = delete $span{fields};

    return otlp_span(startTimeUnixNano => "${start}000",
        endTimeUnixNano => ($start + 1000) . '000',
        traceId => sprintf('%032x', $trace), %span,
        attributes => attributes(%{$fields || {}}));
}

sub ask {
    my ($path, $headers, @args) = @_;
    my @words;

    while (my ($key, $value) = splice @args, 0, 2) {
        push @words, uri($key) . '=' . uri($value);
    }
    return $spoor->get("/select/logsql/$path?" . join('&', @words),
        $headers || {});
}

sub text_of {
    my ($row) = @_;

    return join ' ', map { "$_=$row->{$_}" } sort keys %$row;
}

# The rows of an answer as texts, sorted.
sub rows {
    my ($query, @args) = @_;
    my $reply = ask('query', undef, query => $query, @args);

    is $reply->{status}, 200, $query or diag $reply->{body};
    return [sort map { text_of($json->decode($_)) }
        split /\n/, $reply->{body}];
}

sub refused {
    my ($query, $why) = @_;
    my $reply = ask('query', undef, query => $query);

    is $reply->{status}, 400, "$query is refused";
    like $reply->{body}, $why, 'it says why';
}

post_traces($spoor,
    resource_spans('cart',
        at(50, 1, name => 'a', kind => 2, fields => { n => '1', w => 'x y' }),
        at(40, 1, name => 'b', kind => 3, status => { code => 2 },
            fields => { n => '2', w => 'y' }),
        at(30, 2, name => 'a', kind => 2, fields => { n => '3' })),
    resource_spans('pay',
        at(20, 2, name => 'c', kind => 3, fields => { n => '4', w => 'z' }),
        at(10, 3, name => 'd', kind => 1, status => { code => 2 },
            fields => { n => '5', user => 'x' })));
post_traces($spoor, resource_spans('cart', at(5, 2, name => 'other',
    status => { code => 2 })), [AccountID => 7]);

my $n = '"span_attr:n"';
my $w = '"span_attr:w"';

in_all_states($spoor, sub {
    my ($where) = @_;
    my $failed = 'in(status_code:=2 | fields trace_id)';

    # --- filters ---
    is_deeply rows("trace_id:$failed | fields $n"),
        [map { "span_attr:n=$_" } 1, 2, 5], "$where: in";
    is_deeply rows("!trace_id:$failed | fields $n"),
        [map { "span_attr:n=$_" } 3, 4], "$where: not in";
    is_deeply rows("trace_id:in(status_code:=2 | uniq by (trace_id)) "
        . "name:=a | fields $n"), ['span_attr:n=1'], "$where: in, uniq";
    is_deeply rows("trace_id:in(trace_id:$failed name:=a | fields trace_id) "
        . "| count() n"), ['n=2'], "$where: in in in";
    is_deeply rows("trace_id:in(name:=nosuch | fields trace_id) | count() n"),
        ['n=0'], "$where: in nothing";
    is_deeply rows("$w:in(name:=a | fields $w) | fields $n"),
        [map { "span_attr:n=$_" } 1, 3, 5], "$where: a value that is missing";
    is_deeply rows("$w:contains_any(name:=b | fields $w) | fields $n"),
        [map { "span_attr:n=$_" } 1, 2], "$where: contains_any";
    is_deeply rows("$w:contains_all($w:* name:in(a, b) | fields $w) "
        . "| fields $n"), ['span_attr:n=1'], "$where: contains_all";
    is_deeply rows("_stream_id:in($n:=4 | fields _stream_id) | fields $n"),
        ['span_attr:n=4'], "$where: _stream_id";
    is_deeply rows("* | stats count() if (trace_id:$failed) a, count() b"),
        ['a=3 b=5'], "$where: a filter of a function";
    is_deeply rows("* | limit 100 | filter trace_id:$failed | count() a"),
        ['a=3'], "$where: a filter behind a pipe";

    # --- what reaches them ---
    is_deeply rows("trace_id:$failed | fields $n",
        extra_filters => '{"resource_attr:service.name":"cart"}'),
        [map { "span_attr:n=$_" } 1, 2], "$where: extra filters";
    is_deeply rows("trace_id:$failed | fields $n",
        start => ($now_us - 35_000_000) / 1e6), ['span_attr:n=5'],
        "$where: times";
    is_deeply rows("trace_id:in(options(ignore_global_time_filter=true) "
        . "name:=b | fields trace_id) | fields $n",
        end => ($now_us - 45_000_000) / 1e6), ['span_attr:n=1'],
        "$where: no times, if it says so";

    # --- join ---
    my $by = 'join by (trace_id)';
    is_deeply rows("name:=a | $by (status_code:=2 | stats by (trace_id) "
        . "count() errors) | fields $n, errors"),
        ['errors=1 span_attr:n=1', 'span_attr:n=3'], "$where: join";
    is_deeply rows("name:=a | $by (status_code:=2 | stats by (trace_id) "
        . "count() errors) inner | fields $n, errors"),
        ['errors=1 span_attr:n=1'], "$where: inner";
    is_deeply rows("name:=a | fields trace_id, name, $n | $by (name:!=a | "
        . "fields trace_id, name, kind) prefix r. | fields $n, name, r.*"),
        ['name=a r.kind=3 r.name=b span_attr:n=1',
        'name=a r.kind=3 r.name=c span_attr:n=3'], "$where: prefix";
    is_deeply rows("name:=a | fields trace_id, name, $n | $by (name:!=a | "
        . "fields trace_id, name, kind) | fields $n, name, kind"),
        ['kind=3 name=a span_attr:n=1', 'kind=3 name=a span_attr:n=3'],
        "$where: what a row has stays";
    is_deeply rows("$n:=1 | fields trace_id | $by (* | fields trace_id, $n)"
        . " | fields $n"), [map { "span_attr:n=$_" } 1, 2],
        "$where: many matches";
    is_deeply rows("* | fields kind, $n | join (kind) rows({kind=2, "
        . "text=client} {kind=3, text='server side'}) inner | fields $n, text"
        . " | sort by ($n) | limit 3"), ['span_attr:n=1 text=client',
        'span_attr:n=2 text=server side', 'span_attr:n=3 text=client'],
        "$where: rows in the query";

    # --- union ---
    is_deeply rows("name:=a | fields $n | union (name:=b | fields $n, kind)"),
        ['kind=3 span_attr:n=2', 'span_attr:n=1', 'span_attr:n=3'],
        "$where: union";
    is_deeply rows("name:=a | union (name:=b) | union (name:=c) | stats "
        . "count() c, uniq_values($n) v"), ['c=4 v=["1","2","3","4"]'],
        "$where: unions and stats";
    is_deeply rows("name:=a | union (*) | limit 2 | count() c"), ['c=2'],
        "$where: no more rows are wanted";
    is_deeply rows("name:=a | fields name | union rows({name=x, y=z} {}) | "
        . "sort by (name)"), ['name=a', 'name=a', 'name=x y=z'],
        "$where: union of rows";
    is_deeply rows('name:=nosuch | union rows({} {}) | count() c'), ['c=2'],
        "$where: rows of nothing";
    is_deeply rows("name:=a | join by ($n) (* | fields nosuch) | count() c"),
        ['c=2'], "$where: join with rows of nothing";
    is_deeply rows("name:=nosuch | union (name:=d) | fields $n",
        extra_filters => '{"resource_attr:service.name":"cart"}'), [],
        "$where: extra filters of union";
    is_deeply [map { $json->decode($_)->{c} } split /\n/, ask('query',
        { AccountID => 7 }, query => '* | union (*) | count() c')->{body}],
        ['2'], "$where: union of a tenant";
});

refused('a:in(b)c | fields d)', qr/position/);
refused('name:in(* | fields a, b)', qr/ends with '\| fields' and one name/);
refused('* | join by (a) (b | nosuch(c))', qr/position \d+.*nosuch/);
refused('a' . ' | union (a' x 9 . ')' x 9, qr/more than 8 queries/);

# --- limits -------------------------------------------------------------------

my $small = Test::Spoor->new(conf => { 'search.max_query_memory' => '16MiB' });

$small->start;
$spoor->stop;
$spoor = $small;
post_traces($spoor, resource_spans('many', map { otlp_span(name => "n$_",
    attributes => attributes(text => "$_" . 'x' x 4000)) } 1 .. 5000));
my $reply = ask('query', undef,
    query => '* | fields name | join by (name) (*) | count() n');

is $reply->{status}, 400, 'join of too many rows';
like $reply->{body}, qr/memory/, 'it says why';
$reply = ask('query', undef, query =>
    '* | fields name | join by (name) (* | fields name, kind) | count() n');
is $reply->{body}, qq({"n":"5000"}\n), 'of some it works';
is ask('query', undef, query => 'name:contains_any(* | fields name) | '
    . 'count() n')->{body}, qq({"n":"5000"}\n), 'many phrases';
$spoor->stop;

# --- stream_context -------------------------------------------------------------

my $context = Test::Spoor->new;

$context->start;
$spoor = $context;
post_traces($spoor, resource_spans('ctx',
    map { at(600 - 10 * $_, 100 + $_, name => 'same', status => { code =>
        $_ % 7 == 3 ? 2 : 0 }, fields => { n => sprintf('%02d', $_) }) }
        0 .. 19),
    resource_spans('other', at(505, 9, name => 'else', fields =>
        { n => '99' })));
in_all_states($spoor, sub {
    my ($where) = @_;
    my $same = 'name:=same';
    my $numbers = sub {
        my ($query, @args) = @_;

        return join ' ', map { s/.*=//r } grep { /n=/ } @{rows(
            "$query | fields $n", @args)};
    };

    is $numbers->("$same $n:=05 | stream_context before 1 after 2"),
        '04 05 06 07', "$where: around one";
    is $numbers->("$same $n:=05 | stream_context before 100 time_window 25s"),
        '03 04 05', "$where: within a time";
    is $numbers->("$same status_code:=2 | stream_context before 1"),
        '02 03 09 10 16 17', "$where: around three";
    is $numbers->("$n:=05 | stream_context after 1",
        extra_filters => '{"span_attr:n":["05","07"]}'), '05 07',
        "$where: what an extra filter forbids is not around";
    is $numbers->("$n:=05 | stream_context before 1 after 1",
        start => ($now_us - 551_000_000) / 1e6,
        end => ($now_us - 549_000_000) / 1e6), '04 05 06',
        "$where: times are of the filter";
    is_deeply [grep { /---/ } @{rows("$same $n:=05 | stream_context before 1 "
        . '| fields _msg')}], [], "$where: one chunk has no end";
    is scalar(grep { /---/ } @{rows("$same $n:in(05, 10) | stream_context "
        . 'before 1 after 1 | fields _msg')}), 2, "$where: two have";
    is $numbers->("$n:in(05, 99) | stream_context after 1"), '05 06 99',
        "$where: two streams";
    is_deeply rows("$n:=99 | stream_context before 5 | count() c"), ['c=1'],
        "$where: and stats";
});
$spoor->stop;
done_testing;
