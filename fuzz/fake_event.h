/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The parts of event/ that a protocol sees, without sockets and without a
 * clock: for fuzz targets, which include it once.  Time stands still until
 * fake_advance(); one connection is fed by fake_feed(), and what it writes is
 * given to fake_output().
 */

#ifndef SPOOR_FUZZ_FAKE_EVENT_H
#define SPOOR_FUZZ_FAKE_EVENT_H

#include <sys/queue.h>

#include "core/base.h"
#include "core/assert.h"
#include "core/mem.h"
#include "core/sb.h"
#include "event/conn.h"
#include "event/listen.h"
#include "event/loop.h"

/* Of one connection; a protocol may go a little beyond its own bound. */
#define FAKE_QUEUED_MAX (2 * MIB)
/* Callbacks in a row without input or time: more is a loop without end. */
#define FAKE_CALLS_MAX 100000

/* --- the loop --- */

struct loop_timer {
    TAILQ_ENTRY(loop_timer) link;
    loop_timer_fn fn;
    void *arg;
    int64_t due_ns; /* 0: not set */
};

struct loop {
    int64_t now_ns;
    TAILQ_HEAD(, loop_timer) timers;
    struct loop_later *later;
    struct loop_later **later_end;
};

static struct loop fake_loop = {
    .timers = TAILQ_HEAD_INITIALIZER(fake_loop.timers),
    .later_end = &fake_loop.later,
};

int64_t
loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

struct loop_timer *
loop_timer_new(struct loop *loop, loop_timer_fn fn, void *arg)
{
    struct loop_timer *timer = xcalloc(1, sizeof(*timer));

    timer->fn = fn;
    timer->arg = arg;
    TAILQ_INSERT_TAIL(&loop->timers, timer, link);
    return timer;
}

void
loop_timer_set(struct loop_timer *timer, int64_t after_ns)
{
    check(after_ns > 0);
    timer->due_ns = fake_loop.now_ns + after_ns;
}

void
loop_timer_cancel(struct loop_timer *timer)
{
    timer->due_ns = 0;
}

void
loop_timer_free(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    TAILQ_REMOVE(&fake_loop.timers, timer, link);
    xfree(timer);
}

void
loop_later_add(struct loop *loop, struct loop_later *later)
{
    if (later->queued)
        return;
    later->queued = true;
    later->next = NULL;
    *loop->later_end = later;
    loop->later_end = &later->next;
}

void
loop_later_remove(struct loop *loop, struct loop_later *later)
{
    struct loop_later **at = &loop->later;

    if (!later->queued)
        return;
    while (*at != later)
        at = &(*at)->next;
    *at = later->next;
    if (loop->later_end == &later->next)
        loop->later_end = at;
    later->queued = false;
}

/* There is no thread that could. */
void
loop_post(UNUSED struct loop *loop, UNUSED loop_post_fn fn, UNUSED void *arg)
{
    panic("loop_post() without threads");
}

void
loop_post_cancel(UNUSED struct loop *loop, UNUSED loop_post_fn fn,
    UNUSED void *arg)
{
}

static void
fake_run_later(void)
{
    unsigned calls = 0;

    while (fake_loop.later != NULL) {
        struct loop_later *later = fake_loop.later;

        check(calls++ < FAKE_CALLS_MAX);
        loop_later_remove(&fake_loop, later);
        later->fn(later->arg);
    }
}

/* --- listeners: nothing but the counts --- */

static int fake_busy;

void
listen_conn_ended(void)
{
}

void
listen_conn_busy(int delta)
{
    fake_busy += delta;
    check(fake_busy >= 0);
}

/* --- the connection --- */

struct conn {
    const struct conn_ops *ops;
    void *arg;
    const uint8_t *in;
    size_t in_len;
    bool wants_read;
    bool saw_eof;
    bool is_above; /* the queue was over CONN_LOW_WATER */
    size_t queued;
};

/* NULL after conn_free() and conn_finish(). */
static struct conn *fake_conn;
/* The peer takes nothing at present. */
static bool fake_is_stalled;
static struct sb fake_out;
/* What it took. */
static void fake_output(struct sv bytes);

void
conn_set_owner(struct conn *conn, const struct conn_ops *ops, void *arg)
{
    conn->ops = ops;
    conn->arg = arg;
}

void
conn_free(struct conn *conn)
{
    check(conn == fake_conn);
    fake_conn = NULL;
    xfree(conn);
}

