/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A query in two: what nodes that have the rows do by themselves, and what is
 * done here with what they answer.
 *
 *   filter | row pipes                      nodes; rows come back
 *   ... | sort, first, last, limit          both: nodes give what may be in
 *                                           the answer, here is what is
 *   ... | stats, uniq, top, facets, ...     nodes; states come back
 *   all pipes behind                        here
 *
 * Which pipe is what stands in pipes.def (PIPE_ROW, PIPE_BEST, PIPE_STATE,
 * PIPE_SUM).
 */

#ifndef SPOOR_QUERY_SPLIT_H
#define SPOOR_QUERY_SPLIT_H

#include "core/base.h"
#include "core/err.h"
#include "query/ast.h"
#include "query/pipe.h"
#include "query/source.h"
#include "query/stage.h"

struct pipe_type;

enum split_end {
    SPLIT_ROWS,    /* rows that the first pipe here has not seen */
    SPLIT_PARTIAL, /* rows that the same pipe gave there */
    SPLIT_STATE,   /* states of the pipe that is first here: stats, uniq ... */
};

struct split {
    /*
     * For the nodes: filter (values of subqueries are in it, is_resolved),
     * pipes of which none asks a query, times and options.  In query->pool;
     * shares what does not differ.  Not prepared anew: filters are as
     * query_prepare() left them.
     */
    struct query *remote;
    enum split_end end;
    const struct pipe *local; /* the first that runs here; NULL: none */
    struct needed needed;     /* columns that rows must have; as patterns */
};

/*
 * After subqueries were resolved.  whole: no pipe runs there (somebody here
 * wants to see all rows that pass the filter, with the times they have).
 */
int query_split(struct split *out, struct query *query, bool whole,
    struct err *err) WARN_UNUSED;

/* What nodes give, in words: for figures. */
const char *split_gives(const struct split *split);
/* Where a pipe runs, in words: for the documentation. */
const char *split_where(const struct pipe_type *type);

/* --- what a source of other nodes gives (any thread, one a lane) --- */

/* Rows of one node: 0, 1 (no more are needed) or -1. */
int split_give_rows(const struct source_plan *plan, unsigned lane,
    struct rows *rows, struct err *err) WARN_UNUSED;
/*
 * What one call of query_env.state_fn of a node got: whole, but in any order.
 * It may be anything: ERR_CORRUPT.  0, 1 (no more are needed) or -1.
 */
int split_give_state(const struct source_plan *plan, unsigned lane,
    struct sv state, struct err *err) WARN_UNUSED;

#endif
