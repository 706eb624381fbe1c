# SPDX-License-Identifier: BSD-2-Clause
#
# Certificates that change while the server runs, with and without a signal,
# whole, half written and wrong; and what -t says of them.

use strict;
use warnings;

use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Test::More;
use Test::Spoor;
use Test::Tls;
use Time::HiRes qw(sleep time);

my $dir = tempdir('spoor-reload-XXXXXX', TMPDIR => 1, CLEANUP => 1);
certs($dir,
    'name=ca ca=1 cn=ca to=3650',
    'name=otherca ca=1 cn=otherca to=3650',
    (map { "name=v$_ cn=v$_ san=DNS:a.test issuer=ca" } 1 .. 9),
    'name=old cn=old san=DNS:a.test issuer=ca from=-9 to=-1',
    'name=early cn=early san=DNS:a.test issuer=ca from=3 to=9',
    'name=unnamed issuer=ca', 'name=short key=rsa1024 cn=s issuer=ca',
    'name=mixed cn=m san=DNS:a.test issuer=ca chain=otherca',
    'name=one cn=one san=DNS:c.test issuer=ca eku=client',
    'name=two cn=two san=DNS:c.test issuer=otherca eku=client');

# As certbot does: a new file, then its name.
sub place {
    my ($from, $to) = @_;

    copy("$dir/$from", "$dir/new") or die "$from: $!";
    rename "$dir/new", "$dir/$to" or die $!;
    return;
}

sub spew_file {
    my ($name, $text) = @_;

    open my $out, '>:raw', "$dir/$name" or die $!;
    print $out $text;
    close $out or die $!;
    return;
}

sub content {
    my ($name) = @_;

    open my $in, '<:raw', "$dir/$name" or die $!;
    local $/;
    return <$in>;
}

place('v1.pem', 'cert.pem');
place('v1.key', 'cert.key');
place('ca.pem', 'clients.pem');
my ($plain, $tls, $mtls) = map { free_port() } 1 .. 3;
my $spoor = Test::Spoor->new(port => $plain, yaml => <<"END");
http.listen:
  - address: 127.0.0.1:$plain
  - address: 127.0.0.1:$tls
    cert: $dir/cert.pem
    key: $dir/cert.key
  - address: 127.0.0.1:$mtls
    cert: $dir/cert.pem
    key: $dir/cert.key
    mtls_ca: $dir/clients.pem
workers: 2
storage.path: $dir/spoor-data
END
$spoor->start;

sub served {
    return s_client($tls) =~ /^subject=CN = (\w+)$/m ? $1 : 'none';
}

sub soon_served {
    my ($version, $name) = @_;

    ok wait_for(sub { served() eq $version }, 15), $name
        or diag 'served: ', served();
    return;
}

sub errors { return scalar(() = $spoor->log =~ /\terror\t/g) }

# A connection that outlives what happens to certificates.
sub fetches {
    my $failed = 0;

    for (1 .. 10) {
        my $reply = curl("https://a.test:$tls/health", '--cacert',
            "$dir/ca.pem");
        $failed++ if $reply->{status} != 200;
    }
    return $failed;
}

is served(), 'v1', 'the first certificate';

# --- without a signal -----------------------------------------------------------

place('v2.key', 'cert.key');
place('v2.pem', 'cert.pem');
soon_served('v2', 'a new one is taken without a signal');
is fetches(), 0, 'all is well';

# The key comes late: first they do not fit.
my $before = errors();
place('v3.pem', 'cert.pem');
sleep 2.5;
is served(), 'v2', 'a certificate without its key changes nothing';
is fetches(), 0, 'and harms nobody';
my $said = errors() - $before;
cmp_ok $said, '>=', 1, 'an error says so';
like $spoor->log,
    qr{\terror\t.*\Q$dir\E/cert\.key: this is not the key .*/cert\.pem},
    'with the names of both files';
sleep 2;
is errors() - $before, $said, 'once';
place('v3.key', 'cert.key');
soon_served('v3', 'until the key is there');

# In place, slowly, in pieces.
my @pieces = unpack '(a150)*', content('v4.pem');
spew_file('cert.key', content('v4.key'));
for my $n (0 .. $#pieces) {
    spew_file('cert.pem', join '', @pieces[0 .. $n]);
    sleep 0.3;
}
soon_served('v4', 'one that is written slowly');
$before = errors();
for my $broken ('', "-----BEGIN CERTIFICATE-----\nAAAA\n", 'x' x 100_000,
    content('v5.key')) {
    spew_file('cert.pem', $broken);
    sleep 1.6;
    is served(), 'v4', length($broken) . ' bytes of something else';
}
unlink "$dir/cert.pem";
sleep 1.6;
is served(), 'v4', 'no file at all';
cmp_ok errors() - $before, '<=', 10, 'few lines tell it';
is fetches(), 0, 'the server goes on';
place('v5.key', 'cert.key');
place('v5.pem', 'cert.pem');
soon_served('v5', 'and takes the next good one');

