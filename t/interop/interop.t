# SPDX-License-Identifier: BSD-2-Clause
#
# Spans made by OpenTelemetry SDKs, sent by each of their exporters, and
# through the OpenTelemetry Collector, read back through the Jaeger API and
# compared one by one with what the SDK holds: once from memory and once from
# parts.  A table of all of it is the last that is printed.
#
#     make interop                                   all
#     make interop INTEROP="go collector-json"       some
#
# A program whose toolchain or registry is absent is skipped.

use strict;
use warnings;
use utf8;

use IO::Socket::INET;
use POSIX ();
use Test::Interop;
use Test::More;
use Test::Sdk;
use Test::Spoor;
use Test::Traces;

binmode $_, ':utf8' for Test::More->builder->output,
    Test::More->builder->failure_output;

my $run_seconds = 60;    # of one program
my $listen_seconds = 20; # until a collector takes spans
my $drain_seconds = 30;  # until a collector sent what it has

my %names = (js => 'JavaScript', python => 'Python', go => 'Go',
    java => 'Java', collector => 'Collector');
my %transports = (proto => 'HTTP', json => 'HTTP', grpc => 'gRPC');

# encoding and compression of each row
my %rows = (
    js => [map { ["proto", $_], ["json", $_], ["grpc", $_] } qw(none gzip)],
    python => [(map { ["proto", $_], ["json", $_] } qw(none gzip deflate)),
        map { ["grpc", $_] } qw(none gzip)],
    go => [map { ["proto", $_], ["json", $_], ["grpc", $_] } qw(none gzip)],
    java => [map { ["proto", $_], ["grpc", $_] } qw(none gzip)],
    collector => [
        (map { ["proto", $_] } qw(none gzip zstd snappy x-snappy-framed
            deflate zlib)),
        (map { ["json", $_] } qw(none gzip zstd snappy deflate)),
        (map { ["grpc", $_] } qw(none gzip zstd snappy)),
    ],
);

my @programs = qw(js python go java collector);
my @wanted = split ' ', $ENV{INTEROP} || "@programs";
my $spoor = Test::Spoor->new;
$spoor->start;
my $start = time() - 60;
my @runs;

# Where an encoding goes: a URL, or host:port for gRPC.
sub target {
    my ($encoding, $path) = @_;

    return $encoding eq 'grpc' ? '127.0.0.1:' . $spoor->port
        : $spoor->url($path);
}

# Runs a program; what it holds of its spans is in the file then.
sub make_spans {
    my ($name, $target, $encoding, $compression, $seed) = @_;
    my $file = $spoor->dir . "/$seed.json";
    my $run = run_command([sdk_command($name), $target, $encoding,
        $compression, $seed, $start, $file], seconds => $run_seconds);

    return ($file, $run->{status} == 0 ? undef
        : "status $run->{status}: " . substr $run->{out} . $run->{err}, 0,
            1000);
}

# --- the collector -------------------------------------------------------------

sub collector_conf {
    my ($port, $encoding, $compression) = @_;
    my $exporter = $encoding eq 'grpc' ? 'otlp_grpc' : 'otlp_http';
    my $to = $encoding eq 'grpc'
        ? 'endpoint: ' . target($encoding) . "\n    tls: {insecure: true}"
        : 'traces_endpoint: '
            . target($encoding, '/insert/opentelemetry/v1/traces')
            . "\n    encoding: $encoding";

    return <<"END";
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:$port
processors:
  batch:
    timeout: 200ms
    send_batch_size: 300
exporters:
  $exporter:
    $to
    compression: $compression
    timeout: 10s
    retry_on_failure: {max_interval: 5s, max_elapsed_time: 10s}
service:
  telemetry:
    metrics: {level: none}
  pipelines:
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [$exporter]
END
}

# A running collector: its process and its log.
sub collector_start {
    my ($port, $conf, $log) = @_;
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        open STDOUT, '>', $log or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
        exec sdk_command('collector'), '--config', $conf
            or POSIX::_exit(127);
    }
    my $listens = wait_for(sub {
        return waitpid($pid, POSIX::WNOHANG()) != 0
            || IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                PeerPort => $port, Proto => 'tcp');
    }, $listen_seconds);
    diag("no collector on port $port: " . slurp($log)) unless $listens
        && kill 0, $pid;
    return $pid;
}

