/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * sort.  With a limit each lane keeps a heap of the best rows per partition;
 * a row's columns are copied only if it is still in a heap at the end of its
 * chunk.  Without a limit all rows are kept.
 */

#include "core/base.h"
#include "query/sort_rows.h"

#include "core/mem.h"

#define SORT_POOL_MAX (16 * MIB) /* patterns of one query */
/* Heaps of more rows are no help: then all rows are kept. */
#define SORT_KEEP_MAX (UINT32_MAX / 4)

/* --- lanes --- */

void
sort_lane_free(struct sort_lane *lane)
{
    struct sort_heap *heaps;

    if (lane == NULL)
        return;
    heaps = lane->heaps.items;
    for (size_t i = 0; i < lane->heaps.cap; i++) {
        struct sort_item **items = heaps[i].items.items;

        for (uint32_t k = 0; k < heaps[i].n; k++)
            hold_drop(&lane->hold, &items[k]->room, 1);
        hold_drop(&lane->hold, &heaps[i].items, sizeof(*items));
    }
    hold_drop(&lane->hold, &lane->heaps, sizeof(struct sort_heap));
    hold_drop(&lane->hold, &lane->pending, sizeof(struct sort_item *));
    keys_drop(&lane->partitions);
    hold_free(&lane->hold);
    xfree(lane);
}

static int
lane_get(struct stage_sort *mine, unsigned i, struct sort_lane **out,
    struct err *err)
{
    struct sort_lane *lane = mine->lanes[i];

    *out = lane;
    if (lane != NULL)
        return 0;
    lane = mine->lanes[i] = *out = xcalloc(1, sizeof(*lane));
    hold_init(&lane->hold, &mine->stage.run->budget);
    return keys_init(&lane->partitions, &lane->hold, mine->spec->npartition,
        NULL, err);
}

/* --- heaps --- */

static struct sort_item **
heap_items(const struct sort_heap *heap)
{
    return heap->items.items;
}

static void
sift_down(const struct sort_spec *spec, struct sort_heap *heap)
{
    struct sort_item **items = heap_items(heap), *item = items[0];
    uint32_t at = 0, child;

    while ((child = 2 * at + 1) < heap->n) {
        if (child + 1 < heap->n &&
            sort_compare(spec, items[child], items[child + 1]) < 0)
            child++;
        if (sort_compare(spec, item, items[child]) >= 0)
            break;
        items[at] = items[child];
        at = child;
    }
    items[at] = item;
}