void
conn_finish(struct conn *conn)
{
    fake_output(sb_sv(&fake_out));
    sb_reset(&fake_out);
    conn_free(conn);
}

void
conn_want_read(struct conn *conn, bool want)
{
    conn->wants_read = want;
}

ssize_t
conn_read(struct conn *conn, void *ptr, size_t len)
{
    size_t n = MIN(len, conn->in_len);

    check(conn->wants_read);
    if (n == 0)
        return conn->saw_eof ? 0 : -1;
    memcpy(ptr, conn->in, n);
    conn->in += n;
    conn->in_len -= n;
    return (ssize_t)n;
}

void
conn_write(struct conn *conn, const void *ptr, size_t len)
{
    sb_add(&fake_out, ptr, len);
    conn->queued += len;
    conn->is_above |= conn->queued > CONN_LOW_WATER;
    check(conn->queued <= FAKE_QUEUED_MAX);
}

void
conn_write_take(struct conn *conn, char *ptr, size_t len)
{
    conn_write(conn, ptr, len);
    xfree(ptr);
}

size_t
conn_queued(const struct conn *conn)
{
    return conn->queued;
}

size_t
conn_queued_total(void)
{
    return fake_conn == NULL ? 0 : fake_conn->queued;
}

const struct conf_listener *
conn_listener(UNUSED const struct conn *conn)
{
    static const struct conf_listener listener = {.address = ":10428"};

    return &listener;
}

const char *
conn_tls_peer_name(UNUSED const struct conn *conn)
{
    return "";
}

const char *
conn_peer(UNUSED const struct conn *conn)
{
    return "127.0.0.1:1";
}

/* --- what a target does --- */

static struct conn *
fake_open(void)
{
    sb_init(&fake_out, 2 * FAKE_QUEUED_MAX);
    fake_is_stalled = false;
    fake_conn = xcalloc(1, sizeof(*fake_conn));
    return fake_conn;
}

/* All that follows from what happened, without more input or time. */
static void
fake_settle(void)
{
    unsigned calls = 0;

    fake_run_later();
    while (fake_conn != NULL && fake_conn->queued > 0 && !fake_is_stalled) {
        bool was_above = fake_conn->is_above;

        check(calls++ < FAKE_CALLS_MAX);
        fake_conn->queued = 0;
        fake_conn->is_above = false;
        fake_output(sb_sv(&fake_out));
        sb_reset(&fake_out);
        if (was_above)
            fake_conn->ops->on_drained(fake_conn, fake_conn->arg);
        fake_run_later();
    }
}

static void
fake_feed(const uint8_t *ptr, size_t len)
{
    if (fake_conn == NULL)
        return;
    fake_conn->in = ptr;
    fake_conn->in_len = len;
    while (fake_conn != NULL && fake_conn->wants_read &&
        fake_conn->in_len > 0) {
        fake_conn->ops->on_readable(fake_conn, fake_conn->arg);
        fake_settle();
    }
}

static void
fake_eof(void)
{
    if (fake_conn == NULL || fake_conn->saw_eof)
        return;
    fake_conn->in_len = 0;
    fake_conn->saw_eof = true;
    if (fake_conn->wants_read)
        fake_conn->ops->on_readable(fake_conn, fake_conn->arg);
    fake_settle();
}

static void
fake_close(enum conn_close why)
{
    if (fake_conn != NULL)
        fake_conn->ops->on_closed(fake_conn, why, fake_conn->arg);
    fake_settle();
}

/* Time passes, and timers fire one by one when they are due. */
static void
fake_advance(int64_t ns)
{
    int64_t end_ns = fake_loop.now_ns + ns;
    unsigned calls = 0;

    for (;;) {
        struct loop_timer *timer, *first = NULL;

        TAILQ_FOREACH(timer, &fake_loop.timers, link) {
            if (timer->due_ns != 0 && timer->due_ns <= end_ns &&
                (first == NULL || timer->due_ns < first->due_ns))
                first = timer;
        }
        if (first == NULL)
            break;
        check(calls++ < FAKE_CALLS_MAX);
        fake_loop.now_ns = MAX(fake_loop.now_ns, first->due_ns);
        first->due_ns = 0;
        first->fn(first->arg);
        fake_settle();
    }
    fake_loop.now_ns = end_ns;
}

#endif
