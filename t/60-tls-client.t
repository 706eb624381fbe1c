# SPDX-License-Identifier: BSD-2-Clause
#
# spoorctl over https: what it believes, what it shows, and that every verb
# goes through TLS.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;
use Test::Spoor;
use Test::Tls;

my $dir = tempdir('spoor-ctl-XXXXXX', TMPDIR => 1, CLEANUP => 1);
certs($dir,
    'name=ca ca=1 cn=ca to=3650',
    'name=otherca ca=1 cn=otherca to=3650',
    'name=server cn=a.test san=DNS:localhost,IP:127.0.0.1 issuer=ca',
    'name=named cn=b.test san=DNS:b.test issuer=ca',
    'name=old cn=o san=DNS:localhost,IP:127.0.0.1 issuer=ca from=-9 to=-1',
    'name=client cn=client issuer=ca eku=client',
    'name=stranger cn=stranger issuer=otherca eku=client');

my ($plain, $tls, $named, $old, $mtls) = map { free_port() } 1 .. 5;
my $spoor = Test::Spoor->new(port => $plain, yaml => <<"END");
http.listen:
  - address: 127.0.0.1:$plain
  - address: 127.0.0.1:$tls
    cert: $dir/server.pem
    key: $dir/server.key
  - address: 127.0.0.1:$named
    cert: $dir/named.pem
    key: $dir/named.key
  - address: 127.0.0.1:$old
    cert: $dir/old.pem
    key: $dir/old.key
  - address: 127.0.0.1:$mtls
    cert: $dir/server.pem
    key: $dir/server.key
    mtls_ca: $dir/ca.pem
workers: 1
storage.path: $dir/data
END
$spoor->start;

sub ctl {
    my (@words) = @_;

    return run_command([spoorctl_bin(), @words], env => { NO_COLOR => 1 });
}

my @trust = ('--tls-ca', "$dir/ca.pem");
my $url = "https://127.0.0.1:$tls";

# --- verbs -----------------------------------------------------------------------

my $run = ctl('gen', '--url', $url, '--traces', 300, '--batch', 300, @trust);
is $run->{status}, 0, 'gen' or diag $run->{err};
$run = ctl(@trust, 'services', '--url', $url);
is $run->{status}, 0, 'services, with the options before the verb'
    or diag $run->{err};
my ($service) = $run->{out} =~ /(\S+)/;
$run = ctl('search', "--tls-ca=$dir/ca.pem", '--url', $url, '--service',
    $service, '-o', 'ids');
like $run->{out}, qr/^[0-9a-f]{32}$/m, 'search';
my ($id) = $run->{out} =~ /([0-9a-f]{32})/;
$run = ctl('trace', '--url', $url, @trust, $id);
is $run->{status}, 0, 'trace';
$run = ctl('query', '--url', $url, @trust, '* | stats count() rows');
like $run->{out}, qr/\d{3,}/, 'query';
$run = ctl('export', '--url', $url, @trust, '--quiet', '--out',
    "$dir/all.jsonl");
is $run->{status}, 0, 'export' or diag $run->{err};
cmp_ok -s "$dir/all.jsonl", '>', 1 << 20, 'of some size';
$run = ctl('import', '--url', $url, @trust, '--quiet', '--tenant', '7:0',
    "$dir/all.jsonl");
is $run->{status}, 0, 'import' or diag $run->{err};
$run = ctl('send', '--url', $url, @trust, "$dir/all.jsonl");
is $run->{status}, 0, 'send' or diag $run->{err};
$run = run_command([spoorctl_bin(), 'shell', @trust],
    stdin => "* | stats count() rows\n", env => { SPOOR_URL => $url });
like $run->{out}, qr/\d{3,}/, 'shell, by SPOOR_URL' or diag $run->{err};

# --- whom it believes -----------------------------------------------------------------

my @cases = (
    [$tls, [], 0, qr/certificate verify failed/, 'no authority that is known'],
    [$tls, ['--tls-ca', "$dir/otherca.pem"], 0,
        qr/certificate verify failed/, 'another authority'],
    [$tls, ['--tls-insecure'], 1, qr/warning: --tls-insecure/,
        'believing anybody, with a warning'],
    [$named, [@trust], 0, qr/IP address mismatch/, 'another name'],
    [$named, [@trust, '--tls-server-name', 'b.test'], 1, qr/^$/,
        'the name that it should have'],
    [$named, [@trust, '--tls-server-name', 'c.test'], 0,
        qr/[Hh]ostname mismatch/, 'and one that it has not'],
    [$old, [@trust], 0, qr/expired/, 'expired'],
    [$plain, [@trust], 0, qr/wrong version number/, 'a server without TLS'],
    [$mtls, [@trust], 0, qr/certificate required|handshake failure/,
        'no certificate shown'],
    [$mtls, [@trust, '--tls-cert', "$dir/client.pem", '--tls-key',
        "$dir/client.key"], 1, qr/^$/, 'one that is accepted'],
    [$mtls, [@trust, '--tls-cert', "$dir/stranger.pem", '--tls-key',
        "$dir/stranger.key"], 0, qr/alert unknown ca|unknown ca/,
        'one that is not'],
    [$mtls, [@trust, '--tls-cert', "$dir/client.pem", '--tls-key',
        "$dir/stranger.key"], 0, qr/this is not the key/, 'a wrong key'],
    [$tls, ['--tls-ca', "$dir/none.pem"], 0, qr/none\.pem.*No such file/,
        'no such file'],
);
for my $case (@cases) {
    my ($port, $words, $works, $pattern, $name) = @$case;
    $run = ctl('services', '--url', "https://127.0.0.1:$port", @$words);
    is !!($run->{status} == 0), !!$works, $name;
    like $run->{err}, $pattern, 'and says so';
}
$run = ctl('services', '--url', "https://localhost:$tls", @trust);
is $run->{status}, 0, 'by the name of a host';
$run = ctl('services', '--url', "http://127.0.0.1:$tls");
like $run->{err}, qr/400.*HTTPS/, 'plain HTTP to it is told so';
$run = ctl('services', '--tls-ca');
is $run->{status}, 2, 'an option without its value';

is $spoor->stop, 0, 'stops';
done_testing();
