/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/keys_codes.h"

#include "core/num.h"
#include "query/bucket.h"
#include "query/steps.h"
#include "query/text.h"

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

    if (!has_bucket(keys, i))
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
    one.codes = NULL;
    if (key.lo == 0 && key.hi == 0) {
        out->len = 0;
        return;
    }
    if (column->kind == COLUMN_IDS)
        one.ids = (const uint8_t *)&key;
    else
        one.ints = (const int64_t *)&key.lo;
    /* A bucket of an unsigned number may be negative. */
    if (column->kind != COLUMN_IDS && key.hi == NUMBER_INT)
        one.kind = COLUMN_INTS;
    text = column_text(&one, 0, buf);
    if (has_bucket(keys, i) && (column->kind == COLUMN_IDS ||
        key.hi == NUMBER_UINT))
        text = bucket_text(&keys->by[i], text, bucket);
    if (text.ptr != buf)
        memcpy(buf, text.ptr, text.len);
    out->len = text.len;
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

int
keys_distinct(struct keys *keys, uint32_t k, struct keys **out,
    struct err *err)
{
    struct keys_column *mine = &keys->columns[k];

    *out = &mine->distinct;
    if (mine->has_distinct)
        return 0;
    mine->has_distinct = true;
    return keys_init(&mine->distinct, keys->hold, 1, NULL, err);
}

static int
code_texts(struct keys *keys, uint32_t k, const struct keys_input *input,
    struct codes *out, struct err *err)
{
    struct keys_column *mine = &keys->columns[k];
    const struct sv *texts = input->columns[k].texts;
    uint32_t *codes = mine->codes.items;
    struct sv *distinct;
    struct keys *table;

    if (keys_distinct(keys, k, &table, err) != 0)
        return -1;
    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        struct sv text = texts[row];

        if (bucketed(keys, k, &text, input->pool, err) != 0 ||
            keys_find(table, &text, &codes[row], err) != 0)
            return -1;
    }
    if (hold_grow(keys->hold, &mine->texts, table->count,
            sizeof(*distinct), err) != 0)
        return -1;
    distinct = mine->texts.items;
    for (uint32_t i = 0; i < table->count; i++)
        keys_texts(table, i, &distinct[i]);
    *out = (struct codes){table->count, codes, distinct};
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

int
keys_column_codes(struct keys *keys, uint32_t k, const struct keys_input *input,
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

/* --- one column without codes --- */

/* For ids that rows share: the number of each, none is known yet. */
static int
codes_known(const struct column *column, struct pool *pool, uint32_t **out,
    struct err *err)
{
    *out = NULL;
    if (column->kind != COLUMN_IDS || column->codes == NULL)
        return 0;
    *out = pool_alloc(pool, column->nvalues * sizeof(**out) + 1);
    if (*out == NULL)
        return err_set(err, ERR_LIMIT, "no memory for groups");
    memset(*out, 0xff, column->nvalues * sizeof(**out));
    return 0;
}

static int
map_numbers(struct keys *keys, const struct keys_input *input,
    uint32_t *ids, struct err *err)
{
    const struct column *column = &input->columns[0];
    bool is_id16 = column->kind == COLUMN_IDS && column->width == 16;
    struct dict *dict = is_id16 ? &keys->ids : &keys->numbers;
    struct key128 last = {0, 0};
    uint32_t last_id = KEYS_NONE, *known;
    char buf[BUCKET_TEXT_MAX];

    if (codes_known(column, input->pool, &known, err) != 0)
        return -1;
    for (uint32_t i = 0; i < input->picks->n; i++) {
        uint32_t row = picks_row(input->picks, i);
        struct key128 key;
        struct sv text = {buf, 0};
        struct dict_slot *slot;

        if (known != NULL && known[column->codes[row]] != KEYS_NONE) {
            ids[row] = known[column->codes[row]];
            continue;
        }
        key = row_number(keys, 0, column, row);
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
        if (known != NULL)
            known[column->codes[row]] = last_id;
        last = key;
    }
    return 0;
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

int
keys_map_values(struct keys *keys, const struct keys_input *input,
    struct key_ids *out, struct err *err)
{
    uint32_t *ids = keys->row_ids.items;

    out->ids = ids;
    return input->columns[0].kind == COLUMN_TEXTS
        ? map_texts(keys, input, ids, err)
        : map_numbers(keys, input, ids, err);
}
