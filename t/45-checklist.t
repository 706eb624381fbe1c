# SPDX-License-Identifier: BSD-2-Clause
#
# The checklist of LogsQL: every line of t/data/checklist is asked of six
# spans, from memory, from parts and behind a merge.  The page that is made of
# it, docs/logsql-checklist.md, is compared by t/00-docs.t.

use strict;
use warnings;
use utf8;

use IO::Select;
use JSON::PP ();
use Test::Checklist;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time);

my $lines_wanted = 129;
my $root = spoor_root();
my $suite = $ENV{SPOOR_CONFORMANCE} || "$root/../shared/conformance";
my $json = JSON::PP->new->utf8->canonical;
my @lines = checklist("$root/t/data/checklist");

is_deeply [map { $_->{n} } @lines], [1 .. $lines_wanted], 'all lines';
is_deeply [map { $_->{n} } grep { !@{$_->{checks}} || !@{$_->{also}} } @lines],
    [], 'each is asked here and elsewhere';
is_deeply [grep { !covers_exist($_) } map { @{$_->{also}} } @lines], [],
    'what they name is there';

# The times are those of the spans, whenever the test runs.
my $spoor = Test::Spoor->new(conf => { 'storage.retention' => '100y' });
my $base = 1772359200; # 2026-03-01T10:00:00Z, a Sunday

$spoor->start;
load();
my $nasked = 0;
for my $where ('memory', 'parts', 'merged') {
    ok flush($spoor), 'flushed' if $where eq 'parts';
    ok merge(), 'merged' if $where eq 'merged';
    for my $line (@lines) {
        check_one("$where, $line->{n}", $_) for @{$line->{checks}};
        $nasked += @{$line->{checks}};
    }
}
diag "$lines_wanted lines, $nasked questions";

$spoor->stop;
done_testing;

sub covers_exist {
    my ($name) = @_;

    return -f "$root/$name" if $name !~ /^logsql/;
    return !-d $suite || -f "$suite/$name.case";
}

# --- the spans ----------------------------------------------------------------

# Ends so many seconds (or "S.ns") behind $base and took so many ns.
sub span {
    my ($id, $trace, $end, $took, %span) = @_;
    my ($s, $ns) = split /\./, "$end.0";
    my $end_ns = ($base + $s) * 1_000_000_000 + substr "${ns}000000000", 0, 9;

    return otlp_span(spanId => sid($id), traceId => $trace,
        startTimeUnixNano => $end_ns - $took . '',
        endTimeUnixNano => "$end_ns", %span);
}

sub load {
    my @trace = ('4bf9' . '1' x 28, 'a3ce' . '2' x 28, 'd00d' . '3' x 28);

    post_traces($spoor,
        resource_spans('cart',
            span('a1', $trace[0], '0.000000001', 1_500_000,
                name => 'GET /cart', kind => 2, attributes =>
                attributes('http.route' => '/cart')),
            span('b1', $trace[1], 60, 90_000_000, kind => 2,
                name => 'GET /cart/checkout', status => { code => 1 },
                attributes => attributes('http.route' => '/cart/checkout',
                size => { intValue => '5242880' })),
            span('c1', $trace[2], 180, 300_000_000, name => 'get /cart',
                kind => 2, attributes => attributes(took => '1.5s',
                'peer.ip' => '10.0.1.9', size => '5MiB', raw =>
                '<165>1 2026-03-01T10:00:00Z host app 12 ID1 - hello')),
            span('c2', $trace[2], '239.999999999', 1_000_000_000,
                name => 'GET /carts', kind => 2, parentSpanId => sid('c1'),
                attributes => attributes(took => '900us',
                'peer.ip' => '10.0.0.12', size => '100'))),
        resource_spans('db',
            span('a2', $trace[0], '1.5', 250_000, name => 'SELECT orders',
                kind => 3, parentSpanId => sid('a1'), status => { code => 2,
                message => "\e[31mcode=42\e[0m user=\"ann b\"" })),
        resource_spans('pay',
            span('b2', $trace[1], 120, 7_000_000, name => 'charge card',
                kind => 3, parentSpanId => sid('b1'), attributes =>
                attributes(took => '7ms', 'peer.ip' => '10.0.0.7',
                tags => '["x","y"]',
                payload => '{"user":{"id":7,"name":"ann"},"ok":true}'))));
    # A stream of ten spans, one a second, of another tenant.
    post_traces($spoor, resource_spans('clock', map {
        span($_, $trace[0], $_, 1000, name => 'tick',
            attributes => attributes(n => "$_")) } 1 .. 10),
        [AccountID => 5]);
    return;
}

