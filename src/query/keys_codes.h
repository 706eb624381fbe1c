/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to keys: columns of a chunk as codes, tuples of codes.
 *
 *   keys.c         the table of tuples
 *   keys_codes.c   a column of any form to codes, or a single one to tuples
 *   keys_map.c     codes of several columns to tuples
 *   keys_runs.c    the same for rows with equal codes that stand together
 */

#ifndef SPOOR_QUERY_KEYS_CODES_H
#define SPOOR_QUERY_KEYS_CODES_H

#include "core/base.h"
#include "core/err.h"
#include "query/dict.h"
#include "query/hold.h"
#include "query/keys.h"

/* Columns of a tuple whose values have numbers, 32 bits each. */
#define KEYS_VALUES_MAX 4u

/* What is kept for one column from chunk to chunk: memory, and texts. */
struct keys_column {
    struct dict numbers;         /* of one chunk */
    struct hold_array codes;     /* uint32_t per row */
    struct hold_array texts;     /* struct sv per code */
    struct keys distinct;        /* texts: the number of a value */
    bool has_distinct;
    struct hold_array value_ids; /* uint32_t per code: number in distinct */
};

/* One column of a chunk: the text of a row is texts[codes[row]]. */
struct codes {
    uint32_t n;
    const uint32_t *codes; /* NULL: all 0 */
    const struct sv *texts;
};

/* 1: it is the only one and better without codes. */
int keys_column_codes(struct keys *keys, uint32_t k,
    const struct keys_input *input, struct codes *out, struct err *err)
    WARN_UNUSED;
int keys_map_values(struct keys *keys, const struct keys_input *input,
    struct key_ids *out, struct err *err) WARN_UNUSED;
/* The table of texts of a column. */
int keys_distinct(struct keys *keys, uint32_t k, struct keys **out,
    struct err *err) WARN_UNUSED;

/* The number of a row's tuple. */
int keys_find_row(struct keys *keys, const struct codes *columns,
    uint32_t row, uint32_t *id, struct err *err) WARN_UNUSED;

/* out->nruns stays 0 when rows are better looked at one by one. */
int keys_find_runs(struct keys *keys, const struct keys_input *input,
    const struct codes *columns, struct key_ids *out, struct err *err)
    WARN_UNUSED;

#endif
