/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "core/assert.h"
#include "event/tls.h"

/*
 * A server that is gone without a word is noticed after 35 s, though a reply
 * may be silent for any time.
 */
static void
keep_alive(int fd)
{
    int on = 1, idle_sec = 15, interval_sec = 5, probes = 4;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_sec,
        sizeof(idle_sec));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_sec,
        sizeof(interval_sec));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

int
wire_connect(struct wire *wire, const struct sockaddr *to, socklen_t len)
{
    int one = 1;

    wire->fd = socket(to->sa_family,
        SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0)
        return -1;
    (void)setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    keep_alive(wire->fd);
    return connect(wire->fd, to, len) == 0 || errno == EINPROGRESS ? 0 : -1;
}

int
wire_is_connected(const struct wire *wire)
{
    struct pollfd pfd = {.fd = wire->fd, .events = POLLOUT};
    int problem = 0;
    socklen_t len = sizeof(problem);

    if (poll(&pfd, 1, 0) <= 0)
        return 0;
    if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0)
        return -1;
    errno = problem;
    return problem == 0 ? 1 : -1;
}

void
wire_abort(struct wire *wire)
{
    struct linger linger = {.l_onoff = 1};

    tls_free(wire->tls);
    wire->tls = NULL;
    if (wire->fd >= 0)
        (void)setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &linger,
            sizeof(linger));
    wire_close(wire);
}

/* Tickets come when they like, so only data counts. */
bool
wire_is_quiet(struct wire *wire)
{
    short events;
    char byte;

    return wire_recv(wire, &byte, 1, &events, NULL) == -1;
}

void
wire_close(struct wire *wire)
{
    if (wire->tls != NULL)
        tls_close_notify(wire->tls);
    tls_free(wire->tls);
    wire->tls = NULL;
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
}

int
wire_use_tls(struct wire *wire, struct ssl_ctx_st *ctx, const char *host,
    struct err *err)
{
    wire->tls = tls_new(ctx, wire->fd, host);
    return wire->tls != NULL ? 0
        : err_set(err, ERR_SYSTEM, "TLS: \"%s\" cannot be asked for", host);
}

bool
wire_is_refused(const struct wire *wire)
{
    return wire->tls != NULL && tls_is_refused(wire->tls);
}

static int
tls_says(struct wire *wire, enum tls_io io, short *events, struct err *err)
{
    switch (io) {
    case TLS_OK:
        return 1;
    case TLS_EOF:
        return 0;
    case TLS_FAILED:
        err_set(err, ERR_SYSTEM, "%s", tls_failure_text(wire->tls));
        return -2;
    default:
        *events = io == TLS_WANT_WRITE ? POLLOUT : POLLIN;
        return -1;
    }
}

static ssize_t
socket_says(ssize_t n, short wanted, short *events, struct err *err)
{
    if (n >= 0)
        return n;
    *events = wanted;
    if (errno == EAGAIN || errno == EINTR)
        return -1;
    err_set(err, ERR_SYSTEM, "%s", strerror(errno));
    return -2;
}

int
wire_handshake(struct wire *wire, short *events, struct err *err)
{
    return tls_says(wire, tls_handshake(wire->tls), events, err);
}

ssize_t
wire_send(struct wire *wire, const struct iovec *iov, short *events,
    struct err *err)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = 2};
    const struct iovec *first = iov[0].iov_len > 0 ? &iov[0] : &iov[1];
    size_t n;
    int rc;

    if (wire->tls == NULL)
        return socket_says(sendmsg(wire->fd, &msg, MSG_NOSIGNAL), POLLOUT,
            events, err);
    rc = tls_says(wire, tls_write(wire->tls, first->iov_base,
        first->iov_len, &n), events, err);
    return rc == 1 ? (ssize_t)n : rc;
}

ssize_t
wire_recv(struct wire *wire, void *ptr, size_t len, short *events,
    struct err *err)
{
    size_t n;
    int rc;

    check(len > 0);
    if (wire->tls == NULL)
        return socket_says(recv(wire->fd, ptr, len, 0), POLLIN, events, err);
    rc = tls_says(wire, tls_read(wire->tls, ptr, len, &n), events, err);
    return rc == 1 ? (ssize_t)n : rc;
}
