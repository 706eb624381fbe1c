# SPDX-License-Identifier: BSD-2-Clause
#
# nginx and HAProxy in front, with the configurations of contrib/ as they are
# but for ports and paths: inserts by HTTP/1.1, HTTP/2 and gRPC, queries,
# tailing, users and their tenants, large bodies, and reloads of spoor under
# load.  SPOOR_FRONT_RELOADS (5) is how many.

use strict;
use warnings;

use JSON::PP ();
use POSIX qw(WNOHANG);
use Test::Front;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $reloads = $ENV{SPOOR_FRONT_RELOADS} || 5;
my $export = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
my @json = ('Content-Type: application/json');
my @grpc = ('Content-Type: application/grpc', 'TE: trailers');
my %users = map { $_ => "$_-secret" } qw(shop pay ghost);

plan skip_all => $_ for grep { $_ } front_missing('curl') ||
    front_missing('openssl');

# --- parts -------------------------------------------------------------------

sub spans {
    my ($service, @names) = @_;

    return traces_json(resource_spans($service, map { otlp_span(name => $_,
        startTimeUnixNano => otlp_now(), endTimeUnixNano => otlp_now()) }
        @names));
}

sub grpc_message { return pack('CN', 0, length $_[0]) . $_[0] }

# Services that a user, or a tenant asked for directly, sees.
sub services {
    my ($front, $user, %option) = @_;
    my $reply = $front->fetch('/select/jaeger/api/services', user => $user,
        %option);
    my $data = eval { JSON::PP->new->utf8->decode($reply->{body}) };

    return "status $reply->{status}" unless $data;
    return join ' ', sort @{$data->{data} || []};
}

sub stored {
    my ($spoor, $account, $project) = @_;

    return join ' ', sort(jaeger_names($spoor, undef,
        { AccountID => $account, ProjectID => $project }));
}

# Who is let in.
sub check_access {
    my ($front, $name) = @_;
    my @insert = (headers => \@json, body => spans('intruder', 'a'));
    my @call = (port => $front->{grpc_port}, h2 => 1, headers => \@grpc,
        body => grpc_message(otlp_pb(otlp_span())));
    my @open = ([$export, @call], ['/v1/traces', @insert],
        ['/insert/opentelemetry/v1/traces', @insert, h2 => 1],
        ['/select/jaeger/api/services'], ['/select/logsql/query?query=*']);

    for my $h2 (0, 1) {
        is $front->fetch('/health', h2 => $h2)->{body}, 'OK',
            "$name: /health needs no user (HTTP/" . ($h2 + 1) . ')';
    }
    for (@open) {
        my ($path, %option) = @$_;

        is $front->fetch($path, %option)->{status}, 401,
            "$name: $path needs a user";
        is $front->fetch($path, %option, user => 'shop',
            password => 'wrong')->{status}, 401, 'and the right password';
        my $reply = $front->fetch($path, %option, user => 'ghost');
        # nginx leaves it to spoor.
        my $no = $name eq 'nginx' ? $path eq $export ? 'grpc 3' : 400 : 403;
        my ($grpc) = $reply->{head} =~ /^grpc-status: (\d+)/mi;
        is defined $grpc ? "grpc $grpc" : $reply->{status}, $no,
            'and a tenant';
        is $front->fetch($path, %option, user => 'ghost',
            password => 'wrong')->{status}, 401, 'whoever it is';
    }
    for my $path (qw(/ /metrics /flags /internal/force_flush
        /internal/partition/list /debug/pprof/heap /insertx /v1/tracesx
        /-/healthy)) {
        is $front->fetch($path, user => 'shop')->{status}, 404,
            "$name: $path is not there";
    }
}

