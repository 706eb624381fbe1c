/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows out of bytes (rows_wire.c).  Whatever the bytes are, what is made of
 * them can be used as the rows of a store can: codes are in bounds, the values
 * of a column distinct, names, too.
 */

#include "core/base.h"

#include "cluster/rows_wire.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cluster/rows_wire_format.h"
#include "core/enc.h"
#include "query/dict.h"

/* Numbers that are decoded at a time. */
#define PIECE COL_MINI

struct reader {
    struct enc_reader in;
    struct pool *pool;
    struct err *err;
    uint32_t n;          /* rows */
};

static int
corrupt(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_CORRUPT, "rows from another server are "
        "malformed: %s", what);
}

static int
no_memory(struct reader *r)
{
    return err_set(r->err, ERR_LIMIT, "query needs too much memory");
}

/* --- numbers --- */

/* What becomes of n numbers, which are those from `first` on. */
typedef int (*numbers_fn)(struct reader *r, void *arg, uint32_t first,
    const uint64_t *numbers, uint32_t n);

static int
take_chunk(struct reader *r, uint32_t first, uint32_t n, numbers_fn fn,
    void *arg)
{
    union {
        struct col col;
        char room[sizeof(struct col) + COL_MINIS * sizeof(struct col_mini)];
    } view;
    struct sv bytes = enc_read_sv(&r->in);
    uint64_t numbers[PIECE];

    if (r->in.failed || col_open(&view.col, (const uint8_t *)bytes.ptr,
            bytes.len, n) != 0)
        return corrupt(r, "packed numbers");
    for (uint32_t at = 0; at < n; at += PIECE) {
        uint32_t count = MIN(n - at, PIECE);

        col_decode(&view.col, at, count, numbers);
        if (fn(r, arg, first + at, numbers, count) != 0)
            return -1;
    }
    return 0;
}

static int
take_numbers(struct reader *r, uint32_t n, numbers_fn fn, void *arg)
{
    for (uint32_t at = 0; at < n; at += COL_CHUNK) {
        if (take_chunk(r, at, MIN(n - at, COL_CHUNK), fn, arg) != 0)
            return -1;
    }
    return 0;
}

/* --- codes --- */

struct codes {
    uint32_t *v;
    uint32_t max; /* below this */
};

static int
on_codes(struct reader *r, void *arg, uint32_t first,
    const uint64_t *numbers, uint32_t n)
{
    struct codes *codes = arg;
    uint64_t most = 0;

    for (uint32_t i = 0; i < n; i++) {
        most = MAX(most, numbers[i]);
        codes->v[first + i] = (uint32_t)numbers[i];
    }
    return most < codes->max ? 0 : corrupt(r, "a code that has no value");
}

/* A code for each row, and how many values there are. */
static int
take_codes(struct reader *r, struct column *column)
{
    uint64_t nvalues = enc_read_varint(&r->in);
    struct codes codes;

    if (r->in.failed || nvalues == 0 || nvalues > r->n)
        return corrupt(r, "the number of values");
    codes.max = column->nvalues = (uint32_t)nvalues;
    codes.v = pool_alloc(r->pool, r->n * sizeof(*codes.v));
    column->codes = codes.v;
    return codes.v == NULL ? no_memory(r)
        : take_numbers(r, r->n, on_codes, &codes);
}

/* --- texts --- */

struct lengths {
    struct sv *texts;
    uint64_t sum;
};

static int
on_lengths(struct reader *r, void *arg, uint32_t first,
    const uint64_t *numbers, uint32_t n)
{
    struct lengths *lengths = arg;
    size_t left = (size_t)(r->in.end - r->in.ptr);

    for (uint32_t i = 0; i < n; i++) {
        if (numbers[i] > left)
            return corrupt(r, "the length of a text");
        lengths->texts[first + i].len = (size_t)numbers[i];
        lengths->sum += numbers[i];
    }
    return 0;
}

static int
take_texts(struct reader *r, uint32_t n, const struct sv **out)
{
    struct lengths lengths = {pool_alloc(r->pool, n * sizeof(struct sv)), 0};
    struct sv bytes;

    if (lengths.texts == NULL)
        return no_memory(r);
    if (take_numbers(r, n, on_lengths, &lengths) != 0)
        return -1;
    bytes = enc_read_bytes(&r->in, (size_t)lengths.sum);
    if (r->in.failed)
        return corrupt(r, "texts that end early");
    for (uint32_t i = 0; i < n; i++) {
        lengths.texts[i].ptr = bytes.ptr;
        bytes.ptr += lengths.texts[i].len;
    }
    *out = lengths.texts;
    return 0;
}

