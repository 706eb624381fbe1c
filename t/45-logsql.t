# SPDX-License-Identifier: BSD-2-Clause
#
# LogsQL over HTTP: answers, arguments, errors, tenants, streamed answers and
# clients that leave; from memory and from parts.

use strict;
use warnings;
use utf8;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time sleep);

my $spoor = Test::Spoor->new(conf => { 'search.max_query_len' => '2KiB' });
my $json = JSON::PP->new->utf8;
my $now_us = int(time() * 1e6) - 60_000_000;
my $service = '"resource_attr:service.name"';

$spoor->start;

sub at {
    my ($ago, $ms, %span) = @_;
    my $start = $now_us - $ago * 1_000_000;

    return otlp_span(startTimeUnixNano => "${start}000",
        endTimeUnixNano => ($start + $ms * 1000) . '000', %span);
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

# The rows of an answer.
sub rows {
    my ($query, @args) = @_;
    my $reply = ask('query', undef, query => $query, @args);

    is $reply->{status}, 200, $query or diag $reply->{body};
    return [map { $json->decode($_) } split /\n/, $reply->{body}];
}

sub values_of {
    my ($path, @args) = @_;
    my $reply = ask($path, undef, @args);

    is $reply->{status}, 200, $path or diag $reply->{body};
    return $json->decode($reply->{body})->{values};
}

post_traces($spoor,
    resource_spans('cart',
        at(10, 5, name => 'GET /cart', kind => 2, attributes => attributes(
            user => 'ann', n => { intValue => '7' },
            ratio => { doubleValue => 0.5 })),
        at(9, 50, name => 'GET /cart', kind => 2, status => { code => 2,
            message => 'no such cart' }, attributes => attributes(
            user => 'bob', n => { intValue => '70' })),
        at(8, 500, name => 'SET', kind => 3)),
    resource_spans('pay',
        at(7, 1500, name => 'charge', kind => 1, attributes =>
            attributes(user => 'ann', note => "a\nb \"c\" <d>"))));
post_traces($spoor, resource_spans('secret', at(5, 1, name => 'other')),
    [AccountID => 7]);

in_all_states($spoor, sub {
    my ($where) = @_;
    my $rows = rows("$service:=cart | fields name, duration | "
        . 'sort by (duration)');

    is_deeply $rows, [{ name => 'GET /cart', duration => '5000000' },
        { name => 'GET /cart', duration => '50000000' },
        { name => 'SET', duration => '500000000' }], "$where: rows";
    is_deeply rows('* | stats by (name) count() n | sort by (name)'),
        [{ name => 'GET /cart', n => '2' }, { name => 'SET', n => '1' },
        { name => 'charge', n => '1' }], "$where: stats";
    is_deeply rows('"span_attr:note":* | fields "span_attr:note"'),
        [{ 'span_attr:note' => "a\nb \"c\" <d>" }], "$where: any text";
    is_deeply [map { $_->{name} } @{rows('* | fields _time, name',
        limit => 2)}], ['SET', 'charge'],
        "$where: limit: the newest, in order of time";
    is_deeply rows('{name="charge"} | fields _stream'), [{ _stream =>
        '{name="charge",resource_attr:service.name="pay"}' }],
        "$where: streams";
    is_deeply rows('status_code:=2 | count() n'), [{ n => '1' }],
        "$where: a bare function";
    is_deeply rows('duration:>=50ms | count() n', extra_filters =>
        '{"resource_attr:service.name":"cart"}'), [{ n => '2' }],
        "$where: extra filters";
    is_deeply rows('* | count() n', start => ($now_us - 9_500_000) / 1e6),
        [{ n => '3' }], "$where: start";
    is_deeply values_of('field_values', query => '*',
        field => 'span_attr:user'), [{ value => 'ann', hits => 2 },
        { value => '', hits => 1 }, { value => 'bob', hits => 1 }],
        "$where: field_values" ;
    is_deeply [grep { $_->{value} eq 'span_attr:n' }
        @{values_of('field_names', query => '*')}],
        [{ value => 'span_attr:n', hits => 2 }], "$where: field_names";
    is scalar @{values_of('streams', query => '*')}, 3, "$where: streams";
    my $hits = $json->decode(ask('hits', undef, query => '*', step => '1d',
        field => 'kind')->{body});
    is_deeply [map { "$_->{fields}{kind}:$_->{total}" } @{$hits->{hits}}],
        ['1:1', '2:2', '3:1'], "$where: hits";
    is_deeply [map { $json->decode($_)->{name} } split /\n/,
        ask('query', { AccountID => 7 }, query => '*')->{body}], ['other'],
        "$where: another tenant sees its own rows only";
});

# --- ids that look like something else ----------------------------------------

my @odd = map { ('ab' x 8) . $_ } qw(0100000000000000 0200000000000000
    0300000000000000 1000000000000000);
post_traces($spoor, resource_spans('odd',
    map { otlp_span(name => 'odd', traceId => $_) } @odd), [AccountID => 8]);
for my $state ('memory', 'parts') {
    for my $query ('uniq by (trace_id)', 'uniq by (trace_id, name)',
        'stats by (trace_id) count() n', 'stats by (trace_id, name) count() n',
        'sort by (name) limit 1 partition by (trace_id)') {
        my $reply = ask('query', { AccountID => 8 }, query => "* | $query");
        my @ids = sort map { $json->decode($_)->{trace_id} }
            split /\n/, $reply->{body};

        is_deeply \@ids, [sort @odd], "$state: $query";
    }
    ok flush($spoor), 'flushed' if $state eq 'memory';
}

# --- functions with filters of their own ---------------------------------------

# What one filter reads of a few rows is not what the next one sees.
post_traces($spoor,
    resource_spans('first', map { otlp_span(name => "common $_ 1")} 1 .. 200),
    resource_spans('second', map { otlp_span(name => 'often') } 1 .. 200),
    resource_spans('third', otlp_span(name => 'rare')), [AccountID => 9]);
for my $state ('memory', 'parts') {
    my $reply = ask('query', { AccountID => 9 }, query => '* | stats '
        . "count() if (name:='rare' {resource_attr:service.name='third'}) a, "
        . "count() if ({resource_attr:service.name='third'}) b, "
        . "count() if ({resource_attr:service.name='second'}) c");

    is_deeply $json->decode($reply->{body}), { a => '1', b => '1',
        c => '200' }, "$state: filters of functions"
        or diag $reply->{body};
    ok flush($spoor), 'flushed' if $state eq 'memory';
}

# Wrong questions: a clear text, status 400.
my @wrong = (
    [qr/argument query is missing/, query => ''],
    [qr/more than search.max_query_len/, query => 'a' x 3000],
    [qr/position \d+/, query => '('],
    [qr/position \d+.*'stats'/, query => '* | stast by (x) count()'],
    [qr/position \d+.*count/, query => '* | stats by (x) cuont()'],
    [qr/not supported yet/, query => '* | stats_remote a'],
    [qr/start/, query => '*', start => 'foo'],
    [qr/limit/, query => '*', limit => 'x'],
    [qr/extra_filters/, query => '*', extra_filters => '(']);
for my $case (@wrong) {
    my ($text, @args) = @$case;
    my $reply = ask('query', undef, @args);

    is $reply->{status}, 400, "400 for " . substr $args[-1], 0, 40;
    like $reply->{body}, $text, 'it says why: ' . substr $reply->{body}, 0,
        100;
}
is ask('field_values', undef, query => '*')->{status}, 400, 'no field';
is ask('query', { AccountID => 'x' }, query => '*')->{status}, 400,
    'a tenant that is no number';
is ask('hits', undef, query => '*', step => '-1s')->{status}, 400,
    'a step below 0';
my $form = $spoor->post('/select/logsql/query', 'query=' . uri('* | count()'),
    { 'Content-Type' => 'application/x-www-form-urlencoded' });
is $form->{status}, 200, 'a form';
like $form->{body}, qr/"count\(\*\)":"4"/, 'with an answer';

# What a proxy appends to the URL restricts whatever else the client sends.
sub restricted {
    my ($name, $filter, $body) = @_;

    return $spoor->post('/select/logsql/query?query=' . uri('* | count() n')
        . "&$name=" . uri($filter), $body,
        { 'Content-Type' => 'application/x-www-form-urlencoded' });
}

for my $case (['extra_filters', "$service:=pay", '*'],
    ['extra_stream_filters', '{name="charge"}', '{}']) {
    my ($name, $filter, $all) = @$case;
    my $one = "$name=" . uri($all);
    my $reply = restricted($name, $filter, join '&', ($one) x 99);

    is $reply->{status}, 200, "100 $name";
    like $reply->{body}, qr/"n":"1"/, 'the last one counts';
    $reply = restricted($name, $filter, join '&', ($one) x 100);
    is $reply->{status}, 400, "101 $name";
    like $reply->{body}, qr/too many $name/, 'it says why';
    # Names that fill the memory for arguments.
    $reply = restricted($name, $filter, join '&',
        ('%61' . 'a' x 30) x 30_700, ($one) x 98);
    is $reply->{status}, 400, "$name that finds no memory";
    like $reply->{body}, qr/too much memory/, 'it says why';
}

done_testing;
