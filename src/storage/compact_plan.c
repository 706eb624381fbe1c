/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/compact_plan.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/pool.h"
#include "core/timefmt.h"
#include "storage/catalog.h"
#include "storage/compact_choice.h"
#include "storage/shared.h"

/* All entries of a full catalogue. */
#define SNAPSHOT_BYTES_MAX (128 * MIB)

/* When a part that is not final was seen first, by rising id. */
struct seen {
    uint64_t id;
    int64_t since_ns;
};

static struct {
    struct seen *v;
    size_t n;
} seen;

/* One look at the catalogue. */
struct look {
    const struct catalog_item *items;
    struct compact_part *parts; /* day after day */
    size_t nparts;
    struct seen *seen;          /* those of this look */
    size_t nseen;
    int64_t now_ns;
    uint64_t pending, pending_rows;
};

void
plan_start(void)
{
    /* A predecessor's that was under way begins again. */
    for (unsigned i = 0; i < FORCES_MAX; i++) {
        uint32_t expected = FORCE_RUNS;

        atomic_compare_exchange_strong(&compact_state->forces[i].state,
            &expected, FORCE_WAITS);
    }
}

void
plan_stop(void)
{
    xfree(seen.v);
    memset(&seen, 0, sizeof(seen));
}

/* --- what there is --- */

static int
seen_cmp(const void *left, const void *right)
{
    const struct seen *a = left, *b = right;

    return (a->id > b->id) - (a->id < b->id);
}

static int64_t
seen_age(struct look *look, uint64_t id)
{
    struct seen key = {id, look->now_ns};
    const struct seen *old = seen.n == 0 ? NULL :
        bsearch(&key, seen.v, seen.n, sizeof(key), seen_cmp);

    look->seen[look->nseen++] = old != NULL ? *old : key;
    return old != NULL ? look->now_ns - old->since_ns : 0;
}

/* This look's dates are what the next one remembers. */
static void
seen_keep(struct look *look)
{
    if (look->nseen > 1)
        qsort(look->seen, look->nseen, sizeof(*look->seen), seen_cmp);
    xfree(seen.v);
    seen.v = look->seen;
    seen.n = look->nseen;
}

static bool
item_may_merge(const struct catalog_item *item)
{
    return item->kind == CATALOG_PART &&
        (item->flags & (CATALOG_BAD | CATALOG_UNMERGED |
        CATALOG_DOUBT | CATALOG_OFFLINE)) == 0;
}

static int
item_cmp(const void *left, const void *right)
{
    const struct catalog_item *a = left, *b = right;

    return (a->part.day > b->part.day) - (a->part.day < b->part.day);
}

static void
look_take(struct look *look, struct catalog_snapshot *snapshot)
{
    if (snapshot->n > 1)
        qsort(snapshot->items, snapshot->n, sizeof(*snapshot->items),
            item_cmp);
    look->items = snapshot->items;
    look->now_ns = clock_mono_ns();
    look->parts = xcalloc(snapshot->n + 1, sizeof(*look->parts));
    look->seen = xcalloc(snapshot->n + 1, sizeof(*look->seen));
    for (uint32_t i = 0; i < snapshot->n; i++) {
        const struct catalog_item *item = &snapshot->items[i];
        const struct part_info *info = &item->part;
        struct compact_part *part = &look->parts[look->nparts];

        if (!item_may_merge(item))
            continue;
        *part = (struct compact_part){.id = info->id, .level = info->level,
            .ntraces = info->ntraces, .rows = info->rows,
            .min_end_ns = info->min_end_ns,
            .is_suspect = blame_points(info->id) >= BLAME_SUSPECT,
            .item = i};
        if (info->level == 1)
            part->age_ns = seen_age(look, info->id);
        look->nparts++;
    }
    seen_keep(look);
}

static uint32_t
part_day(const struct look *look, size_t i)
{
    return look->items[look->parts[i].item].part.day;
}

/* The parts of one day from *at on; false behind the last. */
static bool
day_next(const struct look *look, size_t *at, struct compact_day *day)
{
    size_t first = *at, end = first;

    while (end < look->nparts && part_day(look, end) == part_day(look, first))
        end++;
    *at = end;
    memset(day, 0, sizeof(*day));
    day->parts = look->parts + first;
    day->n = end - first;
    return day->n > 0;
}

