# SPDX-License-Identifier: BSD-2-Clause
#
# What contrib/grafana and contrib/prometheus ask for is there: names without
# further tools; with promtool and prometheus (Debian's package prometheus) all
# expressions are evaluated over a server that works.

use strict;
use warnings;

use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP;
use Test::More;
use Test::Metrics;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $root = spoor_root();
my $json = JSON::PP->new->utf8;

sub slurp_file {
    my ($path) = @_;

    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}

# --- expressions --------------------------------------------------------------

my (@expressions, @variables); # [where, expression]
my %panel_types;
for my $file (glob "$root/contrib/grafana/*.json") {
    my $board = eval { $json->decode(slurp_file($file)) };
    ok ref $board eq 'HASH', "$file is JSON" or next;
    my %ids;
    for my $panel (@{$board->{panels}}) {
        $ids{$panel->{id}}++;
        $panel_types{$panel->{type}}++;
        push @expressions, ["panel $panel->{title}", $_->{expr}]
            for @{$panel->{targets} || []};
        is $panel->{datasource}{uid}, '${datasource}',
            "$panel->{title}: its source is the variable"
            if $panel->{type} ne 'row';
        cmp_ok $panel->{gridPos}{x} + $panel->{gridPos}{w}, '<=', 24,
            "$panel->{title}: inside the grid";
    }
    is_deeply [grep { $ids{$_} > 1 } keys %ids], [], 'ids of panels';
    my @rows = map { $_->{title} }
        grep { $_->{type} eq 'row' } @{$board->{panels}};
    is_deeply \@rows, ['Stats', 'Overview', 'Ingestion', 'Queries', 'Storage',
        'Storage nodes', 'Resources', 'Troubleshooting', 'Non-default flags'], 'rows';
    is $board->{templating}{list}[0]{type}, 'datasource', 'a data source';
    push @variables, map { ["variable $_->{name}", $_->{definition}] }
        grep { $_->{type} eq 'query' } @{$board->{templating}{list}};
    push @expressions, map { ["annotation $_->{name}", $_->{expr}] }
        @{$board->{annotations}{list}};
}

