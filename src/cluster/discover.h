/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Names looked up with c-ares, all at once, by a thread that polls for other
 * things, too.  What the machine says counts: /etc/hosts, the servers and
 * search domains of /etc/resolv.conf, read anew for each round.  Only tests
 * set the environment's SPOOR_DNS_SERVERS ("127.0.0.1:5353,...") instead.
 */

#ifndef SPOOR_CLUSTER_DISCOVER_H
#define SPOOR_CLUSTER_DISCOVER_H

#include "core/base.h"

#include <poll.h>
#include <sys/socket.h>

#include "cluster/nodes.h"
#include "core/err.h"
#include "http/peer.h"

#define DISCOVER_HOST_MAX 256u
#define DISCOVER_FDS_MAX 16u
/* A round ends, whatever is missing then was not found. */
#define DISCOVER_ROUND_NS (5 * NS_PER_SEC)

/* A record of SRV; RFC 2782's priority and weight decide nothing here. */
struct discover_target {
    char host[DISCOVER_HOST_MAX];
    uint16_t port;
    unsigned naddresses;
    struct sockaddr_storage addresses[PEER_ADDRESSES_MAX];
    struct err err; /* when it has no address */
};

/* One name: what is asked, and what came of it. */
struct discover_name {
    const char *host;
    bool is_srv;

    bool is_found;
    struct err err; /* else */
    struct sockaddr_storage *addresses; /* of a host; port 0 */
    unsigned naddresses;                /* NODES_MAX at most */
    struct discover_target *targets;    /* of SRV */
    unsigned ntargets;                  /* NODES_MAX at most */
};

struct discover;

/* The names are borrowed and get their answers. */
struct discover *discover_new(struct discover_name *names, unsigned n,
    struct err *err);
/* What to poll for: number of descriptors; *wake_ns is lowered (monotonic). */
unsigned discover_wants(struct discover *discover, struct pollfd *pfds,
    int64_t *wake_ns);
/* With the same descriptors after poll(); true: all is known. */
bool discover_step(struct discover *discover, const struct pollfd *pfds,
    unsigned n);
/* What is still open was not found. */
void discover_free(struct discover *discover); /* accepts NULL */
/* Of IPv4 and IPv6. */
void addresses_set_port(struct sockaddr_storage *addresses, unsigned n,
    uint16_t port);
/* Frees the answers. */
void discover_names_release(struct discover_name *names, unsigned n);

#endif
