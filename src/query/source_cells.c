/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows summed up by stream and status instead of the rows themselves: for
 * blocks that end wholly within the query's time, when filter and first stage
 * need nothing else.  The cells of some blocks of a part are united by what
 * the stage tells apart, so that it gets few.
 */

#include "core/base.h"
#include "query/index.h"

#include "core/mem.h"
#include "query/bucket.h"
#include "query/dict.h"
#include "query/filter.h"
#include "query/lanes.h"
#include "storage/part_cells.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Blocks of one part that one thread sums up before the stage gets them. */
#define PIECE_BLOCKS 32u
#define STATUSES 3u
#define NO_CLASS UINT32_MAX

struct piece {
    uint32_t item;
    uint32_t from, end; /* blocks */
};

struct cells_source {
    const struct source_plan *plan;
    struct scan *scan;
    struct cells_want want;
    struct piece *pieces;
    uint8_t **done;              /* by item, then block */
};

/* Cells of one time, by class. */
struct sums {
    int64_t bucket;
    int64_t time_ns; /* one in it */
    struct acc_cell *v;
};

struct piece_state {
    struct cells_source *source;
    struct part *part;
    unsigned lane;
    struct pool *pool;
    struct part_cell *combinations; /* each stream with each status */
    uint32_t n;
    struct sv **texts;    /* by field, then combination */
    uint32_t *class_of;   /* by combination; or NO_CLASS */
    uint32_t *first;      /* by class: a combination */
    uint32_t nclasses;
    struct sums *sums;
    uint32_t nsums, cap;
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

bool
cells_want_add(struct cells_want *want, struct sv field)
{
    for (uint32_t i = 0; i < want->nfields; i++) {
        if (sv_eq(want->fields[i], field))
            return true;
    }
    if (want->nfields == CELLS_FIELDS_MAX)
        return false;
    want->fields[want->nfields++] = field;
    return true;
}

/* --- filters --- */

/* Is it a time that all of the block's rows have? */
static bool
is_passed_time(const struct filter *filter, const struct part_times *times)
{
    return filter->kind == FILTER_TIME &&
        filter->time_min <= times->min_end_ns &&
        times->max_end_ns <= filter->time_max;
}

/* Items of the query's AND that are times stand for nothing else. */
static bool
block_is_wanted(const struct filter *filter, const struct part_times *times)
{
    if (filter->kind == FILTER_TIME)
        return is_passed_time(filter, times);
    for (uint32_t i = 0; filter->kind == FILTER_AND && i < filter->nitems;
        i++) {
        if (!block_is_wanted(filter->items[i], times))
            return false;
    }
    return true;
}

/* Adds the filter's fields. */
static bool
want_filter(struct cells_want *want, const struct filter *filter)
{
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (!want_filter(want, filter->items[i]))
            return false;
    }
    switch (filter->kind) {
    case FILTER_ALL:
    case FILTER_NONE:
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT:
        return true;
    case FILTER_STREAM:
        return cells_want_add(want, SV("_stream"));
    case FILTER_STREAM_ID:
        return cells_want_add(want, SV("_stream_id"));
    case FILTER_EQ_FIELD:
    case FILTER_LE_FIELD:
    case FILTER_LT_FIELD:
        if (!cells_want_add(want, filter->text))
            return false;
        break;
    default:
        break;
    }
    return cells_want_add(want, filter->field);
}

static bool
filter_fits(const struct filter *filter, struct cells_want *want)
{
    if (filter->kind == FILTER_TIME)
        return true;
    if (filter->kind != FILTER_AND)
        return filter_is_of_cells(filter) && want_filter(want, filter);
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (!filter_fits(filter->items[i], want))
            return false;
    }
    return true;
}

/* --- classes --- */

static int
make_combinations(struct piece_state *p, struct err *err)
{
    uint32_t nstreams = part_nstreams(p->part);
    struct source_plan const *plan = p->source->plan;

    p->combinations = pool_zalloc(p->pool,
        (size_t)nstreams * STATUSES * sizeof(*p->combinations) + 16);
    p->class_of = pool_alloc(p->pool,
        (size_t)nstreams * STATUSES * sizeof(*p->class_of) + 1);
    if (p->combinations == NULL || p->class_of == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < nstreams; i++) {
        bool is_own = part_stream_is_of(p->part, i, &plan->tenant);

        for (uint32_t status = 0; status < STATUSES; status++) {
            uint32_t at = i * STATUSES + status;

            p->combinations[at].stream = i;
            p->combinations[at].status = status;
            p->class_of[at] = is_own ? 0 : NO_CLASS;
        }
    }
    p->n = nstreams * STATUSES;
    return 0;
}

