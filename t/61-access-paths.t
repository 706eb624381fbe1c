# SPDX-License-Identifier: BSD-2-Clause
#
# What stands around the endpoints: a path prefix, small endpoints, headers,
# CORS, groups that are closed for the whole server.

use strict;
use warnings;

use Test::More;
use Test::Http2;
use Test::Spoor;

my $export = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

sub is_status {
    my ($spoor, $want, $method, $path, %option) = @_;
    my $reply = $spoor->request($method, $path, %option);

    is $reply->{status}, $want, "$method $path";
    return $reply;
}

# --- small endpoints -----------------------------------------------------------

my $spoor = Test::Spoor->new(conf => { workers => 1 });
$spoor->start;
is_status($spoor, 204, GET => '/ping');
is is_status($spoor, 200, GET => '/ping?verbose=true')->{body}, "OK\n",
    'in words';
is is_status($spoor, 200, GET => '/robots.txt')->{body},
    "User-agent: *\nDisallow: /\n", 'no robots';
for my $path ('/favicon.ico', '/select/vmui/favicon.ico') {
    my $icon = is_status($spoor, 200, GET => $path);
    is $icon->{headers}{'content-type'}, 'image/x-icon', 'an icon';
    is substr($icon->{body}, 0, 4), "\0\0\1\0", 'of the right form';
    like $icon->{headers}{'cache-control'}, qr/max-age=3600/, 'to be kept';
}
like is_status($spoor, 200, GET => '/select/buildinfo')->{body},
    qr/^\{"status":"success","data":\{"version":"[^"]+"\}\}$/, 'a version';
my $post = is_status($spoor, 405, POST => '/select/buildinfo', body => '');
like $post->{body}, qr/^\{"status":"error"/, 'in JSON';
like $post->{headers}{allow}, qr/GET/, 'with what is allowed';
like is_status($spoor, 404, GET => $_)->{body}, qr/perf record/,
    'names what helps'
    for '/debug/pprof', '/debug/pprof/', '/debug/pprof/profile?seconds=5';
is_status($spoor, 405, POST => '/', body => '');

# --- headers -------------------------------------------------------------------

my $page = $spoor->get('/');
my %headers = %{$page->{headers}};
like $headers{'content-security-policy'}, qr/default-src 'none'.*frame-anc/,
    'pages have a policy';
is $headers{'x-content-type-options'}, 'nosniff', 'types are not guessed';
is $headers{'referrer-policy'}, 'no-referrer', 'no referrer';
is $headers{'cross-origin-opener-policy'}, 'same-origin', 'no opener';
is $headers{'cache-control'}, 'no-store', 'nothing is kept';
ok defined $headers{'x-server-hostname'}, 'the host has a name';
ok !defined $headers{$_}, "no $_ unless asked for"
    for 'x-frame-options', 'strict-transport-security',
        'access-control-allow-origin';
my $services = '/select/jaeger/api/services';
is $spoor->get($services)->{headers}{'access-control-allow-origin'}, '*',
    'other sites may read answers of queries';
is $spoor->post('/v1/traces', '{}', { 'Content-Type' => 'application/json' })
    ->{headers}{'access-control-allow-origin'}, '*', 'and of inserts';
ok !defined $spoor->get('/metrics')->{headers}{'access-control-allow-origin'},
    'not of /metrics';
ok !defined $spoor->post('/internal/partition/list', '')
    ->{headers}{'access-control-allow-origin'}, 'nor of admin endpoints';
is $spoor->request('OPTIONS', $services)->{headers}
    {'access-control-allow-origin'}, '*', 'a preflight';

$spoor->write_conf('http.headers.csp' => "default-src 'self'",
    'http.headers.frame_options' => 'DENY',
    'http.headers.hsts' => 'max-age=1000',
    'http.headers.disable_server_hostname' => 'true',
    'http.disable_cors' => 'true', 'http.disable_keep_alive' => 'true',
    'http.disable_response_compression' => 'true');
$spoor->signal('HUP');
ok wait_for(sub { !defined $spoor->get('/')->{headers}{'x-server-hostname'} },
    15), 'other headers after a reload';
for my $path ('/', $services) {
    %headers = %{$spoor->get($path)->{headers}};
    is $headers{'content-security-policy'}, "default-src 'self'", 'policy';
    is $headers{'x-frame-options'}, 'DENY', 'frames';
    is $headers{'strict-transport-security'}, 'max-age=1000', 'transport';
}
ok !defined $headers{'access-control-allow-origin'}, 'no CORS';
ok !defined $spoor->request('OPTIONS', $services)->{headers}
    {'access-control-allow-origin'}, 'and no preflight for it';
my $raw = $spoor->raw("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    . "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", seconds => 5);
my $answers = () = $raw =~ /^HTTP/mg;
is $answers, 1, 'a connection has one request';
like $raw, qr/^Connection: close/m, 'and says so';
my $metrics = $spoor->get('/metrics', { 'Accept-Encoding' => 'gzip' });
cmp_ok length $metrics->{body}, '>', 5000, 'a long answer';
ok !defined $metrics->{headers}{'content-encoding'}, 'is not compressed';

# --- closed groups -------------------------------------------------------------

my %method = ($services => 'GET', '/v1/traces' => 'POST', '/insert/ready' =>
    'GET', '/select/buildinfo' => 'GET', '/metrics' => 'GET');
sub statuses {
    return join ' ', map { $_ . '=' . $spoor->request($method{$_}, $_,
        $method{$_} eq 'POST' ? (body => '{}', headers =>
        { 'Content-Type' => 'application/json' }) : ())->{status} }
        sort keys %method;
}
for my $case ([insert => '/insert/ready=403 /metrics=200 '
        . '/select/buildinfo=200 /select/jaeger/api/services=200 '
        . '/v1/traces=403'],
    [select => '/insert/ready=200 /metrics=200 /select/buildinfo=403 '
        . '/select/jaeger/api/services=403 /v1/traces=200']) {
    my ($group, $want) = @$case;
    my %closed = map { ("$_.disable" => $_ eq $group ? 'true' : 'false') }
        qw(insert select);

    $spoor->write_conf(%closed);
    $spoor->signal('HUP');
    wait_for(sub { statuses() eq $want }, 15);
    is statuses(), $want, "-$group.disable";
    my $path = $group eq 'insert' ? '/insert/ready' : $services;
    like $spoor->get($path)->{body}, qr/directive $group\.disable/,
        'which the answer names';
    my $call = Test::Http2->connect($spoor->port)->post($export,
        pack('CN', 0, 0), ['content-type' => 'application/grpc']);
    my %status = (%{$call->{headers}}, %{$call->{trailers} || {}});
    is $status{'grpc-status'}, $group eq 'insert' ? 7 : 0, 'over gRPC';
}
$spoor->stop;

# --- below a path --------------------------------------------------------------

for my $prefix ('/traces', 'traces/a/') {
    my $clean = '/' . join '/', grep { length } split m{/}, $prefix;
    my $below = Test::Spoor->new(conf => { workers => 1,
        'http.path_prefix' => $prefix });
    $below->start_nowait;
    ok wait_for(sub { $below->get("$clean/health")->{status} == 200 }, 20),
        "$clean/health";
    is_status($below, 200, GET => "$clean$_")
        for '/', '/metrics', $services, '/some/favicon.ico',
            '//flags';
    is_status($below, 404, GET => $_)
        for '/health', '/metrics', '/', "${clean}x/health", "${clean}health",
            "/x$clean/health", "$clean/nothing";
    is_status($below, 400, GET => "$clean/../health");
    my $bare = is_status($below, 302, GET => $clean);
    is $bare->{headers}{location}, "$clean/", 'leads to the page';
    unlike $below->get("$clean/")->{body}, qr{href="/}, 'whose links are '
        . 'relative';
    is $below->post("$clean/v1/traces", '{}',
        { 'Content-Type' => 'application/json' })->{status}, 200, 'inserts';
    my $call = Test::Http2->connect($below->port)->post($export,
        pack('CN', 0, 0), ['content-type' => 'application/grpc']);
    my %status = (%{$call->{headers}}, %{$call->{trailers} || {}});
    is $status{'grpc-status'}, 0, 'calls of gRPC know no prefix';
    $below->stop;
}
for my $case (['http.path_prefix' => '/a%20b'], ['http.path_prefix' => '/../a'],
    ['http.headers.csp' => undef, "-http.header.csp=a\nb"],
    ['auth.password' => 'pw'], ['auth.users_file' => '/dev/null']) {
    my ($name, $value, @args) = @$case;
    my $bad = Test::Spoor->new(args => \@args,
        conf => { defined $value ? ($name => $value) : () });
    my $test = run_command([spoor_bin(), '-t', '-c', $bad->conf_file, @args]);
    is $test->{status}, 1, "$name: -t finds a bad value";
    $bad->start_nowait;
    is $bad->wait_exit(20), 1, "$case->[0]: a bad value ends the start";
    my $shown = $value && $value =~ /dev/ ? $value : $name;
    $shown = 'users and tokens name nobody' if $shown eq '/dev/null';
    like $_, qr/\Q$shown\E/, 'and is named' for $bad->log, $test->{err};
}
done_testing;
