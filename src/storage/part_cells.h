/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows of a block summed up by stream and status: what the section CELLS of a
 * part has (part_format.h).
 */

#ifndef SPOOR_STORAGE_PART_CELLS_H
#define SPOOR_STORAGE_PART_CELLS_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"
#include "storage/part.h"

__extension__ typedef __int128 part_sum __attribute__((aligned(8)));

struct part_cell {
    uint32_t stream;
    uint32_t status; /* 0..2 */
    uint64_t rows;
    int64_t min;     /* durations */
    int64_t max;
    part_sum sum;
};

struct part_cells {
    struct part_cell *v; /* of all tenants */
    uint32_t n;
    uint32_t nslots;     /* 0: none */
    int64_t slot_ns;
    int64_t first_slot;
    uint64_t *slots;     /* rows, by cell, then slot */
};

struct part_times {
    int64_t min_end_ns;
    int64_t max_end_ns;
    uint32_t rows;
};
struct part_times part_block_times(const struct part *part, uint32_t block);

/* Rows of the cells end within it: of the block's, those in the slot. */
struct part_times part_slot_times(const struct part_cells *cells,
    const struct part_times *block, uint32_t slot);

/* 1: the cells of a block; 0: it has none.  All is in the pool. */
int part_read_cells(struct part *part, uint32_t block,
    struct part_cells *cells, struct pool *pool, struct err *err) WARN_UNUSED;

/*
 * The greatest duration of the block's rows, of all tenants; INT64_MAX: it
 * has no cells, or damaged ones.  Read once, then known; what is in the pool
 * is of no use afterwards.
 */
int64_t part_max_duration(struct part *part, uint32_t block,
    struct pool *pool);

/* Is the field the same in all rows of a cell, as far as its name tells? */
bool part_cells_have(struct sv field);
/* Streams of the part, and whether one is the tenant's. */
uint32_t part_nstreams(const struct part *part);
bool part_stream_is_of(const struct part *part, uint32_t stream,
    const struct tenant *tenant);
/* Texts of a field by cell, in the pool or in the part. */
struct part_cell_texts {
    const struct part_cell *cells;
    uint32_t n;
    struct sv *texts; /* filled in */
    struct pool *pool;
};
/* 0: the part's rows may have another text than their stream; 1: done. */
int part_cells_texts(const struct part *part, struct sv field,
    struct part_cell_texts *out, struct err *err) WARN_UNUSED;

#endif
