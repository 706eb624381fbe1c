/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"
#include "event/tls.h"

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
