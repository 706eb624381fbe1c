/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * count_uniq(trace_id) from the indexes of parts: those are walked side by
 * side, then the ids of the traces that may be in two places are read.
 * Memtables and parts that cannot be asked give their rows before that, and
 * their ids take part in the walk.
 */

#include "core/base.h"
#include "query/index.h"

#include "core/mem.h"
#include "query/lanes.h"
#include "storage/trace_union.h"

/* Snapshot items, arrays of parts. */
#define POOL_BYTES_MAX (256 * MIB)

struct lane_candidates {
    struct hold_array v; /* struct trace_candidate */
    uint32_t n;
    struct hold hold;
};

/* Candidates of one block of a part. */
struct candidate_run {
    uint32_t first, n;
};

struct source_traces {
    const struct source_plan *plan;
    struct scan *scan;
    struct pool *pool;
    struct trace_member *members; /* open; items of the snapshot */
    uint32_t n;
    struct trace_union u;
    struct lane_candidates lanes[QUERY_LANES_MAX];
    struct trace_candidate *candidates;
    struct candidate_run *runs;
    uint32_t nruns;
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* --- taking parts --- */

static int
open_item(struct source_traces *t, uint32_t i, enum fate *fate,
    struct err *err)
{
    const struct catalog_item *item = &t->scan->snapshot.items[i];
    const struct memtable *mt;
    struct part *part;
    int got;

    *fate = FATE_SCAN;
    if (t->n == TRACE_UNION_PARTS_MAX || !source_wants_all(t->plan, item))
        return 0;
    got = scan_open_item(t->scan, i, &mt, &part, err);
    if (got != 0) {
        *fate = FATE_SKIP;
        return got < 0 ? -1 : 0;
    }
    switch (trace_union_part(part, &t->plan->tenant)) {
    case TRACE_UNION_ALL:
        t->members[t->n++] = (struct trace_member){part, i};
        *fate = FATE_INDEX;
        return 0;
    case TRACE_UNION_NONE:
        *fate = FATE_SKIP;
        break;
    default:
        break;
    }
    scan_close_item(part);
    return 0;
}

static int
take(struct source_traces *t, struct err *err)
{
    uint32_t n = t->scan->snapshot.n, nopen;
    uint8_t *fates = pool_zalloc(t->pool, n + 1u);

    t->members = pool_alloc(t->pool, n * sizeof(*t->members) + 1);
    if (fates == NULL || t->members == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        enum fate fate;

        if (open_item(t, i, &fate, err) != 0)
            return -1;
        fates[i] = (uint8_t)fate;
    }
    nopen = t->n;
    trace_union_init(&t->u, t->members, nopen, &t->plan->tenant);
    t->n = t->u.n;
    for (uint32_t i = t->n; i < nopen; i++) {
        fates[t->members[i].item] = FATE_SCAN;
        scan_close_item(t->members[i].part);
    }
    scan_drop_blocks(t->scan, fates);
    return 0;
}

int
source_traces_take(struct source_traces **out,
    const struct source_plan *plan, struct scan *scan, struct err *err)
{
    struct source_traces *t = *out = xcalloc(1, sizeof(*t));

    t->plan = plan;
    t->scan = scan;
    t->pool = pool_new(POOL_BYTES_MAX);
    pool_share(t->pool, plan->run->budget.share);
    for (unsigned i = 0; i < QUERY_LANES_MAX; i++)
        hold_init(&t->lanes[i].hold, &plan->run->budget);
    return take(t, err);
}

void
source_traces_free(struct source_traces *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; i < t->n; i++)
        scan_close_item(t->members[i].part);
    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        hold_drop(&t->lanes[i].hold, &t->lanes[i].v,
            sizeof(struct trace_candidate));
        hold_free(&t->lanes[i].hold);
    }
    pool_free(t->pool);
    xfree(t);
}

/* --- ids of rows --- */

static uint32_t
copy_ids(const struct id_set *set, struct trace_id *ids)
{
    uint32_t n = 0;

    for (size_t i = 0; i < id_set_slots(set); i++) {
        if ((set->slots[i].lo | set->slots[i].hi) != 0)
            memcpy(&ids[n++], &set->slots[i], sizeof(*ids));
    }
    return n;
}

/* An id that two lanes have is there twice, which does not matter. */
static int
add_ids(struct source_traces *t, struct err *err)
{
    const struct stage *first = t->plan->first;
    struct trace_id *ids;
    uint64_t total = 0;
    uint32_t n = 0;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        const struct id_set *set = stats_traces(first, i);

        total += set == NULL ? 0 : set->n;
    }
    if (total == 0)
        return 0;
    if (total > UINT32_MAX)
        return no_memory(err);
    ids = pool_alloc(t->pool, total * sizeof(*ids));
    if (ids == NULL)
        return no_memory(err);
    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        const struct id_set *set = stats_traces(first, i);

        n += set == NULL ? 0 : copy_ids(set, ids + n);
    }
    return trace_union_add_ids(&t->u, ids, n, t->pool, err);
}

