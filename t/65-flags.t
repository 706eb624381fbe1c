# SPDX-License-Identifier: BSD-2-Clause
#
# Flags of queries: each does what it says.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor qw(spoorctl_bin run_command);
use Test::Traces;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8;

# Spans that ended so many seconds ago; each has a service of its own.
sub load {
    my ($spoor, @ago) = @_;

    for my $ago (@ago) {
        my $ns = sprintf '%d000000000', time() - $ago;
        is post_traces($spoor, resource_spans("s$ago", otlp_span(
            name => "ago$ago", startTimeUnixNano => $ns,
            endTimeUnixNano => $ns)))->{status}, 200, "$ago seconds ago";
    }
    return;
}

sub server {
    my ($args, @ago) = @_;
    my $spoor = Test::Spoor->new(args => ['-workers=1', @$args],
        conf => { 'storage.retention' => '30d' });

    $spoor->start;
    load($spoor, @ago);
    return $spoor;
}

sub ask {
    my ($spoor, $path, %arg) = @_;

    return $spoor->get("/select/$path?" . join '&',
        map { "$_=" . uri($arg{$_}) } sort keys %arg);
}

# Names of the spans of a query.
sub names {
    my ($spoor, $query, %arg) = @_;
    my $reply = ask($spoor, 'logsql/query', query => $query, %arg);

    is $reply->{status}, 200, $query or diag $reply->{body};
    return join ' ', sort map { $json->decode($_)->{name} }
        split /\n/, $reply->{body};
}

sub data { return $json->decode($_[0]{body})->{data} }

sub services {
    my ($spoor) = @_;

    return join ' ', @{data(ask($spoor, 'jaeger/api/services'))};
}

# --- search.latencyOffset --------------------------------------------------------

{
    my $spoor = server(['-search.latencyOffset=1m'], 10, 100);
    my $now = int time;

    is names($spoor, '*'), 'ago100', 'the newest are hidden';
    is names($spoor, '*', disable_latency_offset => 'true'),
        'ago10 ago100', 'not from those who say so';
    is names($spoor, '*', start => $now - 3600, end => $now + 60), 'ago100',
        'whatever the end';
    is names($spoor, '*', end => $now - 80), 'ago100', 'an earlier end counts';
    is names($spoor, 'trace_id:in(* | fields trace_id)'), 'ago100',
        'and in subqueries';
    is ask($spoor, 'logsql/query', query => '*',
        disable_latency_offset => 'x')->{status}, 400, 'a wrong word';
    my $stats = $json->decode(ask($spoor, 'logsql/stats_query',
        query => '* | stats count() n')->{body});
    is $stats->{data}{result}[0]{value}[1], '1', 'stats_query';
    my $hits = $json->decode(ask($spoor, 'logsql/hits', query => '*',
        step => '1d')->{body});
    is $hits->{hits}[0]{total}, 1, 'hits';
    my $range = $json->decode(ask($spoor, 'logsql/query_time_range',
        query => '*', start => $now - 3600, end => $now)->{body});
    like $range->{end}, qr/^20/, 'query_time_range answers';
    is $range->{end}, $json->decode(ask($spoor, 'logsql/query_time_range',
        query => '*', start => $now - 3600, end => $now,
        disable_latency_offset => 1)->{body})->{end}, 'and is not changed';
    for my $service (['s10', 0], ['s100', 1]) {
        my $found = data(ask($spoor, 'jaeger/api/traces',
            service => $service->[0]));
        is scalar @$found, $service->[1], "search: $service->[0]";
    }
    is services($spoor), 's10 s100', 'services are all named';
    $spoor->stop;
}

# --- search.maxQueryTimeRange -----------------------------------------------------

{
    my $spoor = server(['-search.maxQueryTimeRange=2d'], 10);
    my $now = int time;
    my $is_too_wide = sub {
        my ($name, $path, $status, %arg) = @_;
        my $reply = ask($spoor, $path, query => '*', %arg);

        is $reply->{status}, $status, $name;
        like $reply->{body}, qr/search\.max_query_time_range \(2d\)/,
            "$name: it says so";
    };

    $is_too_wide->('no range', 'logsql/query', 400);
    $is_too_wide->('3 days', 'logsql/query', 400, start => $now - 3 * 86400,
        end => $now);
    $is_too_wide->('3 days in the query', 'logsql/query', 400,
        query => '_time:3d *');
    $is_too_wide->('3 days without an end', 'logsql/field_names', 400,
        start => $now - 3 * 86400);
    $is_too_wide->('inside', 'logsql/query', 400, query =>
        '_time:1h trace_id:in(options(ignore_global_time_filter=true) * '
        . '| fields trace_id)');
    $is_too_wide->('joined', 'logsql/query', 400, query => '_time:1h * | '
        . 'join by (name) (_time:3d * | fields name)');
    $is_too_wide->('hits', 'logsql/hits', 400, step => '1h');
    $is_too_wide->('stats', 'logsql/stats_query', 422,
        query => '* | stats count() n');
    is names($spoor, '_time:1h *'), 'ago10', 'an hour';
    is names($spoor, '*', start => $now - 86400), 'ago10',
        'a day, up to now';
    is names($spoor, '_time:1h *', start => 0), 'ago10',
        'the narrower of both counts';
    is scalar @{data(ask($spoor, 'jaeger/api/traces', service => 's10'))}, 1,
        'searches are as they were';
    $spoor->stop;
}

# --- lookbehind, maxTags ---------------------------------------------------------

{
    my @ago = (10, 3 * 86400, 10 * 86400);
    my $all = server([], @ago);
    my $late = server(['-search.streamFieldsLookbehind=2d'], @ago);
    my $few = server(['-search.maxTags=2'], 1 .. 4);

    is services($all), 's10 s259200 s864000', 'all services';
    for my $spoor ($all, $late) {
        ok flush($spoor), 'in parts';
    }
    is services($all), 's10 s259200 s864000', 'the same';
    is services($late), 's10', 'those of late';
    is services($few), 's1 s2', 'the first two';
    is post_traces($few, resource_spans('s1', map { otlp_span(name => $_) }
        qw(c a b)))->{status}, 200, 'more operations';
    is join(' ', @{data(ask($few, 'jaeger/api/services/s1/operations'))}),
        'a ago1', 'the first two of them';
    $_->stop for $all, $late, $few;
}

# --- defaultParallelReaders --------------------------------------------------------

{
    my $spoor = server(['-defaultParallelReaders=1', '-workerThreads=4'], 10);

    is names($spoor, '*'), 'ago10', 'one thread is enough';
    is names($spoor, 'options(parallel_readers=3) *'), 'ago10', 'or three';
    like $spoor->get('/flags')->{body}, qr/^-defaultParallelReaders="?1"?$/m,
        'shown';
    $spoor->stop;
}

done_testing;