# Every way in; a tenant that a client names does not count.
sub check_inserts {
    my ($spoor, $front, $name) = @_;
    my @spoofed = ('AccountID: 99', 'ProjectID: 7', 'accountid: 98',
        'Account-ID: 97', 'Account_ID: 96', 'AccountID : 95');
    my $n = 0;

    for my $user (qw(shop pay)) {
        for my $h2 (0, 1) {
            for my $path (qw(/v1/traces /insert/opentelemetry/v1/traces)) {
                my $reply = $front->fetch($path, h2 => $h2, user => $user,
                    headers => [@json, @spoofed[0 .. 4]],
                    body => spans("$name-$user-" . ++$n, 'a'));

                is "$reply->{status} $reply->{version}",
                    $h2 ? '200 2' : '200 1.1', "$name: $user inserts";
            }
        }
        my $reply = $front->fetch($export, h2 => 1, user => $user,
            port => $front->{grpc_port},
            headers => [@grpc, @spoofed[0 .. 4]],
            body => grpc_message(otlp_pb(otlp_span(
                name => "$name-$user-grpc"))));
        is $reply->{status}, 200, "$name: $user by gRPC";
        like $reply->{head}, qr/^grpc-status: 0\r?$/mi, 'is taken';
        is $reply->{body}, "\0\0\0\0\0", 'all of it';
    }
    my $chunked = $front->fetch('/v1/traces', user => 'shop',
        headers => [@json, 'Transfer-Encoding: chunked'],
        body => spans("$name-shop-chunked", 'a'));
    is $chunked->{status}, 200, "$name: a chunked body";
    is $front->fetch('/v1/traces', user => 'shop', headers => [@json,
        $spoofed[5]], body => spans("$name-spoofed", 'a'))->{status} =~
        /^(?:200|400)$/, 1, 'a field name with a space';
    for my $tenant ([0, 0], [12, 7], map { ([$_, 0], [$_, 7]) } 95 .. 99) {
        is stored($spoor, @$tenant), '', "nothing in tenant @$tenant";
    }
    my %want = (shop => join(' ', sort 'test',
            (map { "$name-shop-$_" } 1 .. 4, 'chunked'),
            stored($spoor, 12, 0) =~ /($name-spoofed)/),
        pay => join(' ', sort 'test', map { "$name-pay-$_" } 5 .. 8));
    for my $h2 (0, 1) {
        is services($front, $_, h2 => $h2, headers => [@spoofed[0 .. 4]]),
            $want{$_}, "$name: what $_ sees" for qw(shop pay);
    }
    is stored($spoor, 12, 0), $want{shop}, 'the tenant of shop';
    is stored($spoor, 12, 3), $want{pay}, 'the tenant of pay';
}

sub check_large {
    my ($front, $name) = @_;
    my $large = traces_json(resource_spans('large', map { otlp_span(
        name => "large $_", attributes => attributes(text => 'x' x 20000)) }
        1 .. 1000));

    for my $h2 (0, 1) {
        my $reply = $front->fetch('/v1/traces', h2 => $h2, user => 'shop',
            headers => \@json, body => $large, seconds => 60);
        is $reply->{status}, 200, sprintf '%s: %d MB by HTTP/%d', $name,
            length($large) / 1e6, $h2 + 1;
        my $query = $front->fetch('/select/logsql/query?query=' .
            uri('name:~"^large" | limit 1000'), h2 => $h2, user => 'shop',
            seconds => 60);
        is $query->{status}, 200, 'a large answer';
        is +(() = $query->{body} =~ /\n/g), 1000, 'is whole';
    }
    is $front->fetch('/v1/traces', user => 'shop', headers => \@json,
        body => ' ' x (65 << 20), seconds => 60)->{status}, 413,
        "$name: too large a body";
}

sub check_tail {
    my ($spoor, $front, $name) = @_;

    for my $h2 (0, 1) {
        my $tail = $front->follow('/select/logsql/tail?query=' .
            uri("name:~\"^tail$h2\"") .
            '&offset=0s&refresh_interval=50ms', h2 => $h2, user => 'shop');

        # nginx keeps the head of an answer by HTTP/2 until its first row.
        my $is_late = $h2 && $name eq 'nginx';
        ok $is_late || wait_for(sub { $tail->{head}->() =~ m{^HTTP/\S+ 200} },
            10), "$name: a tail begins at once (HTTP/" . ($h2 + 1) . ')';
        ok wait_for(sub {
            $spoor->metric('vt_live_tailing_requests') == 1 }, 10),
            'spoor knows of it';
        for my $n (1 .. 3) {
            my $begin = time();
            $front->fetch('/v1/traces', user => 'shop', headers => \@json,
                body => spans('tailed', "tail$h2-$n"));
            ok wait_for(sub { $tail->{text}->() =~ /"tail$h2-$n"/ }, 10),
                'a row as soon as it is there';
            note sprintf 'after %.2f s', time() - $begin;
        }
        $tail->{stop}->();
        ok wait_for(sub {
            $spoor->metric('vt_live_tailing_requests') == 0 }, 10),
            'and that it has ended';
    }
}

