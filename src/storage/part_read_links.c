/* SPDX-License-Identifier: BSD-2-Clause */

/* The ids of links (part_format.h: LINKS). */

#include "core/base.h"
#include "storage/part_read.h"

/* The code of a link, or of value i when there are none. */
static int
get_code(struct reading *r, uint32_t column, uint32_t n, uint32_t i,
    uint64_t *code)
{
    if (directory_find(r->dir, column, PART_ROLE_VALUES) == NULL) {
        *code = PART_LINK_RAW + 2 * (uint64_t)i;
        return 0;
    }
    return column_get(r, column, n, i, code);
}

static int
get_raw(struct reading *r, uint32_t column, uint64_t i, uint32_t width,
    uint8_t *dst)
{
    const struct part_vector *vector = directory_find(r->dir, column,
        PART_ROLE_VALUES);
    const uint8_t *bytes;

    if (vector == NULL || i >= vector->count)
        return reading_corrupt(r, "column %u has no value %llu", column,
            (unsigned long long)i);
    if (vector_get_fixed(r, vector, (uint32_t)i, width, &bytes) != 0)
        return -1;
    memcpy(dst, bytes, width);
    return 0;
}

/* --- traces --- */

static int
get_own(struct reading *r, uint32_t row, uint64_t *ordinal)
{
    if (column_get(r, PART_ROW_TRACE, r->block->rows, row, ordinal) != 0)
        return -1;
    return *ordinal < r->block->traces ? 0 : reading_corrupt(r,
        "row %u: trace %llu", row, (unsigned long long)*ordinal);
}

static int
get_known(struct reading *r, uint64_t ordinal, uint8_t dst[16])
{
    static const uint32_t columns[] = {PART_TRACE_HI, PART_TRACE_LO};

    for (unsigned i = 0; i < ARRAY_LEN(columns); i++) {
        const struct part_vector *vector = NULL;
        const uint8_t *bytes;

        if (vector_need(r, columns[i], PART_ROLE_VALUES, r->block->traces,
                &vector) != 0 ||
            vector_get_fixed(r, vector, (uint32_t)ordinal, 8, &bytes) != 0)
            return -1;
        memcpy(dst + 8 * i, bytes, 8);
    }
    return 0;
}

/* The ordinal of a link's trace; the number of traces when it is raw. */
static int
get_trace(struct reading *r, uint64_t code, uint32_t row, uint64_t *ordinal)
{
    *ordinal = r->block->traces;
    if (code == PART_LINK_OWN)
        return get_own(r, row, ordinal);
    if (code % 2 == PART_LINK_RAW % 2)
        return 0;
    *ordinal = (code - PART_LINK_KNOWN) / 2;
    return *ordinal < r->block->traces ? 0 : reading_corrupt(r,
        "link of row %u: trace %llu", row, (unsigned long long)*ordinal);
}

/* --- spans --- */

static int
get_parent(struct reading *r, uint32_t row, struct span_id *id)
{
    uint64_t ordinal;

    *id = (struct span_id){{0}};
    if (get_own(r, row, &ordinal) != 0)
        return -1;
    return reading_parent_id(r, row, (uint32_t)ordinal, id);
}

static int
get_span(struct reading *r, uint64_t ordinal, uint64_t number,
    struct span_id *id)
{
    const struct part_families *families;

    if (reading_families(r, &families) != 0)
        return -1;
    if (ordinal >= r->block->traces ||
        number >= families->first[ordinal + 1] - families->first[ordinal])
        return reading_corrupt(r, "link to span %llu of trace %llu",
            (unsigned long long)number, (unsigned long long)ordinal);
    return reading_span_id(r,
        families->rows[families->first[ordinal] + number], id);
}

int
reading_link_ids(struct reading *r, uint32_t n, uint32_t i, uint32_t row,
    struct span_link *link)
{
    uint64_t trace, span, ordinal;
    int rc;

    if (get_code(r, PART_LINK_TRACE_CODE, n, i, &trace) != 0 ||
        get_code(r, PART_LINK_SPAN_CODE, n, i, &span) != 0 ||
        get_trace(r, trace, row, &ordinal) != 0)
        return -1;
    rc = ordinal < r->block->traces ?
        get_known(r, ordinal, link->trace_id.b) :
        get_raw(r, PART_LINK_TRACE, (trace - PART_LINK_RAW) / 2, 16,
            link->trace_id.b);
    if (rc != 0)
        return -1;
    if (span == PART_LINK_OWN)
        return get_parent(r, row, &link->span_id);
    if (span % 2 == PART_LINK_RAW % 2)
        return get_raw(r, PART_LINK_SPAN, (span - PART_LINK_RAW) / 2, 8,
            link->span_id.b);
    return get_span(r, ordinal, (span - PART_LINK_KNOWN) / 2,
        &link->span_id);
}
