/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * From columns to the numbers of tuples, see keys.h.
 */

#include "core/base.h"
#include "query/keys_runs.h"

#include "core/assert.h"
#include "core/num.h"
#include "query/bucket.h"
#include "query/steps.h"
#include "query/text.h"

/* Pairs of codes are codes themselves as long as there are no more. */
#define CODES_MAX 65536u

/* What is kept for one column from chunk to chunk: memory, and texts. */
struct keys_column {
    struct dict numbers;     /* of one chunk */
    struct hold_array codes; /* uint32_t per row */
    struct hold_array texts; /* struct sv per code */
    struct keys distinct;    /* TEXTS: number is the code */
    bool has_distinct;
};

void
keys_drop(struct keys *keys)
{
    struct hold *hold = keys->hold;

    if (hold == NULL)
        return;
    for (uint32_t i = 0; keys->columns != NULL && i < keys->ncolumns; i++) {
        struct keys_column *column = &keys->columns[i];

        dict_drop(&column->numbers);
        hold_drop(hold, &column->codes, sizeof(uint32_t));
        hold_drop(hold, &column->texts, sizeof(struct sv));
        if (column->has_distinct)
            keys_drop(&column->distinct);
    }
    dict_drop(&keys->ids);
    dict_drop(&keys->numbers);
    dict_drop(&keys->pairs);
    hold_drop(hold, &keys->slots, sizeof(uint64_t));
    hold_drop(hold, &keys->tuples, 16);
    hold_drop(hold, &keys->tuple_buf, 1);
    hold_drop(hold, &keys->row_ids, sizeof(uint32_t));
    hold_drop(hold, &keys->map, sizeof(uint32_t));
    hold_drop(hold, &keys->runs, sizeof(struct key_run));
}

static bool
has_bucket(const struct keys *keys, uint32_t i)
{
    return keys->by != NULL && !bucket_is_none(&keys->by[i]);
}

/* A text through the bucket of column i; in the pool when it changes. */
static int
bucketed(const struct keys *keys, uint32_t i, struct sv *text,
    struct pool *pool, struct err *err)
{
    char buf[BUCKET_TEXT_MAX];

    if (!has_bucket(keys, i))
        return 0;
    *text = bucket_text(&keys->by[i], *text, buf);
    if (text->ptr != buf)
        return 0;
    text->ptr = pool_dup(pool, buf, text->len);
    if (text->ptr == NULL)
        return err_set(err, ERR_LIMIT, "no memory for groups");
    return 0;
}

/* --- numbers --- */

/* The number of a row, of its bucket where there are buckets of numbers. */
static inline struct key128
row_number(const struct keys *keys, uint32_t i, const struct column *column,
    uint32_t row)
{
    struct key128 key = column_number(column, row);

    if (!has_bucket(keys, i) || !bucket_is_whole(&keys->by[i]))
        return key;
    if (column->kind == COLUMN_TIMES)
        key.lo = (uint64_t)bucket_time(&keys->by[i], (int64_t)key.lo);
    else if (column->kind != COLUMN_IDS && key.hi == NUMBER_INT)
        key.lo = (uint64_t)bucket_int(&keys->by[i], (int64_t)key.lo);
    return key;
}

/* out->ptr is a buffer of BUCKET_TEXT_MAX bytes. */
static void
number_text(const struct keys *keys, uint32_t i, const struct column *column,
    struct key128 key, struct sv *out)
{
    /* One row in a column of its own, so that column_text() prints it. */
    struct column one = *column;
    char *buf = (char *)(uintptr_t)out->ptr;
    char bucket[BUCKET_TEXT_MAX];
    struct sv text;

    one.present = NULL;
    if (key.lo == 0 && key.hi == 0) {
        out->len = 0;
        return;
    }
    if (column->kind == COLUMN_IDS)
        one.ids = (const uint8_t *)&key;
    else
        one.ints = (const int64_t *)&key.lo;
    /* A bucket of an unsigned number may be negative. */
    if (key.hi == NUMBER_INT)
        one.kind = COLUMN_INTS;
    text = column_text(&one, 0, buf);
    if (has_bucket(keys, i) && (column->kind == COLUMN_IDS ||
        key.hi == NUMBER_UINT || !bucket_is_whole(&keys->by[i])))
        text = bucket_text(&keys->by[i], text, bucket);
    if (text.ptr != buf)
        memcpy(buf, text.ptr, text.len);
    out->len = text.len;
}

