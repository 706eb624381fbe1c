/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Bodies of HTTP/2 requests.  Data is acknowledged (and so the client allowed
 * to send more) when it has found a place within the budget of bodies.  What
 * finds none waits in s->held, which the windows bound for a client and
 * H2_HELD_BYTES_MAX for all.
 */

#include "core/base.h"
#include "http/h2.h"

#include "core/assert.h"
#include "core/metrics.h"
#include "http/grpc.h"

/* A check of a password has an end of its own, long before this. */
#define H2_ASK_NS (600 * NS_PER_SEC)

static size_t held_total;

int64_t
h2_body_due_ns(const struct h2_stream *s)
{
    int64_t due_ns = s->wait_until_ns != 0 ? s->wait_until_ns : s->credit_ns;

    if (s->stream.deadline_ns != 0)
        due_ns = MIN(due_ns, s->stream.deadline_ns);
    return due_ns;
}

void
h2_body_ask(struct h2_stream *s)
{
    sb_init(&s->held, H2_CONN_WINDOW);
    s->credit_ns = h2_now(s->h2) + H2_ASK_NS;
}

void
h2_body_begin(struct h2_stream *s)
{
    struct h2_conn *h2 = s->h2;

    if (s->held.ptr == NULL)
        sb_init(&s->held, H2_CONN_WINDOW);
    s->credit_ns = h2_now(h2) + h2_process(h2)->conf->header_timeout;
    h2_schedule(h2, h2_body_due_ns(s));
}

static void
held_drop(struct h2_stream *s, size_t n)
{
    check(n <= s->held.len && n <= held_total);
    held_total -= n;
    if (n == s->held.len) {
        sb_release(&s->held);
        sb_init(&s->held, H2_CONN_WINDOW);
        return;
    }
    memmove(s->held.ptr, s->held.ptr + n, s->held.len - n);
    s->held.len -= n;
}

void
h2_body_release(struct h2_stream *s)
{
    if (s->held.len > 0) {
        if (!s->h2->is_over)
            (void)nghttp2_session_consume_connection(s->h2->session,
                s->held.len);
        held_drop(s, s->held.len);
    }
    sb_release(&s->held);
    body_release(&s->body);
    s->stream.req.body = SV_EMPTY;
}

/* The body will have this many bytes if the client keeps its promise. */
static uint64_t
body_total(const struct h2_stream *s)
{
    uint64_t total = s->length;

    if (total == UINT64_MAX && s->stream.is_grpc)
        total = grpc_promised(sv_make(s->body.ptr, s->body.len));
    return MAX(MIN(total, s->body_max), s->body.len + 1);
}

/* Copies what there is room for; returns how much that was. */
static size_t
body_take(struct h2_stream *s, struct sv data, enum body_room *room)
{
    struct body *body = &s->body;
    size_t taken = 0, n;

    *room = BODY_ROOM;
    while (taken < data.len) {
        *room = body_grow(body, body_total(s));
        if (*room != BODY_ROOM)
            break;
        n = MIN(data.len - taken, body->cap - body->len);
        memcpy(body->ptr + body->len, data.ptr + taken, n);
        body->len += n;
        taken += n;
    }
    s->stream.req.body = sv_make(body->ptr, body->len);
    return taken;
}

/* Waits for memory, or is refused. */
static void
body_hold(struct h2_stream *s, struct sv data)
{
    int64_t now_ns = h2_now(s->h2);

    if (data.len > H2_HELD_BYTES_MAX - MIN(held_total, H2_HELD_BYTES_MAX)) {
        metric_add(METRIC_HTTP_REFUSED_NO_MEMORY, 1);
        h2_refuse(s, 503, "too many bodies at once, try again");
        (void)nghttp2_session_consume_connection(s->h2->session, data.len);
        return;
    }
    sb_add_sv(&s->held, data);
    held_total += data.len;
    if (s->is_asking)
        return;
    if (s->wait_until_ns == 0)
        s->wait_until_ns = now_ns + HTTP_BODY_WAIT_NS;
    h2_schedule(s->h2, h2_body_due_ns(s));
    if (!s->body.is_waiting)
        body_wait(&s->body);
}

