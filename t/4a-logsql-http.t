# SPDX-License-Identifier: BSD-2-Clause
#
# The LogsQL endpoints beside /query: stats_query, stats_query_range, hits,
# values and labels, and the arguments that they share; from memory and from
# parts.

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
# A whole minute, so that buckets are known.
my $base = int(time() / 60) * 60 - 600;
my $service = '"resource_attr:service.name"';

$spoor->start;

sub at {
    my ($second, %span) = @_;
    my $ns = sprintf '%d000000000', $base + $second;

    return otlp_span(startTimeUnixNano => $ns, endTimeUnixNano => $ns, %span);
}

sub ask {
    my ($path, @args) = @_;
    my $headers = ref $args[0] ? shift @args : {};
    my @words;

    while (my ($key, $value) = splice @args, 0, 2) {
        push @words, uri($key) . '=' . uri($value);
    }
    return $spoor->get("/select/logsql/$path?" . join('&', @words),
        $headers);
}

sub answer {
    my ($path, @args) = @_;
    my $reply = ask($path, @args);

    is $reply->{status}, 200, "$path @args" or diag $reply->{body};
    return $json->decode($reply->{body});
}

sub refused {
    my ($status, $path, @args) = @_;
    my $reply = ask($path, @args);

    is $reply->{status}, $status, "$path refuses @args";
    return $reply->{body};
}

is $spoor->get('/select/tenant_ids')->{body}, '[]', 'no tenants';
post_traces($spoor,
    resource_spans('cart',
        at(0, name => 'GET', kind => 2, attributes => attributes(
            user => 'ann')),
        at(1, name => 'GET', kind => 2, attributes => attributes(
            user => 'bob', secret => 'one')),
        at(130, name => 'SET', kind => 3)),
    resource_spans('pay',
        at(61, name => 'charge', kind => 3, attributes =>
            attributes(user => 'cyd', note => 'a, "b"'))));

