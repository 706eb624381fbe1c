# SPDX-License-Identifier: BSD-2-Clause
#
# testssl.sh (Debian package testssl.sh) looks at everything an address with
# TLS offers; nothing it finds may be above INFO.  It runs for minutes:
#
#     make tls-check

use strict;
use warnings;

use File::Temp qw(tempdir);
use JSON::PP ();
use Test::More;
use Test::Spoor;
use Test::Tls;

my ($testssl) = grep { -x } map { ("$_/testssl", "$_/testssl.sh") }
    split /:/, $ENV{PATH};
plan skip_all => 'only make tls-check runs it' unless $ENV{SPOOR_TESTSSL};
plan skip_all => 'testssl.sh is not installed' unless $testssl;

# Of the world around the server, not of the server.
my %outside = (
    engine_problem => 'the openssl at hand has no GOST',
    DNS_CAArecord => 'an address has no DNS',
);

my $dir = tempdir('spoor-testssl-XXXXXX', TMPDIR => 1, CLEANUP => 1);
certs($dir, 'name=ca ca=1 cn=ca key=rsa to=3650',
    map { "name=$_ key=$_ cn=localhost san=DNS:localhost,IP:127.0.0.1 to=90 "
        . 'issuer=ca crl=http://ca.test/crl' } qw(ec rsa));
my ($plain, $tls) = (free_port(), free_port());
my $spoor = Test::Spoor->new(port => $plain, yaml => <<"END");
http.listen:
  - address: 127.0.0.1:$plain
  - address: 127.0.0.1:$tls
    cert: [$dir/ec.pem, $dir/rsa.pem]
    key: [$dir/ec.key, $dir/rsa.key]
http.headers.hsts: max-age=31536000
workers: 2
storage.path: $dir/data
END
$spoor->start;

my $run = run_command([$testssl, '--quiet', '--color', 0, '--warnings', 'off',
    '--openssl', '/usr/bin/openssl', '--add-ca', "$dir/ca.pem", '--jsonfile',
    "$dir/out.json", "127.0.0.1:$tls"], seconds => 1200);
my $found = eval { JSON::PP->new->decode(slurp("$dir/out.json")) } || [];
cmp_ok scalar @$found, '>', 100, 'testssl.sh looked at many things'
    or diag $run->{out}, $run->{err};

my %levels;
for my $one (@$found) {
    my ($id) = split / /, $one->{id};
    my $level = $outside{$id} ? 'outside' : $one->{severity};
    push @{$levels{$level}}, "$one->{id}: $one->{finding}";
}
for my $level (sort keys %levels) {
    diag sprintf '%-8s %4d', $level, scalar @{$levels{$level}};
    next if $level =~ /^(?:OK|INFO)$/;
    diag "    $_" for @{$levels{$level}};
}
is_deeply [grep { !/^(?:OK|INFO|outside)$/ } sort keys %levels], [],
    'nothing above INFO';

is $spoor->stop, 0, 'stops';
done_testing();
