/* SPDX-License-Identifier: BSD-2-Clause */

/* For CPUs with AVX2: four numbers at a time. */

#include "core/base.h"
#include "core/kernel_pack.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "core/enc.h"

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

/* --- packing --- */

#define SHORT_WIDTH_MAX 16u

AVX2_INLINE __m256i
load(const uint64_t *v)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)v);
}

/* Four fields of up to 16 bits become one number: shifted, then added up. */
AVX2 static void
pack(const uint64_t *v, uint32_t count, uint32_t width, uint64_t base,
    uint8_t *bits)
{
    const __m256i from = _mm256_set1_epi64x((long long)base);
    const __m256i mask = _mm256_set1_epi64x((INT64_C(1) << width % 32) - 1);
    const __m256i shifts = _mm256_set_epi64x(3 * width, 2 * width, width, 0);

    if (width > SHORT_WIDTH_MAX) {
        pack_kernels_at(0)->pack(v, count, width, base, bits);
        return;
    }
    for (; count >= 8; count -= 8, bits += width, v += 8) {
        __m256i a = _mm256_sub_epi64(load(v), from);
        __m256i b = _mm256_sub_epi64(load(v + 4), from);
        __m256i pairs;
        __m128i both;
        uint64_t first, second;

        a = _mm256_sllv_epi64(_mm256_and_si256(a, mask), shifts);
        b = _mm256_sllv_epi64(_mm256_and_si256(b, mask), shifts);
        pairs = _mm256_or_si256(_mm256_unpacklo_epi64(a, b),
            _mm256_unpackhi_epi64(a, b));
        both = _mm_or_si128(_mm256_castsi256_si128(pairs),
            _mm256_extracti128_si256(pairs, 1));
        first = (uint64_t)_mm_cvtsi128_si64(both);
        second = (uint64_t)_mm_extract_epi64(both, 1);
        if (width < 16)
            first |= second << 4 * width;
        enc_put64(bits, first);
        if (width > 8)
            enc_put64(bits + 8, second >> (64 - 4 * width));
    }
}

/* --- looking --- */

struct ranges {
    __m256i min;
    __m256i max;
    __m256i any;
    __m256i equal; /* counts down */
};

/* Four of each become one. */
AVX2 static void
range_end(const struct ranges *r, uint32_t n, struct pack_range *range)
{
    uint64_t min[4], max[4], any[4], equal[4];

    _mm256_storeu_si256((__m256i *)(void *)min, r->min);
    _mm256_storeu_si256((__m256i *)(void *)max, r->max);
    _mm256_storeu_si256((__m256i *)(void *)any, r->any);
    _mm256_storeu_si256((__m256i *)(void *)equal, r->equal);
    *range = (struct pack_range){UINT64_MAX, 0, 0, n};
    for (uint32_t i = 0; i < 4; i++) {
        range->min = MIN(range->min, min[i]);
        range->max = MAX(range->max, max[i]);
        range->any |= any[i];
        range->changes += (uint32_t)equal[i];
    }
}

AVX2 static void
range(const uint64_t *v, uint32_t n, struct pack_range *range)
{
    const __m256i top = _mm256_set1_epi64x(INT64_MIN);
    struct ranges r;
    uint32_t i = 1;

    /* Minimum and maximum have their top bit turned on the way. */
    r.min = r.max = _mm256_xor_si256(_mm256_set1_epi64x((long long)v[0]),
        top);
    r.any = _mm256_set1_epi64x((long long)v[0]);
    r.equal = _mm256_setzero_si256();
    for (; i + 4 <= n; i += 4) {
        __m256i x = load(v + i), turned = _mm256_xor_si256(x, top);

        r.any = _mm256_or_si256(r.any, x);
        r.equal = _mm256_add_epi64(r.equal,
            _mm256_cmpeq_epi64(x, load(v + i - 1)));
        r.min = _mm256_blendv_epi8(r.min, turned,
            _mm256_cmpgt_epi64(r.min, turned));
        r.max = _mm256_blendv_epi8(r.max, turned,
            _mm256_cmpgt_epi64(turned, r.max));
    }
    r.min = _mm256_xor_si256(r.min, top);
    r.max = _mm256_xor_si256(r.max, top);
    range_end(&r, i - 1, range);
    for (; i < n; i++) {
        range->min = MIN(range->min, v[i]);
        range->max = MAX(range->max, v[i]);
        range->any |= v[i];
        range->changes += v[i] != v[i - 1];
    }
}

AVX2 static uint32_t
count_above(const uint64_t *v, uint32_t n, uint64_t base, uint32_t width)
{
    const __m256i from = _mm256_set1_epi64x((long long)base);
    const __m128i shift = _mm_cvtsi32_si128((int)width);
    __m256i within = _mm256_setzero_si256();
    uint64_t lanes[4];
    uint32_t i = 0, count = 0;

    for (; i + 4 <= n; i += 4) {
        __m256i over = _mm256_srl_epi64(_mm256_sub_epi64(load(v + i), from),
            shift);

        within = _mm256_sub_epi64(within,
            _mm256_cmpeq_epi64(over, _mm256_setzero_si256()));
    }
    _mm256_storeu_si256((__m256i *)(void *)lanes, within);
    count = i - (uint32_t)(lanes[0] + lanes[1] + lanes[2] + lanes[3]);
    for (; i < n; i++)
        count += (v[i] - base) >> width != 0;
    return count;
}

/* Few passes: of most numbers, half need all bits. */
AVX2 static uint32_t
above(const uint64_t *v, uint32_t n, uint64_t base, uint32_t full,
    uint32_t above[64])
{
    uint32_t width = full;

    while (width > 0) {
        width--;
        above[width] = count_above(v, n, base, width);
        if (above[width] > n / 4)
            break;
    }
    return width;
}

AVX2 static void
widen(const uint32_t *v, uint32_t n, uint64_t *out)
{
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4)
        _mm256_storeu_si256((__m256i *)(void *)(out + i),
            _mm256_cvtepu32_epi64(_mm_loadu_si128(
                (const __m128i *)(const void *)(v + i))));
    for (; i < n; i++)
        out[i] = v[i];
}

static const struct pack_kernels set = {"avx2", pack, range, above, widen};

const struct pack_kernels *
pack_kernels_avx2(void)
{
    return __builtin_cpu_supports("avx2") ? &set : NULL;
}

#else

const struct pack_kernels *
pack_kernels_avx2(void)
{
    return NULL;
}

#endif
