/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A server that is asked again and again: where it is, how it is spoken to
 * (TLS, credentials) and the connections to it that are idle.  All functions
 * may be called by any thread.
 */

#ifndef SPOOR_HTTP_PEER_H
#define SPOOR_HTTP_PEER_H

#include "core/base.h"

#include <sys/socket.h>

#include "core/err.h"
#include "event/tls_client.h"

/* Kept for later calls; more are closed when they are given back. */
#define PEER_IDLE_MAX 32u
/* Closed when not used for so long. */
#define PEER_IDLE_NS (30 * NS_PER_SEC)
#define PEER_ADDRESSES_MAX 16u

struct http_peer;

struct http_peer_conf {
    const char *host;          /* for Host: and the certificate */
    const char *port;
    bool has_tls;
    struct tls_client_conf tls;
    const char *authorization; /* "Basic ..." or "Bearer ..."; NULL: none */
};

/* One reference; all of conf is copied, its files are read now. */
int http_peer_new(struct http_peer **out, const struct http_peer_conf *conf,
    struct err *err) WARN_UNUSED;
struct http_peer *http_peer_hold(struct http_peer *peer);
void http_peer_release(struct http_peer *peer); /* accepts NULL */

/*
 * Where it is, in the order in which they are tried, but that the one where
 * it was met last comes first; host names are never looked up here.  A host
 * that is an IP address needs none.  Idle connections to other addresses are
 * closed.  At most PEER_ADDRESSES_MAX are kept.
 */
void http_peer_set_addresses(struct http_peer *peer,
    const struct sockaddr_storage *addresses, unsigned n);
/* "host:port" */
const char *http_peer_name(const struct http_peer *peer);

#endif
