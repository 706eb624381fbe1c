# SPDX-License-Identifier: BSD-2-Clause
#
# Certificates of clients: kinds of certificates x protocols x addresses.  No
# wrong one may ever reach a handler.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Tls;

my $dir = tempdir('spoor-mtls-XXXXXX', TMPDIR => 1, CLEANUP => 1);
certs($dir,
    'name=ca ca=1 cn=ca to=3650',
    'name=server cn=a.test san=DNS:a.test issuer=ca',
    'name=clients ca=1 cn=clients to=3650',
    'name=inter ca=1 cn=inter issuer=clients to=3000',
    'name=oldinter ca=1 cn=oldinter issuer=clients from=-9 to=-1',
    'name=notca cn=notca issuer=clients eku=none',
    'name=right cn=right san=DNS:good.test issuer=clients eku=client',
    'name=rsa key=rsa cn=rsa san=DNS:good.test issuer=clients eku=client',
    'name=both cn=x san=DNS:other.test,DNS:good.test issuer=clients eku=both',
    'name=anyuse cn=x san=DNS:good.test issuer=clients eku=none',
    'name=uri cn=x san=URI:spiffe://test/agent issuer=clients eku=client',
    'name=cn cn=good.test issuer=clients eku=client',
    'name=case cn=x san=DNS:GOOD.test issuer=clients eku=client',
    'name=chained cn=x san=DNS:good.test issuer=inter eku=client chain=inter',
    # --- never
    'name=wrongca cn=x san=DNS:good.test issuer=ca eku=client',
    'name=expired cn=x san=DNS:good.test issuer=clients eku=client from=-9 to=-1',
    'name=future cn=x san=DNS:good.test issuer=clients eku=client from=1 to=9',
    'name=forservers cn=x san=DNS:good.test issuer=clients eku=server',
    'name=foremail cn=x san=DNS:good.test issuer=clients eku=email',
    'name=unchained cn=x san=DNS:good.test issuer=inter eku=client',
    'name=viaold cn=x san=DNS:good.test issuer=oldinter eku=client chain=oldinter',
    'name=vianotca cn=x san=DNS:good.test issuer=notca eku=client chain=notca',
    'name=self cn=x san=DNS:good.test eku=client',
    'name=fakeca ca=1 cn=clients',
    'name=faked cn=x san=DNS:good.test issuer=fakeca eku=client chain=fakeca',
    # --- only where names do not matter
    'name=noname issuer=clients eku=client',
    'name=othername cn=bad san=DNS:bad.test issuer=clients eku=client',
    'name=wildcard cn=x san=DNS:*.test issuer=clients eku=client',
    'name=prefix cn=good.test.evil san=DNS:good.test.evil issuer=clients eku=client',
    'name=suffix cn=xgood.test san=DNS:xgood.test issuer=clients eku=client',
    'name=email cn=x san=email:good@good.test issuer=clients eku=client',
    'name=urihost cn=x san=URI:https://good.test issuer=clients eku=client',
    'name=uricase cn=x san=URI:spiffe://TEST/agent issuer=clients eku=client',
    'name=ip cn=x san=IP:127.0.0.1 issuer=clients eku=client');

my @good = qw(right rsa both anyuse uri cn case chained);
my @never = qw(none wrongca expired future forservers foremail unchained
    viaold vianotca self faked);
my @unnamed = qw(noname othername wildcard prefix suffix email urihost uricase
    ip);

my ($plain, $any, $named, $grpc, $open) = map { free_port() } 1 .. 5;
my $spoor = Test::Spoor->new(port => $plain, yaml => <<"END");
http.listen:
  - address: 127.0.0.1:$plain
  - address: 127.0.0.1:$any
    cert: $dir/server.pem
    key: $dir/server.key
    mtls_ca: $dir/clients.pem
  - address: 127.0.0.1:$named
    cert: $dir/server.pem
    key: $dir/server.key
    mtls_ca: $dir/clients.pem
    mtls_names: [good.test, "spiffe://test/agent"]
  - address: 127.0.0.1:$open
    cert: $dir/server.pem
    key: $dir/server.key
