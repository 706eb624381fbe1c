/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One stream connection: its life, its time, its input, which is not
 * buffered here.
 *
 * Both deadlines share one timer: it is set to the earlier of the two.
 */

#include "core/base.h"
#include "event/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/conf_listener.h"
#include "core/mem.h"
#include "event/addr.h"
#include "event/conn_state.h"
#include "event/loop.h"
#include "event/proxy_header.h"

/*
 * What the kernel holds of our output beyond what the peer's window takes.
 * Without a limit a reader with a tiny window costs megabytes of kernel memory
 * and tens of milliseconds a write, since all is cut into tiny segments.
 */
#define CONN_NOTSENT_MAX (128 * (int)KIB)
/* How long, and how much at a time, a closed connection is read dry. */
#define CONN_LINGER_NS (2 * NS_PER_SEC)
#define CONN_LINGER_READ (16 * KIB)
/*
 * For what is queued when the owner leaves; owners with much to send wait
 * until most of it is gone.
 */
#define CONN_FINISH_SEND_NS (60 * NS_PER_SEC)

/* Connections in state CONN_FINISHING in this process. */
static unsigned conn_nfinishing;
/* Those that have no owner any more, oldest first. */
static TAILQ_HEAD(, conn) conns_left = TAILQ_HEAD_INITIALIZER(conns_left);
static unsigned conn_nleft;

static void conn_on_fd(int fd, int ready, void *arg);
static void conn_on_timer(void *arg);

