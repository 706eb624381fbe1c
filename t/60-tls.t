# SPDX-License-Identifier: BSD-2-Clause
#
# TLS as clients see it: versions, suites, protocols, certificates by name,
# sessions, large bodies, and who comes without TLS or with it by mistake.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Tls;
use Time::HiRes qw(sleep time);

plan skip_all => 'openssl is not installed'
    if system('openssl version > /dev/null 2>&1') != 0;

my $dir = tempdir('spoor-tls-XXXXXX', TMPDIR => 1, CLEANUP => 1);
certs($dir,
    'name=ca ca=1 cn=ca to=3650',
    'name=inter ca=1 cn=inter issuer=ca',
    'name=ec cn=a.test san=DNS:a.test,DNS:localhost issuer=inter chain=inter',
    'name=rsa key=rsa cn=a.test san=DNS:a.test,DNS:localhost issuer=ca',
    'name=b cn=b.test san=DNS:b.test,DNS:*.b.test issuer=ca',
    'name=x key=rsa cn=x.b.test san=DNS:x.b.test issuer=ca');

my ($tls, $only13, $grpc, $proxied) = map { free_port() } 1 .. 4;
my @names = qw(ec rsa b x);
my $files = sub {
    my ($suffix) = @_;
    return '[' . join(', ', map { "$dir/$_.$suffix" } @names) . ']';
};
my $spoor;
{
    my $plain = free_port();
    $spoor = Test::Spoor->new(port => $plain, yaml => <<"END");
http.listen:
  - address: 127.0.0.1:$plain
  - address: 127.0.0.1:$tls
    cert: @{[$files->('pem')]}
    key: @{[$files->('key')]}
  - address: 127.0.0.1:$only13
    cert: $dir/ec.pem
    key: $dir/ec.key
    min_version: TLS13
  - address: 127.0.0.1:$proxied
    cert: $dir/ec.pem
    key: $dir/ec.key
    proxy_protocol: true
otlp_grpc.listen:
  - address: 127.0.0.1:$grpc
    cert: $dir/rsa.pem
    key: $dir/rsa.key
http.header_timeout: 2s
workers: 2
storage.path: data
END
}
$spoor->start;
my @trust = ('--cacert', "$dir/ca.pem");

# --- versions and suites -------------------------------------------------------

for my $version (qw(1.2 1.3)) {
    my $reply = curl("https://a.test:$tls/health", @trust, "--tlsv$version",
        '--tls-max', $version);
    is $reply->{status}, 200, "TLS $version" or diag $reply->{err};
    is $reply->{version}, '2', 'and HTTP/2 by ALPN';
}
my $reply = curl("https://a.test:$tls/health", @trust, '--http1.1');
is $reply->{version}, '1.1', 'HTTP/1.1 by ALPN';
$reply = curl("https://a.test:$tls/health", @trust, '--http1.1', '--no-alpn');
is $reply->{status}, 200, 'without ALPN';
$reply = curl("https://a.test:$tls/health", @trust, '--http2-prior-knowledge',
    '--no-alpn');
is $reply->{status}, 200, 'HTTP/2 by its first bytes, without ALPN';

for my $version (qw(tls1 tls1_1)) {
    like s_client($tls, "-$version", '-cipher', 'ALL:@SECLEVEL=0'),
        qr/alert protocol version|no protocols/, "$version is refused";
}
like s_client($only13, '-tls1_2'), qr/alert protocol version/,
    'TLS 1.2 is refused where the oldest is 1.3';
like s_client($only13), qr/Verification|TLSv1\.3/, 'and 1.3 is not';

for my $bad ('AES128-SHA', 'ECDHE-RSA-AES128-SHA256', 'AES128-GCM-SHA256',
    'DHE-RSA-AES128-GCM-SHA256', 'AECDH-NULL-SHA:@SECLEVEL=0') {
    like s_client($tls, '-tls1_2', '-cipher', $bad), qr/handshake failure/,
        "$bad is refused";
}
for my $good ('ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-CHACHA20-POLY1305') {
    like s_client($tls, '-tls1_2', '-cipher', $good, '-servername', 'a.test'),
        qr/Cipher is $good/, "$good is spoken";
}
my $seen = s_client($tls, '-tls1_2');
like $seen, qr/Compression: NONE/, 'no compression';
like $seen, qr/Secure Renegotiation IS supported/, 'RFC 5746 is known';
# "R" asks for a new handshake on the same connection.
like s_client($tls, \"R\n", '-tls1_2'), qr/RENEGOTIATING.*no renegotiation/s,
    'no renegotiation';
unlike s_client($tls, '-tls1_3'), qr/Max Early Data: [1-9]/,
    'no early data is offered';
like s_client($tls, '-alpn', 'spdy/3,foo'), qr/alert no application protocol/,
    'unknown protocols alone are refused';
like s_client($tls, '-alpn', 'foo,http/1.1'),
    qr/ALPN protocol: http\/1\.1/, 'one that is known among them is taken';