in_all_states($spoor, sub {
    my ($where) = @_;
    my $got;

    # --- stats_query ---------------------------------------------------------
    $got = answer('stats_query', query => '* | stats by (kind) count() n',
        time => $base + 300);
    is $got->{status}, 'success', "$where: success";
    is $got->{data}{resultType}, 'vector', "$where: a vector";
    is_deeply [sort { $a->{metric}{kind} cmp $b->{metric}{kind} }
        @{$got->{data}{result}}], [
        { metric => { __name__ => 'n', kind => '2' },
            value => [$base + 300, '2'] },
        { metric => { __name__ => 'n', kind => '3' },
            value => [$base + 300, '2'] }], "$where: vector";
    is_deeply answer('stats_query', time => "$base.25", query =>
        '* | count() n, max(kind) m')->{data}{result},
        [{ metric => { __name__ => 'n' }, value => [$base + 0.25, '4'] },
        { metric => { __name__ => 'm' }, value => [$base + 0.25, '3'] }],
        "$where: two values";
    is_deeply [map { "$_->{metric}{kind2}:$_->{metric}{__name__}" }
        @{answer('stats_query', query => '* | stats by (kind) count() n, '
        . 'max(kind) m | rename kind as kind2, m as most | filter n:>1 | '
        . 'sort by (kind2) limit 1')->{data}{result}}],
        ['2:n', '2:most'], "$where: pipes behind stats";

    # --- stats_query_range ---------------------------------------------------
    $got = answer('stats_query_range', query => '* | stats by (kind) '
        . 'count() n', start => $base, end => $base + 300, step => '1m');
    is $got->{data}{resultType}, 'matrix', "$where: a matrix";
    is_deeply $got->{data}{result}, [
        { metric => { __name__ => 'n', kind => '2' },
            values => [[$base, '2']] },
        { metric => { __name__ => 'n', kind => '3' },
            values => [[$base + 60, '1'], [$base + 120, '1']] }],
        "$where: matrix";
    is_deeply answer('stats_query_range', query => '* | stats by (_time:1h, '
        . 'name) count() n | sort by (n desc) limit 1', start => $base,
        end => $base + 300, step => '2m')->{data}{result}, [
        { metric => { __name__ => 'n', name => 'GET' },
            values => [[$base, '2']] },
        { metric => { __name__ => 'n', name => 'SET' },
            values => [[$base + 120, '1']] }],
        "$where: the best of each point" if $base % 120 == 0;
    is_deeply [map { $_->[0] - $base } map { @{$_->{values}} }
        @{answer('stats_query_range', query => '* | count() n',
        step => '60', offset => '30s')->{data}{result}}], [-30, 30, 90],
        "$where: offset of points";

    my $odd = "h\0" . 'n' x 200;
    is $_->{metric}{__name__}, "${odd}_bucket", "$where: a NUL in a name"
        for @{answer('stats_query', query => '* | stats histogram(kind) as "'
        . $odd =~ s/\0/\\x00/r . '"')->{data}{result}};

    # --- hits ----------------------------------------------------------------
    $got = answer('hits', query => '*', step => '1m', start => $base - 60,
        end => $base + 239);
    is_deeply $got->{hits}[0]{values}, [0, 2, 1, 1, 0],
        "$where: hits, with empty buckets";
    is $got->{hits}[0]{total}, 4, "$where: their sum";
    is_deeply answer('hits', query => 'user:=x', step => '1m'),
        { hits => [] }, "$where: no hits";
    is_deeply [map { $_->{values} } @{answer('hits', query => '*',
        step => '60', field => 'kind')->{hits}}], [[2, 0, 0], [0, 1, 1]],
        "$where: hits by kind";
    is answer('hits', query => '* | limit 3', step => '1h')
        ->{hits}[0]{total}, 3, "$where: pipes count";
    is answer('hits', query => '* | limit 3', step => '1h',
        ignore_pipes => 1)->{hits}[0]{total}, 4, "$where: ignore_pipes";

    # --- values --------------------------------------------------------------
    is_deeply answer('stream_field_names', query => '*'), { values => [
        { value => 'name', hits => 4 },
        { value => 'resource_attr:service.name', hits => 4 }] },
        "$where: labels";
    is_deeply answer('stream_field_values', query => '*', field => 'name'),
        { values => [{ value => 'GET', hits => 2 },
        { value => 'SET', hits => 1 }, { value => 'charge', hits => 1 }] },
        "$where: values of a label";
    is_deeply answer('stream_field_values', query => '*', field => 'kind'),
        { values => [] }, "$where: what is no label";
    is_deeply answer('stream_field_values', query => '*', field => 'name',
        filter => 'ar'), { values => [{ value => 'charge', hits => 1 }] },
        "$where: values with a part";
    is_deeply answer('field_values', query => '*', field =>
        'span_attr:user', filter => 'n', limit => 5), { values => [
        { value => 'ann', hits => 1 }] }, "$where: field_values, filter";
    is_deeply [map { $_->{hits} } @{answer('field_values', query => '*',
        field => 'span_attr:user', filter => 'b', limit => 1)->{values}}],
        [1], "$where: a limit that is not reached";
    is_deeply [map { $_->{value} } @{answer('field_names', query => '*',
        filter => 'attr:s')->{values}}],
        ['resource_attr:service.name', 'span_attr:secret'],
        "$where: field_names, filter";
    is_deeply answer('field_values', query => '* | fields name | limit 4',
        field => 'kind'), { values => [{ value => '', hits => 4 }] },
        "$where: values behind pipes";

    # --- rows ----------------------------------------------------------------
    is_deeply [map { $json->decode($_)->{name} } split /\n/,
        ask('query', query => '* | fields _time, name', limit => 2,
        offset => 1)->{body}], ['GET', 'charge'], "$where: a page";
    my $reply = ask('query', format => 'csv', query => '* | sort by (_time) '
        . '| fields name, "span_attr:note"');
    is $reply->{headers}{'content-type'}, 'text/csv; charset=utf-8',
        "$where: type of CSV";
    is $reply->{body}, qq(name,span_attr:note\nGET,\nGET,\ncharge,)
        . qq("a, ""b"""\nSET,\n), "$where: CSV";
    is ask('query', format => 'csv', query => '* | stats by (kind) count() '
        . 'n | sort by (kind)')->{body}, "kind,n\n2,2\n3,2\n",
        "$where: CSV of columns that are not named";
    is ask('query', format => 'csv', query => '* | sort by (_time) | fields '
        . '"span_attr:note"')->{body}, qq(span_attr:note\n""\n""\n)
        . qq("a, ""b"""\n""\n), "$where: CSV of one column has no empty line";
    is ask('query', format => 'csv', query => 'name:=x | fields a, b')
        ->{body}, "a,b\n", "$where: CSV of nothing";
    like $reply->{headers}{'vl-request-duration-seconds'}, qr/^\d+\.\d+$/,
        "$where: duration in a header";
    is $reply->{headers}{accountid}, 0, "$where: tenant in a header";

    # --- hidden fields -------------------------------------------------------
    for my $hidden ('span_attr:sec*,kind', '["span_attr:secret","kind"]') {
        my @hide = (hidden_fields_filters => $hidden);
        my @rows = map { $json->decode($_) } split /\n/,
            ask('query', query => '*', @hide)->{body};

        is scalar(@rows), 4, "$where: all rows";
        is scalar(grep { exists $_->{kind} ||
            exists $_->{'span_attr:secret'} } @rows), 0,
            "$where: without hidden fields";
        is_deeply answer('field_values', query => '*', field => 'kind',
            @hide), { values => [{ value => '', hits => 4 }] },
            "$where: values of a hidden field";
        is_deeply answer('stats_query', query => '"span_attr:secret":* or '
            . 'kind:=2 | count() n', time => 1, @hide)->{data}{result},
            [{ metric => { __name__ => 'n' }, value => [1, '0'] }],
            "$where: filters do not see them";
        is_deeply answer('stats_query', query => '"span_attr:secret":"" | '
            . 'count() n', time => 1, @hide)->{data}{result},
            [{ metric => { __name__ => 'n' }, value => [1, '4'] }],
            "$where: they are missing";
        is scalar(grep { $_->{value} =~ /secret|kind/ }
            @{answer('field_names', query => '*', @hide)->{values}}), 0,
            "$where: names of fields";
    }
});

