/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One insert split into shares, a parcel each.  Spans are copied as they came,
 * with the resource and the scope that they had; what is rejected is left
 * out.
 *
 * A trace's home is the best of all nodes for it; its share goes there, or,
 * while the home takes no inserts, to the best of those that do.  Shares of
 * one home for different nodes are different parcels: so the parcels of other
 * homes stay the same, and are known to their nodes when a client sends the
 * same body again.
 */

#ifndef SPOOR_CLUSTER_SHARE_H
#define SPOOR_CLUSTER_SHARE_H

#include "core/base.h"
#include "cluster/nodes.h"
#include "cluster/parcel.h"
#include "core/err.h"
#include "core/sb.h"
#include "span/ingest.h"

/*
 * A parcel ends when its plain body is larger: well below the least that
 * internal_insert.max_request_size can be.
 */
#define SHARE_BYTES_MAX (768 * KIB)

struct share {
    struct share *next;
    struct parcel parcel; /* views into frame */
    struct sb frame;      /* parcel_put() of it */
    /* Indices of nodes; nodes->n: there are none. */
    unsigned home;
    unsigned target;      /* takes it now; home when nobody does */
};

struct share_conf {
    const struct nodes *nodes;
    uint64_t takers[NODES_MAX / 64]; /* bits: they take inserts now */
    bool is_plain;                   /* no compression */
};

/*
 * Any thread.  *out: a list, in the order of bodies; NULL where no span is
 * left.  ERR_LIMIT: resources and scopes are so large that copies of them for
 * all nodes are too much.
 */
int shares_make(const struct share_conf *conf, const struct ingest *ingest,
    struct share **out, struct err *err) WARN_UNUSED;
void share_free(struct share *share);
void shares_free(struct share *list); /* all of the list */

#endif