sub sid { return sprintf '%016s', $_[0] }

sub merge {
    return $spoor->post('/internal/force_merge', '')->{status} == 200 &&
        wait_for(sub {
            return $spoor->metric('vt_active_force_merges') == 0 &&
                $spoor->metric('vt_active_merges') == 0;
        }, 60);
}

# --- questions and answers ----------------------------------------------------

sub url {
    my ($check, $path, $more) = @_;
    my @args = @{$check->{args}};
    my @words;

    unshift @args, query => $check->{query} . ($more || '')
        if $check->{query} ne '';
    while (my ($key, $value) = splice @args, 0, 2) {
        push @words, "$key=" . uri($value);
    }
    return "/select/logsql/$path?" . join '&', @words;
}

sub rows_of {
    my ($body) = @_;

    return [map { $json->encode($json->decode($_)) } split /\n/, $body];
}

sub wanted_rows {
    my ($text) = @_;
    my $list = JSON::PP->new;

    return [map { $json->encode($list->decode($_)) }
        grep { /\S/ } split /\n/, $text];
}

# The short names of the spans of an answer.
sub ids_of {
    my ($body) = @_;

    return [map { $json->decode($_)->{span_id} =~ /^0*(\w+)$/ }
        split /\n/, $body];
}

sub wanted_ids {
    my ($text) = @_;

    $text = 'a1 a2 b1 b2 c1 c2' if $text eq 'all';
    $text = '' if $text eq '-';
    return [split ' ', $text];
}

# What came and what must come, in a form that can be compared.
sub both {
    my ($kind, $body, $want) = @_;

    return [sort @{ids_of($body)}], wanted_ids($want) if $kind eq 'ids';
    return ids_of($body), wanted_ids($want) if $kind eq 'order';
    return rows_of($body), wanted_rows($want) if $kind eq 'list';
    return [sort @{rows_of($body)}], [sort @{wanted_rows($want)}]
        if $kind eq 'rows';
    return $json->decode($body), JSON::PP->new->decode($want)
        if $kind eq 'json';
    return $json->decode($body)->{query}, $want;
}

sub check_one {
    my ($name, $check) = @_;
    my ($kind, $want) = @$check{qw(kind want)};

    $name .= ': ' . ($check->{query} || join ' ', $check->{path},
        @{$check->{args}});
    $name =~ s/\n/ /g;
    return check_tail($name, $check) if $kind eq 'tail';
    my $reply = $spoor->get(url($check, $kind eq 'canon' ? 'parse'
        : $check->{path}, $kind =~ /^(?:ids|order)$/ ? ' | fields span_id'
        : ''), $check->{headers});
    if ($kind eq 'status') {
        my ($status, $like) = split / /, $want, 2;
        is $reply->{status}, $status, $name or diag $reply->{body};
        like $reply->{body}, qr/$like/, "$name: text" if defined $like;
        return;
    }
    is $reply->{status}, 200, $name or return diag $reply->{body};
    my ($got, $expect) = both($kind, $reply->{body}, $want);
    is_deeply $got, $expect, $name or diag $reply->{body};
    return;
}

# The first names of a stream that does not end.
sub check_tail {
    my ($name, $check) = @_;
    my $socket = $spoor->connect;
    my $select = IO::Select->new($socket);
    my @want = split /;/, $check->{want};
    my ($data, $until, @got) = ('', time() + 10);

    print $socket 'GET ' . url($check, 'tail')
        . " HTTP/1.1\r\nHost: a\r\n\r\n";
    while (@got < @want && time() < $until) {
        next unless $select->can_read(0.1);
        sysread $socket, $data, 65536, length $data or last;
        @got = $data =~ /"name":"([^"]+)"/g;
    }
    like $data, qr{^HTTP/1\.1 200 .*^Content-Type: application/x-ndjson}msi,
        "$name: head";
    is_deeply \@got, \@want, $name;
    ok !$select->can_read(0.2) || sysread($socket, $data, 1),
        "$name: goes on";
    return;
}