static int
map_numbers(struct keys *keys, const struct keys_input *input,
    uint32_t *ids, struct err *err)
{
    const struct column *column = &input->columns[0];
    bool is_id16 = column->kind == COLUMN_IDS && column->width == 16;
    struct dict *dict = is_id16 ? &keys->ids : &keys->numbers;
    struct key128 last = {0, 0};
    uint32_t last_id = KEYS_NONE;
    char buf[BUCKET_TEXT_MAX];

    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        struct key128 key = row_number(keys, 0, column, row);
        struct sv text = {buf, 0};
        struct dict_slot *slot;

        if (i > 0 && key.lo == last.lo && key.hi == last.hi) {
            ids[row] = last_id;
            continue;
        }
        slot = dict_find(dict, key, err);
        if (slot == NULL)
            return -1;
        if (slot->code == DICT_NEW) {
            number_text(keys, 0, column, key, &text);
            if (keys_find(keys, &text, &slot->code, err) != 0)
                return -1;
        }
        ids[row] = last_id = slot->code;
        last = key;
    }
    return 0;
}

/*
 * Codes of numbers that are close together, or by buckets of one width: all
 * from the first to the last, used or not.  1: it has to be done row by row.
 */
static int
code_steps(struct keys *keys, uint32_t k, const struct keys_input *input,
    struct codes *out, struct err *err)
{
    const struct column *column = &input->columns[k];
    struct sv *texts;
    uint32_t *codes = NULL;
    struct steps steps;
    char buf[BUCKET_TEXT_MAX];

    if (!steps_make(&steps, keys->by == NULL ? NULL : &keys->by[k], column,
            input->picks))
        return 1;
    texts = pool_alloc(input->pool, steps.n * sizeof(*texts));
    if (texts == NULL)
        return err_set(err, ERR_LIMIT, "no memory for groups");
    for (uint32_t code = 0; code < steps.n; code++) {
        struct key128 key = {(uint64_t)steps_start(&steps, code),
            column->kind == COLUMN_TIMES ? NUMBER_TIME : NUMBER_INT};
        struct sv text = {buf, 0};

        if (!steps.has_gaps || code < steps.n - 1)
            number_text(keys, k, column, key, &text);
        texts[code].len = text.len;
        texts[code].ptr = pool_dup(input->pool, text.ptr, text.len);
        if (texts[code].ptr == NULL)
            return err_set(err, ERR_LIMIT, "no memory for groups");
    }
    if (steps.n > 1) {
        codes = keys->columns[k].codes.items;
        steps_codes(&steps, column, input->picks, codes);
    }
    *out = (struct codes){steps.n, codes, texts};
    return 0;
}

/* The same with codes of this chunk. */
static int
code_numbers(struct keys *keys, uint32_t k, const struct keys_input *input,
    struct codes *out, struct err *err)
{
    struct keys_column *mine = &keys->columns[k];
    const struct column *column = &input->columns[k];
    uint32_t *codes = mine->codes.items;
    char buf[BUCKET_TEXT_MAX];

    dict_clear(&mine->numbers);
    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        struct key128 key = row_number(keys, k, column, row);
        struct dict_slot *slot = dict_find(&mine->numbers, key, err);
        struct sv text = {buf, 0};

        if (slot == NULL)
            return -1;
        if (slot->code == DICT_NEW) {
            slot->code = mine->numbers.n - 1;
            number_text(keys, k, column, key, &text);
            if (hold_grow(keys->hold, &mine->texts, mine->numbers.n,
                    sizeof(text), err) != 0)
                return -1;
            text.ptr = pool_dup(input->pool, text.ptr, text.len);
            if (text.ptr == NULL)
                return err_set(err, ERR_LIMIT, "no memory for groups");
            ((struct sv *)mine->texts.items)[slot->code] = text;
        }
        codes[row] = slot->code;
    }
    *out = (struct codes){mine->numbers.n, codes, mine->texts.items};
    return 0;
}

/* --- texts and codes --- */

static int
code_texts(struct keys *keys, uint32_t k, const struct keys_input *input,
    struct codes *out, struct err *err)
{
    struct keys_column *mine = &keys->columns[k];
    const struct sv *texts = input->columns[k].texts;
    uint32_t *codes = mine->codes.items;
    struct sv *distinct;

    if (!mine->has_distinct) {
        if (keys_init(&mine->distinct, keys->hold, 1,
                keys->by == NULL ? NULL : &keys->by[k], err) != 0)
            return -1;
        mine->has_distinct = true;
    }
    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        struct sv text = texts[row];

