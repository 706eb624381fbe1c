/* SPDX-License-Identifier: BSD-2-Clause */

/* Making lists of nodes; the thread of nodes_start() does. */

#ifndef SPOOR_CLUSTER_NODES_LIST_H
#define SPOOR_CLUSTER_NODES_LIST_H

#include "core/base.h"

#include "cluster/nodes.h"
#include "http/peer.h"

/* One node to be listed. */
struct nodes_entry {
    const char *name;
    const struct http_peer_conf *conf;
    const char *problem; /* NULL: none */
    const struct sockaddr_storage *addresses;
    unsigned naddresses;
};

/*
 * Makes the entries the present list, unless they are; *has_changed says so.
 * Peers of nodes that stay are kept with their connections.  Of two entries
 * with one name the first counts.  ERR_LIMIT: there are more than NODES_MAX;
 * or a file of a peer cannot be read: the list stays as it was.
 */
int nodes_list_set(const struct nodes_entry *entries, unsigned n,
    bool *has_changed, struct err *err) WARN_UNUSED;
/* No list any more; those that are held stay. */
void nodes_list_clear(void);
/* The states of all lists that are held are in use. */
void nodes_lists_touch(int64_t now_ns);

#endif
