/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * TLS beneath a connection:
 *
 *     HELLO      the first byte is looked at and stays where it is: TLS, or
 *                HTTP of somebody who took the address for a plain one
 *     HANDSHAKE  in the time that the owner gives its first request
 *     DATA       records; what OpenSSL holds when the owner stops reading is
 *                told to it again, since the socket may never be readable
 *                again
 *
 * A connection has no object of OpenSSL before its first byte.
 */

#include "core/base.h"
#include "event/conn_state.h"

#include <errno.h>
#include <sys/socket.h>

#include "core/assert.h"
#include "core/conf_listener.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/tls.h"
#include "event/tls_server.h"

/*
 * Handshakes at a time in a process: each holds about 60 KiB, and a client
 * that does not go on holds its place for the time of a request head.
 */
#define CONN_HANDSHAKES_MAX 1024
/* What small buffers are put together to: one record of TLS. */
#define CONN_RECORD_BYTES (16 * KIB)
/* The first byte of a record that holds a handshake. */
#define CONN_TLS_FIRST 0x16

static const char plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 50\r\n"
    "Connection: close\r\n"
    "\r\n"
    "this port speaks HTTPS: a request without TLS came";

struct conn_tls {
    struct conn *conn;
    struct tls *tls;       /* NULL in CONN_STAGE_HELLO */
    TAILQ_ENTRY(conn_tls) link;
    int64_t start_ns;
    bool is_shaking;       /* on handshakes */
    bool shakes_on_write;  /* the handshake waits for LOOP_WRITE */
    bool reads_on_write;   /* so does reading */
    bool sends_on_read;
    bool is_posted;        /* conn_tls_tell() will be called */
    struct loop_later look;
};

/* In stages before DATA, oldest first. */
static TAILQ_HEAD(, conn_tls) handshakes = TAILQ_HEAD_INITIALIZER(handshakes);
static unsigned nhandshakes;
static unsigned nconns;

/* --- stages --- */

static void
shaking_ends(struct conn_tls *self)
{
    if (!self->is_shaking)
        return;
    self->is_shaking = false;
    TAILQ_REMOVE(&handshakes, self, link);
    nhandshakes--;
}

static void
count_failure(struct conn *conn, enum tls_failure failure, const char *text)
{
    shaking_ends(conn->tls);
    tls_failure_count(failure, conn_peer(conn), conn->listener->address,
        text);
}

static void conn_tls_look(void *arg);

void
conn_tls_start(struct conn *conn)
{
    struct conn_tls *self = xcalloc(1, sizeof(*self));

    conn->tls = self;
    conn->stage = CONN_STAGE_HELLO;
    self->conn = conn;
    self->start_ns = clock_mono_ns();
    self->look.fn = conn_tls_look;
    self->look.arg = conn;
    self->is_shaking = true;
    nconns++;
    metric_gauge_add(METRIC_TLS_CONNECTIONS, 1);
    if (nhandshakes >= CONN_HANDSHAKES_MAX) {
        struct conn *oldest = TAILQ_FIRST(&handshakes)->conn;

        count_failure(oldest, TLS_FAILURE_TOO_MANY, "too many handshakes at "
            "a time, this one was the oldest");
        conn_fail(oldest, CONN_CLOSE_ERROR);
    }
    TAILQ_INSERT_TAIL(&handshakes, self, link);
    nhandshakes++;
    conn_watch(conn);
}

/* The peer should see what is said before the end. */
static void
refuse(struct conn *conn, enum tls_failure failure, const char *text)
{
    count_failure(conn, failure, text);
    conn->must_linger = failure != TLS_FAILURE_CLOSED;
    conn_fail(conn, CONN_CLOSE_PEER);
}

static void
refuse_plain(struct conn *conn)
{
    /* To a fresh socket, so all of it goes. */
    (void)send(conn->fd, plain_answer, sizeof(plain_answer) - 1,
        MSG_DONTWAIT | MSG_NOSIGNAL);
    refuse(conn, TLS_FAILURE_PLAIN, "plain HTTP on a port with TLS");
}

