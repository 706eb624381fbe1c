/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * histogram and stddev: functions of the numbers of one or more fields.
 *
 * A histogram has 18 ranges per decade from 1e-9 to 1e18, whose upper ends
 * belong to them; one for what is less (zero, too) and one for what is more.
 * Decades that have hits have memory.
 */

#include "core/base.h"
#include "query/acc.h"
#include "query/state.h"

#include <math.h>
#include <stdlib.h>

#include "query/state.h"
#include "query/text.h"

#define DECADES 27u
#define PER_DECADE 18u
#define RANGES (DECADES * PER_DECADE)
/* Range 0 is below the decades, the last one beyond. */
#define RANGE_BEYOND (RANGES + 1)

/* --- numbers of rows --- */

/* Numbers of a column, for each code once. */
struct numbers {
    const struct column *column;
    double *v;      /* CODES and CONST, by code; NaN: none */
};

/* "NaN" is no number that could be counted. */
static double
to_number(struct sv text)
{
    double v;

    return number_parse(text, &v) ? v : NAN;
}

static int
numbers_make(struct numbers *out, const struct column *column,
    struct pool *pool, struct err *err)
{
    uint32_t n = column->kind == COLUMN_CONST ? 1 : column->nvalues;

    *out = (struct numbers){column, NULL};
    if (column->kind != COLUMN_CONST && column->kind != COLUMN_CODES)
        return 0;
    out->v = pool_alloc(pool, n * sizeof(*out->v) + 1);
    if (out->v == NULL)
        return err_set(err, ERR_LIMIT, "no memory for numbers");
    for (uint32_t i = 0; i < n; i++)
        out->v[i] = to_number(column->values[i]);
    return 0;
}

static inline double
number_of(const struct numbers *numbers, uint32_t row)
{
    const struct column *column = numbers->column;
    char buf[COLUMN_TEXT_MAX];

    switch (column->kind) {
    case COLUMN_EMPTY:
    case COLUMN_TIMES: /* times are no numbers here */
        return NAN;
    case COLUMN_CONST:
        return numbers->v[0];
    case COLUMN_CODES:
        return numbers->v[column->codes[row]];
    case COLUMN_INTS:
    case COLUMN_UINTS:
        if (column->present != NULL && !bitmap_has(column->present, row))
            return NAN;
        return column->kind == COLUMN_INTS ? (double)column->ints[row]
            : (double)(uint64_t)column->ints[row];
    default:
        return to_number(column_text(column, row, buf));
    }
}

/* --- histogram --- */

struct ranges {
    uint64_t *decades[DECADES]; /* PER_DECADE hits each; NULL: none */
    uint64_t below;
    uint64_t beyond;
};

struct histogram {
    struct acc acc;
    struct hold_array groups;   /* struct ranges */
    double bounds[RANGES + 1];  /* range i ends with bounds[i] */
};

static struct ranges *
ranges_of(struct acc *acc)
{
    return ((struct histogram *)acc)->groups.items;
}

static int
histogram_init(struct acc *acc, UNUSED struct err *err)
{
    static const double decades[DECADES + 1] = {
        1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2,
        1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
        1e15, 1e16, 1e17, 1e18,
    };
    struct histogram *histogram = (struct histogram *)acc;

    for (uint32_t i = 0; i <= RANGES; i++) {
        uint32_t part = i % PER_DECADE;

        histogram->bounds[i] = decades[i / PER_DECADE];
        if (part > 0)
            histogram->bounds[i] *= pow(10, part / (double)PER_DECADE);
    }
    return 0;
}

static int
histogram_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct histogram *)acc)->groups, ngroups,
        sizeof(struct ranges), err);
}

/* v >= 0 */
static uint32_t
range_of(const double *bounds, double v)
{
    uint32_t i;

    if (v <= bounds[0])
        return 0;
    if (v > bounds[RANGES])
        return RANGE_BEYOND;
    i = (uint32_t)((log10(v) + 9) * PER_DECADE);
    i = MIN(i, RANGES);
    /* The logarithm may be a little wrong. */
    while (i > 0 && bounds[i - 1] >= v)
        i--;
    while (bounds[i] < v)
        i++;
    return i;
}

static uint64_t *
hits_of(struct acc *acc, struct ranges *ranges, uint32_t range,
    struct err *err)
{
    uint32_t decade = (range - 1) / PER_DECADE;
    size_t size = PER_DECADE * sizeof(uint64_t);

    if (range == 0)
        return &ranges->below;
    if (range == RANGE_BEYOND)
        return &ranges->beyond;
    if (ranges->decades[decade] == NULL) {
        ranges->decades[decade] = hold_alloc(acc->hold, size, err);
        if (ranges->decades[decade] == NULL)
            return NULL;
        memset(ranges->decades[decade], 0, size);
    }
    return &ranges->decades[decade][(range - 1) % PER_DECADE];
}

