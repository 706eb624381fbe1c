/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows as bytes; numbers little endian, "text" is a varint length and as many
 * bytes:
 *
 *   u8      1, the format
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
    const struct sv *names;
    uint32_t nnames;
    uint32_t *index;      /* the rows that are left */
    uint32_t nleft;
    struct picks picks;   /* the first of them: those that are put */
    bool is_empty;        /* the column that was put last */
    uint32_t hint;        /* where rows->columns may have the next one */
    uint64_t *numbers;    /* nleft */
    uint32_t *used;       /* nleft: what is put of codes, in order */
    uint32_t *map;        /* from codes to their place in used, from 1 */
    uint32_t map_cap;
    uint8_t chunk[COL_CHUNK_BYTES_MAX + 8];
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* --- which columns --- */

static int
compare_names(const void *a, const void *b)
{
    return sv_cmp(*(const struct sv *)a, *(const struct sv *)b);
}

/*
 * All in the order of the rows, as a sink here would show them.  Some of a
 * block ascend, as a star gives them, whatever order the patterns have; those
 * that a pipe made keep their order.
 */
static int
find_names(struct writer *w, const struct needed *needed, struct err *err)
{
    struct name_list found;
    struct sv *names;
    uint32_t n = 0;

    if (needed->is_all || w->rows->block == NULL) {
        if (rows_names(w->rows, &found.v, &found.n, err) != 0)
            return -1;
    } else if (rows_match_names(w->rows, needed->patterns, needed->n, &found,
            err) != 0) {
        return -1;
    }
    names = pool_alloc(w->rows->pool, found.n * sizeof(*names) + 1);
    if (names == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < found.n; i++) {
        if (needed->is_all || needed_has(needed, found.v[i]))
            names[n++] = found.v[i];
    }
    if (w->rows->block != NULL && !needed->is_all)
        qsort(names, n, sizeof(*names), compare_names);
    w->names = names;
    w->nnames = n;
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

/*
 * As rows_column(), which goes through all names that were loaded.  They were
 * in this order, mostly.
 */
static int
find_column(struct writer *w, struct sv name, const struct column **out,
    struct err *err)
{
    struct rows *rows = w->rows;

    if (w->hint < rows->ncolumns &&
        sv_eq(rows->columns[w->hint].name, name)) {
        *out = &rows->columns[w->hint++];
        return 0;
    }
    if (rows_column(rows, name, out, err) != 0)
        return -1;
    if (rows->ncolumns > 0 && *out >= rows->columns &&
        *out < rows->columns + rows->ncolumns)
        w->hint = (uint32_t)(*out - rows->columns) + 1;
    return 0;
}

static void
put_name(struct writer *w, struct sv name, enum wire_kind kind)
{
    put_text(w, name);
    put_u8(w, kind);
}

static void
put_const(struct writer *w, struct sv name, struct sv text)
{
    w->is_empty = text.len == 0;
    put_name(w, name, w->is_empty ? WIRE_EMPTY : WIRE_CONST);
    if (!w->is_empty)
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
put_texts(struct writer *w, struct sv name, const struct column *column)
{
    uint64_t any = 0;

    for (uint32_t i = 0; i < w->picks.n; i++) {
        w->numbers[i] = text_at(column, row_at(w, i)).len;
        any |= w->numbers[i];
    }
    if (any == 0) {
        put_const(w, name, SV_EMPTY);
        return;
    }
    put_name(w, name, WIRE_TEXTS);
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

    memset(w->map, 0, column->nvalues * sizeof(*w->map));
    for (uint32_t i = 0; i < w->picks.n; i++) {
        uint32_t code = column->codes[row_at(w, i)];

        if (w->map[code] == 0) {
            w->used[used++] = code;
            w->map[code] = used;
        }
        w->numbers[i] = w->map[code] - 1;
    }
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
    return w->map == NULL ? no_memory(err) : 0;
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
put_codes(struct writer *w, struct sv name, const struct column *column,
    struct err *err)
{
    uint32_t n = w->picks.n, used;

    if (has_many_codes(w, column)) {
        put_texts(w, name, column);
        return 0;
    }
    if (map_reserve(w, column->nvalues, err) != 0)
        return -1;
    used = count_codes(w, column);
    if (used == 1) {
        put_const(w, name, column->values[column->codes[row_at(w, 0)]]);
        return 0;
    }
    if (!is_worth_codes(used, n)) {
        put_texts(w, name, column);
        return 0;
    }
    put_name(w, name, WIRE_CODES);
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
put_ints(struct writer *w, struct sv name, const struct column *column)
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
        put_const(w, name, SV_EMPTY);
        return;
    }
    put_name(w, name, is_time ? WIRE_TIMES : column->kind == COLUMN_INTS ?
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
put_ids(struct writer *w, struct sv name, const struct column *column,
    struct err *err)
{
    bool has_codes = column->codes != NULL && !has_many_codes(w, column);
    uint32_t n = w->picks.n, width = column->width, used;

    if (has_codes && map_reserve(w, column->nvalues, err) != 0)
        return -1;
    used = has_codes ? count_codes(w, column) : count_runs(w, column);
    if (!is_worth_codes(used, n)) {
        put_name(w, name, WIRE_IDS);
        put_u8(w, width);
        for (uint32_t i = 0; i < n; i++)
            sb_add(w->out, column_id(column, row_at(w, i)), width);
        return 0;
    }
    put_name(w, name, WIRE_SHARED_IDS);
    put_u8(w, width);
    put_varint(w, used);
    put_numbers(w, n, COL_TRY_DELTA);
    for (uint32_t i = 0; i < used; i++)
        sb_add(w->out, has_codes ? column->ids + (size_t)w->used[i] * width :
            column_id(column, w->used[i]), width);
    return 0;
}

static int
put_column(struct writer *w, struct sv name, struct err *err)
{
    const struct column *column;

    if (find_column(w, name, &column, err) != 0)
        return -1;
    switch (column->kind) {
    case COLUMN_EMPTY:
        put_const(w, name, SV_EMPTY);
        return 0;
    case COLUMN_CONST:
        put_const(w, name, column->values[0]);
        return 0;
    case COLUMN_CODES:
        return put_codes(w, name, column, err);
    case COLUMN_INTS:
    case COLUMN_UINTS:
    case COLUMN_TIMES:
        put_ints(w, name, column);
        return 0;
    case COLUMN_IDS:
        return put_ids(w, name, column, err);
    case COLUMN_TEXTS:
        put_texts(w, name, column);
        return 0;
    }
    panic("column kind %d", column->kind);
}

/* --- rows --- */

/* A block may list fields that none of its rows has: these are left out. */
static int
put_rows(struct writer *w, struct err *err)
{
    static const char zeros[ROWS_WIRE_PAD];
    size_t start = w->out->len;
    uint32_t ncolumns = 0;

    w->hint = 0;
    put_u8(w, ROWS_WIRE_FORMAT);
    put_u32(w, w->picks.n);
    put_u32(w, 0);
    for (uint32_t i = 0; i < w->nnames; i++) {
        size_t before = w->out->len;

        if (w->rows->run != NULL && run_poll(w->rows->run, err) != 0)
            return -1;
        w->is_empty = false;
        if (put_column(w, w->names[i], err) != 0)
            return -1;
        if (sb_failed(w->out))
            break;
        if (w->is_empty && w->rows->block != NULL)
            w->out->len = before;
        else
            ncolumns++;
    }
    sb_add(w->out, zeros, sizeof(zeros));
    if (!sb_failed(w->out))
        enc_put32(w->out->ptr + start + 5, ncolumns);
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
    for (uint32_t row = first; row < w->rows->n; row++) {
        if (bitmap_has(w->rows->selected, row))
            w->index[n++] = row;
    }
    w->nleft = n;
    w->numbers = mem_try_alloc(n * sizeof(*w->numbers) + 1);
    w->used = mem_try_alloc(n * sizeof(*w->used) + 1);
    return w->numbers == NULL || w->used == NULL ? no_memory(err) : 0;
}

static void
writer_end(struct writer *w)
{
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
static int
sample(struct writer *w, size_t *bytes, struct err *err)
{
    uint32_t step = MAX(w->nleft / SAMPLE_ROWS, 1u);
    uint32_t n = (w->nleft + step - 1) / step;
    size_t sum = 0;

    for (uint32_t k = 0; k < w->nnames; k++) {
        const struct column *column;

        if (find_column(w, w->names[k], &column, err) != 0)
            return -1;
        for (uint32_t i = 0; i < w->nleft; i += step)
            sum += guess(column, w->index[i]);
    }
    *bytes = MAX(sum / n, (size_t)1);
    return 0;
}

/*
 * As many rows as the sample says, half of them when they are longer than
 * that, and so on down to one.
 */
static int
put_some(struct writer *w, size_t bytes_max, struct err *err)
{
    size_t start = w->out->len, bytes;
    uint32_t n = w->nleft;

    if (sample(w, &bytes, err) != 0)
        return -1;
    if (bytes_max / bytes < n)
        n = MAX((uint32_t)(bytes_max / bytes), 1u);
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
    rc = writer_begin(w, MIN(*row, rows->n), err);
    if (rc == 0 && w->nleft > 0)
        rc = find_names(w, needed, err);
    if (rc == 0 && w->nleft > 0)
        rc = put_some(w, MIN(bytes_max, FRAME_BYTES_MAX), err);
    if (rc == 0)
        *row = w->picks.n < w->nleft ? w->index[w->picks.n] : rows->n;
    writer_end(w);
    return rc;
}
