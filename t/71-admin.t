# SPDX-License-Identifier: BSD-2-Clause
#
# Routes for people and machines that look after the server.

use strict;
use warnings;

use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $spoor = Test::Spoor->new;
$spoor->start;

sub type_of { return $_[0]{headers}{'content-type'} || '' }

# --- health ------------------------------------------------------------------

my $health = $spoor->get('/health');
is $health->{status}, 200, '/health';
is $health->{body}, 'OK', '/health says OK';
is $spoor->get('/-/healthy')->{status}, 200, '/-/healthy';
is $spoor->get('/-/ready')->{status}, 200, '/-/ready';
is $spoor->get('/insert/ready')->{body}, '{"status":"ok"}', '/insert/ready';

# --- the page ----------------------------------------------------------------

my $page = $spoor->get('/');
is $page->{status}, 200, '/';
like type_of($page), qr{^text/html; charset=utf-8$}, '/ is HTML';
for my $link ($page->{body} =~ /href="([^"]+)"/g) {
    is $spoor->get("/$link")->{status}, 200, "the link to $link works";
}

# --- metrics -----------------------------------------------------------------

# Every line of Prometheus' text format: name, labels, value.
sub parse_metrics {
    my ($text) = @_;
    my (%value, @wrong);

    for my $line (split /\n/, $text) {
        next if $line =~ /^#/ || $line eq '';
        if ($line !~ /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?
            )*\})?\s(-?[\d.eE+-]+|NaN|[+-]Inf)$/x) {
            push @wrong, $line;
            next;
        }
        my $key = $1 . (defined $2 ? $2 : '');
        push @wrong, "twice: $line" if exists $value{$key};
        $value{$key} = $3;
    }
    push @wrong, 'no newline at the end' if $text !~ /\n\z/;
    is_deeply \@wrong, [], 'every line is a sample';
    return \%value;
}

# Buckets grow, the last one is the count.
sub check_histograms {
    my ($value) = @_;
    my (%buckets, @wrong);

    for my $key (keys %$value) {
        next unless $key =~ /^(\w+)_bucket\{(.*?),?le="([^"]+)"\}$/;
        $buckets{"$1\{$2}"}{$3} = $value->{$key};
    }
    for my $name (sort keys %buckets) {
        my %le = %{$buckets{$name}};
        my $last = 0;
        for (sort { $a <=> $b } grep { $_ ne '+Inf' } keys %le) {
            push @wrong, "$name falls at $_" if $le{$_} < $last;
            $last = $le{$_};
        }
        my ($base, $labels) = $name =~ /^(\w+)\{(.*)\}$/;
        my $count = $value->{$base . '_count' . ($labels ? "{$labels}" : '')};
        push @wrong, "$name has no +Inf" unless defined $le{'+Inf'};
        push @wrong, "$name: +Inf is not the count"
            unless defined $count && $count == $le{'+Inf'};
    }
    cmp_ok scalar keys %buckets, '>', 3, 'there are histograms';
    is_deeply \@wrong, [], 'histograms are consistent';
    return;
}

my $metrics = $spoor->get('/metrics');
is $metrics->{status}, 200, '/metrics';
like type_of($metrics), qr{^text/plain; version=0\.0\.4}, 'its type';
my $before = parse_metrics($metrics->{body});
check_histograms($before);
unlike $metrics->{body}, qr/^#/m, 'no HELP unless asked for';

post_traces($spoor, resource_spans('a', map { otlp_span() } 1 .. 3));
post_traces($spoor, resource_spans('a', otlp_span(traceId => '0' x 32)));
my $copy = traces_json(resource_spans('a', otlp_span()));
$spoor->post('/v1/traces', $copy, { otlp_type('json') }) for 1 .. 2;
$spoor->get('/select/jaeger/api/services') for 1 .. 4;
$spoor->get('/nothing');
my $after = parse_metrics($spoor->get('/metrics')->{body});
check_histograms($after);

sub grew { return ($after->{$_[0]} || 0) - ($before->{$_[0]} || 0) }

is grew('vt_rows_ingested_total{type="opentelemetry_traces_otlphttp_json"}'),
    4, 'spans are counted';
is grew('vt_rows_dropped_total{reason="trace_id"}'), 1, 'refused ones, too';
is grew('spoor_ingest_duplicate_requests_total'), 1, 'and a resent request';
is grew('vt_http_requests_total{path="/select/jaeger/api/services"}'), 4,
    'requests are counted';
is grew('vt_http_errors_total{path="*"}'), 1, 'and errors';
is $spoor->metric('vt_storage_is_read_only'), 0, 'not read-only';
cmp_ok $spoor->metric('vt_free_disk_space_bytes'), '>', 0, 'free disk space';
ok flush($spoor), 'flushed';
my $flushed = parse_metrics($spoor->get('/metrics')->{body});
is $flushed->{'vt_storage_rows{type="storage/small"}'}, 4, 'rows in parts';
cmp_ok $flushed->{'vt_storage_parts{type="storage/small"}'}, '>=', 1,
    'parts';

