/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The local store as a source.  Blocks are taken from the newest to the
 * oldest, by as many threads as the query has; what indexes answer is not
 * read at all.
 */

#include "core/base.h"
#include "query/source.h"

#include "core/metrics.h"
#include "core/timefmt.h"
#include "query/figures.h"
#include "query/filter.h"
#include "query/index.h"
#include "query/lanes.h"
#include "storage/block.h"
#include "storage/part_cells.h"
#include "storage/scan.h"


/* What a lane may have (lanes.c); columns of a memtable take a part of it. */
#define WIDE_BYTES_MIN (64 * MIB)
#define WIDE_BYTES_MAX (512 * MIB)
/* All columns of a few hundred rows. */
#define SLICE_POOL_MAX (512 * MIB)

struct work {
    const struct source_plan *plan;
    struct scan scan;
    struct source_cached *cached; /* NULL: nothing is kept */
};

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

/* Who reads a block, and where its rows go. */
struct reading {
    struct stage *stage;
    unsigned lane;
    struct pool *pool;
};

/* Whether rows of the block may be in the answer. */
static bool
block_is_wanted(const struct source_plan *plan, struct block *block)
{
    const struct block_info *info = block_get_info(block);
    struct query_figures *figures = figures_of(plan->run);

    if (info->rows == 0 || info->max_end_ns < plan->min_time ||
        info->min_end_ns > plan->max_time ||
        info->max_end_ns < atomic_load(&plan->run->time_bound)) {
        figures_add(&figures->late, 1);
        return false;
    }
    if (filter_may_match(plan->filter, block))
        return true;
    figures_skip(plan->run, plan->filter, block);
    return false;
}

/* The next slice of the bits from *row on; how many they are. */
static uint32_t
take_slice(const uint64_t *bits, uint32_t rows, uint32_t max, uint32_t *row,
    uint64_t *slice)
{
    uint32_t n = 0;

    memset(slice, 0, BITMAP_WORDS(rows) * sizeof(*slice));
    for (; *row < rows && n < max; (*row)++) {
        if (bitmap_has(bits, *row)) {
            bitmap_set(slice, *row);
            n++;
        }
    }
    return n;
}

/*
 * All columns of a memtable with very many keys do not fit into the memory of
 * a query: the stage gets the rows in slices, which have few.
 */
static int
write_slices(const struct reading *reading, struct rows *rows,
    struct err *err)
{
    const struct query_run *run = rows->run;
    struct pool *pool = pool_new(SLICE_POOL_MAX);
    uint64_t *slice = pool_alloc(rows->pool,
        BITMAP_WORDS(rows->n) * sizeof(*slice) + 8);
    uint32_t row = 0, max = block_few_rows(rows->block);
    int got = slice == NULL ?
        err_set(err, ERR_LIMIT, "query needs too much memory") : 0;

    pool_share(pool, run->budget.share);
    while (got == 0 && take_slice(rows->selected, rows->n, max, &row,
            slice) > 0) {
        struct block *block;
        struct rows few;

        pool_reset(pool);
        if (run_poll(run, err) != 0 ||
            block_open_again(&block, rows->block, pool, err) != 0) {
            got = -1;
            break;
        }
        rows_init_block(&few, block, rows->n, pool);
        few.run = run;
        if (few.n == rows->n) {
            rows_select(&few, slice);
            got = stage_write(reading->stage, reading->lane, &few, err);
        } else {
            got = err_set(err, ERR_LIMIT, "query needs too much memory");
        }
        block_close(block);
    }
    pool_free(pool);
    return got;
}

/*
 * Do the pipes read all columns, or those of a prefix, which are too many for
 * one chunk?
 */
static int
is_too_wide(struct rows *rows, bool *out, struct err *err)
{
    size_t allowed = MIN(MAX(rows->run->budget.max, WIDE_BYTES_MIN),
        WIDE_BYTES_MAX);
    struct field_pattern *patterns = NULL;
    const struct sv *names;
    uint32_t n = 0;

    *out = false;
    if (block_wide_bytes(rows->block) <= allowed / 32 ||
        rows->nselected <= block_few_rows(rows->block))
        return 0;
    if (pipes_needed(rows->run->query->pipes, rows->pool, &patterns, &n,
            out) != 0)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; !*out && i < n; i++)
        *out = patterns[i].is_prefix;
    if (!*out)
        return 0;
    /* Each event of a row has columns of its own. */
    if (rows_names(rows, &names, &n, err) != 0)
        return -1;
    *out = (uint64_t)n * rows->n * sizeof(uint32_t) > allowed / 2;
    return 0;
}

/* 1: the stage has enough.  -1, or FAILED_IN_STAGE. */
static int
block_read(const struct source_plan *plan, const struct reading *reading,
    struct block *block, struct err *err)
{
    const struct block_info *info = block_get_info(block);
    struct query_figures *figures = figures_of(plan->run);
    struct rows rows;
    int64_t start_ns;
    uint32_t found;
    bool is_wide;
    int got;

    if (!block_is_wanted(plan, block))
        return 0;
    rows_init_block(&rows, block, info->rows, reading->pool);
    rows.run = plan->run;
    if (select_rows(plan, block, &rows, err) != 0)
        return -1;
    metric_add(METRIC_QUERY_BLOCKS, 1);
    metric_add(METRIC_QUERY_ROWS, info->rows);
    figures_add(&figures->read, 1);
    figures_add(&figures->rows, info->rows);
    figures_add(&figures->found, rows.nselected);
    if (rows.nselected == 0)
        return 0;
    found = rows.nselected;
    start_ns = figures_clock(figures);
    if (is_too_wide(&rows, &is_wide, err) != 0)
        return -1;
    got = is_wide ? write_slices(reading, &rows, err) :
        stage_write(reading->stage, reading->lane, &rows, err);
    if (start_ns != 0)
        figures_stage_add(figures, 0, found, clock_mono_ns() - start_ns);
    return got < 0 ? FAILED_IN_STAGE : got;
}

