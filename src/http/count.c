/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/count.h"

#include "core/assert.h"
#include "core/metrics.h"
#include "http/stream.h"

/* Rows of the route table. */
#define ROUTES_MAX 256
/* Listeners of this process, over all reloads it sees: none. */
#define LISTENERS_MAX 64

/* A series for each form of body; most endpoints have but one. */
enum { FORMAT_PROTOBUF, FORMAT_JSON, FORMATS };

struct route_counters {
    unsigned requests[FORMATS];
    unsigned errors[FORMATS];
    unsigned seconds[FORMATS];
    unsigned vm_requests;
};

static struct route_counters counters[ROUTES_MAX];
static struct route_counters other;
static unsigned metrics_seconds = METRIC_SERIES_NONE;
static const struct route *counted;

struct listener_counters {
    const struct conf_listener *listener;
    unsigned conns, accepts, read, written;
};
static struct listener_counters listeners[LISTENERS_MAX];
static unsigned nlisteners;

/* --- endpoints --- */

/* /metrics is looked at to see that it is quick; "tail" has no end. */
static bool
is_timed(const struct route *route)
{
    return (route->flags & (ROUTE_INSERT | ROUTE_SELECT |
        ROUTE_INTERNAL_INSERT | ROUTE_INTERNAL_SELECT)) != 0 &&
        (route->flags & ROUTE_LIVE) == 0;
}

static void
labels_make(struct sb *labels, const char *path, const char *format)
{
    sb_reset(labels);
    metric_add_label(labels, "path", sv_from(path));
    if (format != NULL)
        metric_add_label(labels, "format", sv_from(format));
}

static void
counters_init(struct route_counters *out, const struct route *route)
{
    static const char *const formats[FORMATS] = {"protobuf", "json"};
    const char *path = route->metric != NULL ? route->metric : route->pattern;
    bool has_format = (route->flags & ROUTE_INSERT) != 0 &&
        (route->flags & ROUTE_GRPC) == 0;
    struct sb labels;

    sb_init(&labels, 4 * KIB);
    for (int i = 0; i < FORMATS; i++) {
        labels_make(&labels, path, has_format ? formats[i] : NULL);
        out->requests[i] = metric_series(METRIC_HTTP_REQUESTS, labels.ptr);
        out->errors[i] = metric_series(METRIC_HTTP_ERRORS, labels.ptr);
        out->seconds[i] = is_timed(route)
            ? metric_series(METRIC_HTTP_SECONDS, labels.ptr)
            : METRIC_SERIES_NONE;
    }
    labels_make(&labels, path, NULL);
    out->vm_requests = is_timed(route) ? METRIC_SERIES_NONE
        : metric_series(METRIC_VM_HTTP_REQUESTS, labels.ptr);
    sb_release(&labels);
}

void
count_init(const struct route *routes)
{
    static const struct route unknown = {.pattern = "*"};
    unsigned n = 0;

    check(routes != NULL);
    for (; routes[n].pattern != NULL; n++) {
        check(n < ROUTES_MAX);
        counters_init(&counters[n], &routes[n]);
    }
    counters_init(&other, &unknown);
    metrics_seconds = metric_series(METRIC_METRICS_SECONDS,
        "path=\"/metrics\"");
    counted = routes;
}

static void
count_route(const struct stream *stream, bool is_error, int64_t took_ns)
{
    const struct http_req *req = &stream->req;
    const struct route_counters *row = &other;
    struct sv type = http_header_get(req, "content-type");
    int format = sv_starts_with(type, SV("application/json")) ? FORMAT_JSON
                                                              : FORMAT_PROTOBUF;

    if (counted == NULL)
        return;
    if (req->route != NULL)
        row = &counters[req->route - counted];
    else
        metric_add(METRIC_HTTP_UNSUPPORTED, 1);
    metric_series_add(row->requests[format], 1);
    metric_series_add(row->vm_requests, 1);
    if (is_error)
        metric_series_add(row->errors[format], 1);
    metric_series_observe_ns(row->seconds[format], took_ns,
        req->start_ns + took_ns);
    if (req->route != NULL && strcmp(req->route->pattern, "/metrics") == 0)
        metric_series_observe_ns(metrics_seconds, took_ns,
            req->start_ns + took_ns);
}

/* --- listeners --- */

static void
listener_init(struct listener_counters *out,
    const struct conf_listener *listener)
{
    struct sb labels;

    sb_init(&labels, 4 * KIB);
    metric_add_label(&labels, "name", listener->is_grpc ? SV("otlp_grpc")
                                                        : SV("http"));
    metric_add_label(&labels, "addr", sv_from(listener->address));
    *out = (struct listener_counters){
        .listener = listener,
        .conns = metric_series(METRIC_LISTENER_CONNS, labels.ptr),
        .accepts = metric_series(METRIC_LISTENER_ACCEPTS, labels.ptr),
        .read = metric_series(METRIC_LISTENER_READ, labels.ptr),
        .written = metric_series(METRIC_LISTENER_WRITTEN, labels.ptr),
    };
    sb_release(&labels);
}

static const struct listener_counters *
listener_counters(const struct conf_listener *listener)
{
    static const struct listener_counters none = {NULL, METRIC_SERIES_NONE,
        METRIC_SERIES_NONE, METRIC_SERIES_NONE, METRIC_SERIES_NONE};

    for (unsigned i = 0; i < nlisteners; i++)
        if (listeners[i].listener == listener)
            return &listeners[i];
    if (listener == NULL || nlisteners == LISTENERS_MAX)
        return &none;
    listener_init(&listeners[nlisteners], listener);
    return &listeners[nlisteners++];
}

void
count_accepted(const struct conf_listener *listener)
{
    const struct listener_counters *row = listener_counters(listener);

    metric_series_add(row->accepts, 1);
    metric_series_gauge_add(row->conns, 1);
}

void
count_closed(const struct conf_listener *listener)
{
    metric_series_gauge_add(listener_counters(listener)->conns, -1);
}

void
count_received(const struct http_req *req, uint64_t bytes)
{
    metric_add(METRIC_HTTP_RECEIVED_BYTES, bytes);
    metric_series_add(listener_counters(req->listener)->read, bytes);
}

/* --- replies --- */

void
count_reply(const struct stream *stream, bool is_broken, int64_t took_ns)
{
    const struct http_req *req = &stream->req;
    unsigned flags = req->route != NULL ? req->route->flags : 0;

    metric_add(METRIC_HTTP_REQUESTS_ALL, 1);
    metric_add(req->version == HTTP_2 ? stream->is_grpc
            ? METRIC_HTTP_PROTOCOL_GRPC : METRIC_HTTP_PROTOCOL_HTTP2
            : METRIC_HTTP_PROTOCOL_HTTP1, 1);
    count_route(stream, stream->status >= 400 || stream->grpc_status != 0,
        took_ns);
    if (stream->is_aborted || is_broken)
        metric_add(METRIC_HTTP_ABORTED, 1);
    metric_add(METRIC_HTTP_SENT_BYTES, stream->sent_bytes);
    metric_series_add(listener_counters(req->listener)->written,
        stream->sent_bytes);
    if (flags & ROUTE_INSERT)
        metric_observe_ns(METRIC_HTTP_SECONDS_INSERT, took_ns);
    else if (flags & ROUTE_SELECT)
        metric_observe_ns(METRIC_HTTP_SECONDS_SELECT, took_ns);
    if (req->ready_ns != 0)
        metric_observe_ns(METRIC_REPLY_SECONDS,
            took_ns - (req->ready_ns - req->start_ns));
}
