# SPDX-License-Identifier: BSD-2-Clause
#
# Every metric that the dashboards and alert rules of VictoriaTraces ask for,
# with the labels they select by: what a server says that was given some load.

use strict;
use warnings;

use Test::More;
use Test::Metrics;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $spoor = Test::Spoor->new(conf => { 'metrics.expose_metadata' => 'true' });
$spoor->start;
give_load($spoor);
my $text = $spoor->get('/metrics')->{body};
my ($samples, $types) = read_metrics($text);

# name, labels that must be there (names, or name=pattern), type; a word says
# why a row may be absent.
my @wanted = (
    ['vt_rows_ingested_total', 'type', 'counter'],
    ['vt_bytes_ingested_total', 'type', 'counter'],
    ['vt_rows_dropped_total', 'reason=debug', 'counter'],
    ['vt_rows_dropped_total', 'reason=too_many_fields', 'counter'],
    ['vt_rows_dropped_total', 'reason=too_big_timestamp', 'counter'],
    ['vt_rows_dropped_total', 'reason=too_small_timestamp', 'counter'],
    ['vt_insert_flush_duration_seconds', 'type quantile=0.99', 'summary'],
    ['vt_http_requests_total',
        'path=/insert/opentelemetry/v1/traces format=protobuf', 'counter'],
    ['vt_http_requests_total',
        'path=/insert/opentelemetry/v1/traces format=json', 'counter'],
    ['vt_http_requests_total', 'path=/select/logsql/query', 'counter'],
    ['vt_http_errors_total', 'path=/select/logsql/query', 'counter'],
    ['vt_http_errors_total',
        'path=/insert/opentelemetry/v1/traces format=json', 'counter'],
    (map { ['vt_http_request_duration_seconds',
        "path=/select/logsql/query quantile=$_", 'summary'] }
        0.5, 0.9, 0.97, 0.99, 1),
    ['vt_http_request_duration_seconds', 'path=/insert/opentelemetry/v1/traces'
        . ' format=json quantile=0.99', 'summary'],
    ['vt_live_tailing_requests', '', 'gauge'],
    ['vt_concurrent_select_current', '', 'gauge'],
    ['vt_concurrent_select_capacity', '', 'gauge'],
    ['vt_concurrent_select_limit_reached_total', '', 'counter'],
    ['vt_concurrent_select_limit_timeout_total', '', 'counter'],
    ['vt_slow_queries_total', '', 'counter'],
    ['vt_storage_per_query_processed_blocks_bucket', 'le', 'histogram'],
    ['vt_storage_per_query_processed_rows_bucket', 'le', 'histogram'],
    ['vt_max_disk_space_usage_bytes', 'path', 'gauge'],
    ['vt_free_disk_space_bytes', 'path', 'gauge'],
    ['vt_total_disk_space_bytes', 'path', 'gauge'],
    ['vt_storage_is_read_only', 'path', 'gauge'],
    ['vt_active_merges', 'type=storage/big', 'gauge'],
    ['vt_merges_total', 'type=storage/big', 'counter'],
    ['vt_rows_merged_total', 'type=storage/big', 'counter'],
    (map {
        my $type = "type=storage/$_";
        ['vt_storage_rows', $type, 'gauge'],
        ['vt_storage_parts', $type, 'gauge'],
        ['vt_storage_blocks', $type, 'gauge'],
        ['vt_compressed_data_size_bytes', $type, 'gauge'],
        ['vt_uncompressed_data_size_bytes', $type, 'gauge'],
    } qw(inmemory small big)),
    ['vt_partitions', '', 'gauge'],
    ['vt_streams_created_total', '', 'counter'],
    ['vt_data_size_bytes', 'type=storage', 'gauge'],
    ['vt_data_size_bytes', 'type=indexdb', 'gauge'],
    ['vt_active_force_merges', '', 'gauge'],

    ['vm_app_version', 'version=victoria-traces-.* short_version', 'gauge'],
    ['vm_app_start_timestamp', '', 'gauge'],
    ['vm_app_uptime_seconds', '', 'gauge'],
    ['flag', 'name=httpListenAddr value is_set=true', 'gauge'],
    ['flag', 'name=retentionPeriod value=7d is_set=false', 'gauge'],
    ['vm_available_memory_bytes', '', 'gauge'],
    ['vm_available_cpu_cores', '', 'gauge'],
    ['vm_allowed_memory_bytes', '', 'gauge'],
    ['vm_log_messages_total',
        'app_version=victoria-traces-.* level=info location=\S+:\d+',
        'counter'],
    ['vm_concurrent_insert_capacity', '', 'gauge'],
    ['vm_concurrent_insert_current', '', 'gauge'],
    ['vm_concurrent_insert_limit_reached_total', '', 'counter'],
    ['vm_concurrent_insert_limit_timeout_total', '', 'counter'],
    ['vm_http_requests_all_total', '', 'counter'],
    ['vm_http_requests_total', 'path=/metrics', 'counter'],
    (map { ['vm_http_request_errors_total', "path reason=$_", 'counter'] }
        qw(unsupported wrong_basic_auth wrong_auth_key)),
    ['vm_http_conn_timeout_closed_conns_total', '', 'counter'],
    ['vm_http_request_duration_seconds', 'path=/metrics quantile', 'summary'],
    ['vm_tcplistener_conns', 'name addr', 'gauge'],
    ['vm_tcplistener_accepts_total', 'name addr', 'counter'],
    ['vm_tcplistener_read_bytes_total', 'name addr', 'counter'],
    ['vm_tcplistener_written_bytes_total', 'name addr', 'counter'],
    ['vm_cache_size_bytes', 'type', 'gauge'],
    ['vm_cache_requests_total', 'type', 'counter'],
    ['vm_cache_misses_total', 'type', 'counter'],
    (map { ["process_$_", '', 'gauge'] } qw(resident_memory_bytes
        resident_memory_anon_bytes cpu_cores_available memory_limit_bytes
        open_fds max_fds num_threads start_time_seconds)),
    (map { ["process_$_", '', 'counter'] } qw(cpu_seconds_total
        io_read_syscalls_total io_write_syscalls_total
        io_storage_read_bytes_total io_storage_written_bytes_total)),
    (map { ["process_pressure_${_}_seconds_total", '', 'counter',
        -r '/proc/pressure/cpu' ? '' : 'no /proc/pressure'] }
        qw(cpu_waiting cpu_stalled memory_waiting memory_stalled io_waiting
        io_stalled)),
);