static int
histogram_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    const double *bounds = ((struct histogram *)acc)->bounds;
    struct numbers numbers;

    if (numbers_make(&numbers, &in->columns[0], in->pool, err) != 0)
        return -1;
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        double v = number_of(&numbers, row);
        uint64_t *hits;

        if (!(v >= 0))
            continue;
        hits = hits_of(acc, &ranges_of(acc)[acc_group(in, row)],
            range_of(bounds, v), err);
        if (hits == NULL)
            return -1;
        ++*hits;
    }
    return 0;
}

static int
histogram_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    struct err *err)
{
    for (uint32_t i = 0; i < from->ngroups; i++) {
        struct ranges *to = &ranges_of(acc)[map[i]];
        const struct ranges *add = &ranges_of(from)[i];

        to->below += add->below;
        to->beyond += add->beyond;
        for (uint32_t k = 0; k < RANGES; k++) {
            const uint64_t *decade = add->decades[k / PER_DECADE];
            uint64_t *hits;

            if (decade == NULL || decade[k % PER_DECADE] == 0)
                continue;
            hits = hits_of(acc, to, k + 1, err);
            if (hits == NULL)
                return -1;
            *hits += decade[k % PER_DECADE];
        }
    }
    return 0;
}

/* Of each group: below, beyond, how many ranges have hits, which, hits. */
static int
histogram_save(struct acc *acc, struct acc_range *range, struct sb *out,
    UNUSED struct err *err)
{
    for (uint32_t i = range->first; i < range->end; i++) {
        const struct ranges *ranges = &ranges_of(acc)[i];
        uint32_t n = 0;

        for (uint32_t k = 0; k < RANGES; k++)
            n += ranges->decades[k / PER_DECADE] != NULL &&
                ranges->decades[k / PER_DECADE][k % PER_DECADE] > 0;
        state_put_varint(out, ranges->below);
        state_put_varint(out, ranges->beyond);
        state_put_varint(out, n);
        for (uint32_t k = 0; k < RANGES; k++) {
            const uint64_t *decade = ranges->decades[k / PER_DECADE];

            if (decade == NULL || decade[k % PER_DECADE] == 0)
                continue;
            state_put_varint(out, k + 1);
            state_put_varint(out, decade[k % PER_DECADE]);
        }
    }
    return 0;
}

static uint64_t
histogram_weigh(UNUSED struct acc *acc, UNUSED uint32_t group)
{
    return 256;
}

static int
histogram_load(struct acc *acc, struct enc_reader *in, struct err *err)
{
    for (uint32_t i = 0; i < acc->ngroups; i++) {
        struct ranges *ranges = &ranges_of(acc)[i];
        uint64_t n;

        ranges->below = enc_read_varint(in);
        ranges->beyond = enc_read_varint(in);
        n = enc_read_varint(in);
        for (uint64_t k = 0; k < n && !in->failed; k++) {
            uint64_t range = enc_read_varint(in), *hits;

            if (range == 0 || range > RANGES)
                return state_bad(err);
            hits = hits_of(acc, ranges, (uint32_t)range, err);
            if (hits == NULL)
                return -1;
            *hits = enc_read_varint(in);
        }
    }
    return 0;
}

struct printed {
    char text[32]; /* "1.000e-09...1.136e-09" */
    uint64_t hits;
};

static int
compare_printed(const void *a, const void *b)
{
    return value_order(sv_from(((const struct printed *)a)->text),
        sv_from(((const struct printed *)b)->text));
}

static void
print_range(struct printed *out, const double *bounds, uint32_t range,
    uint64_t hits)
{
    char start[16] = "0", end[16] = "+Inf";

    if (range > 0)
        snprintf(start, sizeof(start), "%.3e", bounds[range - 1]);
    if (range != RANGE_BEYOND)
        snprintf(end, sizeof(end), "%.3e", bounds[range]);
    snprintf(out->text, sizeof(out->text), "%s...%s", start, end);
    out->hits = hits;
}

