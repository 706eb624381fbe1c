/* SPDX-License-Identifier: BSD-2-Clause */

/* What is logged of a request when its reply ended. */

#include "core/base.h"
#include "http/stream.h"

#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "http/access_log.h"
#include "http/count.h"

/* Bytes of a path and of a query in a log line. */
#define PATH_LOGGED_MAX 256
#define QUERY_LOGGED_MAX 1024

/* Requests that took long, in the log: log.slow_request. */
static void
log_slow(const struct stream *stream, int64_t took_ns)
{
    const struct http_req *req = &stream->req;
    int64_t slow_ns = req->process->conf->slow_request;
    char took[32];
    struct sb query;

    if (slow_ns == 0 || took_ns < slow_ns)
        return;
    metric_add(METRIC_HTTP_SLOW, 1);
    took[time_print_duration(took, took_ns)] = '\0';
    sb_init(&query, 2 * QUERY_LOGGED_MAX);
    access_print_query(&query, req->query, QUERY_LOGGED_MAX);
    log_warn("slow request: %s from %s: %s %.*s %.*s%s%s, status %d, %zu "
        "bytes in, %llu out", took, req->peer, access_protocol(stream),
        SV_ARG(sv_sub(req->method_name, 0, 32)),
        SV_ARG(sv_sub(req->raw_path, 0, PATH_LOGGED_MAX)),
        query.len > 0 ? "?" : "", query.ptr,
        stream->is_grpc ? (int)stream->grpc_status : stream->status,
        req->body.len, (unsigned long long)stream->sent_bytes);
    sb_release(&query);
}

void
access_ended(const struct stream *stream, bool is_broken)
{
    const struct http_req *req = &stream->req;
    unsigned flags = req->route != NULL ? req->route->flags : 0;
    struct access_end end = {clock_mono_ns() - req->start_ns,
        stream->is_aborted || is_broken};

    count_reply(stream, is_broken, end.took_ns);
    if ((flags & ROUTE_HEALTH) != 0 && stream->status < 400)
        return;
    if ((flags & ROUTE_LIVE) == 0) /* those last as long as they like */
        log_slow(stream, end.took_ns);
    access_log_add(stream, &end);
}
