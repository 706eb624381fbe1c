/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Work of a query in pieces that the threads of a team (event/team.h) take
 * one after the other.
 */

#ifndef SPOOR_QUERY_LANES_H
#define SPOOR_QUERY_LANES_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "query/pipe.h"

struct task_pool;

/*
 * One piece.  0: go on; 1: no more pieces are needed; -1 with err.  The pool
 * is emptied after each piece.
 */
typedef int (*lane_fn)(void *arg, unsigned lane, uint32_t piece,
    struct pool *pool, struct err *err);

struct lanes {
    struct query_run *run;
    struct task_pool *tasks; /* NULL: the caller works alone */
    uint32_t npieces;
    lane_fn fn;
    void *arg;
};

/* Returns when all pieces are done, or no more are needed, or one failed. */
int lanes_run(const struct lanes *lanes, struct err *err) WARN_UNUSED;

#endif
