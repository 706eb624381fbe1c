/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/lanes.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "event/task.h"

/*
 * Columns of one block: some 500 of 64 Ki rows.  Less where a query may have
 * less, but what a block of the usual columns needs.
 */
#define LANE_POOL_MAX (512 * MIB)
#define LANE_POOL_MIN (64 * MIB)
/* What a lane keeps from piece to piece. */
#define LANE_KEEP_MAX (32 * MIB)

struct work {
    struct lanes lanes;
    _Atomic uint32_t next;
    _Atomic bool is_over; /* enough, or a failure */

    pthread_mutex_t mutex;
    pthread_cond_t is_idle;
    unsigned refs;        /* caller and helpers that were posted */
    unsigned active;      /* helpers at work */
    unsigned given;       /* lanes given away */
    bool is_closed;       /* helpers that come now are too late */
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

static void
lane_run(struct work *work, unsigned lane)
{
    const struct lanes *lanes = &work->lanes;
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

static void
work_release(struct work *work)
{
    bool is_last;

    pthread_mutex_lock(&work->mutex);
    is_last = --work->refs == 0;
    pthread_mutex_unlock(&work->mutex);
    if (!is_last)
        return;
    pthread_mutex_destroy(&work->mutex);
    pthread_cond_destroy(&work->is_idle);
    xfree(work);
}

static void IMPL(task_fn)
helper_run(void *arg)
{
    struct work *work = arg;
    unsigned lane = 0;

    pthread_mutex_lock(&work->mutex);
    if (!work->is_closed) {
        lane = work->given++;
        work->active++;
    }
    pthread_mutex_unlock(&work->mutex);
    if (lane != 0) {
        lane_run(work, lane);
        pthread_mutex_lock(&work->mutex);
        work->active--;
        pthread_cond_signal(&work->is_idle);
        pthread_mutex_unlock(&work->mutex);
    }
    work_release(work);
}

static void
helpers_post(struct work *work)
{
    const struct lanes *lanes = &work->lanes;
    unsigned n = MIN(lanes->run->nlanes, lanes->npieces);

    for (unsigned i = 1; i < n && lanes->tasks != NULL; i++) {
        pthread_mutex_lock(&work->mutex);
        work->refs++;
        pthread_mutex_unlock(&work->mutex);
        if (task_post(lanes->tasks, helper_run, NULL, work, NULL) != 0) {
            work_release(work);
            return;
        }
    }
}

static void
helpers_wait(struct work *work)
{
    pthread_mutex_lock(&work->mutex);
    work->is_closed = true;
    while (work->active > 0)
        pthread_cond_wait(&work->is_idle, &work->mutex);
    pthread_mutex_unlock(&work->mutex);
}

int
lanes_run(const struct lanes *lanes, struct err *err)
{
    struct work *work;
    int rc = 0;

    if (lanes->npieces == 0)
        return 0;
    work = xcalloc(1, sizeof(*work));
    work->lanes = *lanes;
    work->refs = 1;
    work->given = 1;
    check(pthread_mutex_init(&work->mutex, NULL) == 0);
    check(pthread_cond_init(&work->is_idle, NULL) == 0);
    helpers_post(work);
    lane_run(work, 0);
    helpers_wait(work);
    if (work->has_failed) {
        rc = -1;
        if (err != NULL)
            *err = work->err;
    }
    work_release(work);
    return rc;
}
