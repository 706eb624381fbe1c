/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One predicate over a column: a constant is asked once, a dictionary once
 * per value that occurs, numbers are compared as numbers where that means
 * the same, and only the rest is asked row by row.
 */

#include "core/base.h"
#include "query/filter.h"

#include <math.h>

#include "core/enc.h"
#include "core/kernel.h"
#include "core/num.h"
#include "query/pipe.h"

int
predicate_ask(const struct predicate *predicate, struct sv text,
    struct err *err)
{
    /* Of many fields only those count that a row has. */
    if (predicate->tag == NULL && predicate->filter->is_field_prefix &&
        text.len == 0)
        return 0;
    return predicate->tag != NULL
        ? stream_tag_matches(predicate->tag, text, err)
        : filter_match_text(predicate->filter, text, err);
}

/* Lists of phrases over one text, and what goes through it again and again. */
#define PHRASES_FEW 64u

bool
predicate_is_slow(const struct predicate *predicate)
{
    const struct filter *filter = predicate->filter;

    if (predicate->tag != NULL)
        return predicate->tag->regexp != NULL;
    return filter->kind == FILTER_REGEXP || filter->kind == FILTER_PATTERN ||
        ((filter->kind == FILTER_CONTAINS_ALL ||
        filter->kind == FILTER_CONTAINS_ANY || filter->kind == FILTER_SEQ) &&
        filter->nvalues > PHRASES_FEW);
}

int
column_rows_poll(const struct column_rows *rows, struct err *err)
{
    return rows->run == NULL ? 0 : run_poll(rows->run, err);
}

static void
copy_bits(const struct column_rows *rows, uint64_t *out)
{
    memcpy(out, rows->in, BITMAP_WORDS(rows->n) * sizeof(*out));
}

static void
clear_bits(const struct column_rows *rows, uint64_t *out)
{
    memset(out, 0, BITMAP_WORDS(rows->n) * sizeof(*out));
}

static int
run_const(const struct predicate *predicate, const struct column_rows *rows,
    struct sv text, uint64_t *out, struct err *err)
{
    int matches = predicate_ask(predicate, text, err);

    if (matches < 0)
        return -1;
    if (matches > 0)
        copy_bits(rows, out);
    else
        clear_bits(rows, out);
    return 0;
}

/* --- numbers --- */

struct bounds {
    int64_t min, max; /* of UINTS: as uint64_t */
    bool is_unsigned;
    bool is_empty;
};

/* Rows within the bounds, of those that have a number. */
static void
run_bounds(const struct column_rows *rows, const struct bounds *bounds,
    uint64_t *out)
{
    const struct column *column = rows->column;
    uint64_t low = (uint64_t)bounds->min;
    uint64_t width = (uint64_t)bounds->max - low;

    if (bounds->is_empty) {
        clear_bits(rows, out);
        return;
    }
    /* min <= v <= max is one comparison modulo 2^64, signed or not. */
    for (uint32_t word = 0; word < BITMAP_WORDS(rows->n); word++) {
        uint64_t in = rows->in[word];
        uint32_t from = word * 64, n = MIN(64u, rows->n - from);

        if (column->present != NULL)
            in &= column->present[word];
        if (in == 0) {
            out[word] = 0;
            continue;
        }
        out[word] = in & kernels()->within(
            (const uint64_t *)column->ints + from, n, low, width);
    }
}

/*
 * Beyond 2^53 several integers are one double: those that are min or max count,
 * too, as they do when the filter asks their texts.  At most 1,024 steps.
 */
static void
bounds_widen(struct bounds *bounds, double min, double max)
{
    if (bounds->is_unsigned) {
        uint64_t low = (uint64_t)bounds->min, high = (uint64_t)bounds->max;

        while (high < UINT64_MAX && (double)(high + 1) <= max)
            high++;
        while (low > 0 && (double)(low - 1) >= min)
            low--;
        bounds->min = (int64_t)low;
        bounds->max = (int64_t)high;
        return;
    }
    while (bounds->max < INT64_MAX && (double)(bounds->max + 1) <= max)
        bounds->max++;
    while (bounds->min > INT64_MIN && (double)(bounds->min - 1) >= min)
        bounds->min--;
}