static void
sift_up(const struct sort_spec *spec, struct sort_heap *heap, uint32_t at)
{
    struct sort_item **items = heap_items(heap), *item = items[at];

    while (at > 0 && sort_compare(spec, items[(at - 1) / 2], item) < 0) {
        items[at] = items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    items[at] = item;
}

static struct sort_item *
item_new(struct stage_sort *mine, struct sort_lane *lane, struct err *err)
{
    uint32_t nkeys = sort_nkeys(mine->spec);
    struct sort_item *item = hold_alloc(&lane->hold,
        sizeof(*item) + nkeys * sizeof(*item->keys), err);

    if (item == NULL)
        return NULL;
    memset(item, 0, sizeof(*item));
    item->keys = (struct atom *)(item + 1);
    item->row = SORT_ROW_KEPT;
    return item;
}

/* A chunk on its way into the heaps. */
struct intake {
    struct stage_sort *mine;
    struct sort_lane *lane;
    struct sort_chunk chunk;
    struct picks picks;
    struct key_ids partitions;
    struct sort_item row;  /* the one that is looked at */
    uint8_t *dead;         /* codes of the first key that are too bad */
};

/* Puts the row with its keys into the heap. */
static int
heap_put(struct intake *in, struct sort_heap *heap, struct err *err)
{
    struct sort_lane *lane = in->lane;
    uint32_t keep = in->mine->keep;
    bool is_full = keep != 0 && heap->n == keep;
    struct sort_item *item;

    if (is_full) {
        item = heap_items(heap)[0];
    } else {
        item = item_new(in->mine, lane, err);
        if (item == NULL || hold_grow(&lane->hold, &heap->items,
                (size_t)heap->n + 1, sizeof(item), err) != 0)
            return -1;
        heap_items(heap)[heap->n++] = item;
    }
    if (item->row == SORT_ROW_KEPT) {
        if (hold_grow(&lane->hold, &lane->pending,
                (size_t)lane->npending + 1, sizeof(item), err) != 0)
            return -1;
        ((struct sort_item **)lane->pending.items)[lane->npending++] = item;
    }
    memcpy(item->keys, in->row.keys, sort_nkeys(in->mine->spec) *
        sizeof(*item->keys));
    item->row = in->row.row;
    if (is_full)
        sift_down(in->mine->spec, heap);
    else if (keep != 0)
        sift_up(in->mine->spec, heap, heap->n - 1);
    return 0;
}

/* Looks at in->row.row, by one key after the other. */
static int
offer(struct intake *in, struct sort_heap *heap, struct err *err)
{
    const struct sort_spec *spec = in->mine->spec;
    bool is_full = in->mine->keep != 0 && heap->n == in->mine->keep;
    uint32_t row = in->row.row, nkeys = sort_nkeys(spec);
    const struct column *first = spec->nfields == 0 ? NULL
        : &in->chunk.fields[0];
    int order = is_full ? 0 : -1;

    if (in->dead != NULL && in->dead[first->codes[row]])
        return 0;
    for (uint32_t i = 0; i < nkeys; i++) {
        if (sort_key(&in->chunk, i, row, &in->row.keys[i], err) != 0)
            return -1;
        if (order == 0 && spec->nfields > 0) {
            order = atom_order(&in->row.keys[i],
                &heap_items(heap)[0]->keys[i]);
            order = spec->fields[i].is_desc ? -order : order;
        } else if (order == 0) {
            order = sort_compare(spec, &in->row, heap_items(heap)[0]);
        }
        if (order <= 0)
            continue;
        /* The worst row only gets better. */
        if (i == 0 && in->dead != NULL)
            in->dead[first->codes[row]] = 1;
        return 0;
    }
    return order < 0 ? heap_put(in, heap, err) : 0;
}

/* --- the first key is a number or a time, and there is one heap --- */

/* Rows beyond it need not be looked at; INT64_MAX: there is no bound. */
static int64_t
own_bound(const struct intake *in, const struct sort_heap *heap,
    enum atom_tag tag, int64_t flip)
{
    const struct atom *worst;

    if (heap->n < in->mine->keep)
        return INT64_MAX;
    worst = &heap_items(heap)[0]->keys[0];
    /* Empty ones are before all numbers. */
    if (worst->tag == ATOM_EMPTY && flip == 0)
        return INT64_MIN;
    return worst->tag == tag ? worst->v ^ flip : INT64_MAX;
}

static void
share_bound(_Atomic int64_t *shared, int64_t bound)
{
    int64_t old = atomic_load_explicit(shared, memory_order_relaxed);

    while (bound < old && !atomic_compare_exchange_weak_explicit(shared, &old,
        bound, memory_order_relaxed, memory_order_relaxed))
        continue;
}

/* Sources need not give rows that are behind all that are kept. */
static void
tell_source(_Atomic int64_t *bound, int64_t v)
{
    int64_t old = atomic_load_explicit(bound, memory_order_relaxed);

    while (v > old && !atomic_compare_exchange_weak_explicit(bound, &old, v,
        memory_order_relaxed, memory_order_relaxed))
        continue;
}

/* With one key a row as good as the worst changes nothing. */
static int64_t
last_wanted(int64_t bound, bool is_strict)
{
    return is_strict || bound == INT64_MAX || bound == INT64_MIN ? bound
        : bound - 1;
}

/* The next pick that is not beyond the limit; four numbers at a time. */
static uint32_t
next_within(const struct picks *picks, uint32_t i, const int64_t *ints,
    int64_t flip, int64_t limit)
{
    if (picks->index == NULL) {
        const int64_t *v = ints + picks->first;

        for (; i + 4 <= picks->n; i += 4) {
            bool is_within = (v[i] ^ flip) <= limit;

            is_within |= (v[i + 1] ^ flip) <= limit;
            is_within |= (v[i + 2] ^ flip) <= limit;
            is_within |= (v[i + 3] ^ flip) <= limit;
            if (UNLIKELY(is_within))
                break;
        }
    }
    while (i < picks->n && (ints[picks_row(picks, i)] ^ flip) > limit)
        i++;
    return i;
}

static int
add_numbers(struct intake *in, struct sort_heap *heap, struct err *err)
{
    const struct sort_spec *spec = in->mine->spec;
    const int64_t *ints = in->chunk.fields[0].ints;
    bool is_time = in->chunk.fields[0].kind == COLUMN_TIMES;
    /* Complementing turns descending into ascending. */
    int64_t flip = spec->fields[0].is_desc ? -1 : 0;
    enum atom_tag tag = is_time ? ATOM_TIME : ATOM_INT;
    _Atomic int64_t *shared = &in->mine->bound[is_time];
    int64_t bound = MIN(own_bound(in, heap, tag, flip),
        atomic_load_explicit(shared, memory_order_relaxed));
    bool is_strict = spec->nfields > 1;
    int64_t limit = last_wanted(bound, is_strict);

    for (uint32_t i = next_within(&in->picks, 0, ints, flip, limit);
        i < in->picks.n;
        i = next_within(&in->picks, i + 1, ints, flip, limit)) {
        int64_t own;

        in->row.row = picks_row(&in->picks, i);
        if (offer(in, heap, err) != 0)
            return -1;
        own = own_bound(in, heap, tag, flip);
        if (own < bound) {
            bound = own;
            limit = last_wanted(bound, is_strict);
            share_bound(shared, own);
        }
    }
    if (in->mine->source_bound != NULL && bound != INT64_MAX)
        tell_source(in->mine->source_bound, bound ^ flip);
    return 0;
}

static int
add_rows(struct intake *in, struct err *err)
{
    struct sort_heap *heaps = in->lane->heaps.items;
    const struct column *first = in->mine->spec->nfields == 0 ? NULL
        : &in->chunk.fields[0];

    if (in->mine->keep != 0 && in->partitions.ids == NULL && first != NULL &&
        in->mine->spec->npartition == 0 && first->present == NULL &&
        (first->kind == COLUMN_INTS || first->kind == COLUMN_TIMES))
        return add_numbers(in, &heaps[in->partitions.one], err);
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);

        if (i % STAGE_POLL_ROWS == 0 &&
            run_poll(in->mine->stage.run, err) != 0)
            return -1;
        in->row.row = row;
        if (offer(in, &heaps[in->partitions.ids == NULL ? in->partitions.one
                : in->partitions.ids[row]], err) != 0)
            return -1;
    }
    return 0;
}

