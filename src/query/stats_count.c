/* SPDX-License-Identifier: BSD-2-Clause */

/* count, count_empty, rate, sum, avg, rate_sum. */

#include "core/base.h"
#include "query/acc.h"

#include <math.h>

#include "query/state.h"
#include "query/text.h"

/* --- count: rows with at least one of the fields --- */

struct count {
    struct acc acc;
    struct hold_array counts; /* uint64_t */
};

static int
count_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    struct count *count = (struct count *)acc;

    return hold_grow(acc->hold, &count->counts, ngroups, sizeof(uint64_t),
        err);
}

static void
count_rows(uint64_t *counts, const struct acc_rows *in)
{
    const uint32_t *groups = in->groups, *index = in->picks.index;

    if (groups == NULL) {
        counts[in->one] += in->picks.n;
    } else if (index == NULL) {
        groups += in->picks.first;
        for (uint32_t i = 0; i < in->picks.n; i++)
            counts[groups[i]]++;
    } else {
        for (uint32_t i = 0; i < in->picks.n; i++)
            counts[groups[index[i]]]++;
    }
}

static int
count_add(struct acc *acc, const struct acc_rows *in,
    UNUSED struct err *err)
{
    uint64_t *counts = ((struct count *)acc)->counts.items;

    if (acc->is_all) {
        count_rows(counts, in);
        return 0;
    }
    for (uint32_t k = 0; k < in->ncolumns; k++) {
        const struct column *column = &in->columns[k];

        /* Without gaps there is nothing to look at. */
        if (column->kind == COLUMN_TIMES ||
            (column->kind == COLUMN_CONST && column->values[0].len > 0) ||
            (column->kind == COLUMN_INTS && column->present == NULL)) {
            count_rows(counts, in);
            return 0;
        }
    }
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        bool is_filled = false;

        for (uint32_t k = 0; k < in->ncolumns && !is_filled; k++)
            is_filled = column_is_filled(&in->columns[k], row);
        counts[acc_group(in, row)] += is_filled;
    }
    return 0;
}

static int
count_add_cells(struct acc *acc, const struct acc_rows *in,
    const struct acc_cells *cells, UNUSED struct err *err)
{
    uint64_t *counts = ((struct count *)acc)->counts.items;

    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        bool is_filled = acc->is_all;

        for (uint32_t k = 0; k < in->ncolumns && !is_filled; k++)
            is_filled = column_is_filled(&in->columns[k], row);
        if (is_filled)
            counts[acc_group(in, row)] += cells->v[row].rows;
    }
    return 0;
}

static int
count_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    UNUSED struct err *err)
{
    uint64_t *counts = ((struct count *)acc)->counts.items;
    const uint64_t *add = ((struct count *)from)->counts.items;

    for (uint32_t i = 0; i < from->ngroups; i++)
        counts[map[i]] += add[i];
    return 0;
}

static int
count_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    sb_add_u64(out, ((uint64_t *)((struct count *)acc)->counts.items)[group]);
    return 0;
}

static void
count_free(struct acc *acc)
{
    hold_drop(acc->hold, &((struct count *)acc)->counts, sizeof(uint64_t));
}

static int
count_save(struct acc *acc, struct acc_range *range, struct sb *out,
    UNUSED struct err *err)
{
    const uint64_t *counts = ((struct count *)acc)->counts.items;

    for (uint32_t i = range->first; i < range->end; i++)
        state_put_varint(out, counts[i]);
    return 0;
}

static int
count_load(struct acc *acc, struct enc_reader *in, UNUSED struct err *err)
{
    uint64_t *counts = ((struct count *)acc)->counts.items;

    for (uint32_t i = 0; i < acc->ngroups; i++)
        counts[i] = enc_read_varint(in);
    return 0;
}

const struct acc_ops acc_count = {
    .size = sizeof(struct count),
    .runs = ACC_RUNS_ALWAYS,
    .reserve = count_reserve,
    .add = count_add,
    .add_cells = count_add_cells,
    .merge = count_merge,
    .print = count_print,
    .free = count_free,
    .save = count_save,
    .load = count_load,
};

/* --- rate: rows per second; without a known time it is count --- */

static int
rate_print(struct acc *acc, uint32_t group, struct sb *out,
    struct err *err)
{
    uint64_t n = ((uint64_t *)((struct count *)acc)->counts.items)[group];