/* The item is left out from here on, unless the query has to fail. */
static int
block_failed(struct work *work, const struct reading *reading, uint32_t item,
    bool in_stage, struct err *err)
{
    struct err why = *err;

    err_reset(err);
    if (scan_item_failed(&work->scan, item, &why, err) != 0)
        return -1;
    if (reading->stage != work->plan->first) {
        /* None of its rows are in the answer yet. */
        source_cached_failed(work->cached, item);
        return 0;
    }
    if (!in_stage)
        return 0;
    *err = why;
    return err_wrap(err, "damaged data, which the next query leaves out");
}

static int
block_take(struct work *work, const struct reading *reading, uint32_t i,
    struct err *err)
{
    uint32_t item = work->scan.blocks[i].item;
    struct open_block open;
    int got;

    if (work->scan.blocks[i].max_end_ns <
            atomic_load(&work->plan->run->time_bound) ||
        work->scan.blocks[i].max_duration <
            atomic_load(&work->plan->run->duration_bound)) {
        figures_add(&figures_of(work->plan->run)->late, 1);
        return 0;
    }
    got = scan_open_block(&work->scan, i, reading->pool, &open, err);
    if (got != 0) {
        if (got > 0 && reading->stage != work->plan->first)
            source_cached_failed(work->cached, item);
        return got < 0 ? -1 : 0;
    }
    got = block_read(work->plan, reading, open.block, err);
    scan_close_block(&open);
    return got >= 0 ? got : block_failed(work, reading, item,
        got == FAILED_IN_STAGE, err);
}

static int
block_next(struct work *work, unsigned lane, uint32_t i, struct pool *pool,
    struct err *err)
{
    struct reading reading = {work->plan->first, lane, pool};
    uint32_t item = work->scan.blocks[i].item;
    int got;

    if (work->cached != NULL &&
        source_cached_stage(work->cached, item, &reading.stage, err) != 0)
        return -1;
    got = block_take(work, &reading, i, err);
    if (got < 0 || reading.stage == work->plan->first)
        return got;
    return source_cached_done(work->cached, item, lane, err);
}

/* The caller's thread, of lane 0, counts for itself. */
static int IMPL(lane_fn)
lane_next(void *arg, unsigned lane, uint32_t i, struct pool *pool,
    struct err *err)
{
    struct work *work = arg;
    struct figures_lap lap;
    int got;

    if (lane == 0)
        return block_next(work, lane, i, pool, err);
    figures_lap_begin(&lap);
    got = block_next(work, lane, i, pool, err);
    figures_lap_end(figures_of(work->plan->run), &lap);
    return got;
}

/* --- all --- */

static void
count_items(const struct source_plan *plan, const struct scan *scan)
{
    struct query_figures *figures = figures_of(plan->run);

    for (uint32_t i = 0; i < scan->snapshot.n; i++)
        figures_add(scan->snapshot.items[i].kind == CATALOG_MEMTABLE
            ? &figures->memtables : &figures->parts, 1);
    figures_add(&figures->blocks, scan->nblocks);
}

static int
read_all(struct work *work, struct err *err)
{
    const struct source_plan *plan = work->plan;
    struct lanes lanes = {plan->run, plan->tasks, 0, lane_next, work};
    struct source_traces *traces = NULL;
    uint32_t nblocks;
    struct sv field;
    int rc = 0;

    if (scan_blocks(&work->scan, err) != 0)
        return -1;
    nblocks = work->scan.nblocks;
    count_items(plan, &work->scan);
    if ((plan->run->wants_longest &&
            scan_longest_first(&work->scan, err) != 0) ||
        source_cached_take(&work->cached, plan, &work->scan, err) != 0)
        return -1;
    if (stats_counts_traces(plan->first))
        rc = source_traces_take(&traces, plan, &work->scan, err);
    else
        rc = source_cells(plan, &work->scan, err);
    if (rc == 0 && uniq_takes_counts(plan->first, &field) &&
        !part_cells_have(field))
        rc = source_values(plan, &work->scan, field, err);
    if (rc == 0)
        rc = source_names(plan, &work->scan, err);
    if (rc == 0 && work->cached != NULL)
        rc = source_cached_sort(work->cached, err);
    /* Damage that is known already: before the answer begins. */
    if (atomic_load(&work->scan.is_partial))
        plan->answer->is_partial = true;
    lanes.npieces = work->scan.nblocks;
    figures_add(&figures_of(plan->run)->answered,
        nblocks - work->scan.nblocks);
    if (rc == 0)
        rc = lanes_run(&lanes, err);
    if (rc == 0 && traces != NULL)
        rc = source_traces_give(traces, err);
    source_traces_free(traces);
    return rc;
}

int
source_local(const struct source_plan *plan, struct err *err)
{
    struct work work = {.plan = plan};
    int rc;

    if (scan_begin(&work.scan, plan->min_time, plan->max_time, err) != 0)
        return -1;
    rc = read_all(&work, err);
    source_cached_free(work.cached);
    scan_end(&work.scan, plan->answer, plan->seconds);
    return rc;
}
