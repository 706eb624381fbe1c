/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One stream connection.  Input is not buffered here.  Output is a list of
 * owned buffers; small writes are gathered in a buffer of our own.  What a
 * callback wrote is sent with writev() when the callback ends; what the
 * socket does not take waits for LOOP_WRITE.
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
#include <sys/uio.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/conf_listener.h"
#include "core/mem.h"
#include "event/addr.h"
#include "event/loop.h"
#include "event/proxy_header.h"

#define CONN_MAGIC 0xc0220001u

/* Small writes share a buffer of this size: a head and a small body. */
#define CONN_CHUNK (4 * KIB)
/* Buffers a writev() takes at most: more would not make it cheaper. */
#define CONN_IOV_MAX 32
/* Bytes sent in one go, so that a fast reader does not hold the loop. */
#define CONN_TURN_MAX (4 * MIB)
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

struct conn_buf {
    struct conn_buf *next;
    char *ptr;
    size_t len;
    size_t sent;
    size_t cap; /* 0: ptr was taken, nothing may be added to it */
};

enum conn_state {
    CONN_OPEN,
    CONN_FINISHING, /* the owner is gone, output is being sent */
    CONN_LINGERING, /* output is sent, waiting for the peer to close */
    CONN_FAILED,    /* on_closed was called, the owner has to free */
};

struct conn {
    uint32_t magic;
    enum conn_state state;
    int fd;
    struct loop *loop;
    struct loop_fd *lfd;
    struct loop_timer *timer; /* made when first needed */
    const struct conn_ops *ops;
    void *arg;

    TAILQ_ENTRY(conn) left; /* FINISHING and LINGERING: on conns_left */

    struct conn_buf *out;
    struct conn_buf **out_end;
    size_t queued;
    bool was_above; /* CONN_LOW_WATER was passed, on_drained is due */
    bool wants_read;
    bool is_blocked; /* the socket took not all: waiting for LOOP_WRITE */
    struct loop_later flush;

    int64_t deadline_ns;      /* 0: none */
    int64_t send_timeout_ns;  /* 0: none */
    int64_t send_progress_ns; /* the peer took a byte, or the queue began */

    const struct conf_listener *listener; /* NULL: not accepted */
    struct proxy_header *proxy; /* is awaited before all else; or NULL */
    char peer[ADDR_TEXT_MAX]; /* "" until asked for */
};

/* Connections in state CONN_FINISHING in this process. */
static unsigned conn_nfinishing;
/* Unsent output of all connections of this process. */
static size_t conn_total;
/* Those that have no owner any more, oldest first. */
static TAILQ_HEAD(, conn) conns_left = TAILQ_HEAD_INITIALIZER(conns_left);
static unsigned conn_nleft;

static void conn_flush(void *arg);
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
    if (listener->has_proxy_protocol)
        conn->proxy = proxy_header_new();
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
conn_drop_output(struct conn *conn)
{
    struct conn_buf *buf;

    while ((buf = conn->out) != NULL) {
        conn->out = buf->next;
        xfree(buf->ptr);
        xfree(buf);
    }
    conn->out_end = &conn->out;
    conn_total -= conn->queued;
    conn->queued = 0;
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
    conn_destroy(conn);
}

/* The connection is of no use any more: the owner, if any, is told. */
static void
conn_fail(struct conn *conn, enum conn_close why)
{
    if (conn->state == CONN_FAILED)
        return;
    if (conn->state != CONN_OPEN) {
        conn_destroy(conn);
        return;
    }
    conn_set_state(conn, CONN_FAILED);
    loop_later_remove(conn->loop, &conn->flush);
    loop_fd_watch(conn->lfd, 0);
    if (conn->timer != NULL)
        loop_timer_cancel(conn->timer);
    conn->ops->on_closed(conn, why, conn->arg);
}

/* Watching and time. */

static void
conn_watch(struct conn *conn)
{
    int what = 0;

    if (conn->wants_read)
        what |= LOOP_READ;
    if (conn->is_blocked)
        what |= LOOP_WRITE;
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

static void
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

/* Output. */

static void
conn_output_added(struct conn *conn, size_t len)
{
    conn_total += len;
    if (conn->queued == 0) {
        conn->send_progress_ns = loop_now_ns(conn->loop);
        conn->queued = len;
        if (conn->send_timeout_ns > 0)
            conn_schedule(conn);
    } else {
        conn->queued += len;
    }
    if (conn->queued > CONN_LOW_WATER)
        conn->was_above = true;
    if (!conn->is_blocked)
        loop_later_add(conn->loop, &conn->flush);
}

static struct conn_buf *
conn_buf_append(struct conn *conn, char *ptr, size_t len, size_t cap)
{
    struct conn_buf *buf = xcalloc(1, sizeof(*buf));

    buf->ptr = ptr;
    buf->len = len;
    buf->cap = cap;
    *conn->out_end = buf;
    conn->out_end = &buf->next;
    return buf;
}

/* The last buffer, if it is one of ours with room in it. */
static struct conn_buf *
conn_buf_open(struct conn *conn)
{
    struct conn_buf *buf;

    if (conn->out == NULL)
        return NULL;
    buf = (struct conn_buf *)(void *)((char *)conn->out_end -
        offsetof(struct conn_buf, next));
    return buf->len < buf->cap ? buf : NULL;
}

void
conn_write(struct conn *conn, const void *ptr, size_t len)
{
    const char *from = ptr;
    struct conn_buf *buf;
    size_t left = len, n, cap;

    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->state == CONN_FAILED || len == 0)
        return;
    check(conn->state == CONN_OPEN);
    while (left > 0) {
        buf = conn_buf_open(conn);
        if (buf == NULL) {
            cap = MAX(left, CONN_CHUNK);
            buf = conn_buf_append(conn, xmalloc(cap), 0, cap);
        }
        n = MIN(left, buf->cap - buf->len);
        memcpy(buf->ptr + buf->len, from, n);
        buf->len += n;
        from += n;
        left -= n;
    }
    conn_output_added(conn, len);
}

