#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The configuration as people meet it: -t names every mistake with its place,
# -T prints what counts and loads to the same, flags and environment win in
# the right order, -help explains.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $dir = tempdir('spoor-conf-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub conf_text {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print $file $text;
    close $file or die "$dir/$name: $!\n";
    return "$dir/$name";
}

# Runs spoor below the directory.
sub spoor {
    my ($words, %option) = @_;

    return run_command([spoor_bin(), '-p', $dir, @$words], %option);
}

# The value that counts for a directive, and its comment.
sub effective {
    my ($name, $words, %option) = @_;
    my $got = spoor(['-T', @$words], %option);

    return ("status $got->{status}: $got->{err}", '')
        unless $got->{status} == 0;
    return ($1, $2) if $got->{out} =~ /^ *\Q$name\E: (.*?)  # (.*)$/m;
    return ('nothing', '');
}

sub is_effective {
    my ($words, $name, $want, $origin, %option) = @_;
    my ($value, $comment) = effective($name, $words, %option);

    is $value, $want, "@$words: $name";
    like $comment, qr/^\Q$origin\E;/, "@$words: its origin"
        if defined $origin;
    return;
}

# --- twenty mistakes, twenty messages ----------------------------------------

# A line of the file, column, message; '' is a line without a mistake.
my @mistakes = (
    ['wokers: 2', 1,
        'unknown directive "wokers" (did you mean "workers"?)'],
    ['workers: 999', 10, '"workers" must be 0..256, not "999"'],
    ['workers: 2', 1, 'duplicate directive "workers" (first in line 2)'],
    ['worker_threads: many', 17,
        '"worker_threads" must be a number, not "many"'],
    ['retentionPeriod: 30d', 1, 'unknown directive "retentionPeriod"'
        . ' (did you mean "storage.retention"?)'],
    ['user: [a, b]', 7, '"user" must be one value, not a list'],
    ['pid:', 1,
        '"pid" has no value (write "" for an empty one)'],
    ['xyzzy: {a: 1, b: 2}', 1, 'unknown directive "xyzzy"'],
    ['http:'],
    ['    listen: [":10428", "here"]', 24, '"http.listen" must be host:port,'
        . ' :port, [address]:port, *:port or unix:/path, not "here"'],
    ['    header_timeout: 10', 21, '"http.header_timeout" must be a duration'
        . ' such as 500ms, 10s or 1m30s, not "10"'],
    ['    idle_timout: 10s', 5, 'unknown directive "idle_timout" in "http"'
        . ' (did you mean "idle_timeout"?)'],
    ['    send_timeout: 2h', 19,
        '"http.send_timeout" must be 100ms..1h, not "2h"'],
    ['    min_body_rate: {a: b}', 20,
        '"http.min_body_rate" must be a value, not a group'],
    ['storage:'],
    ['    retension: 30d', 5, 'unknown directive "retension" in "storage"'
        . ' (did you mean "retention"?)'],
    ['    fsync: sometimes', 12,
        '"storage.fsync" must be always, interval or off, not "sometimes"'],
    ['    min_free_disk: lots', 20, '"storage.min_free_disk" must be a size'
        . ' such as 64MiB, not "lots"'],
    ['    path: ""', 11, '"storage.path" must not be empty'],
    ['    retention: 12h', 16,
        '"storage.retention" must be 1d..100y, not "12h"'],
    ['log: INFO', 6, '"log" must be a group of directives'],
    ['metrics:'],
    ['    expose_metadata: perhaps', 22,
        '"metrics.expose_metadata" must be true or false, not "perhaps"'],
    ['search:'],
    ['    max_traces: ${SPOOR_NOT_SET}', 17, 'environment variable'
        . ' "SPOOR_NOT_SET" is not set (${SPOOR_NOT_SET:-default} gives a'
        . ' default)'],
);

my $bad = conf_text('bad.yaml', join '', map { "$_->[0]\n" } @mistakes);
my @lines = grep { defined $mistakes[$_][1] } 0 .. $#mistakes;
is scalar(@lines), 21, 'mistakes in the file';

my $got = spoor(['-c', $bad, '-t']);
is $got->{status}, 1, '-t of a bad file: status';
is $got->{out}, '', 'nothing on standard output';
for my $i (@lines) {
    my ($text, $column, $message) = @{$mistakes[$i]};
    my $number = $i + 1;
    my $place = sprintf "%s:%d:%d: error: %s\n%5d | %s\n      | %s^",
        $bad, $number, $column, $message, $number, $text,
        ' ' x ($column - 1);

    ok index($got->{err}, $place) >= 0, "line $number: $message"
        or diag("want:\n$place");
}
my @said = $got->{err} =~ /: error: /g;
is scalar(@said), 21, 'one message for each';
like $got->{err}, qr/\n\Q$bad\E: 21 errors, configuration not used\n\z/,
    'their number in the last line';