/* --- taking rows in --- */

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no memory for sort");
}

static int
load(struct rows *rows, const struct sv *names, uint32_t n,
    struct column **out, struct err *err)
{
    struct column *columns = pool_alloc(rows->pool, n * sizeof(*columns) + 1);

    if (columns == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        const struct column *column;

        if (rows_column(rows, names[i], &column, err) != 0)
            return -1;
        columns[i] = *column;
        columns[i].name = names[i];
    }
    *out = columns;
    return 0;
}

static int
load_keys(struct intake *in, struct rows *rows, struct err *err)
{
    const struct sort_spec *spec = in->mine->spec;
    struct sv *names = pool_alloc(rows->pool,
        spec->nfields * sizeof(*names) + 1);
    const struct sv *all;

    in->chunk.rows = rows;
    if (spec->nfields == 0) {
        return rows_names(rows, &all, &in->chunk.nall, err) != 0 ? -1
            : load(rows, all, in->chunk.nall, &in->chunk.all, err);
    }
    if (names == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < spec->nfields; i++)
        names[i] = spec->fields[i].name;
    if (load(rows, names, spec->nfields, &in->chunk.fields, err) != 0)
        return -1;
    if (in->chunk.fields[0].kind == COLUMN_CODES && spec->npartition == 0) {
        in->dead = pool_zalloc(rows->pool, in->chunk.fields[0].nvalues + 1);
        if (in->dead == NULL)
            return no_memory(err);
    }
    return 0;
}

