/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to the pipes that count tuples: uniq, top, field_values.  They
 * differ in what they give of the tuples.
 */

#ifndef SPOOR_QUERY_STAGE_UNIQ_H
#define SPOOR_QUERY_STAGE_UNIQ_H

#include "core/base.h"
#include "query/hold.h"
#include "query/keys.h"
#include "query/stage.h"

struct uniq_lane {
    struct hold hold;
    struct keys keys;
    struct hold_array hits; /* uint64_t per tuple */
};

struct stage_uniq {
    struct stage stage;
    const struct pipe *pipe; /* names, hits */
    uint64_t max;            /* tuples that are kept; 0: all */
    /* Of all lanes together, with one row at least. */
    int (*emit)(struct stage_uniq *mine, struct uniq_lane *all,
        struct err *err);
    /* A lane alone has more tuples than wanted: no more rows are needed. */
    _Atomic bool is_over;
    struct uniq_lane *lanes[QUERY_LANES_MAX]; /* made by their threads */
};

/* The caller sets emit, and max when not all tuples are to be kept. */
struct stage_uniq *stage_uniq_new(const struct pipe *pipe);
/* Tuples as the pipe's names, then the hits when they have a name. */
int uniq_emit(struct stage_uniq *mine, struct uniq_lane *all,
    struct err *err);

#endif
