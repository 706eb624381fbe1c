/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Requests of HTTP/2 connections.  A stream lives until nghttp2 has closed
 * it and the handler, if one had it, is done; then the sweep of h2_run()
 * takes it, so none is freed below its handler.
 */

#include "core/base.h"
#include "http/h2.h"

#include "core/assert.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/num.h"
#include "event/listen.h"
#include "http/auth.h"
#include "http/count.h"
#include "http/grpc.h"
#include "http/h1_parse.h"

/* First array of fields; it doubles. */
#define FIELDS_FIRST 16
/* What RFC 9113, 6.5.2 adds for each field. */
#define FIELD_OVERHEAD 32

static TAILQ_HEAD(, h2_stream) kept = TAILQ_HEAD_INITIALIZER(kept);
static unsigned nkept;

void
h2_clear(void)
{
    struct h2_stream *s;

    while ((s = TAILQ_FIRST(&kept)) != NULL) {
        TAILQ_REMOVE(&kept, s, link);
        pool_free(s->stream.req.pool);
        xfree(s);
    }
    nkept = 0;
}

static struct h2_stream *
stream_get(void)
{
    struct h2_stream *s = TAILQ_FIRST(&kept);
    struct pool *pool;

    if (s == NULL) {
        s = xcalloc(1, sizeof(*s));
        s->stream.req.pool = pool_new(STREAM_POOL_BYTES_MAX);
        return s;
    }
    TAILQ_REMOVE(&kept, s, link);
    nkept--;
    pool = s->stream.req.pool;
    memset(s, 0, sizeof(*s));
    s->stream.req.pool = pool;
    return s;
}

static void
stream_put(struct h2_stream *s)
{
    if (nkept == H2_KEPT_STREAMS) {
        pool_free(s->stream.req.pool);
        xfree(s);
        return;
    }
    pool_reset(s->stream.req.pool);
    TAILQ_INSERT_HEAD(&kept, s, link);
    nkept++;
}

static void
IMPL(body_wake_fn) on_memory(void *arg)
{
    struct h2_stream *s = arg;

    s->is_woken = s->h2->has_woken = true;
    h2_wake(s->h2);
}

struct h2_stream *
h2_stream_begin(struct h2_conn *h2, int32_t id)
{
    struct h2_stream *s = stream_get();
    struct http_req *req = &s->stream.req;
    struct pool *pool = req->pool;

    stream_init(&s->stream, &h2_stream_ops);
    s->h2 = h2;
    s->id = id;
    s->length = UINT64_MAX;
    s->out_end = &s->out;
    body_init(&s->body, on_memory, s);
    req->pool = pool;
    req->process = h2->base.server->process;
    req->start_ns = h2_now(h2);
    req->version = HTTP_2;
    snprintf(s->peer, sizeof(s->peer), "%s", conn_peer(h2->conn));
    req->peer = s->peer;
    req->listener = conn_listener(h2->conn);
    stream_set_tls_name(req, h2->conn);
    TAILQ_INSERT_TAIL(&h2->streams, s, link);
    h2->base.server->nrequests++;
    h2->had_request = true;
    if (h2->nstreams++ == 0)
        listen_conn_busy(1);
    return s;
}

/* --- the head --- */

static bool
fields_grow(struct h2_stream *s)
{
    uint32_t cap = MAX(s->cap_fields * 2, FIELDS_FIRST);
    struct http_header *fields = pool_alloc(s->stream.req.pool,
        cap * sizeof(*fields));

    if (fields == NULL)
        return false;
    if (s->nfields > 0)
        memcpy(fields, s->fields, s->nfields * sizeof(*fields));
    s->fields = fields;
    s->cap_fields = cap;
    return true;
}

static bool
field_add(struct h2_stream *s, struct sv name, struct sv value)
{
    if (s->nfields == s->cap_fields && !fields_grow(s))
        return false;
    s->fields[s->nfields++] = (struct http_header){name, value};
    return true;
}

/* nghttp2 has seen to it that each comes at most once, and first. */
static void
pseudo_field(struct h2_stream *s, struct sv name, struct sv value)
{
    if (sv_eq(name, SV(":method")))
        s->method = value;
    else if (sv_eq(name, SV(":path")))
        s->target = value;
    else if (sv_eq(name, SV(":authority")))
        s->authority = value;
}

static bool
is_over_limit(const struct h2_stream *s)
{
    return s->seen_bytes > H2_FIELDS_BYTES_MAX ||
        s->seen_fields > HTTP_HEADERS_MAX;
}