struct conn *
conn_new(struct loop *loop, int fd, const struct conn_ops *ops, void *arg)
{
    struct conn *conn = xcalloc(1, sizeof(*conn));
    int one = 1, notsent = CONN_NOTSENT_MAX;

    check(ops->on_readable != NULL && ops->on_closed != NULL);
    conn->magic = CONN_MAGIC;
    conn->state = CONN_OPEN;
    conn->stage = CONN_STAGE_DATA;
    conn->fd = fd;
    conn->loop = loop;
    conn->ops = ops;
    conn->arg = arg;
    conn->out_end = &conn->out;
    conn->flush.fn = conn_flush;
    conn->flush.arg = conn;
    conn->lfd = loop_fd_new(loop, fd, conn_on_fd, conn);
    /* Fails on sockets that are not TCP, which need it not. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &notsent,
        sizeof(notsent));
    return conn;
}

struct conn *
conn_accept(struct loop *loop, int fd, const struct conf_listener *listener,
    const struct conn_ops *ops, void *arg)
{
    struct conn *conn = conn_new(loop, fd, ops, arg);

    conn->listener = listener;
    if (listener->has_proxy_protocol) {
        conn->proxy = proxy_header_new();
        conn->stage = CONN_STAGE_PROXY;
    } else if (listener->has_tls) {
        conn_tls_start(conn);
    }
    return conn;
}

const struct conf_listener *
conn_listener(const struct conn *conn)
{
    return conn->listener;
}

void
conn_set_owner(struct conn *conn, const struct conn_ops *ops, void *arg)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    check(conn->state == CONN_OPEN);
    check(ops->on_readable != NULL && ops->on_closed != NULL);
    conn->ops = ops;
    conn->arg = arg;
}

static void
conn_set_state(struct conn *conn, enum conn_state state)
{
    if (conn->state == CONN_FINISHING)
        conn_nfinishing--;
    if (state == CONN_FINISHING) {
        conn_nfinishing++;
        TAILQ_INSERT_TAIL(&conns_left, conn, left);
        conn_nleft++;
    }
    if (state == CONN_FAILED && conn->state != CONN_OPEN &&
        conn->state != CONN_FAILED) {
        TAILQ_REMOVE(&conns_left, conn, left);
        conn_nleft--;
    }
    conn->state = state;
}

static void
conn_destroy(struct conn *conn)
{
    conn_set_state(conn, CONN_FAILED);
    loop_later_remove(conn->loop, &conn->flush);
    loop_fd_free(conn->lfd);
    loop_timer_free(conn->timer);
    conn_drop_output(conn);
    if (conn->proxy != NULL)
        proxy_header_drop(conn->proxy, conn_peer(conn));
    conn_tls_free(conn);
    close(conn->fd);
    conn->magic = 0;
    xfree(conn);
}

void
conn_free(struct conn *conn)
{
    if (conn == NULL)
        return;
    OBJ_CHECK(conn, CONN_MAGIC);
    check(conn->state == CONN_OPEN || conn->state == CONN_FAILED);
    if (conn->must_linger) {
        conn_drop_output(conn);
        conn_set_state(conn, CONN_FINISHING);
        conn_linger(conn);
        return;
    }
    conn_tls_leave(conn);
    conn_destroy(conn);
}

void
conn_fail(struct conn *conn, enum conn_close why)
{
    if (conn->state == CONN_FAILED)
        return;
    if (conn->state != CONN_OPEN) {
        conn_destroy(conn);
        return;
    }
    if (why == CONN_CLOSE_TIMEOUT)
        conn_tls_late(conn);
    conn_set_state(conn, CONN_FAILED);
    loop_later_remove(conn->loop, &conn->flush);
    loop_fd_watch(conn->lfd, 0);
    if (conn->timer != NULL)
        loop_timer_cancel(conn->timer);
    conn->ops->on_closed(conn, why, conn->arg);
}

/* Watching and time. */

void
conn_watch(struct conn *conn)
{
    int what = 0;

    if (conn->tls != NULL && conn->state != CONN_LINGERING) {
        what = conn_tls_events(conn);
    } else {
        if (conn->wants_read)
            what |= LOOP_READ;
        if (conn->is_blocked)
            what |= LOOP_WRITE;
    }
    loop_fd_watch(conn->lfd, what);
}

static int64_t
conn_due_ns(const struct conn *conn)
{
    int64_t due_ns = conn->deadline_ns;
    int64_t send_ns;

    if (conn->queued > 0 && conn->send_timeout_ns > 0) {
        send_ns = conn->send_progress_ns + conn->send_timeout_ns;
        if (due_ns == 0 || send_ns < due_ns)
            due_ns = send_ns;
    }
    return due_ns;
}

void
conn_schedule(struct conn *conn)
{
    int64_t due_ns = conn_due_ns(conn);

    if (due_ns == 0) {
        if (conn->timer != NULL)
            loop_timer_cancel(conn->timer);
        return;
    }
    if (conn->timer == NULL)
        conn->timer = loop_timer_new(conn->loop, conn_on_timer, conn);
    loop_timer_set(conn->timer, MAX(due_ns - loop_now_ns(conn->loop), 0));
}

static void
IMPL(loop_timer_fn) conn_on_timer(void *arg)
{
    struct conn *conn = arg;
    int64_t due_ns;

    OBJ_CHECK(conn, CONN_MAGIC);
    due_ns = conn_due_ns(conn);
    if (due_ns != 0 && due_ns <= loop_now_ns(conn->loop))
        conn_fail(conn, CONN_CLOSE_TIMEOUT);
    else
        conn_schedule(conn);
}

void
conn_set_deadline(struct conn *conn, int64_t after_ns)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    check(after_ns >= 0);
    if (conn->state == CONN_FAILED)
        return;
    conn->deadline_ns = after_ns == 0 ? 0
                                      : loop_now_ns(conn->loop) + after_ns;
    conn_schedule(conn);
}

void
conn_set_send_timeout(struct conn *conn, int64_t ns)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    check(ns >= 0);
    if (conn->state == CONN_FAILED)
        return;
    conn->send_timeout_ns = ns;
    conn_schedule(conn);
}

/* The end. */

void
conn_linger(struct conn *conn)
{
    conn_tls_end(conn);
    conn_set_state(conn, CONN_LINGERING);
    conn->is_blocked = false;
    if (shutdown(conn->fd, SHUT_WR) != 0) {
        conn_destroy(conn);
        return;
    }
    conn->must_linger = false;
    conn->wants_read = true;
    conn->deadline_ns = loop_now_ns(conn->loop) + CONN_LINGER_NS;
    conn_schedule(conn);
    conn_watch(conn);
}

/* Input. */

