# SPDX-License-Identifier: BSD-2-Clause
#
# Filters and options of later versions of the language, from memory and
# from parts.

use strict;
use warnings;

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
    my ($ago, $id, %fields) = @_;
    my $start = $now_us - $ago * 1_000_000;

    return otlp_span(startTimeUnixNano => "${start}000",
        endTimeUnixNano => "${start}000", name => $id,
        attributes => attributes(%fields));
}

# Names of the rows.
sub rows {
    my ($query, @args) = @_;
    my @words = ('query=' . uri("$query | fields name"));

    while (my ($key, $value) = splice @args, 0, 2) {
        push @words, uri($key) . '=' . uri($value);
    }
    my $reply = $spoor->get('/select/logsql/query?' . join '&', @words);

    is $reply->{status}, 200, $query or diag $reply->{body};
    return join ' ', sort map { $json->decode($_)->{name} }
        split /\n/, $reply->{body};
}

post_traces($spoor, resource_spans('newer',
    at(1, 'a', text => 'GET /cart/checkout', ip => '2001:db8::7',
        tags => '["new","old"]'),
    at(3600, 'b', text => 'GET /cart/17', ip => '10.0.0.1',
        tags => '["old",3]'),
    at(7200, 'c', text => 'post /CART/18', ip => '::1', tags => 'new',
        other => 'GET it')));

my $text = '"span_attr:text"';

in_all_states($spoor, sub {
    my ($where) = @_;
    my $hour_ago = ($now_us - 3_600_000_000) / 1e6;

    is rows("$text:*art/c*"), 'a', "$where: substring";
    is rows("!$text:*\"/cart/\"*"), 'c', "$where: not";
    is rows("$text:pattern_match(\"/<N>\")"), 'b c', "$where: pattern";
    is rows("$text:pattern_match_full(\"GET /<W>/<N>\")"), 'b',
        "$where: whole pattern";
    is rows("$text:pattern_match_prefix(\"<W> /cart\")"), 'a b',
        "$where: first";
    is rows("$text:pattern_match_suffix(\"/<N>\")"), 'b c', "$where: last";
    is rows("$text:contains_common_case(Cart)"), 'a b c', "$where: any case";
    is rows("$text:contains_common_case(cart)"), 'a b c', "$where: cases";
    is rows('"span_attr:ip":ipv6_range("2001:db8::/32")'), 'a',
        "$where: network";
    is rows('"span_attr:ip":ipv6_range("::", "::5")'), 'c', "$where: IPv6";
    is rows('"span_attr:tags":json_array_contains_any(3, new)'), 'a b',
        "$where: arrays";
    is rows('name:equals_common_case(B)'), 'b', "$where: equal";
    is rows("$text:in(*)"), 'a b c', "$where: in(*)";
    is $spoor->get('/select/logsql/query?query=' . uri(
        'name:a | count() n; '))->{body}, qq({"n":"1"}\n),
        "$where: ';' at the end";

    # --- options ---
    is rows('options(global_filter=(name:in(a, b))) * | union (*)'),
        'a a b b', "$where: global_filter";
    is rows('options(parallel_readers=1, allow_partial_response=true) *'),
        'a b c', "$where: parallel_readers";
    is rows("options(time_offset=1h) *", start => $hour_ago - 100,
        end => $hour_ago + 100), 'c', "$where: time_offset and arguments";
    is rows('options(time_offset=1h) _time:>"'
        . iso($hour_ago - 100) . '"'), 'a b c', "$where: time_offset";
    my $times = $spoor->get('/select/logsql/query?query=' . uri(
        'options(time_offset=1h) name:c | sort by (_time desc) limit 1 | '
        . 'fields _time'))->{body};
    is $times, '{"_time":"' . iso($hour_ago, 6) . "\"}\n",
        "$where: times are moved";
    is rows('options(time_offset=1h) * | sort by (_time desc) limit 1'), 'a',
        "$where: the newest";
    is rows("options(time_offset=1h) name:in(name:c _time:>\""
        . iso($hour_ago - 100) . '" | fields name)'), 'c',
        "$where: time_offset of a query inside";
});
$spoor->stop;
done_testing;

# Seconds as RFC 3339; zeros at the end of a fraction are cut.
sub iso {
    my ($seconds, $digits) = @_;
    my $us = int($seconds * 1e6 + 0.5);
    my @t = gmtime($us / 1e6);
    my $text = sprintf '%04d-%02d-%02dT%02d:%02d:%02d.%06d', $t[5] + 1900,
        $t[4] + 1, @t[3, 2, 1, 0], $us % 1_000_000;

    $text =~ s/\.?0+$//;
    return "${text}Z";
}