for my $row (@wanted) {
    my ($name, $labels, $type, $why) = @$row;
    my @found = find_samples($samples, $name, $labels);
    (my $base = $name) =~ s/_bucket$//;

    SKIP: {
        skip "$name: $why", 2 if $why && !@found;
        cmp_ok scalar @found, '>', 0, "$name {$labels}";
        is $types->{$base}, $type, "$base: $type";
    }
}

# --- values -------------------------------------------------------------------

sub value {
    my ($name, $labels) = @_;
    my @found = find_samples($samples, $name, defined $labels ? $labels : '');

    return @found ? $found[0]{value} : undef;
}

cmp_ok value('process_resident_memory_bytes'), '>', 4e6, 'memory';
cmp_ok value('process_resident_memory_bytes'), '<', 2e9, 'of a sane size';
cmp_ok value('process_cpu_seconds_total'), '>', 0, 'CPU';
cmp_ok value('process_num_threads'), '>=', 5, 'threads of all processes';
cmp_ok value('process_open_fds'), '>', 20, 'descriptors of all processes';
cmp_ok value('process_max_fds'), '>', value('process_open_fds'), 'and more';
cmp_ok abs(time - value('process_start_time_seconds')), '<', 300, 'start';
is value('spoor_processes', 'role=worker'), 2, 'two workers';
is value('spoor_processes', 'role=merge'), 1, 'a merge process';
is value('spoor_processes', 'role=recover'), 0, 'nothing to recover';
is value('vt_streams_created_total'), 6, 'streams by service and name';
my ($rows) = value('vt_storage_rows', 'type=storage/inmemory');
is $rows + value('vt_storage_rows', 'type=storage/small'), 24, 'rows';
cmp_ok abs(time - value('spoor_newest_span_timestamp_seconds')), '<', 60,
    'the newest span';
cmp_ok value('vm_tcplistener_read_bytes_total'), '>', 1000, 'bytes read';
for my $stage (qw(receive decode append log_wait log_write query_queue
    query_plan query reply loop_lag task_wait)) {
    my $count = 0;
    $count += $_->{value}
        for find_samples($samples, "spoor_${stage}_seconds_count", '');
    cmp_ok $count, '>', 0, "stage $stage was seen";
}

# --- streams ------------------------------------------------------------------

is $spoor->post("/internal/log_new_streams$_", '')->{status}, 400,
    "log_new_streams$_" for '', '?seconds=', '?seconds=x', '?seconds=-1',
    '?seconds=86401';
is $spoor->get('/internal/log_new_streams?seconds=5')->{status}, 405, 'GET';
unlike $spoor->log, qr/new stream of/, 'new streams are not logged';
is $spoor->post('/internal/log_new_streams?seconds=60', '')->{status}, 200,
    'until they are asked for';
post_traces($spoor, resource_spans("bad\nname \x{1b}[31m",
    map { otlp_span(name => $_) } 'x', 'y', 'x'), []);
ok $spoor->wait_log(qr/new\sstream\sof\stenant\s0:0\son\s20\d{6}:\sservice
    \.name\s"bad\\nname\s\\x1b\[31m",\sname\s"x"\n/x, 5), 'logged, escaped';
my @lines = $spoor->log =~ /new stream of/g;
is scalar @lines, 2, 'each once';
is $spoor->post('/internal/log_new_streams?seconds=0', '')->{status}, 200,
    'no more';
post_traces($spoor, resource_spans('another', otlp_span()));
unlike $spoor->log, qr/new stream.*another/, 'none';
is $spoor->metric('vt_streams_created_total'), 9, 'all are counted';
unlike $spoor->log, qr/stored: /, 'spans are not logged';
unlike $spoor->log, qr/debug: /, 'nor as debug';

$spoor->write_conf('log.new_streams' => 'true', 'log.ingested_rows' => 'true',
    'log.format' => 'json', 'log.json_fields' => 'ts:time,process:',
    'http.force_flush_auth_key' => 'k3y');
$spoor->signal('HUP');
ok $spoor->wait_log(qr/reload.*done|generation/i, 20), 'reloaded';
ok wait_for(sub {
    post_traces($spoor, resource_spans('json ' . rand, otlp_span(
        name => 'a"b', attributes => attributes('x' => "y\nz"))));
    return $spoor->log =~ /"msg":"new stream/;
}, 20), 'log.new_streams';
like $spoor->log, qr/^\{"time":"[^"]+Z","level":"info","caller":
    "storage\/streams\.c:\d+","msg":"new[ ]stream[ ]of[ ].*a\\"b\\""\}$/mx,
    'in JSON, with other names';
like $spoor->log, qr/"msg":"stored: \S+ sent to \/v1\/traces: \{/,
    'log.ingested_rows';
unlike $spoor->log, qr/k3y/, 'no secret';
my ($flag) = find_samples((read_metrics($spoor->get('/metrics')->{body}))[0],
    'flag', 'name=forceFlushAuthKey');
is $flag->{labels}{value}, 'secret', 'nor in flag' if $flag;

done_testing;
