#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# One file, and one that it includes, with more than twenty kinds of mistakes:
# -t names all of them in one run, each with its place, the line and what may
# have been meant, as text and as JSON.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin qw($Bin);
use JSON::PP;
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $dir = tempdir('spoor-mistakes-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $objdir = $ENV{SPOOR_OBJDIR} || "$Bin/../objs";

# An ordinary user, where the test is run by root.
my $nobody = $> == 0 ? scalar getpwnam('nobody') : undef;
my @as_nobody = defined $nobody
    ? ('setpriv', '--reuid', $nobody, '--clear-groups') : ();
my $uid = defined $nobody ? $nobody : $>;

# What people give, which is not what is asked for.
sub spoor {
    my ($words, %option) = @_;

    return run_command([@as_nobody, spoor_bin(), '-p', $dir, @$words],
        %option);
}

is run_command(["$objdir/t/helper/make_certs", $dir],
    stdin => "name=a san=DNS:a.test\nname=b san=DNS:b.test\n")->{status}, 0,
    'certificates are made';
spew("$dir/empty", "\n");
spew("$dir/file", "x\n");
spew("$dir/locked.key", slurp("$dir/a.key"));
chmod 0755, $dir;
chmod 0644, glob "$dir/*";
chmod 0000, "$dir/locked.key";
chmod 0600, "$dir/empty";
chown $nobody, -1, "$dir/empty" if defined $nobody;

# Lines of a file; column and message where there is a mistake.
my @main = (
    ['wokers: 2', 1,
        'unknown directive "wokers" (did you mean "workers"?)'],
    ['worker_threads: many', 17,
        '"worker_threads" must be a number, not "many"'],
    ['workers: 999', 10, '"workers" must be 0..256, not "999"'],
    ['workers: 1', 1, 'duplicate directive "workers" (first in line 3)'],
    ['include: [more.yaml, gone.yaml]', 22,
        '"include": DIR/gone.yaml: No such file or directory'],
    ['retentionPeriod: 30d', 1, 'unknown directive "retentionPeriod"'
        . ' (did you mean "storage.retention"?)'],
    ['user: no-such-user', 7,
        '"user" must be a user of this system, not "no-such-user"'],
    ['xyzzy: {a: 1}', 1, 'unknown directive "xyzzy"'],
    ['http:'],
    ['    listen:'],
    ['        - ":70000"', 11, '"http.listen" must be host:port, :port,'
        . ' [address]:port, *:port or unix:/path, not ":70000"'],
    ['        - {adress: ":1"}', 12, 'unknown directive "adress" in'
        . ' "http.listen" (did you mean "address"?)'],
    ['        - {address: ":2", min_version: TLS10}', 40,
        '"http.listen.min_version" must be TLS12 or TLS13: "TLS10" is broken'
        . ' and forbidden (RFC 8996)'],
    ['        - {address: ":3", disable: [select, admn]}', 36,
        '"http.listen.disable" must be insert, select, internalinsert,'
        . ' internalselect, delete, internaldelete or admin, not "admn"'],
    ['    header_timeout: 10', 21, '"http.header_timeout" must be a duration'
        . ' such as 500ms, 10s or 1m30s, not "10"'],
    ['    metrics_auth_key: file:gone', 23, '"http.metrics_auth_key" cannot be'
        . ' read: DIR/gone: No such file or directory', 'hidden'],
    ['    flags_auth_key: file:empty', 21,
        '"http.flags_auth_key" cannot be read: DIR/empty: is empty', 'hidden'],
    ['    pprof_auth_key: https://vault/key', 21, '"http.pprof_auth_key" is'
        . ' not fetched from the network; file:PATH names a file with it', 'hidden'],
    ['otlp_grpc:'],
    ['    listen:'],
    ['        - {address: ":4", tls: true}', 32, '"otlp_grpc.listen.tls" of :4'
        . ' needs a certificate: "cert" and "key", -otlpGRPC.tlsCertFile and'
        . ' -otlpGRPC.tlsKeyFile'],
    ['        - {address: ":5", cert: gone.pem, key: a.key}', 33,
        '"otlp_grpc.listen.cert" cannot be used: DIR/gone.pem: No such file'
        . " or directory (running as uid $uid)"],
    ['        - {address: ":6", cert: a.pem, key: locked.key}', 45,
        '"otlp_grpc.listen.key" cannot be used: DIR/locked.key: Permission'
        . " denied (running as uid $uid)"],
    ['        - {address: ":7", cert: a.pem, key: b.key}', 33,
        '"otlp_grpc.listen.cert" of :7: DIR/b.key: this is not the key'
        . ' of the certificate DIR/a.pem'],
    ['        - {address: ":8", cert: [a.pem, b.pem], key: a.key}', 33,
        '"otlp_grpc.listen.cert" of :8 has 2 certificates, but 1 key: each'
        . ' needs one'],
    ['        - {address: ":9", mtls: true}', 33, '"otlp_grpc.listen.mtls" of'
        . ' :9 needs the authorities of the clients: "mtls_ca",'
        . ' -otlpGRPC.mtlsCAFile'],
    ['        - {address: ":4"}', 21,
        '"otlp_grpc.listen" has :4 twice (otlp_grpc.listen)'],
    ['storage:'],
    ['    fsync: sometimes', 12,
        '"storage.fsync" must be always, interval or off, not "sometimes"'],
    ['    path: file/data', 11, '"storage.path" cannot be used: DIR/file/data:'
        . " Not a directory (running as uid $uid)"],
    ['    retention: 12h', 16,
        '"storage.retention" must be 1d..100y, not "12h"'],
    ['    retention_max_bytes: 1GB'],
    ['    retention_max_percent: 80', 28, '"storage.retention_max_percent"'
        . ' excludes "storage.retention_max_bytes" (DIR/main.yaml:32)'],
    ['log: INFO', 6, '"log" must be a group of directives'],
    ['metrics.expose_metadata: perhaps', 26,
        '"metrics.expose_metadata" must be true or false, not "perhaps"'],
    ['search.max_traces: ${SPOOR_NOT_SET}', 20, 'environment variable'
        . ' "SPOOR_NOT_SET" is not set (${SPOOR_NOT_SET:-default} gives a'
        . ' default)'],
    ['pid: [a, b]', 6, '"pid" must be one value, not a list'],
);
my @more = (
    ['insert.max_concurrent: -1', 24,
        '"insert.max_concurrent" must be 0..100000, not "-1"'],
    ['memory: {allowed_percent: 60%}', 27,
        '"memory.allowed_percent" must be a number, not "60%"'],
    ['auth:'],
    ['    pasword: hunter2', 5, 'unknown directive "pasword" in "auth" (did'
        . ' you mean "password"?)', 'hidden'],
    ['workers: 3', 1,
        'duplicate directive "workers" (first in DIR/main.yaml:3)'],
    ['include: main.yaml', 10, '"include": DIR/main.yaml: includes itself'],
);

my @want;
for (['main', \@main], ['more', \@more]) {
    my ($name, $lines) = @$_;

    spew("$dir/$name.yaml", join '', map { "$_->[0]\n" } @$lines);
    for my $i (grep { defined $lines->[$_][1] } 0 .. $#$lines) {
        my ($text, $column, $message, $hidden) = @{$lines->[$i]};

        push @want, {
            file => "$dir/$name.yaml", line => $i + 1, column => $column,
            message => $message =~ s/DIR/$dir/gr, text => $text,
            hidden => $hidden,
        };
    }
}
cmp_ok(scalar @want, '>', 35, 'mistakes in two files');

my $got = spoor(['-c', 'main.yaml', '-t']);
is $got->{status}, 1, 'status';
is $got->{out}, '', 'nothing on standard output';
for my $want (@want) {
    my $place = "$want->{file}:$want->{line}:$want->{column}: error:"
        . " $want->{message}\n";

    $place .= sprintf "%5d | %s\n      | %s^", $want->{line}, $want->{text},
        ' ' x ($want->{column} - 1) unless $want->{hidden};
    ok index($got->{err}, $place) >= 0,
        "$want->{line}: $want->{message}" or diag("want:\n$place");
}
my @said = $got->{err} =~ /^(\S+: error: .*)$/mg;
is scalar(@said), scalar(@want), 'one message for each' or diag($got->{err});
like $got->{err}, qr/^\Q$dir\E\/main\.yaml: (\d+) errors, configuration not/m,
    'their number';
unlike $got->{err}, qr/hunter2/, 'what nearly is a password is not shown';
my ($warning) = $got->{err} =~ /^(.* warning: .*)$/m;
is $warning, undef, 'no warning';

# --- for editors --------------------------------------------------------------

$got = spoor(['-c', 'main.yaml', '-t', '-format', 'json']);
is "$got->{status}$got->{err}", '1', 'as JSON on standard output';
my @objects = map { decode_json($_) } split /\n/, $got->{out};
is scalar(@objects), scalar(@want), 'an object for each';
sub key_of { return join "\t", map { $_[0]{$_} } qw(file line column message) }
is_deeply [sort map { key_of($_) } @objects], [sort map { key_of($_) } @want],
    'with the same places and messages';
is scalar(grep { $_->{severity} ne 'error' || $_->{width} < 1 } @objects), 0,
    'each an error with a width';

spew("$dir/good.yaml", "http.listen: ['127.0.0.1:0']\n");
$got = spoor(['-c', 'good.yaml', '-t', '-format=json', '-storageDataPath=/tmp']);
is "$got->{status}$got->{err}$got->{out}", '0', 'a good file says nothing'
    or diag($got->{err}, $got->{out});
$got = spoor(['-c', 'none.yaml', '-t', '-format=json',
    '-storageDataPath=/tmp']);
is_deeply decode_json($got->{out}), {
    severity => 'error', file => "$dir/none.yaml",
    message => 'open: No such file or directory',
}, 'a file that is not there has no place';
is spoor(['-t', '-format=xml'])->{status}, 1, 'no other form';

done_testing();
