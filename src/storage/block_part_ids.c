/* SPDX-License-Identifier: BSD-2-Clause */

/* Columns of ids of a block of a part (part_format.h: PARENTS). */

#include "core/base.h"
#include "storage/block_read.h"

#define HALF 8u /* of a trace id; a span id */

/* All values of a vector of fixed width, one after the other. */
static int
copy_fixed(struct reading *r, const struct part_vector *vector,
    uint32_t width, uint8_t *dst)
{
    uint32_t n = vector->count;

    for (uint32_t i = 0; i < n; i += part_raw_chunk(width)) {
        uint32_t count = MIN(part_raw_chunk(width), n - i);
        const uint8_t *bytes;

        if (vector_get_fixed(r, vector, i, width, &bytes) != 0)
            return -1;
        memcpy(dst + (size_t)i * width, bytes, (size_t)count * width);
    }
    return 0;
}

/* --- trace ids --- */

static int
load_halves(struct block *block, uint32_t column, uint64_t **out)
{
    struct reading *r = &block->reading;
    const struct part_vector *vector = NULL;

    *out = block_alloc(block, r->block->traces, HALF);
    if (*out == NULL || vector_need(r, column, PART_ROLE_VALUES,
            r->block->traces, &vector) != 0)
        return -1;
    return copy_fixed(r, vector, HALF, (uint8_t *)*out);
}

/* One id for each trace, which its rows share. */
static int
trace_ids(struct block *block, struct column *column)
{
    uint32_t n = block->reading.block->traces;
    uint64_t *high = NULL, *low = NULL;
    const uint32_t *ordinals = NULL;
    uint8_t *ids = block_alloc(block, n, 2 * HALF);

    if (ids == NULL || load_halves(block, PART_TRACE_HI, &high) != 0 ||
        load_halves(block, PART_TRACE_LO, &low) != 0 ||
        part_ordinals(block, &ordinals) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(ids + 2 * HALF * (size_t)i, &high[i], HALF);
        memcpy(ids + 2 * HALF * (size_t)i + HALF, &low[i], HALF);
    }
    column_set_ids(column, 2 * HALF, ids);
    column->codes = ordinals;
    column->nvalues = n;
    return 0;
}

static int
trace_id_of(struct reading *r, uint32_t row, uint8_t *id)
{
    static const uint32_t columns[] = {PART_TRACE_HI, PART_TRACE_LO};
    uint32_t ordinal = 0;

    if (part_ordinal_of(r, row, &ordinal) != 0)
        return -1;
    for (unsigned i = 0; i < ARRAY_LEN(columns); i++) {
        const struct part_vector *vector = NULL;
        const uint8_t *bytes;

        if (vector_need(r, columns[i], PART_ROLE_VALUES, r->block->traces,
                &vector) != 0 ||
            vector_get_fixed(r, vector, ordinal, HALF, &bytes) != 0)
            return -1;
        memcpy(id + i * HALF, bytes, HALF);
    }
    return 0;
}

/* --- span ids --- */

static int
all_span_ids(struct block *block, uint8_t *ids)
{
    const struct part_vector *vector = NULL;

    if (vector_need(&block->reading, PART_ROW_ID, PART_ROLE_VALUES,
            block->info.rows, &vector) != 0)
        return -1;
    return copy_fixed(&block->reading, vector, HALF, ids);
}

/* --- parents --- */

struct parents {
    struct reading *r;
    const struct part_families *families;
    const uint32_t *ordinals;
    const uint32_t *codes;
    const uint8_t *spans; /* ids of all rows */
    const uint8_t *raw;
    uint32_t nraw;
    uint32_t next_raw;
};

static int
parent_of(struct parents *p, uint32_t row, uint8_t *id)
{
    uint32_t code = p->codes[row], trace = p->ordinals[row], first;

    if (code == PARENT_NONE) {
        memset(id, 0, HALF);
        return 0;
    }
    if (code == PARENT_RAW) {
        if (p->next_raw == p->nraw)
            return reading_corrupt(p->r, "row %u: raw parent %u", row,
                p->next_raw);
        memcpy(id, p->raw + (size_t)p->next_raw++ * HALF, HALF);
        return 0;
    }
    first = p->families->first[trace];
    if (code - PARENT_FIRST >= p->families->first[trace + 1] - first)
        return reading_corrupt(p->r, "row %u: parent %u", row, code);
    memcpy(id, p->spans + (size_t)HALF *
        p->families->rows[first + code - PARENT_FIRST], HALF);
    return 0;
}

static int
load_raw_parents(struct block *block, struct parents *p)
{
    const struct part_vector *vector = directory_find(p->r->dir,
        PART_PARENT_RAW, PART_ROLE_VALUES);
    uint8_t *raw;

    if (vector == NULL)
        return 0;
    raw = block_alloc(block, vector->count, HALF);
    if (raw == NULL)
        return -1;
    p->raw = raw;
    p->nraw = vector->count;
    return copy_fixed(p->r, vector, HALF, raw);
}

static int
all_parent_ids(struct block *block, uint8_t *ids)
{
    struct reading *r = &block->reading;
    struct parents p = {.r = r};
    uint32_t rows = block->info.rows;
    uint32_t *codes = block_alloc(block, rows, sizeof(*codes));
    uint8_t *spans = block_alloc(block, rows, HALF);

    if (codes == NULL || spans == NULL ||
        part_decode_u32(r, PART_ROW_PARENT, rows, UINT32_MAX, codes) != 0 ||
        all_span_ids(block, spans) != 0 ||
        part_ordinals(block, &p.ordinals) != 0 ||
        reading_families(r, &p.families) != 0 ||
        load_raw_parents(block, &p) != 0)
        return -1;
    p.codes = codes;
    p.spans = spans;
    for (uint32_t row = 0; row < rows; row++) {
        if (parent_of(&p, row, ids + (size_t)row * HALF) != 0)
            return -1;
    }
    return 0;
}

/* --- columns --- */

static int
few_ids(struct block *block, enum block_what what,
    const struct block_rows *few, uint8_t *ids)
{
    struct reading *r = &block->reading;

    for (uint32_t i = 0; i < few->n; i++) {
        uint32_t row = few->v[i], ordinal = 0;
        struct span_id id = {{0}};
        int rc;

        if (what == BLOCK_TRACE_ID) {
            if (trace_id_of(r, row, ids + 16 * (size_t)row) != 0)
                return -1;
            continue;
        }
        rc = what == BLOCK_SPAN_ID ? reading_span_id(r, row, &id) :
            part_ordinal_of(r, row, &ordinal);
        if (rc == 0 && what == BLOCK_PARENT_ID)
            rc = reading_parent_id(r, row, ordinal, &id);
        if (rc != 0)
            return -1;
        memcpy(ids + HALF * (size_t)row, id.b, HALF);
    }
    return 0;
}

int
part_id_column(struct block *block, enum block_what what,
    const struct block_rows *few, struct column *column)
{
    uint32_t width = what == BLOCK_TRACE_ID ? 2 * HALF : HALF;
    uint8_t *ids;
    int rc;

    if (what == BLOCK_TRACE_ID && few->v == NULL)
        return trace_ids(block, column);
    ids = block_alloc(block, block->info.rows, width);
    if (ids == NULL)
        return -1;
    if (few->v != NULL)
        rc = few_ids(block, what, few, ids);
    else if (what == BLOCK_SPAN_ID)
        rc = all_span_ids(block, ids);
    else
        rc = all_parent_ids(block, ids);
    if (rc == 0)
        column_set_ids(column, width, ids);
    return rc;
}