like s_client($tls, '-alpn', 'http/1.1,h2'), qr/ALPN protocol: h2/,
    'the server prefers HTTP/2';

# --- certificates by name --------------------------------------------------------

sub subject_of {
    my ($name, @words) = @_;

    return s_client($tls, defined $name ? ('-servername', $name)
        : '-noservername', @words) =~ /^subject=.*?([\w.]+)$/m
        ? $1 : 'none';
}

my %subjects = ('a.test' => 'a.test', 'b.test' => 'b.test',
    'y.b.test' => 'b.test', 'unknown.test' => 'a.test',
    'z.y.b.test' => 'a.test', 'B.TEST' => 'b.test');
is subject_of($_), $subjects{$_}, "$_ gets the certificate of $subjects{$_}"
    for sort keys %subjects;
is subject_of(undef), 'a.test', 'without a name the first';
is subject_of('x.b.test', '-tls1_2', '-cipher', 'aRSA'), 'x.b.test',
    'an exact name counts more than a wildcard';
for my $kind (['ECDHE-ECDSA-AES128-GCM-SHA256', 'id-ecPublicKey|ECDSA', 'ECDSA'],
    ['ECDHE-RSA-AES128-GCM-SHA256', 'rsaEncryption|RSA', 'RSA']) {
    my ($cipher, $pattern, $name) = @$kind;
    for my $words (['-servername', 'a.test'], ['-noservername']) {
        $seen = s_client($tls, '-tls1_2', '-cipher', $cipher, @$words);
        like $seen, qr/Peer signature type: (?:$pattern)/,
            "$name for the same name (@$words)";
    }
}
$seen = s_client($tls, '-CAfile', "$dir/ca.pem", '-servername', 'a.test');
like $seen, qr/Verification: OK/, 'the chain is sent';
$reply = curl("https://c.test:$tls/health", @trust);
is $reply->{status}, 0, 'a client that checks names refuses another one';

# --- sessions ---------------------------------------------------------------------

for my $version (qw(tls1_2 tls1_3)) {
    my ($resumed, $full) = (0, 0);
    my $request = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    s_client($tls, \$request, "-$version", '-ign_eof', '-sess_out',
        "$dir/session");
    for (1 .. 12) {
        $seen = s_client($tls, \$request, "-$version", '-ign_eof',
            '-sess_in', "$dir/session");
        $resumed++ if $seen =~ /^Reused, /m;
        $full++ if $seen =~ /^New, /m;
    }
    is "$resumed $full", '12 0', "$version: resumed by whatever worker";
    $seen = s_client($only13, \$request, '-ign_eof', '-sess_in',
        "$dir/session");
    like $seen, $version eq 'tls1_3' ? qr/^Reused, /m : qr/^New, /m,
        'at another address with the same rules, if its version is spoken';
    my $workers = join ' ', sort @{$spoor->pids->{worker}};
    $spoor->signal('HUP');
    ok wait_for(sub {
        join(' ', sort @{$spoor->pids->{worker} || []}) ne $workers
            && @{$spoor->pids->{worker}} == 2
    }), 'workers of a new generation';
    $seen = s_client($tls, \$request, "-$version", '-ign_eof', '-sess_in',
        "$dir/session");
    like $seen, qr/^Reused, /m, "$version: resumed after a reload";
}

# --- bodies --------------------------------------------------------------------------

my $big = 'x' x (62 << 20);
{
    open my $out, '>', "$dir/big" or die $!;
    print $out $big;
    close $out;
}
for my $http ('--http1.1', '--http2') {
    # To a decoder these are fields it does not know.
    $reply = curl("https://a.test:$tls/v1/traces", @trust, $http,
        '-H', 'Content-Type: application/x-protobuf', '-H', 'Expect:',
        '--data-binary', "\@$dir/big");
    is $reply->{status}, 200, "62 MiB are received ($http)"
        or diag $reply->{err};
}

my $text = join ' ', map { rand } 1 .. 5000;
for my $n (0 .. 6) {
    my @spans = map {
        otlp_span(name => "big $n $_", attributes => [{ key => 'text',
            value => { stringValue => substr($text, $_) . substr $text, 0, $_
                } }])
    } 1 .. 100;
    $reply = $spoor->post('/v1/traces', otlp_json(@spans),
        { 'Content-Type' => 'application/json' });
    is $reply->{status}, 200, 'spans are stored' or diag $reply->{body};
}
my $path = '/select/logsql/query?query=*%20name:~%22big.*%22';
my $plain = join "\n", sort split /\n/, $spoor->get($path)->{body};
cmp_ok length $plain, '>', 60 << 20, 'a large answer';
for my $http ('--http1.1', '--http2') {
    $reply = curl("https://a.test:$tls$path", @trust, $http);
    my $same = join "\n", sort split /\n/, $reply->{body};
    is sha256_hex($same), sha256_hex($plain), "the same over TLS ($http)";
    my $began = time();
    $reply = curl("https://a.test:$tls$path", @trust, $http, '--limit-rate',
        '25M');
    $same = join "\n", sort split /\n/, $reply->{body};
    is sha256_hex($same), sha256_hex($plain), "and to a slow reader ($http)";
    cmp_ok time() - $began, '>', 1, 'who was slow';
}

