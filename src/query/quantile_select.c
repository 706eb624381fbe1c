/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The k-th of many whole numbers.  Some of them, sorted, tell two values
 * between which it almost surely is; one pass takes those between them aside.
 * What is left is few, and of these one digit after the other is counted.
 */

#include "core/base.h"
#include "query/quantile_samples.h"

/* So few are sorted. */
#define SORT_MAX 24u
/* Fewer are counted at once. */
#define BRACKET_MIN 256u
/* How many are sorted to find the two. */
#define PROBES 32u
#define DIGIT_BITS 8u

static void
insertion_sort(int64_t *v, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        int64_t value = v[i];
        uint32_t at = i;

        for (; at > 0 && v[at - 1] > value; at--)
            v[at] = v[at - 1];
        v[at] = value;
    }
}

/* --- by digits --- */

int64_t
select_int(int64_t *v, uint32_t n, uint32_t k)
{
    uint32_t counts[1u << DIGIT_BITS];

    while (n > SORT_MAX) {
        int64_t min = v[0], max = v[0];
        uint32_t shift = 0, digit = 0, kept = 0;
        uint64_t range;

        for (uint32_t i = 1; i < n; i++) {
            min = MIN(min, v[i]);
            max = MAX(max, v[i]);
        }
        range = (uint64_t)max - (uint64_t)min;
        if (range == 0)
            return min;
        if (range >= ARRAY_LEN(counts))
            shift = 64 - DIGIT_BITS - (uint32_t)__builtin_clzll(range);
        memset(counts, 0, sizeof(counts));
        for (uint32_t i = 0; i < n; i++)
            counts[((uint64_t)v[i] - (uint64_t)min) >> shift]++;
        for (; k >= counts[digit]; digit++)
            k -= counts[digit];
        if (shift == 0)
            return (int64_t)((uint64_t)min + digit);
        for (uint32_t i = 0; i < n; i++) {
            int64_t value = v[i];

            v[kept] = value;
            kept += ((uint64_t)value - (uint64_t)min) >> shift == digit;
        }
        n = kept;
    }
    insertion_sort(v, n);
    return v[k];
}

/* --- between two values --- */

struct bracket {
    int64_t low;
    int64_t high;
    uint32_t below; /* values less than low */
    uint32_t n;     /* values from low to high, taken aside */
};

static void
take_between(struct bracket *bracket, const int64_t *v, uint32_t n,
    int64_t *out)
{
    int64_t low = bracket->low;
    uint64_t width = (uint64_t)bracket->high - (uint64_t)low;
    uint32_t below = 0, kept = 0;

    out += bracket->n;
    for (uint32_t i = 0; i < n; i++) {
        int64_t value = v[i];

        out[kept] = value;
        below += value < low;
        kept += (uint64_t)value - (uint64_t)low <= width;
    }
    bracket->below += below;
    bracket->n += kept;
}

/* Every step-th of the values. */
struct probes {
    int64_t v[PROBES];
    uint32_t n;
    uint32_t step;
    uint32_t skip; /* values before the next one */
};

static void
probe(struct probes *probes, const int64_t *v, uint32_t n)
{
    uint32_t i = probes->skip;

    for (; i < n && probes->n < PROBES; i += probes->step)
        probes->v[probes->n++] = v[i];
    probes->skip = i - MIN(i, n);
}

/* Three deviations on either side of where the k-th is to be. */
static void
find_bracket(struct bracket *bracket, const struct probes *probes,
    double share)
{
    uint32_t n = probes->n;
    double middle = share * n, variance = share * (1 - share) * n;
    uint32_t at = (uint32_t)middle, off = 1;

    while (off * off < 9 * variance)
        off++;
    bracket->low = at >= off ? probes->v[at - off] : INT64_MIN;
    bracket->high = at + off < n ? probes->v[at + off] : INT64_MAX;
}

static uint32_t
count_of(const struct samples *samples, const struct piece *piece)
{
    return piece == samples->last
        ? (uint32_t)(samples->at - piece->v) : piece->n;
}

int64_t
samples_select(const struct samples *samples, uint32_t k, int64_t *scratch)
{
    struct bracket bracket = {0, 0, 0, 0};
    uint32_t n = samples->n;
    struct probes probes = {.step = n / PROBES + 1};

    if (n >= BRACKET_MIN) {
        if (samples->v != NULL)
            probe(&probes, samples->v, n);
        for (const struct piece *piece = samples->first; piece != NULL;
            piece = piece->next)
            probe(&probes, piece->v, count_of(samples, piece));
        insertion_sort(probes.v, probes.n);
        find_bracket(&bracket, &probes, (double)k / n);
        if (samples->v != NULL)
            take_between(&bracket, samples->v, n, scratch);
        for (const struct piece *piece = samples->first; piece != NULL;
            piece = piece->next)
            take_between(&bracket, piece->v, count_of(samples, piece),
                scratch);
        if (k >= bracket.below && k - bracket.below < bracket.n)
            return select_int(scratch, bracket.n, k - bracket.below);
    }
    samples_copy(samples, scratch);
    return select_int(scratch, n, k);
}