# What h2load says: {done, bad} of the requests, and the whole text.
sub load_begin {
    my ($front, $name, @words) = @_;
    my $file = "$front->{dir}/$name.load";
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        open STDOUT, '>', $file;
        open STDERR, '>&', \*STDOUT;
        exec 'h2load', '-c', 4, '-m', 4, '--rps', 40, '-n', 160 * $reloads,
            '-H',
            'Authorization: Basic c2hvcDpzaG9wLXNlY3JldA==', @words
            or POSIX::_exit(127);
    }
    return [$name, $pid, $file];
}

sub check_reloads {
    my ($spoor, $front, $name) = @_;
    my $dir = $front->{dir};
    my $url = "https://127.0.0.1:$front->{port}";
    my $n = 160 * $reloads;

    return diag "$name: no h2load" if front_missing('h2load');
    open my $out, '>:raw', "$dir/insert" or die;
    print $out spans('load', 'a');
    close $out;
    open $out, '>:raw', "$dir/grpc" or die;
    print $out grpc_message(otlp_pb(otlp_span(name => 'load')));
    close $out;
    my @load = (
        load_begin($front, 'insert', '--h1', '-d', "$dir/insert", '-H',
            $json[0], "$url/v1/traces"),
        load_begin($front, 'insert-h2', '-d', "$dir/insert", '-H',
            $json[0], "$url/v1/traces"),
        load_begin($front, 'query', '--h1',
            "$url/select/jaeger/api/services"),
        load_begin($front, 'health', "$url/health"),
        load_begin($front, 'grpc', '-d', "$dir/grpc", '-H', $grpc[0],
            '-H', $grpc[1], "https://127.0.0.1:$front->{grpc_port}$export"),
    );
    my $before = $spoor->metric('spoor_reloads_total');
    for (1 .. $reloads) {
        sleep 0.9;
        $spoor->signal('HUP');
    }
    for (@load) {
        my ($what, $pid, $file) = @$_;
        wait_for(sub { waitpid($pid, WNOHANG) != 0 }, 30 + 4 * $reloads)
            or kill 'KILL', $pid;
        my $text = Test::Front::_slurp($file);
        my ($line) = $text =~ /^(requests: .*)$/m;
        my ($codes) = $text =~ /^(status codes: .*)$/m;
        like +($line || $text), qr/\b$n done, $n succeeded, 0 failed/,
            "$name: $what during reloads";
        like $codes, qr/: $n 2xx, 0 3xx, 0 4xx, 0 5xx/, 'all are answered';
    }
    cmp_ok $spoor->metric('spoor_reloads_total') - $before, '>=', 1,
        "$name: spoor was reloaded";
}

# --- the proxies ---------------------------------------------------------------

# A server with an address for all, and one for PROXY headers (with TLS).
sub server {
    my ($has_tls) = @_;
    my $spoor = Test::Spoor->new(conf => { workers => 2,
        'http.connection_timeout' => '1h' });
    my $port = free_port();
    my $dir = $spoor->dir;

    front_certificate($dir) if $has_tls;
    my $tls = $has_tls ? "\n      cert: $dir/spoor.crt\n      "
        . "key: $dir/spoor.key" : '';
    $spoor->{yaml} = <<"END";
http.listen:
    - 127.0.0.1:@{[$spoor->port]}
    - address: 127.0.0.1:$port
      proxy_protocol: true$tls
storage:
  path: @{[$spoor->data_dir]}
workers: 2
http.shutdown_delay: @{[$has_tls ? '6s' : '0']}
END
    $spoor->write_conf;
    $spoor->{proxy_port} = $port;
    return $spoor->start;
}

sub drive {
    my ($spoor, $front, $name) = @_;

    check_access($front, $name);
    is stored($spoor, 12, 0) . stored($spoor, 0, 0), '',
        "$name: nothing was stored for those who may not";
    check_inserts($spoor, $front, $name);
    check_large($front, $name);
    check_tail($spoor, $front, $name);
    check_reloads($spoor, $front, $name);
}

SKIP: {
    my $why = front_missing('nginx');
    skip "nginx: $why", 1 if $why;
    my $spoor = server();
    my $front = Test::Front->nginx($spoor->dir . '/nginx',
        upstream => $spoor->port, users => \%users);

    my $before = $spoor->metric('spoor_http_connections_total');
    $front->fetch('/select/jaeger/api/services', user => 'shop')
        for 1 .. 20;
    cmp_ok $spoor->metric('spoor_http_connections_total') - $before, '<=', 6,
        'nginx: connections are kept';
    drive($spoor, $front, 'nginx');
    unlike $front->log, qr/\[(?:emerg|alert|crit)\]/, 'nginx: its log';
    $front->stop;
}