/* In the natural order of the ranges' texts. */
static int
histogram_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    const double *bounds = ((struct histogram *)acc)->bounds;
    struct ranges *ranges = &ranges_of(acc)[group];
    struct printed printed[RANGES + 2];
    struct json_out json;
    uint32_t n = 0;

    for (uint32_t i = 0; i <= RANGE_BEYOND; i++) {
        const uint64_t *decade = i == 0 || i == RANGE_BEYOND ? NULL
            : ranges->decades[(i - 1) / PER_DECADE];
        uint64_t hits = i == 0 ? ranges->below
            : i == RANGE_BEYOND ? ranges->beyond
            : decade == NULL ? 0 : decade[(i - 1) % PER_DECADE];

        if (hits > 0)
            print_range(&printed[n++], bounds, i, hits);
    }
    qsort(printed, n, sizeof(*printed), compare_printed);
    json_out_init(&json, out);
    json_array(&json);
    for (uint32_t i = 0; i < n; i++) {
        json_object(&json);
        json_key(&json, "vmrange");
        json_string(&json, sv_from(printed[i].text));
        json_key(&json, "hits");
        json_u64(&json, printed[i].hits);
        json_object_end(&json);
    }
    json_array_end(&json);
    return 0;
}

static void
histogram_free(struct acc *acc)
{
    hold_drop(acc->hold, &((struct histogram *)acc)->groups,
        sizeof(struct ranges));
}

const struct acc_ops acc_histogram = {
    .size = sizeof(struct histogram),
    .init = histogram_init,
    .reserve = histogram_reserve,
    .add = histogram_add,
    .merge = histogram_merge,
    .print = histogram_print,
    .free = histogram_free,
    .save = histogram_save,
    .weigh = histogram_weigh,
    .load = histogram_load,
};

/* --- stddev: of all numbers, as a whole population --- */

struct spread {
    uint64_t n;
    double mean;
    double squares; /* sum of (v - mean)^2 */
};

struct stddev {
    struct acc acc;
    struct hold_array groups; /* struct spread */
};

static struct spread *
spreads_of(struct acc *acc)
{
    return ((struct stddev *)acc)->groups.items;
}

static int
stddev_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct stddev *)acc)->groups, ngroups,
        sizeof(struct spread), err);
}

static int
stddev_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    struct spread *groups = spreads_of(acc);

    for (uint32_t k = 0; k < in->ncolumns; k++) {
        struct numbers numbers;

        if (numbers_make(&numbers, &in->columns[k], in->pool, err) != 0)
            return -1;
        for (uint32_t i = 0; i < in->picks.n; i++) {
            uint32_t row = picks_row(&in->picks, i);
            double v = number_of(&numbers, row), away;
            struct spread *spread = &groups[acc_group(in, row)];

            if (isnan(v))
                continue;
            spread->n++;
            away = v - spread->mean;
            spread->mean += away / (double)spread->n;
            spread->squares += away * (v - spread->mean);
        }
    }
    return 0;
}

static int
stddev_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    UNUSED struct err *err)
{
    for (uint32_t i = 0; i < from->ngroups; i++) {
        struct spread *to = &spreads_of(acc)[map[i]];
        const struct spread *add = &spreads_of(from)[i];
        double n = (double)(to->n + add->n), away = add->mean - to->mean;

        if (add->n == 0)
            continue;
        to->squares += add->squares +
            away * away * ((double)to->n / n) * (double)add->n;
        to->mean += away * ((double)add->n / n);
        to->n += add->n;
    }
    return 0;
}

static int
stddev_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    const struct spread *spread = &spreads_of(acc)[group];

    number_print(out, spread->n == 0 ? NAN
        : sqrt(spread->squares / (double)spread->n));
    return 0;
}

static void
stddev_free(struct acc *acc)
{
    hold_drop(acc->hold, &((struct stddev *)acc)->groups,
        sizeof(struct spread));
}

static int
stddev_save(struct acc *acc, struct acc_range *range, struct sb *out,
    UNUSED struct err *err)
{
    for (uint32_t i = range->first; i < range->end; i++) {
        const struct spread *spread = &spreads_of(acc)[i];

        state_put_varint(out, spread->n);
        sb_add(out, &spread->mean, sizeof(spread->mean));
        sb_add(out, &spread->squares, sizeof(spread->squares));
    }
    return 0;
}

static int
stddev_load(struct acc *acc, struct enc_reader *in, UNUSED struct err *err)
{
    for (uint32_t i = 0; i < acc->ngroups; i++) {
        struct spread *spread = &spreads_of(acc)[i];
        uint64_t mean, squares;

        spread->n = enc_read_varint(in);
        mean = enc_read64(in);
        squares = enc_read64(in);
        memcpy(&spread->mean, &mean, sizeof(mean));
        memcpy(&spread->squares, &squares, sizeof(squares));
    }
    return 0;
}

const struct acc_ops acc_stddev = {
    .size = sizeof(struct stddev),
    .reserve = stddev_reserve,
    .add = stddev_add,
    .merge = stddev_merge,
    .print = stddev_print,
    .free = stddev_free,
    .save = stddev_save,
    .load = stddev_load,
};
