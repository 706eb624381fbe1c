/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/sort_rows.h"

#include "core/mem.h"
#include "core/num.h"
#include "query/msort.h"

/* Merging lanes and giving rows on. */
struct output {
    struct stage_sort *mine;
    struct hold hold;
    struct keys names;        /* of columns */
    struct hold_array stamps; /* uint32_t per name: chunk it is used in */
    struct hold_array places; /* uint32_t per name: column of the chunk */
    struct sv *columns;       /* names of the chunk */
    uint32_t ncolumns;
    uint32_t columns_cap;
    uint32_t chunk;
    bool is_done;
};

/* --- one chunk --- */

static int
place_name(struct output *out, struct sv name, uint32_t *id,
    struct err *err)
{
    uint32_t *stamps;
    struct sv copy;

    if (keys_find(&out->names, &name, id, err) != 0 ||
        hold_grow(&out->hold, &out->stamps, (size_t)*id + 1,
            sizeof(uint32_t), err) != 0 ||
        hold_grow(&out->hold, &out->places, (size_t)*id + 1,
            sizeof(uint32_t), err) != 0)
        return -1;
    stamps = out->stamps.items;
    if (stamps[*id] == out->chunk)
        return 0;
    if (out->ncolumns == out->columns_cap) {
        out->columns_cap = MAX(2 * out->columns_cap, 64u);
        out->columns = xrealloc(out->columns,
            out->columns_cap * sizeof(*out->columns));
    }
    keys_texts(&out->names, *id, &copy);
    stamps[*id] = out->chunk;
    ((uint32_t *)out->places.items)[*id] = out->ncolumns;
    out->columns[out->ncolumns++] = copy;
    return 0;
}

/* A field of the order that has the name of the rank keeps its value. */
static bool
has_rank(const struct sort_spec *spec)
{
    for (uint32_t i = 0; i < spec->nfields; i++) {
        if (sv_eq(spec->fields[i].name, spec->rank))
            return false;
    }
    return spec->rank.len > 0;
}

/* The rank, the fields of the order, then the others. */
static int
place_columns(struct output *out, struct sort_item **items, uint32_t n,
    struct err *err)
{
    const struct sort_spec *spec = out->mine->spec;
    const struct sort_schema *last = NULL;
    uint32_t id;

    out->chunk++;
    out->ncolumns = 0;
    if (has_rank(spec) && place_name(out, spec->rank, &id, err) != 0)
        return -1;
    for (uint32_t i = 0; i < spec->nfields; i++) {
        if (needed_has(&out->mine->needed, spec->fields[i].name) &&
            place_name(out, spec->fields[i].name, &id, err) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct sort_schema *schema = items[i]->schema;

        if (schema == last)
            continue;
        last = schema;
        for (uint32_t k = 0; k < schema->n; k++) {
            if (place_name(out, schema->names[k], &schema->ids[k], err) != 0)
                return -1;
        }
    }
    return 0;
}

static void
fill_row(const struct output *out, const struct sort_item *item,
    struct sv *texts)
{
    const uint32_t *places = out->places.items;

