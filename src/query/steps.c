/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/steps.h"

#include "query/bucket.h"

/* Far from where a sum of two values could overflow. */
#define VALUE_MAX (INT64_MAX / 4)

struct range {
    int64_t min;
    int64_t max;
};

static struct range
range_of(const int64_t *ints, const struct picks *picks)
{
    struct range range = {INT64_MAX, INT64_MIN};

    if (picks->index == NULL) {
        for (uint32_t row = 0; row < picks->n; row++) {
            range.min = MIN(range.min, ints[row]);
            range.max = MAX(range.max, ints[row]);
        }
        return range;
    }
    for (uint32_t i = 0; i < picks->n; i++) {
        int64_t v = ints[picks->index[i]];

        range.min = MIN(range.min, v);
        range.max = MAX(range.max, v);
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

    if (!is_time && (column->kind != COLUMN_INTS || column->present != NULL))
        return false;
    if (bucket_is_none(by) || !bucket_is_whole(by))
        return false;
    out->width = bucket_width(by);
    if (out->width <= 1 || out->width > VALUE_MAX)
        return false;
    range = range_of(column->ints, picks);
    if (range.min < -VALUE_MAX || range.max > VALUE_MAX)
        return false;
    out->base = is_time ? bucket_time(by, range.min)
        : bucket_int(by, range.min);
    if (out->base > range.min || range.min - out->base >= out->width)
        return false;
    n = (uint64_t)(range.max - out->base) / (uint64_t)out->width + 1;
    out->n = (uint32_t)MIN(n, (uint64_t)UINT32_MAX);
    return n <= STEPS_MAX;
}

/* The quotient of doubles is at most one beside the exact one. */
static inline uint32_t
step_of(const struct steps *steps, double inverse, int64_t v)
{
    int64_t shifted = v - steps->base;
    int64_t code = (int64_t)((double)shifted * inverse);
    int64_t rest = shifted - code * steps->width;

    return (uint32_t)(code - (rest < 0) + (rest >= steps->width));
}

void
steps_codes(const struct steps *steps, const struct column *column,
    const struct picks *picks, uint32_t *codes)
{
    double inverse = 1.0 / (double)steps->width;
    const int64_t *ints = column->ints;

    for (uint32_t i = 0; i < picks->n; i++) {
        uint32_t row = picks_row(picks, i);

        codes[row] = step_of(steps, inverse, ints[row]);
    }
}
