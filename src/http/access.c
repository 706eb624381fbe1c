/* SPDX-License-Identifier: BSD-2-Clause */

/* What is counted and logged of a request when its reply ended. */

#include "core/base.h"
#include "http/stream.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"

/* Rows of the route table. */
#define ROUTES_MAX 256
/* Bytes of a path in a log line. */
#define PATH_LOGGED_MAX 256

/* One pair for each form of body; most endpoints have but one. */
enum { FORMAT_PROTOBUF, FORMAT_JSON, FORMATS };

struct route_counters {
    enum metric_id requests[FORMATS];
    enum metric_id errors[FORMATS];
};

static struct route_counters counters[ROUTES_MAX];
static const struct route *counted;

/* The counters of endpoints are rows of core/metrics.def, found by label. */
static void
counter_find(enum metric_id *id, const char *name, const char *path,
    const char *format)
{
    char labels[256];

    snprintf(labels, sizeof(labels), "path=\"%s\"", path);
    (void)metric_find(name, labels, id);
    snprintf(labels, sizeof(labels), "path=\"%s\",format=\"%s\"", path,
        format);
    (void)metric_find(name, labels, id);
}

static void
route_counters_find(const struct route *route, struct route_counters *out)
{
    static const char *const formats[FORMATS] = {"protobuf", "json"};
    const char *path = route->metric != NULL ? route->metric : route->pattern;

    for (int i = 0; i < FORMATS; i++) {
        out->requests[i] = METRIC_HTTP_REQUESTS_OTHER;
        counter_find(&out->requests[i], "vt_http_requests_total", path,
            formats[i]);
        out->errors[i] = METRIC_HTTP_ERRORS_OTHER;
        counter_find(&out->errors[i], "vt_http_errors_total", path,
            formats[i]);
    }
}

void
access_init(const struct route *routes)
{
    unsigned n = 0;

    check(routes != NULL);
    for (; routes[n].pattern != NULL; n++) {
        check(n < ROUTES_MAX);
        route_counters_find(&routes[n], &counters[n]);
    }
    counted = routes;
}

static void
count_reply(const struct stream *stream)
{
    const struct http_req *req = &stream->req;
    struct sv type = http_header_get(req, "content-type");
    const struct route_counters *row;
    int format = sv_starts_with(type, SV("application/json")) ? FORMAT_JSON
                                                               : FORMAT_PROTOBUF;
    bool is_error = stream->status >= 400 || stream->grpc_status != 0;

    metric_add(req->version == HTTP_2 ? stream->is_grpc
            ? METRIC_HTTP_PROTOCOL_GRPC : METRIC_HTTP_PROTOCOL_HTTP2
            : METRIC_HTTP_PROTOCOL_HTTP1, 1);
    if (req->route == NULL || counted == NULL) {
        metric_add(METRIC_HTTP_REQUESTS_OTHER, 1);
        if (is_error)
            metric_add(METRIC_HTTP_ERRORS_OTHER, 1);
        return;
    }
    row = &counters[req->route - counted];
    metric_add(row->requests[format], 1);
    if (is_error)
        metric_add(row->errors[format], 1);
}

static const char *
protocol_name(const struct stream *stream)
{
    if (stream->is_grpc)
        return "gRPC";
    return stream->req.version == HTTP_2 ? "HTTP/2"
        : stream->req.version == HTTP_1_1 ? "HTTP/1.1" : "HTTP/1.0";
}

void
access_ended(const struct stream *stream, bool is_broken)
{
    const struct http_req *req = &stream->req;
    unsigned flags = req->route != NULL ? req->route->flags : 0;
    int64_t took_ns = clock_mono_ns() - req->start_ns;

    count_reply(stream);
    if (stream->is_aborted || is_broken)
        metric_add(METRIC_HTTP_ABORTED, 1);
    metric_add(METRIC_HTTP_SENT_BYTES, stream->sent_bytes);
    if (flags & ROUTE_INSERT)
        metric_observe_ns(METRIC_HTTP_SECONDS_INSERT, took_ns);
    else if (flags & ROUTE_SELECT)
        metric_observe_ns(METRIC_HTTP_SECONDS_SELECT, took_ns);
    if (flags & ROUTE_HEALTH)
        return;
    log_debug("%s: %s %d%s to %.*s %.*s, %zu bytes in, %llu out, %lld us",
        req->peer, protocol_name(stream),
        stream->is_grpc ? (int)stream->grpc_status : stream->status,
        stream->is_aborted || is_broken ? " (broken)" : "",
        SV_ARG(sv_sub(req->method_name, 0, 32)),
        SV_ARG(sv_sub(req->raw_path, 0, PATH_LOGGED_MAX)), req->body.len,
        (unsigned long long)stream->sent_bytes,
        (long long)(took_ns / NS_PER_US));
}