# --- authorities ------------------------------------------------------------------

sub admitted {
    my ($name) = @_;

    return curl("https://a.test:$mtls/health", '--cacert', "$dir/ca.pem",
        '--cert', "$dir/$name.pem", '--key', "$dir/$name.key")->{status};
}

is admitted('one'), 200, 'a client of the authority';
is admitted('two'), 0, 'and one of another';
my $request = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
s_client($mtls, \$request, '-ign_eof', '-cert', "$dir/one.pem", '-key',
    "$dir/one.key", '-sess_out', "$dir/session");
place('otherca.pem', 'clients.pem');
ok wait_for(sub { admitted('two') == 200 }, 15), 'authorities change, too';
is admitted('one'), 0, 'the old one is not believed any more';
unlike s_client($mtls, \$request, '-ign_eof', '-sess_in', "$dir/session"),
    qr/200 OK/, 'nor a session of its time';

# --- with a signal ------------------------------------------------------------------

place('v6.key', 'cert.key');
place('v6.pem', 'cert.pem');
my $run = run_command([spoor_bin(), '-c', $spoor->conf_file, '-s', 'reload']);
is $run->{status}, 0, 'a reload by hand' or diag $run->{err};
soon_served('v6', 'takes it, too');
spew_file('cert.key', content('v7.key'));
$run = run_command([spoor_bin(), '-c', $spoor->conf_file, '-s', 'reload']);
isnt $run->{status}, 0, 'a reload with the wrong key fails';
like $run->{out} . $run->{err}, qr/\Q$dir\E\/cert\.key: this is not the key/,
    'and says why';
is served(), 'v6', 'nothing has changed';

# --- -t ---------------------------------------------------------------------------------

sub test_of {
    my ($cert, $key, $more) = @_;
    my $port = free_port();

    spew_file('t.yaml', <<"END" . ($more || ''));
storage.path: $dir/data
http.listen:
  - address: 127.0.0.1:$port
    cert: $dir/$cert
    key: $dir/$key
END
    my $run = run_command([spoor_bin(), '-t', '-c', "$dir/t.yaml"]);
    return "$run->{status} $run->{out}$run->{err}";
}

spew_file('both.pem', content('v8.pem') . content('v8.key'));
run_command(['openssl', 'pkcs8', '-topk8', '-in', "$dir/v8.key", '-out',
    "$dir/locked.key", '-passout', 'pass:secret']);
my @cases = (
    ['v8.pem', 'v8.key', qr/^0 .*is fine/s, 'a good pair'],
    ['both.pem', 'both.pem', qr/^0 .*is fine/s, 'both in one file'],
    ['v8.pem', 'v9.key', qr/^1 .*v9\.key: this is not the key of/s,
        'another key'],
    ['none.pem', 'v9.key', qr/^1 .*none\.pem.*No such file/s, 'no file'],
    ['v8.key', 'v8.key', qr/^1 .*v8\.key: there is no certificate/s,
        'a key instead of a certificate'],
    ['v8.pem', 'v8.pem', qr/^1 .*v8\.pem: there is no private key/s,
        'a certificate instead of a key'],
    ['v8.pem', 'locked.key', qr/^1 .*locked\.key: the key is protected by a pass/s,
        'a key with a password'],
    ['short.pem', 'short.key', qr/^1 .*short\.key: .*1024 bits/s,
        'a short RSA key'],
    ['old.pem', 'old.key', qr/^0 .*warning: .*old\.pem: .*expired/s,
        'expired: a warning'],
    ['early.pem', 'early.key', qr/^0 .*warning: .*not valid yet/s,
        'not yet valid: a warning'],
    ['unnamed.pem', 'unnamed.key', qr/^0 .*warning: .*names no host/s,
        'without names: a warning'],
    ['mixed.pem', 'mixed.key', qr/^0 .*warning: .*no chain/s,
        'a chain that is none: a warning'],
);
for my $case (@cases) {
    my ($cert, $key, $pattern, $name) = @$case;
    my $text = test_of($cert, $key);

    like $text, $pattern, "-t: $name";
    unlike $text, qr/PRIVATE KEY|[A-Za-z0-9+\/]{60}/, 'nothing secret is shown';
}
like test_of('v8.pem', 'v8.key', "    ciphers: TLS_RSA_WITH_AES_128_CBC_SHA\n"),
    qr/^1 .*TLS_RSA_WITH_AES_128_CBC_SHA" is not offered/s, '-t: a weak suite';
like test_of('v8.pem', 'v8.key', '    ciphers: '
        . "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256\n"),
    qr/^0 /, '-t: good suites by either name';
like test_of('v8.pem', 'v8.key', "    mtls: true\n"), qr/^1 /,
    '-t: client certificates without authorities';

unlike $spoor->log, qr/PRIVATE KEY/, 'no key in the log';
is $spoor->stop, 0, 'stops';
done_testing();
