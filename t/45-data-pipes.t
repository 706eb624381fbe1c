# SPDX-License-Identifier: BSD-2-Clause
#
# Pipes that compute with fields and take texts apart, over HTTP: math, pack,
# unpack, unroll, split; from memory and from parts.

use strict;
use warnings;
use utf8;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $spoor = Test::Spoor->new;
my $json = JSON::PP->new->utf8;

$spoor->start;

sub ask {
    my ($query) = @_;
    return $spoor->get('/select/logsql/query?query=' . uri($query));
}

# The rows of an answer, without their order.
sub rows {
    my ($query) = @_;
    my $reply = ask($query);

    is $reply->{status}, 200, $query or diag $reply->{body};
    return [map { json_text($json->decode($_)) } split /\n/, $reply->{body}];
}

sub is_rows {
    my ($query, @want) = @_;
    my @rows = sort @{rows($query)};

    is_deeply \@rows, [sort map { json_text($_) } @want], "... $query"
        or diag join "\n", @rows;
}

my $many = '[' . join(',', 1 .. 3000) . ']';
# name, then attributes
my @spans = (
    [s1 => a => '[1,"x",null,{"b":[2]}]', b => '["p\u00e9","q"]', n => 7],
    [s2 => a => '["only"]', n => '1.5s'],
    [s3 => a => '[1,2', b => 'no array', n => 'abc'],
    [s4 => j => '{"name":"inner","u":{"id":5,"ok":true},"e":""}'],
    [s5 => j => '{"u":{"id":6},"_time":"x","k":[1, 2]}', keep => 'old'],
    [s6 => j => '{"u":'],
    [s7 => l => 'u=1 keep=new empty= q="a b"', keep => 'old'],
    [s8 => many => $many, deep => '[' x 3000],
    [s9 => words => 'one two-two, one!', path => 'a/b//c'],
);
post_traces($spoor, resource_spans('data', map {
    my ($name, @attributes) = @$_;
    otlp_span(name => $name, attributes => attributes(@attributes))
} @spans));

sub a { return "\"span_attr:$_[0]\"" }

