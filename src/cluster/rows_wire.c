/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows as bytes; numbers little endian, "text" is a varint length and as many
 * bytes:
 *
 *   u8      1, the format
 *   u8      1: they were rows of a block, so that stars sort names; else 0
 *   u32     rows, 1 to 65536
 *   u32     columns
 *   columns, in order: text name, u8 kind, then
 *     0 EMPTY       nothing
 *     1 CONST       text
 *     2 CODES       varint count; numbers: a code a row; texts
 *     3 INTS        present; varint base; numbers: value - base, modulo 2^64,
 *     4 UINTS       of each row that has one
 *     5 TIMES       varint base; numbers, of all rows
 *     6 IDS         u8 width, 8 or 16; width bytes a row
 *     7 SHARED_IDS  u8 width; varint count; numbers: a code a row; width
 *                   bytes each
 *     8 TEXTS       texts, one a row
 *   16 zeros
 *
 *   present  u8: 0 all rows have a value, 1 a bitmap follows, a bit a row,
 *            lowest first, padded with zeros to a whole byte
 *   texts    numbers: the lengths; then the bytes of all
 *   numbers  for each 8192 of them (the last: what is left) varint length and
 *            a chunk of storage/col.h
 *
 * The values of CODES are distinct.  A column is of another kind than it was
 * where that is shorter; its texts are the same.
 */

#include "core/base.h"

#include "cluster/rows_wire.h"

#include "cluster/frame.h"
#include "cluster/rows_wire_format.h"
#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"

/* Rows that are looked at to tell how many fit into bytes_max. */
#define SAMPLE_ROWS 32u
/* A column with more codes than so many times the rows is put as texts. */
#define CODES_PER_ROW 16u

