/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The life of an HTTP/2 connection.  Whatever happens, h2_run() looks at it
 * when the callback ends: it sends what nghttp2 has to say, lets writers go
 * on, frees streams that are over, and ends the connection when nothing is
 * left to do.  One timer serves all clocks of the connection: it fires at
 * the earliest, and each clock is looked at.
 */

#include "core/base.h"
#include "http/h2.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"

#define H2_MAGIC 0x324e4f43u /* "CON2" */

static void h2_run(struct h2_conn *h2);
static const struct server_conn_ops h2_server_ops;

/* What is read goes on at once, so one buffer serves all connections. */
static uint8_t input[H2_IN_BYTES];

static struct h2_conn *
h2_of(struct server_conn *base)
{
    struct h2_conn *h2 = (struct h2_conn *)(void *)base;

    OBJ_CHECK(h2, H2_MAGIC);
    return h2;
}

void
h2_wake(struct h2_conn *h2)
{
    if (!h2->is_running)
        loop_later_add(h2_process(h2)->loop, &h2->later);
}

void
h2_break(struct h2_conn *h2)
{
    h2->is_broken = true;
    h2_wake(h2);
}

void
h2_schedule(struct h2_conn *h2, int64_t at_ns)
{
    if (h2->is_over || (h2->timer_ns != 0 && h2->timer_ns <= at_ns))
        return;
    h2->timer_ns = at_ns;
    loop_timer_set(h2->timer, MAX(at_ns - h2_now(h2), 1));
}

/* --- the end --- */

/* conn was given away; streams that a handler has stay until it is done. */
static void
h2_detach(struct h2_conn *h2)
{
    struct h2_stream *s, *next;

    check(!h2->is_over);
    h2->is_over = true;
    h2->conn = NULL;
    loop_timer_free(h2->timer);
    h2->timer = NULL;
    nghttp2_session_del(h2->session);
    h2->session = NULL;
    server_conn_remove(&h2->base);
    for (s = TAILQ_FIRST(&h2->streams); s != NULL; s = next) {
        next = TAILQ_NEXT(s, link);
        h2_stream_abandon(s);
    }
    loop_later_add(h2_process(h2)->loop, &h2->later);
}

static void
h2_kill(struct h2_conn *h2)
{
    conn_free(h2->conn);
    h2_detach(h2);
}

static void
h2_finish(struct h2_conn *h2)
{
    conn_finish(h2->conn);
    h2_detach(h2);
}

static void
h2_free(struct h2_conn *h2)
{
    check(h2->is_over && h2->nstreams == 0 && !h2->is_running);
    loop_later_remove(h2_process(h2)->loop, &h2->later);
    h2->magic = 0;
    xfree(h2);
}

static void
h2_slow_reader(struct h2_conn *h2)
{
    metric_add(METRIC_HTTP_REFUSED_SLOW_READER, 1);
    log_warn("%s: takes its replies too slowly", conn_peer(h2->conn));
    h2_kill(h2);
}

void
h2_leave(struct h2_conn *h2)
{
    if (h2->is_leaving || h2->is_over)
        return;
    h2->is_leaving = true;
    h2->leave_ns = h2_now(h2) + DRAIN_IDLE_NS;
    (void)nghttp2_submit_shutdown_notice(h2->session);
    h2_schedule(h2, h2->leave_ns);
    h2_wake(h2);
}

/* --- clocks --- */

/* When a connection without streams has idled for too long. */
static int64_t
idle_due_ns(const struct h2_conn *h2)
{
    const struct conf *conf = h2_process(h2)->conf;

    if (!h2->had_request)
        return h2->born_ns + conf->header_timeout;
    return h2->idle_ns + conf->idle_timeout;
}

static void
check_idle(struct h2_conn *h2, int64_t now_ns)
{
    if (h2->nstreams > 0)
        return;
    if (now_ns >= idle_due_ns(h2))
        h2_terminate(h2, NGHTTP2_NO_ERROR, "idle");
    else
        h2_schedule(h2, idle_due_ns(h2));
}

static void
check_block(struct h2_conn *h2, int64_t now_ns)
{
    int64_t due_ns = h2->block_ns + h2_process(h2)->conf->header_timeout;

    if (h2->block_ns == 0)
        return;
    if (now_ns < due_ns) {
        h2_schedule(h2, due_ns);
        return;
    }
    metric_add(METRIC_HTTP_REFUSED_TIMEOUT, 1);
    log_warn("%s: a request head took too long", conn_peer(h2->conn));
    h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM, "slow head");
}

