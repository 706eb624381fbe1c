/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: rows and durations of a block, summed for each stream and
 * status (part_format.h: CELLS).
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/assert.h"
#include "core/enc.h"

/* Blocks in which cells would be smaller have none: 1 in so many rows. */
#define ROWS_PER_CELL 64u
#define CELLS_MIN 256u
/* Cells are cut into slots of time as long as these hold so many rows. */
#define ROWS_PER_SLOT 24u

struct cell {
    uint32_t stream;
    uint8_t status;
    bool is_us; /* all durations are whole microseconds */
    uint32_t rows;
    int64_t min;
    int64_t max;
    __extension__ unsigned __int128 above; /* sum of duration - min */
    __extension__ __int128 sum;
};

struct cells {
    struct part_writer *w;
    struct cell *v;
    uint32_t n, cap;
    int64_t slot_ns; /* 0: none */
    int64_t first_slot;
    uint32_t nslots;
    uint32_t *slots; /* rows, by cell, then slot */
};

static int64_t
slot_of(int64_t end_ns, int64_t slot_ns)
{
    /* Rounded down, for times before 1970, too. */
    return end_ns / slot_ns - (end_ns % slot_ns < 0);
}

/* --- summing up --- */

static void
cell_add(struct cell *cell, int64_t duration)
{
    if (cell->rows == 0) {
        cell->min = cell->max = duration;
        cell->is_us = true;
    }
    cell->rows++;
    cell->min = MIN(cell->min, duration);
    cell->max = MAX(cell->max, duration);
    cell->sum += duration;
    cell->is_us &= duration % 1000 == 0;
}

/* The rows of one stream; false: too many cells, or another status. */
static bool
add_stream(struct cells *c, uint32_t stream, uint32_t from, uint32_t end)
{
    const struct part_writer *w = c->w;
    struct cell cells[PART_CELL_STATUSES];

    memset(cells, 0, sizeof(cells));
    for (uint32_t row = from; row < end; row++) {
        if (w->status[row] >= PART_CELL_STATUSES)
            return false;
        cell_add(&cells[w->status[row]], (int64_t)
            ((uint64_t)w->end_ns[row] - (uint64_t)w->start_ns[row]));
    }
    for (uint8_t status = 0; status < PART_CELL_STATUSES; status++) {
        if (cells[status].rows == 0)
            continue;
        if (c->n == c->cap)
            return false;
        cells[status].stream = stream;
        cells[status].status = status;
        c->v[c->n++] = cells[status];
    }
    return true;
}

/* Rows [*from, *end) are the next stream's; runs of one stand together. */
static bool
next_stream(const struct part_writer *w, uint32_t *run, uint32_t *from,
    uint32_t *end)
{
    const struct write_rows *table = &w->tables[TABLE_SPANS];
    uint32_t stream;

    if (*run == table->nruns)
        return false;
    stream = table->runs[*run].stream;
    *from = *end;
    while (*run < table->nruns && table->runs[*run].stream == stream)
        *end += table->runs[(*run)++].rows;
    return true;
}

static bool
sum_up(struct cells *c)
{
    const struct write_run *runs = c->w->tables[TABLE_SPANS].runs;
    uint32_t run = 0, from = 0, end = 0;

    for (uint32_t first = 0; next_stream(c->w, &run, &from, &end);
        first = run) {
        if (!add_stream(c, runs[first].stream, from, end))
            return false;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        __extension__ __int128 above = c->v[i].sum -
            (__extension__ (__int128)c->v[i].min) * c->v[i].rows;

        if (above > UINT64_MAX)
            return false;
        c->v[i].above = (__extension__ (unsigned __int128)above);
    }
    return true;
}

/* --- slots --- */

static void
choose_slots(struct cells *c)
{
    static const int64_t seconds[] = {60, 600, 3600};
    const struct part_block *block = &c->w->block;

    for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
        int64_t width = seconds[i] * NS_PER_SEC;
        int64_t first = slot_of(block->min_end_ns, width);
        int64_t n = slot_of(block->max_end_ns, width) - first + 1;

        if (n * c->n > MAX(block->rows / ROWS_PER_SLOT, c->n))
            continue;
        c->slot_ns = width;
        c->first_slot = first;
        c->nslots = (uint32_t)n;
        return;
    }
}

