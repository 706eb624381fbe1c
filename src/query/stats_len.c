/* SPDX-License-Identifier: BSD-2-Clause */

/* sum_len: bytes of all values of the fields. */

#include "core/base.h"
#include "query/acc.h"

#include "query/state.h"

struct sum_len {
    struct acc acc;
    struct hold_array bytes; /* uint64_t */
};

static uint64_t *
bytes_of(struct acc *acc)
{
    return ((struct sum_len *)acc)->bytes.items;
}

static int
len_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct sum_len *)acc)->bytes, ngroups,
        sizeof(uint64_t), err);
}

static uint64_t
digits_of(uint64_t v)
{
    uint64_t n = 1;

    for (; v >= 10; v /= 10)
        n++;
    return n;
}

static uint64_t
len_of(const struct column *column, uint32_t row)
{
    char buf[COLUMN_TEXT_MAX];
    int64_t v;

    switch (column->kind) {
    case COLUMN_CODES:
        return column->values[column->codes[row]].len;
    case COLUMN_TEXTS:
        return column->texts[row].len;
    case COLUMN_IDS:
        return column_is_filled(column, row) ? 2 * column->width : 0;
    case COLUMN_INTS:
        if (column->present != NULL && !bitmap_has(column->present, row))
            return 0;
        v = column->ints[row];
        return v < 0 ? 1 + digits_of(-(uint64_t)v) : digits_of((uint64_t)v);
    default:
        return column_text(column, row, buf).len;
    }
}

static int
len_add(struct acc *acc, const struct acc_rows *in, UNUSED struct err *err)
{
    uint64_t *bytes = bytes_of(acc);

    for (uint32_t k = 0; k < in->ncolumns; k++) {
        const struct column *column = &in->columns[k];

        if (column->kind == COLUMN_EMPTY)
            continue;
        for (uint32_t i = 0; i < in->picks.n; i++) {
            uint32_t row = picks_row(&in->picks, i);

            bytes[acc_group(in, row)] += len_of(column, row);
        }
    }
    return 0;
}

static int
len_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    UNUSED struct err *err)
{
    const uint64_t *add = bytes_of(from);

    for (uint32_t i = 0; i < from->ngroups; i++)
        bytes_of(acc)[map[i]] += add[i];
    return 0;
}

static int
len_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    sb_add_u64(out, bytes_of(acc)[group]);
    return 0;
}

static void
len_free(struct acc *acc)
{
    hold_drop(acc->hold, &((struct sum_len *)acc)->bytes, sizeof(uint64_t));
}

static int
len_save(struct acc *acc, struct acc_range *range, struct sb *out,
    UNUSED struct err *err)
{
    for (uint32_t i = range->first; i < range->end; i++)
        state_put_varint(out, bytes_of(acc)[i]);
    return 0;
}

static int
len_load(struct acc *acc, struct enc_reader *in, UNUSED struct err *err)
{
    for (uint32_t i = 0; i < acc->ngroups; i++)
        bytes_of(acc)[i] = enc_read_varint(in);
    return 0;
}

const struct acc_ops acc_sum_len = {
    .size = sizeof(struct sum_len),
    .runs = ACC_RUNS_ALWAYS,
    .reserve = len_reserve,
    .add = len_add,
    .merge = len_merge,
    .print = len_print,
    .free = len_free,
    .save = len_save,
    .load = len_load,
};
