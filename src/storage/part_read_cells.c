/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/part_cells.h"

#include "core/enc.h"
#include "storage/block_read.h"
#include "storage/part_read.h"

/* Numbers that a cell takes at least. */
#define CELL_BYTES_MIN 4u
/* A slot is at most an hour, a part at most a day and what overlaps it. */
#define SLOTS_MAX 4096u

struct parser {
    struct part *part;
    uint32_t block;
    struct enc_reader r;
    struct part_cells *cells;
    struct err *err;
};

/* --- the section --- */

int
part_parse_cells(struct part *part, struct sv raw, struct err *err)
{
    struct enc_reader r = enc_reader_make(raw.ptr, raw.len);
    struct sv *cells = pool_alloc(part->pool,
        part->footer.nblocks * sizeof(*cells));

    part->max_durations = pool_alloc(part->pool,
        part->footer.nblocks * sizeof(*part->max_durations));
    if (cells == NULL || part->max_durations == NULL)
        return err_set(err, ERR_LIMIT, "%s: no memory for section CELLS",
            part->path);
    for (uint32_t i = 0; i < part->footer.nblocks; i++) {
        uint32_t len = enc_read32(&r);

        atomic_init(&part->max_durations[i], INT64_MIN);
        cells[i] = enc_read_bytes(&r, len);
    }
    if (r.failed || r.ptr != r.end)
        return part_corrupt(part, err, "section CELLS: length");
    part->cells = cells;
    return 0;
}

/* --- a block --- */

static int
wrong(const struct parser *p, const char *what, uint64_t where)
{
    return part_corrupt(p->part, p->err,
        "section CELLS: block %u: %s %llu", p->block, what,
        (unsigned long long)where);
}

static int
read_slots(struct parser *p, const struct part_cell *cell, uint64_t *slots)
{
    uint64_t left = cell->rows;

    for (uint32_t i = 0; i < p->cells->nslots; i++) {
        slots[i] = i + 1 < p->cells->nslots ? enc_read_varint(&p->r) : left;
        if (slots[i] > left)
            return wrong(p, "rows of slot", i);
        left -= slots[i];
    }
    return 0;
}

/* Numbers that no writer makes wrap around, which does no harm. */
static int
read_cell(struct parser *p, struct part_cell *cell, uint64_t before)
{
    uint64_t stream = before + enc_read_varint(&p->r);
    uint64_t status = enc_read_varint(&p->r);
    uint64_t unit = (status & PART_CELL_US) != 0 ? 1000 : 1;
    uint64_t range = 0, above = 0;

    cell->rows = enc_read_varint(&p->r);
    cell->min = (int64_t)((uint64_t)enc_unzigzag(enc_read_varint(&p->r)) *
        unit);
    if (cell->rows > 1)
        range = enc_read_varint(&p->r) * unit;
    above = cell->rows == 2 ? range : 0;
    if (cell->rows > 2)
        above = enc_read_varint(&p->r) * unit;
    status &= ~(uint64_t)PART_CELL_US;
    if (p->r.failed || stream >= p->part->nstreams ||
        status >= PART_CELL_STATUSES || cell->rows == 0 ||
        cell->rows > p->part->blocks[p->block].rows)
        return wrong(p, "stream", stream);
    cell->stream = (uint32_t)stream;
    cell->status = (uint32_t)status;
    cell->max = (int64_t)((uint64_t)cell->min + range);
    cell->sum = (__extension__ (__int128)cell->min) * (int64_t)cell->rows +
        above;
    return 0;
}

static int
read_head(struct parser *p)
{
    uint64_t seconds = enc_read_varint(&p->r), nslots, n;
    size_t bytes;

    p->cells->first_slot = enc_unzigzag(enc_read_varint(&p->r));
    nslots = enc_read_varint(&p->r);
    n = enc_read_varint(&p->r);
    bytes = (size_t)(p->r.end - p->r.ptr);
    if (p->r.failed || seconds > 3600 || (nslots > 0) != (seconds > 0) ||
        nslots > SLOTS_MAX || n > bytes / (CELL_BYTES_MIN +
            (nslots > 0 ? nslots - 1 : 0)))
        return wrong(p, "cells", n);
    p->cells->slot_ns = (int64_t)seconds * NS_PER_SEC;
    p->cells->nslots = (uint32_t)nslots;
    p->cells->n = (uint32_t)n;
    if (nslots > 0 && (p->cells->first_slot < INT64_MIN / p->cells->slot_ns ||
        p->cells->first_slot > INT64_MAX / p->cells->slot_ns -
            (int64_t)nslots - 1))
        return wrong(p, "slot", (uint64_t)p->cells->first_slot);
    return 0;
}

int
part_read_cells(struct part *part, uint32_t block, struct part_cells *cells,
    struct pool *pool, struct err *err)
{
    struct parser p = {.part = part, .block = block, .cells = cells,
        .err = err};
    uint64_t rows = 0;

