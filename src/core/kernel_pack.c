/* SPDX-License-Identifier: BSD-2-Clause */

/* Plain C, and the choice. */

#include "core/base.h"
#include "core/kernel_pack.h"

#include <stdatomic.h>

#include "core/enc.h"

/* --- packing --- */

#define PACK_LANE(j, width) \
    do { \
        uint64_t field = (v[j] - base) & mask; \
        uint32_t at = (j) * (width) % 64; \
        acc = at == 0 ? field : acc | field << at; \
        if (at + (width) >= 64) { \
            enc_put64(bits + (j) * (width) / 64 * 8, acc); \
            acc = at + (width) == 64 ? 0 : field >> (64 - at); \
        } \
    } while (0)

/*
 * Eight fields take `width` bytes, so with a constant width their places and
 * shifts are constants, too.
 */
static inline __attribute__((always_inline)) void
pack_eights(const uint64_t *v, uint32_t count, uint64_t base, uint32_t width,
    uint8_t *bits)
{
    uint64_t mask = (UINT64_C(1) << width) - 1;

    for (; count >= 8; count -= 8, bits += width, v += 8) {
        uint64_t acc = 0;

        PACK_LANE(0, width);
        PACK_LANE(1, width);
        PACK_LANE(2, width);
        PACK_LANE(3, width);
        PACK_LANE(4, width);
        PACK_LANE(5, width);
        PACK_LANE(6, width);
        PACK_LANE(7, width);
        if (width % 8 != 0)
            enc_put64(bits + width / 8 * 8, acc);
    }
}

#define PACK_CASE(w) \
    case w: \
        pack_eights(v, count, base, w, bits); \
        break;
#define PACK_CASES(w) \
    PACK_CASE(w) PACK_CASE(w + 1) PACK_CASE(w + 2) PACK_CASE(w + 3) \
    PACK_CASE(w + 4) PACK_CASE(w + 5) PACK_CASE(w + 6) PACK_CASE(w + 7)

static void
pack_plain(const uint64_t *v, uint32_t count, uint32_t width, uint64_t base,
    uint8_t *bits)
{
    switch (width) {
    PACK_CASES(1)
    PACK_CASES(9)
    PACK_CASES(17)
    PACK_CASES(25)
    PACK_CASES(33)
    PACK_CASES(41)
    PACK_CASES(49)
    }
}

/* --- looking --- */

static void
range_plain(const uint64_t *v, uint32_t n, struct pack_range *range)
{
    struct pack_range found = {v[0], v[0], v[0], 0};

    for (uint32_t i = 1; i < n; i++) {
        found.min = MIN(found.min, v[i]);
        found.max = MAX(found.max, v[i]);
        found.any |= v[i];
        found.changes += v[i] != v[i - 1];
    }
    *range = found;
}

/* One pass: how many there are of each number of bits. */
static uint32_t
above_plain(const uint64_t *v, uint32_t n, uint64_t base, uint32_t full,
    uint32_t above[64])
{
    uint32_t counts[65] = {0}, sum = 0, width = full;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t over = v[i] - base;

        counts[over == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(over)]++;
    }
    while (width > 0 && sum <= n / 4) {
        sum += counts[width--];
        above[width] = sum;
    }
    return width;
}

static void
widen_plain(const uint32_t *v, uint32_t n, uint64_t *out)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = v[i];
}

static const struct pack_kernels plain = {"plain", pack_plain, range_plain,
    above_plain, widen_plain};

/* --- the choice --- */

const struct pack_kernels *
pack_kernels_at(unsigned i)
{
    if (i == 0)
        return &plain;
    return i == 1 ? pack_kernels_avx2() : NULL;
}

const struct pack_kernels *
pack_kernels(void)
{
    static const struct pack_kernels *_Atomic chosen;
    const struct pack_kernels *set = atomic_load_explicit(&chosen,
        memory_order_relaxed);

    if (LIKELY(set != NULL))
        return set;
    /* Whoever comes second finds the same. */
    for (unsigned i = 0; pack_kernels_at(i) != NULL; i++)
        set = pack_kernels_at(i);
    atomic_store_explicit(&chosen, set, memory_order_relaxed);
    return set;
}