bool
h2_stream_field(struct h2_stream *s, struct sv name, struct sv value)
{
    struct pool *pool = s->stream.req.pool;
    bool is_pseudo = name.len > 0 && name.ptr[0] == ':';
    char *name_copy, *value_copy;

    s->seen_bytes += name.len + value.len + FIELD_OVERHEAD;
    s->seen_fields += !is_pseudo;
    if (s->seen_bytes > H2_FIELDS_BYTES_FLOOD ||
        s->seen_fields > 4 * HTTP_HEADERS_MAX) {
        metric_add(METRIC_HTTP_REFUSED_HEAD_TOO_LARGE, 1);
        h2_terminate(s->h2, NGHTTP2_ENHANCE_YOUR_CALM, "header fields");
        return false;
    }
    if (s->has_trailers || is_over_limit(s))
        return true;
    name_copy = pool_dup(pool, name.ptr, name.len);
    value_copy = pool_dup(pool, value.ptr, value.len);
    if (name_copy == NULL || value_copy == NULL)
        return false;
    name.ptr = name_copy;
    value.ptr = value_copy;
    if (is_pseudo)
        pseudo_field(s, name, value);
    else if (!field_add(s, name, value))
        return false;
    if (sv_eq(name, SV("content-length")) &&
        !num_parse_u64(value, &s->length))
        s->length = UINT64_MAX - 1; /* beyond every limit */
    return true;
}

/* From now on the handler, or the refusal, has it. */
static void
set_handled(struct h2_stream *s)
{
    check(s->state != H2_STREAM_REPLY);
    s->state = H2_STREAM_REPLY;
    if (s->h2->nhandled++ == 0)
        server_wait_end(&s->h2->base);
}

void
h2_refuse(struct h2_stream *s, int status, const char *why)
{
    set_handled(s);
    auth_cancel(&s->stream);
    h2_body_release(s);
    if (status == 503)
        http_reply_header(&s->stream.req, "Retry-After", "1");
    stream_refuse(&s->stream, status, "%s", why);
}

static void
head_refuse(struct h2_stream *s, int status, const char *why)
{
    struct sv type = http_header_get(&s->stream.req, "content-type");

    /* So that a call gets a status that its client understands. */
    s->stream.is_grpc = type.ptr != NULL && grpc_is_content_type(type);
    metric_add(status == 414 || status == 431
            ? METRIC_HTTP_REFUSED_HEAD_TOO_LARGE
            : METRIC_HTTP_REFUSED_BAD_REQUEST, 1);
    s->stream.req.raw_path = stream_shown_path(s->target);
    h2_refuse(s, status, why);
}

static void
fill_request(struct h2_stream *s)
{
    struct http_req *req = &s->stream.req;
    size_t question = sv_find_byte(s->target, '?');

    if (s->authority.len > 0 && http_header_get(req, "host").ptr == NULL &&
        !is_over_limit(s))
        (void)field_add(s, SV("host"), s->authority);
    req->headers = s->fields;
    req->nheaders = s->nfields;
    req->method_name = s->method;
    req->method = stream_method(s->method);
    req->raw_path = sv_sub(s->target, 0, question);
    req->query = sv_sub(s->target, question + 1, s->target.len);
    req->path = req->raw_path;
    req->body = SV_EMPTY;
}

/* NULL, or why the head is not one to be looked at. */
static const char *
head_problem(const struct h2_stream *s, int *status)
{
    *status = 431;
    if (s->seen_fields > HTTP_HEADERS_MAX)
        return "too many header fields";
    if (is_over_limit(s))
        return "the header fields are too large";
    *status = 414;
    if (s->target.len > HTTP_LINE_BYTES_MAX)
        return "the request target is too long";
    *status = 400;
    if (!h1_is_token(s->method) || s->target.len == 0)
        return "the request has no target";
    if (s->target.ptr[0] != '/' && !(sv_eq(s->target, SV("*")) &&
        sv_eq(s->method, SV("OPTIONS"))))
        return "the request target is not a path";
    if (!h1_is_target(s->target))
        return "illegal byte in the request target";
    return NULL;
}

/* A client that asks first, before a body that is taken. */
static void
send_continue(struct h2_stream *s)
{
    static const nghttp2_nv status = {(uint8_t *)(uintptr_t) ":status",
        (uint8_t *)(uintptr_t) "100", 7, 3, NGHTTP2_NV_FLAG_NONE};
    struct sv expect = http_header_get(&s->stream.req, "expect");

    if (sv_eq_nocase(expect, SV("100-continue")))
        (void)nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE,
            s->id, NULL, &status, 1, NULL);
}

static void
stream_run(struct h2_stream *s)
{
    if (grpc_is_late(&s->stream.req)) {
        h2_refuse(s, 408, "the deadline of the call passed");
        return;
    }
    set_handled(s);
    s->stream.req.body = sv_make(s->body.ptr, s->body.len);
    dispatch_run(&s->stream);
}

static bool
is_overloaded(const struct h2_stream *s)
{
    const struct route *route = s->stream.req.route;

    return s->h2->out_bytes > H2_REPLIES_BYTES_MAX &&
        (route->flags & ROUTE_SELECT) != 0;
}

