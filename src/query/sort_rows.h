/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to sort: the rows it keeps.
 *
 *   stage_sort.c   lanes, heaps, what to keep of a chunk
 *   sort_rows.c    keys and cells of rows that are kept
 *   sort_emit.c    merging the lanes and giving rows on
 */

#ifndef SPOOR_QUERY_SORT_ROWS_H
#define SPOOR_QUERY_SORT_ROWS_H

#include "core/base.h"
#include "query/atom.h"
#include "query/hold.h"
#include "query/keys.h"
#include "query/stage.h"

/* Names of the cells of rows that came together. */
struct sort_schema {
    uint32_t n;
    struct sv *names;
    uint32_t *ids; /* set by sort_emit.c */
};

#define SORT_ROW_KEPT UINT32_MAX

struct sort_item {
    struct atom *keys;      /* sort_nkeys() */
    uint32_t row;           /* of this chunk; then SORT_ROW_KEPT */
    const struct sort_schema *schema;
    struct sv *cells;
    struct hold_array room; /* bytes of cells and texts, with a limit */
};

/* The best rows of one partition: the worst of them stands first. */
struct sort_heap {
    struct hold_array items; /* struct sort_item * */
    uint32_t n;
};

struct sort_lane {
    struct hold hold;
    struct keys partitions;
    struct hold_array heaps; /* struct sort_heap per partition */
    uint32_t nheaps;
    struct hold_array pending; /* struct sort_item *: of this chunk */
    uint32_t npending;
    const struct sort_schema *schema; /* the last one */
};

struct stage_sort {
    struct stage stage;
    const struct sort_spec *spec;
    struct pool *pool;
    struct needed needed; /* of the pipes behind */
    uint32_t keep;        /* rows of a heap; 0: all */
    /* What of the source's rows cannot matter any more; NULL: not known. */
    _Atomic int64_t *source_bound;
    /*
     * Rows with a first key beyond this cannot be among the first, because
     * one lane alone has as many that are before it; times and numbers.
     */
    _Atomic int64_t bound[2];
    struct sort_lane *lanes[QUERY_LANES_MAX];
};

/* Without fields the key is the text of the whole row. */
static inline uint32_t
sort_nkeys(const struct sort_spec *spec)
{
    return MAX(spec->nfields, 1u);
}

/* < 0: a comes first. */
int sort_compare(const struct sort_spec *spec, const struct sort_item *a,
    const struct sort_item *b);

/* Columns of the keys of one chunk. */
struct sort_chunk {
    struct rows *rows;
    struct column *fields;    /* nfields */
    struct column *all;       /* without fields: all columns */
    uint32_t nall;
};
/* Key i of a row; its text is in the chunk's pool. */
int sort_key(const struct sort_chunk *chunk, uint32_t i, uint32_t row,
    struct atom *out, struct err *err) WARN_UNUSED;

/* Copies what the pending items of a lane need out of the chunk. */
int sort_keep(struct stage_sort *mine, struct sort_lane *lane,
    struct rows *rows, struct err *err) WARN_UNUSED;

int sort_flush(struct stage *stage, struct err *err);
void sort_lane_free(struct sort_lane *lane);

#endif
