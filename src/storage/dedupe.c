/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Spans are sorted by id and times.  Few spans of one id are compared with
 * each other; many, which only a broken or hostile sender makes, are sorted
 * by a hash of their content first.
 */

#include "core/base.h"
#include "storage/dedupe.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * Each span is compared with so many different ones at most.  More of one
 * hash have been forged: of those a copy may then stay.
 */
#define COMPARED_MAX 8u

struct hash {
    uint8_t b[16];
};

struct hashed {
    struct hash hash;
    struct span *span;
};

struct dedupe {
    struct batch *batch;
    struct span **sorted;
    struct hash *resources; /* of each resource; NULL until one is needed */
    struct hash *scopes;
};

int
dedupe_id_cmp(const struct span *a, const struct span *b)
{
    int order = memcmp(&a->span_id, &b->span_id, sizeof(a->span_id));

    if (order == 0)
        order = (a->start_ns > b->start_ns) - (a->start_ns < b->start_ns);
    if (order == 0)
        order = (a->end_ns > b->end_ns) - (a->end_ns < b->end_ns);
    return order;
}

/* Of equal ones the first in the batch comes first. */
static int
key_cmp(const void *left, const void *right)
{
    const struct span *a = *(struct span *const *)left;
    const struct span *b = *(struct span *const *)right;
    int order = dedupe_id_cmp(a, b);

    return order != 0 ? order : (a > b) - (a < b);
}

static int
hashed_cmp(const void *left, const void *right)
{
    const struct hashed *a = left, *b = right;
    int order = memcmp(&a->hash, &b->hash, sizeof(a->hash));

    return order != 0 ? order : (a->span > b->span) - (a->span < b->span);
}

/* Marks copies of earlier ones; reorders the list. */
static void
mark_copies(const struct batch *batch, struct span **list, uint32_t n)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;

        while (k < kept && !span_equal(batch, list[k], batch, list[i]))
            k++;
        if (k < kept)
            list[i]->reject = REJECT_LARGE;
        else if (kept < COMPARED_MAX)
            list[kept++] = list[i];
    }
}

/*
 * A resource or scope can be large and have many spans, so each is hashed
 * once: as what a span without anything else would have.
 */
static int
heads_hash(struct dedupe *dedupe)
{
    struct batch *batch = dedupe->batch;
    struct resource no_resource = {0};
    struct scope no_scope = {0};
    struct span bare = {0};
    struct batch part;

    dedupe->resources = pool_alloc(batch->pool,
        batch->nresources * sizeof(*dedupe->resources));
    dedupe->scopes = pool_alloc(batch->pool,
        batch->nscopes * sizeof(*dedupe->scopes));
    if (dedupe->resources == NULL || dedupe->scopes == NULL)
        return -1;
    for (uint32_t i = 0; i < batch->nresources; i++) {
        part = (struct batch){.resources = &batch->resources[i],
            .scopes = &no_scope};
        span_hash(&part, &bare, dedupe->resources[i].b);
    }
    for (uint32_t i = 0; i < batch->nscopes; i++) {
        part = (struct batch){.resources = &no_resource,
            .scopes = &batch->scopes[i]};
        span_hash(&part, &bare, dedupe->scopes[i].b);
    }
    return 0;
}

static struct hash
content_hash(const struct dedupe *dedupe, const struct span *span)
{
    struct resource no_resource = {0};
    struct scope no_scope = {0};
    const struct batch bare = {.resources = &no_resource,
        .scopes = &no_scope};
    struct span own = *span;
    struct hash parts[3], hash;
    XXH128_canonical_t canonical;

    own.resource = own.scope = 0;
    span_hash(&bare, &own, parts[0].b);
    parts[1] = dedupe->resources[span->resource];
    parts[2] = dedupe->scopes[span->scope];
    XXH128_canonicalFromHash(&canonical,
        XXH3_128bits(parts, sizeof(parts)));
    memcpy(hash.b, canonical.digest, sizeof(hash.b));
    return hash;
}

/* Puts spans of one content next to each other and marks the copies. */
static int
mark_hashed(struct dedupe *dedupe, struct span **list, uint32_t n)
{
    struct hashed *hashed = pool_alloc(dedupe->batch->pool,
        n * sizeof(*hashed));

    if (hashed == NULL ||
        (dedupe->resources == NULL && heads_hash(dedupe) != 0))
        return -1;
    for (uint32_t i = 0; i < n; i++)
        hashed[i] = (struct hashed){content_hash(dedupe, list[i]), list[i]};
    qsort(hashed, n, sizeof(*hashed), hashed_cmp);
    for (uint32_t i = 0; i < n; i++)
        list[i] = hashed[i].span;
    for (uint32_t i = 1, first = 0; i <= n; i++) {
        if (i < n && memcmp(&hashed[first].hash, &hashed[i].hash,
            sizeof(hashed[i].hash)) == 0)
            continue;
        mark_copies(dedupe->batch, list + first, i - first);
        first = i;
    }
    return 0;
}

static int
mark_all(struct dedupe *dedupe)
{
    struct span **sorted = dedupe->sorted;
    uint32_t n = dedupe->batch->nspans, first = 0;

    for (uint32_t i = 1; i <= n; i++) {
        if (i < n && dedupe_id_cmp(sorted[first], sorted[i]) == 0)
            continue;
        if (i - first <= COMPARED_MAX)
            mark_copies(dedupe->batch, sorted + first, i - first);
        else if (mark_hashed(dedupe, sorted + first, i - first) != 0)
            return -1;
        first = i;
    }
    return 0;
}

int
spans_dedupe(struct batch *batch, struct err *err)
{
    struct dedupe dedupe = {.batch = batch};
    uint32_t kept = 0;

    if (batch->nspans < 2)
        return 0;
    dedupe.sorted = pool_alloc(batch->pool,
        batch->nspans * sizeof(*dedupe.sorted));
    if (dedupe.sorted == NULL)
        return err_set(err, ERR_LIMIT, "trace needs too much memory");
    for (uint32_t i = 0; i < batch->nspans; i++)
        dedupe.sorted[i] = &batch->spans[i];
    qsort(dedupe.sorted, batch->nspans, sizeof(*dedupe.sorted), key_cmp);
    if (mark_all(&dedupe) != 0)
        return err_set(err, ERR_LIMIT, "trace needs too much memory");
    for (uint32_t i = 0; i < batch->nspans; i++) {
        if (batch->spans[i].reject == REJECT_NONE)
            batch->spans[kept++] = batch->spans[i];
    }
    batch->nspans = kept;
    return 0;
}

static int
time_cmp(const void *left, const void *right)
{
    const struct span *a = left, *b = right;

    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return dedupe_id_cmp(a, b);
}

void
spans_sort(struct batch *batch)
{
    if (batch->nspans > 1)
        qsort(batch->spans, batch->nspans, sizeof(*batch->spans), time_cmp);
}
