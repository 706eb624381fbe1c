/* SPDX-License-Identifier: BSD-2-Clause */

/* For the tests of kernels: numbers by chance, fields of a bit string. */

#ifndef SPOOR_T_UNIT_KERNEL_BITS_H
#define SPOOR_T_UNIT_KERNEL_BITS_H

#include "core/base.h"

static uint64_t random_state = 88172645463325252u;

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* A field of a bit string, bit by bit. */
static uint64_t
field(const uint8_t *bits, size_t i, uint32_t width)
{
    uint64_t v = 0;

    for (uint32_t j = 0; j < width; j++) {
        size_t at = i * width + j;

        v |= (uint64_t)(bits[at / 8] >> at % 8 & 1) << j;
    }
    return v;
}

#endif
