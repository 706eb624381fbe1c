/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to running_stats and total_stats: what their syntax says. */

#ifndef SPOOR_QUERY_STAGE_RUNNING_H
#define SPOOR_QUERY_STAGE_RUNNING_H

#include "core/base.h"
#include "query/ast.h"
#include "query/stage.h"

enum running_kind {
    RUNNING_ACC,   /* count, sum, min, max */
    RUNNING_FIRST, /* total_stats only */
    RUNNING_LAST,
};

struct running_fn {
    enum running_kind kind;
    struct stats_fn fn; /* name, args, result */
    uint64_t offset;    /* FIRST, LAST: rows behind the first, before the
                           last */
};

struct running_spec {
    bool is_total;
    struct sv *by;
    uint32_t nby;
    struct running_fn *fns;
    uint32_t nfns;
};

/* pipe->spec is a struct running_spec. */
int stage_new_running(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);

#endif