# --- errors ---------------------------------------------------------------------

for my $bad (['*'], ['* | fields name'], ['('], [''],
    ['* | count() n | limit 1'], ['* | stats by (kind) count() n | fields n'],
    ['* | stats by (kind) count() n | delete kind'],
    ['* | stats by (kind) count() n | rename n as kind'],
    ['* | count() n', time => 'x'], ['* | count() n', extra_filters => '(']) {
    my $error = $json->decode(refused(422, 'stats_query', query => @$bad));

    is $error->{status}, 'error', 'status';
    is $error->{errorType}, '422', 'errorType';
    ok length $error->{error}, "error: $error->{error}";
}
# Each "copy" makes twice as many labels.
refused(422, 'stats_query', query => join ' | ', '* | stats by (a) count() n',
    map { "copy a* as a$_*" } 'a' .. 'j');
refused(422, 'stats_query_range', query => '* | count()', step => $_)
    for qw(0 -1h x);
refused(400, 'hits', query => '*', step => $_) for qw(0 -1h x);
refused(400, 'hits', query => '*', fields_limit => 'x');
refused(400, 'hits', query => '*', ignore_pipes => 'perhaps');
refused(400, 'query', query => '*', format => 'xml');
refused(400, 'query', query => '*', offset => 3);
refused(400, 'query', query => '*', hidden_fields_filters => '[1]');
refused(400, 'query', query => '*', allow_partial_response => 'x');
refused(400, 'stream_field_values', query => '*');
like refused(400, 'field_values', query => '*'), qr/missing 'field'/,
    'the argument field';

is $spoor->get('/select/otlp/export?query=*&hidden_fields_filters=kind')
    ->{status}, 400, 'an export hides no fields';

$spoor->stop;
done_testing;
