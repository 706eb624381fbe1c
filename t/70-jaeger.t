# SPDX-License-Identifier: BSD-2-Clause
#
# The Jaeger query API: services, operations, search, traces by id.  What is
# asked once is asked again from parts, after a restart and after a crash, and
# the answers are the same to the byte.

use strict;
use warnings;
use utf8;

use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time);

binmode $_, ':utf8' for Test::More->builder->output,
    Test::More->builder->failure_output;

my $api = '/select/jaeger/api';
my $spoor = Test::Spoor->new;
$spoor->start;

# Whole microseconds make the arithmetic below exact.
my $now_us = int(time() * 1e6);
my $second_us = 1_000_000;

# A span that starts $ago seconds before now and takes $ms.
sub at {
    my ($ago, $ms, %span) = @_;
    my $start = $now_us - $ago * $second_us;

    return otlp_span(startTimeUnixNano => "${start}000",
        endTimeUnixNano => ($start + $ms * 1000) . '000', %span);
}

sub get { return $spoor->get("$api/$_[0]", $_[1]) }
sub trace_get { return get("traces/$_[0]", $_[1]) }

# An error: status, and Jaeger's envelope around a message.
sub is_envelope {
    my ($reply, $status, $name) = @_;
    my $answer = eval { JSON::PP->new->utf8->decode($reply->{body}) } || {};

    is $reply->{status}, $status, "$name: $status";
    ok exists $answer->{data} && !defined $answer->{data}, "$name: no data";
    is ref $answer->{errors}, 'ARRAY', "$name: a list of errors";
    is $answer->{errors}[0]{code}, $status, "$name: code";
    ok length($answer->{errors}[0]{msg} || ''),
        "$name: " . ($answer->{errors}[0]{msg} || '');
    return $answer;
}

sub sent {
    my ($reply, $name) = @_;

    is $reply->{status}, 200, "sent: $name";
    is $reply->{body}, '{}', "sent: $name: nothing rejected";
    return;
}

# --- an empty store ----------------------------------------------------------

is json_text($spoor->get_json("$api/services")), '{"data":[],"errors":null,'
    . '"limit":0,"offset":0,"total":0}', 'no services: an empty list';
is json_text($spoor->get_json("$api/services/none/operations")->{data}),
    '[]', 'no operations';
is json_text($spoor->get_json("$api/traces?service=none")->{data}), '[]',
    'no traces';

# --- what is stored ----------------------------------------------------------

my @services = ('shop', 'shop/eu', 'wei%20rd', 'a b+c', 'ünï ☕', '.', '..',
    '"q"\\', 'x' x 300);
my $n = 0;
for my $service (@services) {
    $n++;
    sent(post_traces($spoor, resource_spans($service,
        at(300 - $n, 5, name => "GET /$n", kind => 2),
        at(300 - $n, 4, name => "op/ä?&=%41 $n", kind => 3),
        at(300 - $n, 3, name => "GET /$n", kind => 1))), $service);
}

# Ten traces of one service, of two spans each, one of them of another.
my @ids;
for my $i (1 .. 10) {
    my $id = sprintf '%032x', 0xabc000 + $i;
    push @ids, $id;
    sent(post_traces($spoor,
        resource_spans('finder', at(100 - $i, 20, traceId => $id,
            name => $i % 2 ? 'odd' : 'even', spanId => "00000000000000$i" . 0 x
                (2 - length $i))),
        resource_spans('helper', at(100 - $i, 10, traceId => $id,
            name => 'inner'))), "trace $i");
}

# The same trace id of two tenants.
my $shared = 'feedfacefeedfacefeedfacefeedface';
for my $account (0, 7) {
    sent(post_traces($spoor, resource_spans("tenant $account",
        at(50, 1, traceId => $shared, spanId => '00000000000000aa',
            name => "of $account")), [AccountID => $account]),
        "tenant $account");
}
sent(post_traces($spoor, resource_spans('tenant 7:9',
    at(50, 1, traceId => $shared, name => 'of 7:9')),
    [AccountID => 7, ProjectID => 9]), 'tenant 7:9');

