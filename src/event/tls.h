/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * TLS over one non-blocking socket, of a server (conn.c) or a client
 * (http/client.c).  What a connection may do was settled where its context
 * was made: tls_listener.h for servers, tls_client.h for clients.
 */

#ifndef SPOOR_EVENT_TLS_H
#define SPOOR_EVENT_TLS_H

#include "core/base.h"
#include "event/tls_failure.h"

struct tls;
struct ssl_ctx_st;

enum tls_io {
    TLS_OK,
    TLS_WANT_READ,  /* again when the socket can be read */
    TLS_WANT_WRITE, /* again when it can be written */
    TLS_EOF,        /* the peer sends no more; sending may go on */
    TLS_FAILED,     /* tls_failure() says why; nothing goes any more */
};

/*
 * The descriptor stays the caller's and must outlive the object.  host is for
 * clients: the name in the server's certificate, and NULL for servers.  NULL:
 * no memory.
 */
struct tls *tls_new(struct ssl_ctx_st *ctx, int fd, const char *host)
    WARN_UNUSED;
void tls_free(struct tls *tls); /* accepts NULL */

/* Until TLS_OK. */
enum tls_io tls_handshake(struct tls *tls);

/*
 * TLS_OK: 1 to len bytes, *n of them.  One record at a time: what came is only
 * used up when something else is returned.
 */
enum tls_io tls_read(struct tls *tls, void *ptr, size_t len, size_t *n);
/*
 * TLS_OK: *n bytes, at least 1, were given to the socket.  After WANT the same
 * bytes have to come again, perhaps with more behind them, from any address.
 */
enum tls_io tls_write(struct tls *tls, const void *ptr, size_t len,
    size_t *n);
/* Received and not read yet, decrypted or not, perhaps not a whole record. */
bool tls_has_pending(const struct tls *tls);
/* The peer said that it sends no more, or closed. */
bool tls_is_at_end(const struct tls *tls);
/* The orderly end, as far as the socket takes it at once. */
void tls_close_notify(struct tls *tls);

/* After TLS_FAILED. */
enum tls_failure tls_failure(const struct tls *tls);
/* Why in words: OpenSSL's reason, without what the peer chose. */
const char *tls_failure_text(const struct tls *tls);
/*
 * The peer said no to the handshake, above all to our certificate or that
 * there is none: nothing that was sent to it was read, though with TLS 1.3
 * our side of the handshake may have been over.
 */
bool tls_is_refused(const struct tls *tls);

/* What was negotiated; after the handshake. */
enum tls_protocol { TLS_PROTOCOL_NONE, TLS_PROTOCOL_HTTP1,
    TLS_PROTOCOL_HTTP2 };
enum tls_protocol tls_protocol(const struct tls *tls);
bool tls_is_13(const struct tls *tls);
bool tls_is_resumed(const struct tls *tls);
/*
 * The name in the verified certificate of a client that made it accepted;
 * "" without one.  Lives as long as the object.
 */
const char *tls_peer_name(const struct tls *tls);

/* Bytes that the socket took. */
uint64_t tls_sent(const struct tls *tls);

#endif