/* The connection is old enough: the next requests take another one. */
static void
check_age(struct h2_conn *h2)
{
    int64_t most_ns = h2_process(h2)->conf->conn_timeout;

    if (most_ns == 0 || h2_now(h2) - h2->born_ns <= most_ns ||
        h2->is_leaving)
        return;
    metric_add(METRIC_HTTP_CONN_TIMEOUT, 1);
    h2_leave(h2);
}

/* The route is known: whether to read a body. */
static void
head_routed(struct h2_stream *s)
{
    uint64_t length = MAX(s->length == UINT64_MAX ? 0 : s->length,
        (uint64_t)s->held.len);
    char text[64];

    if (is_overloaded(s)) {
        metric_add(METRIC_HTTP_REFUSED_NO_MEMORY, 1);
        h2_refuse(s, 503, "too many replies wait to be read");
    } else if (s->is_complete && s->held.len == 0) {
        stream_run(s);
    } else if (s->body_max == 0) {
        h2_refuse(s, 413, "this path takes no body");
    } else if (length > s->body_max) {
        metric_add(METRIC_HTTP_REFUSED_BODY_TOO_LARGE, 1);
        snprintf(text, sizeof(text), "the body is larger than %llu bytes",
            (unsigned long long)s->body_max);
        h2_refuse(s, 413, text);
    } else {
        s->state = H2_STREAM_BODY;
        send_continue(s);
        h2_body_begin(s);
    }
}

void
h2_stream_head(struct h2_stream *s, bool is_last)
{
    const char *problem;
    int status;

    s->is_complete = is_last;
    h2_earn(s->h2, 10 * KIB); /* for the ten frames a request may need */
    check_age(s->h2);
    fill_request(s);
    problem = head_problem(s, &status);
    if (problem != NULL) {
        head_refuse(s, status, problem);
        return;
    }
    if (s->h2->nhandled == 0)
        server_wait(&s->h2->base);
    switch (dispatch_head(&s->stream, &s->body_max)) {
    case DISPATCH_ANSWERED:
        set_handled(s);
        break;
    case DISPATCH_GOES_ON:
        head_routed(s);
        break;
    case DISPATCH_ASKS:
        s->state = H2_STREAM_BODY;
        s->is_asking = true;
        h2_body_ask(s);
        break;
    }
}

void
h2_asked(struct h2_stream *s)
{
    s->is_asking = false;
    if (dispatch_asked(&s->stream, &s->body_max) == DISPATCH_GOES_ON) {
        head_routed(s);
        h2_body_resume(s);
    } else {
        set_handled(s);
        h2_body_release(s);
    }
    h2_wake(s->h2);
}

void
h2_stream_complete(struct h2_stream *s)
{
    s->is_complete = true;
    if (s->state == H2_STREAM_BODY && s->held.len == 0 && !s->is_asking)
        stream_run(s);
}

/* --- the end --- */

/* A note for the sweep, if nobody needs it any more. */
static void
check_dead(struct h2_stream *s)
{
    if (!s->is_closed || (s->state == H2_STREAM_REPLY && !s->is_ended))
        return;
    s->h2->has_dead = true;
    h2_wake(s->h2);
}

void
h2_stream_closed(struct h2_stream *s)
{
    s->is_closed = true;
    auth_cancel(&s->stream);
    h2_reply_drop(s);
    if (s->state == H2_STREAM_REPLY)
        stream_abort(&s->stream);
    else
        h2_body_release(s);
    check_dead(s);
}

void
h2_stream_abandon(struct h2_stream *s)
{
    if (!s->is_closed)
        h2_stream_closed(s);
    s->h2->has_dead = true;
}

static void
stream_free(struct h2_stream *s)
{
    struct h2_conn *h2 = s->h2;

    count_received(&s->stream.req, s->seen_bytes + s->body.len);
    h2_reply_drop(s);
    h2_body_release(s);
    TAILQ_REMOVE(&h2->streams, s, link);
    if (s->state == H2_STREAM_REPLY)
        h2->nhandled--;
    check(h2->base.server->nrequests > 0);
    h2->base.server->nrequests--;
    stream_put(s);
    if (--h2->nstreams == 0)
        listen_conn_busy(-1);
    if (h2->is_over)
        return;
    if (h2->nhandled == 0)
        server_wait(&h2->base);
    if (h2->nstreams == 0) {
        h2->idle_ns = h2_now(h2);
        h2_schedule(h2, h2->idle_ns + h2_process(h2)->conf->idle_timeout);
    }
}

void
h2_streams_sweep(struct h2_conn *h2)
{
    struct h2_stream *s, *next;

    if (!h2->has_dead)
        return;
    h2->has_dead = false;
    for (s = TAILQ_FIRST(&h2->streams); s != NULL; s = next) {
        next = TAILQ_NEXT(s, link);
        if (s->is_closed && (s->state != H2_STREAM_REPLY || s->is_ended))
            stream_free(s);
    }
}