# Ends it; it sends what it still has.
sub collector_stop {
    my ($pid) = @_;

    kill 'TERM', $pid;
    return if wait_for(sub { waitpid($pid, POSIX::WNOHANG()) != 0 },
        $drain_seconds);
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return 'the collector did not stop';
}

# Spans of the Go SDK, on their way through a collector.
sub make_spans_collector {
    my ($encoding, $compression, $seed) = @_;
    my ($conf, $log) = map { $spoor->dir . "/$seed.$_" } qw(yaml log);
    my $port = free_port();

    spew($conf, collector_conf($port, $encoding, $compression));
    my $pid = collector_start($port, $conf, $log);
    my ($file, $error) = make_spans('go',
        "http://127.0.0.1:$port/v1/traces", 'proto', 'gzip', $seed);
    my $stuck = collector_stop($pid);
    my @said = grep { /\terror\t/ } split /\n/, slurp($log);
    return ($file, $error || $stuck || ($said[0] && substr $said[0], 0, 1000));
}

# --- the run -------------------------------------------------------------------

# Why the programs cannot be had, by name.
sub skip_reason {
    my ($name) = @_;

    my $why = sdk_build($name);
    $why = sdk_build('go') if $name eq 'collector' && !defined $why;
    return $why;
}

sub send_row {
    my ($name, $encoding, $compression) = @_;
    my $seed = "$name-$encoding-$compression";
    my ($file, $error) = $name eq 'collector'
        ? make_spans_collector($encoding, $compression, $seed)
        : make_spans($name, target($encoding, $name eq 'python'
            ? '/insert/opentelemetry/v1/traces' : '/v1/traces'), $encoding,
            $compression, $seed);
    my $spans = interop_read($file);

    ok !defined $error, "$seed: sent" or diag($error);
    cmp_ok scalar @$spans, '>', 600, "$seed: spans were made";
    my $run = { name => $name, encoding => $encoding, seed => $seed,
        compression => $compression, spans => $spans };
    compare_row($run, 'memory');
    push @runs, $run;
    return;
}

sub compare_row {
    my ($run, $from) = @_;
    my $result = interop_compare($spoor, $run->{spans});

    $run->{$from} = $result;
    is $result->{found}, $result->{sent}, "$run->{seed}, $from: all found";
    is $result->{equal}, $result->{sent}, "$run->{seed}, $from: equal";
    is $result->{shown}, $result->{sent}, "$run->{seed}, $from: nothing else";
    is_deeply $result->{notes}, [], "$run->{seed}, $from: no difference"
        or diag(join "\n", @{$result->{notes}});
    return;
}

sub table {
    my $form = '%-11s %-9s %-8s %-15s %6s %6s %6s %6s %6s';
    my @lines = (sprintf($form, ('') x 5, 'memory', '', 'parts', ''),
        sprintf $form, 'SDK', 'transport', 'encoding', 'compression', 'sent',
            ('found', 'equal') x 2);

    for my $run (@runs) {
        push @lines, sprintf $form, $names{$run->{name}},
            $transports{$run->{encoding}},
            $run->{encoding} eq 'grpc' ? 'proto' : $run->{encoding},
            $run->{compression}, $run->{memory}{sent},
            map { @{$run->{$_}}{qw(found equal)} } qw(memory parts);
    }
    return map { s/\s+$//r } @lines;
}

# The rows of a program that begin as one of the words of INTEROP.
sub wanted_rows {
    my ($name) = @_;

    return grep {
        my $row = join '-', $name, @$_;
        grep { index("$row-", "$_-") == 0 } @wanted;
    } @{$rows{$name}};
}

my @about;
for my $name (@programs) {
    my @rows = wanted_rows($name) or next;
    my $why = skip_reason($name);
    if (defined $why) {
        push @about, "$names{$name}: skipped, $why";
        SKIP: { skip $about[-1], 1 }
        next;
    }
    push @about, "$names{$name} " . sdk_version($name);
    send_row($name, @$_) for @rows;
}
ok flush($spoor), 'flushed';
compare_row($_, 'parts') for @runs;

diag($_) for '', table(), '', @about, '',
    'not shown by the Jaeger API, and so not compared:',
    map { "  $_" } interop_unseen();
done_testing;
