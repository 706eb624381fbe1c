# SPDX-License-Identifier: BSD-2-Clause
#
# What a request says of all its spans, in LogsQL: extra fields are fields
# like others, and declared stream fields are labels of streams.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $spoor = Test::Spoor->new;
my $json = JSON::PP->new->utf8;

$spoor->start;

sub ask {
    my ($path, $tenant, %args) = @_;
    my $words = join '&', map { uri($_) . '=' . uri($args{$_}) } keys %args;
    my $reply = $spoor->get("/select/logsql/$path?$words",
        { AccountID => $tenant });

    is $reply->{status}, 200, "$path $args{query}" or diag $reply->{body};
    return $reply->{body};
}

sub rows {
    my ($query, $tenant) = @_;
    my $body = ask('query', $tenant || 0, query => $query);

    return [map { $json->decode($_) } split /\n/, $body];
}

# Names of the spans found, in order.
sub names {
    my ($filter, $tenant) = @_;

    return join ' ', sort map { $_->{name} }
        @{rows("$filter | fields name", $tenant)};
}

sub values_of {
    my ($path, %args) = @_;

    return join ' ', sort map { "$_->{value}:$_->{hits}" }
        @{$json->decode(ask($path, 0, %args))->{values}};
}

sub spans {
    my ($name, $n) = @_;

    return resource_spans(['service.name' => 'shop', host => 'h1'],
        map { otlp_span(name => $name, kind => 2,
            attributes => attributes(user => "u$_", env => 'inner')) } 1 .. $n);
}

my %plain = (_stream => '{name="plain",resource_attr:service.name="shop"}');

post_traces($spoor, spans('plain', 2));
post_traces($spoor, spans('extra', 2), ['VT-Extra-Fields' => 'env=prod']);
post_traces($spoor, spans('both', 2), [
    'VT-Extra-Fields' => "env=prod,zone=a \"b\"\\\tc",
    'VT-Stream-Fields' => 'env,zone,nothing,name']);
post_traces($spoor, spans('users', 2), ['VT-Extra-Fields' => 'env=dev',
    'VT-Stream-Fields' => 'env,span_attr:user,resource_attr:host,kind']);
post_traces($spoor, spans('other', 1), ['AccountID' => 7,
    'VT-Extra-Fields' => 'env=prod,secret=1', 'VT-Stream-Fields' => 'env']);

my $both = '{env="prod",name="both",resource_attr:service.name="shop",'
    . 'zone="a \\"b\\"\\\\\\tc"}';
my @users = map { '{env="dev",kind="2",name="users",resource_attr:host="h1",'
    . "resource_attr:service.name=\"shop\",span_attr:user=\"u$_\"}" } 1, 2;

# [filter, names of the spans it finds]
my @filters = (
    ['env:=prod', 'both both extra extra'],
    ['env:pro*', 'both both extra extra'],
    ['env:in(dev, test)', 'users users'],
    ['env:=test', ''],
    ['env:""', 'plain plain'],
    ['!env:=prod', 'plain plain users users'],
    ['env:=dev "span_attr:user":=u1', 'users'],
    ['env:eq_field(name)', ''],
    ['{env="prod"}', 'both both'],
    ['{env="inner"}', ''],
    ['{env="dev",name="users"}', 'users users'],
    ['{env=""}', 'extra extra plain plain'],
    ['{env!=""}', 'both both users users'],
    ['{env=~"d.*"}', 'users users'],
    ['{env!~"d.*"}', 'both both extra extra plain plain'],
    ['{env in ("dev","prod")}', 'both both users users'],
    ['{env="prod" or span_attr:user="u2"}', 'both both users'],
    ['{span_attr:user="u1"}', 'users'],
    ['{kind="2"}', 'users users'],
    ['{resource_attr:host="h1"}', 'users users'],
    ['{zone="a \"b\"\\\\\tc"}', 'both both'],
    ['{nothing!=""}', ''],
    ['!{env="prod"}', 'extra extra plain plain users users'],
);

in_all_states($spoor, sub {
    my ($where) = @_;

    for my $case (@filters) {
        my ($filter, $want) = @$case;

        is names($filter), $want, "$where: $filter";
        is names("* | $filter"), $want, "$where: later, $filter";
        # Without the fields the text of the stream is asked.
        is names("* | fields name, _stream | filter $filter"), $want,
            "$where: by _stream, $filter" if $filter =~ /^!?\{/;
        my @found = split ' ', $want;
        is rows("$filter | stats count() n")->[0]{n} // 0, scalar @found,
            "$where: counted, $filter";
        is rows("* | stats count() if ($filter) n")->[0]{n}, scalar @found,
            "$where: counted if $filter";
    }
    is_deeply [sort map { $_->{_stream} } @{rows('env:=dev | fields _stream')}],
        \@users, "$where: _stream";
    is_deeply [map { $_->{_stream} } @{rows('name:=both | fields _stream')}],
        [$both, $both], "$where: texts are quoted";
    is_deeply rows('name:=plain | fields _stream'), [(\%plain) x 2],
        "$where: others have their two labels";
    my ($row) = @{rows('"span_attr:user":=u1 name:=users')};
    is "$row->{env} $row->{'span_attr:env'} $row->{_stream}",
        "dev inner $users[0]", "$where: all fields of a row";
    is names("_stream_id:$row->{_stream_id}"), 'users', "$where: _stream_id";
    is join(' ', map { ($_->{env} // '') . ":$_->{n}" }
        @{rows('* | stats by (env) count() n | sort by (env)')}),
        ':2 dev:2 prod:4', "$where: stats by an extra field";
    is join(' ', map { "$_->{env}:$_->{kind}:$_->{n}" } @{rows('* | stats by '
        . '(env, kind, "span_attr:user") count() n | filter env:=dev')}),
        'dev:2:1 dev:2:1', "$where: stats by it and others";
    is scalar @{rows('* | stats by (_stream) count() n')}, 5,
        "$where: stats by _stream";
    is rows('* | stats count_uniq(env) n')->[0]{n}, 2, "$where: count_uniq";
    is values_of('field_values', query => '*', field => 'env'),
        ':2 dev:2 prod:4', "$where: field_values";
    is values_of('field_values', query => '*', field => 'zone'),
        ":6 a \"b\"\\\tc:2", "$where: field_values of few";
    is join(' ', grep { /^(?:env|zone|secret|name):/ } split ' ',
        values_of('field_names', query => '*')), 'env:6 name:8 zone:2',
        "$where: field_names";
    is values_of('streams', query => '{env="dev"}'),
        join(' ', map { "$_:1" } @users), "$where: streams";
    is scalar(split ' ', values_of('stream_ids', query => '*')), 5,
        "$where: stream_ids";
    is names('secret:*'), '', "$where: another tenant's field";
    is names('{env="prod"}', 7), 'other', "$where: its own";
});

$spoor->stop;
done_testing;
