/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/steps.h"

#include "core/kernel.h"
#include "query/bucket.h"

/* Far from where a sum of two values could overflow. */
#define VALUE_MAX (INT64_MAX / 4)

struct range {
    int64_t min;
    int64_t max;
};

static struct range
range_of(const struct column *column, const struct picks *picks)
{
    struct range range = {INT64_MAX, INT64_MIN};
    const int64_t *ints = column->ints;

    if (picks->index == NULL && column->has_range)
        return (struct range){column->min, column->max};
    if (picks->index == NULL && column->present == NULL) {
        ints += picks->first;
        for (uint32_t i = 0; i < picks->n; i++) {
            range.min = MIN(range.min, ints[i]);
            range.max = MAX(range.max, ints[i]);
        }
        return range;
    }
    for (uint32_t i = 0; i < picks->n; i++) {
        uint32_t row = picks_row(picks, i);

        if (column->present != NULL && !bitmap_has(column->present, row))
            continue;
        range.min = MIN(range.min, ints[row]);
        range.max = MAX(range.max, ints[row]);
    }
    return range;
}

bool
steps_make(struct steps *out, const struct stats_by *by,
    const struct column *column, const struct picks *picks)
{
    bool is_time = column->kind == COLUMN_TIMES;
    struct range range;
    uint64_t n;

    if (!is_time && column->kind != COLUMN_INTS)
        return false;
    if (by != NULL && bucket_is_none(by))
        by = NULL;
    out->width = by == NULL ? 1 : bucket_width(by);
    if (out->width < 1 || out->width > VALUE_MAX)
        return false;
    range = range_of(column, picks);
    if (range.min < -VALUE_MAX || range.max > VALUE_MAX ||
        range.min > range.max)
        return false;
    out->base = by == NULL ? range.min : is_time ? bucket_time(by, range.min)
        : bucket_int(by, range.min);
    if (out->base > range.min || range.min - out->base >= out->width)
        return false;
    out->has_gaps = !is_time && column->present != NULL;
    n = (uint64_t)(range.max - out->base) / (uint64_t)out->width + 1 +
        out->has_gaps;
    out->n = (uint32_t)MIN(n, (uint64_t)UINT32_MAX);
    /* The plain one takes any; with few codes it is right, too. */
    out->set = MAX(out->width, range.max - out->base) <= KERNEL_DIVIDE_MAX
        ? kernels() : kernels_at(0);
    return n <= MIN(STEPS_MAX, MAX(picks->n, 2u));
}

/* So few steps that each start is compared with each number. */
static void
few_codes(const struct steps *steps, const int64_t *ints, uint32_t n,
    uint32_t *codes)
{
    int64_t bounds[KERNEL_STEPS_MAX];

    for (uint32_t i = 1; i < steps->n; i++)
        bounds[i - 1] = steps_start(steps, i);
    kernels()->steps(ints, n, bounds, steps->n - 1, codes);
}

/* Rows that stand together and all have a number. */
static void
codes_of_all(const struct steps *steps, const int64_t *ints, uint32_t n,
    uint32_t *codes)
{
    if (steps->n <= KERNEL_STEPS_MAX + 1)
        few_codes(steps, ints, n, codes);
    else
        steps->set->divide(ints, n, steps->base, steps->width, codes);
}

static uint32_t
code_of(const struct steps *steps, int64_t v)
{
    uint32_t code;

    kernels_at(0)->divide(&v, 1, steps->base, steps->width, &code);
    return code;
}

void
steps_codes(const struct steps *steps, const struct column *column,
    const struct picks *picks, uint32_t *codes)
{
    const int64_t *ints = column->ints;

    if (!steps->has_gaps && picks->index == NULL) {
        codes_of_all(steps, ints + picks->first, picks->n,
            codes + picks->first);
        return;
    }
    for (uint32_t i = 0; i < picks->n; i++) {
        uint32_t row = picks_row(picks, i);

        codes[row] = steps->has_gaps && !bitmap_has(column->present, row)
            ? steps->n - 1 : code_of(steps, ints[row]);
    }
}
