/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Output is a list of owned buffers; small writes are gathered in a buffer
 * of our own.  What a callback wrote is sent with writev() when the callback
 * ends; what the socket does not take waits for LOOP_WRITE.
 */

#include "core/base.h"
#include "event/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/assert.h"
#include "core/mem.h"
#include "event/conn_state.h"
#include "event/loop.h"

/* Small writes share a buffer of this size: a head and a small body. */
#define CONN_CHUNK (4 * KIB)
/* Buffers a writev() takes at most: more would not make it cheaper. */
#define CONN_IOV_MAX 32
/* Bytes sent in one go, so that a fast reader does not hold the loop. */
#define CONN_TURN_MAX (4 * MIB)
/* The same when they are encrypted, which takes about a millisecond. */
#define CONN_TURN_TLS_MAX (1 * MIB)

/* Unsent output of all connections of this process. */
static size_t conn_total;

void
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

void
IMPL(loop_post_fn) conn_flush(void *arg)
{
    struct conn *conn = arg;
    size_t turn = 0, most;
    ssize_t n;

    OBJ_CHECK(conn, CONN_MAGIC);
    if (conn->stage != CONN_STAGE_DATA)
        return; /* conn_begin() comes back */
    most = conn->tls != NULL ? CONN_TURN_TLS_MAX : CONN_TURN_MAX;
    conn->is_blocked = false;
    while (conn->queued > 0) {
        n = 0;
        if (turn < most)
            n = conn->tls != NULL ? conn_tls_send(conn) : conn_send_some(conn);
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
