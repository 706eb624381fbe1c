# SPDX-License-Identifier: BSD-2-Clause
#
# Spans made by the OpenTelemetry JS SDK, sent by its protobuf and its JSON
# exporter, read back through the Jaeger API and compared one by one with
# what the SDK holds: once from memory and once from parts.
#
# npm installs the SDK below objs/; without npm or its registry the test is
# skipped.

use strict;
use warnings;
use utf8;

use File::Copy qw(copy);
use File::Path qw(make_path);
use JSON::PP ();
use Test::More;
use Test::Spoor;
use Test::Traces;

binmode $_, ':utf8' for Test::More->builder->output,
    Test::More->builder->failure_output;

my $from = spoor_root() . '/t/interop/otel-js';
my $dir = spoor_root() . '/objs/interop/otel-js';

sub slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or return '';
    local $/;
    return scalar <$in>;
}

# Installs what the lock file names; kept as long as that stays the same.
sub install {
    my $node = run_command(['node', '--version']);
    return 'node is not installed' if $node->{status} != 0;
    my ($major, $minor) = $node->{out} =~ /^v(\d+)\.(\d+)/;
    return "node $major.$minor is too old (18.19 at least)"
        if $major < 18 || $major == 18 && $minor < 19;
    return 'npm is not installed'
        if run_command(['npm', '--version'])->{status} != 0;
    make_path($dir);
    copy("$from/$_", "$dir/$_") or die "$dir/$_: $!\n"
        for qw(package.json driver.mjs);
    return if slurp("$dir/package-lock.json") eq
        slurp("$from/package-lock.json") && -d "$dir/node_modules";
    copy("$from/package-lock.json", "$dir/lock.new") or die "$dir: $!\n";
    rename "$dir/lock.new", "$dir/package-lock.json";
    my $ci = run_command(['npm', 'ci', '--ignore-scripts', '--no-audit',
        '--no-fund', '--prefix', $dir, '--fetch-retries', '1',
        '--fetch-timeout', '20000'], seconds => 120);
    return if $ci->{status} == 0;
    unlink "$dir/package-lock.json";
    return "npm cannot reach its registry: $1"
        if $ci->{err} =~ /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|
            ECONNRESET|ENETUNREACH|E40[34]|E50\d)\b/x;
    die "npm ci failed: $ci->{err}\n";
}

my $why = install();
plan skip_all => $why if defined $why;

my $spoor = Test::Spoor->new;
$spoor->start;

# --- comparing ---------------------------------------------------------------

# Values as the Jaeger API shows them: [type, value].
sub shown {
    my ($v) = @_;

    return ['string', plain_json($v)] if $v->{type} eq 'array';
    return ['string', length $v->{value} ? $v->{value} : '-']
        if $v->{type} eq 'string';
    return [$v->{type}, $v->{value}] if $v->{type} eq 'bool';
    return [$v->{type}, $v->{value} + 0];
}

# Arrays are shown as the text of JSON.
sub plain_json {
    my ($v) = @_;

    if ($v->{type} eq 'array') {
        return '[' . join(',', map { plain_json($_) } @{$v->{value}}) . ']';
    }
    return $v->{value} if $v->{type} =~ /64$/;
    return $v->{value} ? 'true' : 'false' if $v->{type} eq 'bool';
    return JSON::PP->new->allow_nonref->encode($v->{value});
}

sub shown_all { return map { $_ => shown($_[0]{$_}) } keys %{$_[0]} }

