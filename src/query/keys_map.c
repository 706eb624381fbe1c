/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * From columns to the numbers of tuples, see keys.h.
 */

#include "core/base.h"
#include "query/keys_codes.h"


/* Pairs of codes are codes themselves as long as there are no more. */
#define CODES_MAX 65536u

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
        hold_drop(hold, &column->value_ids, sizeof(uint32_t));
        if (column->has_distinct)
            keys_drop(&column->distinct);
    }
    dict_drop(&keys->ids);
    dict_drop(&keys->numbers);
    dict_drop(&keys->pairs);
    dict_drop(&keys->by_values);
    hold_drop(hold, &keys->slots, sizeof(uint64_t));
    hold_drop(hold, &keys->tuples, 16);
    hold_drop(hold, &keys->tuple_buf, 1);
    hold_drop(hold, &keys->row_ids, sizeof(uint32_t));
    hold_drop(hold, &keys->map, sizeof(uint32_t));
    hold_drop(hold, &keys->runs, sizeof(struct key_run));
}

/* --- tuples --- */

/*
 * In this chunk tuples are found by the numbers of their values, where each
 * value is there in several rows: its text is looked up once.
 */
static int
values_begin(struct keys *keys, const struct keys_input *input,
    const struct codes *columns, struct err *err)
{
    keys->has_values = false;
    if (keys->ncolumns < 2 || keys->ncolumns > KEYS_VALUES_MAX)
        return 0;
    for (uint32_t k = 0; k < keys->ncolumns; k++) {
        if (columns[k].n > 1 && columns[k].n > input->picks->n / 4)
            return 0;
    }
    for (uint32_t k = 0; k < keys->ncolumns; k++) {
        struct hold_array *ids = &keys->columns[k].value_ids;

        if (hold_grow(keys->hold, ids, columns[k].n, sizeof(uint32_t),
                err) != 0)
            return -1;
        memset(ids->items, 0xff, columns[k].n * sizeof(uint32_t));
    }
    keys->has_values = true;
    return 0;
}

static inline int
find_value(struct keys *keys, uint32_t k, const struct codes *column,
    uint32_t code, struct err *err)
{
    struct keys *distinct;

    return keys_distinct(keys, k, &distinct, err) != 0 ? -1
        : keys_find(distinct, &column->texts[code],
        &((uint32_t *)keys->columns[k].value_ids.items)[code], err);
}

static int
find_texts(struct keys *keys, const struct codes *columns, uint32_t row,
    uint32_t *id, struct err *err)
{
    for (uint32_t k = 0; k < keys->ncolumns; k++) {
        const struct codes *c = &columns[k];

        keys->texts[k] = c->texts[c->codes == NULL ? 0 : c->codes[row]];
    }
    return keys_find(keys, keys->texts, id, err);
}

/* The numbers of a row's values; {0, 0} when has_values is not set. */
static inline int
values_of_row(struct keys *keys, const struct codes *columns, uint32_t row,
    struct key128 *out, struct err *err)
{
    uint32_t values[KEYS_VALUES_MAX] = {0};

    for (uint32_t k = 0; k < keys->ncolumns && keys->has_values; k++) {
        const struct codes *c = &columns[k];
        uint32_t code = c->codes == NULL ? 0 : c->codes[row];
        const uint32_t *ids = keys->columns[k].value_ids.items;

        if (UNLIKELY(ids[code] == KEYS_NONE) &&
            find_value(keys, k, c, code, err) != 0)
            return -1;
        values[k] = ids[code];
    }
    memcpy(out, values, sizeof(*out));
    return 0;
}

static int
find_values(struct keys *keys, struct key128 values,
    const struct codes *columns, uint32_t row, struct err *err)
{
    struct dict_slot *slot = dict_find(&keys->by_values, values, err);

    if (slot == NULL)
        return -1;
    if (UNLIKELY(slot->code == DICT_NEW) &&
        find_texts(keys, columns, row, &slot->code, err) != 0)
        return -1;
    keys->found = slot->code;
    return 0;
}

int
keys_find_row(struct keys *keys, const struct codes *columns, uint32_t row,
    uint32_t *id, struct err *err)
{
    struct key128 values;

    if (!keys->has_values)
        return find_texts(keys, columns, row, id, err);
    if (values_of_row(keys, columns, row, &values, err) != 0 ||
        find_values(keys, values, columns, row, err) != 0)
        return -1;
    *id = keys->found;
    return 0;
}

/* Rows that wait for memory together. */
#define BATCH 32u

/* More tuples than could be codes: row by row. */
static int
map_rows(struct keys *keys, const struct keys_input *input,
    const struct codes *columns, struct err *err)
{
    const struct picks *picks = input->picks;
    uint32_t *ids = keys->row_ids.items;
    struct key128 values[BATCH];

    for (uint32_t done = 0; done < picks->n; done += BATCH) {
        uint32_t n = MIN(BATCH, picks->n - done);

        for (uint32_t i = 0; i < n; i++) {
            if (values_of_row(keys, columns, picks_row(picks, done + i),
                    &values[i], err) != 0)
                return -1;
            dict_prefetch(&keys->by_values, values[i]);
        }
        for (uint32_t i = 0; i < n; i++) {
            uint32_t row = picks_row(picks, done + i);

            if (find_values(keys, values[i], columns, row, err) != 0)
                return -1;
            ids[row] = keys->found;
        }
    }
    return 0;
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
    uint64_t product = 1;

    if (values_begin(keys, input, columns, err) != 0 ||
        keys_find_runs(keys, input, columns, out, err) != 0)
        return -1;
    if (out->nruns > 0)
        return 0;
    for (uint32_t k = 0; k < keys->ncolumns && product <= CODES_MAX; k++)
        product *= columns[k].n;
    if (product > CODES_MAX && keys->has_values) {
        out->ids = keys->row_ids.items;
        return map_rows(keys, input, columns, err);
    }
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
        int got = keys_column_codes(keys, k, input, &columns[k], err);

        if (got != 0)
            return got < 0 ? -1 : keys_map_values(keys, input, out, err);
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