in_all_states($spoor, sub {
    my ($where) = @_;

    diag $where;

    # math
    is_rows('name:in(s1, s2, s3, s4) | math "span_attr:n" * 2 as x, '
        . 'x + 1 as y, x default 5 z | fields name, x, y, z',
        { name => 's1', x => '14', y => '15', z => '14' },
        { name => 's2', x => '3000000000', y => '3000000001',
            z => '3000000000' },
        { name => 's3', x => 'NaN', y => 'NaN', z => '5' },
        { name => 's4', x => 'NaN', y => 'NaN', z => '5' });
    is_rows('* | count() n | math n % 0 as x, 2 + 3 * 2 ^ 2, -2 ^ 2 as z',
        { n => '9', x => 'NaN', '2 + 3 * 2 ^ 2' => '14', z => '4' });
    is_rows('* | math rand() as r, now() as n | r:range[0, 1) '
        . 'n:>1700000000000000000 | stats count() n, count_uniq(r) u',
        { n => '9', u => '9' });

    # unroll
    is_rows('name:s1 | unroll by ("span_attr:a", "span_attr:b") | fields '
        . 'name, "span_attr:a", "span_attr:b"',
        { name => 's1', 'span_attr:a' => '1', 'span_attr:b' => 'pé' },
        { name => 's1', 'span_attr:a' => 'x', 'span_attr:b' => 'q' },
        { name => 's1', 'span_attr:a' => 'null' },
        { name => 's1', 'span_attr:a' => '{"b":[2]}' });
    is_rows('name:in(s1, s2, s3) | unroll if (name:s2 or name:s3) '
        . 'by ("span_attr:a") | fields name, "span_attr:a"',
        { name => 's1', 'span_attr:a' => '[1,"x",null,{"b":[2]}]' },
        { name => 's2', 'span_attr:a' => 'only' },
        { name => 's3' });
    is_rows('name:s8 | unroll by ("span_attr:many") | stats count() n, '
        . 'sum("span_attr:many") s, count_uniq(span_id) ids, min(name) name',
        { n => '3000', s => '4501500', ids => '1', name => 's8' });
    is_rows('* | unroll by ("span_attr:many") | limit 5 | count() n',
        { n => '5' });
    is_rows('* | unroll nosuch | count() n', { n => '9' });
    is_rows('name:s8 | json_array_len("span_attr:deep") n | '
        . 'json_array_len("span_attr:many") m | fields n, m',
        { n => '0', m => '3000' });

    # unpack
    is_rows('name:in(s4, s5, s6) | unpack_json from "span_attr:j" fields '
        . '(u.*, e) result_prefix p. | fields name, p.*',
        { name => 's4', 'p.u.id' => '5', 'p.u.ok' => 'true' },
        { name => 's5', 'p.u.id' => '6' }, { name => 's6' });
    is_rows('name:in(s4, s6) | unpack_json from "span_attr:j" | '
        . 'fields name, u.id', { name => 'inner', 'u.id' => '5' },
        { name => 's6' });
    is_rows('name:in(s4, s6) | unpack_json from "span_attr:j" fields (name)'
        . ' | fields name, "span_attr:j"',
        { name => 'inner', 'span_attr:j' => $spans[3][2] },
        { 'span_attr:j' => $spans[5][2] });
    is_rows('name:in(s4, s6) | unpack_json from "span_attr:j" fields (name)'
        . ' keep_original_fields | fields name', { name => 's4' },
        { name => 's6' });
    is_rows('name:in(s4, s6) | unpack_json if (name:s6) from "span_attr:j" '
        . 'fields (name) skip_empty_results | fields name',
        { name => 's4' }, { name => 's6' });
    is_rows('name:s5 | unpack_json from "span_attr:j" | fields _time, k',
        { _time => 'x', k => '[1, 2]' });
    is_rows('name:s7 | unpack_logfmt from "span_attr:l" fields (keep, q*) '
        . 'result_prefix span_attr: keep_original_fields | fields '
        . '"span_attr:keep", "span_attr:q"',
        { 'span_attr:keep' => 'old', 'span_attr:q' => 'a b' });
    is_rows('name:in(s7, s1) | unpack_syslog from "span_attr:l" '
        . 'result_prefix s_ | fields name, s_*',
        { name => 's1' }, { name => 's7', s_format => 'rfc3164',
            s_message => 'u=1 keep=new empty= q="a b"' });

    # pack
    is_rows('name:s2 | fields name, nosuch, "span_attr:n" | pack_logfmt '
        . 'as l | pack_json fields (name, nosuch) as j | fields l, j',
        { l => 'name=s2 nosuch= span_attr:n=1.5s', j => '{"name":"s2"}' });
    is_rows('name:s7 | pack_logfmt fields (nosuch, "span_attr:*") as l | '
        . 'unpack_logfmt from l result_prefix x: | fields l, x:*',
        { l => 'nosuch= span_attr:keep=old span_attr:l="u=1 keep=new '
            . 'empty= q=\"a b\""', 'x:span_attr:keep' => 'old',
            'x:span_attr:l' => 'u=1 keep=new empty= q="a b"' });
    is_rows('name:in(s1, s4) | pack_json fields (span_attr:*) as j | '
        . 'unpack_json from j result_prefix x. | fields "x.span_attr:j", '
        . '"x.span_attr:b"', { 'x.span_attr:b' => '["p\u00e9","q"]' },
        { 'x.span_attr:j' => $spans[3][2] });

    # words and pieces
    is_rows('name:s9 | unpack_words from "span_attr:words" as w '
        . 'drop_duplicates | split "/" from "span_attr:path" as s | '
        . 'json_array_concat ", " from s as c | fields w, s, c',
        { w => '["one","two"]', s => '["a","b","","c"]', c => 'a, b, , c' });
    is_rows('name:s9 | unpack_words "span_attr:words" as w | unroll (w) | '
        . 'stats by (w) count() n', { w => 'one', n => '2' },
        { w => 'two', n => '2' });
});

# The examples of the registry run.
my $registry = $json->decode(
    $spoor->get('/select/logsql/registry')->{body});
for my $entry (grep { $_->{ready} } map { @{$registry->{$_}} }
    qw(filters pipes functions)) {
    is ask($entry->{example})->{status}, 200,
        "example of $entry->{name}: $entry->{example}";
}

# A question that is wrong says where.
for my $case (['* | math a +', qr/position 13: expected a field/],
    ['* | math rount(a)', qr/unknown math function 'rount'.*'round'/],
    ['* | unroll by ()', qr/position 15: unroll needs/],
    ['* | unpack_json a b', qr/position 19: expected 'fields'/]) {
    my $reply = ask($case->[0]);

    is $reply->{status}, 400, $case->[0];
    like $reply->{body}, $case->[1], '... says why';
}
$spoor->stop;
done_testing;