/* Stages rely on it. */
static int
check_distinct(struct reader *r, const struct sv *values, uint32_t n)
{
    uint64_t secret = dict_secret();
    uint32_t nslots = 4, *slots;

    while (nslots < 2 * n)
        nslots *= 2;
    slots = pool_zalloc(r->pool, nslots * sizeof(*slots));
    if (slots == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)XXH3_64bits_withSeed(values[i].ptr,
            values[i].len, secret) & (nslots - 1);

        for (; slots[at] != 0; at = (at + 1) & (nslots - 1)) {
            if (sv_eq(values[slots[at] - 1], values[i]))
                return corrupt(r, "one value twice");
        }
        slots[at] = i + 1;
    }
    return 0;
}

/* --- columns --- */

static int
take_const(struct reader *r, struct column *column)
{
    struct sv *value = pool_alloc(r->pool, sizeof(*value));

    if (value == NULL)
        return no_memory(r);
    *value = enc_read_sv(&r->in);
    column->kind = COLUMN_CONST;
    column->values = value;
    return r->in.failed ? corrupt(r, "a text that ends early") : 0;
}

static int
take_coded(struct reader *r, struct column *column)
{
    column->kind = COLUMN_CODES;
    return take_codes(r, column) != 0 ||
        take_texts(r, column->nvalues, &column->values) != 0 ? -1 :
        check_distinct(r, column->values, column->nvalues);
}

/* Sets column->present; how many have a value: 0 after an error. */
static uint32_t
take_present(struct reader *r, struct column *column)
{
    size_t bytes = (r->n + 7) / 8, words = BITMAP_WORDS(r->n);
    unsigned form = enc_read8(&r->in);
    struct sv bits;
    uint64_t *present;
    uint32_t n = 0;

    if (form == 0 && !r->in.failed)
        return r->n;
    bits = enc_read_bytes(&r->in, bytes);
    present = pool_zalloc(r->pool, words * sizeof(*present));
    if (present == NULL) {
        no_memory(r);
        return 0;
    }
    if (!r->in.failed && form == 1) {
        memcpy(present, bits.ptr, bytes);
        column->present = present;
        n = r->n % 64 == 0 || present[words - 1] >> r->n % 64 == 0 ?
            bitmap_count(present, r->n) : 0;
    }
    if (n == 0)
        corrupt(r, "which rows have a number");
    return n;
}

struct ints {
    int64_t *v;
    uint64_t base;
    int64_t min, max;
};

static int
on_ints(UNUSED struct reader *r, void *arg, uint32_t first,
    const uint64_t *numbers, uint32_t n)
{
    struct ints *ints = arg;
    int64_t min = ints->min, max = ints->max;

    for (uint32_t i = 0; i < n; i++) {
        int64_t v = (int64_t)(numbers[i] + ints->base);

        ints->v[first + i] = v;
        min = MIN(min, v);
        max = MAX(max, v);
    }
    ints->min = min;
    ints->max = max;
    return 0;
}

/* The first n of v go to the rows that have one, the last one first. */
static void
spread(int64_t *v, uint32_t n, const uint64_t *present, uint32_t nrows)
{
    for (uint32_t row = nrows; row-- > 0;)
        v[row] = bitmap_has(present, row) ? v[--n] : 0;
}

static int
take_ints(struct reader *r, struct column *column, enum column_kind kind)
{
    struct ints ints = {.min = INT64_MAX, .max = INT64_MIN};
    uint32_t n = kind == COLUMN_TIMES ? r->n : take_present(r, column);

    if (n == 0)
        return -1;
    ints.base = (uint64_t)enc_unzigzag(enc_read_varint(&r->in));
    ints.v = pool_alloc(r->pool, r->n * sizeof(*ints.v));
    if (ints.v == NULL)
        return no_memory(r);
    if (take_numbers(r, n, on_ints, &ints) != 0)
        return -1;
    if (n < r->n)
        spread(ints.v, n, column->present, r->n);
    column->kind = kind;
    column->ints = ints.v;
    if (kind == COLUMN_TIMES) {
        column->has_range = true;
        column->min = ints.min;
        column->max = ints.max;
    }
    return 0;
}