is spoor(['-c', $bad, '-t', '-q'])->{err}, $got->{err}, '-q keeps errors';
is spoor(['-c', $bad])->{status}, 1, 'a bad file is not run';

# --- good files ---------------------------------------------------------------

my $good = conf_text('good.yaml', <<'END');
http:
    listen: ["127.0.0.1:0"]
storage:
    path: data
    retention: 30d
workers: 2
worker_threads: ${SPOOR_T_THREADS:-3}
END

$got = spoor(['-c', $good, '-t']);
is $got->{status}, 0, '-t of a good file: status';
is $got->{out}, "$good: configuration is fine\n", 'says so';
is $got->{err}, '', 'nothing else';
$got = spoor(['-c', $good, '-t', '-q']);
is "$got->{status}$got->{out}$got->{err}", '0', '-q says nothing';
$got = spoor(['-t', '-httpListenAddr=127.0.0.1:0']);
is $got->{out}, "configuration is fine\n", 'no file is fine';
ok !-e "$dir/data", '-t makes nothing';

$got = spoor(['-c', 'missing.yaml', '-t']);
is $got->{status}, 1, 'a missing file';
like $got->{err}, qr{^\Q$dir\E/missing.yaml:\ error:\ [^/]*No\ such\ file
    \ or\ directory\n
    \Q$dir\E/missing.yaml:\ 1\ error,\ configuration\ not\ used\n\z}x,
    'says so';

mkdir "$dir/conf";
conf_text('conf/spoor.yaml', "workers: 7\n");
is_effective([], 'workers', 7, "$dir/conf/spoor.yaml:1");
unlink "$dir/conf/spoor.yaml";

# What the machine does not have.
$got = spoor(['-t', '-user=no-such-user-here', '-loggerOutput=none/x.log',
    '-storageDataPath=good.yaml/x', '-httpListenAddr=127.0.0.1:0']);
is $got->{status}, 1, '-t looks at the machine';
like $got->{err}, qr/^-user: "user" must be a user of this system, not "no-/m,
    'user';
like $got->{err}, qr{^-loggerOutput: "log.file" cannot be used: \S*/none}m,
    'log';
like $got->{err}, qr/^-storageDataPath: "storage.path" cannot .*Not a dir/m,
    'data';

# --- flags --------------------------------------------------------------------

is_effective(['-workers=4'], 'workers', 4, '-workers');
is_effective(['--workers=4'], 'workers', 4, '-workers');
is_effective(['-workers', '4'], 'workers', 4, '-workers');
is_effective(['--workers', '4'], 'workers', 4, '-workers');
is_effective(['-workers=3', '-workers=4'], 'workers', 4, '-workers');
is_effective(['-metrics.exposeMetadata'], 'expose_metadata', 'true');
is_effective(['-metrics.exposeMetadata=false'], 'expose_metadata', 'false');
is_effective(['-metrics.exposeMetadata', '-workers=4'], 'workers', 4);
is_effective(['-httpListenAddr=:1', '-httpListenAddr=:2,[::1]:3'], 'listen',
    '[":1", ":2", "[::1]:3"]', '-httpListenAddr');
is_effective(['-httpListenAddr=":1",\':2\''], 'listen', '[":1", ":2"]');
is_effective(['-storageDataPath=%{SPOOR_T_PATH}/x'], 'path', '/y/x',
    '-storageDataPath', env => { SPOOR_T_PATH => '/y' });
is_effective(['-retentionPeriod=2'], 'retention', 2);
is_effective(['-g', 'workers: 5', '-g', 'storage.retention: 3d'], 'workers',
    5, '-g');
is_effective(['-g', 'workers: 5', '-g', 'storage: {retention: 3d}'],
    'retention', '3d', '-g');
is_effective(['-e', '/dir/x.log', '-loggerOutput=y'], 'file', "$dir/y",
    '-loggerOutput');
is_effective(['-e', '/dir/x.log', '-g', 'log.file: y'], 'file', '/dir/x.log',
    '-e');
is_effective(['-p', '/', '-storageDataPath=x'], 'path', '/x');

sub is_refused {
    my ($words, $want) = @_;
    my $refused = spoor(['-t', @$words]);

    is $refused->{status}, 1, "@$words: refused";
    is +(split /\n/, $refused->{err})[0], "command line: $want",
        "@$words: why";
    return;
}

is_refused(['-retentionPerod=1'],
    'unknown flag -retentionPerod (did you mean -retentionPeriod?)');
is_refused(['-storage.retention', '1d'],
    'unknown flag -storage.retention (did you mean -retentionPeriod?)');
is_refused(['-qqqqqqqq'], 'unknown flag -qqqqqqqq');
is_refused(['-tq'], 'unknown flag -tq');
is_refused(['-retentionPeriod=5s'],
    '-retentionPeriod: must be 1d..100y, not "5s"');
is_refused(['-workers'], '-workers: needs a value');
is_refused(['-metrics.exposeMetadata=2'],
    '-metrics.exposeMetadata: must be true or false, not "2"');
