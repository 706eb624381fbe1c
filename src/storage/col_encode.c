/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Packed columns, writing: per mini-block a cost in bits for each encoding
 * that may win, then the cheapest.  Ties go to the cheaper decoder.
 */

#include "core/base.h"

#include "storage/col.h"

#include "core/assert.h"
#include "core/enc.h"
#include "core/kernel_pack.h"

const uint64_t col_scale[COL_SCALES] = {1, 2, 100, 200, 1000, 2000, 1000000,
    2000000};

/* An exception costs its position, and a little for being slower to read. */
#define EXCEPTION_BITS 12u
#define HEAD_BITS 32u
/* Below this a bit-packed field is already cheaper than the search. */
#define LDICT_MIN_WIDTH 4u
#define LDICT_SLOTS 256u
_Static_assert(LDICT_SLOTS >= 4 * COL_LDICT_MAX, "the probe loop must end");

/* What one pass over the values of a mini-block tells. */
struct shape {
    uint64_t min;
    uint64_t max;
    uint64_t any; /* bits that one of them has */
    uint32_t nruns;
};

/* A bit-packed form with exceptions; width2 == 0 means none (plain FOR). */
struct packing {
    uint64_t base;
    uint32_t width;
    uint32_t high_width;
    uint32_t nexc;
    uint32_t k;    /* DELTA */
    uint64_t cost; /* bits */
};

struct ldict {
    uint64_t entries[COL_LDICT_MAX];
    uint32_t count;
    uint8_t codes[COL_MINI];
};

static uint32_t
bits_of(uint64_t v)
{
    return v == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(v);
}

static uint64_t
mask_of(uint32_t width)
{
    return width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

/* --- bit strings --- */

struct packer {
    uint8_t *dst;
    uint64_t acc;
    uint32_t fill;
};

static inline void
pack_one(struct packer *p, uint64_t field, uint32_t width)
{
    p->acc |= field << p->fill;
    p->fill += width;
    if (p->fill >= 64) {
        enc_put64(p->dst, p->acc);
        p->dst += 8;
        p->fill -= 64;
        p->acc = p->fill == 0 ? 0 : field >> (width - p->fill);
    }
}

static uint8_t *
pack_end(struct packer *p)
{
    enc_put64(p->dst, p->acc);
    return p->dst + (p->fill + 7) / 8;
}

/* Fields are (v[i] - base) mod 2^width. */
static uint8_t *
pack(uint8_t *dst, const uint64_t *v, uint32_t n, uint64_t base,
    uint32_t width)
{
    if (width == 0)
        return dst;
    uint64_t mask = mask_of(width);
    uint32_t i = 0;
    if (width <= PACK_WIDTH_MAX && n >= 8) {
        i = n & ~7u;
        pack_kernels()->pack(v, i, width, base, dst);
    }
    struct packer p = {dst + (size_t)i / 8 * width, 0, 0};
    for (; i < n; i++)
        pack_one(&p, (v[i] - base) & mask, width);
    return pack_end(&p);
}

/* --- looking --- */

static struct shape
look(const uint64_t *v, uint32_t n)
{
    struct pack_range range;

    pack_kernels()->range(v, n, &range);
    return (struct shape){range.min, range.max, range.any,
        range.changes + 1};
}

/* The width that makes fields plus exceptions smallest. */
static struct packing
plan_packing(const uint64_t *v, uint32_t n, uint64_t base, uint64_t max)
{
    uint32_t full = bits_of(max - base);
    struct packing best = {base, full, 0, 0, 0,
        (uint64_t)n * full + HEAD_BITS};
    if (full <= 1)
        return best;
    uint32_t above[64];
    uint32_t last = pack_kernels()->above(v, n, base, full, above);
    for (uint32_t width = full; width-- > last;) {
        uint32_t nexc = above[width];
        if (nexc > n / 4)
            break;
        uint64_t cost = (uint64_t)n * width + HEAD_BITS + 16 +
            (uint64_t)nexc * (EXCEPTION_BITS + full - width);
        if (cost < best.cost)
            best = (struct packing){base, width, full - width, nexc, 0, cost};
    }
    return best;
}

static inline __attribute__((always_inline)) bool
all_are_multiples(const uint64_t *v, uint32_t n, uint64_t factor)
{
    uint32_t i = 0;

    while (i < n && v[i] % factor == 0)
        i++;
    return i == n;
}

/* Common factor of all values: the index of the largest in col_scale. */
static uint32_t
find_scale(const uint64_t *v, uint32_t n, uint64_t any)
{
    uint32_t scale = 0;
    if (all_are_multiples(v, n, 100))
        scale = 2;
    if (scale == 2 && all_are_multiples(v, n, 1000))
        scale = 4;
    if (scale == 4 && all_are_multiples(v, n, 1000000))
        scale = 6;
    if ((any & 1) != 0)
        return scale;
    /* Even: twice the factor divides too, unless the factor used it up. */
    for (uint32_t i = 0; i < n; i++)
        if (v[i] % col_scale[scale + 1] != 0)
            return scale;
    return scale + 1;
}

/* False as soon as there are more than COL_LDICT_MAX distinct values. */
static bool
find_ldict(struct ldict *dict, const uint64_t *v, uint32_t n)
{
    uint8_t slots[LDICT_SLOTS] = {0}; /* entry + 1 */
    dict->count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && v[i] == v[i - 1]) {
            dict->codes[i] = dict->codes[i - 1];
            continue;
        }
        uint32_t slot = (uint32_t)((v[i] * UINT64_C(0x9e3779b97f4a7c15)) >>
            56) % LDICT_SLOTS;
        while (slots[slot] != 0 && dict->entries[slots[slot] - 1] != v[i])
            slot = (slot + 1) % LDICT_SLOTS;
        if (slots[slot] == 0) {
            if (dict->count == COL_LDICT_MAX)
                return false;
            dict->entries[dict->count++] = v[i];
            slots[slot] = (uint8_t)dict->count;
        }
        dict->codes[i] = slots[slot] - 1;
    }
    return true;
}