static int
take_ids(struct reader *r, struct column *column, bool is_shared)
{
    size_t count = r->n;

    column->kind = COLUMN_IDS;
    column->width = enc_read8(&r->in);
    if (column->width != 8 && column->width != 16)
        return corrupt(r, "ids of neither 8 nor 16 bytes");
    if (is_shared) {
        if (take_codes(r, column) != 0)
            return -1;
        count = column->nvalues;
    }
    column->ids = (const uint8_t *)enc_read_bytes(&r->in,
        count * column->width).ptr;
    return r->in.failed ? corrupt(r, "ids that end early") : 0;
}

static int
take_column(struct reader *r, struct column *column)
{
    unsigned kind;

    memset(column, 0, sizeof(*column));
    column->name = enc_read_sv(&r->in);
    kind = enc_read8(&r->in);
    if (r->in.failed)
        return corrupt(r, "a column that ends early");
    switch (kind) {
    case WIRE_EMPTY:
        return 0;
    case WIRE_CONST:
        return take_const(r, column);
    case WIRE_CODES:
        return take_coded(r, column);
    case WIRE_INTS:
        return take_ints(r, column, COLUMN_INTS);
    case WIRE_UINTS:
        return take_ints(r, column, COLUMN_UINTS);
    case WIRE_TIMES:
        return take_ints(r, column, COLUMN_TIMES);
    case WIRE_IDS:
    case WIRE_SHARED_IDS:
        return take_ids(r, column, kind == WIRE_SHARED_IDS);
    case WIRE_TEXTS:
        column->kind = COLUMN_TEXTS;
        return take_texts(r, r->n, &column->texts);
    default:
        return corrupt(r, "a column of an unknown kind");
    }
}

/* --- rows --- */

static int
compare_names(const void *a, const void *b)
{
    return sv_cmp(*(const struct sv *)a, *(const struct sv *)b);
}

/* Mostly they ascend. */
static int
check_names(struct reader *r, const struct column *columns, uint32_t n)
{
    struct sv *names;
    uint32_t i = 1;

    while (i < n && sv_cmp(columns[i - 1].name, columns[i].name) < 0)
        i++;
    if (i >= n)
        return 0;
    names = pool_alloc(r->pool, n * sizeof(*names));
    if (names == NULL)
        return no_memory(r);
    for (i = 0; i < n; i++)
        names[i] = columns[i].name;
    qsort(names, n, sizeof(*names), compare_names);
    for (i = 1; i < n; i++) {
        if (sv_eq(names[i - 1], names[i]))
            return corrupt(r, "one column twice");
    }
    return 0;
}

/* What follows the heads of rows and columns. */
static int
take_columns(struct reader *r, struct rows *rows, uint32_t n)
{
    struct column *columns;

    /* A name and a kind each, at least. */
    if (n > ROWS_WIRE_COLUMNS_MAX || n > (size_t)(r->in.end - r->in.ptr) / 2)
        return corrupt(r, "the number of columns");
    columns = pool_alloc(r->pool, n * sizeof(*columns) + 1);
    if (columns == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < n; i++) {
        if (take_column(r, &columns[i]) != 0)
            return -1;
    }
    if (r->in.ptr != r->in.end)
        return corrupt(r, "bytes behind the columns");
    rows->columns = columns;
    rows->ncolumns = rows->columns_cap = n;
    return check_names(r, columns, n);
}

int
rows_take(struct rows *rows, struct sv payload, struct pool *pool,
    struct err *err)
{
    struct reader r = {.pool = pool, .err = err};
    unsigned format, had_block;
    uint32_t ncolumns;

    if (payload.len < ROWS_WIRE_PAD)
        return corrupt(&r, "too short");
    r.in = enc_reader_make(payload.ptr, payload.len - ROWS_WIRE_PAD);
    format = enc_read8(&r.in);
    had_block = enc_read8(&r.in);
    r.n = enc_read32(&r.in);
    ncolumns = enc_read32(&r.in);
    if (r.in.failed)
        return corrupt(&r, "too short");
    if (format != ROWS_WIRE_FORMAT || had_block > 1)
        return err_set(err, ERR_UNSUPPORTED, "rows from another server have "
            "the format %u, which this version does not know", format);
    if (r.n == 0 || r.n > ROWS_MAX)
        return corrupt(&r, "the number of rows");
    rows_init(rows, r.n, pool);
    if (rows->selected == NULL)
        return no_memory(&r);
    rows->had_block = had_block == 1;
    return take_columns(&r, rows, ncolumns);
}