my %secret; # directive => flag
open my $in, '<', spoor_root() . '/src/core/directives.def' or die "$!\n";
while (<$in>) {
    $secret{$1} = $2 if /^DIRECTIVE\(SECRET, \w+, "([^"]+)", "([^"]+)"/;
}
# t/61-access.t has those that close what is asked for here.
delete @secret{qw(auth.password http.metrics_auth_key http.flags_auth_key)};
$spoor->write_conf('metrics.expose_metadata' => 'true',
    map { $_ => 'k3y & more' } keys %secret);
$spoor->signal('HUP');
# A worker of the generation before may answer once more.
my $text;
ok wait_for(sub {
    $text = $spoor->get('/metrics')->{body};
    return $text =~ /^# HELP/m;
}, 10), 'HELP lines after a reload';
my $reloaded = parse_metrics($text);
my (%type, @untyped);
$type{$1} = $2 while $text =~ /^# TYPE (\w+) (\w+)$/mg;
for (keys %$reloaded) {
    my ($name) = /^(\w+)/;
    (my $base = $name) =~ s/_(?:bucket|sum|count)$//;
    push @untyped, $name unless $type{$name} || $type{$base};
}
is_deeply \@untyped, [], 'every metric has a type';
is $reloaded->{
    'vt_rows_ingested_total{type="opentelemetry_traces_otlphttp_json"}'},
    $flushed->{
    'vt_rows_ingested_total{type="opentelemetry_traces_otlphttp_json"}'},
    'counters outlive a reload';

# --- flags -------------------------------------------------------------------

# Here, too, one of the generation before may answer.
my $flags;
ok wait_for(sub {
    $flags = $spoor->get('/flags');
    return $flags->{body} =~ /AuthKey="?secret/;
}, 10), '/flags of the new configuration';
is $flags->{status}, 200, '/flags';
like $flags->{body}, qr/^-?-?retentionPeriod="?7d"?$/m, 'defaults are shown';
like $flags->{body}, qr/^-?-?workers="?2"?$/m, 'and what is set';
like $flags->{body}, qr/^-?-?\Q$_\E="?secret"?$/m, "$_ is masked"
    for sort values %secret;
unlike $flags->{body}, qr/k3y/, 'no secret is shown';

# --- methods and paths -------------------------------------------------------

for my $path (qw(/internal/force_flush /internal/force_merge)) {
    for my $method (qw(GET PUT DELETE)) {
        my $reply = $spoor->request($method, $path);
        is $reply->{status}, 405, "$method $path";
        like $reply->{headers}{allow}, qr{^POST(?:, OPTIONS)?$},
            "$method $path: allowed" if $reply->{status} == 405;
    }
}
for my $path (qw(/internal/force_flush /internal/force_merge)) {
    my $key = 'authKey=' . uri('k3y & more');
    my $reply = $spoor->post($path, '');

    is $reply->{status}, 401, "POST $path without its key";
    like $reply->{body}, qr/-force(?:Flush|Merge)AuthKey/, 'names the flag';
    is $spoor->post("$path?authKey=$_", '')->{status}, 401,
        "POST $path, a wrong key" for '', 'k3y', 'k3y+%26+mora';
    is $spoor->post("$path?$key", '')->{status}, 200,
        "POST $path, nothing to do";
    is $spoor->post($path, $key,
        { 'Content-Type' => 'application/x-www-form-urlencoded' })->{status},
        200, "POST $path, the key in the body";
}
unlike $spoor->log, qr/k3y/, 'the log has no key';
is $spoor->post('/health', '')->{status}, 405, 'POST /health';
for my $path ('/nothing', '/healthy', '/health/x', '/flags2',
    '/internal/force_merges', '/select', '/v1', '/v1/metrics', '/%00',
    '/../etc/passwd') {
    my $reply = $spoor->get($path);
    ok $reply->{status} == 404 || $reply->{status} == 400,
        "$path: $reply->{status}";
    unlike $reply->{body}, qr/root:/, "$path: nothing of this machine";
}
my $script = $spoor->get('/<script>alert(1)</script>');
ok $script->{status} == 404 || $script->{status} == 400, 'a path with a script';
unlike type_of($script), qr/html/, 'is not answered as HTML';
is $script->{headers}{'x-content-type-options'}, 'nosniff', 'nor guessed';
my $head = $spoor->request('HEAD', '/health');
is $head->{status}, 200, 'HEAD';
ok !length($head->{body} || ''), 'HEAD has no body';

done_testing;
