/* SPDX-License-Identifier: BSD-2-Clause */

/* Plain C, and the choice. */

#include "core/base.h"
#include "core/kernel.h"

#include <stdatomic.h>

#include "core/enc.h"
#include "core/kernel_sets.h"

/* --- fields of bits --- */

#define UNPACK_LANE(j, width) \
    (out[j] = to->base + to->scale * (mask & \
        enc_get64(bits + ((j) * (width) >> 3)) >> ((j) * (width) & 7)))

/*
 * Eight fields take `width` bytes, so with a constant width the places and
 * shifts of each of the eight are constants, too.
 */
static inline __attribute__((always_inline)) void
unpack_eights(const uint8_t *bits, uint32_t count,
    const struct kernel_linear *to, uint32_t width, uint64_t *out)
{
    uint64_t mask = (UINT64_C(1) << width) - 1;

    for (; count >= 8; count -= 8, bits += width, out += 8) {
        UNPACK_LANE(0, width);
        UNPACK_LANE(1, width);
        UNPACK_LANE(2, width);
        UNPACK_LANE(3, width);
        UNPACK_LANE(4, width);
        UNPACK_LANE(5, width);
        UNPACK_LANE(6, width);
        UNPACK_LANE(7, width);
    }
}

#define UNPACK_CASE(w) \
    case w: \
        unpack_eights(bits, count, &copy, w, out); \
        break;
#define UNPACK_CASES(w) \
    UNPACK_CASE(w) UNPACK_CASE(w + 1) UNPACK_CASE(w + 2) UNPACK_CASE(w + 3) \
    UNPACK_CASE(w + 4) UNPACK_CASE(w + 5) UNPACK_CASE(w + 6) \
    UNPACK_CASE(w + 7)

static void
unpack_plain(const uint8_t *bits, uint32_t count, uint32_t width,
    const struct kernel_linear *to, uint64_t *out)
{
    struct kernel_linear copy = *to; /* out may not change it */

    switch (width) {
    UNPACK_CASES(1)
    UNPACK_CASES(9)
    UNPACK_CASES(17)
    UNPACK_CASES(25)
    UNPACK_CASES(33)
    UNPACK_CASES(41)
    UNPACK_CASES(49)
    }
}

/* --- comparing --- */

static uint64_t
within_plain(const uint64_t *v, uint32_t n, uint64_t low, uint64_t width)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i < n; i++)
        bits |= (uint64_t)(v[i] - low <= width) << i;
    return bits;
}

/* --- times --- */

static bool
add_from_plain(uint64_t *v, const uint64_t *at, uint32_t n,
    const uint64_t *table, uint32_t limit)
{
    for (uint32_t i = 0; i < n; i++) {
        if (UNLIKELY(at[i] >= limit))
            return false;
        v[i] += table[at[i]];
    }
    return true;
}

static void
add_plain(int64_t *v, const int64_t *d, uint32_t n,
    struct kernel_range *range)
{
    int64_t min = range->min, max = range->max;

    for (uint32_t i = 0; i < n; i++) {
        v[i] = (int64_t)((uint64_t)v[i] + (uint64_t)d[i]);
        min = MIN(min, v[i]);
        max = MAX(max, v[i]);
    }
    *range = (struct kernel_range){min, max};
}

static void
unzigzag_plain(uint64_t *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        v[i] = (uint64_t)enc_unzigzag(v[i]);
}

static void
steps_plain(const int64_t *v, uint32_t n, const int64_t *bounds,
    uint32_t nbounds, uint32_t *codes)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t code = 0;

        for (uint32_t k = 0; k < nbounds; k++)
            code += v[i] >= bounds[k];
        codes[i] = code;
    }
}

static void
divide_plain(const int64_t *v, uint32_t n, int64_t base, int64_t width,
    uint32_t *codes)
{
    double inverse = 1.0 / (double)width;

    /* The quotient of doubles is at most one beside the exact one. */
    for (uint32_t i = 0; i < n; i++) {
        int64_t shifted = v[i] - base;
        int64_t code = (int64_t)((double)shifted * inverse);
        int64_t rest = shifted - code * width;

        codes[i] = (uint32_t)(code - (rest < 0) + (rest >= width));
    }
}

static const struct kernels plain = {
    "plain", unpack_plain, within_plain, add_from_plain, add_plain,
    unzigzag_plain, steps_plain, divide_plain
};

/* --- the choice --- */

const struct kernels *
kernels_at(unsigned i)
{
    if (i == 0)
        return &plain;
    return i == 1 ? kernels_avx2() : NULL;
}

const struct kernels *
kernels(void)
{
    static const struct kernels *_Atomic chosen;
    const struct kernels *set = atomic_load_explicit(&chosen,
        memory_order_relaxed);

    if (LIKELY(set != NULL))
        return set;
    /* Whoever comes second finds the same. */
    for (unsigned i = 0; kernels_at(i) != NULL; i++)
        set = kernels_at(i);
    atomic_store_explicit(&chosen, set, memory_order_relaxed);
    return set;
}