static int
map_partitions(struct intake *in, struct rows *rows, struct err *err)
{
    const struct sort_spec *spec = in->mine->spec;
    struct sort_lane *lane = in->lane;
    struct keys_input input = {NULL, &in->picks, rows->n, rows->pool};
    struct column *columns;

    if (load(rows, spec->partition, spec->npartition, &columns, err) != 0)
        return -1;
    input.columns = columns;
    if (keys_map(&lane->partitions, &input, &in->partitions, err) != 0)
        return -1;
    lane->nheaps = lane->partitions.count;
    return hold_grow(&lane->hold, &lane->heaps, lane->nheaps,
        sizeof(struct sort_heap), err);
}

static int
sort_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct intake in = {.mine = (struct stage_sort *)stage};

    if (rows->nselected == 0)
        return 0;
    in.row.keys = pool_alloc(rows->pool,
        sort_nkeys(in.mine->spec) * sizeof(*in.row.keys));
    if (in.row.keys == NULL)
        return no_memory(err);
    if (lane_get(in.mine, lane, &in.lane, err) != 0 ||
        picks_make(&in.picks, rows, err) != 0 ||
        load_keys(&in, rows, err) != 0 ||
        map_partitions(&in, rows, err) != 0 ||
        add_rows(&in, err) != 0)
        return -1;
    return sort_keep(in.mine, in.lane, rows, err);
}

/* --- the stage --- */

static void
sort_free(struct stage *stage)
{
    struct stage_sort *mine = (struct stage_sort *)stage;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++)
        sort_lane_free(mine->lanes[i]);
    pool_free(mine->pool);
    xfree(mine);
}

static const struct stage_ops sort_ops = {
    sort_write, sort_flush, sort_free
};

/* A row's field of that name is what the source gave, or it has none. */
static bool
leaves_field(const struct pipe *pipe, struct sv name)
{
    switch (pipe->kind) {
    case PIPE_FIELDS:
    case PIPE_DELETE:
    case PIPE_FILTER:
        return true;
    case PIPE_COPY:
    case PIPE_RENAME:
        for (uint32_t i = 0; i < pipe->npairs; i++) {
            if (field_pattern_has(&pipe->pairs[i].dst, name))
                return false;
        }
        return true;
    case PIPE_OTHER:
        return pipe->keeps_time && sv_eq(name, SV("_time"));
    default:
        return false;
    }
}

/* Does the pipe keep the source's rows with the greatest of a field? */
static bool
keeps_greatest(const struct pipe *sort, const struct pipe *first,
    struct sv name)
{
    const struct sort_spec *spec = sort->sort;

    for (; first != sort; first = first->next) {
        if (!leaves_field(first, name))
            return false;
    }
    return spec->npartition == 0 && spec->nfields > 0 &&
        spec->fields[0].is_desc && sv_eq(spec->fields[0].name, name);
}

int
stage_new_sort(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err)
{
    const struct sort_spec *spec = pipe->sort;
    struct stage_sort *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &sort_ops;
    mine->spec = spec;
    mine->pool = pool_new(SORT_POOL_MAX);
    if (spec->limit != 0 && spec->limit <= SORT_KEEP_MAX &&
        spec->offset <= SORT_KEEP_MAX)
        mine->keep = (uint32_t)(spec->limit + spec->offset);
    /* Shifted times are not those that a source knows. */
    if (run->query->time_offset_ns == 0 &&
        keeps_greatest(pipe, run->query->pipes, SV("_time")))
        mine->source_bound = &run->time_bound;
    if (keeps_greatest(pipe, run->query->pipes, SV("duration"))) {
        mine->source_bound = &run->duration_bound;
        run->wants_longest = mine->keep != 0;
    }
    atomic_init(&mine->bound[0], INT64_MAX);
    atomic_init(&mine->bound[1], INT64_MAX);
    if (needed_find(&mine->needed, pipe->next, mine->pool, err) != 0) {
        sort_free(&mine->stage);
        return -1;
    }
    *out = &mine->stage;
    return 0;
}