        if (bucketed(keys, k, &text, input->pool, err) != 0 ||
            keys_find(&mine->distinct, &text, &codes[row], err) != 0)
            return -1;
    }
    if (hold_grow(keys->hold, &mine->texts, mine->distinct.count,
            sizeof(*distinct), err) != 0)
        return -1;
    distinct = mine->texts.items;
    for (uint32_t i = 0; i < mine->distinct.count; i++)
        keys_texts(&mine->distinct, i, &distinct[i]);
    *out = (struct codes){mine->distinct.count, codes, distinct};
    return 0;
}

/* Values of the dictionary, through the buckets where they are used. */
static int
code_values(struct keys *keys, uint32_t k, const struct keys_input *input,
    struct codes *out, struct err *err)
{
    const struct column *column = &input->columns[k];
    bool is_const = column->kind != COLUMN_CODES;
    uint32_t n = is_const ? 1 : column->nvalues;
    struct sv *texts;

    *out = (struct codes){n, is_const ? NULL : column->codes, column->values};
    if (column->kind == COLUMN_EMPTY) {
        static const struct sv empty = {"", 0};

        out->texts = &empty;
        return 0;
    }
    if (!has_bucket(keys, k))
        return 0;
    texts = pool_alloc(input->pool, n * sizeof(*texts) + 1);
    if (texts == NULL)
        return err_set(err, ERR_LIMIT, "no memory for groups");
    memset(texts, 0, n * sizeof(*texts));
    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        uint32_t code = is_const ? 0 : column->codes[row];

        if (texts[code].ptr != NULL)
            continue;
        texts[code] = column->values[code];
        if (texts[code].ptr == NULL)
            texts[code] = SV_EMPTY;
        if (bucketed(keys, k, &texts[code], input->pool, err) != 0)
            return -1;
    }
    out->texts = texts;
    return 0;
}

/* 1: as the only column, better without codes. */
static int
column_codes(struct keys *keys, uint32_t k, const struct keys_input *input,
    struct codes *out, struct err *err)
{
    const struct column *column = &input->columns[k];
    bool is_single = keys->ncolumns == 1;
    int got;

    if (column->kind <= COLUMN_CODES)
        return code_values(keys, k, input, out, err);
    if (hold_grow(keys->hold, &keys->columns[k].codes, input->nrows,
            sizeof(uint32_t), err) != 0)
        return -1;
    if (column->kind == COLUMN_TEXTS)
        return is_single ? 1 : code_texts(keys, k, input, out, err);
    got = code_steps(keys, k, input, out, err);
    if (got <= 0 || is_single)
        return got;
    return code_numbers(keys, k, input, out, err);
}

/* --- tuples --- */

int
keys_find_row(struct keys *keys, const struct codes *columns, uint32_t row,
    uint32_t *id, struct err *err)
{
    struct sv *texts = keys->texts;

    for (uint32_t k = 0; k < keys->ncolumns; k++) {
        const struct codes *c = &columns[k];

        texts[k] = c->texts[c->codes == NULL ? 0 : c->codes[row]];
    }
    return keys_find(keys, texts, id, err);
}

/* Numbers of the rows by code; a tuple is looked up once per code. */
static int
map_codes(struct keys *keys, const struct keys_input *input,
    const struct codes *columns, const struct codes *tuple, struct err *err)
{
    uint32_t *ids = keys->row_ids.items, *map;

    if (hold_grow(keys->hold, &keys->map, tuple->n, sizeof(*map), err) != 0)
        return -1;
    map = keys->map.items;
    memset(map, 0xff, tuple->n * sizeof(*map));
    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        uint32_t *id = &map[tuple->codes[row]];

        if (UNLIKELY(*id == KEYS_NONE) &&
            keys_find_row(keys, columns, row, id, err) != 0)
            return -1;
        ids[row] = *id;
    }
    return 0;
}

/* tuple = tuple x column, for the rows of the chunk. */
static int
combine(struct keys *keys, const struct keys_input *input,
    struct codes *tuple, const struct codes *column, struct err *err)
{
    uint32_t *ids = keys->row_ids.items;
    uint64_t n = (uint64_t)tuple->n * column->n;