void
conn_want_read(struct conn *conn, bool want)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->state == CONN_FAILED || conn->wants_read == want)
        return;
    conn->wants_read = want;
    if (want && conn->tls != NULL)
        conn_tls_read_again(conn);
    conn_watch(conn);
}

ssize_t
conn_receive(struct conn *conn, void *ptr, size_t len)
{
    ssize_t n;

    do {
        n = recv(conn->fd, ptr, len, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
}

ssize_t
conn_read(struct conn *conn, void *ptr, size_t len)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    check(len > 0);
    if (conn->state == CONN_FAILED)
        return -2;
    if (conn->stage != CONN_STAGE_DATA)
        return -1;
    return conn->tls != NULL ? conn_tls_read(conn, ptr, len)
                             : conn_receive(conn, ptr, len);
}

/* One bounded read a turn: a peer that keeps sending cannot hold the loop. */
static void
conn_read_dry(struct conn *conn)
{
    char dropped[CONN_LINGER_READ];
    ssize_t n = conn_receive(conn, dropped, sizeof(dropped));

    if (n == 0 || n == -2)
        conn_destroy(conn);
}

/* What comes before the owner's bytes. */
static void
conn_advance(struct conn *conn)
{
    if (conn->state != CONN_OPEN)
        return;
    if (conn->stage != CONN_STAGE_PROXY)
        conn_tls_advance(conn);
    else if (!proxy_header_take(&conn->proxy, conn->fd,
            conn->listener->proxy_from, conn->peer))
        conn_fail(conn, CONN_CLOSE_ERROR);
    else if (conn->proxy == NULL && conn->listener->has_tls)
        conn_tls_start(conn);
    else if (conn->proxy == NULL)
        conn_begin(conn);
}

static void
IMPL(loop_fd_fn) conn_on_fd(UNUSED int fd, int ready, void *arg)
{
    struct conn *conn = arg;

    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->state == CONN_LINGERING) {
        conn_read_dry(conn);
        return;
    }
    if (conn->stage != CONN_STAGE_DATA) {
        conn_advance(conn);
        return;
    }
    if (conn->is_blocked && (ready & conn_tls_send_event(conn))) {
        conn_flush(conn);
        return; /* conn may be gone; the rest is asked for again */
    }
    if (conn->state == CONN_OPEN && conn->wants_read)
        conn->ops->on_readable(conn, conn->arg);
}

void
conn_begin(struct conn *conn)
{
    conn->stage = CONN_STAGE_DATA;
    if (conn->queued > 0)
        loop_later_add(conn->loop, &conn->flush);
    conn_watch(conn);
    if (conn->wants_read)
        conn->ops->on_readable(conn, conn->arg);
}

void
conn_finish(struct conn *conn)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->state == CONN_FAILED) {
        conn_destroy(conn);
        return;
    }
    check(conn->state == CONN_OPEN);
    if (conn->stage != CONN_STAGE_DATA) {
        conn_tls_late(conn);
        conn_destroy(conn);
        return;
    }
    conn_set_state(conn, CONN_FINISHING);
    conn->ops = NULL;
    conn->arg = NULL;
    conn->wants_read = false;
    conn->deadline_ns = loop_now_ns(conn->loop) + CONN_FINISH_SEND_NS;
    conn_schedule(conn);
    conn_watch(conn);
    if (!conn->is_blocked)
        loop_later_add(conn->loop, &conn->flush);
}

unsigned
conn_finishing(void)
{
    return conn_nfinishing;
}

unsigned
conn_left(void)
{
    return conn_nleft;
}

void
conn_drop_left(unsigned most)
{
    while (conn_nleft > most)
        conn_destroy(TAILQ_FIRST(&conns_left));
}

const char *
conn_peer(const struct conn *conn)
{
    /* Filled on first use: most connections are never asked. */
    struct conn *self = (struct conn *)(uintptr_t)conn;
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);

    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->peer[0] != '\0')
        return conn->peer;
    memset(&addr, 0, sizeof(addr));
    if (getpeername(conn->fd, (struct sockaddr *)&addr, &len) != 0)
        addr.ss_family = AF_UNSPEC;
    addr_print((struct sockaddr *)&addr, self->peer, sizeof(self->peer));
    return conn->peer;
}
