/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A query in two: what nodes that have the rows do by themselves, and what is
 * done here with what they answer.
 *
 *   filter | row pipes                      nodes; rows come back
 *   ... | sort, limit, uniq, top, ...       both: nodes in the form that
 *                                           keeps the answer right, then here
 *                                           over what they gave
 *   ... | stats                             nodes; states come back
 *   all pipes behind                        here
 */

#ifndef SPOOR_QUERY_SPLIT_H
#define SPOOR_QUERY_SPLIT_H

#include "core/base.h"
#include "core/err.h"
#include "query/ast.h"
#include "query/pipe.h"
#include "query/source.h"
#include "query/stage.h"

enum split_end {
    SPLIT_ROWS,    /* rows that the first pipe here has not seen */
    SPLIT_PARTIAL, /* rows that the same pipe gave there */
    SPLIT_STATE,   /* the state of the stats that is first here */
};

struct split {
    /*
     * For the nodes: filter (values of subqueries are in it, is_resolved),
     * pipes of which none asks a query, times and options.  In query->pool;
     * shares what does not differ.
     */
    struct query *remote;
    enum split_end end;
    const struct pipe *local; /* the first that runs here; NULL: none */
    struct needed needed;     /* columns that rows must have; as patterns */
};

/*
 * After subqueries were resolved.  whole: no pipe runs there (somebody here
 * wants to see all rows that pass the filter).
 */
int query_split(struct split *out, struct query *query, bool whole,
    struct err *err) WARN_UNUSED;

/* --- what a source of other nodes gives (any thread, one a lane) --- */

/* Rows of one node: 0, 1 (no more are needed) or -1. */
int split_give_rows(const struct source_plan *plan, unsigned lane,
    struct rows *rows, struct err *err) WARN_UNUSED;
/* Bytes of query_env.state_fn of one node, which may be anything. */
int split_give_state(const struct source_plan *plan, unsigned lane,
    struct sv state, struct err *err) WARN_UNUSED;

#endif