otlp_grpc.listen:
  - address: 127.0.0.1:$grpc
    cert: $dir/server.pem
    key: $dir/server.key
    mtls: true
    mtls_ca: $dir/clients.pem
    mtls_names: [good.test, "spiffe://test/agent"]
workers: 1
storage.path: data
END
$spoor->start;

{
    my $body = otlp_pb(otlp_span(name => 'mtls'));
    open my $out, '>:raw', "$dir/grpc" or die $!;
    print $out pack('CN', 0, length $body), $body;
    close $out;
}

my %ask = (
    h1 => sub { curl("https://a.test:$_[0]/health", '--http1.1', @_[1 .. $#_]) },
    h2 => sub { curl("https://a.test:$_[0]/health", '--http2', @_[1 .. $#_]) },
    grpc => sub {
        curl("https://a.test:$_[0]/opentelemetry.proto.collector.trace.v1."
            . 'TraceService/Export', '--http2', '-H', 'te: trailers', '-H',
            'Content-Type: application/grpc', '--data-binary', "\@$dir/grpc",
            @_[1 .. $#_])
    },
);

sub asked {
    my ($protocol, $port, $name, @words) = @_;
    my @shown = $name eq 'none' ? () : ('--cert', "$dir/$name.pem", '--key',
        "$dir/$name.key");

    return $ask{$protocol}->($port, '--cacert', "$dir/ca.pem", @shown,
        @words)->{status};
}

my ($combinations, $wrong) = (0, 0);
for my $port ($any, $named, $grpc) {
    my $has_names = $port != $any;
    my %expected = ((map { $_ => 200 } @good), (map { $_ => 0 } @never),
        (map { $_ => $has_names ? 0 : 200 } @unnamed));

    for my $name (@good, @never, @unnamed) {
        for my $protocol (sort keys %ask) {
            next if $port == $any && $protocol eq 'h2' && $name ne 'right';
            my $status = asked($protocol, $port, $name,
                $combinations % 2 ? ('--tls-max', '1.2') : ());
            my $where = $port == $any ? 'no names' :
                $port == $named ? 'names' : 'gRPC port';
            is $status, $expected{$name}, "$name by $protocol, $where";
            $wrong++ if $status != 0 && $expected{$name} == 0;
            $combinations++;
        }
    }
}
is $wrong, 0, "none of $combinations combinations was accepted wrongly";

is asked('h1', $open, 'none'), 200, 'other addresses ask for nothing';
is asked('h1', $open, 'self'), 200, 'and look at nothing';

# --- sessions ------------------------------------------------------------------

my $request = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
for my $version (qw(tls1_2 tls1_3)) {
    my @shown = ('-cert', "$dir/othername.pem", '-key', "$dir/othername.key");
    s_client($any, \$request, "-$version", '-ign_eof', @shown, '-sess_out',
        "$dir/session");
    my $seen = s_client($any, \$request, "-$version", '-ign_eof', '-sess_in',
        "$dir/session");
    like $seen, qr/^Reused,.*200 OK/ms,
        "$version: the session stands for the certificate";
    $seen = s_client($named, \$request, "-$version", '-ign_eof', @shown,
        '-sess_in', "$dir/session");
    unlike $seen, qr/^Reused|200 OK/m,
        "$version: not where other names are accepted";
    s_client($open, \$request, "-$version", '-ign_eof', '-sess_out',
        "$dir/session");
    $seen = s_client($any, \$request, "-$version", '-ign_eof', '-sess_in',
        "$dir/session");
    unlike $seen, qr/^Reused|200 OK/m,
        "$version: a session without certificate opens nothing";
}

# --- what is told ----------------------------------------------------------------

my $failures = 'spoor_tls_handshake_failures_total';
cmp_ok tls_metric($spoor, $failures, qr/client_certificate/), '>=', 20,
    'bad certificates are counted';
cmp_ok tls_metric($spoor, $failures, qr/client_name/), '>=', 20,
    'and names that are not accepted';
like $spoor->log, qr/TLS handshake of 127\.0\.0\.1:\d+ at 127\.0\.0\.1:\d+ failed: .*certificate/,
    'the log says why';
my @lines = $spoor->log =~ /TLS handshake of/g;
cmp_ok scalar @lines, '<', 60, 'but not each time';

is $spoor->stop, 0, 'stops';
done_testing();
