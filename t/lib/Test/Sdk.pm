# SPDX-License-Identifier: BSD-2-Clause
#
# Builds the programs below t/interop with the toolchains of their languages.
#
#     my $why = sdk_build('go');      # undef, or why it cannot be had here
#     my @words = sdk_command('go');  # how to start it
#     print sdk_version('go');
#
# Everything that is downloaded or built goes below objs/interop and is kept
# as long as the sources and the toolchain stay the same.  Each step is bounded
# in time.

package Test::Sdk;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(basename);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use Test::Spoor;

our @EXPORT = qw(sdk_build sdk_command sdk_version sdk_dir);

my $install_seconds = 300;
my $build_seconds = 900; # the collector is large, and two cores are few

# What the clients say when a registry cannot be reached or refuses.
my $unreachable = qr/
    ENOTFOUND | EAI_AGAIN | ECONNREFUSED | ETIMEDOUT | ECONNRESET
    | ENETUNREACH | \bE(?:40[34]|50\d)\b
    | no\ such\ host | dial\ tcp | i\/o\ timeout | module\ lookup\ disabled
    | :\ (?:40[34]|410|50\d)\ \w+
    | Name\ or\ service\ not\ known | Temporary\ failure\ in\ name
    | NewConnectionError | No\ matching\ distribution | Read\ timed\ out
    | Could\ not\ transfer\ artifact | UnknownHostException
    | Unknown\ host | Connect\ timed\ out | Connection\ refused
/x;

my %sdks = (
    js => { build => \&_build_js, command => \&_command_js,
        tool => ['node', '--version'] },
    python => { build => \&_build_python, command => \&_command_python,
        tool => ['python3', '--version'] },
    go => { build => \&_build_go, command => \&_command_go,
        tool => ['go', 'version'] },
    java => { build => \&_build_java, command => \&_command_java,
        tool => ['java', '-version'] },
    collector => { build => \&_build_go, command => \&_command_go,
        tool => ['go', 'version'] },
);

sub _from { return spoor_root() . "/t/interop/$_[0]" }
sub sdk_dir { return spoor_root() . "/objs/interop/$_[0]" }

sub _slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

sub _spew {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
    return;
}

# What a command prints when asked for its version; undef when there is none.
sub _version_of {
    my (@words) = @_;
    my $run = run_command([@words]);

    return $run->{status} == 0 ? $run->{out} . $run->{err} : undef;
}

# Why a step failed, when the reason lies outside; dies otherwise.
sub _reason {
    my ($what, $run) = @_;
    my $said = $run->{err} . $run->{out};

    return "$what cannot reach its registry: $1"
        if $said =~ /([^\n]{0,80}$unreachable[^\n]{0,80})/;
    return "$what took too long" if $run->{status} == 128 + 9;
    die "$what failed: " . substr($said, -3000) . "\n";
}

# The sources of a program and its toolchain as one text.
sub _state {
    my ($name) = @_;

    return join '', _version_of(@{$sdks{$name}{tool}}),
        map { basename($_) . "\n" . _slurp($_) } sort glob _from($name) . '/*';
}

# Builds when it was not built of the same state; undef or why not.
sub sdk_build {
    my ($name) = @_;
    my $sdk = $sdks{$name} or die "no program $name\n";
    my $dir = sdk_dir($name);

    return "$sdk->{tool}[0] is not installed"
        unless defined _version_of(@{$sdk->{tool}});
    my $state = _state($name);
    return if $state eq _slurp("$dir/state");
    make_path($dir);
    unlink "$dir/state";
    my $why = $sdk->{build}->($name, $dir);
    _spew("$dir/state", $state) unless defined $why;
    return $why;
}

sub sdk_command { return $sdks{$_[0]}{command}->(sdk_dir($_[0])) }

