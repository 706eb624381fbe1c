/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to keys: columns of a chunk as codes, and runs of equal ones.
 *
 *   keys.c        the table of tuples
 *   keys_map.c    columns to codes, codes to numbers of tuples
 *   keys_runs.c   the same for rows with equal codes that stand together
 */

#ifndef SPOOR_QUERY_KEYS_RUNS_H
#define SPOOR_QUERY_KEYS_RUNS_H

#include "core/base.h"
#include "core/err.h"
#include "query/keys.h"

/* One column of a chunk: the text of a row is texts[codes[row]]. */
struct codes {
    uint32_t n;
    const uint32_t *codes; /* NULL: all 0 */
    const struct sv *texts;
};

/* The number of a row's tuple. */
int keys_find_row(struct keys *keys, const struct codes *columns,
    uint32_t row, uint32_t *id, struct err *err) WARN_UNUSED;

/* out->nruns stays 0 when rows are better looked at one by one. */
int keys_find_runs(struct keys *keys, const struct keys_input *input,
    const struct codes *columns, struct key_ids *out, struct err *err)
    WARN_UNUSED;

#endif