static bool
day_is_closed(uint32_t day)
{
    return clock_wall_ns() - time_day_start(day) >
        NS_PER_DAY + COMPACT_CLOSED_NS;
}

/* --- what to do --- */

static void
job_fill(struct compact_job *job, const struct look *look,
    const struct compact_day *day, const uint32_t *chosen, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct catalog_item *item =
            &look->items[day->parts[chosen[i]].item];

        job->infos[i] = item->part;
        job->entries[i] = item->entry;
        job->day = item->part.day;
    }
    job->ninputs = n;
}

static bool
force_wants(const struct force *force, uint32_t day)
{
    char name[FORCE_PREFIX_MAX + 1];

    snprintf(name, sizeof(name), "%08u", day % 100000000u);
    return strncmp(name, force->prefix, strlen(force->prefix)) == 0;
}

/* What has been asked for first, day after day. */
static bool
plan_forced(struct compact_job *job, const struct look *look,
    struct force *force)
{
    uint32_t chosen[MERGE_INPUTS_MAX];
    struct compact_day day;
    size_t at = 0, n = 0;

    if (atomic_load(&force->state) == FORCE_WAITS) {
        force->below_id = shared_new_part_id();
        atomic_store(&force->state, FORCE_RUNS);
    }
    while (n == 0 && day_next(look, &at, &day)) {
        if (!force_wants(force, part_day(look, at - 1)) ||
            partition_state(part_day(look, at - 1)) != PARTITION_OPEN)
            continue;
        day.forced_ids = force->below_id;
        n = compact_choose(&day, chosen);
    }
    if (n == 0) {
        log_info("forced merge of \"%s\" is done", force->prefix);
        atomic_store(&force->state, FORCE_FREE);
        return false;
    }
    job_fill(job, look, &day, chosen, n);
    return true;
}

/* The merge that takes the most parts away. */
static bool
plan_usual(struct compact_job *job, const struct look *look)
{
    uint32_t chosen[MERGE_INPUTS_MAX];
    struct compact_day day;
    size_t at = 0, n;

    job->ninputs = 0;
    while (day_next(look, &at, &day)) {
        uint32_t number = part_day(look, at - 1);

        if (partition_state(number) != PARTITION_OPEN)
            continue;
        day.is_closed = day_is_closed(number);
        day.is_pressed = look->pending >= PLAN_PRESSED_PARTS;
        n = compact_choose(&day, chosen);
        if (n > job->ninputs)
            job_fill(job, look, &day, chosen, n);
    }
    return job->ninputs > 0;
}

static void
count_pending(struct look *look)
{
    struct compact_day day;
    size_t at = 0;

    while (day_next(look, &at, &day)) {
        uint64_t rows;

        look->pending += compact_pending(&day, &rows);
        look->pending_rows += rows;
    }
    atomic_store(&compact_state->pending, (uint32_t)look->pending);
    metric_set(METRIC_MERGE_PENDING_PARTS, (int64_t)look->pending);
    metric_set(METRIC_MERGE_PENDING_ROWS, (int64_t)look->pending_rows);
}

static bool
plan_look(struct compact_job *job, struct look *look)
{
    bool found = false;

    count_pending(look);
    if (job == NULL)
        return false;
    for (unsigned i = 0; i < FORCES_MAX; i++) {
        struct force *force = &compact_state->forces[i];

        if (!found && atomic_load(&force->state) >= FORCE_WAITS)
            found = plan_forced(job, look, force);
    }
    return found || plan_usual(job, look);
}

int
plan_merge(struct compact_job *job, struct err *err)
{
    struct pool *pool = pool_new(SNAPSHOT_BYTES_MAX);
    struct catalog_snapshot snapshot;
    struct look look;
    bool found;

    if (catalog_snapshot_take(&snapshot, pool, INT64_MIN, INT64_MAX,
        err) != 0) {
        pool_free(pool);
        return -1;
    }
    memset(&look, 0, sizeof(look));
    look_take(&look, &snapshot);
    catalog_snapshot_release(&snapshot);
    found = plan_look(job, &look);
    xfree(look.parts);
    pool_free(pool);
    return found ? 1 : 0;
}