is_refused(['-user=%{SPOOR_NOT_SET}'],
    '-user: environment variable "SPOOR_NOT_SET" is not set');
is_refused(['here'], 'unexpected argument "here"');
is_refused(['-t=1'], '-t: takes no value');
is_refused(['-g', 'workers: 999'],
    '-g "workers: 999": "workers" must be 0..256, not "999"');
is_refused(['-c'], '-c: needs a value');
is_refused(["-\e[31m"], 'unknown flag -\x1b[31m');

$got = spoor(['-wrokers=1', '-c', $bad, '-retentionPeriod=x', '-t']);
like $got->{err}, qr/^command\sline:\sunknown\sflag\s-wrokers\s.*
    \Q$bad\E:1:1:\serror:.*^command\sline:\s-retentionPeriod:\smust/msx,
    'mistakes of the command line and of the file in one run';

# --- environment and precedence -----------------------------------------------

my %env = (SPOOR_T_workers => 9, SPOOR_T_http_idleConnTimeout => '9s',
    SPOOR_T_THREADS => 9);
my @with = ('-c', $good, '-envflag.enable', '-envflag.prefix=SPOOR_T_');
is_effective([@with], 'workers', 9, 'environment SPOOR_T_workers',
    env => \%env);
is_effective([@with], 'idle_timeout', '9s', undef, env => \%env);
is_effective([@with, '-workers=8'], 'workers', 8, '-workers', env => \%env);
is_effective([@with, '-g', 'workers: 8'], 'workers', 8, '-g', env => \%env);
is_effective(['-c', $good], 'workers', 2, "$good:6", env => \%env);
is_effective(['-c', $good, '-envflag.enable=false'], 'workers', 2,
    "$good:6", env => { workers => 9 });
is_effective(['-c', $good, '-envflag.enable'], 'workers', 9,
    'environment workers', env => { workers => 9 });
is_effective(['-c', $good], 'worker_threads', 9, "$good:7", env => \%env);
is_effective(['-c', $good], 'worker_threads', 3, "$good:7");
is_effective(['-c', $good], 'flush_interval', '10m', 'default');
$got = spoor(['-t', @with], env => { SPOOR_T_workers => 'x' });
like $got->{err},
    qr/^environment: SPOOR_T_workers: must be a number, not "x"$/m,
    'a mistake in the environment';

# --- -T loads to the same -----------------------------------------------------

sub values_of {
    return join '', map { s/  #.*//r . "\n" } grep { !/^#/ }
        split /\n/, $_[0];
}

$got = spoor(['-c', $good, '-T', '-httpListenAddr=:1,[::1]:2',
    '-user=a "b" ${c} # d', '-fsync=off', '-retentionPeriod=1',
    '-metrics.exposeMetadata', '-search.maxTraces=10']);
is $got->{status}, 0, '-T';
my $again = spoor(['-c', conf_text('again.yaml', $got->{out}), '-T']);
is $again->{status}, 0, 'it loads' or diag($again->{err});
is values_of($again->{out}), values_of($got->{out}), 'to the same values';
like $got->{out}, qr/^user: "a \\"b\\" \$\$\{c\} # d"  # -user;/m, 'quoted';

# --- help and versions --------------------------------------------------------

$got = spoor(['-h']);
is $got->{status}, 0, '-h';
like $got->{out}, qr/^usage: spoor /, 'usage on standard output';
is spoor(['-help'])->{out}, $got->{out}, '-help is the same';
like $got->{out}, qr/^  -retentionPeriod retention\n        Whole /m, 'flags';
$got = spoor(['-h', 'storage.retention']);
is $got->{status}, 0, '-h NAME';
like $got->{out}, qr/^    range +1d\.\.100y$/m, 'its range';
is spoor(['-help', '-retentionPeriod'])->{out}, $got->{out},
    'a flag explains its directive';
$got = spoor(['-h', 'retentionPeriot']);
is $got->{status}, 1, '-h of nothing';
like $got->{err}, qr/did you mean -retentionPeriod or storage.retention\?/,
    'suggests';
like spoor(['-v'])->{out}, qr/^spoor \d+\.\d+\.\d+\n\z/, '-v';
is spoor(['-version'])->{out}, spoor(['-v'])->{out}, '-version';
$got = spoor(['-V'])->{out};
like $got, qr/^$_/m, "-V: $_"
    for 'spoor \d', 'built by \S', 'libraries: .*libyaml', 'disk format: \d',
    'configure options:';

# --- verbs --------------------------------------------------------------------

$got = spoor(['-s', 'upgrad']);
is $got->{status}, 1, '-s upgrad';
like $got->{err}, qr/must be .* upgrade, not "upgrad"/, 'names the verbs';
$got = spoor(['-s', 'relaod']);
is $got->{status}, 1, 'no such verb';
like $got->{err}, qr/not "relaod" \(did you mean reload\?\)/, 'suggests';

done_testing();