/* Integers within [min, max]. */
static struct bounds
bounds_of_range(double min, double max, bool is_unsigned)
{
    double top = is_unsigned ? 18446744073709551616.0 : 9223372036854775808.0;
    double bottom = is_unsigned ? 0 : -9223372036854775808.0;
    struct bounds bounds = {.is_unsigned = is_unsigned};

    if (!(min <= max) || !(min <= top) || !(max >= bottom)) {
        bounds.is_empty = true;
        return bounds;
    }
    min = ceil(MAX(min, bottom));
    max = floor(max);
    if (min > max) {
        bounds.is_empty = true;
        return bounds;
    }
    if (is_unsigned) {
        bounds.min = min >= top ? -1 : (int64_t)(uint64_t)min;
        bounds.max = max >= top ? -1 : (int64_t)(uint64_t)max;
    } else {
        bounds.min = min >= top ? INT64_MAX : (int64_t)min;
        bounds.max = max >= top ? INT64_MAX : (int64_t)max;
    }
    bounds_widen(&bounds, min, max);
    return bounds;
}

/* The number that prints as exactly this text. */
static bool
exact_number(struct sv text, bool is_unsigned, int64_t *out)
{
    char buf[24];
    uint64_t u;
    size_t len;

    if (is_unsigned ? !num_parse_u64(text, &u) : !num_parse_i64(text, out))
        return false;
    if (is_unsigned)
        *out = (int64_t)u;
    len = is_unsigned ? num_print_u64(buf, u) : num_print_i64(buf, *out);
    return sv_eq(text, sv_make(buf, len));
}

/* True when the filter is one of numbers: *bounds is set. */
static bool
number_bounds(const struct predicate *predicate, const struct column *column,
    struct bounds *bounds)
{
    const struct filter *filter = predicate->filter;
    bool is_unsigned = column->kind == COLUMN_UINTS;

    if (filter == NULL)
        return false;
    if (filter->kind == FILTER_NUMBER_RANGE) {
        *bounds = bounds_of_range(filter->min, filter->max, is_unsigned);
        return true;
    }
    /* An empty text is that of a row without a number. */
    if (filter->kind != FILTER_EXACT || filter->text.len == 0)
        return false;
    memset(bounds, 0, sizeof(*bounds));
    bounds->is_unsigned = is_unsigned;
    bounds->is_empty = !exact_number(filter->text, is_unsigned, &bounds->min);
    bounds->max = bounds->min;
    return true;
}

/* --- ids --- */

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f'
        ? c - 'a' + 10 : -1;
}