    if (acc->rate_step == 0)
        return count_print(acc, group, out, err);
    number_print(out, (double)n / acc->rate_step);
    return 0;
}

const struct acc_ops acc_rate = {
    .size = sizeof(struct count),
    .runs = ACC_RUNS_ALWAYS,
    .reserve = count_reserve,
    .add = count_add,
    .add_cells = count_add_cells,
    .merge = count_merge,
    .print = rate_print,
    .free = count_free,
    .save = count_save,
    .load = count_load,
};

/* --- count_empty: rows with none of the fields --- */

static int
count_empty_add(struct acc *acc, const struct acc_rows *in,
    UNUSED struct err *err)
{
    uint64_t *counts = ((struct count *)acc)->counts.items;

    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        bool is_filled = false;

        for (uint32_t k = 0; k < in->ncolumns && !is_filled; k++)
            is_filled = column_is_filled(&in->columns[k], row);
        counts[acc_group(in, row)] += !is_filled;
    }
    return 0;
}

const struct acc_ops acc_count_empty = {
    .size = sizeof(struct count),
    .runs = ACC_RUNS_ALWAYS,
    .reserve = count_reserve,
    .add = count_empty_add,
    .merge = count_merge,
    .print = count_print,
    .free = count_free,
    .save = count_save,
    .load = count_load,
};

/*
 * --- sum and avg: of all values that are numbers ---
 *
 * Whole numbers are summed up exactly, so that their sum does not depend on
 * the order of rows, and sums of blocks' sums are the same.
 */

struct total {
    __extension__ __int128 whole;
    double sum; /* of the others */
    uint64_t n;
};

struct sum {
    struct acc acc;
    struct hold_array totals; /* struct total */
};

static int
sum_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct sum *)acc)->totals, ngroups,
        sizeof(struct total), err);
}

static inline void
total_add(struct total *total, double v)
{
    total->sum += v;
    total->n++;
}

__extension__ static __int128
sum_of(const int64_t *ints, const struct picks *picks)
{
    __extension__ __int128 sum = 0;

    if (picks->index == NULL) {
        for (uint32_t i = 0; i < picks->n; i++)
            sum += ints[picks->first + i];
    } else {
        for (uint32_t i = 0; i < picks->n; i++)
            sum += ints[picks->index[i]];
    }
    return sum;
}

/* Whole numbers of all rows; most queries. */
static void
sum_ints(struct total *totals, const struct acc_rows *in,
    const int64_t *ints)
{
    const uint32_t *groups = in->groups;

    if (groups == NULL) {
        totals[in->one].whole += sum_of(ints, &in->picks);
        totals[in->one].n += in->picks.n;
        return;
    }
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);

        totals[groups[row]].whole += ints[row];
        totals[groups[row]].n++;
    }
}

static void
sum_gaps(struct total *totals, const struct acc_rows *in,
    const struct column *column)
{
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        struct total *total;

        if (column->present != NULL && !bitmap_has(column->present, row))
            continue;
        total = &totals[acc_group(in, row)];
        total->n++;
        if (column->kind == COLUMN_UINTS)
            total->whole += (uint64_t)column->ints[row];
        else
            total->whole += column->ints[row];
    }
}

/* "NaN" is no number that could be added. */
static bool
to_number(struct sv text, double *out)
{
    return number_parse(text, out) && !isnan(*out);
}

static int
sum_codes(struct total *totals, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    enum { UNKNOWN, NUMBER, TEXT };
    double *numbers = pool_alloc(in->pool,
        column->nvalues * sizeof(*numbers) + 1);
    uint8_t *state = pool_zalloc(in->pool, column->nvalues + 1);

    if (numbers == NULL || state == NULL)
        return err_set(err, ERR_LIMIT, "no memory for sums");
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        uint32_t code = column->codes[row];

        if (UNLIKELY(state[code] == UNKNOWN)) {
            state[code] = to_number(column->values[code], &numbers[code])
                ? NUMBER : TEXT;
        }
        if (state[code] == NUMBER)
            total_add(&totals[acc_group(in, row)], numbers[code]);
    }
    return 0;
}

static void
sum_texts(struct total *totals, const struct acc_rows *in,
    const struct column *column)
{
    char buf[COLUMN_TEXT_MAX];
    struct sv last = SV_EMPTY;
    bool is_const = column->kind == COLUMN_CONST, is_number = false;
    double v = 0;

    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);

        if (!is_const || i == 0) {
            last = column_text(column, row, buf);
            is_number = to_number(last, &v);
        }
        if (is_number)
            total_add(&totals[acc_group(in, row)], v);
    }
}

