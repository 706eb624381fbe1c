# SPDX-License-Identifier: BSD-2-Clause
#
# nginx with TLS and routing by path between the parts of a cluster:
#
#     client -> nginx -> insert front, select front -> nginx -> storage node
#
# Users, passwords and certificates of clients at each nginx, right, wrong and
# none in every combination; what goes through it, and what happens when it
# stops.  And vmauth in front of the fronts, where SPOOR_VMAUTH names one.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Test::Front;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Tls;
use Test::Traces;
use Time::HiRes qw(sleep);

plan skip_all => $_ for grep { $_ } front_missing('nginx')
    || front_missing('curl');

my $dir = tempdir('spoor-proxies-XXXXXX', TMPDIR => 1, CLEANUP => 1);
certs($dir,
    'name=ca ca=1 cn=ca',
    'name=other ca=1 cn=other',
    'name=server san=DNS:node.test,DNS:traces.test issuer=ca eku=server',
    'name=clients ca=1 cn=clients',
    'name=right cn=right issuer=clients eku=client',
    'name=wrong cn=wrong issuer=other eku=client');
my %password = (right => 'Wq7-right', wrong => 'Wq7-wrong');
my $users = spew("$dir/users", "who:{PLAIN}$password{right}\n");
chmod 0644, $users;

# --- servers ------------------------------------------------------------------

my $store = Test::Spoor->new(conf => { workers => 1 })->start;
my @kinds = qw(open user cert both);
my %node_port = map { $_ => free_port() } @kinds;
my %client_port = map { $_ => free_port() } @kinds;
my $through = {
    address => "127.0.0.1:$node_port{both}", tls => 'on',
    tls_ca_file => "$dir/ca.pem", tls_server_name => 'node.test',
    tls_cert_file => "$dir/right.pem", tls_key_file => "$dir/right.key",
    username => 'who', password => $password{right},
};

sub yaml_of {
    my ($port, $data, $node, $more) = @_;

    return "http.listen: 127.0.0.1:$port\nworkers: 1\nstorage.path: $data\n"
        . "cluster: {probe_interval: 100ms}\n" . ($more || '')
        . "storage_nodes:\n  - address: $node->{address}\n"
        . join('', map { "    $_: $node->{$_}\n" } grep { $_ ne 'address' }
            sort keys %$node);
}

sub front_of {
    my ($name, $more) = @_;
    my $port = free_port();
    my $front = Test::Spoor->new(port => $port,
        yaml => yaml_of($port, "$dir/$name", $through, $more));

    return $front->start;
}

