/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Loops of encoders, as core/kernel.h: what many numbers have together, and
 * fields of bits.  All sets do the same bit for bit, which
 * t/unit/kernel_pack.c compares.
 */

#ifndef SPOOR_CORE_KERNEL_PACK_H
#define SPOOR_CORE_KERNEL_PACK_H

#include "core/base.h"

struct pack_range {
    uint64_t min;
    uint64_t max;
    uint64_t any;     /* bits that one of them has */
    uint32_t changes; /* numbers that differ from the one before */
};

#define PACK_WIDTH_MAX 56u
/* Bytes behind the last field that may be written. */
#define PACK_PAD 8u

struct pack_kernels {
    const char *name;
    /*
     * count fields of `width` bits, lowest bit first and without a gap: v[i]
     * - base modulo 2^width.  count is a multiple of 8, width 1 to
     * PACK_WIDTH_MAX.
     */
    void (*pack)(const uint64_t *v, uint32_t count, uint32_t width,
        uint64_t base, uint8_t *bits);
    /* n is at least 1. */
    void (*range)(const uint64_t *v, uint32_t n, struct pack_range *range);
    /*
     * above[w]: how many v[i] - base (all less than 2^full, full up to 64)
     * need more than w bits, for w from full - 1 down to the result: the
     * first w that more than n / 4 need more bits than, or 0.
     */
    uint32_t (*above)(const uint64_t *v, uint32_t n, uint64_t base,
        uint32_t full, uint32_t above[64]);
    void (*widen)(const uint32_t *v, uint32_t n, uint64_t *out);
};

/* The best set for this CPU. */
const struct pack_kernels *pack_kernels(void);

/* For tests: set i that runs on this CPU, plain C first; NULL: no more. */
const struct pack_kernels *pack_kernels_at(unsigned i);

/* Private to kernel_pack*.c: NULL when this CPU has not got it. */
const struct pack_kernels *pack_kernels_avx2(void);

#endif
