/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * options(time_offset=D): the filter of a query selects rows of D before,
 * and its pipes see their times D later.
 */

#ifndef SPOOR_QUERY_SHIFT_H
#define SPOOR_QUERY_SHIFT_H

#include "core/base.h"
#include "core/err.h"
#include "query/ast.h"
#include "query/pipe.h"

/* ns later; the ends of time stay. */
int64_t shift_time(int64_t time_ns, int64_t ns);
/*
 * The filter with its times ns earlier: a copy where it has some, in the
 * pool.  NULL: no memory.
 */
const struct filter *shift_filter(const struct filter *filter, int64_t ns,
    struct pool *pool);
/*
 * A stage in front of those of the query's pipes, if they read _time, or
 * *first as it is.
 */
int shift_stage(struct stage **first, const struct query *query,
    struct query_run *run, struct err *err) WARN_UNUSED;

#endif
