/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Verifying sections that say again what the rows say; private to
 * part_check*.c.  Begin, then each block, then end.
 */

#ifndef SPOOR_STORAGE_PART_CHECK_H
#define SPOOR_STORAGE_PART_CHECK_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "storage/part_read.h"

/* --- VALUES (part_check_values.c) --- */

struct part_check_values;

/* *out is NULL when there is no section; everything is in the pool. */
int part_check_values_begin(struct part_check_values **out,
    struct part *part, struct pool *pool, struct err *err) WARN_UNUSED;
/* The pool here is reset. */
int part_check_values_block(struct part_check_values *check,
    struct reading *r, struct pool *pool) WARN_UNUSED;
int part_check_values_end(const struct part_check_values *check,
    struct err *err) WARN_UNUSED;

/* --- FIELDS (part_check_fields.c), as VALUES; row by row --- */

struct part_check_fields;

int part_check_fields_begin(struct part_check_fields **out,
    const struct part *part, struct pool *pool, struct err *err) WARN_UNUSED;
struct check_row {
    const struct batch *batch;
    const struct span *span;
    struct pool *pool; /* for what it takes */
};
int part_check_fields_row(struct part_check_fields *check, struct reading *r,
    uint32_t tenant, const struct check_row *row) WARN_UNUSED;
int part_check_fields_end(const struct part_check_fields *check,
    struct err *err) WARN_UNUSED;

/* --- CELLS, block by block (part_check_cells.c) --- */

struct part_check_cells;

/* Free it in any case. */
int part_check_cells_begin(struct part_check_cells **out, struct reading *r)
    WARN_UNUSED;
int part_check_cells_row(struct part_check_cells *check, struct reading *r,
    uint32_t stream, const struct span *span) WARN_UNUSED;
int part_check_cells_end(const struct part_check_cells *check,
    struct reading *r) WARN_UNUSED;
void part_check_cells_free(struct part_check_cells *check);

/* --- EDGES, block by block (part_check_edges.c); the pool is reset --- */

int part_check_edges(struct reading *r, struct pool *pool) WARN_UNUSED;

#endif
