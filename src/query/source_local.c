/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The local store as a source.  Blocks are taken from the newest to the
 * oldest by an atomic cursor.  The caller's thread is lane 0; helpers from
 * the task pool take the other lanes when they get a thread.  Nobody waits
 * for a helper that has not started, so that queries cannot lock each other
 * out of a full pool.
 */

#include "core/base.h"
#include "query/source.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "event/task.h"
#include "query/filter.h"
#include "storage/block.h"
#include "storage/scan.h"

/*
 * Columns of one block: some 500 of 64 Ki rows.  Less where a query may have
 * less, but what a block of the usual columns needs.
 */
#define LANE_POOL_MAX (512 * MIB)
#define LANE_POOL_MIN (64 * MIB)
/* What a lane keeps from block to block. */
#define LANE_KEEP_MAX (32 * MIB)

struct work {
    const struct source_plan *plan;
    struct scan scan;
    _Atomic uint32_t next;
    _Atomic bool is_over; /* enough rows, or a failure */

    pthread_mutex_t mutex;
    pthread_cond_t is_idle;
    unsigned refs;        /* caller and helpers that were posted */
    unsigned active;      /* helpers at work */
    unsigned lanes;       /* given away */
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

/* --- one block --- */

static int
select_rows(const struct source_plan *plan, struct block *block,
    struct rows *rows, struct err *err)
{
    uint64_t *bits = pool_zalloc(rows->pool,
        BITMAP_WORDS(rows->n) * sizeof(*bits) + 8);
    uint32_t count = 0;

    if (bits == NULL || rows->selected == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    if (block_select_tenant(block, &plan->tenant, bits, &count, err) != 0)
        return -1;
    if (count < rows->n) {
        rows->selected = bits;
        rows->nselected = count;
    }
    return rows_filter(rows, plan->filter, err);
}

/*
 * A stage that fails may have taken some of the block, which cannot be taken
 * back.
 */
#define FAILED_IN_STAGE (-2)

/* 1: the stage has enough.  -1, or FAILED_IN_STAGE. */
static int
block_read(struct work *work, unsigned lane, struct block *block,
    struct pool *pool, struct err *err)
{
    const struct block_info *info = block_get_info(block);
    const struct source_plan *plan = work->plan;
    struct rows rows;
    int got;

    if (info->rows == 0 || info->max_end_ns < plan->min_time ||
        info->min_end_ns > plan->max_time ||
        info->max_end_ns < atomic_load(&plan->run->time_bound) ||
        !filter_may_match(plan->filter, block))
        return 0;
    rows_init_block(&rows, block, info->rows, pool);
    rows.run = plan->run;
    if (select_rows(plan, block, &rows, err) != 0)
        return -1;
    metric_add(METRIC_QUERY_BLOCKS, 1);
    metric_add(METRIC_QUERY_ROWS, info->rows);
    if (rows.nselected == 0)
        return 0;
    got = stage_write(plan->first, lane, &rows, err);
    return got < 0 ? FAILED_IN_STAGE : got;
}

static int
block_next(struct work *work, unsigned lane, uint32_t i, struct pool *pool,
    struct err *err)
{
    struct err read_err = ERR_INIT;
    struct open_block open;
    int got, rc;

    if (work->scan.blocks[i].max_end_ns <
        atomic_load(&work->plan->run->time_bound))
        return 0;
    got = scan_open_block(&work->scan, i, pool, &open, err);
    if (got != 0)
        return got < 0 ? -1 : 0;
    got = block_read(work, lane, open.block, pool, &read_err);
    scan_close_block(&open);
    if (got >= 0)
        return got;
    rc = scan_item_failed(&work->scan, work->scan.blocks[i].item, &read_err,
        err);
    if (rc == 0 && got == FAILED_IN_STAGE) {
        *err = read_err;
        return err_wrap(err, "damaged data, which the next query leaves out");
    }
    return rc;
}

/* --- lanes --- */

static void
lane_run(struct work *work, unsigned lane)
{
    size_t allowed = work->plan->run->budget.max;
    struct pool *pool = pool_new(MIN(MAX(allowed, LANE_POOL_MIN),
        LANE_POOL_MAX));
    struct err err = ERR_INIT;

    pool_share(pool, work->plan->run->budget.share);
    pool_keep(pool, MIN(allowed, LANE_KEEP_MAX));
    while (!atomic_load(&work->is_over)) {
        uint32_t i = atomic_fetch_add(&work->next, 1);
        int got;

        if (i >= work->scan.nblocks)
            break;
        got = run_poll(work->plan->run, &err);
        if (got == 0)
            got = block_next(work, lane, i, pool, &err);
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
        lane = work->lanes++;
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
    const struct source_plan *plan = work->plan;
    unsigned n = MIN(plan->run->nlanes, work->scan.nblocks);

    for (unsigned i = 1; i < n && plan->tasks != NULL; i++) {
        pthread_mutex_lock(&work->mutex);
        work->refs++;
        pthread_mutex_unlock(&work->mutex);
        if (task_post(plan->tasks, helper_run, NULL, work, NULL) != 0) {
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
source_local(const struct source_plan *plan, struct err *err)
{
    struct work *work = xcalloc(1, sizeof(*work));
    int rc = -1;

    work->plan = plan;
    work->refs = 1;
    work->lanes = 1;
    check(pthread_mutex_init(&work->mutex, NULL) == 0);
    check(pthread_cond_init(&work->is_idle, NULL) == 0);
    if (scan_begin(&work->scan, plan->min_time, plan->max_time, err) != 0)
        goto out;
    if (scan_blocks(&work->scan, err) == 0) {
        /* Damage that is known already: before the answer begins. */
        if (atomic_load(&work->scan.is_partial))
            plan->answer->is_partial = true;
        helpers_post(work);
        lane_run(work, 0);
        helpers_wait(work);
        rc = work->has_failed ? -1 : 0;
        if (rc != 0 && err != NULL)
            *err = work->err;
    }
    scan_end(&work->scan, plan->answer, plan->seconds);
out:
    work_release(work);
    return rc;
}