/* --- writing one mini-block --- */

static uint8_t *
put_packing(uint8_t *dst, const uint64_t *v, uint32_t n,
    const struct packing *plan)
{
    *dst++ = (uint8_t)plan->width;
    *dst++ = (uint8_t)plan->high_width;
    dst += enc_put_varint(dst, plan->nexc);
    dst += enc_put_varint(dst, plan->base);
    dst = pack(dst, v, n, plan->base, plan->width);
    if (plan->nexc == 0)
        return dst;
    uint64_t position[COL_MINI];
    uint64_t high[COL_MINI];
    uint32_t nexc = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t over = (v[i] - plan->base) >> plan->width;
        if (over == 0)
            continue;
        position[nexc] = i;
        high[nexc++] = over;
    }
    check(nexc == plan->nexc);
    dst = pack(dst, position, nexc, 0, 10);
    return pack(dst, high, nexc, 0, plan->high_width);
}

static uint8_t *
put_rle(uint8_t *dst, const uint64_t *v, uint32_t n, const struct shape *shape)
{
    uint64_t last[COL_MINI];
    uint64_t value[COL_MINI];
    uint32_t nruns = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 < n && v[i + 1] == v[i])
            continue;
        last[nruns] = i;
        value[nruns++] = v[i];
    }
    uint32_t width = bits_of(shape->max - shape->min);
    dst += enc_put_varint(dst, nruns);
    *dst++ = (uint8_t)width;
    dst += enc_put_varint(dst, shape->min);
    dst = pack(dst, last, nruns, 0, 10);
    return pack(dst, value, nruns, shape->min, width);
}

static uint8_t *
put_ldict(uint8_t *dst, const struct ldict *dict, uint32_t n,
    const struct shape *shape)
{
    uint32_t width = bits_of(shape->max - shape->min);
    *dst++ = (uint8_t)(dict->count - 1);
    *dst++ = (uint8_t)width;
    dst += enc_put_varint(dst, shape->min);
    dst = pack(dst, dict->entries, dict->count, shape->min, width);
    uint32_t code_width = bits_of(dict->count - 1);
    struct packer p = {dst, 0, 0};
    for (uint32_t i = 0; i < n; i++)
        pack_one(&p, dict->codes[i], code_width);
    return pack_end(&p);
}

/* Differences modulo 2^k, so that a step back is only a large number. */
static struct packing
plan_delta(uint64_t *deltas, const uint64_t *v, uint32_t n, uint32_t k)
{
    uint64_t mask = mask_of(k);
    uint64_t min = UINT64_MAX;
    uint64_t max = 0;
    for (uint32_t i = 1; i < n; i++) {
        uint64_t d = (v[i] - v[i - 1]) & mask;
        deltas[i - 1] = d;
        min = MIN(min, d);
        max = MAX(max, d);
    }
    struct packing plan = plan_packing(deltas, n - 1, min, max);
    plan.k = k;
    plan.cost += 16 + k + k / 7 + (uint64_t)(n - 1) / COL_MARK * k;
    return plan;
}

