/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One plan to many nodes at a time, their frames as they come: on the thread
 * of the query, which waits for whichever node is next.
 */

#ifndef SPOOR_CLUSTER_FANOUT_H
#define SPOOR_CLUSTER_FANOUT_H

#include "core/base.h"
#include "cluster/frame.h"
#include "cluster/nodes.h"
#include "cluster/plan.h"
#include "core/err.h"
#include "core/mem_share.h"
#include "storage/store.h"

struct fanout {
    const struct plan *plan;
    const struct conf *conf;
    const uint64_t *among;      /* NODES_MAX bits; NULL: all nodes */
    int64_t deadline_ns;        /* monotonic; 0: none */
    const _Atomic bool *cancel; /* may be NULL */
    bool allow_missing;         /* nodes that cannot be reached are left out,
                                   unless all of them */
    struct mem_share *share;    /* of what has come of frames; may be NULL */
    /*
     * A whole frame of node i; 0, 1 (enough: all other calls end), -1.  One
     * at a time, on the caller's thread: meanwhile nothing is read of any
     * node.
     */
    int (*fn)(void *arg, unsigned node, enum frame_type type,
        struct sv payload, struct err *err);
    void *arg;
    uint64_t *rows; /* NODES_MAX, counted by fn: for metrics; may be NULL */
    /* Set: flags of what nodes said, and those that are missing. */
    struct store_answer *answer;
};

/*
 * Returns when all nodes have answered, or enough did.  An error names the
 * node: "storage node a:10428: ...".  What a node says has failed keeps its
 * code.  ERR_UNREACHABLE: it cannot be reached, is slow, breaks off, says what
 * makes no sense or does not let this server in.  Only of the first three does
 * allow_missing make an answer without it.  A node that was there when it
 * began and breaks off later has given some of its frames then.
 */
int fanout_run(const struct fanout *fanout, struct err *err) WARN_UNUSED;

#endif
