# SPDX-License-Identifier: BSD-2-Clause
#
# What README.md tells a stranger to type works as it is printed: the span
# sent by hand with curl, and the commands that show it.

use strict;
use warnings;

use Test::More;
use Test::Spoor;
use Test::Traces;

plan skip_all => 'no curl' if run_command(['curl', '--version'])->{status};

my $root = spoor_root();
open my $in, '<:raw', "$root/README.md" or die "README.md: $!\n";
my $readme = do { local $/; <$in> };
close $in;
my @blocks = $readme =~ /^```sh\n(.*?)^```/msg;
my ($send) = grep { /^curl .*v1\/traces/m } @blocks;
my ($look) = grep { /^objs\/spoorctl services/m } @blocks;
ok $send, 'README.md has a curl command';
ok $look, 'README.md has commands that look at the span';

my $spoor = Test::Spoor->new;
$spoor->start;

# Only the address of the server differs.
sub shell {
    my ($text) = @_;
    my $url = $spoor->url;

    $text =~ s{http://127\.0\.0\.1:10428}{$url}g;
    return run_command(['sh', '-c', $text],
        env => { SPOOR_URL => $url, no_proxy => '*' });
}

my $sent = shell("set -e\n$send");
is $sent->{status}, 0, 'curl ran' or diag $sent->{err};
is $sent->{out}, '{}', 'the server took the span';

my ($id) = $send =~ /"traceId":"(\w+)"/;
my ($span_id) = $send =~ /"spanId":"(\w+)"/;
my $trace = jaeger_trace($spoor, $id);
is $trace->{spans}[0]{spanID}, $span_id, 'it is there';
is $trace->{spans}[0]{operationName}, 'GET /cart', 'with its name';
is $trace->{spans}[0]{duration}, 250000, 'and its duration';
is $trace->{processes}{p1}{serviceName}, 'shop', 'of its service';
cmp_ok abs($trace->{spans}[0]{startTime} / 1e6 - time()), '<', 60,
    'it happened now';

SKIP: {
    skip 'no spoorctl', 4 unless -x spoorctl_bin();
    my $ctl = spoorctl_bin();
    (my $text = $look) =~ s{objs/spoorctl}{$ctl}g;
    my $seen = shell("set -e\n$text");
    is $seen->{status}, 0, 'the commands that look ran' or diag $seen->{err};
    like $seen->{out}, qr/^shop$/m, 'services shows it';
    like $seen->{out}, qr/^.*\b$id\b.*$/m, 'search shows it';
    like $seen->{out}, qr/shop +GET \/cart .*250\.00ms/, 'trace shows it';
}

done_testing;
