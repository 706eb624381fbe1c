/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/routes.h"

#include "api/admin.h"
#include "api/cluster_show.h"
#include "api/internal_insert.h"
#include "api/internal_select.h"
#include "api/jaeger.h"
#include "api/log_streams.h"
#include "api/logsql.h"
#include "api/partition.h"
#include "api/otlp_export.h"
#include "api/small.h"
#include "api/vmalert.h"
#include "cluster/parcel.h"
#include "http/group.h"
#include "otlp/otlp.h"

#define INSERT (ROUTE_BODY | ROUTE_INSERT | ROUTE_CORS)
#define SELECT (ROUTE_SELECT | ROUTE_CORS)
#define FRONTS (ROUTE_BODY | ROUTE_INTERNAL_SELECT)
#define ADMIN (ROUTE_ADMIN | ROUTE_BODY)
#define OPEN (ROUTE_HEALTH | ROUTE_OPEN)

const struct route api_routes[] = {
    /* ingest */
    {"/insert/opentelemetry/v1/traces", HTTP_POST, INSERT, otlp_http_traces,
        NULL, "Spans as OTLP, protobuf or JSON; gzip, deflate, zstd, snappy"},
    {"/v1/traces", HTTP_POST, INSERT, otlp_http_traces,
        "/insert/opentelemetry/v1/traces",
        "The same under OTLP's default path"},
    {"/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        HTTP_POST, ROUTE_BODY | ROUTE_INSERT | ROUTE_GRPC, otlp_grpc_traces,
        NULL, "The same over gRPC (HTTP/2)"},
    {"/insert/ready", HTTP_GET | HTTP_POST, ROUTE_INSERT, admin_insert_ready, NULL,
        "Always {\"status\":\"ok\"} while the process runs"},

    /* from fronts */
    {"/internal/insert", HTTP_POST, ROUTE_BODY | ROUTE_INTERNAL_INSERT,
        internal_insert, NULL, "Spans from a front, already split by node: "
        "version (" INSERT_PROTOCOL "); the answer has a status for each of "
        "its parcels"},

    /* queries of fronts */
    {"/internal/select/query", HTTP_POST, FRONTS, internal_select, NULL,
        "Rows or partial results of a query of a front: version ("
        SELECT_PROTOCOL "), a plan as body; the answer is made of frames"},
    {"/internal/select/search", HTTP_POST, FRONTS, internal_select, NULL,
        "The newest traces with a span that passes a filter"},
    {"/internal/select/traces", HTTP_POST, FRONTS, internal_select, NULL,
        "Spans of traces by their ids"},
    {"/internal/select/names", HTTP_POST, FRONTS, internal_select, NULL,
        "Services and names of spans"},
    {"/internal/select/edges", HTTP_POST, FRONTS, internal_select, NULL,
        "Calls between services"},
    {"/internal/select/tenants", HTTP_POST, FRONTS, internal_select, NULL,
        "Tenants that have spans"},
    {"/internal/select/export", HTTP_POST, FRONTS, internal_select, NULL,
        "Spans that pass a filter, as OTLP"},

    /* LogsQL */
    {"/select/logsql/query", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_query, NULL,
        "Rows of a LogsQL query as JSON lines: query, start, end, time, "
        "limit, offset, format=csv, timeout, extra_filters, "
        "extra_stream_filters, hidden_fields_filters, "
        "allow_partial_response, nocache"},
    {"/select/logsql/hits", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_hits, NULL,
        "Matching rows over time: step, offset, field, fields_limit, "
        "ignore_pipes"},
    {"/select/logsql/facets", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_facets, NULL,
        "The most frequent values of every field: limit, "
        "max_values_per_field, max_value_len, keep_const_fields"},
    {"/select/logsql/stats_query", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_stats_query, NULL,
        "Results of stats as a Prometheus vector: query, time"},
    {"/select/logsql/stats_query_range", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_stats_query_range, NULL,
        "Results of stats point by point as a Prometheus matrix: query, "
        "start, end, step, offset"},
    {"/select/logsql/field_names", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_field_names, NULL,
        "Names of fields, with the rows that have them: filter, "
        "ignore_pipes"},
    {"/select/logsql/field_values", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_field_values, NULL,
        "Values of a field, with their rows: field, limit, filter, "
        "ignore_pipes"},
    {"/select/logsql/streams", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_streams, NULL,
        "Streams, with their rows: limit, filter"},
    {"/select/logsql/stream_ids", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_stream_ids, NULL,
        "Ids of streams, with their rows: limit"},
    {"/select/logsql/stream_field_names", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_stream_field_names, NULL,
        "Labels of streams, with their rows: filter"},
    {"/select/logsql/stream_field_values", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_stream_field_values, NULL,
        "Values of a stream's label, with their rows: field, limit, "
        "filter"},
    {"/select/logsql/tail", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY | ROUTE_LIVE, logsql_tail, NULL,
        "Rows as they come in, as JSON lines, until the client leaves: "
        "query, refresh_interval, start_offset, offset"},
    {"/select/logsql/query_time_range", HTTP_GET | HTTP_POST,
        SELECT | ROUTE_BODY, logsql_query_time_range, NULL,
        "Times that a query reads: query, start, end"},
    {"/select/logsql/parse", HTTP_GET | HTTP_POST, SELECT | ROUTE_BODY,
        logsql_parse, NULL, "For editors: the canonical text of a query or "
        "its error with the position, and its tokens with their kinds"},
    {"/select/logsql/registry", HTTP_GET | HTTP_POST, SELECT | ROUTE_BODY,
        logsql_registry, NULL, "For editors: all filters, pipes and stats "
        "functions with syntax, example and a line of help"},
    {"/select/tenant_ids", HTTP_GET | HTTP_POST, SELECT | ROUTE_BODY,
        logsql_tenant_ids, NULL, "Tenants that have spans: start, end; 403 "
        "for requests with a tenant"},

    /* OTLP */
    {"/select/otlp/export", HTTP_GET | HTTP_POST, SELECT | ROUTE_BODY,
        otlp_export, NULL, "Spans that pass a LogsQL filter as OTLP: query, "
        "start, end, timeout, extra_filters, format=proto or json"},

    /* Jaeger */
    {"/select/jaeger/api/services", HTTP_GET, SELECT, jaeger_services, NULL,
        "Names of all services"},
    {"/select/jaeger/api/services/*/operations", HTTP_GET, SELECT,
        jaeger_operations, NULL, "Span names of a service"},
    {"/select/jaeger/api/traces", HTTP_GET, SELECT, jaeger_traces, NULL,
        "Newest traces: service, operation, start, end (microseconds), "
        "limit; or traceID, repeated"},
    {"/select/jaeger/api/traces/*", HTTP_GET, SELECT, jaeger_trace_by_id,
        NULL, "One trace by its id"},
    {"/select/jaeger/api/dependencies", HTTP_GET, SELECT,
        jaeger_dependencies, NULL, "Calls between services: endTs, lookback "
        "(milliseconds), service"},

    /* vmalert */
    {"/select/vmalert/*", HTTP_GET | HTTP_POST, SELECT | ROUTE_BODY,
        vmalert_refuse, "/select/vmalert", "Always 400 as JSON: requests are "
        "not passed on to vmalert"},

    /* operation */
    {"/", HTTP_GET, 0, admin_home, NULL, "A page with links"},
    {"/health", HTTP_GET, OPEN, admin_health, NULL,
        "OK while the server takes requests"},
    {"/grpc.health.v1.Health/Check", HTTP_POST,
        ROUTE_BODY | ROUTE_GRPC | OPEN, admin_grpc_health, NULL,
        "SERVING while the server takes requests, over gRPC"},
    {"/-/healthy", HTTP_GET, OPEN, admin_healthy, NULL,
        "The same, for Prometheus' tools"},
    {"/-/ready", HTTP_GET, OPEN, admin_ready, NULL,
        "503 while inserts are refused; of a front while no storage node "
        "and no queue takes them"},
    {"/metrics", HTTP_GET, ROUTE_HEALTH | ROUTE_ADMIN, admin_metrics, NULL,
        "Metrics in Prometheus' text format"},
    {"/flags", HTTP_GET, ROUTE_ADMIN, admin_flags, NULL,
        "Every flag with its value, secrets masked"},
    {"/internal/cluster", HTTP_GET, ROUTE_ADMIN, cluster_show, NULL,
        "The storage nodes of a front as JSON: whether they are up, requests, "
        "errors, times, what waits for them"},
    {"/internal/force_flush", HTTP_POST, ADMIN, admin_force_flush,
        NULL, "Writes all rows in memory into parts, then answers"},
    {"/internal/force_merge", HTTP_POST, ADMIN, admin_force_merge,
        NULL, "Begins to merge all parts of the days that begin with "
        "partition_prefix (YYYYMMDD; none: of all days)"},

    {"/internal/log_new_streams", HTTP_POST, ADMIN, log_streams, NULL,
        "Logs each stream that is new on its day for so many seconds (0: "
        "ends that); as log.new_streams does all the time"},
    {"/debug/pprof", HTTP_GET, ROUTE_ADMIN, small_pprof, "/debug/pprof/",
        "404, with a word on perf: there are no profiles of Go"},
    {"/debug/pprof/*", HTTP_GET | HTTP_POST, ROUTE_ADMIN, small_pprof,
        "/debug/pprof/", "The same"},
    {"/debug/pprof/", HTTP_GET, ROUTE_ADMIN, small_pprof, NULL, "The same"},

    /* small things that programs ask for */
    {"/select/buildinfo", HTTP_GET | HTTP_POST, SELECT, small_buildinfo,
        NULL, "{\"status\":\"success\",\"data\":{\"version\":...}}; GET only"},
    {"/ping", HTTP_GET, OPEN, small_ping, NULL,
        "204; with verbose=true 200"},
    {"/robots.txt", HTTP_GET, OPEN, small_robots, NULL,
        "Asks robots to stay away"},
    {"/favicon.ico", HTTP_GET, OPEN, small_favicon, NULL, "An icon"},
    {"/*/favicon.ico", HTTP_GET, OPEN, small_favicon, "/favicon.ico",
        "The same, below every path"},

    /* days */
    {"/internal/partition/list", HTTP_POST, ADMIN, partition_list, NULL,
        "Days that are attached and have rows, as a JSON array"},
    {"/internal/partition/detach", HTTP_POST, ADMIN, partition_detach,
        NULL, "Detaches the day name (YYYYMMDD): when it is answered, no "
        "query reads it and its directory may be copied, moved or deleted; "
        "spans of the day are refused until it is attached"},
    {"/internal/partition/attach", HTTP_POST, ADMIN, partition_attach,
        NULL, "Attaches the day name, which was detached or whose directory "
        "was copied to partitions/; a copy that is not whole is refused"},
    {"/internal/partition/snapshot/create", HTTP_POST, ADMIN,
        partition_snapshot_create, NULL, "Snapshots of the days that begin "
        "with partition_prefix (all without it): hard links; answers their "
        "paths, each a directory to be copied"},
    {"/internal/partition/snapshot/list", HTTP_POST, ADMIN,
        partition_snapshot_list, NULL, "Paths of all snapshots"},
    {"/internal/partition/snapshot/delete", HTTP_POST, ADMIN,
        partition_snapshot_delete, NULL, "Deletes the snapshot path; 204"},
    {"/internal/partition/snapshot/delete_stale", HTTP_POST, ADMIN,
        partition_snapshot_delete_stale, NULL, "Deletes the snapshots older "
        "than max_age (storage.snapshots_max_age); answers their paths"},
    {NULL, 0, 0, NULL, NULL, NULL},
};

