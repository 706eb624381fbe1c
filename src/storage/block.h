/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The flat view of one block of rows (a block of a part, or the committed
 * rows of a memtable) as columns: what queries scan.  A column is the text of
 * one flat field (span/flat.h) for every row, in whatever form is cheapest;
 * column_text() is its one meaning.  Rows of other tenants are in the block,
 * too: block_tenant() tells them apart.
 *
 * A block is used by one thread.  Its columns live in its pool.
 */

#ifndef SPOOR_STORAGE_BLOCK_H
#define SPOOR_STORAGE_BLOCK_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"

struct memtable;
struct part;
struct block;

/* Rows of one block never exceed this. */
#define BLOCK_ROWS_MAX 65536u

enum column_kind {
    COLUMN_EMPTY = 0, /* every row: "" */
    COLUMN_CONST,     /* every row: values[0] */
    COLUMN_CODES,     /* values[codes[row]]; values are distinct texts */
    COLUMN_INTS,      /* ints[row] in decimal */
    COLUMN_UINTS,     /* (uint64_t)ints[row] in decimal */
    COLUMN_TIMES,     /* ints[row] ns since 1970 as RFC3339, short fraction */
    COLUMN_IDS,       /* column_id() as hex; all zero: "" */
    COLUMN_TEXTS,     /* texts[row] */
};

struct column {
    struct sv name;
    enum column_kind kind;
    uint32_t nvalues;     /* CODES; IDS with codes */
    uint32_t width;       /* IDS: 8 or 16 */
    const struct sv *values;
    const uint32_t *codes;
    const int64_t *ints;
    const uint64_t *present; /* INTS, UINTS: bitmap of rows that have one;
                                NULL: all; the others are "" */
    /* IDS: width bytes a row; with codes nvalues of them, which rows share. */
    const uint8_t *ids;
    const struct sv *texts;
    /* TIMES: of all rows, wanted or not, when it is known. */
    bool has_range;
    int64_t min, max;
};

/* The width bytes of a row of IDS. */
static inline const uint8_t *
column_id(const struct column *column, uint32_t row)
{
    return column->ids + (size_t)column->width *
        (column->codes == NULL ? row : column->codes[row]);
}

#define COLUMN_TEXT_MAX 64
/* The text of a row; views into the column or into buf[COLUMN_TEXT_MAX]. */
struct sv column_text(const struct column *column, uint32_t row, char *buf);

/* --- bitmaps: one bit a row, 64 rows a word; unused bits are 0 --- */

#define BITMAP_WORDS(rows) (((rows) + 63) / 64)

static inline bool
bitmap_has(const uint64_t *bits, uint32_t row)
{
    return (bits[row / 64] >> row % 64 & 1) != 0;
}

static inline void
bitmap_set(uint64_t *bits, uint32_t row)
{
    bits[row / 64] |= UINT64_C(1) << row % 64;
}

/* Without an instruction for it, counting a word is slow: most are 0 or full. */
static inline uint32_t
bitmap_count(const uint64_t *bits, uint32_t rows)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < BITMAP_WORDS(rows); i++) {
        if (bits[i] != 0)
            n += bits[i] == UINT64_MAX ? 64
                : (uint32_t)__builtin_popcountll(bits[i]);
    }
    return n;
}

/* --- blocks --- */

struct block_info {
    uint32_t rows;
    int64_t min_end_ns; /* of all rows */
    int64_t max_end_ns;
};

/*
 * Both borrow the memtable or part until block_close(); the pool is for the
 * columns.  rows: what memtable_committed() said.
 */
int block_open_memtable(struct block **out, const struct memtable *mt,
    uint32_t rows, struct pool *pool, struct err *err) WARN_UNUSED;
int block_open_part(struct block **out, struct part *part, uint32_t index,
    struct pool *pool, struct err *err) WARN_UNUSED;
void block_close(struct block *block); /* accepts NULL */
const struct block_info *block_get_info(const struct block *block);

/*
 * Sets the bits of the tenant's rows and counts them; without any the bits
 * may be left alone.  bits has BITMAP_WORDS(rows) words.
 */
int block_select_tenant(struct block *block, const struct tenant *tenant,
    uint64_t *bits, uint32_t *count, struct err *err) WARN_UNUSED;

