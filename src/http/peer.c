/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Idle connections are a stack: the one used last is taken first, so those
 * that are not needed any more grow old together at the bottom.  Nothing is
 * closed under the lock: closing TLS sends.
 */

#include "core/base.h"
#include "http/peer.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "http/peer_conn.h"

#define PEER_MAGIC 0x52454550u /* "PEER" */

struct idle_conn {
    struct peer_conn conn;
    int64_t since_ns;
};

struct http_peer {
    uint32_t magic;
    atomic_uint references;
    char *name;
    char *server_name;
    char *authorization;    /* NULL: none */
    struct ssl_ctx_st *tls; /* NULL: plain */
    uint16_t port;
    pthread_mutex_t lock;   /* of all below */
    unsigned naddresses;
    unsigned nidle;
    struct sockaddr_storage addresses[PEER_ADDRESSES_MAX];
    struct sockaddr_storage answers; /* one of them; AF_UNSPEC: not known */
    struct idle_conn idle[PEER_IDLE_MAX]; /* the oldest first */
};

/* Connections that are to be closed when the lock is released. */
struct closing {
    unsigned n;
    struct wire wires[PEER_IDLE_MAX + 1];
};

static void
peer_lock(struct http_peer *peer)
{
    OBJ_CHECK(peer, PEER_MAGIC);
    check(pthread_mutex_lock(&peer->lock) == 0);
}

static void
peer_unlock(struct http_peer *peer)
{
    check(pthread_mutex_unlock(&peer->lock) == 0);
}

static void
close_all(struct closing *closing)
{
    for (unsigned i = 0; i < closing->n; i++)
        wire_close(&closing->wires[i]);
    closing->n = 0;
}

/* --- addresses --- */

socklen_t
peer_address_len(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

/* Only what makes two addresses differ, so that bytes can be compared. */
static void
address_copy(struct sockaddr_storage *out, const struct sockaddr_storage *from,
    uint16_t port)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
    struct sockaddr_in *out4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *out6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    out->ss_family = from->ss_family;
    if (from->ss_family == AF_INET6) {
        out6->sin6_addr = in6->sin6_addr;
        out6->sin6_scope_id = in6->sin6_scope_id;
        out6->sin6_port = in6->sin6_port != 0 ? in6->sin6_port : htons(port);
    } else {
        out4->sin_addr = in->sin_addr;
        out4->sin_port = in->sin_port != 0 ? in->sin_port : htons(port);
    }
}

static bool
has_address(const struct http_peer *peer,
    const struct sockaddr_storage *address)
{
    for (unsigned i = 0; i < peer->naddresses; i++)
        if (memcmp(&peer->addresses[i], address, sizeof(*address)) == 0)
            return true;
    return false;
}

/* Under the lock: those that are old or lead elsewhere leave the list. */
static void
drop_idle(struct http_peer *peer, struct closing *closing)
{
    int64_t oldest_ns = clock_mono_ns() - PEER_IDLE_NS;
    unsigned left = 0;

    for (unsigned i = 0; i < peer->nidle; i++) {
        struct idle_conn *idle = &peer->idle[i];

        if (idle->since_ns >= oldest_ns &&
            has_address(peer, &idle->conn.address))
            peer->idle[left++] = *idle;
        else
            closing->wires[closing->n++] = idle->conn.wire;
    }
    peer->nidle = left;
}

void
http_peer_set_addresses(struct http_peer *peer,
    const struct sockaddr_storage *addresses, unsigned n)
{
    struct closing closing = {.n = 0};

    peer_lock(peer);
    peer->naddresses = 0;
    for (unsigned i = 0; i < n && peer->naddresses < PEER_ADDRESSES_MAX; i++)
        if (addresses[i].ss_family == AF_INET ||
            addresses[i].ss_family == AF_INET6)
            address_copy(&peer->addresses[peer->naddresses++], &addresses[i],
                peer->port);
    drop_idle(peer, &closing);
    peer_unlock(peer);
    close_all(&closing);
}

unsigned
peer_addresses(struct http_peer *peer,
    struct sockaddr_storage out[PEER_ADDRESSES_MAX])
{
    unsigned n = 0;

    peer_lock(peer);
    if (has_address(peer, &peer->answers))
        out[n++] = peer->answers;
    for (unsigned i = 0; i < peer->naddresses; i++)
        if (n == 0 || memcmp(&peer->addresses[i], &out[0],
                sizeof(out[0])) != 0)
            out[n++] = peer->addresses[i];
    peer_unlock(peer);
    return n;
}