    memset(cells, 0, sizeof(*cells));
    if (part->cells == NULL || part->cells[block].len == 0)
        return 0;
    p.r = enc_reader_make(part->cells[block].ptr, part->cells[block].len);
    if (read_head(&p) != 0)
        return -1;
    cells->v = pool_alloc(pool, cells->n * sizeof(*cells->v) + 16);
    cells->slots = pool_alloc(pool,
        (size_t)cells->n * cells->nslots * sizeof(*cells->slots) + 1);
    if (cells->v == NULL || cells->slots == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < cells->n; i++) {
        if (read_cell(&p, &cells->v[i],
                i == 0 ? 0 : cells->v[i - 1].stream) != 0 ||
            read_slots(&p, &cells->v[i],
                &cells->slots[(size_t)i * cells->nslots]) != 0)
            return -1;
        rows += cells->v[i].rows;
    }
    if (p.r.failed || p.r.ptr != p.r.end ||
        rows != part->blocks[block].rows)
        return wrong(&p, "rows", rows);
    return 1;
}

int64_t
part_max_duration(struct part *part, uint32_t block, struct pool *pool)
{
    struct err err = ERR_INIT;
    struct part_cells cells;
    int64_t max;
    int got;

    if (part->cells == NULL)
        return INT64_MAX;
    max = atomic_load_explicit(&part->max_durations[block],
        memory_order_relaxed);
    if (max != INT64_MIN)
        return max;
    /* Whoever comes at the same time finds the same. */
    got = part_read_cells(part, block, &cells, pool, &err);
    if (got < 0 && err.code == ERR_LIMIT)
        return INT64_MAX; /* another time */
    if (got <= 0 || cells.n == 0)
        max = INT64_MAX;
    for (uint32_t i = 0; i < cells.n && max != INT64_MAX; i++)
        max = MAX(max, cells.v[i].max);
    atomic_store_explicit(&part->max_durations[block], max,
        memory_order_relaxed);
    return max;
}

/* --- times --- */

struct part_times
part_block_times(const struct part *part, uint32_t block)
{
    const struct part_block *entry = &part->blocks[block];

    return (struct part_times){entry->min_end_ns, entry->max_end_ns,
        entry->rows};
}

struct part_times
part_slot_times(const struct part_cells *cells,
    const struct part_times *block, uint32_t slot)
{
    int64_t start = (cells->first_slot + slot) * cells->slot_ns;

    return (struct part_times){MAX(start, block->min_end_ns),
        MIN(start + (cells->slot_ns - 1), block->max_end_ns), 0};
}

/* --- texts --- */

static bool
is_service(const struct block_field *field)
{
    return field->what == BLOCK_ATTR && field->scope == KEY_RESOURCE &&
        sv_eq(field->key, SV("service.name"));
}

bool
part_cells_have(struct sv name)
{
    struct block_field field = block_field_parse(name);

    return field.what == BLOCK_STATUS || block_is_of_stream(&field) ||
        is_service(&field);
}

uint32_t
part_nstreams(const struct part *part)
{
    return part->nstreams;
}

bool
part_stream_is_of(const struct part *part, uint32_t stream,
    const struct tenant *tenant)
{
    const struct tenant *owner =
        &part->tenants[part->streams[stream].tenant];

    return owner->account == tenant->account &&
        owner->project == tenant->project;
}

/* Has each resource the attribute that its streams say? */
static int
services_agree(const struct part *part, const struct block_field *field,
    struct block *block)
{
    for (uint32_t i = 0; i < part->nresources; i++) {
        struct sv text;

        if (block_attrs_text(block, &part->resources[i].attrs, field->key,
                &text) != 0)
            return -1;
        if (!sv_eq(text, part->resources[i].service))
            return 0;
    }
    return 1;
}

/* Then streams with the same labels are not told by theirs. */
static bool
has_labels(const struct part *part, const struct block_field *field)
{
    if (field->what != BLOCK_STREAM && field->what != BLOCK_STREAM_ID)
        return false;
    for (uint32_t i = 0; i < part->nscopes; i++) {
        if (part->scopes[i].stream_fields.len > 0)
            return true;
    }
    return false;
}

int
part_cells_texts(const struct part *part, struct sv name,
    struct part_cell_texts *out, struct err *err)
{
    static const struct sv statuses[] = {{"0", 1}, {"1", 1}, {"2", 1}};
    struct block_field field = block_field_parse(name);
    struct block block = {.pool = out->pool, .err = err};
    bool by_service = is_service(&field);
    int got;

    if (has_labels(part, &field))
        return 0;
    if (by_service && (got = services_agree(part, &field, &block)) <= 0)
        return got;
    for (uint32_t i = 0; i < out->n; i++) {
        uint32_t code = out->cells[i].stream;
        struct block_stream stream = part_stream_of(part, code);

        if (field.what == BLOCK_STATUS)
            out->texts[i] = statuses[out->cells[i].status];
        else if (by_service)
            out->texts[i] = stream.service;
        else if (i > 0 && out->cells[i - 1].stream == code)
            out->texts[i] = out->texts[i - 1];
        else if (block_stream_text(&block, &field, &stream,
                &out->texts[i]) != 0)
            return -1;
    }
    return 1;
}