static int
fill_slots(struct cells *c)
{
    const struct part_writer *w = c->w;
    uint32_t run = 0, from = 0, end = 0, cell = 0;
    size_t bytes = (size_t)c->n * c->nslots * sizeof(*c->slots);
    int64_t slot = 0;
    uint64_t slot_from = (uint64_t)c->first_slot * (uint64_t)c->slot_ns;

    c->slots = writer_alloc(c->w, SCRATCH_SORT_A, bytes);
    if (c->slots == NULL)
        return -1;
    memset(c->slots, 0, bytes);
    while (next_stream(w, &run, &from, &end)) {
        uint32_t by_status[PART_CELL_STATUSES] = {0};
        uint32_t stream = c->v[cell].stream;

        while (cell < c->n && c->v[cell].stream == stream) {
            by_status[c->v[cell].status] = cell;
            cell++;
        }
        for (uint32_t row = from; row < end; row++) {
            uint64_t above = (uint64_t)w->end_ns[row] - slot_from;

            /* Most rows end in the slot of the one before. */
            if (above >= (uint64_t)c->slot_ns) {
                slot = slot_of(w->end_ns[row], c->slot_ns);
                slot_from = (uint64_t)slot * (uint64_t)c->slot_ns;
                slot -= c->first_slot;
            }
            c->slots[(size_t)by_status[w->status[row]] * c->nslots +
                (size_t)slot]++;
        }
    }
    return 0;
}

/* --- bytes --- */

static void
put(struct sb *out, uint64_t v)
{
    uint8_t bytes[ENC_VARINT_MAX];

    sb_add(out, bytes, enc_put_varint(bytes, v));
}

static void
put_cell(struct sb *out, const struct cell *cell, uint32_t before)
{
    int64_t unit = cell->is_us ? 1000 : 1;

    put(out, cell->stream - before);
    put(out, cell->status | (cell->is_us ? PART_CELL_US : 0u));
    put(out, cell->rows);
    put(out, enc_zigzag(cell->min / unit));
    if (cell->rows > 1)
        put(out, ((uint64_t)cell->max - (uint64_t)cell->min) /
            (uint64_t)unit);
    if (cell->rows > 2)
        put(out, (uint64_t)cell->above / (uint64_t)unit);
}

static void
put_cells(const struct cells *c, struct sb *out)
{
    uint32_t before = 0;

    put(out, (uint64_t)(c->slot_ns / NS_PER_SEC));
    put(out, enc_zigzag(c->first_slot));
    put(out, c->nslots);
    put(out, c->n);
    for (uint32_t i = 0; i < c->n; i++) {
        put_cell(out, &c->v[i], before);
        before = c->v[i].stream;
        /* The last slot has the rest. */
        for (uint32_t k = 0; k + 1 < c->nslots; k++)
            put(out, c->slots[(size_t)i * c->nslots + k]);
    }
}

int
writer_add_cells(struct part_writer *w)
{
    struct cells c = {.w = w};
    size_t at;
    uint32_t len;

    c.cap = MAX(w->nrows / ROWS_PER_CELL, CELLS_MIN);
    c.v = writer_alloc(w, SCRATCH_WIDE, c.cap * sizeof(*c.v));
    if (c.v == NULL)
        return -1;
    len = 0;
    at = w->cells.len;
    sb_add(&w->cells, &len, sizeof(len));
    if (!sum_up(&c))
        return writer_sb_ok(w, &w->cells);
    choose_slots(&c);
    if (c.nslots > 1 && fill_slots(&c) != 0)
        return -1;
    put_cells(&c, &w->cells);
    if (sb_failed(&w->cells))
        return writer_sb_ok(w, &w->cells);
    len = (uint32_t)(w->cells.len - at - sizeof(len));
    memcpy(w->cells.ptr + at, &len, sizeof(len));
    return 0;
}