# Every field.
my $full = '5b8efff798038103d269b633813fc60c';
my $other = '00000000000000000123456789abcdef';
sent(post_traces($spoor,
    resource_spans(['service.name' => 'full', 'host.name' => 'n1',
        'host.cpus' => { intValue => '8' }, 'empty' => '',
        'labels' => { kvlistValue => { values => attributes(
            team => 'a', deep => { kvlistValue => { values => attributes(
                er => { boolValue => JSON::PP::true }) } }) } } ],
        at(20, 250, traceId => $full, spanId => 'eee19b7ec3c1b174',
            name => 'POST /cart', kind => 2, flags => 257,
            traceState => 'rojo=1',
            scope => { name => 'cart.http', version => '3.1',
                attributes => attributes(layer => 'rpc') },
            attributes => attributes(
                's' => 'text', 'empty' => '', 'uni' => 'Grüße ☕',
                'ctl' => "\x{1}\n\"\\</script>",
                'i' => { intValue => '503' },
                'big' => { intValue => '9223372036854775807' },
                'small' => { intValue => '-9223372036854775808' },
                'exact' => { intValue => '9007199254740991' },
                'd' => { doubleValue => 0.5 },
                'whole' => { doubleValue => 3 },
                'yes' => { boolValue => JSON::PP::true },
                'no' => { boolValue => JSON::PP::false },
                'bytes' => { bytesValue => 'AAEC/w==' },
                'list' => { arrayValue => { values => [
                    { stringValue => 'a' }, { intValue => '2' },
                    { doubleValue => 1.5 }, { boolValue => JSON::PP::true },
                    { stringValue => '' } ] } },
                'none' => { arrayValue => { values => [] } },
                'map' => { kvlistValue => { values => attributes(
                    a => { intValue => '1' }, b => '',
                    c => { kvlistValue => { values => attributes(
                        d => 'x') } },
                    e => { arrayValue => { values => [
                        { intValue => '1' } ] } }) } },
                'unset' => {}),
            status => { code => 2, message => 'upstream refused' },
            events => [
                { timeUnixNano => ($now_us - 19 * $second_us) . '999',
                    name => 'retry', attributes => attributes(
                        n => { intValue => '3' }, why => '',
                        m => { kvlistValue => { values => attributes(
                            a => 'x') } }) },
                { timeUnixNano => ($now_us - 18 * $second_us) . '000' },
            ],
            links => [
                { traceId => $other, spanId => 'c103b7cc875b3226',
                    attributes => attributes(k => 'v') },
                { traceId => $other, spanId => 'c103b7cc875b3227',
                    attributes => attributes(
                        'opentracing.ref_type' => 'child_of') },
            ])),
    resource_spans(['host.name' => 'n2'],
        at(20, 100, traceId => $full, spanId => 'aaaaaaaaaaaaaaaa',
            parentSpanId => 'eee19b7ec3c1b174', name => '', kind => 0,
            status => { code => 1 }),
        at(19, 100, traceId => $full, spanId => 'aaaaaaaaaaaaaaab',
            parentSpanId => 'eee19b7ec3c1b174', name => 'follows',
            links => [{ traceId => $full, spanId => 'eee19b7ec3c1b174' }])),
    resource_spans(['host.name' => 'n2'],
        at(18, 100, traceId => $full, spanId => 'aaaaaaaaaaaaaaac',
            parentSpanId => '0000000000000001', name => 'orphan'))),
    'every field');
sent(post_traces($spoor, resource_spans('short', at(10, 1,
    traceId => $other, spanId => 'c103b7cc875b3226', name => 'short id'))),
    'an id with a zero half');

sent(post_traces($spoor, resource_spans('', at(9, 1, name => 'empty'))),
    'an empty service name');

# --- checks ------------------------------------------------------------------

my %first; # path => answer from memory

# The answer must be the same as the first time.
sub is_same {
    my ($path, $where, $headers) = @_;
    my $key = join ' ', $path, %{$headers || {}};
    my $body = get($path, $headers)->{body};

    if (!defined $first{$key}) {
        $first{$key} = $body;
        return;
    }
    ok $body eq $first{$key}, "$where: the same answer: $path"
        or diag("first: $first{$key}\nnow:   $body");
    return;
}