static void
methods_print(struct sb *out, unsigned methods)
{
    if ((methods & HTTP_GET) != 0)
        sb_add_str(out, "GET");
    if ((methods & HTTP_GET) != 0 && (methods & HTTP_POST) != 0)
        sb_add_str(out, ", ");
    if ((methods & HTTP_POST) != 0)
        sb_add_str(out, "POST");
}

static const char *
group_name(const struct route *route)
{
    const struct group *group = group_of(route->flags);

    if (group != NULL)
        return group->name;
    return (route->flags & ROUTE_OPEN) != 0 ? "open" : "";
}

void
routes_print_reference(struct sb *out)
{
    sb_add_str(out, "# HTTP API\n\n<!-- Generated from src/api/routes.c by "
        "`make docs`; do not edit. -->\n\n"
        "Any other path is answered 404; a known path with another method "
        "405.\n`*` stands for one or more bytes.  The group is what "
        "`http.listen.disable`, files of users and directives as "
        "`select.disable` name; `open`: nobody is asked who he is.  See "
        "access.md.\n\n"
        "| path | methods | group | what |\n|---|---|---|---|\n");
    for (const struct route *route = api_routes; route->pattern != NULL;
        route++) {
        sb_addf(out, "| `%s` | ", route->pattern);
        methods_print(out, route->methods);
        sb_addf(out, " | %s | %s |\n", group_name(route), route->doc);
    }
}
