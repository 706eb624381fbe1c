/* SPDX-License-Identifier: BSD-2-Clause */

/* Whole parts that are answered from their index alone. */

#include "core/base.h"
#include "query/index.h"

#include "query/lanes.h"
#include "storage/part_values.h"

bool
source_wants_all(const struct source_plan *plan,
    const struct catalog_item *item)
{
    return item->kind == CATALOG_PART &&
        item->part.min_end_ns >= plan->min_time &&
        item->part.max_end_ns <= plan->max_time &&
        filter_is_passed(plan->filter, item->part.min_end_ns,
            item->part.max_end_ns);
}

void
scan_drop_blocks(struct scan *scan, const uint8_t *fates)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < scan->nblocks; i++) {
        if (fates[scan->blocks[i].item] == FATE_SCAN)
            scan->blocks[kept++] = scan->blocks[i];
    }
    scan->nblocks = kept;
}

/* --- values of a field, or names of fields --- */

struct values {
    const struct source_plan *plan;
    struct scan *scan;
    bool is_names;
    struct sv field; /* else */
    uint8_t *fates;
    uint32_t *items; /* to be asked */
};

static int IMPL(lane_fn)
count_part(void *arg, unsigned lane, uint32_t piece, struct pool *pool,
    struct err *err)
{
    struct values *v = arg;
    const struct source_plan *plan = v->plan;
    struct part_counts counts = {.pool = pool};
    struct uniq_counts add = {.pool = pool};
    const struct memtable *mt;
    struct part *part;
    int got = scan_open_item(v->scan, v->items[piece], &mt, &part, err);

    if (got != 0) {
        v->fates[v->items[piece]] = FATE_SKIP;
        return got < 0 ? -1 : 0;
    }
    got = v->is_names ?
        part_count_fields(part, &plan->tenant, &counts, err) :
        part_count_values(part, &plan->tenant, v->field, &counts, err);
    add.texts = counts.texts;
    add.rows = counts.rows;
    add.n = counts.n;
    if (got > 0) {
        v->fates[v->items[piece]] = FATE_INDEX;
        got = v->is_names ? names_add_counts(plan->first, lane, &add, err) :
            uniq_add_counts(plan->first, lane, &add, err);
    }
    scan_close_item(part);
    return got < 0 ? -1 : 0;
}

static int
count_parts(struct values *v, struct err *err)
{
    const struct source_plan *plan = v->plan;
    struct scan *scan = v->scan;
    struct lanes lanes = {plan->run, plan->tasks, 0, count_part, v};
    uint32_t n = scan->snapshot.n;

    v->fates = pool_zalloc(scan->pool, n + 1u);
    v->items = pool_alloc(scan->pool, n * sizeof(*v->items) + 1);
    if (v->fates == NULL || v->items == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < n; i++) {
        const struct catalog_item *item = &scan->snapshot.items[i];

        /* Level 1 has no index of values. */
        if (source_wants_all(plan, item) && (v->is_names ||
            item->part.level > 1))
            v->items[lanes.npieces++] = i;
    }
    if (lanes_run(&lanes, err) != 0)
        return -1;
    scan_drop_blocks(scan, v->fates);
    return 0;
}

int
source_values(const struct source_plan *plan, struct scan *scan,
    struct sv field, struct err *err)
{
    struct values v = {plan, scan, false, field, NULL, NULL};

    return count_parts(&v, err);
}

int
source_names(const struct source_plan *plan, struct scan *scan,
    struct err *err)
{
    struct values v = {plan, scan, true, SV_EMPTY, NULL, NULL};

    return names_takes_counts(plan->first) ? count_parts(&v, err) : 0;
}