my $alerts = slurp_file("$root/contrib/prometheus/alerts.yml");
my $docs = slurp_file("$root/docs/alerts.md");
my @alerts;
for my $rule (split /^ {6}- alert: /m, $alerts) {
    next unless $rule =~ /\A(\w+)\n +expr: \|\n((?: {10}[^\n]*\n)+)(.*)/s;
    my ($name, $expr, $rest) = ($1, $2, $3);
    push @alerts, $name;
    push @expressions, ["alert $name", $expr =~ s/^ +//gmr];
    my $anchor = lc $name;
    like $rest, qr/summary: .*description: .*runbook_url:
        \s docs\/alerts\.md\#$anchor\b/sx, "$name: texts and runbook";
    like $docs, qr/^## $name\n.*?\*\*Why so\.\*\*.*?\*\*What to do\.\*\*/ms,
        "$name: a section in docs/alerts.md";
}
# Those of VictoriaTraces; the one about goroutines is about loops here.
for my $name (qw(DiskRunsOutOfSpace ConcurrentQueriesHitTheLimit
    TooHighQueryLoad TooManyRestarts ServiceDown ProcessNearFDLimits
    TooHighMemoryUsage TooHighCPUUsage TooHighEventLoopLag TooManyLogs
    RequestErrorsToAPI RowsRejectedOnIngestion ConcurrentInsertsHitTheLimit)) {
    ok scalar(grep { $_ eq $name } @alerts), "alert $name";
}
my @of_fronts = qw(StorageNodeDown StorageNodeTakesNoSpans
    FrontQueueDoesNotEmpty);
for my $name (@of_fronts) {
    ok scalar(grep { $_ eq $name } @alerts), "alert $name";
}
cmp_ok @alerts - @of_fronts, '<=', 14, 'not too many alerts';
my $tests = slurp_file("$root/contrib/prometheus/alerts_test.yml");
for my $name (@alerts) {
    like $tests, qr/name: $name fires/, "$name: tested to fire";
    like $tests, qr/name: $name is quiet/, "$name: and to be quiet";
}

# --- names --------------------------------------------------------------------

# The front is a server with one storage node, the other one.
my $spoor = Test::Spoor->new(conf => { 'metrics.expose_metadata' => 'true' });
$spoor->start;
my $front = Test::Spoor->new(conf => { 'metrics.expose_metadata' => 'true',
    storage_nodes => ['127.0.0.1:' . $spoor->port] })->start;
give_load($spoor);
give_load($front);
my $text = $spoor->get('/metrics')->{body};
my $text_of_front = $front->get('/metrics')->{body};
my %is_there = map { $_->{name} => 1 }
    map { @{(read_metrics($_))[0]} } $text, $text_of_front;
$is_there{up} = 1;
# Depends on the kernel.
my $has_pressure = $is_there{process_pressure_cpu_waiting_seconds_total};
my @missing;
for my $row (@expressions, @variables) {
    my ($where, $expr) = @$row;
    push @missing, map { "$where: $_" } grep { !$is_there{$_} }
        grep { $has_pressure || !/^process_pressure_/ } metric_names($expr);
}
is_deeply \@missing, [], 'every name in ' . @expressions
    . ' expressions is in /metrics';

# --- promtool -----------------------------------------------------------------

sub promtool_says {
    my ($words, %option) = @_;
    my $result = run_command(['promtool', @$words], %option);

    is $result->{status}, 0, "promtool @$words[0, 1]"
        or diag("$result->{out}$result->{err}");
    return $result;
}

SKIP: {
    skip 'promtool is not installed (apt-get install prometheus)', 1
        if run_command(['promtool', '--version'])->{status} != 0;
    promtool_says(['check', 'rules', "$root/contrib/prometheus/alerts.yml"]);
    promtool_says(['test', 'rules',
        "$root/contrib/prometheus/alerts_test.yml"]);
    for my $one ($text, $text_of_front) {
        my $lint = promtool_says(['check', 'metrics'], stdin => $one);
        is "$lint->{out}$lint->{err}", '', 'without a word';
    }
}

# --- prometheus ---------------------------------------------------------------

# Expressions that have an answer only when something is wrong, or long ago.
my $may_be_empty = qr/^alert | ^annotation | Warnings[ ]and[ ]errors |
    spoor_http_refused_total | spoor_node_errors_total |
    spoor_node_queue_bytes/x;

sub start_prometheus {
    my ($dir, $port) = @_;

    open my $out, '>', "$dir/prometheus.yml" or die "$!\n";
    print $out "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n",
        "rule_files: ['$root/contrib/prometheus/alerts.yml']\n",
        "scrape_configs:\n- job_name: spoor\n  static_configs:\n",
        "  - targets: ['127.0.0.1:", $spoor->port, "', '127.0.0.1:",
        $front->port, "']\n";
    close $out or die "$!\n";
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    return $pid if $pid;
    open STDOUT, '>', "$dir/log";
    open STDERR, '>&', \*STDOUT;
    exec 'prometheus', "--config.file=$dir/prometheus.yml",
        "--storage.tsdb.path=$dir/data",
        "--web.listen-address=127.0.0.1:$port" or POSIX::_exit(127);
}

sub ask {
    my ($port, $path) = @_;
    my $reply = HTTP::Tiny->new(timeout => 20, http_proxy => undef,
        proxy => undef)->get("http://127.0.0.1:$port$path");

    return eval { $json->decode($reply->{content}) }
        || { status => "$reply->{status} $reply->{content}" };
}

# As Grafana fills it in for a short view of everything.
sub filled {
    my ($expr) = @_;

    $expr =~ s/\$__rate_interval/10s/g;
    $expr =~ s/\$(?:job|instance)/.*/g;
    return $expr;
}

SKIP: {
    skip 'prometheus is not installed (apt-get install prometheus)', 1
        if run_command(['prometheus', '--version'])->{status} != 0;
    my $dir = tempdir('spoor-prometheus-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $port = free_port();
    my $pid = start_prometheus($dir, $port);

    ok wait_for(sub {
        ask($port, '/api/v1/query?query=up')->{data}{result}[0];
    }, 30), 'prometheus runs';
    for (1 .. 12) {
        give_load($_) for $spoor, $front;
        select undef, undef, undef, 0.5;
    }
    is ask($port, '/api/v1/query?query=up')->{data}{result}[0]{value}[1], 1,
        'and scrapes';
    my (@table, @wrong, @empty);
    for my $row (@expressions) {
        my ($where, $expr) = @$row;
        my $answer = ask($port, '/api/v1/query?query=' . uri(filled($expr)));
        my $n = @{$answer->{data}{result} || []};

        push @table, sprintf '%-44s %4d  %s', $where, $n, $expr =~ s/\n/ /gr;
        push @wrong, "$where: $expr: " . ($answer->{error} ||
            $answer->{status}) if $answer->{status} ne 'success';
        push @empty, "$where: $expr" if $n == 0 && "$where: $expr" !~ $may_be_empty
            && ($has_pressure || $expr !~ /process_pressure_/);
    }
    note "series of each expression\n", join "\n", @table;
    is_deeply \@wrong, [], @table . ' expressions without an error';
    is_deeply \@empty, [], 'and with data where there should be some';
    for my $row (@variables) {
        my ($where, $query) = @$row;
        my ($selector, $label) = filled($query)
            =~ /^label_values\((.*), (\w+)\)$/ or next;
        my $answer = ask($port, '/api/v1/series?match[]=' . uri($selector));
        ok defined $answer->{data}[0]{$label}, "$where finds $label";
    }
    # Alerts without their thresholds: what they compare is there.
    for my $row (grep { $_->[0] =~ /^alert/ } @expressions) {
        my ($where, $expr) = @$row;
        next if $expr =~ /level="error"/; # there is none
        $expr =~ s/\s+(?:==|>|<)\s+[\d.]+$//gm;
        $expr =~ s/>=/-/g;
        my $answer = ask($port, '/api/v1/query?query=' . uri($expr));
        cmp_ok scalar @{$answer->{data}{result} || []}, '>', 0,
            "$where has something to compare" or diag($expr);
    }
    # They are evaluated within their interval of 30 s.
    my $rules;
    wait_for(sub {
        $rules = [map { @{$_->{rules}} }
            @{ask($port, '/api/v1/rules')->{data}{groups} || []}];
        return @$rules && !grep { $_->{health} eq 'unknown' } @$rules;
    }, 40);
    is scalar @{$rules || []}, scalar @alerts, 'all rules are loaded';
    is_deeply [map { "$_->{name}: $_->{health} " . ($_->{lastError} || '') }
        grep { $_->{health} ne 'ok' } @$rules], [], 'and evaluated';
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

done_testing;