/* --- the walk --- */

/* The part has been counted in part already. */
static int
part_failed(struct source_traces *t, uint32_t member,
    const struct err *part_err, struct err *err)
{
    if (part_err->code == ERR_CORRUPT && member < t->n &&
        scan_item_failed(t->scan, t->members[member].item, part_err, err) == 0) {
        *err = *part_err;
        return err_wrap(err, "damaged data, which the next query leaves out");
    }
    *err = *part_err;
    return -1;
}

static int IMPL(lane_fn)
walk_piece(void *arg, unsigned lane_number, uint32_t piece,
    struct pool *pool, struct err *err)
{
    struct source_traces *t = arg;
    struct lane_candidates *lane = &t->lanes[lane_number];
    struct err part_err = ERR_INIT;
    struct uniq_ids add = {NULL, 0, 0};
    struct trace_walk walk;

    if (trace_union_walk(&t->u, piece, pool, &walk, &part_err) != 0)
        return part_failed(t, walk.bad, &part_err, err);
    if (walk.ncandidates > 0) {
        if (hold_grow_raw(&lane->hold, &lane->v,
                (size_t)lane->n + walk.ncandidates,
                sizeof(struct trace_candidate), err) != 0)
            return -1;
        memcpy((struct trace_candidate *)lane->v.items + lane->n,
            walk.candidates, walk.ncandidates * sizeof(*walk.candidates));
        lane->n += walk.ncandidates;
    }
    add.unique = walk.unique;
    return stats_add_traces(t->plan->first, lane_number, &add, err);
}

/* --- candidates --- */

/* By part and block: counted, then put into place. */
static int
sort_candidates(struct source_traces *t, struct err *err)
{
    uint32_t *first, *at, nblocks = 0;
    uint64_t n = 0;

    first = pool_alloc(t->pool, (t->n + 1) * sizeof(*first));
    if (first == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < t->n; i++) {
        first[i] = nblocks;
        nblocks += part_get_info(t->members[i].part)->nblocks;
    }
    for (unsigned i = 0; i < QUERY_LANES_MAX; i++)
        n += t->lanes[i].n;
    at = pool_zalloc(t->pool, (nblocks + 2) * sizeof(*at));
    t->runs = pool_alloc(t->pool, nblocks * sizeof(*t->runs) + 1);
    t->candidates = n > UINT32_MAX ? NULL : pool_alloc(t->pool,
        n * sizeof(*t->candidates) + 1);
    if (at == NULL || t->runs == NULL || t->candidates == NULL)
        return no_memory(err);
    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        const struct trace_candidate *v = t->lanes[i].v.items;

        for (uint32_t k = 0; k < t->lanes[i].n; k++)
            at[first[v[k].member] + v[k].block + 2]++;
    }
    for (uint32_t i = 2; i <= nblocks + 1; i++)
        at[i] += at[i - 1];
    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        const struct trace_candidate *v = t->lanes[i].v.items;

        for (uint32_t k = 0; k < t->lanes[i].n; k++)
            t->candidates[at[first[v[k].member] + v[k].block + 1]++] = v[k];
    }
    for (uint32_t i = 0; i < nblocks; i++) {
        if (at[i] < at[i + 1])
            t->runs[t->nruns++] = (struct candidate_run){at[i],
                at[i + 1] - at[i]};
    }
    return 0;
}

static int IMPL(lane_fn)
read_run(void *arg, unsigned lane, uint32_t piece, struct pool *pool,
    struct err *err)
{
    struct source_traces *t = arg;
    const struct candidate_run *run = &t->runs[piece];
    const struct trace_candidate *candidates = &t->candidates[run->first];
    struct trace_id *ids = pool_alloc(pool, run->n * sizeof(*ids));
    struct key128 *keys = pool_alloc(pool, run->n * sizeof(*keys));
    struct err part_err = ERR_INIT;
    struct uniq_ids add = {keys, run->n, 0};

    if (ids == NULL || keys == NULL)
        return no_memory(err);
    if (trace_union_ids(&t->u, candidates, run->n, ids, &part_err) != 0)
        return part_failed(t, candidates[0].member, &part_err, err);
    for (uint32_t i = 0; i < run->n; i++)
        memcpy(&keys[i], &ids[i], sizeof(keys[i]));
    return stats_add_traces(t->plan->first, lane, &add, err);
}

int
source_traces_give(struct source_traces *t, struct err *err)
{
    const struct source_plan *plan = t->plan;
    struct lanes walk = {plan->run, plan->tasks, trace_union_pieces(&t->u),
        walk_piece, t};
    struct lanes read = {plan->run, plan->tasks, 0, read_run, t};

    if (t->n == 0)
        return 0;
    if (add_ids(t, err) != 0 || lanes_run(&walk, err) != 0 ||
        sort_candidates(t, err) != 0)
        return -1;
    read.npieces = t->nruns;
    return lanes_run(&read, err);
}