# A server of nginx for each kind of access; locations as given.
sub nginx_servers {
    my ($ports, $locations) = @_;

    return join '', map { my $kind = $_; <<"END" } @kinds;
    server {
        listen 0.0.0.0:$ports->{$kind} ssl;
        ssl_certificate $dir/server.pem;
        ssl_certificate_key $dir/server.key;
@{[$kind =~ /user|both/ ? "auth_basic x; auth_basic_user_file $users;" : '']}
@{[$kind =~ /cert|both/ ? "ssl_verify_client on;
        ssl_client_certificate $dir/clients.pem;" : '']}
$locations        location / { return 404; }
    }
END
}

my $proxied = 'client_max_body_size 64m; client_body_buffer_size 1m; '
    . "proxy_http_version 1.1;\n    proxy_set_header Connection ''; "
    . 'proxy_set_header Authorization ""; proxy_buffering off; '
    . "proxy_read_timeout 60s;\n";

sub nginx_of {
    my ($name, $locations, $ports, @upstreams) = @_;

    return Test::Front->plain_nginx("$dir/$name", "    $proxied"
        . join('', map { "    upstream $_->[0] { server 127.0.0.1:$_->[1]; "
            . "keepalive 8; }\n" } @upstreams)
        . "    server { listen 127.0.0.1:PORT; return 204; }\n"
        . nginx_servers($ports, $locations));
}

my @before_node = ('node', <<'END', \%node_port, ['node', $store->port]);
        location = /internal/insert { proxy_pass http://node; }
        location /internal/select/ { proxy_pass http://node; }
        location = /health { auth_basic off; proxy_pass http://node; }
END
my $node_nginx = nginx_of(@before_node);
my $insert = front_of('insert', "select.disable: true\n");
my $select = front_of('select', "insert.disable: true\n");
my $client_nginx = nginx_of('client', <<'END', \%client_port,
        location /insert/ { proxy_pass http://insert; }
        location = /v1/traces { proxy_pass http://insert; }
        location /select/ { proxy_pass http://select; }
END
    ['insert', $insert->port], ['select', $select->port]);

# --- asking -------------------------------------------------------------------

# By curl as a client with a password and a certificate, each right, wrong or
# none.
sub client_words {
    my ($user, $cert) = @_;

    return ('--cacert', "$dir/ca.pem", $user eq 'none' ? ()
        : ('-u', "who:$password{$user}"), $cert eq 'none' ? ()
        : ('--cert', "$dir/$cert.pem", '--key', "$dir/$cert.key"));
}

my $nbodies = 0;
sub send_spans {
    my ($kind, $user, $cert, $body, $path) = @_;
    my $file = spew("$dir/body" . ++$nbodies, $body);
    my $reply = curl("https://traces.test:$client_port{$kind}"
        . ($path || '/v1/traces'), client_words($user, $cert), '-H',
        'Content-Type: application/json', '--data-binary', "\@$file");

    unlink $file;
    return $reply;
}

sub ask {
    my ($kind, $user, $cert, $path, @more) = @_;

    return curl("https://traces.test:$client_port{$kind}$path",
        client_words($user, $cert), @more);
}

# How many spans of the name the store has.
sub stored {
    my ($name) = @_;
    my $body = $store->get("/select/logsql/query?query=name:=$name"
        . '+|+fields+name&limit=100000')->{body};

    return scalar(() = $body =~ /"name":"\Q$name\E"/g);
}

sub is_let_in {
    my ($kind, $user, $cert) = @_;

    return ($kind !~ /user|both/ || $user eq 'right') &&
        ($kind !~ /cert|both/ || $cert eq 'right');
}

my @words = qw(right wrong none);
my @table;

# --- front -> nginx -> node ---------------------------------------------------

is $store->post('/v1/traces', otlp_json(otlp_span(name => 'seed')),
    { otlp_type('json') })->{status}, 200, 'a span is there';
{
    my $port = free_port();
    my $front = Test::Spoor->new(port => $port, yaml => yaml_of($port,
        "$dir/any", $through, "cluster.queue_max_bytes: 0\n"))->start;
    my $nth = 0;

    for my $kind (@kinds) {
        for my $user (@words) {
            for my $cert (@words) {
                my %node = %$through;
                my $name = "node-$kind-$user-$cert";
                my $good = is_let_in($kind, $user, $cert);

                $node{address} = '127.0.0.' . ++$nth . ":$node_port{$kind}";
                delete @node{qw(username password)} if $user eq 'none';
                $node{password} = $password{wrong} if $user eq 'wrong';
                delete @node{qw(tls_cert_file tls_key_file)}
                    if $cert eq 'none';
                $node{tls_cert_file} =~ s/right/wrong/,
                    $node{tls_key_file} =~ s/right/wrong/ if $cert eq 'wrong';
                push @table, node_try($front, $name, \%node, $good);
            }
        }
    }
    unlike $front->log, qr/Wq7|\Q@{[encode_base64("who:$password{right}", '')]}\E/,
        'no secret in the log';
}

# One list of nodes; the line of the table.
sub node_try {
    my ($front, $name, $node, $good) = @_;

    $front->{yaml} = yaml_of($front->port, "$dir/any", $node,
        "cluster.queue_max_bytes: 0\n");
    $front->write_conf;
    my ($status, $text) = $front->ask('reload');
    is $status, 0, "$name" or diag $text;
    my $in = $front->post('/v1/traces', otlp_json(map {
        otlp_span(name => $name) } 1 .. 4), { otlp_type('json') });
    my $out = $front->get('/select/logsql/query?query=name:=seed');

    is $in->{status}, $good ? 200 : 503, 'an insert' or diag $in->{body};
    is $out->{status}, $good ? 200 : 502, 'a query' or diag $out->{body};
    is stored($name), $good ? 4 : 0, 'what is stored';
    like $out->{body}, $good ? qr/"seed"/ : qr/\Q$node->{address}\E/,
        $good ? 'what is found' : 'the node is named';
    ok $front->wait_log(qr/\Q$node->{address}\E.*\b40[01]\b/),
        'the log says why' unless $good;
    return [$name, $in->{status}, $out->{status}];
}

# --- client -> nginx -> fronts -> nginx -> node -------------------------------

for my $kind (@kinds) {
    for my $user (@words) {
        for my $cert (@words) {
            my $name = "client-$kind-$user-$cert";
            my $good = is_let_in($kind, $user, $cert);
            my $in = send_spans($kind, $user, $cert, otlp_json(map {
                otlp_span(name => $name) } 1 .. 4));
            my $out = ask($kind, $user, $cert,
                '/select/logsql/query?query=name:=seed');

            $_->{status} == 200 xor !$good or fail "$name: $_->{status}"
                for $in, $out;
            is stored($name), $good ? 4 : 0, "$name: what is stored";
            is $out->{body} =~ /"seed"/ ? 1 : 0, $good ? 1 : 0,
                'what is found';
            push @table, [$name, $in->{status}, $out->{status}];
        }
    }
}
my @right = qw(both right right);
is send_spans(@right, otlp_json(otlp_span()),
    '/insert/opentelemetry/v1/traces')->{status}, 200, 'the other path';
for my $path (qw(/ /metrics /flags /internal/insert /internal/cluster
    /internal/select/query /internal/force_flush /health /insertx)) {
    is ask(@right, $path)->{status}, 404, "$path is not passed on";
}
# --- what goes through --------------------------------------------------------

{
    my $many = 20_000;
    my @spans = map { otlp_span(name => 'many', attributes => attributes(
        'k' => 'x' x 200)) } 1 .. $many;
    my $body = otlp_json(@spans);
    cmp_ok length $body, '>', 8 << 20, 'a large request';
    is send_spans(@right, $body)->{status}, 200, 'goes through';
    is stored('many'), $many, 'all of it is stored';
    is send_spans(@right, $body)->{status}, 200, 'once more';
    is stored('many'), $many, 'is known';
    my $out = ask(@right, '/select/logsql/query?query=name:=many&limit=100000');
    is scalar(() = $out->{body} =~ /"many"/g), $many, 'a large answer';
    like ask(@right, "/select/jaeger/api/traces/$spans[0]{traceId}")->{body},
        qr/"operationName":"many"/, 'a trace';
    is ask(@right, '/select/logsql/query?query=%7C')->{status}, 400,
        'a mistake is told as such';
}

# A client that goes away ends the work of the node.
{
    my $running = sub { $store->metric('vt_concurrent_select_current') // -1 };
    my $out = "$dir/tail";
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        open STDOUT, '>', $out;
        exec 'curl', '-sN', '--resolve',
            "traces.test:$client_port{both}:127.0.0.1",
            client_words('right', 'right'), "https://traces.test:"
            . "$client_port{both}/select/logsql/tail?query=name:=tailed"
            or POSIX::_exit(127);
    }
    ok wait_for(sub {
        send_spans(@right, otlp_json(otlp_span(name => 'tailed')));
        return slurp($out) =~ /"tailed"/;
    }, 30), 'a live tail shows what comes';
    kill 'KILL', $pid;
    waitpid $pid, 0;
    my $end = wait_for(sub { $running->() <= 0 }, 20);
    ok $end, 'and ends with its client' or diag $running->();
}

# --- nginx stops and comes back -----------------------------------------------

{
    $node_nginx->stop;
    is send_spans(@right, otlp_json(map { otlp_span(name => 'waits') } 1 .. 8)
        )->{status}, 200, 'without the nginx of the node inserts wait';
    my $out = ask(@right, '/select/logsql/query?query=name:=seed');
    is $out->{status}, 502, 'queries do not';
    like $out->{body}, qr/\Q$through->{address}\E/, 'they name the node';
    is stored('waits'), 0, 'nothing is stored yet';
    $node_nginx = nginx_of(@before_node);
    ok wait_for(sub { stored('waits') == 8 }, 30),
        'it is back: what waited is stored';
    ok wait_for(sub { ask(@right, '/select/logsql/query?query=name:=waits')
        ->{status} == 200 }, 20), 'queries work';
    sleep 0.5;
    is stored('waits'), 8, 'stored once';
}

# The node is down, so nginx answers 502: it may have had the request.
{
    $store->stop;
    is send_spans(@right, otlp_json(map { otlp_span(name => 'unknown') }
        1 .. 8))->{status}, 200, 'a node that is down behind nginx';
    my $out = ask(@right, '/select/logsql/query?query=name:=seed');
    is $out->{status}, 502, 'a query';
    like $out->{body}, qr/\Q$through->{address}\E/, 'names the node';
    $store->start;
    ok wait_for(sub { stored('unknown') == 8 }, 40), 'stored when it is back';
    sleep 0.5;
    is stored('unknown'), 8, 'once';
}

# --- vmauth -------------------------------------------------------------------

SKIP: {
    my $vmauth = $ENV{SPOOR_VMAUTH};
    skip 'SPOOR_VMAUTH names no vmauth', 1 unless $vmauth && -x $vmauth;
    my $https = free_port();
    my %tls_of = map { $_ => free_port() } qw(insert select);

    # Fronts that ask vmauth for a certificate.
    my %fronts = map {
        my $name = $_;
        my $own = free_port();
        my $other = $name eq 'insert' ? 'select' : 'insert';
        my $yaml = yaml_of($own, "$dir/vm-$name", $through,
            "$other.disable: true\n");
        $yaml =~ s/^http.listen: .*\n/<<"END"/e;
http.listen:
  - 127.0.0.1:$own
  - address: 127.0.0.1:$tls_of{$name}
    cert: $dir\/server.pem
    key: $dir\/server.key
    mtls_ca: $dir\/clients.pem
END
        $name => Test::Spoor->new(port => $own, yaml => $yaml)->start;
    } qw(insert select);
    my $map = <<"END";
      - src_paths: ["/insert/.*", "/v1/traces"]
        url_prefix: ["https://127.0.0.1:$tls_of{insert}/"]
      - src_paths: ["/select/.*"]
        url_prefix: ["https://127.0.0.1:$tls_of{select}/"]
END
    my $text = "users:\n  - username: who\n    password: $password{right}\n"
        . "    url_map:\n$map  - bearer_token: $password{right}-token\n"
        . "    url_map:\n$map";
    spew("$dir/vmauth.yml", $text);
    my $start = sub {
        my ($cert) = @_;
        my $pid = fork();

        die "fork: $!\n" unless defined $pid;
        if ($pid == 0) {
            open STDOUT, '>>', "$dir/vmauth.log";
            open STDERR, '>&', \*STDOUT;
            exec $vmauth, "-auth.config=$dir/vmauth.yml",
                "-httpListenAddr=127.0.0.1:$https", '-tls',
                "-tlsCertFile=$dir/server.pem", "-tlsKeyFile=$dir/server.key",
                "-backend.TLSCAFile=$dir/ca.pem",
                '-backend.TLSServerName=traces.test', $cert eq 'none' ? ()
                : ("-backend.TLSCertFile=$dir/$cert.pem",
                    "-backend.TLSKeyFile=$dir/$cert.key")
                or POSIX::_exit(127);
        }
        wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $https) }, 30) or diag slurp("$dir/vmauth.log");
        return $pid;
    };
    my %as = (none => [], right => ['-u', "who:$password{right}"],
        wrong => ['-u', "who:$password{wrong}"],
        token => ['-H', "Authorization: Bearer $password{right}-token"],
        badtoken => ['-H', "Authorization: Bearer $password{wrong}-token"]);
    for my $cert (@words) {
        my $pid = $start->($cert);

        for my $who (sort keys %as) {
            my $name = "vmauth-$cert-$who";
            my $good = $cert eq 'right' && $who =~ /^(?:right|token)$/;
            my $file = spew("$dir/body", otlp_json(map {
                otlp_span(name => $name) } 1 .. 4));
            my @same = ('--cacert', "$dir/ca.pem", @{$as{$who}});
            my $in = curl("https://traces.test:$https/v1/traces", @same,
                '-H', 'Content-Type: application/json', '--data-binary',
                "\@$file");
            my $out = curl("https://traces.test:$https"
                . '/select/logsql/query?query=name:=seed', @same);

            $_->{status} == 200 xor !$good or fail "$name: $_->{status}"
                for $in, $out;
            is stored($name), $good ? 4 : 0, "$name: what is stored";
            is $out->{body} =~ /"seed"/ ? 1 : 0, $good ? 1 : 0,
                'what is found';
            push @table, [$name, $in->{status}, $out->{status}];
        }
        is curl("https://traces.test:$https/internal/cluster", '--cacert',
            "$dir/ca.pem", @{$as{right}})->{status} =~ /^[45]/ ? 1 : 0, 1,
            '/internal is not passed on';
        kill 'TERM', $pid;
        waitpid $pid, 0;
    }
}

diag sprintf '%-28s %-7s %s', qw(who-user-certificate insert select);
diag sprintf '%-28s %-7s %s', @$_ for @table;

done_testing;
