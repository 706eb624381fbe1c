#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Secrets: from files, which are read again at a reload, from the environment
# and the command line; what was given is seen in no page, log, dump, command
# line or file of the server.  And a server whose file includes others.

use strict;
use warnings;

use File::Find;
use File::Temp qw(tempdir);
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $dir = tempdir('spoor-secret-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub secret {
    my ($name, $text, $mode) = @_;

    spew("$dir/$name", $text);
    chmod $mode // 0600, "$dir/$name";
    return "file:$dir/$name";
}

# --- every way to give one ----------------------------------------------------

# No two share a word that a page might have for another reason.
my %word = map { $_ => "Wq7$_" . 'x' x 9 } 'a' .. 'h';
my $spoor = Test::Spoor->new(
    conf => {
        'http.metrics_auth_key' => secret('metrics', "$word{a}\n"),
        'http.force_flush_auth_key' => $word{b},
        'http.force_merge_auth_key' => '${SPOOR_T_MERGE}',
    },
    args => ["-flagsAuthKey=$word{c}", '-pprofAuthKey', $word{d},
        '-g', "http.partition_manage_auth_key: $word{e}",
        "-http.header.csp=$word{f}", '-secret.flags=http.header.csp,user',
        '-envflag.enable', '-envflag.prefix=VM_',
        '--logNewStreamsAuthKey=file://' . "$dir/streams"],
    env => { SPOOR_T_MERGE => $word{g}, VM_httpAuth_password => $word{h},
        VM_httpAuth_username => 'joe' },
);
secret('streams', "$word{a}\r\n \n");
$spoor->start;

my %auth = (Authorization => 'Basic ' . do {
    require MIME::Base64;
    MIME::Base64::encode_base64("joe:$word{h}", '');
});
is $spoor->get('/metrics')->{status}, 401, 'a key is asked for';
my $metrics = $spoor->get("/metrics?authKey=$word{a}");
is $metrics->{status}, 200, 'the key of the file, without its newline';
my $flags = $spoor->get("/flags?authKey=$word{c}");
is $flags->{status}, 200, 'the key of the command line';
is $spoor->post("/internal/force_flush?authKey=$word{b}")->{status}, 200,
    'that of the configuration';
is $spoor->get('/select/jaeger/api/services', \%auth)->{status}, 200,
    'that of the environment';
like $flags->{body}, qr/^-?httpAuth\.password="secret"$/m, 'masked';
like $spoor->log, qr/flags that are set: .*-httpAuth\.password="secret"/,
    'and in the line of flags that are set';
like $flags->{body}, qr/^-?http\.header\.csp="secret"$/m,
    'so is what secret.flags names';
like $flags->{body}, qr{^-?metricsAuthKey="file:\Q$dir\E/metrics"$}m,
    'the name of a file is none';
like $flags->{body}, qr/^-?user=""$/m, 'nor is a default';

my ($master, @workers) = map { ref $_ ? @$_ : $_ } values %{$spoor->pids};
my @seen = ($flags->{body}, $metrics->{body}, $spoor->log);
for my $pid ($spoor->pid, grep { defined } $master, @workers) {
    push @seen, slurp("/proc/$pid/cmdline");
}
like $seen[3], qr/-flagsAuthKey=secret/, 'the command line is overwritten';
find({ no_chdir => 1, wanted => sub {
    push @seen, slurp($_) if -f $_ && !/spoor\.yaml$/;
} }, $spoor->dir);
cmp_ok scalar(@seen), '>', 6, 'texts to look at';
for my $text (@seen) {
    my ($found) = grep { index($text, $word{$_}) >= 0 } sort keys %word;

    is $found, undef, 'no secret in it'
        or diag(substr $text, 0, 300);
}
my @warned = $spoor->log =~ /-(\w+): warning: \S+ is a secret on the/g;
is_deeply [sort @warned], ['flagsAuthKey', 'g', 'pprofAuthKey'],
    'a warning for each on the command line';

# --- a reload -----------------------------------------------------------------

secret('metrics', 'new-one', 0640);
is run_command([spoor_bin(), '-c', $spoor->conf_file, '-s', 'reload'],
    env => $spoor->{env})->{status}, 0, 'a reload';
ok wait_for(sub {
    return $spoor->get('/metrics?authKey=new-one')->{status} == 200;
}, 20), 'reads the file again';
is $spoor->get("/flags?authKey=$word{c}")->{status}, 200,
    'the command line still counts';
my ($rc, $text) = do {
    local $ENV{SPOOR_T_MERGE} = 'x';
    $spoor->upgrade;
};
is $rc, 0, 'an upgrade of the binary' or diag($text);
is $spoor->get("/flags?authKey=$word{c}")->{status}, 200,
    'has the secrets of the command line';
like slurp("/proc/" . $spoor->pid . "/cmdline"), qr/-flagsAuthKey=secret/,
    'and overwrites it, too';
unlink "$dir/metrics";
my $got = run_command([spoor_bin(), '-c', $spoor->conf_file, '-s', 'reload'],
    env => { %{$spoor->{env}}, SPOOR_T_MERGE => 'x' });