/* False: not yet, or not at all. */
static bool
say_hello(struct conn *conn)
{
    unsigned char first;
    ssize_t n;

    do {
        n = recv(conn->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (n <= 0) {
        refuse(conn, TLS_FAILURE_CLOSED, n == 0
                ? "the connection was closed" : strerror(errno));
        return false;
    }
    if (first >= 'A' && first <= 'Z') {
        refuse_plain(conn);
        return false;
    }
    conn->tls->tls = tls_server_new(conn->listener->address, conn->fd);
    if (conn->tls->tls == NULL) {
        refuse(conn, TLS_FAILURE_OTHER, "out of memory");
        return false;
    }
    conn->stage = CONN_STAGE_HANDSHAKE;
    return true;
}

static void
handshake_done(struct conn *conn)
{
    static const enum metric_id metrics[2][2] = {
        {METRIC_TLS_DONE_12, METRIC_TLS_RESUMED_12},
        {METRIC_TLS_DONE_13, METRIC_TLS_RESUMED_13},
    };
    struct conn_tls *self = conn->tls;

    shaking_ends(self);
    metric_add(metrics[tls_is_13(self->tls)][tls_is_resumed(self->tls)], 1);
    metric_observe_ns(METRIC_TLS_HANDSHAKE_SECONDS,
        clock_mono_ns() - self->start_ns);
    conn_begin(conn);
}

void
conn_tls_advance(struct conn *conn)
{
    struct conn_tls *self = conn->tls;
    enum tls_io io;

    if (conn->stage == CONN_STAGE_HELLO && !say_hello(conn))
        return;
    io = tls_handshake(self->tls);
    self->shakes_on_write = io == TLS_WANT_WRITE;
    if (io == TLS_OK)
        handshake_done(conn);
    else if (io == TLS_FAILED)
        refuse(conn, tls_failure(self->tls), tls_failure_text(self->tls));
    else
        conn_watch(conn);
}

int
conn_tls_events(const struct conn *conn)
{
    const struct conn_tls *self = conn->tls;
    int what = 0;

    if (conn->stage != CONN_STAGE_DATA)
        return self->shakes_on_write ? LOOP_WRITE : LOOP_READ;
    if (conn->wants_read)
        what |= self->reads_on_write ? LOOP_WRITE : LOOP_READ;
    if (conn->is_blocked)
        what |= conn_tls_send_event(conn);
    return what;
}

int
conn_tls_send_event(const struct conn *conn)
{
    return conn->tls != NULL && conn->tls->sends_on_read ? LOOP_READ
                                                         : LOOP_WRITE;
}

/* --- input --- */

static bool
has_more(const struct conn_tls *self)
{
    return tls_has_pending(self->tls) || tls_is_at_end(self->tls);
}

/* In a turn of its own, so that one connection does not hold the loop. */
static void
IMPL(loop_post_fn) conn_tls_tell(void *arg)
{
    struct conn *conn = arg;

    OBJ_CHECK(conn, CONN_MAGIC);
    conn->tls->is_posted = false;
    if (conn->state == CONN_OPEN && conn->wants_read && has_more(conn->tls))
        conn->ops->on_readable(conn, conn->arg);
}

/* The callback has ended: did it leave something that nobody will tell? */
static void
IMPL(loop_post_fn) conn_tls_look(void *arg)
{
    struct conn *conn = arg;
    struct conn_tls *self = conn->tls;

    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->state != CONN_OPEN || !conn->wants_read || self->is_posted ||
        !has_more(self))
        return;
    self->is_posted = true;
    loop_post(conn->loop, conn_tls_tell, conn);
}

void
conn_tls_read_again(struct conn *conn)
{
    if (conn->stage == CONN_STAGE_DATA && has_more(conn->tls))
        loop_later_add(conn->loop, &conn->tls->look);
}

ssize_t
conn_tls_read(struct conn *conn, void *ptr, size_t len)
{
    struct conn_tls *self = conn->tls;
    enum tls_io io = TLS_OK;
    size_t got = 0, n;

    while (got < len && io == TLS_OK) {
        io = tls_read(self->tls, (char *)ptr + got, len - got, &n);
        got += n;
    }
    if (self->reads_on_write != (io == TLS_WANT_WRITE)) {
        self->reads_on_write = io == TLS_WANT_WRITE;
        conn_watch(conn);
    }
    /* A short read says that there is no more, so an end is told, too. */
    if (io == TLS_OK || (got > 0 && (io == TLS_EOF || io == TLS_FAILED)))
        loop_later_add(conn->loop, &self->look);
    if (got > 0)
        return (ssize_t)got;
    if (io == TLS_FAILED)
        conn->must_linger = tls_failure(self->tls) != TLS_FAILURE_CLOSED;
    return io == TLS_EOF ? 0 : io == TLS_FAILED ? -2 : -1;
}

/* --- output --- */

/*
 * The begin of the queue in one piece, at least as much of it as last time
 * when that had to wait: a record that was begun has to be ended.
 */
static const char *
next_piece(const struct conn *conn, size_t *len)
{
    static char gathered[CONN_RECORD_BYTES];
    const struct conn_buf *buf = conn->out;
    size_t n = 0, part;

    *len = buf->len - buf->sent;
    if (*len >= sizeof(gathered) || buf->next == NULL)
        return buf->ptr + buf->sent;
    for (; buf != NULL && n < sizeof(gathered); buf = buf->next) {
        part = MIN(buf->len - buf->sent, sizeof(gathered) - n);
        memcpy(gathered + n, buf->ptr + buf->sent, part);
        n += part;
    }
    *len = n;
    return gathered;
}

ssize_t
conn_tls_send(struct conn *conn)
{
    struct conn_tls *self = conn->tls;
    uint64_t before = tls_sent(self->tls);
    size_t len, n;
    const char *ptr = next_piece(conn, &len);
    enum tls_io io = tls_write(self->tls, ptr, len, &n);

    self->sends_on_read = io == TLS_WANT_READ;
    /* A part of a record is progress, too. */
    if (tls_sent(self->tls) != before)
        conn->send_progress_ns = loop_now_ns(conn->loop);
    if (io == TLS_OK)
        return (ssize_t)n;
    if (io != TLS_FAILED && io != TLS_EOF)
        return 0;
    errno = io == TLS_EOF || tls_failure(self->tls) == TLS_FAILURE_CLOSED
        ? EPIPE : EPROTO;
    return -1;
}

/* --- the end --- */

void
conn_tls_end(struct conn *conn)
{
    if (conn->tls != NULL && conn->stage == CONN_STAGE_DATA)
        tls_close_notify(conn->tls->tls);
}

void
conn_tls_late(struct conn *conn)
{
    if (conn->tls != NULL && conn->tls->is_shaking)
        count_failure(conn, TLS_FAILURE_TIMEOUT, "it took too long");
}

void
conn_tls_leave(struct conn *conn)
{
    if (conn->tls != NULL && conn->stage == CONN_STAGE_DATA &&
        conn->queued == 0 && tls_is_at_end(conn->tls->tls))
        tls_close_notify(conn->tls->tls);
}

void
conn_tls_free(struct conn *conn)
{
    struct conn_tls *self = conn->tls;

    if (self == NULL)
        return;
    shaking_ends(self);
    loop_later_remove(conn->loop, &self->look);
    if (self->is_posted)
        loop_post_cancel(conn->loop, conn_tls_tell, conn);
    tls_free(self->tls);
    xfree(self);
    conn->tls = NULL;
    nconns--;
    metric_gauge_add(METRIC_TLS_CONNECTIONS, -1);
}

/* --- what owners ask --- */

unsigned
conn_tls_count(void)
{
    return nconns;
}

enum conn_protocol
conn_protocol(const struct conn *conn)
{
    if (conn->tls == NULL || conn->stage != CONN_STAGE_DATA)
        return CONN_PROTOCOL_ANY;
    switch (tls_protocol(conn->tls->tls)) {
    case TLS_PROTOCOL_HTTP1:
        return CONN_PROTOCOL_HTTP1;
    case TLS_PROTOCOL_HTTP2:
        return CONN_PROTOCOL_HTTP2;
    default:
        return CONN_PROTOCOL_ANY;
    }
}

const char *
conn_tls_peer_name(const struct conn *conn)
{
    return conn->tls == NULL || conn->stage != CONN_STAGE_DATA ? ""
        : tls_peer_name(conn->tls->tls);
}