/* 0: the part has rows with other texts than their streams. */
static int
load_texts(struct piece_state *p, struct err *err)
{
    const struct cells_want *want = &p->source->want;
    int got = 1;

    p->texts = pool_alloc(p->pool, want->nfields * sizeof(*p->texts) + 1);
    if (p->texts == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < want->nfields && got > 0; i++) {
        struct part_cell_texts out = {p->combinations, p->n, NULL, p->pool};

        out.texts = p->texts[i] = pool_alloc(p->pool,
            p->n * sizeof(*out.texts) + 1);
        if (out.texts == NULL)
            return no_memory(err);
        got = part_cells_texts(p->part, want->fields[i], &out, err);
    }
    return got;
}

/* Adds the fields as columns of these combinations. */
static int
set_columns(struct piece_state *p, struct rows *rows, const uint32_t *which,
    struct err *err)
{
    const struct cells_want *want = &p->source->want;

    for (uint32_t i = 0; i < want->nfields; i++) {
        struct column column = {.name = want->fields[i],
            .kind = COLUMN_TEXTS, .texts = p->texts[i]};

        if (which != NULL) {
            struct sv *texts = pool_alloc(p->pool,
                rows->n * sizeof(*texts) + 1);

            if (texts == NULL)
                return no_memory(err);
            for (uint32_t k = 0; k < rows->n; k++)
                texts[k] = p->texts[i][which[k]];
            column.texts = texts;
        }
        if (rows_set_column(rows, &column, err) != 0)
            return -1;
    }
    return 0;
}

/* One filter of the query's AND. */
static int
run_filter(struct piece_state *p, struct rows *rows,
    const struct filter *filter, struct err *err)
{
    if (filter->kind == FILTER_TIME)
        return 0;
    if (filter->kind != FILTER_AND)
        return rows_filter(rows, filter, err);
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (run_filter(p, rows, filter->items[i], err) != 0)
            return -1;
    }
    return 0;
}

static int
drop_filtered(struct piece_state *p, struct err *err)
{
    struct rows rows;

    rows_init(&rows, p->n, p->pool);
    rows.run = p->source->plan->run;
    if (rows.n != p->n)
        return no_memory(err);
    if (set_columns(p, &rows, NULL, err) != 0 ||
        run_filter(p, &rows, p->source->plan->filter, err) != 0)
        return -1;
    for (uint32_t i = 0; i < p->n; i++) {
        if (!bitmap_has(rows.selected, i))
            p->class_of[i] = NO_CLASS;
    }
    return 0;
}

static uint64_t
hash_of(const struct piece_state *p, uint32_t i)
{
    uint64_t hash = dict_secret();

    for (uint32_t k = 0; k < p->source->want.nfields; k++)
        hash = XXH3_64bits_withSeed(p->texts[k][i].ptr, p->texts[k][i].len,
            hash + p->texts[k][i].len);
    return hash;
}

static bool
is_same(const struct piece_state *p, uint32_t a, uint32_t b)
{
    for (uint32_t k = 0; k < p->source->want.nfields; k++) {
        if (!sv_eq(p->texts[k][a], p->texts[k][b]))
            return false;
    }
    return true;
}

/* Combinations with the same texts are one class. */
static int
make_classes(struct piece_state *p, struct err *err)
{
    uint32_t nslots = 16;
    uint32_t *slots; /* class + 1 */

    while (nslots < 2 * p->n)
        nslots *= 2;
    slots = pool_zalloc(p->pool, nslots * sizeof(*slots));
    p->first = pool_alloc(p->pool, p->n * sizeof(*p->first) + 1);
    if (slots == NULL || p->first == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t slot;

        if (p->class_of[i] == NO_CLASS)
            continue;
        slot = (uint32_t)hash_of(p, i) & (nslots - 1);
        while (slots[slot] != 0 && !is_same(p, p->first[slots[slot] - 1], i))
            slot = (slot + 1) & (nslots - 1);
        if (slots[slot] == 0) {
            p->first[p->nclasses] = i;
            slots[slot] = ++p->nclasses;
        }
        p->class_of[i] = slots[slot] - 1;
    }
    return 0;
}

/* --- summing up --- */

/* Of the bucket that the time is in. */
static struct sums *
sums_of(struct piece_state *p, int64_t time_ns)
{
    const struct stats_by *by = p->source->want.by;
    int64_t bucket = by == NULL ? 0 : bucket_is_none(by) ? time_ns :
        bucket_time(by, time_ns);
    struct sums *sums;

    for (uint32_t i = p->nsums; i > 0; i--) {
        if (p->sums[i - 1].bucket == bucket)
            return &p->sums[i - 1];
    }
    if (p->nsums == p->cap) {
        uint32_t cap = MAX(2 * p->cap, 16u);
        struct sums *more = pool_alloc(p->pool, cap * sizeof(*more));

        if (more == NULL)
            return NULL;
        if (p->nsums > 0)
            memcpy(more, p->sums, p->nsums * sizeof(*more));
        p->sums = more;
        p->cap = cap;
    }
    sums = &p->sums[p->nsums++];
    *sums = (struct sums){bucket, time_ns,
        pool_zalloc(p->pool, p->nclasses * sizeof(*sums->v) + 16)};
    return sums->v == NULL ? NULL : sums;
}

