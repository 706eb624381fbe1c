# SPDX-License-Identifier: BSD-2-Clause
#
# Pipes that make fields of the fields of a row, over rows as they are stored:
# what pipes behind them see, from memory and from parts.

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

$spoor->start;

sub at {
    my ($ago, %span) = @_;
    my $start = $now_us - $ago * 1_000_000;

    return otlp_span(startTimeUnixNano => "${start}000",
        endTimeUnixNano => ($start + 5000) . '000', %span);
}

sub answer {
    my ($query, @args) = @_;
    my @words = ('query=' . uri($query));

    while (my ($key, $value) = splice @args, 0, 2) {
        push @words, uri($key) . '=' . uri($value);
    }
    return $spoor->get('/select/logsql/query?' . join('&', @words));
}

sub rows {
    my ($query, @args) = @_;
    my $reply = answer($query, @args);

    is $reply->{status}, 200, $query or diag $reply->{body};
    return [map { $json->decode($_) } split /\n/, $reply->{body}];
}

sub gives {
    my ($query, @want) = @_;

    is_deeply rows($query), \@want, '... and its rows'
        or diag $json->encode(rows($query));
}

post_traces($spoor,
    resource_spans('cart',
        (map { at(100 - $_, name => "GET /cart/$_", attributes =>
            attributes(n => { intValue => $_ % 3 }, text => "id=$_ ok")) }
            1 .. 60),
        at(5, name => 'SET', kind => 3)),
    resource_spans('pay', map { at(20 + $_, name => 'charge') } 1 .. 3));

in_all_states($spoor, sub {
    my ($where) = @_;
    my $service = '"resource_attr:service.name"';

    # What a pipe makes is there for names, filters and stats.
    gives('* | extract "/cart/<id>" from name | filter id:* | '
        . 'stats count() n, max(id) last', { n => 60, last => 60 });
    gives('* | extract "GET <name>" from name keep_original_fields | '
        . 'filter name:"GET" | count() n', { n => 60 });
    gives('* | extract "GET <name>" from name skip_empty_results | '
        . 'filter name:"GET" | count() n', { n => 0 });
    gives('* | extract "id=<id> " from span_attr:text | field_names | '
        . 'filter name:=id', { name => 'id', hits => 60 });
    gives('* | replace ("charge", "") at name | field_names | '
        . 'filter name:=name', { name => 'name', hits => 61 });
    gives('name:charge | len(name) as name | uniq by (name)', { name => 6 });
    # Of many fields, too.
    gives('* | format "zebra <name>" as q | filter *:zebra | count() n',
        { n => 64 });
    gives('* | format "zebra" as name | filter name*:zebra | count() n',
        { n => 64 });
    gives('* | format "zebra" as name | filter name*:GET | count() n',
        { n => 0 });
    gives('name:charge | format "zebra" as name | filter !name*:charge | '
        . 'count() n', { n => 3 });
    gives("* | format '<:resource_attr:service.name>' as s | delete s | "
        . "fields s, $service | uniq by (s, $service) | sort by ($service)",
        { 'resource_attr:service.name' => 'cart' },
        { 'resource_attr:service.name' => 'pay' });

    # Late columns: the newest rows, and others than those that were made.
    gives('* | format "<name>!" as x | sort by (_time desc) limit 1 | '
        . 'fields x, name, kind',
        { x => 'SET!', name => 'SET', kind => 3 });
    gives('* | format "<name>!" as x | sort by (x desc) limit 2 | '
        . 'fields x, kind', { x => 'charge!', kind => 2 },
        { x => 'charge!', kind => 2 });
    my $rows = rows('* | collapse_nums at name | fields name, _time',
        limit => 2);
    is_deeply [map { $_->{name} } @$rows], [qw(charge SET)],
        "$where: the newest rows";
    gives('name:SET | hash(name) as _time | fields _time',
        { _time => rows('name:SET | hash(name) h')->[0]{h} });

    # A field that was replaced is not the one of the block's indexes.
    gives('* | replace ("SET", "GOT") at name | filter name:=SET | '
        . 'count() n', { n => 0 });
    gives('* | replace ("SET", "GOT") at name | filter name:=GOT | '
        . 'count() n', { n => 1 });
    gives('* | replace ("SET", "GOT") at name | filter {name="SET"} | '
        . 'fields name, _stream', { name => 'GOT', _stream =>
            '{name="SET",resource_attr:service.name="cart"}' });
    gives('* | set_stream_fields kind | filter {kind="3"} | '
        . 'fields name, _stream', { name => 'SET',
            _stream => '{kind="3"}' });
    gives('* | time_add 365d | filter _time:>now | count() n', { n => 64 });
    gives('* | time_add -365d | filter _time:1h | count() n', { n => 0 });

    # Rows whose "if" fails stay.
    gives('* | format if (name:charge) "" as name | uniq by (name) | '
        . 'filter name:"" | count() n', { n => 1 });
    gives('* | replace_regexp if (kind:=3) ("(.)", "<$1>") at name | '
        . 'filter kind:=3 or name:charge | uniq by (name) | sort by (name)',
        { name => '<S><E><T>' }, { name => 'charge' });
    gives('* | collapse_nums if ("span_attr:n":=1) at name prettify | '
        . 'filter name:="GET /cart/<N>" | '
        . 'count() n', { n => 20 });

    # Others.
    gives('* | fields nothing | drop_empty_fields | count() n', { n => 0 });
    gives('* | drop_empty_fields | count() n', { n => 64 });
    gives('* | coalesce(nothing, span_attr:t*, name) as c | '
        . 'filter c:="id=5 ok" | fields c',
        { c => 'id=5 ok' });
    gives('* | sample 1 | count() n', { n => 64 });
    cmp_ok rows('* | sample 8 | count() n')->[0]{n}, '<', 40,
        "$where: a sample";
    gives('* | generate_sequence 5 | stats sum(_msg) s', { s => 10 });
});

# --- limits ---

my $reply = answer('* | generate_sequence 1000000000000 | count() n',
    timeout => '300ms');
unlike $reply->{body}, qr/"n"/, 'a long sequence ends at the deadline';
$reply = answer('* | generate_sequence 1 | format "' . 'x' x 1000 . '" '
    . '| format "' . '<_msg>' x 100 . '" ' x 4);
isnt $reply->{status}, 0, 'a text that grows and grows is answered';
unlike $reply->{body}, qr/xxx/, '... but not with the text'
    if $reply->{status} != 200;
is answer('* | extract_regexp "(a"')->{status}, 400, 'a bad expression';
like answer('* | extarct "<a>"')->{body}, qr/did you mean 'extract'/,
    'a pipe that is nearly one';

$spoor->stop;
done_testing;
