/* SPDX-License-Identifier: BSD-2-Clause */

/* Verifying a part: CELLS says what the rows of a block sum up to. */

#include "core/base.h"
#include "storage/part_check.h"

#include "core/mem.h"
#include "storage/part_cells.h"

/* Cells of a block, twice. */
#define POOL_BYTES_MAX (256 * MIB)

struct part_check_cells {
    struct pool *pool;
    struct part_cells want;
    struct part_cell *got;
    uint64_t *slots;
    bool has_cells;
};

int
part_check_cells_begin(struct part_check_cells **out, struct reading *r)
{
    struct part_check_cells *c = *out = xcalloc(1, sizeof(*c));
    int got;

    c->pool = pool_new(POOL_BYTES_MAX);
    got = part_read_cells(r->part, r->block_idx, &c->want, c->pool, r->err);
    if (got <= 0)
        return got;
    c->has_cells = true;
    c->got = pool_zalloc(c->pool, c->want.n * sizeof(*c->got) + 16);
    c->slots = pool_zalloc(c->pool,
        (size_t)c->want.n * c->want.nslots * sizeof(*c->slots) + 1);
    return c->got == NULL || c->slots == NULL ? reading_no_memory(r) : 0;
}

static struct part_cell *
find(struct part_check_cells *c, uint32_t stream, uint32_t status)
{
    uint32_t low = 0, high = c->want.n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct part_cell *cell = &c->want.v[middle];

        if (cell->stream == stream && cell->status == status)
            return &c->got[middle];
        if (cell->stream < stream || (cell->stream == stream &&
            cell->status < status))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int64_t
slot_of(int64_t end_ns, int64_t slot_ns)
{
    return end_ns / slot_ns - (end_ns % slot_ns < 0);
}

int
part_check_cells_row(struct part_check_cells *c, struct reading *r,
    uint32_t stream, const struct span *span)
{
    int64_t duration = (int64_t)((uint64_t)span->end_ns -
        (uint64_t)span->start_ns);
    struct part_cell *cell;

    if (!c->has_cells)
        return 0;
    cell = span->status_code < 0 || span->status_code > 2 ? NULL :
        find(c, stream, (uint32_t)span->status_code);
    if (cell == NULL)
        return reading_corrupt(r, "stream %u with status %d is not in CELLS",
            stream, span->status_code);
    if (cell->rows == 0)
        cell->min = cell->max = duration;
    cell->rows++;
    cell->min = MIN(cell->min, duration);
    cell->max = MAX(cell->max, duration);
    cell->sum += duration;
    if (c->want.nslots > 0) {
        int64_t slot = slot_of(span->end_ns, c->want.slot_ns) -
            c->want.first_slot;

        if (slot < 0 || slot >= c->want.nslots)
            return reading_corrupt(r, "CELLS has no slot of a row's end");
        c->slots[(size_t)(cell - c->got) * c->want.nslots + (size_t)slot]++;
    }
    return 0;
}

int
part_check_cells_end(const struct part_check_cells *c, struct reading *r)
{
    for (uint32_t i = 0; c->has_cells && i < c->want.n; i++) {
        const struct part_cell *a = &c->want.v[i], *b = &c->got[i];
        size_t at = (size_t)i * c->want.nslots;

        if (a->rows != b->rows || a->min != b->min || a->max != b->max ||
            a->sum != b->sum || memcmp(c->slots + at, c->want.slots + at,
                c->want.nslots * sizeof(*c->slots)) != 0)
            return reading_corrupt(r, "cell %u of CELLS is not what the rows "
                "say", i);
    }
    return 0;
}

void
part_check_cells_free(struct part_check_cells *c)
{
    if (c == NULL)
        return;
    pool_free(c->pool);
    xfree(c);
}
