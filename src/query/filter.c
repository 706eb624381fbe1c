/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/filter.h"

#include "core/assert.h"
#include "query/parse.h"
#include "query/text.h"
#include "span/flat.h"
#include "storage/block.h"

static int filter_run(struct rows *rows, const struct filter *filter,
    const uint64_t *in, uint64_t *out, struct err *err);

static uint64_t *
bits_new(struct rows *rows, struct err *err)
{
    uint64_t *bits = pool_alloc(rows->pool,
        BITMAP_WORDS(rows->n) * sizeof(*bits) + 8);

    if (bits == NULL)
        err_set(err, ERR_LIMIT, "query needs too much memory");
    return bits;
}

static bool
bits_any(const struct rows *rows, const uint64_t *bits)
{
    for (uint32_t i = 0; i < BITMAP_WORDS(rows->n); i++) {
        if (bits[i] != 0)
            return true;
    }
    return false;
}

static size_t
bits_bytes(const struct rows *rows)
{
    return BITMAP_WORDS(rows->n) * sizeof(uint64_t);
}

/* --- the tree --- */

static int
run_and(struct rows *rows, const struct filter *filter, const uint64_t *in,
    uint64_t *out, struct err *err)
{
    uint64_t *now = bits_new(rows, err);

    if (now == NULL)
        return -1;
    memcpy(out, in, bits_bytes(rows));
    for (uint32_t i = 0; i < filter->nitems && bits_any(rows, out); i++) {
        memcpy(now, out, bits_bytes(rows));
        if (filter_run(rows, filter->items[i], now, out, err) != 0)
            return -1;
    }
    return 0;
}

/* What an item has accepted is not asked of the next. */
static int
run_or(struct rows *rows, const struct filter *filter, const uint64_t *in,
    uint64_t *out, struct err *err)
{
    uint64_t *left = bits_new(rows, err), *hits = bits_new(rows, err);

    if (left == NULL || hits == NULL)
        return -1;
    memset(out, 0, bits_bytes(rows));
    memcpy(left, in, bits_bytes(rows));
    for (uint32_t i = 0; i < filter->nitems && bits_any(rows, left); i++) {
        if (filter_run(rows, filter->items[i], left, hits, err) != 0)
            return -1;
        for (uint32_t k = 0; k < BITMAP_WORDS(rows->n); k++) {
            out[k] |= hits[k];
            left[k] &= ~hits[k];
        }
    }
    return 0;
}

static int
run_not(struct rows *rows, const struct filter *filter, const uint64_t *in,
    uint64_t *out, struct err *err)
{
    if (filter_run(rows, filter->items[0], in, out, err) != 0)
        return -1;
    for (uint32_t k = 0; k < BITMAP_WORDS(rows->n); k++)
        out[k] = in[k] & ~out[k];
    return 0;
}

/* --- two fields --- */

static bool
fields_match(enum filter_kind kind, struct sv a, struct sv b)
{
    double x, y;
    int order;

    if (kind == FILTER_EQ_FIELD)
        return sv_eq(a, b);
    if (operand_parse(a, &x) && operand_parse(b, &y))
        return kind == FILTER_LE_FIELD ? x <= y : x < y;
    order = sv_cmp(a, b);
    return kind == FILTER_LE_FIELD ? order <= 0 : order < 0;
}

static int
run_fields(struct rows *rows, const struct filter *filter,
    const uint64_t *in, uint64_t *out, struct err *err)
{
    const struct column *loaded;
    struct column a, b;

    if (rows_column(rows, filter->field, &loaded, err) != 0)
        return -1;
    a = *loaded;
    if (rows_column(rows, filter->text, &loaded, err) != 0)
        return -1;
    b = *loaded;
    memset(out, 0, bits_bytes(rows));
    for (uint32_t k = 0; k < BITMAP_WORDS(rows->n); k++) {
        for (uint64_t bits = in[k]; bits != 0; bits &= bits - 1) {
            uint32_t row = k * 64 + (uint32_t)__builtin_ctzll(bits);
            char first[COLUMN_TEXT_MAX], second[COLUMN_TEXT_MAX];

            if (fields_match(filter->kind, column_text(&a, row, first),
                    column_text(&b, row, second)))
                bitmap_set(out, row);
        }
    }
    return 0;
}

