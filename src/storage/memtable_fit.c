/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Does a span fit an empty memtable?  Nearly every span is so small that its
 * size in bytes answers; the others are counted as memtable_write.c would
 * write them, each table's use rounded up.  Only when that is too much are
 * distinct keys and shapes counted, since many events with the same few keys
 * do fit.
 */

#include "core/base.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"

#include "core/pool.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * A span that was sent in so few bytes takes at most 14 times as many here
 * (an empty link: 2 bytes and 7 words), 1/3 as many keys and 1/8 as many
 * shapes: a small part of each capacity.
 */
#define SMALL_SPAN_BYTES (64 * KIB)
#define SMALL_SPAN_HEAP (16 * SMALL_SPAN_BYTES)
#define SMALL_SPAN_KEYS (SMALL_SPAN_BYTES / 3)
#define SMALL_SPAN_SHAPES (SMALL_SPAN_BYTES / 8)
#define SMALL_SPAN_STRINGS (SMALL_SPAN_BYTES / 2)

/* Most fields that a list of each kind can have. */
#define SPAN_FIELDS 7
#define RESOURCE_FIELDS 2
#define SCOPE_FIELDS 6
#define EVENT_FIELDS 1
#define LINK_FIELDS 3

struct cost {
    uint64_t heap;    /* bytes */
    uint64_t strings; /* without those of the keys */
    uint64_t attrs;   /* at most so many keys */
    uint64_t lists;   /* at most so many shapes */
    uint64_t longest; /* list */
};

static void
cost_text(struct cost *cost, struct sv text)
{
    cost->heap += text.len;
    cost->strings += text.len > 0;
}

/* A list with all its fields, as if its shape and keys were new. */
static void
cost_list(struct cost *cost, struct attrs attrs, uint32_t fields)
{
    uint64_t n = (uint64_t)attrs.n + fields;

    cost->heap += n * 3 * sizeof(uint32_t) + 3;
    cost->lists++;
    cost->attrs += attrs.n;
    cost->longest = MAX(cost->longest, attrs.n);
    for (uint32_t i = 0; i < attrs.n; i++) {
        const struct value *value = &attrs.v[i].value;

        cost->heap += attrs.v[i].key.len;
        if (value->type == VALUE_STRING || value->type >= VALUE_BYTES)
            cost_text(cost, value->str);
    }
}

static struct cost
cost_of_resource(const struct resource *resource)
{
    struct cost cost = {0};

    cost_list(&cost, resource->attrs, RESOURCE_FIELDS);
    cost_text(&cost, resource->service);
    cost_text(&cost, resource->schema_url);
    return cost;
}

static struct cost
cost_of_scope(const struct scope *scope)
{
    struct cost cost = {0};

    cost_list(&cost, scope->attrs, SCOPE_FIELDS);
    cost_text(&cost, scope->name);
    cost_text(&cost, scope->version);
    cost_text(&cost, scope->schema_url);
    cost_text(&cost, scope->stream_fields);
    cost_text(&cost, scope->extra_fields);
    return cost;
}

static struct cost
cost_of_span(const struct span *span)
{
    struct cost cost = {0};

    cost_list(&cost, span->attrs, SPAN_FIELDS);
    cost_text(&cost, span->name);
    cost_text(&cost, span->trace_state);
    cost_text(&cost, span->status_message);
    cost.heap += 2 * sizeof(uint32_t);
    for (uint32_t i = 0; i < span->nevents; i++) {
        cost.heap += 4 * sizeof(uint32_t);
        cost_text(&cost, span->events[i].name);
        cost_list(&cost, span->events[i].attrs, EVENT_FIELDS);
    }
    for (uint32_t i = 0; i < span->nlinks; i++) {
        cost.heap += 7 * sizeof(uint32_t);
        cost_text(&cost, span->links[i].trace_state);
        cost_list(&cost, span->links[i].attrs, LINK_FIELDS);
    }
    return cost;
}

static void
cost_add(struct cost *to, const struct cost *cost)
{
    to->heap += cost->heap;
    to->strings += cost->strings;
    to->attrs += cost->attrs;
    to->lists += cost->lists;
    to->longest = MAX(to->longest, cost->longest);
}

/* --- distinct keys and shapes --- */

struct hashes {
    uint64_t *v;
    size_t n;
};

static int
compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static size_t
count_distinct(struct hashes *hashes)
{
    size_t n = 0;

    qsort(hashes->v, hashes->n, sizeof(hashes->v[0]), compare_u64);
    for (size_t i = 0; i < hashes->n; i++)
        n += i == 0 || hashes->v[i] != hashes->v[i - 1];
    return n;
}