void
conn_write_take(struct conn *conn, char *ptr, size_t len)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->state == CONN_FAILED || len == 0) {
        xfree(ptr);
        return;
    }
    check(conn->state == CONN_OPEN);
    conn_buf_append(conn, ptr, len, 0);
    conn_output_added(conn, len);
}

size_t
conn_queued(const struct conn *conn)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    return conn->queued;
}

size_t
conn_queued_total(void)
{
    return conn_total;
}

static void
conn_consume(struct conn *conn, size_t n)
{
    struct conn_buf *buf;
    size_t part;

    conn->queued -= n;
    conn_total -= n;
    while (n > 0) {
        buf = conn->out;
        part = MIN(n, buf->len - buf->sent);
        buf->sent += part;
        n -= part;
        if (buf->sent < buf->len)
            return;
        conn->out = buf->next;
        if (conn->out == NULL)
            conn->out_end = &conn->out;
        xfree(buf->ptr);
        xfree(buf);
    }
}

/* Bytes taken by the socket; 0: it takes none now; -1: it is broken. */
static ssize_t
conn_send_some(struct conn *conn)
{
    struct iovec iov[CONN_IOV_MAX];
    struct msghdr msg = {.msg_iov = iov};
    const struct conn_buf *buf;
    unsigned count = 0;
    ssize_t n;

    for (buf = conn->out; buf != NULL && count < CONN_IOV_MAX;
         buf = buf->next) {
        iov[count].iov_base = buf->ptr + buf->sent;
        iov[count].iov_len = buf->len - buf->sent;
        count++;
    }
    msg.msg_iovlen = count;
    do {
        n = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK ||
                     errno == ENOBUFS))
        return 0;
    return n;
}

static void
conn_linger(struct conn *conn)
{
    conn_set_state(conn, CONN_LINGERING);
    if (shutdown(conn->fd, SHUT_WR) != 0) {
        conn_destroy(conn);
        return;
    }
    conn->wants_read = true;
    conn->deadline_ns = loop_now_ns(conn->loop) + CONN_LINGER_NS;
    conn_schedule(conn);
    conn_watch(conn);
}

static void
conn_after_send(struct conn *conn)
{
    conn_watch(conn);
    if (conn->queued == 0 && conn->state == CONN_FINISHING) {
        conn_linger(conn);
        return;
    }
    if (conn->was_above && conn->queued <= CONN_LOW_WATER) {
        conn->was_above = false;
        if (conn->state == CONN_OPEN && conn->ops->on_drained != NULL)
            conn->ops->on_drained(conn, conn->arg);
    }
}

static void
IMPL(loop_post_fn) conn_flush(void *arg)
{
    struct conn *conn = arg;
    size_t turn = 0;
    ssize_t n;

    OBJ_CHECK(conn, CONN_MAGIC);
    conn->is_blocked = false;
    while (conn->queued > 0) {
        n = turn < CONN_TURN_MAX ? conn_send_some(conn) : 0;
        if (n < 0) {
            conn_fail(conn, errno == EPIPE || errno == ECONNRESET
                    ? CONN_CLOSE_PEER : CONN_CLOSE_ERROR);
            return;
        }
        if (n == 0) {
            conn->is_blocked = true;
            break;
        }
        turn += (size_t)n;
        conn_consume(conn, (size_t)n);
    }
    if (turn > 0)
        conn->send_progress_ns = loop_now_ns(conn->loop);
    conn_after_send(conn);
}

/* Input. */

void
conn_want_read(struct conn *conn, bool want)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->state == CONN_FAILED || conn->wants_read == want)
        return;
    conn->wants_read = want;
    conn_watch(conn);
}

ssize_t
conn_read(struct conn *conn, void *ptr, size_t len)
{
    ssize_t n;

    OBJ_CHECK(conn, CONN_MAGIC);
    check(len > 0);
    if (conn->state == CONN_FAILED)
        return -2;
    if (conn->proxy != NULL)
        return -1;
    do {
        n = recv(conn->fd, ptr, len, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
}

/* One bounded read a turn: a peer that keeps sending cannot hold the loop. */
static void
conn_read_dry(struct conn *conn)
{
    char dropped[CONN_LINGER_READ];
    ssize_t n = conn_read(conn, dropped, sizeof(dropped));

    if (n == 0 || n == -2)
        conn_destroy(conn);
}

static void
IMPL(loop_fd_fn) conn_on_fd(int fd, int ready, void *arg)
{
    struct conn *conn = arg;

    OBJ_CHECK(conn, CONN_MAGIC);
    if (ready & LOOP_WRITE) {
        conn_flush(conn);
        return; /* conn may be gone; the rest is asked for again */
    }
    if (conn->state == CONN_LINGERING) {
        conn_read_dry(conn);
    } else if (conn->proxy != NULL && conn->state == CONN_OPEN) {
        if (!proxy_header_take(&conn->proxy, fd, conn->peer))
            conn_fail(conn, CONN_CLOSE_ERROR);
    } else if (conn->state == CONN_OPEN) {
        conn->ops->on_readable(conn, conn->arg);
    }
}

void
conn_finish(struct conn *conn)
{
    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->state == CONN_FAILED || conn->proxy != NULL) {
        conn_destroy(conn);
        return;
    }
    check(conn->state == CONN_OPEN);
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