# --- gRPC -------------------------------------------------------------------------------

for my $port ($tls, $grpc) {
    my $span = otlp_span(name => "grpc $port");
    my $body = otlp_pb($span);
    open my $out, '>:raw', "$dir/grpc" or die $!;
    print $out pack('CN', 0, length $body), $body;
    close $out;
    $reply = curl("https://a.test:$port/opentelemetry.proto.collector.trace."
        . 'v1.TraceService/Export', @trust, '--http2', '-H', 'te: trailers',
        '-H', 'Content-Type: application/grpc', '--data-binary',
        "\@$dir/grpc");
    like $reply->{head}, qr/^grpc-status: 0\r$/mi, 'gRPC over TLS';
}

# --- behind a proxy ------------------------------------------------------------------

for my $http ('--http1.1', '--http2') {
    $reply = curl("https://a.test:$proxied/health", @trust, $http,
        '--haproxy-protocol');
    is $reply->{status}, 200, "a PROXY header before TLS ($http)"
        or diag $reply->{err};
}
$reply = curl("https://a.test:$proxied/health", @trust);
is $reply->{status}, 0, 'but not TLS without the header';

# --- without TLS, and with it where there is none -------------------------------------------

my $plain_count = sub {
    tls_metric($spoor, 'spoor_tls_handshake_failures_total', qr/plain_http/)
};
for my $request ("GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 'POST /v1/traces HTTP/1.0') {
    my $before = $plain_count->();
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $tls) or die $!;
    print $socket $request;
    local $/;
    my $answer = <$socket>;
    like $answer, qr{^HTTP/1\.1 400 .*HTTPS}s, 'plain HTTP is told so';
    is $plain_count->(), $before + 1, 'and counted';
}
my $tls_on_plain = tls_metric($spoor, 'spoor_tls_on_plain_port_total');
$reply = curl('https://a.test:' . $spoor->port . '/health', @trust);
is $reply->{status}, 0, 'TLS to a plain port fails';
is tls_metric($spoor, 'spoor_tls_on_plain_port_total'), $tls_on_plain + 1,
    'and is counted';

for my $bytes ("\x16\x03\x01\x00\x05hello", "\x80\x2e\x01\x00\x02", "\0" x 100,
    "\x16\x03\x01\xff\xff" . 'x' x 300, "\x15\x03\x01\x00\x02\x01\x00") {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $tls) or die $!;
    print $socket $bytes;
    local $/;
    my $answer = <$socket>;
    ok !defined $answer || $answer eq '' || $answer =~ /^\x15\x03/,
        'garbage ends with an alert';
}

# Half a handshake: ends in the time of a request's head.
{
    my $began = time();
    my @sockets = map {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $tls) or die $!;
        print $socket "\x16\x03\x01" if $_ > 3;
        $socket;
    } 1 .. 6;
    local $/;
    for my $socket (@sockets) {
        my $answer = <$socket>;
    }
    cmp_ok time() - $began, '>', 1.5, 'slow handshakes have their time';
    cmp_ok time() - $began, '<', 8, 'but not for ever';
    ok wait_for(sub { tls_metric($spoor, 'spoor_tls_handshake_failures_total',
        qr/timeout/) >= 6 }), 'they are counted';
}

# --- half-closed ------------------------------------------------------------------------------

# s_client sends close_notify at the end of its input, then reads on.
$seen = s_client($tls, \("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"), '-quiet',
    '-no_ign_eof', '-alpn', 'http/1.1');
like $seen, qr/200 OK|verify|depth/, 'an answer, or an orderly end, to who is done';

# --- metrics ------------------------------------------------------------------------------------

my $metrics = $spoor->get('/metrics')->{body};
like $metrics, qr/^spoor_tls_handshakes_total\{version="TLSv1.3",resumed="1"\} [1-9]/m,
    'resumed sessions are counted';
like $metrics, qr/^spoor_tls_handshake_seconds_count [1-9]/m,
    'the time of handshakes';
my $series = 'spoor_tls_certificate_not_after_seconds\{listener='
    . "\"127.0.0.1:$tls\",number=\"1\",key=\"ecdsa\"}";
my ($until) = $metrics =~ /^$series (\d+)$/m;
cmp_ok abs(($until || 0) - time() - 30 * 86400), '<', 86400,
    'when a certificate ends';
ok wait_for(sub { $spoor->metric('spoor_tls_connections') == 0 }),
    'no connection is left' or diag $spoor->metric('spoor_tls_connections');
unlike $spoor->log, qr/PRIVATE KEY|panic/, 'no key in the log';
my @lines = $spoor->log =~ /TLS handshake of/g;
cmp_ok scalar @lines, '<', 40, 'failures do not fill the log';

is $spoor->stop, 0, 'stops';
done_testing();