static void
check_leave(struct h2_conn *h2, int64_t now_ns)
{
    if (!h2->is_leaving || h2->has_left)
        return;
    if (now_ns < h2->leave_ns) {
        h2_schedule(h2, h2->leave_ns);
        return;
    }
    h2->has_left = true;
    (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
        nghttp2_session_get_last_proc_stream_id(h2->session),
        NGHTTP2_NO_ERROR, NULL, 0);
}

/*
 * The client sends no more: what it has begun will not be completed, and
 * nobody waits for the answers of queries for long.
 */
static void
check_eof(struct h2_conn *h2, int64_t now_ns)
{
    struct h2_stream *s, *next;

    if (h2->eof_ns == 0)
        return;
    if (now_ns < h2->eof_ns) {
        h2_schedule(h2, h2->eof_ns);
        return;
    }
    h2->eof_ns = 0;
    for (s = TAILQ_FIRST(&h2->streams); s != NULL; s = next) {
        const struct route *route = s->stream.req.route;

        next = TAILQ_NEXT(s, link);
        if (s->state != H2_STREAM_REPLY || (route != NULL &&
            (route->flags & ROUTE_SELECT) != 0 &&
            stream_is_blind(&s->stream)))
            (void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE,
                s->id, NGHTTP2_CANCEL);
    }
}

static void
IMPL(loop_timer_fn) h2_on_timer(void *arg)
{
    struct h2_conn *h2 = arg;
    int64_t now_ns = h2_now(h2);
    struct h2_stream *s, *next;

    OBJ_CHECK(h2, H2_MAGIC);
    h2->timer_ns = 0;
    check_idle(h2, now_ns);
    check_block(h2, now_ns);
    check_leave(h2, now_ns);
    check_eof(h2, now_ns);
    for (s = TAILQ_FIRST(&h2->streams); s != NULL; s = next) {
        next = TAILQ_NEXT(s, link);
        if (s->state != H2_STREAM_BODY)
            continue;
        if (now_ns >= h2_body_due_ns(s))
            h2_body_check(s, now_ns);
        if (s->state == H2_STREAM_BODY)
            h2_schedule(h2, h2_body_due_ns(s));
    }
    h2_run(h2);
}

/* --- work --- */

static void
h2_input(struct h2_conn *h2, const void *ptr, size_t len)
{
    ssize_t n;

    if (!h2_count_input(h2, len))
        return;
    n = nghttp2_session_mem_recv(h2->session, ptr, len);
    if (n >= 0 || h2->is_deaf)
        return;
    if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        h2_terminate(h2, NGHTTP2_PROTOCOL_ERROR, "no preface");
    else if (n == NGHTTP2_ERR_FLOODED)
        h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM, "flood");
    else
        h2_terminate(h2, NGHTTP2_INTERNAL_ERROR,
            nghttp2_strerror((int)n));
}

static void
h2_read(struct h2_conn *h2)
{
    size_t turn = 0;
    ssize_t n;

    while (turn < HTTP_TURN_BYTES && !h2->is_broken && !h2->is_deaf) {
        n = conn_read(h2->conn, input, sizeof(input));
        if (n == -2)
            h2->is_broken = true;
        if (n == 0) {
            h2->saw_eof = true;
            h2->eof_ns = h2_now(h2) + HTTP_EOF_GRACE_NS;
            conn_want_read(h2->conn, false);
            h2_schedule(h2, h2->eof_ns);
        }
        if (n <= 0)
            return;
        turn += (size_t)n;
        h2_input(h2, input, (size_t)n);
        if (n < (ssize_t)sizeof(input))
            return;
    }
}

static void
resume_woken(struct h2_conn *h2)
{
    struct h2_stream *s, *next;

    h2->has_woken = false;
    for (s = TAILQ_FIRST(&h2->streams); s != NULL; s = next) {
        next = TAILQ_NEXT(s, link);
        if (s->is_woken)
            h2_body_resume(s);
    }
}

/* Nothing is left to say or to hear. */
static bool
is_done(const struct h2_conn *h2)
{
    if (nghttp2_session_want_write(h2->session) || conn_queued(h2->conn) >
        CONN_LOW_WATER)
        return false;
    return !nghttp2_session_want_read(h2->session) ||
        (h2->saw_eof && h2->nstreams == 0);
}

static void
h2_run(struct h2_conn *h2)
{
    if (h2->is_running)
        return;
    h2->is_running = true;
    while (!h2->is_over && !h2->is_broken) {
        if (h2->has_woken)
            resume_woken(h2);
        h2_pump(h2);
        if (h2->has_dead)
            h2_streams_sweep(h2);
        if (!h2->has_woken && !h2_drain_writers(h2))
            break;
    }
    if (!h2->is_over && h2->is_broken)
        h2_kill(h2);
    else if (!h2->is_over && is_done(h2))
        h2_finish(h2);
    h2_streams_sweep(h2);
    h2->is_running = false;
    if (h2->is_over && h2->nstreams == 0)
        h2_free(h2);
}

