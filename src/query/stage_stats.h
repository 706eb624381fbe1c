/* SPDX-License-Identifier: BSD-2-Clause */

/* What the files of the pipe stats share: stage_stats*.c. */

#ifndef SPOOR_QUERY_STAGE_STATS_H
#define SPOOR_QUERY_STAGE_STATS_H

#include "core/base.h"
#include "query/acc.h"
#include "query/keys.h"
#include "query/stage.h"

struct stats_lane {
    struct hold hold;
    struct keys keys;
    struct acc **accs; /* nfns; NULL behind a failure */
};

struct stage_stats {
    struct stage stage;
    const struct stats_spec *spec;
    double rate_step; /* seconds; 0: not known */
    const struct pipe *pipe;
    struct pool *pool;
    struct needed *filter_fields; /* per function */
    struct stats_lane *lanes[QUERY_LANES_MAX]; /* made by their threads */
};

/* Columns of one chunk, all loaded before any filter narrows the rows. */
struct stats_chunk {
    struct rows *rows;
    struct column *by;
    struct column **args; /* per function */
    uint32_t *nargs;
};

extern const struct stage_ops stats_ops;
extern const struct state_ops stats_state; /* stats_give.c */

/* Room for the groups of a lane. */
int stats_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
    WARN_UNUSED;
/* The lane's state, made when it is not there yet. */
int stats_lane_get(struct stage_stats *mine, unsigned i,
    struct stats_lane **out, struct err *err) WARN_UNUSED;
void stats_lane_free(struct stage_stats *mine, struct stats_lane *lane);
/*
 * Adds all groups of `from`, whose states may be spoilt.  `to` may own memory
 * of `from` then, also when it failed: `from` is freed before `to`.
 */
int stats_lane_merge(struct stage_stats *mine, struct stats_lane *to,
    struct stats_lane *from, struct err *err) WARN_UNUSED;
/* All lanes of a fork in one; NULL: it got no rows. */
int stats_lanes_join(struct stage_stats *fork, struct stats_lane **out,
    struct err *err) WARN_UNUSED;
/* Fields of "by" whose texts stand on the stack. */
#define STATS_BY_MAX 64u
/* Of a state: how many groups, and their texts. */
void stats_save_groups(const struct keys *keys,
    const struct acc_range *range, struct sb *out);
int stats_load_chunk(struct stage_stats *mine, struct stats_lane *lane,
    struct stats_chunk *chunk, struct err *err) WARN_UNUSED;

#endif