SKIP: {
    my $why = front_missing('haproxy');
    skip "haproxy: $why", 1 if $why;
    my $spoor = server();
    my $front = Test::Front->haproxy($spoor->dir . '/haproxy',
        upstream => $spoor->{proxy_port});

    drive($spoor, $front, 'haproxy');
    $front->fetch('/v1/traces', user => 'shop', headers => \@json,
        body => '{', args => ['--interface', '127.0.0.5']);
    ok $spoor->wait_log(qr/\b127\.0\.0\.5:\d+: 400 /),
        'haproxy: spoor knows the address of the client';
    is $spoor->metric('spoor_http_refused_total{reason="proxy_header"}'), 0,
        'haproxy: all its connections, and checks, have a header';
    $front->stop;
}

SKIP: {
    my $why = front_missing('nginx') || Test::Front::nginx_stream_missing();
    skip "nginx, module stream: $why", 1 if $why;
    my $spoor = server();
    my $front = Test::Front->nginx_stream($spoor->dir . '/stream',
        upstream => $spoor->{proxy_port});

    is $front->fetch('/health')->{body}, 'OK', 'stream: /health';
    is $front->fetch('/v1/traces', headers => \@json,
        body => spans('stream', 'a'))->{status}, 200, 'stream: an insert';
    is $front->fetch($export, headers => \@grpc,
        args => ['--http2-prior-knowledge'], body => grpc_message(
        otlp_pb(otlp_span())))->{status}, 200, 'stream: gRPC';
    is services($front), 'stream test', 'stream: a query';
    $front->fetch('/v1/traces', headers => \@json, body => '{',
        args => ['--interface', '127.0.0.6']);
    ok $spoor->wait_log(qr/\b127\.0\.0\.6:\d+: 400 /),
        'stream: spoor knows the address of the client';
    $front->stop;
}

SKIP: {
    my $why = front_missing('haproxy');
    skip "haproxy: $why", 1 if $why;
    my @spoor = map { server(1) } 1, 2;
    my $front = Test::Front->haproxy_tcp($spoor[0]->dir . '/tcp',
        upstreams => [map { $_->{proxy_port} } @spoor]);
    my ($reply, %seen);

    for my $n (0 .. 9) {
        my $h2 = $n % 2;
        $reply = $front->fetch('/v1/traces', h2 => $h2, headers => \@json,
            body => spans("tcp$n", 'a'));
        is "$reply->{status} $reply->{version}", $h2 ? '200 2' : '200 1.1',
            'tcp: an insert by TLS of spoor';
    }
    $reply = $front->fetch($export, h2 => 1, headers => \@grpc,
        port => $front->{grpc_port},
        body => grpc_message(otlp_pb(otlp_span())));
    is $reply->{status}, 200, 'tcp: gRPC';
    like $reply->{head}, qr/^grpc-status: 0\r?$/mi, 'is taken';
    my @services = map { [split / /, stored($_, 0, 0)] } @spoor;
    ok scalar(@{$services[0]}) && scalar(@{$services[1]}),
        'tcp: both nodes get some';
    is @{$services[0]} + @{$services[1]}, 11, 'and nothing is lost';
    $front->fetch('/v1/traces', headers => \@json, body => '{',
        args => ['--interface', '127.0.0.7']) for 1 .. 2;
    ok $_->wait_log(qr/\b127\.0\.0\.7:\d+: 400 /),
        'tcp: spoor knows the address of the client' for @spoor;

    # One node leaves: the check sees it, and nobody else does.
    my ($sent, $lost) = (0, 0);
    $spoor[0]->signal('QUIT');
    my $end = time() + 30;
    while ($spoor[0]->is_running && time() < $end) {
        $reply = $front->fetch('/v1/traces', h2 => $sent % 2,
            headers => \@json, body => spans('leaving', 'a'));
        $sent++;
        $lost++ if $reply->{status} != 200;
    }
    is "$lost lost", '0 lost', "tcp: of $sent inserts while a node leaves";
    ok !$spoor[0]->is_running, 'tcp: it has left';
    ok wait_for(sub { $front->log =~ m{spoor/node1 is DOWN} }, 20),
        'tcp: and is out';
    is $front->fetch('/health')->{body}, 'OK', 'tcp: the other one answers'
        for 1 .. 4;
    $spoor[0]->start;
    ok wait_for(sub { $front->log =~ m{spoor/node1 is UP} }, 20),
        'tcp: and comes back';
    is $_->metric('spoor_http_refused_total{reason="proxy_header"}'), 0,
        'tcp: all connections, and checks, have a header' for @spoor;
    $front->stop;
}

done_testing();
