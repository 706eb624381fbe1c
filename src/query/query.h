/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Running a parsed query: the front door of query/.
 */

#ifndef SPOOR_QUERY_QUERY_H
#define SPOOR_QUERY_QUERY_H

#include "core/base.h"
#include "core/err.h"
#include "core/metrics.h"
#include "query/ast.h"
#include "query/pipe.h"
#include "query/source.h"
#include "span/span.h"
#include "storage/store.h"

struct query_figures;
struct task_pool;

struct query_env {
    struct tenant tenant;
    enum metric_id seconds; /* the histogram of such queries */
    struct task_pool *tasks;    /* helpers of the scan; may be NULL */
    unsigned lanes_max;         /* threads at a time, 1 .. QUERY_LANES_MAX */
    size_t memory_max;          /* over all stages */
    struct mem_share *share;    /* of all queries together; may be NULL */
    size_t results_max;         /* kept for later queries; 0: not used */
    uint32_t results_rows_min;  /* of parts (tests); 0: as it should be */
    const _Atomic bool *cancel; /* may be NULL */
    int64_t deadline_ns;        /* monotonic; 0: none */
    int64_t range_max_ns;       /* widest range of time; 0: any */
    /*
     * Takes the rows that pass the filter before the first pipe does, and
     * writes them to its next; freed as the sink is.  NULL: nobody.
     */
    struct stage *front;
    struct query_figures *figures; /* query/figures.h; NULL: not wanted */
    /* Where the rows are; NULL: source_local(). */
    source_fn source;
    bool is_remote;      /* the source takes a split (query/split.h) */
    bool allow_missing;  /* nodes that cannot be reached are left out */
    /*
     * The last pipe's state is wanted (query/state.h), not its rows: the sink
     * gets none.  Each call is of a whole state for split_give_state(), in
     * general of about a MiB, at most of STATE_BYTES_MAX.  One call at a time,
     * behind the source.  NULL: rows.
     */
    int (*state_fn)(void *arg, struct sv state, struct err *err);
    void *state_arg;
    size_t state_piece; /* bytes of one state, about; 0: STATE_PIECE */
};

/*
 * Prepares and runs the query; the rows that come out of its last pipe go to
 * the sink, which is freed in any case.  Called on a task thread.  ERR_LIMIT,
 * ERR_TIMEOUT, ERR_CANCELLED, ERR_UNSUPPORTED; ERR_INVALID: the range of time
 * is too wide; ERR_CORRUPT: damaged data was left out, which the query does
 * not allow.
 */
int query_execute(struct query *query, const struct query_env *env,
    struct stage *sink, struct store_answer *answer, struct err *err)
    WARN_UNUSED;

#endif