static int
sum_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    struct total *totals = ((struct sum *)acc)->totals.items;

    for (uint32_t k = 0; k < in->ncolumns; k++) {
        const struct column *column = &in->columns[k];

        switch (column->kind) {
        case COLUMN_EMPTY:
        case COLUMN_TIMES: /* times are no numbers here */
            break;
        case COLUMN_INTS:
            if (column->present == NULL)
                sum_ints(totals, in, column->ints);
            else
                sum_gaps(totals, in, column);
            break;
        case COLUMN_UINTS:
            sum_gaps(totals, in, column);
            break;
        case COLUMN_CODES:
            if (sum_codes(totals, in, column, err) != 0)
                return -1;
            break;
        default:
            sum_texts(totals, in, column);
        }
    }
    return 0;
}

static int
sum_add_cells(struct acc *acc, const struct acc_rows *in,
    const struct acc_cells *cells, UNUSED struct err *err)
{
    struct total *totals = ((struct sum *)acc)->totals.items;

    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        struct total *total = &totals[acc_group(in, row)];

        total->whole += cells->v[row].sum;
        total->n += cells->v[row].rows;
    }
    return 0;
}

static int
sum_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    UNUSED struct err *err)
{
    struct total *totals = ((struct sum *)acc)->totals.items;
    const struct total *add = ((struct sum *)from)->totals.items;

    for (uint32_t i = 0; i < from->ngroups; i++) {
        totals[map[i]].whole += add[i].whole;
        totals[map[i]].sum += add[i].sum;
        totals[map[i]].n += add[i].n;
    }
    return 0;
}

/* NaN when there is none. */
static double
sum_get(const struct acc *acc, uint32_t group, uint64_t *n)
{
    const struct total *total =
        &((struct total *)((struct sum *)acc)->totals.items)[group];

    *n = total->n;
    return total->n == 0 ? NAN : (double)total->whole + total->sum;
}

static int
sum_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    uint64_t n;
    double v = sum_get(acc, group, &n);

    number_print(out, acc->fn->kind == STATS_AVG ? v / (double)n : v);
    return 0;
}

static int
rate_sum_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    uint64_t n;
    double v = sum_get(acc, group, &n);

    number_print(out, acc->rate_step == 0 ? v : v / acc->rate_step);
    return 0;
}

static void
sum_free(struct acc *acc)
{
    hold_drop(acc->hold, &((struct sum *)acc)->totals, sizeof(struct total));
}

static int
sum_save(struct acc *acc, struct acc_range *range, struct sb *out,
    UNUSED struct err *err)
{
    const struct total *totals = ((struct sum *)acc)->totals.items;

    for (uint32_t i = range->first; i < range->end; i++) {
        state_put64(out, (uint64_t)totals[i].whole);
        state_put64(out, (uint64_t)(totals[i].whole >> 64));
        sb_add(out, &totals[i].sum, sizeof(totals[i].sum));
        state_put_varint(out, totals[i].n);
    }
    return 0;
}

static int
sum_load(struct acc *acc, struct enc_reader *in, UNUSED struct err *err)
{
    struct total *totals = ((struct sum *)acc)->totals.items;

    for (uint32_t i = 0; i < acc->ngroups; i++) {
        uint64_t low = enc_read64(in), high = enc_read64(in);
        uint64_t sum = enc_read64(in);

        __extension__ totals[i].whole =
            (__int128)((unsigned __int128)high << 64 | low);
        memcpy(&totals[i].sum, &sum, sizeof(sum));
        totals[i].n = enc_read_varint(in);
    }
    return 0;
}

const struct acc_ops acc_sum = {
    .size = sizeof(struct sum),
    .runs = ACC_RUNS_PLAIN,
    .reserve = sum_reserve,
    .add = sum_add,
    .add_cells = sum_add_cells,
    .merge = sum_merge,
    .print = sum_print,
    .free = sum_free,
    .save = sum_save,
    .load = sum_load,
};

const struct acc_ops acc_rate_sum = {
    .size = sizeof(struct sum),
    .runs = ACC_RUNS_PLAIN,
    .reserve = sum_reserve,
    .add = sum_add,
    .add_cells = sum_add_cells,
    .merge = sum_merge,
    .print = rate_sum_print,
    .free = sum_free,
    .save = sum_save,
    .load = sum_load,
};