# Of the SDK, as the file with its versions says it.
sub sdk_version {
    my ($name) = @_;
    my %says = (
        js => ['package.json', qr/sdk-trace-base": "([^"]+)/],
        python => ['requirements.in', qr/opentelemetry-sdk==(\S+)/],
        go => ['go.mod', qr{opentelemetry\.io/otel/sdk v(\S+)}],
        java => ['pom.xml', qr{<opentelemetry\.version>([^<]+)}],
        collector => ['go.mod', qr{collector/otelcol v(\S+)}],
    );
    my ($file, $pattern) = @{$says{$name}};

    return _slurp(_from($name) . "/$file") =~ $pattern ? $1 : '?';
}

# --- JavaScript ----------------------------------------------------------------

sub _build_js {
    my ($name, $dir) = @_;

    my ($major, $minor) = _version_of('node', '--version') =~ /^v(\d+)\.(\d+)/;
    return "node $major.$minor is too old (18.19 at least)"
        if $major < 18 || $major == 18 && $minor < 19;
    return 'npm is not installed' unless defined _version_of('npm', '-v');
    for my $file (qw(package.json package-lock.json driver.mjs)) {
        copy(_from($name) . "/$file", "$dir/$file") or die "$dir/$file: $!\n";
    }
    my $ci = run_command(['npm', 'ci', '--ignore-scripts', '--no-audit',
        '--no-fund', '--prefix', $dir, '--fetch-retries', '1',
        '--fetch-timeout', '20000'], seconds => $install_seconds);
    return $ci->{status} == 0 ? undef : _reason('npm', $ci);
}

sub _command_js { return ('node', "$_[0]/driver.mjs") }

# --- Python --------------------------------------------------------------------

sub _build_python {
    my ($name, $dir) = @_;

    my ($minor) = _version_of('python3', '--version') =~ /^Python 3\.(\d+)/;
    return 'Python is too old (3.10 at least)' if !$minor || $minor < 10;
    remove_tree("$dir/venv");
    my $venv = run_command(['python3', '-m', 'venv', "$dir/venv"],
        seconds => $install_seconds);
    return 'python3 cannot make a venv' if $venv->{status} != 0;
    my $pip = run_command(["$dir/venv/bin/python", '-m', 'pip', 'install',
        '--quiet', '--require-hashes', '--only-binary', ':all:',
        '--disable-pip-version-check', '--cache-dir', "$dir/cache",
        '--retries', '1', '--requirement',
        _from($name) . '/requirements.txt'], seconds => $install_seconds);
    return $pip->{status} == 0 ? undef : _reason('pip', $pip);
}

sub _command_python {
    return ("$_[0]/venv/bin/python", '-B', _from('python') . '/driver.py');
}

# --- Go and the collector ------------------------------------------------------

sub _build_go {
    my ($name, $dir) = @_;

    my $wanted = _slurp(_from($name) . '/go.mod') =~ /^go (\d+\.\d+)/m ? $1 : 0;
    my ($have) = _version_of('go', 'version') =~ /\bgo(\d+\.\d+)/;
    return "go $have is too old ($wanted at least)"
        if (split /\./, $have)[1] < (split /\./, $wanted)[1];
    my $go = run_command(['go', 'build', '-C', _from($name), '-trimpath',
        '-ldflags=-s -w', '-o', "$dir/program", '.'],
        seconds => $build_seconds,
        env => { GOTOOLCHAIN => 'local', GOWORK => 'off', CGO_ENABLED => 0,
            GOFLAGS => '-mod=readonly -modcacherw -buildvcs=false',
            GOMODCACHE => sdk_dir('go-modules'),
            GOCACHE => sdk_dir('go-cache') });
    return $go->{status} == 0 ? undef : _reason('go', $go);
}

sub _command_go { return ("$_[0]/program") }

# --- Java ----------------------------------------------------------------------

sub _build_java {
    my ($name, $dir) = @_;

    my ($major) = _version_of('java', '-version') =~ /version "(\d+)/;
    return "Java $major is too old (17 at least)" if $major < 17;
    for my $tool (['javac', '-version'], ['mvn', '--version']) {
        return "$tool->[0] is not installed" unless defined _version_of(@$tool);
    }
    remove_tree("$dir/lib", "$dir/classes");
    my $mvn = run_command(['mvn', '--batch-mode', '--quiet',
        '--strict-checksums', "-Dmaven.repo.local=$dir/repository",
        '--file', _from($name) . '/pom.xml',
        "-DoutputDirectory=$dir/lib", 'dependency:copy-dependencies'],
        seconds => $install_seconds);
    return _reason('mvn', $mvn) if $mvn->{status} != 0;
    my $javac = run_command(['javac', '-encoding', 'UTF-8', '-Xlint:all',
        '-Werror', '-cp', "$dir/lib/*", '-d', "$dir/classes",
        glob _from($name) . '/*.java'], seconds => $install_seconds);
    return $javac->{status} == 0 ? undef : _reason('javac', $javac);
}

sub _command_java {
    return ('java', '-cp', "$_[0]/classes:$_[0]/lib/*", 'Driver');
}

1;
