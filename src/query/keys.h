/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Distinct tuples of texts ("group by"), numbered from 0.  The texts are the
 * identity of a tuple; the form of the columns decides only how it is found:
 * by code once per distinct code of a chunk, by number or id through a table
 * of its own, and by text for the rest.
 */

#ifndef SPOOR_QUERY_KEYS_H
#define SPOOR_QUERY_KEYS_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"
#include "query/dict.h"
#include "query/hold.h"
#include "query/stage.h"

#define KEYS_NONE UINT32_MAX

struct keys_column;

struct keys {
    struct hold *hold;
    uint32_t ncolumns;
    uint32_t count;
    uint32_t max;                 /* tuples that may be added */
    bool is_over;                 /* one more than max was seen */
    const struct stats_by *by;    /* buckets; NULL: none */
    /* private */
    struct hold_array slots;      /* uint64_t: hash and number + 1 */
    struct hold_array tuples;
    struct hold_array tuple_buf;  /* a tuple of several columns as bytes */
    struct dict ids;              /* 16-byte ids, if there is one column */
    struct dict numbers;          /* other numbers, the same */
    struct dict pairs;            /* of codes, in one chunk */
    struct dict by_values;        /* tuples by the numbers of their values */
    bool has_values;              /* it is used in this chunk */
    uint32_t found;               /* there */
    struct keys_column *columns;
    struct hold_array row_ids;
    struct hold_array map;        /* code to number, in one chunk */
    struct hold_array runs;       /* struct key_run */
    struct sv *texts;             /* of one tuple */
};

/* by: ncolumns of them, or NULL. */
int keys_init(struct keys *keys, struct hold *hold, uint32_t ncolumns,
    const struct stats_by *by, struct err *err) WARN_UNUSED;
void keys_drop(struct keys *keys);

/* The number of a tuple, which is added if it is new; see max. */
int keys_find(struct keys *keys, const struct sv *texts, uint32_t *id,
    struct err *err) WARN_UNUSED;
/* The texts of a tuple; views into the hold. */
void keys_texts(const struct keys *keys, uint32_t id, struct sv *texts);

/* So many picked rows, one behind the other, are of one tuple. */
struct key_run {
    uint32_t n;
    uint32_t id;
};
/*
 * The tuple of each row: ids[row], or that of the runs in turn, or, without
 * both, `one` for all.
 */
struct key_ids {
    const uint32_t *ids;
    uint32_t one;
    uint32_t nruns; /* few for many rows; 0: there are none */
    const struct key_run *runs;
};
struct keys_input {
    const struct column *columns; /* ncolumns */
    const struct picks *picks;    /* not empty */
    uint32_t nrows;               /* of the chunk */
    struct pool *pool;
};
/* Never gives runs alone.  Good until the next call. */
int keys_map(struct keys *keys, const struct keys_input *input,
    struct key_ids *out, struct err *err) WARN_UNUSED;
/* The same with runs, where rows with equal values stand together. */
int keys_map_runs(struct keys *keys, const struct keys_input *input,
    struct key_ids *out, struct err *err) WARN_UNUSED;
/* Makes ids of runs, if there are none yet. */
int keys_expand(struct keys *keys, const struct keys_input *input,
    struct key_ids *ids, struct err *err) WARN_UNUSED;

/*
 * Adds all tuples of another table: its number i is map[i] here; the map is
 * in *out (uint32_t) and belongs to the caller.
 */
int keys_merge(struct keys *keys, const struct keys *from,
    struct hold_array *out, const struct query_run *run, struct err *err)
    WARN_UNUSED;

/*
 * The number of a row of INTS, UINTS, TIMES, IDS as 128 bits, unique within
 * one column and over columns of these kinds, but that an id of 16 bytes can
 * be anything: {0, 0} when it is empty.
 */
enum number_tag {
    NUMBER_INT = 1,
    NUMBER_UINT, /* above INT64_MAX */
    NUMBER_TIME,
    NUMBER_ID8,
};
static inline struct key128
column_number(const struct column *column, uint32_t row)
{
    struct key128 key = {0, 0};

    switch (column->kind) {
    case COLUMN_INTS:
    case COLUMN_UINTS:
        if (column->present != NULL && !bitmap_has(column->present, row))
            return key;
        key.lo = (uint64_t)column->ints[row];
        key.hi = column->kind == COLUMN_UINTS && column->ints[row] < 0
            ? NUMBER_UINT : NUMBER_INT;
        return key;
    case COLUMN_TIMES:
        return (struct key128){(uint64_t)column->ints[row], NUMBER_TIME};
    default:
        if (column->width == 16) {
            memcpy(&key, column_id(column, row), 16);
            return key;
        }
        memcpy(&key.lo, column_id(column, row), 8);
        key.hi = key.lo == 0 ? 0 : NUMBER_ID8;
        return key;
    }
}
static inline bool
column_is_numbers(const struct column *column)
{
    return column->kind == COLUMN_INTS || column->kind == COLUMN_UINTS ||
        column->kind == COLUMN_TIMES || column->kind == COLUMN_IDS;
}

#endif