sub check_names {
    my ($where) = @_;

    my @want = sort map { my $s = $_; utf8::encode($s); $s } @services,
        'finder', 'helper', 'full', 'short', 'tenant 0', '-';
    my @got = jaeger_names($spoor);
    is_deeply [sort map { my $s = $_; utf8::encode($s); $s } @got], \@want,
        "$where: services";
    is_deeply [jaeger_names($spoor, undef, { AccountID => 7 })],
        ['tenant 7'], "$where: services of a tenant";
    is_deeply [jaeger_names($spoor, undef, { AccountID => 7,
        ProjectID => 9 })], ['tenant 7:9'], "$where: and of a project";
    my $i = 0;
    for my $service (@services) {
        $i++;
        my $ops = ["GET /$i", "op/ä?&=%41 $i"];
        # An escaped dot is a dot: a path of it is made shorter.
        is_deeply [jaeger_names($spoor, $service)], $ops,
            "$where: operations of $i" if $service !~ /^\.+$/;
        my $twice = uri(uri($service));
        is_deeply $spoor->get_json("$api/services/$twice/operations")
            ->{data}, $ops, "$where: operations of $i, escaped twice";
    }
    is_deeply $spoor->get_json("$api/services/shop%2Feu/operations")->{data},
        ['GET /2', 'op/ä?&=%41 2'], "$where: %2F";
    is_deeply $spoor->get_json("$api/services/shop%2feu/operations")->{data},
        ['GET /2', 'op/ä?&=%41 2'], "$where: %2f";
    is_deeply $spoor->get_json("$api/services/shop%252Feu/operations")
        ->{data}, ['GET /2', 'op/ä?&=%41 2'], "$where: %252F";
    is_deeply [jaeger_names($spoor, '-')], ['empty'],
        "$where: an empty name is shown as -";
    is_deeply [jaeger_names($spoor, 'tenant 7')], [],
        "$where: no operations of another tenant";
    return;
}