struct writer {
    struct sb *out;
    struct rows *rows;
    const struct column **columns;
    uint32_t ncolumns;
    uint32_t *index;      /* the rows that are left */
    uint32_t nleft;
    struct picks picks;   /* the first of them: those that are put */
    uint64_t *numbers;    /* nleft */
    uint32_t *used;       /* nleft: what is put of codes, in order */
    uint32_t *map;        /* from codes to their place in used, from 1; 0s
                             between columns */
    uint32_t map_cap;
    uint8_t chunk[COL_CHUNK_BYTES_MAX + 8];
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* --- which columns --- */

static bool
is_any_filled(const struct column *column, const struct rows *rows)
{
    uint32_t row = rows_first(rows);

    if (column->kind == COLUMN_EMPTY)
        return false;
    while (row < rows->n && !column_is_filled(column, row))
        row = rows_next(rows, row);
    return row < rows->n;
}

/*
 * Loads what is needed of a block and lets go of it.  All columns are in the
 * order in which a sink here would show them.  A block may list fields that
 * none of the rows has, which are left out.
 */
static int
detach(struct rows *rows, const struct needed *needed, struct err *err)
{
    struct column *columns;
    struct name_list names;
    uint32_t n = 0;

    if ((needed->is_all ? rows_names(rows, &names.v, &names.n, err) :
        rows_match_names(rows, needed->patterns, needed->n, &names,
            err)) != 0)
        return -1;
    columns = pool_alloc(rows->pool, names.n * sizeof(*columns) + 1);
    if (columns == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < names.n; i++) {
        const struct column *column;

        if ((rows->run != NULL && run_poll(rows->run, err) != 0) ||
            rows_column(rows, names.v[i], &column, err) != 0)
            return -1;
        if (!is_any_filled(column, rows))
            continue;
        columns[n] = *column;
        columns[n++].name = names.v[i];
    }
    rows->columns = columns;
    rows->ncolumns = rows->columns_cap = n;
    rows->block = NULL;
    rows->nmade = 0;
    rows->had_block = true;
    return 0;
}

static int
find_columns(struct writer *w, const struct needed *needed, struct err *err)
{
    struct rows *rows = w->rows;

    if (rows->block != NULL && detach(rows, needed, err) != 0)
        return -1;
    w->columns = mem_try_alloc(rows->ncolumns * sizeof(*w->columns) + 1);
    if (w->columns == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < rows->ncolumns; i++) {
        if (needed->is_all || needed_has(needed, rows->columns[i].name))
            w->columns[w->ncolumns++] = &rows->columns[i];
    }
    return 0;
}

/* --- pieces --- */

static void
put_u8(struct writer *w, unsigned v)
{
    sb_add_char(w->out, (char)v);
}

static void
put_varint(struct writer *w, uint64_t v)
{
    uint8_t bytes[ENC_VARINT_MAX];

    sb_add(w->out, bytes, enc_put_varint(bytes, v));
}

static void
put_text(struct writer *w, struct sv text)
{
    put_varint(w, text.len);
    sb_add_sv(w->out, text);
}

static void
put_u32(struct writer *w, uint32_t v)
{
    uint8_t bytes[4];

    enc_put32(bytes, v);
    sb_add(w->out, bytes, sizeof(bytes));
}

/* The first n of w->numbers. */
static void
put_numbers(struct writer *w, uint32_t n, unsigned hints)
{
    for (uint32_t at = 0; at < n; at += COL_CHUNK) {
        size_t len = col_encode(w->chunk, w->numbers + at,
            MIN(n - at, COL_CHUNK), hints);

        put_varint(w, len);
        sb_add(w->out, w->chunk, len);
    }
}

static uint32_t
row_at(const struct writer *w, uint32_t i)
{
    return picks_row(&w->picks, i);
}

/* --- columns --- */

static void
put_head(struct writer *w, const struct column *column, enum wire_kind kind)
{
    put_text(w, column->name);
    put_u8(w, kind);
}

static void
put_const(struct writer *w, const struct column *column, struct sv text)
{
    put_head(w, column, text.len == 0 ? WIRE_EMPTY : WIRE_CONST);
    if (text.len > 0)
        put_text(w, text);
}

static struct sv
text_at(const struct column *column, uint32_t row)
{
    return column->kind == COLUMN_TEXTS ? column->texts[row] :
        column->values[column->codes[row]];
}

/* Of TEXTS or CODES. */
static void
put_texts(struct writer *w, const struct column *column)
{
    uint64_t any = 0;

    for (uint32_t i = 0; i < w->picks.n; i++) {
        w->numbers[i] = text_at(column, row_at(w, i)).len;
        any |= w->numbers[i];
    }
    if (any == 0) {
        put_const(w, column, SV_EMPTY);
        return;
    }
    put_head(w, column, WIRE_TEXTS);
    put_numbers(w, w->picks.n, COL_TRY_LDICT);
    for (uint32_t i = 0; i < w->picks.n; i++)
        sb_add_sv(w->out, text_at(column, row_at(w, i)));
}

/*
 * Numbers the codes that rows have by their first row, into w->numbers; the
 * codes by number go to w->used.  Returns how many there are.
 */
static uint32_t
count_codes(struct writer *w, const struct column *column)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < w->picks.n; i++) {
        uint32_t code = column->codes[row_at(w, i)];

        if (w->map[code] == 0) {
            w->used[used++] = code;
            w->map[code] = used;
        }
        w->numbers[i] = w->map[code] - 1;
    }
    /* A block's dictionary may be far larger than what some rows use. */
    for (uint32_t i = 0; i < used; i++)
        w->map[w->used[i]] = 0;
    return used;
}

/* Room for a map of n codes. */
static int
map_reserve(struct writer *w, uint32_t n, struct err *err)
{
    if (n <= w->map_cap)
        return 0;
    xfree(w->map);
    w->map = mem_try_alloc(n * sizeof(*w->map));
    w->map_cap = w->map == NULL ? 0 : n;
    if (w->map == NULL)
        return no_memory(err);
    memset(w->map, 0, n * sizeof(*w->map));
    return 0;
}

/* Texts that rows hardly share are shorter without codes. */
static bool
is_worth_codes(uint32_t used, uint32_t n)
{
    return used < n - n / 4;
}

static bool
has_many_codes(const struct writer *w, const struct column *column)
{
    return column->nvalues / CODES_PER_ROW > w->picks.n;
}

static int
put_codes(struct writer *w, const struct column *column,
    struct err *err)
{
    uint32_t n = w->picks.n, used;

    if (has_many_codes(w, column)) {
        put_texts(w, column);
        return 0;
    }
    if (map_reserve(w, column->nvalues, err) != 0)
        return -1;
    used = count_codes(w, column);
    if (used == 1) {
        put_const(w, column, column->values[column->codes[row_at(w, 0)]]);
        return 0;
    }
    if (!is_worth_codes(used, n)) {
        put_texts(w, column);
        return 0;
    }
    put_head(w, column, WIRE_CODES);
    put_varint(w, used);
    put_numbers(w, n, COL_TRY_DELTA);
    for (uint32_t i = 0; i < used; i++)
        w->numbers[i] = column->values[w->used[i]].len;
    put_numbers(w, used, COL_TRY_LDICT);
    for (uint32_t i = 0; i < used; i++)
        sb_add_sv(w->out, column->values[w->used[i]]);
    return 0;
}

