/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to http/: what calls want of their peer. */

#ifndef SPOOR_HTTP_PEER_CONN_H
#define SPOOR_HTTP_PEER_CONN_H

#include "core/base.h"
#include "http/peer.h"
#include "http/wire.h"

/* A connection, and to which of the addresses. */
struct peer_conn {
    struct wire wire;
    struct sockaddr_storage address;
};

/* The idle connection that was used last; false: there is none. */
bool peer_take(struct http_peer *peer, struct peer_conn *out);
/* One that is open and quiet, for later calls; conn has none any more. */
void peer_give(struct http_peer *peer, struct peer_conn *conn);
/*
 * Copies them, the one where the peer was met last at first; returns how
 * many.
 */
unsigned peer_addresses(struct http_peer *peer,
    struct sockaddr_storage out[PEER_ADDRESSES_MAX]);
void peer_answers_at(struct http_peer *peer,
    const struct sockaddr_storage *address);
socklen_t peer_address_len(const struct sockaddr_storage *address);

/* NULL: plain. */
struct ssl_ctx_st *peer_tls(const struct http_peer *peer);
/* To ask for and to find in the certificate. */
const char *peer_server_name(const struct http_peer *peer);
const char *peer_authorization(const struct http_peer *peer);

#endif