/*
 * The column of a field, also of _stream and _stream_id.  Only the values of
 * rows of `wanted` (NULL: all) may be looked at, others are anything, so that
 * few rows cost little.  A field that no row has is COLUMN_EMPTY.  *out is in the pool.
 */
int block_column(struct block *block, struct sv field,
    const uint64_t *wanted, const struct column **out, struct err *err)
    WARN_UNUSED;

/*
 * The labels of rows, as flat_labels() has them: the text of the field of
 * that name in rows whose request declared it a label, else "".
 */
int block_label(struct block *block, struct sv label, const uint64_t *wanted,
    const struct column **out, struct err *err) WARN_UNUSED;

/*
 * Rows that follow one another and have one text: rows [start[i],
 * start[i + 1]) have values[codes[i]].  The values are distinct.
 */
struct block_runs {
    uint32_t n;
    const uint32_t *start; /* n + 1 */
    const uint32_t *codes; /* n */
    uint32_t nvalues;
    const struct sv *values;
};

/*
 * What block_column() would tell, when it is known by runs without a look at
 * the rows; else out->n is 0.  In the pool.
 */
int block_runs_of(struct block *block, struct sv field,
    struct block_runs *out, struct err *err) WARN_UNUSED;

/*
 * How many rows (of any tenant) have a text that is not empty in this field,
 * when that is known without a look at the rows; else UINT32_MAX.
 */
int block_count_filled(struct block *block, struct sv field, uint32_t *n,
    struct err *err) WARN_UNUSED;

/*
 * Names of all fields that at least one row (of any tenant) may have, each
 * once, in no order.  In the pool.
 */
int block_fields(struct block *block, const struct sv **out, uint32_t *n,
    struct err *err) WARN_UNUSED;
/*
 * The same of the rows of `wanted` (NULL: all), as far as it is cheap to leave
 * out those of others.  The columns of these rows then cost less.
 */
int block_fields_of(struct block *block, const uint64_t *wanted,
    const struct sv **out, uint32_t *n, struct err *err) WARN_UNUSED;

/* Texts that are not kept as such: those of integers, ids ... */
enum block_form {
    BLOCK_FORM_INT = 1,    /* "-12" */
    BLOCK_FORM_DOUBLE = 2,
    BLOCK_FORM_ID = 4,     /* lower-case hex */
    BLOCK_FORM_TIME = 8,   /* RFC3339 */
};

/* A text that is looked for in all fields whose names begin with prefix. */
struct block_ask {
    struct sv prefix;
    unsigned forms;         /* one of such a text may pass */
    const struct sv *exact; /* the only text that passes; or NULL: */
    /* 1: passes; 0: does not; -1 with err. */
    int (*text)(void *arg, struct sv text, struct err *err);
    void *arg;
};
/*
 * Names of the fields in which a row may have such a text, as far as
 * dictionaries and indexes tell without reading columns.
 */
int block_fields_asked(struct block *block, const struct block_ask *ask,
    const struct sv **out, uint32_t *n, struct err *err) WARN_UNUSED;
/*
 * False when no row of the block has such a text in this field, as far as
 * streams and VALUES tell; neither prefix nor forms matter here.
 */
bool block_may_pass(struct block *block, struct sv field,
    const struct block_ask *ask);
/*
 * About what the columns of all fields of a memtable take, 0 of a part; and
 * of how many rows, at most, all columns cost little (block_fields_of()).
 */
uint64_t block_wide_bytes(const struct block *block);
uint32_t block_few_rows(const struct block *block);
/*
 * The same rows once more, so that columns can be loaded and forgotten: it
 * borrows what the block borrows, and has its own pool.
 */
int block_open_again(struct block **out, const struct block *block,
    struct pool *pool, struct err *err) WARN_UNUSED;

/*
 * Adds n rows of the block, whatever their tenant, as spans to the batch:
 * deep copies, so that the batch outlives the block.
 */
int block_read_spans(struct block *block, const uint32_t *rows, uint32_t n,
    struct batch *out, struct err *err) WARN_UNUSED;

/*
 * False when no row of the block can have this text in this field, as far as
 * dictionaries and filters tell without reading columns; a true may be wrong.
 */
bool block_may_have(struct block *block, struct sv field, struct sv text);

#endif
