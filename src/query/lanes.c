/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/lanes.h"

#include <pthread.h>

#include "core/assert.h"
#include "event/team.h"

/*
 * Columns of one block: some 500 of 64 Ki rows.  Less where a query may have
 * less, but what a block of the usual columns needs.
 */
#define LANE_POOL_MAX (512 * MIB)
#define LANE_POOL_MIN (64 * MIB)
/* What a lane keeps from piece to piece. */
#define LANE_KEEP_MAX (32 * MIB)

struct work {
    const struct lanes *lanes;
    _Atomic uint32_t next;
    _Atomic bool is_over; /* enough, or a failure */
    pthread_mutex_t mutex;
    bool has_failed;
    struct err err;       /* of the first failure */
};

static void
work_fail(struct work *work, const struct err *err)
{
    pthread_mutex_lock(&work->mutex);
    if (!work->has_failed)
        work->err = *err;
    work->has_failed = true;
    pthread_mutex_unlock(&work->mutex);
    atomic_store(&work->is_over, true);
}

static void IMPL(team_fn)
lane_run(void *arg, unsigned lane)
{
    struct work *work = arg;
    const struct lanes *lanes = work->lanes;
    size_t allowed = lanes->run->budget.max;
    struct pool *pool = pool_new(MIN(MAX(allowed, LANE_POOL_MIN),
        LANE_POOL_MAX));
    struct err err = ERR_INIT;

    pool_share(pool, lanes->run->budget.share);
    pool_keep(pool, MIN(allowed, LANE_KEEP_MAX));
    while (!atomic_load(&work->is_over)) {
        uint32_t piece = atomic_fetch_add(&work->next, 1);
        int got;

        if (piece >= lanes->npieces)
            break;
        got = run_poll(lanes->run, &err);
        if (got == 0)
            got = lanes->fn(lanes->arg, lane, piece, pool, &err);
        if (got < 0)
            work_fail(work, &err);
        else if (got > 0)
            atomic_store(&work->is_over, true);
        pool_reset(pool);
    }
    pool_free(pool);
}

int
lanes_run(const struct lanes *lanes, struct err *err)
{
    struct work work = {.lanes = lanes};

    if (lanes->npieces == 0)
        return 0;
    check(pthread_mutex_init(&work.mutex, NULL) == 0);
    team_run(lanes->tasks, MIN(lanes->run->nlanes, lanes->npieces), lane_run,
        &work);
    pthread_mutex_destroy(&work.mutex);
    if (!work.has_failed)
        return 0;
    if (err != NULL)
        *err = work.err;
    return -1;
}