static uint8_t *
put_delta(uint8_t *dst, const uint64_t *v, const uint64_t *deltas,
    uint32_t n, const struct packing *plan)
{
    uint64_t marks[COL_MINI / COL_MARK];
    uint32_t nmarks = (n - 1) / COL_MARK;
    for (uint32_t i = 0; i < nmarks; i++)
        marks[i] = v[(i + 1) * COL_MARK];
    *dst++ = (uint8_t)plan->k;
    dst += enc_put_varint(dst, v[0]);
    dst = pack(dst, marks, nmarks, 0, plan->k);
    return put_packing(dst, deltas, n - 1, plan);
}

static uint8_t *
put_best(uint8_t *dst, const uint64_t *v, uint32_t n, unsigned hints,
    const struct shape *shape)
{
    uint8_t head = *dst; /* holds the scale */
    uint8_t *body = dst + 1;
    struct packing plain = plan_packing(v, n, shape->min, shape->max);
    uint32_t full = bits_of(shape->max - shape->min);
    uint64_t rle_cost = (uint64_t)shape->nruns * (10 + full) + HEAD_BITS;
    uint64_t best = MIN(plain.cost, rle_cost);

    uint64_t deltas[COL_MINI];
    struct packing delta = {.cost = UINT64_MAX};
    if ((hints & COL_TRY_DELTA) != 0 && best > HEAD_BITS + n)
        delta = plan_delta(deltas, v, n, bits_of(shape->max));
    if (delta.cost < best) {
        *dst = head | COL_DELTA;
        return put_delta(body, v, deltas, n, &delta);
    }
    struct ldict dict;
    if ((hints & COL_TRY_LDICT) != 0 && plain.width >= LDICT_MIN_WIDTH &&
        best > HEAD_BITS + (uint64_t)n * 2 && find_ldict(&dict, v, n) &&
        (uint64_t)n * bits_of(dict.count - 1) + HEAD_BITS +
        (uint64_t)dict.count * full < best) {
        *dst = head | COL_LDICT;
        return put_ldict(body, &dict, n, shape);
    }
    if (rle_cost < plain.cost) {
        *dst = head | COL_RLE;
        return put_rle(body, v, n, shape);
    }
    if (plain.nexc > 0) {
        *dst = head | COL_PFOR;
        return put_packing(body, v, n, &plain);
    }
    *dst = head | COL_FOR;
    *body++ = (uint8_t)plain.width;
    body += enc_put_varint(body, plain.base);
    return pack(body, v, n, plain.base, plain.width);
}

static inline __attribute__((always_inline)) void
divide_all(uint64_t *dst, const uint64_t *v, uint32_t n, uint64_t divisor)
{
    for (uint32_t i = 0; i < n; i++)
        dst[i] = v[i] / divisor;
}

/* By constants, which are divided by without a division. */
static void
divide(uint64_t *dst, const uint64_t *v, uint32_t n, uint32_t scale)
{
    switch (scale) {
    case 1:
        divide_all(dst, v, n, 2);
        break;
    case 2:
        divide_all(dst, v, n, 100);
        break;
    case 4:
        divide_all(dst, v, n, 1000);
        break;
    default:
        divide_all(dst, v, n, col_scale[scale]);
    }
}

static uint8_t *
put_mini(uint8_t *dst, const uint64_t *v, uint32_t n, unsigned hints)
{
    struct shape shape = look(v, n);
    if (shape.min == shape.max) {
        *dst++ = COL_CONST;
        return dst + enc_put_varint(dst, shape.min);
    }
    uint64_t scaled[COL_MINI];
    uint32_t scale = (hints & COL_TRY_SCALE) != 0 ?
        find_scale(v, n, shape.any) : 0;
    if (scale != 0) {
        divide(scaled, v, n, scale);
        v = scaled;
        shape.min /= col_scale[scale];
        shape.max /= col_scale[scale];
    }
    *dst = (uint8_t)(scale << 4);
    return put_best(dst, v, n, hints, &shape);
}

size_t
col_encode(uint8_t *dst, const uint64_t *values, uint32_t n, unsigned hints)
{
    check(n > 0 && n <= COL_CHUNK);
    uint8_t *end = dst;
    for (uint32_t i = 0; i < n; i += COL_MINI)
        end = put_mini(end, values + i, MIN(COL_MINI, n - i), hints);
    check((size_t)(end - dst) <= COL_CHUNK_BYTES_MAX);
    return (size_t)(end - dst);
}