    if (column->codes == NULL)
        return 0;
    if (tuple->codes == NULL) {
        *tuple = *column;
        return 0;
    }
    if (n <= CODES_MAX) {
        for (uint32_t i = 0; i < input->picks->n; i++) {
            uint32_t row = picks_row(input->picks, i);

            ids[row] = tuple->codes[row] * column->n + column->codes[row];
        }
        *tuple = (struct codes){(uint32_t)n, ids, NULL};
        return 0;
    }
    dict_clear(&keys->pairs);
    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        struct dict_slot *slot = dict_find(&keys->pairs, (struct key128){
            (uint64_t)tuple->codes[row] << 32 | column->codes[row], 0}, err);

        if (slot == NULL)
            return -1;
        if (slot->code == DICT_NEW)
            slot->code = keys->pairs.n - 1;
        ids[row] = slot->code;
    }
    *tuple = (struct codes){keys->pairs.n, ids, NULL};
    return 0;
}

/* Memory of the columns, once. */
static int
columns_make(struct keys *keys, struct err *err)
{
    if (keys->columns != NULL)
        return 0;
    keys->texts = hold_alloc(keys->hold,
        keys->ncolumns * sizeof(*keys->texts), err);
    keys->columns = keys->texts == NULL ? NULL : hold_alloc(keys->hold,
        keys->ncolumns * sizeof(*keys->columns), err);
    if (keys->columns == NULL)
        return -1;
    memset(keys->columns, 0, keys->ncolumns * sizeof(*keys->columns));
    for (uint32_t k = 0; k < keys->ncolumns; k++)
        dict_init(&keys->columns[k].numbers, keys->hold);
    return 0;
}

/* Runs, or one tuple for all, or the tuple of each row. */
static int
map_tuples(struct keys *keys, const struct keys_input *input,
    const struct codes *columns, struct key_ids *out, struct err *err)
{
    struct codes tuple = {1, NULL, NULL};

    if (keys_find_runs(keys, input, columns, out, err) != 0)
        return -1;
    if (out->nruns > 0)
        return 0;
    for (uint32_t k = 0; k < keys->ncolumns; k++) {
        if (combine(keys, input, &tuple, &columns[k], err) != 0)
            return -1;
    }
    if (tuple.codes != NULL) {
        out->ids = keys->row_ids.items;
        return map_codes(keys, input, columns, &tuple, err);
    }
    return keys_find_row(keys, columns, picks_row(input->picks, 0),
        &out->one, err);
}

static int
map_texts(struct keys *keys, const struct keys_input *input, uint32_t *ids,
    struct err *err)
{
    const struct sv *texts = input->columns[0].texts;
    struct sv last = SV_EMPTY;
    uint32_t last_id = KEYS_NONE;

    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        struct sv text = texts[row];

        if (i == 0 || !sv_eq(text, last)) {
            last = text;
            if (bucketed(keys, 0, &text, input->pool, err) != 0 ||
                keys_find(keys, &text, &last_id, err) != 0)
                return -1;
        }
        ids[row] = last_id;
    }
    return 0;
}

/* One column whose values are looked up as they are. */
static int
map_values(struct keys *keys, const struct keys_input *input,
    struct key_ids *out, struct err *err)
{
    uint32_t *ids = keys->row_ids.items;

    out->ids = ids;
    return input->columns[0].kind == COLUMN_TEXTS
        ? map_texts(keys, input, ids, err)
        : map_numbers(keys, input, ids, err);
}

int
keys_map_runs(struct keys *keys, const struct keys_input *input,
    struct key_ids *out, struct err *err)
{
    struct codes *columns;

    *out = (struct key_ids){NULL, KEYS_NONE, 0, NULL};
    if (keys->ncolumns == 0) /* one tuple, of nothing */
        return keys_find(keys, NULL, &out->one, err);
    columns = pool_alloc(input->pool, keys->ncolumns * sizeof(*columns));
    if (columns == NULL)
        return err_set(err, ERR_LIMIT, "no memory for groups");
    if (columns_make(keys, err) != 0 || hold_grow(keys->hold, &keys->row_ids,
            input->nrows, sizeof(uint32_t), err) != 0)
        return -1;
    for (uint32_t k = 0; k < keys->ncolumns; k++) {
        int got = column_codes(keys, k, input, &columns[k], err);

        if (got != 0)
            return got < 0 ? -1 : map_values(keys, input, out, err);
    }
    return map_tuples(keys, input, columns, out, err);
}

int
keys_map(struct keys *keys, const struct keys_input *input,
    struct key_ids *out, struct err *err)
{
    return keys_map_runs(keys, input, out, err) != 0 ? -1
        : keys_expand(keys, input, out, err);
}
