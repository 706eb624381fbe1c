# SPDX-License-Identifier: BSD-2-Clause
#
# The queries that are timed, with the figures of architecture.md, section 6.

package Bench::Queries;

use strict;
use warnings;

use Bench;
use Exporter qw(import);
use JSON::PP ();

our @EXPORT = qw(query_rows trace_rows results);

my $service = '"resource_attr:service.name"';

# Not from kept results of an earlier round.
sub logsql { return ('/select/logsql/query', nocache => 1, query => @_) }
sub again { return ('/select/logsql/query', query => @_) }

sub lines {
    my ($spoor, $query) = @_;

    return map { JSON::PP::decode_json($_) } split /\n/,
        request($spoor, url_of(logsql($query)));
}

# A service, an operation and a tag that some hundred spans have.
sub pick_search {
    my ($spoor) = @_;
    my ($op) = lines($spoor, '"span_attr:http.response.status_code":="404" '
        . "| stats by ($service, name) count() n | sort by (n desc) "
        . '| offset 3 | limit 1') or die "nothing to search for\n";

    return ($op->{'resource_attr:service.name'}, $op->{name},
        '{"http.response.status_code":"404"}');
}

# A value that one span has: name of its field and the value.
sub pick_needle {
    my ($spoor, $profile) = @_;
    my $field = $profile eq 'shop' ? 'span_attr:app.request.id'
        : 'span_attr:app.operation.id';
    my ($row) = lines($spoor, "\"$field\":* | fields \"$field\" "
        . '| offset 100 | limit 1') or die "no needle\n";

    return ($field, $row->{$field});
}

# name, aim and must in ms (0: none), rounds, path, arguments.  minutes: the
# filter of the query by minute, which is all of two hours.
sub query_rows {
    my ($spoor, $profile, %option) = @_;
    my $minutes = $option{minutes} || '*';
    my ($name, $operation, $tags) = $profile eq 'shop'
        ? ('payment', 'Payment/Charge', '{"rpc.grpc.status_code":"13"}')
        : pick_search($spoor);
    my ($field, $needle) = pick_needle($spoor, $profile);
    my @jaeger = ('/select/jaeger/api/traces', service => $name, limit => 20);

    return (
        ['search: service', 0, 0, 200, @jaeger],
        ['search: service, operation', 0, 0, 200, @jaeger,
            operation => $operation],
        ['search: service, operation, tag', 1.5, 5, 200, @jaeger,
            operation => $operation, tags => $tags],
        ['search: service, error, minDuration', 0, 0, 200, @jaeger,
            tags => '{"error":"true"}', minDuration => '20ms'],
        ['needle: unique attribute', 0.5, 2, 200,
            logsql("\"$field\":=\"$needle\"")],
        ['needle: no such value', 0, 0, 200,
            logsql("\"$field\":=\"no-such-value\"")],
        ['stats by (service) count()', 0, 0, 50,
            logsql("* | stats by ($service) count()")],
        ['stats by (service) quantile(0.95, duration)', 4, 15, 50,
            logsql("* | stats by ($service) quantile(0.95, duration)")],
        ['the same by (_time:1m)', 12, 40, 30,
            logsql("$minutes | stats by (_time:1m, $service) "
            . 'quantile(0.95, duration)')],
        ['stats by (name, status_code) count, sum, max', 0, 0, 30,
            logsql('* | stats by (name, status_code) count() n, '
            . 'sum(duration) s, max(duration) m')],
        ['count_uniq(trace_id)', 0.2, 2, 20,
            logsql('* | stats count_uniq(trace_id)')],
        ['sort by (duration desc) limit 10', 1, 10, 30,
            logsql('* | sort by (duration desc) limit 10')],
        ['newest 100 rows of a service', 0, 0, 200,
            logsql("$service:=$name", limit => 100)],
        ['regexp over db.query.text, count()', 0, 0, 10,
            logsql('"span_attr:db.query.text":~"= .?7[0-9]+" | count()')],
        ['a word in any field, count()', 0, 0, 10,
            logsql('*:timeout | count()')],
        ['a word that nobody has, in any field', 0, 0, 10,
            logsql('*:xyzzyplugh | count()')],
        ['a prefix of one field, count()', 0, 0, 10,
            logsql("$service:=\"$name\"* | count()")],
        ['hits, step 1m', 0, 0, 50, '/select/logsql/hits', query => '*',
            step => '1m', nocache => 1],
        ['hits, step 1m, by service', 0, 0, 50, '/select/logsql/hits',
            query => '*', step => '1m', nocache => 1,
            field => 'resource_attr:service.name'],
        ['stats_query_range by minute: count, p95', 0, 0, 20,
            '/select/logsql/stats_query_range', nocache => 1,
            query => "$minutes | stats by ($service) count() n, "
            . 'quantile(0.95, duration) p95', step => '1m'],
        ['second run: stats by (service) quantile(0.95)', 0, 0, 50,
            again("* | stats by ($service) quantile(0.95, duration)")],
        ['second run: kind, count_uniq(span name), max', 0, 0, 50,
            again('* | stats by (kind) count_uniq(name) n, '
            . 'max(duration) m, avg(span_attr:http.response.body.size) a')],
        ['the same, first run', 0, 0, 20,
            logsql('* | stats by (kind) count_uniq(name) n, '
            . 'max(duration) m, avg(span_attr:http.response.body.size) a')],
        ['a word in any field, count()', 0, 0, 10,
            logsql('*:timeout | count()')],
        ['a needle in any field', 0, 0, 20, logsql("*:=\"$needle\"")],
        ['word in db.query.text, count()', 0, 0, 20,
            logsql('"span_attr:db.query.text":users | count()')],
        ['status_code:=2 | stats by (name)', 0, 0, 50,
            logsql('status_code:=2 | stats by (name) count()')],
        ['top 10 by (trace_id)', 0, 0, 10,
            logsql('* | top 10 by (trace_id)')],
        ['field_values of db.query.text, limit 100', 0, 0, 20,
            '/select/logsql/field_values', query => '*', limit => 100,
            field => 'span_attr:db.query.text'],
        ['services', 0, 0, 200, '/select/jaeger/api/services'],
        ['operations of a service', 0, 0, 200,
            "/select/jaeger/api/services/$name/operations"],
        ['tag names (field_names)', 0, 0, 50, '/select/logsql/field_names',
            query => '*'],
        ['tag values: http.response.status_code', 0, 0, 50,
            '/select/logsql/field_values', query => '*',
            field => 'span_attr:http.response.status_code'],
    );
}

# Known and unknown ids: [name, aim, must, p50, p99] in ms.
sub trace_rows {
    my ($spoor, @words) = @_;
    my $r = client($spoor, 'trace', @words);

    return map { [$_, $_ eq 'known' ? (0.3, 1) : (0.2, 1),
        $r->{"${_}_p50_us"} / 1e3, $r->{"${_}_p99_us"} / 1e3] }
        qw(known unknown);
}

# How many an answer has.
sub results {
    my ($body) = @_;
    my ($key) = $body =~ /^\{"(data|hits|values)"/
        or return scalar(() = $body =~ /\n/g);
    my $list = JSON::PP::decode_json($body)->{$key};

    return ref $list eq 'ARRAY' ? scalar @$list : 0;
}

1;