void
peer_answers_at(struct http_peer *peer,
    const struct sockaddr_storage *address)
{
    peer_lock(peer);
    peer->answers = *address;
    peer_unlock(peer);
}

/* A host that is an address, perhaps with a scope, is its own. */
static void
address_of_host(struct http_peer *peer, const struct http_peer_conf *conf)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *list = NULL;
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};

    if (getaddrinfo(conf->host, conf->port, &hints, &list) != 0)
        return;
    memcpy(&address, list->ai_addr,
        MIN(sizeof(address), (size_t)list->ai_addrlen));
    freeaddrinfo(list);
    http_peer_set_addresses(peer, &address, 1);
}

/* --- life --- */

static void
peer_free(struct http_peer *peer)
{
    for (unsigned i = 0; i < peer->nidle; i++)
        wire_close(&peer->idle[i].conn.wire);
    tls_client_ctx_free(peer->tls);
    check(pthread_mutex_destroy(&peer->lock) == 0);
    xfree(peer->name);
    xfree(peer->server_name);
    xfree(peer->authorization);
    peer->magic = 0;
    xfree(peer);
}

int
http_peer_new(struct http_peer **out, const struct http_peer_conf *conf,
    struct err *err)
{
    bool is_v6 = strchr(conf->host, ':') != NULL;
    size_t size = strlen(conf->host) + strlen(conf->port) + 4;
    struct http_peer *peer;
    uint64_t port;

    *out = NULL;
    if (!num_parse_u64(sv_from(conf->port), &port) || port == 0 ||
        port > UINT16_MAX)
        return err_set(err, ERR_INVALID, "%s:%s: the port is malformed",
            conf->host, conf->port);
    peer = xcalloc(1, sizeof(*peer));
    peer->magic = PEER_MAGIC;
    peer->references = 1;
    peer->port = (uint16_t)port;
    check(pthread_mutex_init(&peer->lock, NULL) == 0);
    peer->name = xmalloc(size);
    snprintf(peer->name, size, is_v6 ? "[%s]:%s" : "%s:%s", conf->host,
        conf->port);
    peer->server_name = xstrdup(conf->tls.server_name != NULL
            ? conf->tls.server_name : conf->host);
    if (conf->authorization != NULL)
        peer->authorization = xstrdup(conf->authorization);
    if (conf->has_tls && tls_client_ctx_new(&peer->tls, &conf->tls,
            err) != 0) {
        peer_free(peer);
        return -1;
    }
    address_of_host(peer, conf);
    *out = peer;
    return 0;
}

struct http_peer *
http_peer_hold(struct http_peer *peer)
{
    OBJ_CHECK(peer, PEER_MAGIC);
    atomic_fetch_add(&peer->references, 1);
    return peer;
}

void
http_peer_release(struct http_peer *peer)
{
    if (peer == NULL)
        return;
    OBJ_CHECK(peer, PEER_MAGIC);
    if (atomic_fetch_sub(&peer->references, 1) == 1)
        peer_free(peer);
}

const char *
http_peer_name(const struct http_peer *peer)
{
    OBJ_CHECK(peer, PEER_MAGIC);
    return peer->name;
}

struct ssl_ctx_st *
peer_tls(const struct http_peer *peer)
{
    return peer->tls;
}

const char *
peer_server_name(const struct http_peer *peer)
{
    return peer->server_name;
}

const char *
peer_authorization(const struct http_peer *peer)
{
    return peer->authorization;
}

/* --- idle connections --- */

bool
peer_take(struct http_peer *peer, struct peer_conn *out)
{
    struct closing closing = {.n = 0};
    bool has_one, is_good = false;

    do {
        peer_lock(peer);
        drop_idle(peer, &closing);
        has_one = peer->nidle > 0;
        if (has_one)
            *out = peer->idle[--peer->nidle].conn;
        peer_unlock(peer);
        close_all(&closing);
        if (has_one && !(is_good = wire_is_quiet(&out->wire)))
            wire_close(&out->wire);
    } while (has_one && !is_good);
    return is_good;
}

void
peer_give(struct http_peer *peer, struct peer_conn *conn)
{
    struct closing closing = {.n = 0};

    peer_lock(peer);
    drop_idle(peer, &closing);
    if (peer->nidle < PEER_IDLE_MAX && has_address(peer, &conn->address))
        peer->idle[peer->nidle++] = (struct idle_conn){*conn,
            clock_mono_ns()};
    else
        closing.wires[closing.n++] = conn->wire;
    peer_unlock(peer);
    conn->wire = (struct wire){.fd = -1};
    close_all(&closing);
}