/* --- callbacks --- */

static void
IMPL(on_readable) h2_on_readable(UNUSED struct conn *conn, void *arg)
{
    struct h2_conn *h2 = arg;

    OBJ_CHECK(h2, H2_MAGIC);
    h2_read(h2);
    h2_run(h2);
}

static void
IMPL(on_drained) h2_on_drained(UNUSED struct conn *conn, void *arg)
{
    struct h2_conn *h2 = arg;

    OBJ_CHECK(h2, H2_MAGIC);
    h2_run(h2);
}

static void
IMPL(on_closed) h2_on_closed(UNUSED struct conn *conn, enum conn_close why,
    void *arg)
{
    struct h2_conn *h2 = arg;

    OBJ_CHECK(h2, H2_MAGIC);
    if (why == CONN_CLOSE_TIMEOUT)
        h2_slow_reader(h2);
    else
        h2_kill(h2);
}

static void
IMPL(loop_post_fn) h2_on_later(void *arg)
{
    struct h2_conn *h2 = arg;

    OBJ_CHECK(h2, H2_MAGIC);
    h2_run(h2);
}

static const struct conn_ops h2_conn_ops = {
    .on_readable = h2_on_readable,
    .on_drained = h2_on_drained,
    .on_closed = h2_on_closed,
};

static void
IMPL(server_conn_ops.drain) h2_drain(struct server_conn *base)
{
    h2_leave(h2_of(base));
}

static void
IMPL(server_conn_ops.kill) h2_kill_base(struct server_conn *base)
{
    check(!h2_of(base)->is_running);
    h2_kill(h2_of(base));
}

static void
IMPL(server_conn_ops.reap) h2_reap(struct server_conn *base)
{
    h2_run(h2_of(base));
}

/* The connection as a whole, then streams whose window stays closed. */
static void
IMPL(server_conn_ops.check_reader) h2_check_reader(struct server_conn *base)
{
    struct h2_conn *h2 = h2_of(base);
    struct h2_stream *s;

    if (reader_is_slow(&h2->reader, conn_queued(h2->conn), h2_process(h2))) {
        h2_slow_reader(h2);
        return;
    }
    TAILQ_FOREACH(s, &h2->streams, link) {
        if (s->is_closed ||
            !reader_is_slow(&s->reader, s->out_bytes, h2_process(h2)))
            continue;
        metric_add(METRIC_HTTP_REFUSED_SLOW_READER, 1);
        log_warn("%s: takes a reply too slowly", s->peer);
        (void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE,
            s->id, NGHTTP2_CANCEL);
        h2_wake(h2);
    }
}

static size_t
IMPL(server_conn_ops.unread) h2_unread(const struct server_conn *base,
    int64_t *since_ns)
{
    const struct h2_conn *h2 = (const struct h2_conn *)(const void *)base;
    const struct h2_stream *s;
    size_t sum = conn_queued(h2->conn);

    OBJ_CHECK(h2, H2_MAGIC);
    *since_ns = h2->reader.since_ns;
    TAILQ_FOREACH(s, &h2->streams, link) {
        sum += s->out_bytes;
        if (*since_ns == 0 ||
            (s->reader.since_ns != 0 && s->reader.since_ns < *since_ns))
            *since_ns = s->reader.since_ns;
    }
    return sum;
}

static const struct server_conn_ops h2_server_ops = {
    .drain = h2_drain,
    .kill = h2_kill_base,
    .reap = h2_reap,
    .check_reader = h2_check_reader,
    .unread = h2_unread,
};

void
h2_take(struct conn *conn, struct server_conn *old, struct sv first)
{
    struct h2_conn *h2 = xcalloc(1, sizeof(*h2));
    const struct process *process = old->server->process;

    h2->magic = H2_MAGIC;
    h2->conn = conn;
    TAILQ_INIT(&h2->streams);
    server_conn_replace(old, &h2->base, &h2_server_ops);
    metric_add(METRIC_HTTP2_CONNECTIONS_TOTAL, 1);
    conn_set_owner(conn, &h2_conn_ops, h2);
    h2->timer = loop_timer_new(process->loop, h2_on_timer, h2);
    h2->later.fn = h2_on_later;
    h2->later.arg = h2;
    h2->born_ns = h2->idle_ns = h2_now(h2);
    h2_schedule(h2, idle_due_ns(h2));
    conn_want_read(conn, true);
    if (!h2_session_open(h2)) {
        h2_break(h2);
        return;
    }
    if (first.len > 0)
        h2_input(h2, first.ptr, first.len);
    if (h2->base.server->is_draining)
        h2_leave(h2);
    h2_wake(h2);
}
