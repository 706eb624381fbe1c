/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The source seam: where the rows of a query come from.  A source gives
 * every row of the tenant that passes the filter to the first stage, from
 * several threads when it has them.  The local store is one source
 * (source_local.c), another node is to be one.
 */

#ifndef SPOOR_QUERY_SOURCE_H
#define SPOOR_QUERY_SOURCE_H

#include "core/base.h"
#include "core/err.h"
#include "core/metrics.h"
#include "query/ast.h"
#include "query/pipe.h"
#include "span/span.h"
#include "storage/store.h"

struct split;
struct task_pool;

struct source_plan {
    struct tenant tenant;
    const struct filter *filter; /* prepared */
    int64_t min_time;            /* what the filter lets through at most */
    int64_t max_time;
    struct query_run *run;
    struct stage *first;
    struct task_pool *tasks;     /* helpers; NULL: the caller works alone */
    struct store_answer *answer;
    enum metric_id seconds;      /* the histogram of such queries */
    size_t results_max;          /* of result_cache.h; 0: it is not used */
    uint32_t results_rows_min;   /* 0: that of source_cached.c */
    const struct split *split;   /* of a source of other nodes; else NULL */
    bool allow_missing;          /* as in struct query_env */
};

/* Returns when all rows were given, or the stage had enough. */
typedef int (*source_fn)(const struct source_plan *plan, struct err *err);

int source_local(const struct source_plan *plan, struct err *err)
    WARN_UNUSED;

#endif