static void
add_cell(struct piece_state *p, struct sums *sums,
    const struct part_cell *cell, uint64_t rows)
{
    uint32_t class = p->class_of[cell->stream * STATUSES + cell->status];
    struct acc_cell *to;

    if (class == NO_CLASS || rows == 0)
        return;
    to = &sums->v[class];
    if (to->rows == 0) {
        to->min = cell->min;
        to->max = cell->max;
    }
    to->rows += rows;
    to->min = MIN(to->min, cell->min);
    to->max = MAX(to->max, cell->max);
    to->sum += cell->sum;
}

/* Are all these times in one bucket? */
static bool
is_one_bucket(const struct cells_want *want, const struct part_times *times)
{
    if (want->by == NULL || times->min_end_ns == times->max_end_ns)
        return true;
    return !bucket_is_none(want->by) &&
        bucket_time(want->by, times->min_end_ns) ==
        bucket_time(want->by, times->max_end_ns);
}

static bool
slots_fit(const struct piece_state *p, const struct part_cells *cells,
    const struct part_times *times)
{
    const struct cells_want *want = &p->source->want;

    if (want->has_durations || cells->nslots == 0)
        return false;
    for (uint32_t i = 0; i < cells->nslots; i++) {
        struct part_times slot = part_slot_times(cells, times, i);

        if (slot.min_end_ns > slot.max_end_ns ||
            !is_one_bucket(want, &slot))
            return false;
    }
    return true;
}

static int
add_slots(struct piece_state *p, const struct part_cells *cells,
    const struct part_times *times, struct err *err)
{
    for (uint32_t i = 0; i < cells->nslots; i++) {
        struct part_times slot = part_slot_times(cells, times, i);
        struct sums *sums = sums_of(p, slot.min_end_ns);

        if (sums == NULL)
            return no_memory(err);
        for (uint32_t k = 0; k < cells->n; k++)
            add_cell(p, sums, &cells->v[k],
                cells->slots[(size_t)k * cells->nslots + i]);
    }
    return 1;
}

/* 1: done; 0: the block has to be read. */
static int
add_block(struct piece_state *p, uint32_t block, struct err *err)
{
    struct part_times times = part_block_times(p->part, block);
    struct part_cells cells;
    struct sums *sums;
    int got;

    if (!block_is_wanted(p->source->plan->filter, &times))
        return 0;
    got = part_read_cells(p->part, block, &cells, p->pool, err);
    if (got <= 0)
        return got;
    if (!is_one_bucket(&p->source->want, &times))
        return slots_fit(p, &cells, &times) ?
            add_slots(p, &cells, &times, err) : 0;
    sums = sums_of(p, times.min_end_ns);
    if (sums == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < cells.n; i++)
        add_cell(p, sums, &cells.v[i], cells.v[i].rows);
    return 1;
}

/* --- to the stage --- */

static int
give_sums(struct piece_state *p, const struct sums *sums, struct err *err)
{
    const struct source_plan *plan = p->source->plan;
    uint32_t *which = pool_alloc(p->pool, p->nclasses * sizeof(*which) + 1);
    struct acc_cell *v = pool_alloc(p->pool, p->nclasses * sizeof(*v) + 16);
    int64_t *times = pool_alloc(p->pool, p->nclasses * sizeof(*times) + 1);
    struct column time = {.name = SV("_time"), .kind = COLUMN_TIMES};
    struct cells_want ignored = {.nfields = 0};
    struct cells_chunk chunk;
    struct rows rows;
    uint32_t n = 0;

    if (which == NULL || v == NULL || times == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < p->nclasses; i++) {
        if (sums->v[i].rows == 0)
            continue;
        which[n] = p->first[i];
        times[n] = sums->time_ns;
        v[n++] = sums->v[i];
    }
    if (n == 0)
        return 0;
    rows_init(&rows, n, p->pool);
    rows.run = plan->run;
    if (rows.n != n)
        return no_memory(err);
    time.ints = times;
    if (set_columns(p, &rows, which, err) != 0 ||
        rows_set_column(&rows, &time, err) != 0)
        return -1;
    chunk = (struct cells_chunk){&rows, v};
    return uniq_takes_cells(plan->first, &ignored) ?
        uniq_add_cells(plan->first, p->lane, &chunk, err) :
        stats_add_cells(plan->first, p->lane, &chunk, err);
}

