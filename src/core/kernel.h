/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Loops over many numbers, in plain C and as the CPU likes them best: the set
 * that fits it is chosen on the first call.  All sets do the same bit for
 * bit, which t/unit/kernel.c compares.
 */

#ifndef SPOOR_CORE_KERNEL_H
#define SPOOR_CORE_KERNEL_H

#include "core/base.h"

/* Fields are turned into base + field * scale, modulo 2^64. */
struct kernel_linear {
    uint64_t base;
    uint64_t scale;
};

/* Wider fields may be in nine bytes. */
#define KERNEL_WIDTH_MAX 56u
/* Bytes behind the last field that are read (not used). */
#define KERNEL_PAD 16u
/* Bounds of steps() that are compared with each number. */
#define KERNEL_STEPS_MAX 7u
/* What divide() takes at most, so that doubles hold it. */
#define KERNEL_DIVIDE_MAX (INT64_C(1) << 51)

struct kernel_range {
    int64_t min;
    int64_t max;
};

struct kernels {
    const char *name;
    /*
     * count fields of `width` bits, lowest bit first and without a gap, from
     * the first bit on.  count is a multiple of 8, width 1 to
     * KERNEL_WIDTH_MAX.
     */
    void (*unpack)(const uint8_t *bits, uint32_t count, uint32_t width,
        const struct kernel_linear *to, uint64_t *out);
    /*
     * Bit i of the result: v[i] - low <= width, modulo 2^64; i < n <= 64, the
     * other bits are 0.
     */
    uint64_t (*within)(const uint64_t *v, uint32_t n, uint64_t low,
        uint64_t width);
    /*
     * v[i] += table[at[i]] modulo 2^64.  False: an at[i] is not below
     * `limit`, and v is anything; limit is at most 2^31.
     */
    bool (*add_from)(uint64_t *v, const uint64_t *at, uint32_t n,
        const uint64_t *table, uint32_t limit);
    /*
     * v[i] += d[i] modulo 2^64, and the range, which holds something
     * before, takes them in as numbers with a sign.
     */
    void (*add)(int64_t *v, const int64_t *d, uint32_t n,
        struct kernel_range *range);
    /* In place: zigzag (core/enc.h) to numbers with a sign. */
    void (*unzigzag)(uint64_t *v, uint32_t n);
    /* codes[i]: how many of nbounds <= KERNEL_STEPS_MAX are <= v[i]. */
    void (*steps)(const int64_t *v, uint32_t n, const int64_t *bounds,
        uint32_t nbounds, uint32_t *codes);
    /*
     * codes[i] = (v[i] - base) / width, below 2^31.  0 <= v[i] - base <=
     * KERNEL_DIVIDE_MAX, 1 <= width <= KERNEL_DIVIDE_MAX.
     */
    void (*divide)(const int64_t *v, uint32_t n, int64_t base,
        int64_t width, uint32_t *codes);
};

/* The best set for this CPU. */
const struct kernels *kernels(void);

/* For tests: set i that runs on this CPU, plain C first; NULL: no more. */
const struct kernels *kernels_at(unsigned i);

#endif
