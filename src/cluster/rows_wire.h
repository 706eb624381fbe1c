/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows of a query as bytes: columns in the form they have (constants, codes,
 * numbers, ids, texts), of the selected rows only.  rows_wire.c begins with
 * the format.
 */

#ifndef SPOOR_CLUSTER_ROWS_WIRE_H
#define SPOOR_CLUSTER_ROWS_WIRE_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "query/rows.h"
#include "query/stage.h"

/*
 * Appends the selected rows with the columns that needed matches, as one
 * payload of at most bytes_max where rows can be divided; *row is the first
 * row to take and becomes the first that is left (rows->n: none).  Call it
 * until then.  Rows of a block are without one afterwards, and have no column
 * but those.
 */
int rows_put(struct sb *out, struct rows *rows, const struct needed *needed,
    uint32_t *row, size_t bytes_max, struct err *err) WARN_UNUSED;
/*
 * Makes rows (no block, all selected) whose columns are views into payload
 * and pool.  ERR_CORRUPT: anything may be in it; ERR_LIMIT: the pool is full.
 */
int rows_take(struct rows *rows, struct sv payload, struct pool *pool,
    struct err *err) WARN_UNUSED;

#endif