# What the API prints of a trace id.
sub id_of { return $_[0] =~ s/^0{16}//r }

sub us { return substr($_[0], 0, -3) + 0 }

# A span of the SDK in the words of the API.
sub expected {
    my ($span) = @_;
    my %process = shown_all($span->{resource});
    my $service = delete $process{'service.name'};
    my %tags = (shown_all($span->{attributes}),
        'span.kind' => ['string', $span->{kind}]);

    $tags{'otel.scope.name'} = ['string', $span->{scope}]
        if length $span->{scope};
    $tags{'otel.scope.version'} = ['string', $span->{scopeVersion}]
        if length $span->{scopeVersion};
    $tags{'otel.status_code'} = ['string', $span->{status}]
        if $span->{status} ne 'UNSET';
    $tags{error} = ['bool', JSON::PP::true] if $span->{status} eq 'ERROR';
    $tags{'otel.status_description'} = ['string', $span->{message}]
        if length $span->{message};
    $tags{'w3c.tracestate'} = ['string', $span->{traceState}]
        if length $span->{traceState};
    return {
        traceID => id_of($span->{traceId}),
        spanID => $span->{spanId},
        operationName => $span->{name},
        flags => $span->{flags},
        startTime => us($span->{startNs}),
        duration => us(sprintf '%04d', $span->{endNs} - $span->{startNs}),
        tags => \%tags,
        references => [
            length $span->{parentId} ? { refType => 'CHILD_OF',
                traceID => id_of($span->{traceId}),
                spanID => $span->{parentId} } : (),
            map { { refType => 'FOLLOWS_FROM',
                traceID => id_of($_->{traceId}), spanID => $_->{spanId} } }
                @{$span->{links}}],
        logs => [map { { timestamp => us($_->{timeNs}),
            fields => { shown_all($_->{attributes}),
                event => ['string', $_->{name}] } } } @{$span->{events}}],
        process => { service => $service->[1], tags => \%process },
    };
}

# The same of a span that the API shows.
sub found {
    my ($span, $trace) = @_;
    my $process = $trace->{processes}{$span->{processID}};

    return {
        (map { $_ => $span->{$_} } qw(traceID spanID operationName flags
            startTime duration references)),
        tags => tags($span->{tags}),
        logs => [map { { timestamp => $_->{timestamp},
            fields => tags($_->{fields}) } } @{$span->{logs}}],
        process => { service => $process->{serviceName},
            tags => tags($process->{tags}) },
    };
}

# How many of the SDK's spans are found, and how many of them are equal.
sub compare {
    my ($spans) = @_;
    my (%trace, %got);

    $trace{$_->{traceId}}++ for @$spans;
    my $shown = 0;
    for my $id (keys %trace) {
        my $trace = jaeger_trace($spoor, $id) or next;
        for my $span (@{$trace->{spans}}) {
            $shown++;
            $got{"$id $span->{spanID}"} = found($span, $trace);
        }
    }
    my ($found, $equal) = (0, 0);
    for my $span (@$spans) {
        my $got = $got{"$span->{traceId} $span->{spanId}"} or next;
        $found++;
        my ($have, $want) = (json_text($got), json_text(expected($span)));
        if ($have eq $want) {
            $equal++;
        } elsif ($found - $equal < 4) {
            diag("got  $have\nwant $want");
        }
    }
    return ($found, $equal, $shown);
}

# --- the run -----------------------------------------------------------------

my @rows = (sprintf '%-10s %-8s %6s %6s %6s', qw(encoding from sent found
    equal));
my %spans;

for my $encoding (qw(proto json)) {
    my $out = $spoor->dir . "/$encoding.json";
    my $run = run_command(['node', "$dir/driver.mjs", $spoor->url, $encoding,
        $out]);
    is $run->{status}, 0, "$encoding: the driver ran"
        or diag($run->{out} . $run->{err});
    my $made = JSON::PP->new->utf8->decode(slurp($out));
    is_deeply $made->{errors}, [], "$encoding: the exporter saw no error";
    $spans{$encoding} = $made->{spans};
    cmp_ok scalar @{$made->{spans}}, '>', 600, "$encoding: spans were made";
}
for my $from ('memory', 'parts') {
    for my $encoding (qw(proto json)) {
        my $sent = @{$spans{$encoding}};
        my ($found, $equal, $shown) = compare($spans{$encoding});
        is $found, $sent, "$encoding, $from: all spans are found";
        is $equal, $sent, "$encoding, $from: and equal";
        is $shown, $sent, "$encoding, $from: and nothing else";
        push @rows, sprintf '%-10s %-8s %6d %6d %6d', $encoding, $from,
            $sent, $found, $equal;
    }
    ok flush($spoor), 'flushed' if $from eq 'memory';
}
my $version = JSON::PP::decode_json(slurp("$dir/package-lock.json"))
    ->{packages}{'node_modules/@opentelemetry/exporter-trace-otlp-proto'}
    {version};
diag("OpenTelemetry JS $version, node "
    . run_command(['node', '--version'])->{out});
diag($_) for @rows;

done_testing;
