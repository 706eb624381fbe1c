# SPDX-License-Identifier: BSD-2-Clause
#
# What editors and proxies ask beside rows: /parse, /registry,
# /query_time_range, /select/tenant_ids.

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
    my ($path, %arg) = @_;
    my $reply = $spoor->get("/select/$path?" . join '&',
        map { "$_=" . uri($arg{$_}) } sort keys %arg);

    return ($reply->{status}, $reply->{status} == 200
        ? $json->decode($reply->{body}) : $reply->{body});
}

sub answer {
    my ($status, $answer) = ask(@_);

    is $status, 200, "@_";
    return $answer;
}

# --- parse -----------------------------------------------------------------------

my $got = answer('logsql/parse', query => 'name:in(a,"ü b") and !kind:=3 '
    . '| stats by (kind) sum(duration) s|LIMIT 5');
is $got->{status}, 'success', 'a query';
is answer('logsql/parse', query => $got->{query})->{query}, $got->{query},
    'canonical text';
is join(' ', map { $_->{kind} } @{$got->{tokens}}),
    'field sign filter sign word sign string sign keyword sign field sign '
    . 'sign number sign pipe keyword sign word sign function sign word sign '
    . 'word sign pipe number', 'kinds of tokens';
is_deeply [map { [@$_{qw(position length)}] } @{$got->{tokens}}[6 .. 8]],
    [[11, 5], [16, 1], [18, 3]], 'places are those of characters';

for my $case (['* | stats cuont()', 11, qr/did you mean 'count'/],
    ['name:"', 6, qr/./], ['', 1, qr/./], ['ü | limit x', 11, qr/number/]) {
    my ($query, $position, $text) = @$case;

    $got = answer('logsql/parse', query => $query);
    is $got->{status}, 'error', "an error: $query";
    is $got->{error}{position}, $position, "where: $query"
        or diag $got->{error}{text};
    like $got->{error}{text}, $text, "what: $query";
    unlike $got->{error}{text}, qr/^position/, 'the place is apart';
    is ref $got->{tokens}, 'ARRAY', 'tokens as far as they go';
}
is $spoor->post('/select/logsql/parse', 'query=' . 'a' x 20_000, {
    'Content-Type' => 'application/x-www-form-urlencoded' })->{status}, 400,
    'a long query';

# --- registry ---------------------------------------------------------------------

$got = answer('logsql/registry');
for my $kind (qw(filters pipes functions)) {
    cmp_ok scalar @{$got->{$kind}}, '>', 10, $kind;
    is scalar(grep { !length $_->{doc} } @{$got->{$kind}}), 0,
        "$kind say what they do";
    for my $entry (grep { $_->{ready} } @{$got->{$kind}}) {
        is answer('logsql/parse', query => $entry->{example})->{status},
            'success', "example of $entry->{name}";
    }
}
is_deeply [map { $_->{aliases} } grep { $_->{name} eq 'delete' }
    @{$got->{pipes}}], [[qw(del rm drop)]], 'aliases';

# --- query_time_range -------------------------------------------------------------

is_deeply answer('logsql/query_time_range', query => '*'), {
    start => '1677-09-21T00:12:43.145224192Z',
    end => '2262-04-11T23:47:16.854775807Z',
    hasTimeFilter => JSON::PP::false }, 'no times';
is_deeply answer('logsql/query_time_range', start => '2026-03-01T10:00:00Z',
    end => '2026-03-01T11:00:00Z',
    query => '_time:>=2026-03-01T10:30:00Z | count()'), {
    start => '2026-03-01T10:30:00Z', end => '2026-03-01T11:00:00.999999999Z',
    hasTimeFilter => JSON::PP::true }, 'times of both';
is_deeply answer('logsql/query_time_range', start => '2026-03-01T10:00:00Z',
    query => '*')->{hasTimeFilter}, JSON::PP::false, 'of arguments alone';
is((ask('logsql/query_time_range', query => '('))[0], 400, 'a bad query');

# --- tenants ----------------------------------------------------------------------

post_traces($spoor, resource_spans('a', otlp_span(name => 'x')));
post_traces($spoor, resource_spans('b', otlp_span(name => 'x')), [@$_])
    for [AccountID => 7], [AccountID => 7, ProjectID => 3],
    [AccountID => 4294967295, ProjectID => 1];
in_all_states($spoor, sub {
    my ($where) = @_;

    is_deeply [map { "$_->{account_id}:$_->{project_id}" }
        @{answer('tenant_ids')}], [qw(0:0 7:0 7:3 4294967295:1)],
        "$where: tenants";
});
is_deeply answer('tenant_ids', start => '2020-01-01', end => '2020-01-02'),
    [], 'none so long ago';
for my $header ('AccountID', 'ProjectID') {
    is $spoor->get('/select/tenant_ids', { $header => 0 })->{status}, 403,
        "not for requests with $header";
}
is((ask('tenant_ids', start => 'x'))[0], 400, 'a bad time');

$spoor->stop;
done_testing;