/* fields: what else tells the shape of this list from others. */
static void
hash_list(struct hashes *keys, struct hashes *shapes, enum key_scope scope,
    struct attrs attrs, uint32_t fields)
{
    uint64_t shape = (uint64_t)scope << 32 | fields;

    for (uint32_t i = 0; i < attrs.n; i++) {
        struct sv key = attrs.v[i].key;
        uint64_t hash = XXH3_64bits_withSeed(key.ptr, key.len, scope);
        uint64_t pair[2] = {shape, hash + attrs.v[i].value.type};

        keys->v[keys->n++] = hash;
        shape = XXH3_64bits(pair, sizeof(pair));
    }
    shapes->v[shapes->n++] = shape;
}

static void
hash_span(struct hashes *keys, struct hashes *shapes, const struct span *span)
{
    hash_list(keys, shapes, KEY_SPAN, span->attrs, 0);
    for (uint32_t i = 0; i < span->nevents; i++) {
        const struct span_event *event = &span->events[i];

        hash_list(keys, shapes, KEY_EVENT, event->attrs,
            event->dropped_attrs != 0);
    }
    for (uint32_t i = 0; i < span->nlinks; i++) {
        const struct span_link *link = &span->links[i];

        hash_list(keys, shapes, KEY_LINK, link->attrs,
            (link->dropped_attrs != 0) | (link->flags != 0) << 1 |
            (link->trace_state.len != 0) << 2);
    }
}

/* Replaces the span's share of attrs and lists by distinct ones. */
static bool
refine(struct batch *batch, const struct span *span, struct cost *cost)
{
    struct hashes keys = {NULL, 0}, shapes = {NULL, 0};

    keys.v = pool_alloc(batch->pool, (cost->attrs + 1) * sizeof(uint64_t));
    shapes.v = pool_alloc(batch->pool, (cost->lists + 1) * sizeof(uint64_t));
    if (keys.v == NULL || shapes.v == NULL)
        return false;
    hash_span(&keys, &shapes, span);
    cost->attrs = count_distinct(&keys);
    cost->lists = count_distinct(&shapes);
    return true;
}

/* --- fits --- */

static bool
fits(const struct cost *cost)
{
    /* A sixteenth is left for what every memtable has. */
    return cost->heap <= MEMTABLE_HEAP_BYTES / 16 * 15 &&
        cost->strings + cost->attrs <= MEMTABLE_STRINGS_MAX / 16 * 15 &&
        cost->attrs <= MEMTABLE_KEYS_MAX / 16 * 15 &&
        cost->lists <= MEMTABLE_SHAPES_MAX / 16 * 15 &&
        cost->longest <= MEMTABLE_LIST_MAX - FIELD_KEYS;
}

/* around: of resource and scope. */
static bool
span_fits(struct batch *batch, const struct span *span,
    const struct cost *around)
{
    struct cost all, cost = {
        .heap = SMALL_SPAN_HEAP,
        .strings = SMALL_SPAN_STRINGS,
        .attrs = SMALL_SPAN_KEYS,
        .lists = SMALL_SPAN_SHAPES,
    };

    all = *around;
    if (span->bytes <= SMALL_SPAN_BYTES) {
        cost_add(&all, &cost);
        if (fits(&all))
            return true;
        all = *around;
    }
    cost = cost_of_span(span);
    cost_add(&all, &cost);
    if (fits(&all))
        return true;
    if (all.heap > MEMTABLE_HEAP_BYTES)
        return false;
    all = *around;
    if (!refine(batch, span, &cost))
        return false;
    cost_add(&all, &cost);
    return fits(&all);
}

void
memtable_reject_oversize(struct batch *batch)
{
    uint32_t resource = UINT32_MAX, scope = UINT32_MAX;
    struct cost around = {0}, of_resource = {0}, of_scope = {0};

    for (uint32_t i = 0; i < batch->nspans; i++) {
        const struct span *span = &batch->spans[i];

        if (span->reject != REJECT_NONE)
            continue;
        if (span->resource != resource || span->scope != scope) {
            if (span->resource != resource)
                of_resource = cost_of_resource(
                    &batch->resources[span->resource]);
            if (span->scope != scope)
                of_scope = cost_of_scope(&batch->scopes[span->scope]);
            resource = span->resource;
            scope = span->scope;
            around = of_resource;
            cost_add(&around, &of_scope);
        }
        if (!span_fits(batch, span, &around))
            batch_reject(batch, i, REJECT_LARGE);
    }
}
