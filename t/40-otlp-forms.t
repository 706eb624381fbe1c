# SPDX-License-Identifier: BSD-2-Clause
#
# The requests of the conformance suite, as JSON and as the protobuf that its
# own encoder makes of them, decode to equal spans.

use strict;
use warnings;

use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $suite = $ENV{SPOOR_CONFORMANCE} || '../shared/conformance';
my $objs = $ENV{SPOOR_OBJDIR} || 'objs';
my $helper = "$objs/t/helper/otlp_same";

plan skip_all => "no $suite here" unless -f "$suite/encode.py";
plan skip_all => 'no python3' if system('python3 -c 1 2>/dev/null') != 0;
die "$helper was not built\n" unless -x $helper;

my $json = JSON::PP->new->utf8->canonical->allow_bignum;

for my $name (qw(spans spans_events)) {
    my $dir = tempdir('spoor-forms-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    open my $in, '<', "$suite/$name.json" or die "$name.json: $!\n";
    my $requests = $json->decode(do { local $/; <$in> });
    close $in;
    is system("python3 $suite/encode.py $suite/$name.json $dir > $dir/out"),
        0, "$name: encoded";
    my ($n, $same) = (0, 0);
    for my $request (@$requests) {
        open my $out, '>', "$dir/req-$n.json" or die "$dir: $!\n";
        print $out $json->encode($request);
        close $out;
        my $said = `$helper $dir/req-$n.json $dir/req-$n.pb 2>&1`;
        $? == 0 ? $same++ : diag("$name request $n: $said");
        $n++;
    }
    ok $n > 0, "$name: $n requests";
    is $same, $n, "$name: all equal";
}

done_testing;