static void
no_memory(struct h2_stream *s)
{
    metric_add(METRIC_HTTP_REFUSED_NO_MEMORY, 1);
    h2_refuse(s, 503, "out of memory, try again");
}

/* What gRPC says in its first bytes may end it early. */
static bool
is_refused_by_prefix(struct h2_stream *s)
{
    const char *problem;
    int status;

    if (!s->stream.is_grpc)
        return false;
    problem = grpc_prefix_problem(sv_make(s->body.ptr, s->body.len),
        s->body_max - GRPC_PREFIX_BYTES, &status);
    if (problem == NULL)
        return false;
    metric_add(status == 413 ? METRIC_HTTP_REFUSED_BODY_TOO_LARGE
                             : METRIC_HTTP_REFUSED_BAD_REQUEST, 1);
    h2_refuse(s, status, problem);
    return true;
}

void
h2_body_data(struct h2_stream *s, struct sv data)
{
    nghttp2_session *session = s->h2->session;
    enum body_room room = BODY_NO_BUDGET;
    size_t taken = 0;

    if (s->is_asking) {
        body_hold(s, data);
        return;
    }
    s->credit_ns = body_credit_ns(h2_process(s->h2), s->credit_ns, data.len);
    if (data.len > s->body_max - s->body.len - s->held.len) {
        (void)nghttp2_session_consume_connection(session, data.len);
        metric_add(METRIC_HTTP_REFUSED_BODY_TOO_LARGE, 1);
        h2_refuse(s, 413, "the body is too large");
        return;
    }
    if (s->held.len == 0)
        taken = body_take(s, data, &room);
    (void)nghttp2_session_consume(session, s->id, taken);
    if (taken > 0 && is_refused_by_prefix(s)) {
        (void)nghttp2_session_consume_connection(session, data.len - taken);
    } else if (taken == data.len) {
        return;
    } else if (room == BODY_NO_MEMORY) {
        (void)nghttp2_session_consume_connection(session, data.len - taken);
        no_memory(s);
    } else {
        body_hold(s, sv_sub(data, taken, data.len - taken));
    }
}

void
h2_body_resume(struct h2_stream *s)
{
    enum body_room room;
    size_t taken;

    s->is_woken = false;
    if (s->state != H2_STREAM_BODY || s->is_closed || s->held.len == 0)
        return;
    taken = body_take(s, sb_sv(&s->held), &room);
    (void)nghttp2_session_consume(s->h2->session, s->id, taken);
    held_drop(s, taken);
    if (taken > 0 && is_refused_by_prefix(s))
        return;
    if (room == BODY_NO_MEMORY) {
        no_memory(s);
    } else if (room == BODY_NO_BUDGET) {
        body_wait(&s->body);
    } else {
        s->wait_until_ns = 0;
        s->credit_ns = MAX(s->credit_ns, h2_now(s->h2) +
            h2_process(s->h2)->conf->header_timeout);
        if (s->is_complete)
            h2_stream_complete(s);
    }
}

void
h2_body_check(struct h2_stream *s, int64_t now_ns)
{
    if (s->stream.deadline_ns != 0 && now_ns >= s->stream.deadline_ns) {
        h2_refuse(s, 408, "the deadline of the call passed");
    } else if (s->wait_until_ns != 0 && now_ns >= s->wait_until_ns) {
        metric_add(METRIC_HTTP_REFUSED_NO_MEMORY, 1);
        h2_refuse(s, 503, "too many bodies at once, try again");
    } else if (s->wait_until_ns == 0 && now_ns >= s->credit_ns) {
        metric_add(METRIC_HTTP_REFUSED_SLOW_BODY, 1);
        h2_refuse(s, 408, "the body came too slowly");
    }
}
