/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Verifying a part: EDGES says what the rows of a block say.  Both are summed
 * up to numbers that do not depend on the order, each pair of services with a
 * factor of its own.
 */

#include "core/base.h"
#include "storage/part_check.h"

#include "storage/block.h"
#include "storage/edges.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct sums {
    uint64_t calls;
    uint64_t errors;
    uint64_t durations;
};

static int
add_edge(const struct edge *edge, void *arg, UNUSED struct err *err)
{
    struct sums *sums = arg;
    uint64_t hash = XXH3_64bits(edge->parent.ptr, edge->parent.len);

    hash = XXH3_64bits_withSeed(edge->child.ptr, edge->child.len, hash) | 1;
    sums->calls += edge->calls * hash;
    sums->errors += edge->errors * hash;
    sums->durations += (uint64_t)edge->duration_ns * hash;
    return 0;
}

static int
sum_rows(struct reading *r, const struct tenant *tenant, struct pool *pool,
    const struct edge_visit *visit)
{
    struct block *block;
    int rc;

    pool_reset(pool);
    if (block_open_part(&block, r->part, r->block_idx, pool, r->err) != 0)
        return -1;
    rc = block_visit_edges(block, tenant, visit, r->err);
    block_close(block);
    return rc;
}

int
part_check_edges(struct reading *r, struct pool *pool)
{
    for (uint32_t i = 0; i < r->part->ntenants; i++) {
        const struct tenant *tenant = &r->part->tenants[i];
        struct sums want = {0, 0, 0}, got = {0, 0, 0};
        struct edge_visit visit = {.fn = add_edge, .arg = &want,
            .min_end_ns = INT64_MIN, .max_end_ns = INT64_MAX};
        int rc = part_visit_edges(r->part, r->block_idx, tenant, &visit,
            r->err);

        if (rc <= 0)
            return rc;
        visit.arg = &got;
        if (sum_rows(r, tenant, pool, &visit) != 0)
            return -1;
        if (memcmp(&want, &got, sizeof(want)) != 0)
            return reading_corrupt(r, "EDGES is not what the rows say");
    }
    return 0;
}