/* A bit for each row that has a value, if not all of them do. */
static void
put_present(struct writer *w, const uint64_t *present, bool have_all)
{
    uint32_t n = w->picks.n;
    unsigned byte = 0;

    put_u8(w, !have_all);
    for (uint32_t i = 0; i < n && !have_all; i++) {
        byte |= (unsigned)bitmap_has(present, row_at(w, i)) << i % 8;
        if (i % 8 == 7 || i + 1 == n) {
            put_u8(w, byte);
            byte = 0;
        }
    }
}

static void
put_ints(struct writer *w, const struct column *column)
{
    bool is_time = column->kind == COLUMN_TIMES;
    const uint64_t *present = is_time ? NULL : column->present;
    int64_t least = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->picks.n; i++) {
        uint32_t row = row_at(w, i);

        if (present != NULL && !bitmap_has(present, row))
            continue;
        w->numbers[n++] = (uint64_t)column->ints[row];
        least = MIN(least, column->ints[row]);
    }
    if (n == 0) {
        put_const(w, column, SV_EMPTY);
        return;
    }
    put_head(w, column, is_time ? WIRE_TIMES : column->kind == COLUMN_INTS ?
        WIRE_INTS : WIRE_UINTS);
    if (!is_time)
        put_present(w, present, n == w->picks.n);
    /* A few below 0 would be large numbers. */
    if (column->kind == COLUMN_UINTS)
        least = 0;
    for (uint32_t i = 0; i < n && least != 0; i++)
        w->numbers[i] -= (uint64_t)least;
    put_varint(w, enc_zigzag(least));
    put_numbers(w, n, COL_TRY_DELTA | COL_TRY_SCALE | COL_TRY_LDICT);
}

/*
 * Numbers rows by their ids as they follow one another; w->used has the first
 * row of each.
 */
static uint32_t
count_runs(struct writer *w, const struct column *column)
{
    const uint8_t *last = NULL;
    uint32_t used = 0;

    for (uint32_t i = 0; i < w->picks.n; i++) {
        uint32_t row = row_at(w, i);
        const uint8_t *id = column_id(column, row);

        if (last == NULL || memcmp(id, last, column->width) != 0)
            w->used[used++] = row;
        w->numbers[i] = used - 1;
        last = id;
    }
    return used;
}

static int
put_ids(struct writer *w, const struct column *column,
    struct err *err)
{
    bool has_codes = column->codes != NULL && !has_many_codes(w, column);
    uint32_t n = w->picks.n, width = column->width, used;

    if (has_codes && map_reserve(w, column->nvalues, err) != 0)
        return -1;
    used = has_codes ? count_codes(w, column) : count_runs(w, column);
    if (!is_worth_codes(used, n)) {
        put_head(w, column, WIRE_IDS);
        put_u8(w, width);
        for (uint32_t i = 0; i < n; i++)
            sb_add(w->out, column_id(column, row_at(w, i)), width);
        return 0;
    }
    put_head(w, column, WIRE_SHARED_IDS);
    put_u8(w, width);
    put_varint(w, used);
    put_numbers(w, n, COL_TRY_DELTA);
    for (uint32_t i = 0; i < used; i++)
        sb_add(w->out, has_codes ? column->ids + (size_t)w->used[i] * width :
            column_id(column, w->used[i]), width);
    return 0;
}

static int
put_column(struct writer *w, const struct column *column, struct err *err)
{
    switch (column->kind) {
    case COLUMN_EMPTY:
        put_const(w, column, SV_EMPTY);
        return 0;
    case COLUMN_CONST:
        put_const(w, column, column->values[0]);
        return 0;
    case COLUMN_CODES:
        return put_codes(w, column, err);
    case COLUMN_INTS:
    case COLUMN_UINTS:
    case COLUMN_TIMES:
        put_ints(w, column);
        return 0;
    case COLUMN_IDS:
        return put_ids(w, column, err);
    case COLUMN_TEXTS:
        put_texts(w, column);
        return 0;
    }
    panic("column kind %d", column->kind);
}

/* --- rows --- */

