# SPDX-License-Identifier: BSD-2-Clause
#
# Certificates and clients for tests with TLS.
#
#     use Test::Tls;
#
#     certs($dir, 'name=ca ca=1', 'name=a san=DNS:a.test issuer=ca');
#     my $reply = curl('https://a.test:1/health', '--cacert', "$dir/ca.pem");
#     my $seen = s_client($port, '-tls1_2', '-servername', 'a.test');

package Test::Tls;

use strict;
use warnings;

use Exporter qw(import);
use Test::More ();
use Test::Spoor;

our @EXPORT = qw(certs curl s_client tls_metric);

# t/helper/make_certs.c says what a line may be.
sub certs {
    my ($dir, @lines) = @_;
    my $tool = ($ENV{SPOOR_OBJDIR} || spoor_root() . '/objs')
        . '/t/helper/make_certs';

    mkdir $dir;
    my $run = run_command([$tool, $dir], stdin => join("\n", @lines, ''));
    die "make_certs: $run->{err}\n" if $run->{status} != 0;
    return $dir;
}

# Names of hosts lead to 127.0.0.1.  A hash: status (0: no answer), version
# of HTTP, body, head, exit and err of curl.
sub curl {
    my ($url, @words) = @_;
    my ($host, $port) = $url =~ m{//([^:/]+):(\d+)} or die "$url\n";
    my $head = File::Temp->new;
    my $run = run_command(['curl', '-sS', '-D', "$head", '--max-time', 50,
        '-w', "\n%{http_code} %{http_version} %{ssl_verify_result}",
        '--resolve', "$host:$port:127.0.0.1", @words, $url]);
    my ($body, $status, $version) =
        $run->{out} =~ /\A(.*)\n(\d+) ([\d.]+) \d+\z/s;

    open my $in, '<:raw', "$head" or die "$head: $!\n";
    local $/;
    return {
        status => ($status || 0) + 0,
        version => $version,
        body => $body,
        head => scalar <$in>,
        exit => $run->{status},
        err => $run->{err},
    };
}

# What openssl s_client prints; input is sent after the handshake.
sub s_client {
    my ($port, @words) = @_;
    my $input = ref $words[0] ? ${shift @words} : '';
    my $run = run_command(['openssl', 's_client', '-connect',
        "127.0.0.1:$port", @words], stdin => $input, seconds => 20);

    return $run->{out} . $run->{err};
}

# Of one that matches labels (a pattern), summed.
sub tls_metric {
    my ($spoor, $name, $labels) = @_;
    my $sum = 0;

    for (split /\n/, $spoor->get('/metrics')->{body}) {
        my ($found, $value) = /^\Q$name\E(\{.*\})? (\S+)$/ or next;
        $sum += $value if !defined $labels || ($found || '') =~ $labels;
    }
    return $sum;
}

1;