/* --- pieces --- */

static int
sum_blocks(struct piece_state *p, const struct piece *piece, uint8_t *done,
    struct err *err)
{
    int got;

    if (make_combinations(p, err) != 0)
        return -1;
    if (p->n > ROWS_MAX)
        return 0;
    got = load_texts(p, err);
    if (got <= 0)
        return got;
    if (drop_filtered(p, err) != 0 || make_classes(p, err) != 0)
        return -1;
    for (uint32_t i = piece->from; i < piece->end; i++) {
        got = add_block(p, i, err);
        if (got < 0)
            return -1;
        done[i] = got > 0;
    }
    return 0;
}

static int IMPL(lane_fn)
sum_piece(void *arg, unsigned lane, uint32_t number, struct pool *pool,
    struct err *err)
{
    struct cells_source *s = arg;
    const struct piece *piece = &s->pieces[number];
    struct piece_state p = {.source = s, .lane = lane, .pool = pool};
    uint8_t *done = s->done[piece->item];
    struct err part_err = ERR_INIT;
    const struct memtable *mt;
    int got = scan_open_item(s->scan, piece->item, &mt, &p.part, err);

    if (got != 0) {
        memset(done + piece->from, 1, piece->end - piece->from);
        return got < 0 ? -1 : 0;
    }
    got = sum_blocks(&p, piece, done, &part_err);
    if (got != 0) {
        got = scan_item_failed(s->scan, piece->item, &part_err, err);
        /* Nothing of it was given yet: it is left out like any damage. */
        memset(done + piece->from, 1, piece->end - piece->from);
        p.nsums = 0;
    }
    for (uint32_t i = 0; i < p.nsums && got == 0; i++)
        got = give_sums(&p, &p.sums[i], err);
    scan_close_item(p.part);
    return got;
}

/* --- all --- */

static int
make_pieces(struct cells_source *s, uint32_t *npieces, struct err *err)
{
    struct scan *scan = s->scan;
    uint8_t *has_blocks;
    size_t n = 0;

    for (uint32_t i = 0; i < scan->snapshot.n; i++)
        n += scan->snapshot.items[i].part.nblocks / PIECE_BLOCKS + 1;
    s->pieces = pool_alloc(scan->pool, n * sizeof(*s->pieces) + 1);
    s->done = pool_zalloc(scan->pool,
        (scan->snapshot.n + 1u) * sizeof(*s->done));
    has_blocks = pool_zalloc(scan->pool, scan->snapshot.n + 1u);
    if (s->pieces == NULL || s->done == NULL || has_blocks == NULL)
        return no_memory(err);
    *npieces = 0;
    /* Whose blocks have left the scan is answered already. */
    for (uint32_t i = 0; i < scan->nblocks; i++)
        has_blocks[scan->blocks[i].item] = 1;
    for (uint32_t i = 0; i < scan->snapshot.n; i++) {
        const struct catalog_item *item = &scan->snapshot.items[i];
        uint32_t nblocks = item->part.nblocks;

        if (item->kind != CATALOG_PART || !has_blocks[i])
            continue;
        s->done[i] = pool_zalloc(scan->pool, nblocks + 1u);
        if (s->done[i] == NULL)
            return no_memory(err);
        for (uint32_t from = 0; from < nblocks; from += PIECE_BLOCKS)
            s->pieces[(*npieces)++] = (struct piece){i, from,
                MIN(from + PIECE_BLOCKS, nblocks)};
    }
    return 0;
}

static void
drop_done(struct cells_source *s)
{
    struct scan *scan = s->scan;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < scan->nblocks; i++) {
        const struct scan_block *block = &scan->blocks[i];

        if (s->done[block->item] == NULL ||
            s->done[block->item][block->index] == 0)
            scan->blocks[kept++] = *block;
    }
    scan->nblocks = kept;
}

int
source_cells(const struct source_plan *plan, struct scan *scan,
    struct err *err)
{
    struct cells_source s = {.plan = plan, .scan = scan};
    struct lanes lanes = {plan->run, plan->tasks, 0, sum_piece, &s};

    if (!stats_takes_cells(plan->first, &s.want)) {
        s.want = (struct cells_want){.nfields = 0};
        if (!uniq_takes_cells(plan->first, &s.want))
            return 0;
    }
    if (!filter_fits(plan->filter, &s.want))
        return 0;
    if (make_pieces(&s, &lanes.npieces, err) != 0 ||
        lanes_run(&lanes, err) != 0)
        return -1;
    drop_done(&s);
    return 0;
}