static int
put_rows(struct writer *w, struct err *err)
{
    static const char zeros[ROWS_WIRE_PAD];

    put_u8(w, ROWS_WIRE_FORMAT);
    put_u8(w, w->rows->had_block);
    put_u32(w, w->picks.n);
    put_u32(w, w->ncolumns);
    for (uint32_t i = 0; i < w->ncolumns && !sb_failed(w->out); i++) {
        if ((w->rows->run != NULL && run_poll(w->rows->run, err) != 0) ||
            put_column(w, w->columns[i], err) != 0)
            return -1;
    }
    sb_add(w->out, zeros, sizeof(zeros));
    return 0;
}

/* The rows from first on, and what is needed for as many. */
static int
writer_begin(struct writer *w, uint32_t first, struct err *err)
{
    uint32_t n = 0;

    w->index = mem_try_alloc((w->rows->n - first) * sizeof(*w->index) + 1);
    if (w->index == NULL)
        return no_memory(err);
    for (uint32_t row = bitmap_has(w->rows->selected, first) ? first :
        rows_next(w->rows, first); row < w->rows->n;
        row = rows_next(w->rows, row))
        w->index[n++] = row;
    w->nleft = n;
    w->numbers = mem_try_alloc(n * sizeof(*w->numbers) + 1);
    w->used = mem_try_alloc(n * sizeof(*w->used) + 1);
    return w->numbers == NULL || w->used == NULL ? no_memory(err) : 0;
}

static void
writer_end(struct writer *w)
{
    xfree(w->columns);
    xfree(w->index);
    xfree(w->numbers);
    xfree(w->used);
    xfree(w->map);
    xfree(w);
}

/* About what a value takes; what rows share is less then. */
static size_t
guess(const struct column *column, uint32_t row)
{
    size_t len;

    switch (column->kind) {
    case COLUMN_EMPTY:
    case COLUMN_CONST:
        return 0;
    case COLUMN_CODES:
        len = column->values[column->codes[row]].len;
        return len == 0 ? 0 : 2 + len / 4;
    case COLUMN_TEXTS:
        len = column->texts[row].len;
        return len == 0 ? 0 : 1 + len;
    case COLUMN_IDS:
        return column->codes != NULL ? 4 : column->width;
    default:
        return column->present == NULL || bitmap_has(column->present, row) ?
            4 : 0;
    }
}

/* What some of the rows take on an average. */
static size_t
sample(const struct writer *w)
{
    uint32_t step = MAX(w->nleft / SAMPLE_ROWS, 1u);
    uint32_t n = (w->nleft + step - 1) / step;
    size_t sum = 0;

    for (uint32_t k = 0; k < w->ncolumns; k++) {
        for (uint32_t i = 0; i < w->nleft; i += step)
            sum += guess(w->columns[k], w->index[i]);
    }
    return MAX(sum / n, (size_t)1);
}

/*
 * As many rows as the sample says, half of them when they are longer than
 * that, and so on down to one.
 */
static int
put_some(struct writer *w, size_t bytes_max, struct err *err)
{
    size_t start = w->out->len, most = bytes_max / sample(w);
    uint32_t n = (uint32_t)MIN(MAX(most, (size_t)1), (size_t)w->nleft);

    for (;; n /= 2) {
        w->picks = (struct picks){n, w->index, 0};
        if (n == w->rows->n)
            w->picks.index = NULL;
        if (put_rows(w, err) != 0)
            return -1;
        if (n == 1 || (!sb_failed(w->out) &&
            w->out->len - start <= bytes_max))
            break;
        w->out->len = start;
        w->out->failed = false;
    }
    if (sb_failed(w->out) || w->out->len - start > FRAME_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a row is too large to be sent to the "
            "server that asks (%zu MiB)", FRAME_BYTES_MAX / MIB);
    return 0;
}

int
rows_put(struct sb *out, struct rows *rows, const struct needed *needed,
    uint32_t *row, size_t bytes_max, struct err *err)
{
    struct writer *w = xcalloc(1, sizeof(*w));
    int rc;

    w->out = out;
    w->rows = rows;
    rc = *row < rows->n ? writer_begin(w, *row, err) : 0;
    if (rc == 0 && w->nleft > 0)
        rc = find_columns(w, needed, err);
    if (rc == 0 && w->nleft > 0)
        rc = put_some(w, MIN(bytes_max, FRAME_BYTES_MAX), err);
    if (rc == 0)
        *row = w->picks.n < w->nleft ? w->index[w->picks.n] : rows->n;
    writer_end(w);
    return rc;
}
