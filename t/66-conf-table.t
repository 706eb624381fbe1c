#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The addresses to listen on: maps of a file and positional lists of flags
# mean the same, later layers replace the file's, and whatever was loaded,
# -T prints a file that loads to the same -T.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $rounds = $ENV{CONF_ROUNDS} || 120;
my $seed = $ENV{CONF_SEED} || int(rand(1 << 31));
srand $seed;
note "CONF_SEED=$seed";

my $dir = tempdir('spoor-table-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub spoor {
    my ($words, %option) = @_;

    return run_command([spoor_bin(), '-p', $dir, @$words], %option);
}

# What -T says without its comments.
sub values_in {
    my ($got) = @_;

    return "status $got->{status}: $got->{err}" if $got->{status} != 0;
    return join "\n", grep { $_ ne '' }
        map { s/  #.*//r } grep { !/^#/ } split /\n/, $got->{out};
}

sub values_of {
    my ($words, %option) = @_;

    return values_in(spoor(['-T', @$words], %option));
}

# Only the addresses.
sub listen_of {
    my ($words, %option) = @_;
    my $text = values_of($words, %option);

    $text =~ s/\Q$dir\E\///g;
    return $text =~ /^    listen:\s*(.*?)\n    \w/ms
        ? $1 =~ s/^ +//mgr =~ s/\n- /\n/gr =~ s/^- //r : $text;
}

sub file {
    my ($text) = @_;

    spew("$dir/x.yaml", $text);
    return ('-c', 'x.yaml');
}

# --- maps and lists -----------------------------------------------------------

my @flags = ('-httpListenAddr=:1,:2', '-httpListenAddr', '[::1]:3',
    '-tlsCertFile=,"a.pem;b.pem",c.pem', '-tlsKeyFile=,a.key;b.key,c.key',
    '-tls=false,true', '-tlsMinVersion=,tls13,',
    '-httpListenAddr.useProxyProtocol', '-httpListenAddr.disable=select;admin,,');
my $maps = <<'END';
http:
    listen:
        - {address: ":1", tls: no, proxy_protocol: on, disable: [select, admin]}
        - address: ":2"
          tls: yes
          cert: [a.pem, b.pem]
          key: [a.key, b.key]
          min_version: TLS13
          proxy_protocol: true
        - {address: "[::1]:3", cert: c.pem, key: c.key, proxy_protocol: true}
END
my $want = <<'END';
address: ":1"
tls: false
proxy_protocol: true
disable: [select, admin]
address: ":2"
tls: true
cert: [a.pem, b.pem]
key: [a.key, b.key]
min_version: TLS13
proxy_protocol: true
address: "[::1]:3"
cert: c.pem
key: c.key
proxy_protocol: true
END
chomp $want;
# Paths are printed absolute.
sub is_listen {
    my ($words, $text, $name, %option) = @_;

    is listen_of($words, %option), $text, $name;
    return;
}
is_listen([@flags], $want, 'flags by position');
is_listen([file($maps)], $want, 'maps of a file');

like spoor(['-T', file($maps)])->{out},
    qr{^          cert: \[\S+, \S+\]  # \S+/x\.yaml:6; reload$}m,
    'each with its line';
is_listen([file("http.listen: [':1', {address: ':2', proxy_protocol: on}]\n")],
    qq(address: ":1"\naddress: ":2"\nproxy_protocol: true), 'texts and maps');
is_listen([file("http.listen: {address: ':1', disable: admin}\n")],
    qq(address: ":1"\ndisable: admin), 'one map');
is_listen([file("http.listen: ':1,:2'\n")], '[":1", ":2"]', 'a text');
is_listen([file("http:\n  listen: [':1', ':2']\n  listen.disable: admin\n")],
    qq(address: ":1"\ndisable: admin\naddress: ":2"\ndisable: admin),
    'a column of its own, a single value for all');
is_listen(['-httpListenAddr=:1,:2', '-httpListenAddr.useProxyProtocol=true,'],
    qq(address: ":1"\nproxy_protocol: true\naddress: ":2"),
    'a comma at the end leaves the last one out');
is_listen(['-httpListenAddr=:1', '-tls=false'], qq(address: ":1"\ntls: false),
    'false is said');
like spoor(['-T', '-httpListenAddr=:1', '-tls=false,false'])->{err},
    qr/^-tls: warning: "http.listen.tls" has 2 values for 1 addresses$/m,
    'more values than addresses';

# --- layers -------------------------------------------------------------------

my @file = file("http.listen: {address: ':9', cert: a.pem, key: a.key}\n");
is_listen([@file, '-httpListenAddr=:1'], '[":1"]',
    'addresses of a flag have nothing of the file');
is_listen([@file, '-g', 'http.listen: ":1"'], '[":1"]', 'nor those of -g');
is_listen([@file, '-httpListenAddr.useProxyProtocol'], qq(address: ":9")
    . "\ncert: a.pem\nkey: a.key\nproxy_protocol: true",
    'a flag adds to what the file says');
is_listen([@file, '-tls=false'], qq(address: ":9"\ntls: false\ncert: a.pem)
    . "\nkey: a.key", 'or takes away');
is_listen([@file, '-envflag.enable', '-httpListenAddr=:1'],
    qq(address: ":1"\nproxy_protocol: true), 'the environment joins flags',
    env => { 'httpListenAddr_useProxyProtocol' => 'true' });
is_listen(['-g', 'http.listen: {address: ":1", disable: admin}',
    '-httpListenAddr=:2'], '[":2"]', 'a flag after -g');

# --- any configuration --------------------------------------------------------

sub one_of { return $_[rand @_] }

sub some_of {
    my @some = grep { rand() < 0.5 } @_;
    return @some ? @some : ($_[0]);
}

my @words = ('x', 'a b', 'a:b', "it's", '"q"', '#', '- y', '{z}', '$' . '{N}',
    'yes', '~', '0x1f', "\x{e4}\x{20ac}", '*.example.org', 'a,b', "t\tb",
    '%', '!x', '&a', '[', '|', '>-');

sub yaml_text {
    my ($text) = @_;

    $text =~ s/\$\{/\$\${/g;
    $text =~ s/'/''/g;
    utf8::encode($text);
    return $text =~ /\t/ ? '"' . ($text =~ s/\t/\\t/gr) . '"' : "'$text'";
}

sub yaml_value {
    my ($value) = @_;

    return yaml_text($value) unless ref $value;
    return '[' . join(', ', map { yaml_text($_) } @$value) . ']';
}

my $port;
sub listener {
    my %map = (address => one_of('', '127.0.0.1', '[::1]', 'localhost') . ':'
        . ++$port);

    if (rand() < 0.5) {
        my $n = 1 + int rand 3;

        $map{cert} = [map { one_of(@words) } 1 .. $n];
        $map{key} = [map { one_of(@words) } 1 .. $n];
        $map{tls} = one_of('yes', 'no', 'on', 'f') if rand() < 0.5;
        $map{min_version} = one_of('TLS12', 'tls13') if rand() < 0.3;
        $map{ciphers} = one_of(@words) if rand() < 0.2;
        if (rand() < 0.5 && ($map{tls} // 'yes') =~ /yes|on/) {
            $map{mtls_ca} = one_of(@words);
            $map{mtls} = 'true' if rand() < 0.5;
            $map{mtls_names} = [map { one_of(@words) } 1 .. 2]
                if rand() < 0.5;
        }
    }
    $map{proxy_protocol} = one_of('true', 'false') if rand() < 0.3;
    $map{disable} = [some_of(qw(insert select internalinsert internalselect
        delete internaldelete admin))] if rand() < 0.3;
    return yaml_text($map{address}) if keys %map == 1 && rand() < 0.8;
    return '{' . join(', ', map { "$_: " . yaml_value($map{$_}) }
        sort keys %map) . '}';
}

my @others = (
    sub { 'workers: ' . int rand 257 },
    sub { 'user: ' . yaml_text(one_of(@words)) },
    sub { 'storage.path: ' . yaml_text(one_of(@words)) },
    sub { 'storage.fsync: ' . one_of('always', 'OFF', 'Interval') },
    sub { 'storage.retention: ' . one_of('3', '30d', '1y', '8w') },
    sub { 'search.max_query_duration: ' . one_of('1m30s', '500ms') },
    sub { 'storage.min_free_disk: ' . one_of('10MB', '1GiB', '4096') },
    sub { 'metrics.expose_metadata: ' . one_of('yes', 'f') },
    sub { 'log.file: ' . yaml_text(one_of('stderr', 'stdout', @words)) },
    sub { 'http.headers.csp: ' . yaml_text(one_of(@words)) },
    sub { 'http.path_prefix: /p' },
    sub { "otlp_grpc.listen: [" . join(', ', map { listener() }
        1 .. rand 4) . ']' },
);

my $same = 0;
for my $round (1 .. $rounds) {
    $port = 1000;
    my @lines = map { $_->() } some_of(@others);
    push @lines, "http:\n    listen:\n" . join '',
        map { '        - ' . listener() . "\n" } 1 .. 1 + rand 4
        if rand() < 0.8;
    my $text = join "\n", @lines, '';

    spew("$dir/r.yaml", $text);
    my $first = spoor(['-c', 'r.yaml', '-T']);
    if ($first->{status} != 0) {
        fail("round $round loads");
        diag($text, $first->{err});
        next;
    }
    spew("$dir/s.yaml", $first->{out});
    my ($want, $have) = (values_in($first), values_of(['-c', 's.yaml']));

    $same += $want eq $have;
    diag("round $round:\n$text\n$want\n---\n$have") if $want ne $have;
}
is $same, $rounds, "-T of $rounds configurations loads to the same -T";

done_testing();