cmp_ok $got->{status}, '!=', 0, 'a reload without the file fails';
is $spoor->get('/metrics?authKey=new-one')->{status}, 200,
    'and changes nothing';
$spoor->stop;

# --- forms --------------------------------------------------------------------

sub test_file {
    my ($value) = @_;

    spew("$dir/t.yaml", "auth: {username: joe, password: '$value'}\n");
    return run_command([spoor_bin(), '-p', $dir, '-c', 't.yaml', '-T']);
}

secret('good', 'x');
is test_file("file:$_")->{err}, '', "file:$_"
    for "$dir/good", 'good', '//good', "//$dir/good";
secret('loose', 'x', 0644);
like test_file('file:loose')->{err},
    qr/:1:33: warning: "auth.password" is in \S+ which everybody may read .*644/,
    'a file for everybody';
for (['empty', " \n"], ['nul', "a\0b"], ['latin', "\xe4"],
    ['big', 'x' x 5000]) {
    secret(@$_);
    $got = test_file("file:$_->[0]");
    is $got->{status}, 1, "$_->[0]: refused";
    like $got->{err}, qr/:1:33: error: "auth.password" cannot be read: /,
        'with its place';
    unlike $got->{err}, qr/\|/, 'and no line of the file';
}
is test_file("file:$_")->{status}, 1, "file:$_ is refused"
    for 'none', '.', '/dev/zero', '';
is test_file("$_://x/y")->{status}, 1, "$_ is refused" for 'http', 'https';

# --- includes -----------------------------------------------------------------

mkdir "$dir/conf.d";
spew("$dir/main.yaml", <<'END');
include: [conf.d/*.yaml, "none.d/*.yaml"]
storage.path: data
END
my $port = free_port();
spew("$dir/conf.d/10-http.yaml",
    "http:\n    listen: '127.0.0.1:$port'\ninclude: deeper/x.yaml\n");
spew("$dir/conf.d/ignored.txt", "nonsense: [\n");
mkdir "$dir/conf.d/deeper";
spew("$dir/conf.d/deeper/x.yaml", "http: {header_timeout: 3s}\n");
spew("$dir/conf.d/20-search.yaml", "search.max_traces: 5\n");
sub dump_of {
    return run_command([spoor_bin(), '-p', $dir, '-c', 'main.yaml', '-T',
        @_]);
}
$got = dump_of();
is $got->{err}, '', 'files that include files';
like $got->{out}, qr{^    header_timeout: 3s  # \S*/conf\.d/deeper/x\.yaml:1;}m,
    'the origin is the included file';
like $got->{out}, qr/^    max_traces: 5 /m, 'all of a pattern';
like dump_of('-search.maxTraces=6')->{out}, qr/^    max_traces: 6 /m,
    'a flag wins over them';

sub is_refused {
    my ($text, $want, $name) = @_;

    spew("$dir/conf.d/30-more.yaml", $text);
    my $failed = dump_of();
    is $failed->{status}, 1, "$name: refused";
    like $failed->{err}, $want, 'and said';
    return;
}
is_refused("search.max_traces: 5\n", qr{conf\.d/30-more\.yaml:1:1:\ error:
    \ duplicate\ directive\ "search\.max_traces"\ \(first\ in
    \ \S+/conf\.d/20-search\.yaml:1\)}x, 'the same in two files');
is_refused("include: ../main.yaml\n", qr/main\.yaml: includes itself/,
    'a circle');
is_refused("include: 30-more.yaml\n", qr/30-more\.yaml: includes itself/,
    'itself');
is_refused("include: {a: b}\n", qr/:1:10: error: "include" must be a file/,
    'a map');
is_refused("include: ''\n", qr/"include" must be a file/, 'nothing');
is_refused("include: /dev/zero\n", qr/is not a file/, 'a device');
is_refused("http: {include: x}\n", qr/unknown directive "include" in "http"/,
    'in a group');
is_refused('# ' . 'x' x (1 << 20) . "\n",
    qr/files are larger than 1048576 bytes together/, 'too much text');
spew("$dir/conf.d/30-more.yaml", '');
spew("$dir/deep$_.yaml", 'include: deep' . ($_ + 1) . ".yaml\n") for 1 .. 9;
is_refused("include: ../deep1.yaml\n", qr/nested deeper than 8 files/,
    'too deep');
spew("$dir/conf.d/30-more.yaml", '');
mkdir "$dir/many";
spew("$dir/many/$_.yaml", '') for 1 .. 300;
is_refused("include: ../many/*.yaml\n", qr/more than 256 files/, 'too many');
spew("$dir/conf.d/30-more.yaml", '');
like dump_of('-g', 'include: x')->{err}, qr/"include" has its place in a file/,
    'not with -g';

# A directory whose name looks like a pattern.
mkdir "$dir/[x]*";
spew("$dir/[x]*/main.yaml", "include: b.yaml\n");
spew("$dir/[x]*/b.yaml", "workers: 3\n");
like run_command([spoor_bin(), '-c', "$dir/[x]*/main.yaml", '-T'])->{out},
    qr/^workers: 3 /m, 'beside a file whose path is no pattern';

done_testing();