static bool
exact_id(struct sv text, uint32_t width, uint8_t id[16])
{
    bool is_zero = true;

    if (text.len != 2 * (size_t)width || width > 16)
        return false;
    for (uint32_t i = 0; i < width; i++) {
        int high = hex_digit(text.ptr[2 * i]);
        int low = hex_digit(text.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
        is_zero = is_zero && id[i] == 0;
    }
    return !is_zero;
}

static bool
is_exact_id(const struct predicate *predicate)
{
    return predicate->filter != NULL &&
        predicate->filter->kind == FILTER_EXACT &&
        predicate->filter->text.len > 0;
}

/* False when no row has it, as far as a table of ids tells. */
static bool
has_id(const struct column *column, const uint8_t *id)
{
    if (column->codes == NULL)
        return true;
    for (uint32_t i = 0; i < column->nvalues; i++) {
        if (memcmp(column->ids + (size_t)i * column->width, id,
                column->width) == 0)
            return true;
    }
    return false;
}

static void
run_id(const struct column_rows *rows, struct sv text, uint64_t *out)
{
    uint32_t width = rows->column->width;
    uint8_t id[16];

    clear_bits(rows, out);
    if (!exact_id(text, width, id) || !has_id(rows->column, id))
        return;
    for (uint32_t word = 0; word < BITMAP_WORDS(rows->n); word++) {
        for (uint64_t bits = rows->in[word]; bits != 0; bits &= bits - 1) {
            uint32_t row = word * 64 + (uint32_t)__builtin_ctzll(bits);

            if (memcmp(column_id(rows->column, row), id, width) == 0)
                bitmap_set(out, row);
        }
    }
}

/* --- row by row --- */

static int
run_texts(const struct predicate *predicate, const struct column_rows *rows,
    uint64_t *out, struct err *err)
{
    bool is_slow = predicate_is_slow(predicate);

    for (uint32_t word = 0; word < BITMAP_WORDS(rows->n); word++) {
        uint64_t hits = 0;

        if (rows->in[word] != 0 && column_rows_poll(rows, err) != 0)
            return -1;
        for (uint64_t bits = rows->in[word]; bits != 0; bits &= bits - 1) {
            uint32_t i = (uint32_t)__builtin_ctzll(bits);
            char buf[COLUMN_TEXT_MAX];
            int matches = predicate_ask(predicate, column_text(rows->column,
                word * 64 + i, buf), err);

            if (matches < 0 || (is_slow && column_rows_poll(rows, err) != 0))
                return -1;
            hits |= (uint64_t)matches << i;
        }
        out[word] = hits;
    }
    return 0;
}

static void
run_times(const struct filter *filter, const struct column_rows *rows,
    uint64_t *out)
{
    for (uint32_t word = 0; word < BITMAP_WORDS(rows->n); word++) {
        uint64_t hits = 0;

        for (uint64_t bits = rows->in[word]; bits != 0; bits &= bits - 1) {
            uint32_t i = (uint32_t)__builtin_ctzll(bits);

            hits |= (uint64_t)filter_match_time(filter,
                rows->column->ints[word * 64 + i]) << i;
        }
        out[word] = hits;
    }
}

static void
run_period(const struct filter *filter, const struct column_rows *rows,
    uint64_t *out)
{
    struct bounds bounds = {.min = filter->time_min,
        .max = filter->time_max,
        .is_empty = filter->time_min > filter->time_max};

    run_bounds(rows, &bounds, out);
}

/* const, dict, string, uint8 ...: how the column happens to be kept. */
static struct sv
column_type(const struct column *column)
{
    switch (column->kind) {
    case COLUMN_CONST:
        return SV("const");
    case COLUMN_CODES:
        return column->nvalues <= 8 ? SV("dict") : SV("string");
    case COLUMN_INTS:
        return SV("int64");
    case COLUMN_UINTS:
        return SV("uint64");
    case COLUMN_TIMES:
        return SV("time");
    case COLUMN_EMPTY:
        return SV_EMPTY;
    default:
        return SV("string");
    }
}

static bool
is_time_filter(const struct predicate *predicate)
{
    const struct filter *filter = predicate->filter;

    return filter != NULL && (filter->kind == FILTER_TIME ||
        filter->kind == FILTER_DAY_RANGE ||
        filter->kind == FILTER_WEEK_RANGE);
}

static int
run_type(const struct predicate *predicate, const struct column_rows *rows,
    uint64_t *out)
{
    if (sv_eq(column_type(rows->column), predicate->filter->text))
        copy_bits(rows, out);
    else
        clear_bits(rows, out);
    return 0;
}

int
predicate_run(const struct predicate *predicate,
    const struct column_rows *rows, uint64_t *out, struct err *err)
{
    const struct column *column = rows->column;
    struct bounds bounds;

    if (predicate->filter != NULL &&
        predicate->filter->kind == FILTER_VALUE_TYPE)
        return run_type(predicate, rows, out);
    switch (column->kind) {
    case COLUMN_EMPTY:
        return run_const(predicate, rows, SV_EMPTY, out, err);
    case COLUMN_CONST:
        return run_const(predicate, rows, column->values[0], out, err);
    case COLUMN_CODES:
        return predicate_run_codes(predicate, rows, out, err);
    case COLUMN_INTS:
    case COLUMN_UINTS:
        if (!number_bounds(predicate, column, &bounds))
            break;
        run_bounds(rows, &bounds, out);
        return 0;
    case COLUMN_TIMES:
        if (!is_time_filter(predicate))
            break;
        if (predicate->filter->kind == FILTER_TIME)
            run_period(predicate->filter, rows, out);
        else
            run_times(predicate->filter, rows, out);
        return 0;
    case COLUMN_IDS:
        if (!is_exact_id(predicate))
            break;
        run_id(rows, predicate->filter->text, out);
        return 0;
    default:
        break;
    }
    return run_texts(predicate, rows, out, err);
}