    for (uint32_t i = 0; i < out->ncolumns; i++)
        texts[i] = SV_EMPTY;
    for (uint32_t i = 0; i < item->schema->n; i++)
        texts[places[item->schema->ids[i]]] = item->cells[i];
}

static int
emit_chunk(struct output *out, struct sort_item **items, uint32_t n,
    uint64_t rank, struct err *err)
{
    const struct sort_spec *spec = out->mine->spec;
    bool is_ranked = has_rank(spec);
    struct emit emit;
    struct sv *texts;
    char number[24];
    int result = 0;

    if (run_poll(out->mine->stage.run, err) != 0 ||
        place_columns(out, items, n, err) != 0)
        return -1;
    texts = xcalloc((size_t)out->ncolumns + 1, sizeof(*texts));
    emit_begin(&emit, out->mine->stage.next, out->columns, out->ncolumns);
    for (uint32_t i = 0; i < n && result == 0 && !emit.is_done; i++) {
        fill_row(out, items[i], texts);
        if (is_ranked)
            texts[0] = sv_make(number, num_print_u64(number, rank + i));
        result = emit_row(&emit, texts, err);
    }
    if (result == 0)
        result = emit_end(&emit, err);
    out->is_done = emit.is_done;
    emit_free(&emit);
    xfree(texts);
    return result;
}

/* --- one partition --- */

static int
compare_items(const void *a, const void *b, const void *arg)
{
    return sort_compare(arg, a, b);
}

/* Items of all lanes; what offset and limit leave of them. */
static int
emit_items(struct output *out, const void **items, size_t n, struct err *err)
{
    const struct sort_spec *spec = out->mine->spec;
    struct msort how = {
        compare_items, spec, &out->hold, out->mine->stage.run
    };
    uint64_t end = n;

    if (msort(&how, items, n, err) != 0)
        return -1;
    if (spec->limit != 0 && spec->offset < n)
        end = MIN((uint64_t)n, spec->offset + MIN(spec->limit, n));
    for (uint64_t i = spec->offset; i < end && !out->is_done;
        i += ROWS_CHUNK) {
        struct sort_item **first = (struct sort_item **)(uintptr_t)items + i;

        if (emit_chunk(out, first, (uint32_t)MIN(ROWS_CHUNK, end - i), i + 1,
                err) != 0)
            return -1;
    }
    return 0;
}

static int
emit_partition(struct output *out, const struct sort_heap *const *heaps,
    uint32_t nheaps, struct err *err)
{
    struct hold_array items = {NULL, 0};
    size_t n = 0, at = 0;
    int result = -1;

    for (uint32_t i = 0; i < nheaps; i++)
        n += heaps[i]->n;
    if (n == 0)
        return 0;
    if (hold_grow(&out->hold, &items, n, sizeof(void *), err) == 0) {
        for (uint32_t i = 0; i < nheaps; i++) {
            if (heaps[i]->n > 0)
                memcpy((void **)items.items + at, heaps[i]->items.items,
                    heaps[i]->n * sizeof(void *));
            at += heaps[i]->n;
        }
        result = emit_items(out, items.items, n, err);
    }
    hold_drop(&out->hold, &items, sizeof(void *));
    return result;
}

/* --- all partitions, in the order of their keys --- */

struct partition {
    uint32_t id;
    const struct keys *keys;
};

static int
compare_partitions(const void *a_ptr, const void *b_ptr, const void *arg)
{
    const struct partition *a = a_ptr, *b = b_ptr;
    struct sv *a_texts = (struct sv *)(uintptr_t)arg;
    struct sv *b_texts = a_texts + a->keys->ncolumns;

    keys_texts(a->keys, a->id, a_texts);
    keys_texts(b->keys, b->id, b_texts);
    for (uint32_t i = 0; i < a->keys->ncolumns; i++) {
        struct atom x = atom_from_text(a_texts[i]);
        struct atom y = atom_from_text(b_texts[i]);
        int order = atom_order(&x, &y);

        if (order != 0)
            return order;
    }
    return 0;
}

/* The heaps of one partition in all lanes: first[lane of them][partition]. */
struct heap_map {
    struct keys *keys;      /* those of the first lane: all partitions */
    const struct sort_heap **heaps;
    uint32_t nlanes;
    struct hold_array array;
};

static int
map_heaps(struct output *out, struct heap_map *map, struct err *err)
{
    static const struct sort_heap empty;
    struct stage_sort *mine = out->mine;
    struct hold_array ids[QUERY_LANES_MAX] = {{NULL, 0}};
    int result = -1;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        struct sort_lane *lane = mine->lanes[i];

        if (lane == NULL)
            continue;
        if (map->keys == NULL)
            map->keys = &lane->partitions;
        /* The first lane with itself: number i is i. */
        if (keys_merge(map->keys, &lane->partitions, &ids[map->nlanes],
                mine->stage.run, err) != 0)
            goto out;
        map->nlanes++;
    }
    if (map->nlanes == 0 || map->keys->count == 0) {
        result = 0;
        goto out;
    }
    if (hold_grow(&out->hold, &map->array,
            (size_t)map->keys->count * map->nlanes, sizeof(void *), err) != 0)
        goto out;
    map->heaps = map->array.items;
    for (size_t i = 0; i < (size_t)map->keys->count * map->nlanes; i++)
        map->heaps[i] = &empty;
    for (unsigned i = 0, n = 0; i < QUERY_LANES_MAX; i++) {
        struct sort_lane *lane = mine->lanes[i];

        for (uint32_t k = 0; lane != NULL && k < lane->nheaps; k++) {
            map->heaps[(size_t)((uint32_t *)ids[n].items)[k] * map->nlanes +
                n] = &((struct sort_heap *)lane->heaps.items)[k];
        }
        n += lane != NULL;
    }
    result = 0;
out:
    for (unsigned i = 0; map->keys != NULL && i < QUERY_LANES_MAX; i++)
        hold_drop(map->keys->hold, &ids[i], sizeof(uint32_t));
    return result;
}

static int
emit_all(struct output *out, const struct heap_map *map, struct err *err)
{
    uint32_t n = map->keys->count;
    struct hold_array partitions = {NULL, 0}, order = {NULL, 0};
    struct sv *texts = xcalloc(2 * ((size_t)map->keys->ncolumns + 1),
        sizeof(*texts));
    struct msort how = {
        compare_partitions, texts, &out->hold, out->mine->stage.run
    };
    const void **items;
    int result = -1;

    if (hold_grow(&out->hold, &partitions, n, sizeof(struct partition),
            err) != 0 ||
        hold_grow(&out->hold, &order, n, sizeof(void *), err) != 0)
        goto out;
    items = order.items;
    for (uint32_t i = 0; i < n; i++) {
        struct partition *partition =
            &((struct partition *)partitions.items)[i];

        *partition = (struct partition){i, map->keys};
        items[i] = partition;
    }
    result = msort(&how, items, n, err);
    for (uint32_t i = 0; i < n && result == 0 && !out->is_done; i++) {
        uint32_t id = ((const struct partition *)items[i])->id;

        result = emit_partition(out, &map->heaps[(size_t)id * map->nlanes],
            map->nlanes, err);
    }
out:
    hold_drop(&out->hold, &partitions, sizeof(struct partition));
    hold_drop(&out->hold, &order, sizeof(void *));
    xfree(texts);
    return result;
}

int
sort_flush(struct stage *stage, struct err *err)
{
    struct output out = {.mine = (struct stage_sort *)stage};
    struct heap_map map = {.keys = NULL};
    int result;

    hold_init(&out.hold, &stage->run->budget);
    result = keys_init(&out.names, &out.hold, 1, NULL, err);
    if (result == 0)
        result = map_heaps(&out, &map, err);
    if (result == 0 && map.nlanes > 0 && map.keys->count > 0)
        result = emit_all(&out, &map, err);
    hold_drop(&out.hold, &map.array, sizeof(void *));
    hold_drop(&out.hold, &out.stamps, sizeof(uint32_t));
    hold_drop(&out.hold, &out.places, sizeof(uint32_t));
    keys_drop(&out.names);
    hold_free(&out.hold);
    xfree(out.columns);
    return result;
}
