/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Buckets of one width for the numbers of a chunk: as codes that count the
 * buckets from the least value's, so that a row costs a multiplication.
 * Without buckets each number is one of width 1.
 */

#ifndef SPOOR_QUERY_STEPS_H
#define SPOOR_QUERY_STEPS_H

#include "core/base.h"
#include "core/kernel.h"
#include "query/ast.h"
#include "query/stage.h"

/* More buckets in one chunk are rare; they are looked up row by row. */
#define STEPS_MAX 1024u

struct steps {
    int64_t base; /* start of bucket 0 */
    int64_t width;
    uint32_t n;     /* codes */
    const struct kernels *set; /* to divide with */
    bool has_gaps;  /* the last code is that of rows without a number */
};

/*
 * False when the buckets have no width (months, fractions), or there are too
 * many of them for a chunk or for so few rows.  by may be NULL.
 */
bool steps_make(struct steps *out, const struct stats_by *by,
    const struct column *column, const struct picks *picks);

/* codes[row] < steps->n for each row that is picked. */
void steps_codes(const struct steps *steps, const struct column *column,
    const struct picks *picks, uint32_t *codes);

static inline int64_t
steps_start(const struct steps *steps, uint32_t code)
{
    return steps->base + (int64_t)code * steps->width;
}

#endif