/* --- one field --- */

/* The bits of the rows [from, to) in one word. */
static uint64_t
bits_between(uint32_t word, uint32_t from, uint32_t to)
{
    uint64_t mask = UINT64_MAX;

    if (word == from / 64)
        mask <<= from % 64;
    if (word == to / 64)
        mask &= (UINT64_C(1) << to % 64) - 1;
    return mask;
}

static bool
any_between(const uint64_t *bits, uint32_t from, uint32_t to)
{
    uint64_t any = 0;

    for (uint32_t word = from / 64; word * 64 < to; word++)
        any |= bits[word] & bits_between(word, from, to);
    return any != 0;
}

/* Each text of a run that has rows is asked once. */
static int
run_runs(const struct predicate *predicate, const struct block_runs *runs,
    const struct column_rows *rows, uint64_t *out, struct err *err)
{
    uint8_t *answers = pool_zalloc(rows->pool, runs->nvalues);
    const uint64_t *in = rows->in;
    uint32_t asked = 0;

    if (answers == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    memset(out, 0, BITMAP_WORDS(rows->n) * sizeof(*out));
    for (uint32_t i = 0; i < runs->n; i++) {
        uint32_t from = runs->start[i], to = runs->start[i + 1];
        uint8_t *answer = &answers[runs->codes[i]]; /* + 1; 0: not asked */

        if (*answer == 1 || !any_between(in, from, to))
            continue;
        if (*answer == 0) {
            int passes = predicate_ask(predicate,
                runs->values[runs->codes[i]], err);

            if (passes < 0 || (++asked % 64 == 0 &&
                    column_rows_poll(rows, err) != 0))
                return -1;
            *answer = (uint8_t)(1 + passes);
        }
        for (uint32_t word = from / 64; *answer == 2 && word * 64 < to;
            word++)
            out[word] |= in[word] & bits_between(word, from, to);
    }
    return 0;
}

int
filter_run_field(struct rows *rows, const struct predicate *predicate,
    const uint64_t *in, uint64_t *out, struct err *err)
{
    struct column_rows column_rows = {NULL, in, rows->n, rows->pool,
        rows->run};
    struct block *block = rows_block_of(rows, predicate->field);
    struct block_runs runs = {0};

    /* That filter asks how a column is kept, not what it says. */
    if (block != NULL && (predicate->filter == NULL ||
        predicate->filter->kind != FILTER_VALUE_TYPE) &&
        block_runs_of(block, predicate->field, &runs, err) != 0)
        return -1;
    if (runs.n > 0)
        return run_runs(predicate, &runs, &column_rows, out, err);
    if (rows_column(rows, predicate->field, &column_rows.column, err) != 0)
        return -1;
    return predicate_run(predicate, &column_rows, out, err);
}

/* One label's condition, of rows as they are stored. */
static int
run_label(struct rows *rows, const struct stream_tag *tag,
    const uint64_t *in, uint64_t *out, struct err *err)
{
    struct predicate predicate = {NULL, tag, tag->label};
    struct column_rows column_rows = {NULL, in, rows->n, rows->pool,
        rows->run};

    if (sv_eq(tag->label, FLAT_LABEL_NAME) ||
        sv_eq(tag->label, FLAT_LABEL_SERVICE))
        return filter_run_field(rows, &predicate, in, out, err);
    if (block_label(rows->block, tag->label,
            rows->nselected == rows->n ? NULL : rows->selected,
            &column_rows.column, err) != 0)
        return -1;
    return predicate_run(&predicate, &column_rows, out, err);
}

static int
run_stream_all(struct rows *rows, const struct stream_all *all,
    const uint64_t *in, uint64_t *out, struct err *err)
{
    uint64_t *now = bits_new(rows, err);

    if (now == NULL)
        return -1;
    memcpy(out, in, bits_bytes(rows));
    for (uint32_t i = 0; i < all->ntags && bits_any(rows, out); i++) {
        memcpy(now, out, bits_bytes(rows));
        if (run_label(rows, &all->tags[i], now, out, err) != 0)
            return -1;
    }
    return 0;
}

/* {...} of rows as they are stored: by the labels. */
static int
run_stream(struct rows *rows, const struct filter *filter,
    const uint64_t *in, uint64_t *out, struct err *err)
{
    uint64_t *hits = bits_new(rows, err);

    if (hits == NULL)
        return -1;
    memset(out, 0, bits_bytes(rows));
    for (uint32_t i = 0; i < filter->nstream; i++) {
        if (run_stream_all(rows, &filter->stream[i], in, hits, err) != 0)
            return -1;
        for (uint32_t k = 0; k < BITMAP_WORDS(rows->n); k++)
            out[k] |= hits[k];
    }
    if (filter->nstream == 0)
        memcpy(out, in, bits_bytes(rows));
    return 0;
}

/* All rows of the block are within the filter's range. */
static bool
covers_block(const struct rows *rows, const struct filter *filter)
{
    const struct block_info *info;

    if (rows_block_of(rows, SV("_time")) == NULL ||
        filter->kind != FILTER_TIME)
        return false;
    info = block_get_info(rows->block);
    return info->min_end_ns >= filter->time_min &&
        info->max_end_ns <= filter->time_max;
}

static int
run_leaf(struct rows *rows, const struct filter *filter, const uint64_t *in,
    uint64_t *out, struct err *err)
{
    struct predicate predicate = {filter, NULL, filter->field};

    if (filter->is_field_prefix)
        return filter_run_any(rows, filter, in, out, err);
    switch (filter->kind) {
    case FILTER_TIME:
    case FILTER_DAY_RANGE:
    case FILTER_WEEK_RANGE:
        if (covers_block(rows, filter)) {
            memcpy(out, in, bits_bytes(rows));
            return 0;
        }
        predicate.field = SV("_time");
        break;
    case FILTER_STREAM:
        /* The labels of rows whose fields a pipe changed stay. */
        if (rows->block != NULL && rows->nmade == 0)
            return run_stream(rows, filter, in, out, err);
        predicate.field = SV("_stream");
        break;
    case FILTER_STREAM_ID:
        predicate.field = SV("_stream_id");
        break;
    default:
        break;
    }
    return filter_run_field(rows, &predicate, in, out, err);
}

static int
filter_run(struct rows *rows, const struct filter *filter,
    const uint64_t *in, uint64_t *out, struct err *err)
{
    switch (filter->kind) {
    case FILTER_ALL:
        memcpy(out, in, bits_bytes(rows));
        return 0;
    case FILTER_NONE:
        memset(out, 0, bits_bytes(rows));
        return 0;
    case FILTER_AND:
        return run_and(rows, filter, in, out, err);
    case FILTER_OR:
        return run_or(rows, filter, in, out, err);
    case FILTER_NOT:
        return run_not(rows, filter, in, out, err);
    case FILTER_EQ_FIELD:
    case FILTER_LE_FIELD:
    case FILTER_LT_FIELD:
        return run_fields(rows, filter, in, out, err);
    default:
        return run_leaf(rows, filter, in, out, err);
    }
}

/*
 * Columns are loaded for the rows selected at that time, so only here, where
 * no other branch can ask for more rows, the selection shrinks on the way.
 */
static int
filter_one(struct rows *rows, const struct filter *filter, struct err *err)
{
    uint64_t *out = bits_new(rows, err);

    if (out == NULL ||
        filter_run(rows, filter, rows->selected, out, err) != 0)
        return -1;
    rows_select(rows, out);
    return 0;
}

int
rows_filter(struct rows *rows, const struct filter *filter, struct err *err)
{
    if (filter->kind == FILTER_ALL || rows->nselected == 0)
        return 0;
    if (filter->kind != FILTER_AND)
        return filter_one(rows, filter, err);
    for (uint32_t i = 0; i < filter->nitems && rows->nselected > 0; i++) {
        if (rows_filter(rows, filter->items[i], err) != 0)
            return -1;
    }
    return 0;
}