# Ids that the API prints: 16 digits when the high half is zero.
sub shown { return map { s/^0{16}//r } @_ }

sub check_search {
    my ($where) = @_;
    my @newest = shown(reverse @ids);
    my @odd = grep { hex(substr $_, -2) % 2 } @newest;
    my $us = sub { return $now_us + $_[0] * $second_us };

    is_deeply [find_traces($spoor, service => 'finder')], \@newest,
        "$where: newest first";
    is_deeply [find_traces($spoor, service => 'finder', limit => 3)],
        [@newest[0 .. 2]], "$where: limit";
    is_deeply [find_traces($spoor, service => 'finder', limit => 0)],
        \@newest, "$where: limit 0 is the default";
    is_deeply [find_traces($spoor, service => 'finder', operation => 'odd')],
        \@odd, "$where: operation";
    is_deeply [find_traces($spoor, service => 'finder', operation => 'inner')],
        [], "$where: operation of another service";
    is_deeply [find_traces($spoor, service => 'finder', operation => '',
        minDuration => '', maxDuration => '', tags => '{}', lookback => '1h')],
        \@newest, "$where: empty arguments are ignored";
    is_deeply [find_traces($spoor, service => 'finder', start => $us->(-95.5),
        end => $us->(-92.5))], [@newest[3 .. 5]], "$where: start and end"
        or diag join ' ', find_traces($spoor, service => 'finder',
        start => $us->(-95.5), end => $us->(-92.5));
    # Spans of 20 ms that start at whole seconds.
    is_deeply [find_traces($spoor, service => 'finder',
        start => $us->(-93) + 20000, end => $us->(-93) + 20000)],
        [$newest[3]], "$where: both ends count";
    is_deeply [find_traces($spoor, service => 'finder',
        start => $us->(-93) + 20001, end => $us->(-92) + 19999)], [],
        "$where: between two";
    is_deeply [find_traces($spoor, service => 'finder', end => $us->(-1000))],
        [], "$where: before all";
    is_deeply [find_traces($spoor, service => 'nobody')], [],
        "$where: unknown service";
    my $whole = $spoor->get_json("$api/traces?service=finder&limit=1");
    is scalar @{$whole->{data}[0]{spans}}, 2, "$where: whole traces";
    is $whole->{total}, 1, "$where: total";
    is scalar(my @all = find_traces($spoor, service => 'ünï ☕')), 3,
        "$where: names with all bytes";
    is scalar(my @found = find_traces($spoor, service => 'a b+c',
        operation => 'op/ä?&=%41 4')), 1, "$where: escaped arguments";
    is_deeply [find_traces($spoor, service => 'tenant 7')], [],
        "$where: search stays in its tenant";
    is scalar @{$spoor->get_json("$api/traces?service=tenant+7",
        { AccountID => 7 })->{data}}, 1, "$where: search in a tenant";
    is_same('traces?service=finder', $where);
    return;
}

sub check_ids {
    my ($where) = @_;

    is jaeger_trace($spoor, $full)->{traceID}, $full, "$where: 32 digits";
    is jaeger_trace($spoor, uc $full)->{traceID}, $full, "$where: upper case";
    for my $id ($other, substr($other, 16), '123456789abcdef',
        '0123456789ABCDEF') {
        is jaeger_trace($spoor, $id)->{traceID}, substr($other, 16),
            "$where: $id";
    }
    is jaeger_trace($spoor, $shared)->{spans}[0]{operationName}, 'of 0',
        "$where: tenant 0";
    is jaeger_trace($spoor, $shared, { AccountID => 7 })
        ->{spans}[0]{operationName}, 'of 7', "$where: tenant 7";
    is_envelope(trace_get($full, { AccountID => 7 }), 404,
        "$where: of another tenant");
    my $none = is_envelope(trace_get('1' x 32), 404, "$where: unknown id");
    is $none->{errors}[0]{msg}, 'trace not found', "$where: Jaeger's words";
    is_same("traces/$full", $where);
    is_same("traces/$shared", $where, { AccountID => 7, ProjectID => 9 });

    my $many = $spoor->get_json("$api/traces?traceID=$full&traceID="
        . '1' x 32 . "&traceID=123456789abcdef");
    is_deeply [map { $_->{traceID} } @{$many->{data}}],
        [$full, substr($other, 16)], "$where: several ids";
    is $many->{total}, 2, "$where: several ids: total";
    is_deeply $many->{errors}, [{ code => 404, msg => 'trace not found',
        traceID => '1' x 32 }], "$where: several ids: the missing one";
    return;
}

sub check_span {
    my ($where) = @_;
    my $trace = jaeger_trace($spoor, $full);
    my %span = map { $_->{spanID} => $_ } @{$trace->{spans}};
    my $span = $span{eee19b7ec3c1b174};
    my $us = $now_us - 20 * $second_us;

    is scalar keys %span, 4, "$where: four spans";
    is join(' ', @$span{qw(traceID operationName startTime duration flags)}),
        "$full POST /cart $us 250000 1", "$where: names and times";
    my %got = %{tags($span->{tags})};
    my %want = (
        'otel.scope.name' => ['string', 'cart.http'],
        'otel.scope.version' => ['string', '3.1'],
        'scope_attr:layer' => ['string', 'rpc'],
        's' => ['string', 'text'],
        'empty' => ['string', '-'],
        'uni' => ['string', 'Grüße ☕'],
        'ctl' => ['string', "\x{1}\n\"\\</script>"],
        'i' => ['int64', 503],
        'big' => ['int64', '9223372036854775807'],
        'small' => ['int64', '-9223372036854775808'],
        'exact' => ['int64', 9007199254740991],
        'd' => ['float64', 0.5],
        'whole' => ['float64', 3],
        'yes' => ['bool', JSON::PP::true],
        'no' => ['bool', JSON::PP::false],
        'bytes' => ['binary', 'AAEC/w=='],
        'list' => ['string', '["a",2,1.5,true,""]'],
        'none' => ['string', '[]'],
        'map.a' => ['int64', 1],
        'map.b' => ['string', '-'],
        'map.c.d' => ['string', 'x'],
        'map.e' => ['string', '[1]'],
        'span.kind' => ['string', 'server'],
        'otel.status_code' => ['string', 'ERROR'],
        'error' => ['bool', JSON::PP::true],
        'otel.status_description' => ['string', 'upstream refused'],
        'w3c.tracestate' => ['string', 'rojo=1'],
    );
    my %keys = (%got, %want);
    for my $key (sort keys %keys) {
        is json_text($got{$key}), json_text($want{$key}), "$where: tag $key";
    }
    is json_text($span->{references}), json_text([
        { refType => 'FOLLOWS_FROM', traceID => substr($other, 16),
            spanID => 'c103b7cc875b3226' },
        { refType => 'CHILD_OF', traceID => substr($other, 16),
            spanID => 'c103b7cc875b3227' }]), "$where: links";
    is json_text($span{aaaaaaaaaaaaaaaa}{references}), json_text([
        { refType => 'CHILD_OF', traceID => $full,
            spanID => 'eee19b7ec3c1b174' }]), "$where: a parent";
    is json_text($span{aaaaaaaaaaaaaaab}{references}), json_text([
        { refType => 'FOLLOWS_FROM', traceID => $full,
            spanID => 'eee19b7ec3c1b174' }]), "$where: a link to the parent";
    is $span{aaaaaaaaaaaaaaac}{references}[0]{spanID}, '0000000000000001',
        "$where: a parent that is not there";
    is json_text($span{aaaaaaaaaaaaaaaa}{tags}), json_text([
        { key => 'span.kind', type => 'string', value => '' },
        { key => 'otel.status_code', type => 'string', value => 'OK' }]),
        "$where: neither kind nor attributes";
    is $span{aaaaaaaaaaaaaaaa}{operationName}, '', "$where: no name";
    is json_text($span->{logs}), json_text([
        { timestamp => $now_us - 19 * $second_us, fields => [
            { key => 'event', type => 'string', value => 'retry' },
            { key => 'n', type => 'int64', value => 3 },
            { key => 'why', type => 'string', value => '-' },
            { key => 'm.a', type => 'string', value => 'x' }] },
        { timestamp => $now_us - 18 * $second_us, fields => [] }]),
        "$where: logs";
    return check_processes($where, $trace, \%span);
}

sub check_processes {
    my ($where, $trace, $span) = @_;
    my $p = $trace->{processes};

    is scalar keys %$p, 2, "$where: equal resources are one process";
    is json_text($p->{$span->{eee19b7ec3c1b174}{processID}}), json_text({
        serviceName => 'full', tags => [
            { key => 'host.name', type => 'string', value => 'n1' },
            { key => 'host.cpus', type => 'int64', value => 8 },
            { key => 'empty', type => 'string', value => '-' },
            { key => 'labels.team', type => 'string', value => 'a' },
            { key => 'labels.deep.er', type => 'bool',
                value => JSON::PP::true }] }), "$where: process";
    is $span->{aaaaaaaaaaaaaaaa}{processID}, $span->{aaaaaaaaaaaaaaac}
        {processID}, "$where: process shared";
    is $p->{$span->{aaaaaaaaaaaaaaaa}{processID}}{serviceName}, '',
        "$where: no service.name";
    is $trace->{warnings}, undef, "$where: no warnings";
    return;
}

in_all_states($spoor, sub {
    my ($where) = @_;

    check_names($where);
    check_search($where);
    check_ids($where);
    check_span($where);
});

# --- refusals ----------------------------------------------------------------

is_envelope(get('traces'), 400, 'no service');
is_envelope(get('traces?service='), 400, 'empty service');
is_envelope(get('traces?service=a&limit=1001'), 400, 'limit too large');
is get('traces?service=a&limit=1000')->{status}, 200, 'the largest limit';
is_envelope(get("traces?service=a&limit=$_"), 400, "limit $_")
    for qw(-1 x 1.5 99999999999999999999);
is_envelope(get("traces?service=a&start=$_"), 400, "start $_")
    for qw(x 1e6 99999999999999999999);
is_envelope(get('traces?service=a&end=now'), 400, 'end now');
is_envelope(get('traces?traceID=xyz'), 400, 'traceID xyz');
is_envelope(get('traces?' . join '&', map { "traceID=$_" } 1 .. 101), 400,
    '101 ids');
is get('traces?' . join '&', map { "traceID=$_" } 1 .. 100)->{status}, 200,
    '100 ids';
for my $id ('x', 'g' x 32, '1' x 33, '0x12', '12%2F34', '-1') {
    is_envelope(trace_get($id), 400, "id $id");
}
for my $bad ('services/%/operations', 'services/%zz/operations') {
    ok get($bad)->{status} == 400, "$bad: 400";
}
is get('services', { AccountID => 'x' })->{status}, 400, 'bad AccountID';
is $spoor->post("$api/services", '')->{status}, 405, 'POST';
is trace_get('%00')->{status}, 400, 'a zero byte';
is_deeply $spoor->get_json("$api/services/shop/eu/operations")->{data},
    ['GET /2', 'op/ä?&=%41 2'], 'a slash that is not escaped';
is get('nothing')->{status}, 404, 'unknown path';
is get('traces/')->{status}, 404, 'no id';

done_testing;
