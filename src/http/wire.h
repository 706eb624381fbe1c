/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: a client's non-blocking socket, with or without TLS.
 */

#ifndef SPOOR_HTTP_WIRE_H
#define SPOOR_HTTP_WIRE_H

#include "core/base.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include "core/err.h"

struct ssl_ctx_st;
struct tls;

struct wire {
    int fd;          /* -1: none */
    struct tls *tls; /* NULL: plain */
};

/*
 * Begins to connect a new socket without waiting.  -1 with errno, as far as
 * that is known at once; wire_close() is the caller's.
 */
int wire_connect(struct wire *wire, const struct sockaddr *to,
    socklen_t len) WARN_UNUSED;
/* 1: it is connected, 0: not yet (poll for POLLOUT), -1: errno says why. */
int wire_is_connected(const struct wire *wire) WARN_UNUSED;
/* Sends an orderly end and closes; harmless when closed. */
void wire_close(struct wire *wire);
/* At once: what the kernel has not sent is dropped, the peer is told. */
void wire_abort(struct wire *wire);
/*
 * Between two requests: false when there is something to read, so the other
 * side has closed or is out of step, and only closing is left.
 */
bool wire_is_quiet(struct wire *wire);
/* On a connected socket; host is the name to ask for. */
int wire_use_tls(struct wire *wire, struct ssl_ctx_st *ctx, const char *host,
    struct err *err) WARN_UNUSED;
/* The peer said no to the handshake; it has read nothing (tls.h). */
bool wire_is_refused(const struct wire *wire);

/*
 * The results of these: > 0 bytes (1: the handshake is over), 0 the end of
 * the stream, -1 not now: poll for *events, -2 an error in err.
 */
int wire_handshake(struct wire *wire, short *events, struct err *err);
ssize_t wire_send(struct wire *wire, const struct iovec *iov, short *events,
    struct err *err); /* two pieces, not both empty */
ssize_t wire_recv(struct wire *wire, void *ptr, size_t len, short *events,
    struct err *err);

#endif
