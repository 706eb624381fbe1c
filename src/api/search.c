/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The newest traces of a search.  hits is a heap with the worst hit first,
 * so that a better one replaces it; a hash table finds the hit of a trace
 * that was seen before, which then only moves down the heap.
 *
 * Of two hits the one that ends later is better, of two that end together
 * the one with the smaller id, so the answer does not depend on the order in
 * which rows are offered.
 */

#include "core/base.h"
#include "api/search.h"

#include "core/assert.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sys.h"
#include "core/timefmt.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* More traces than any answer may hold. */
#define SEARCH_LIMIT_MAX 1000000u

/* Chained hash table; entry i belongs to the heap's position pos[i]. */
struct search_index {
    uint64_t seed;
    uint32_t mask;
    uint32_t *buckets; /* entry + 1 */
    uint32_t *next;    /* entry + 1, by entry */
    uint32_t *pos;     /* by entry */
    uint32_t *entry;   /* by position in the heap */
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "the search has no memory for its hits");
}

int
search_init(struct search *search, struct err *err)
{
    struct search_index *index;
    size_t n = search->limit, buckets = 16;

    if (search->limit > SEARCH_LIMIT_MAX)
        return err_set(err, ERR_LIMIT, "a search finds at most %u traces",
            SEARCH_LIMIT_MAX);
    while (buckets < 2 * n)
        buckets *= 2;
    search->nhits = 0;
    search->hits = pool_alloc(search->pool, (n + 1) * sizeof(*search->hits));
    search->index = index = pool_zalloc(search->pool, sizeof(*index));
    if (search->hits == NULL || index == NULL)
        return no_memory(err);
    index->mask = (uint32_t)buckets - 1;
    index->buckets = pool_zalloc(search->pool, buckets * sizeof(uint32_t));
    index->next = pool_alloc(search->pool, (n + 1) * sizeof(uint32_t));
    index->pos = pool_alloc(search->pool, (n + 1) * sizeof(uint32_t));
    index->entry = pool_alloc(search->pool, (n + 1) * sizeof(uint32_t));
    if (index->buckets == NULL || index->next == NULL ||
        index->pos == NULL || index->entry == NULL)
        return no_memory(err);
    check(sys.random(&index->seed, sizeof(index->seed)) == 0);
    return 0;
}

/* --- order --- */

static bool
is_worse(const struct search_hit *a, const struct search_hit *b)
{
    if (a->end_ns != b->end_ns)
        return a->end_ns < b->end_ns;
    return memcmp(&a->id, &b->id, sizeof(a->id)) > 0;
}

static void
put(struct search *search, uint32_t pos, const struct search_hit *hit,
    uint32_t entry)
{
    struct search_index *index = search->index;

    search->hits[pos] = *hit;
    index->entry[pos] = entry;
    index->pos[entry] = pos;
}

static void
move_up(struct search *search, uint32_t pos)
{
    struct search_index *index = search->index;
    struct search_hit hit = search->hits[pos];
    uint32_t entry = index->entry[pos];

    while (pos > 0 && is_worse(&hit, &search->hits[(pos - 1) / 2])) {
        uint32_t parent = (pos - 1) / 2;

        put(search, pos, &search->hits[parent], index->entry[parent]);
        pos = parent;
    }
    put(search, pos, &hit, entry);
}

static void
move_down(struct search *search, uint32_t pos)
{
    struct search_index *index = search->index;
    struct search_hit hit = search->hits[pos];
    uint32_t entry = index->entry[pos];

    for (;;) {
        uint32_t child = 2 * pos + 1;

        if (child + 1 < search->nhits &&
            is_worse(&search->hits[child + 1], &search->hits[child]))
            child++;
        if (child >= search->nhits || !is_worse(&search->hits[child], &hit))
            break;
        put(search, pos, &search->hits[child], index->entry[child]);
        pos = child;
    }
    put(search, pos, &hit, entry);
}

/* --- hits by id --- */

static uint32_t *
bucket_of(const struct search_index *index, const struct trace_id *id)
{
    uint64_t hash = XXH3_64bits_withSeed(id, sizeof(*id), index->seed);

    return &index->buckets[(uint32_t)hash & index->mask];
}

/* Position in the heap, or nhits. */
static uint32_t
find(const struct search *search, const struct trace_id *id)
{
    const struct search_index *index = search->index;
    uint32_t at = *bucket_of(index, id);

    for (; at != 0; at = index->next[at - 1]) {
        uint32_t pos = index->pos[at - 1];

        if (memcmp(&search->hits[pos].id, id, sizeof(*id)) == 0)
            return pos;
    }
    return search->nhits;
}

static void
link_entry(struct search_index *index, uint32_t entry,
    const struct trace_id *id)
{
    uint32_t *bucket = bucket_of(index, id);

    index->next[entry] = *bucket;
    *bucket = entry + 1;
}

static void
unlink_entry(struct search_index *index, uint32_t entry,
    const struct trace_id *id)
{
    uint32_t *at = bucket_of(index, id);

    while (*at != entry + 1)
        at = &index->next[*at - 1];
    *at = index->next[entry];
}

static void
insert(struct search *search, const struct search_hit *hit)
{
    uint32_t pos = search->nhits++;

    put(search, pos, hit, pos);
    link_entry(search->index, pos, &hit->id);
    move_up(search, pos);
}

static void
replace_worst(struct search *search, const struct search_hit *hit)
{
    struct search_index *index = search->index;
    uint32_t entry = index->entry[0];

    unlink_entry(index, entry, &search->hits[0].id);
    put(search, 0, hit, entry);
    link_entry(index, entry, &hit->id);
    move_down(search, 0);
}

void
search_offer(struct search *search, const struct trace_id *id,
    int64_t end_ns)
{
    struct search_hit hit = {*id, end_ns};
    uint32_t pos;

    if (search->limit == 0)
        return;
    /* What is worse than the worst changes nothing, seen before or not. */
    if (search->nhits == search->limit && is_worse(&hit, &search->hits[0]))
        return;
    pos = find(search, id);
    if (pos < search->nhits) {
        if (search->hits[pos].end_ns < end_ns) {
            search->hits[pos].end_ns = end_ns;
            move_down(search, pos);
        }
    } else if (search->nhits < search->limit) {
        insert(search, &hit);
    } else {
        replace_worst(search, &hit);
    }
}

bool
search_is_settled(const struct search *search, int64_t end_ns)
{
    if (search->nhits < search->limit)
        return false;
    return search->limit == 0 || end_ns < search->hits[0].end_ns;
}

static int
compare_hits(const void *a, const void *b)
{
    if (is_worse(a, b))
        return 1;
    return is_worse(b, a) ? -1 : 0;
}

void
search_finish(struct search *search)
{
    if (search->nhits > 1)
        qsort(search->hits, search->nhits, sizeof(*search->hits),
            compare_hits);
}

int
search_poll(const struct search *search, struct err *err)
{
    if (search->cancel != NULL &&
        atomic_load_explicit(search->cancel, memory_order_relaxed))
        return err_set(err, ERR_CANCELLED, "the search was cancelled");
    if (search->deadline_ns != 0 && clock_mono_ns() > search->deadline_ns)
        return err_set(err, ERR_TIMEOUT, "the search took too long");
    return 0;
}
