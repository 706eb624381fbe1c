/* SPDX-License-Identifier: BSD-2-Clause */

/* Kernels for CPUs with AVX2: four numbers at a time. */

#include "core/base.h"
#include "core/kernel_sets.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "core/enc.h"

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

/* What one load of eight bytes has four fields of, from any bit of a byte. */
#define NARROW_WIDTH_MAX 14u

/* --- fields of bits --- */

/* base + field * scale; scale needs 32 bits at most when it is not 1. */
AVX2_INLINE __m256i
place(__m256i fields, __m256i base, __m256i scale, bool is_scaled)
{
    if (is_scaled) {
        __m256i high = _mm256_mul_epu32(_mm256_srli_epi64(fields, 32), scale);

        fields = _mm256_add_epi64(_mm256_mul_epu32(fields, scale),
            _mm256_slli_epi64(high, 32));
    }
    return _mm256_add_epi64(base, fields);
}

struct fields {
    const uint8_t *bits;
    uint32_t count;
    uint32_t width;
};

AVX2_INLINE void
unpack_narrow(const struct fields *fields, const struct kernel_linear *to,
    uint64_t *out, bool is_scaled)
{
    const uint8_t *bits = fields->bits;
    uint32_t count = fields->count, width = fields->width;
    __m256i mask = _mm256_set1_epi64x((1 << width) - 1);
    __m256i base = _mm256_set1_epi64x((long long)to->base);
    __m256i scale = _mm256_set1_epi64x((long long)to->scale);
    __m256i first = _mm256_set_epi64x(3 * width, 2 * width, width, 0);
    __m256i second = _mm256_add_epi64(first,
        _mm256_set1_epi64x(4 * width % 8));
    uint32_t half = 4 * width / 8;

    for (; count >= 8; count -= 8, bits += width, out += 8) {
        __m256i a = _mm256_set1_epi64x((long long)enc_get64(bits));
        __m256i b = _mm256_set1_epi64x((long long)enc_get64(bits + half));

        a = _mm256_and_si256(_mm256_srlv_epi64(a, first), mask);
        b = _mm256_and_si256(_mm256_srlv_epi64(b, second), mask);
        _mm256_storeu_si256((__m256i *)(void *)out,
            place(a, base, scale, is_scaled));
        _mm256_storeu_si256((__m256i *)(void *)(out + 4),
            place(b, base, scale, is_scaled));
    }
}

/*
 * Four fields: two and two are in 16 bytes, from the first one's byte on, and
 * each is in eight of these.
 */
struct four {
    uint32_t at[2];
    __m256i pick;
    __m256i shift;
};

AVX2_INLINE struct four
four_make(uint32_t first, uint32_t width)
{
    uint8_t pick[32];
    uint64_t shift[4];
    struct four four;

    for (uint32_t i = 0; i < 4; i++) {
        uint32_t bit = (first + i) * width, pair = (first + i / 2 * 2) *
            width / 8;

        four.at[i / 2] = pair;
        shift[i] = bit % 8;
        for (uint32_t k = 0; k < 8; k++)
            pick[8 * i + k] = (uint8_t)(bit / 8 - pair + k);
    }
    four.pick = _mm256_loadu_si256((const __m256i *)(const void *)pick);
    four.shift = _mm256_loadu_si256((const __m256i *)(const void *)shift);
    return four;
}

AVX2_INLINE __m256i
four_load(const uint8_t *bits, const struct four *four)
{
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(bits +
        four->at[0]));
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(bits +
        four->at[1]));
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high,
        1);

    return _mm256_srlv_epi64(_mm256_shuffle_epi8(both, four->pick),
        four->shift);
}

AVX2_INLINE void
unpack_wide(const struct fields *fields, const struct kernel_linear *to,
    uint64_t *out, bool is_scaled)
{
    const uint8_t *bits = fields->bits;
    uint32_t count = fields->count, width = fields->width;
    __m256i mask = _mm256_set1_epi64x((long long)((UINT64_C(1) << width) -
        1));
    __m256i base = _mm256_set1_epi64x((long long)to->base);
    __m256i scale = _mm256_set1_epi64x((long long)to->scale);
    struct four first = four_make(0, width), second = four_make(4, width);

    for (; count >= 8; count -= 8, bits += width, out += 8) {
        __m256i a = _mm256_and_si256(four_load(bits, &first), mask);
        __m256i b = _mm256_and_si256(four_load(bits, &second), mask);

        _mm256_storeu_si256((__m256i *)(void *)out,
            place(a, base, scale, is_scaled));
        _mm256_storeu_si256((__m256i *)(void *)(out + 4),
            place(b, base, scale, is_scaled));
    }
}

AVX2 static void
unpack(const uint8_t *bits, uint32_t count, uint32_t width,
    const struct kernel_linear *to, uint64_t *out)
{
    struct fields fields = {bits, count, width};

    if (to->scale > UINT32_MAX)
        kernels_at(0)->unpack(bits, count, width, to, out);
    else if (width <= NARROW_WIDTH_MAX && to->scale == 1)
        unpack_narrow(&fields, to, out, false);
    else if (width <= NARROW_WIDTH_MAX)
        unpack_narrow(&fields, to, out, true);
    else if (to->scale == 1)
        unpack_wide(&fields, to, out, false);
    else
        unpack_wide(&fields, to, out, true);
}

/* --- comparing --- */

AVX2 static uint64_t
within(const uint64_t *v, uint32_t n, uint64_t low, uint64_t width)
{
    /* Signed comparison orders unsigned numbers once the top bit is turned. */
    const __m256i top = _mm256_set1_epi64x(INT64_MIN);
    const __m256i from = _mm256_set1_epi64x((long long)low);
    const __m256i most = _mm256_set1_epi64x((long long)(width ^
        (uint64_t)INT64_MIN));
    uint64_t beyond = 0;
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(v +
            i));

        x = _mm256_xor_si256(_mm256_sub_epi64(x, from), top);
        x = _mm256_cmpgt_epi64(x, most);
        beyond |= (uint64_t)(uint32_t)_mm256_movemask_pd(
            _mm256_castsi256_pd(x)) << i;
    }
    for (; i < n; i++)
        beyond |= (uint64_t)(v[i] - low > width) << i;
    return ~beyond & (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1);
}

/* --- times --- */

AVX2_INLINE __m256i
load(const void *v)
{
    return _mm256_loadu_si256((const __m256i *)v);
}

AVX2 static bool
add_from(uint64_t *v, const uint64_t *at, uint32_t n, const uint64_t *table,
    uint32_t limit)
{
    uint64_t all = 0;
    __m256i most = _mm256_set1_epi64x((long long)limit - 1);
    __m256i bad = _mm256_setzero_si256();
    uint32_t i = 0;

    /* Before the first is looked up; what has the top bit is negative. */
    for (; i + 4 <= n; i += 4) {
        __m256i x = load(at + i);

        bad = _mm256_or_si256(bad, _mm256_or_si256(x,
            _mm256_cmpgt_epi64(x, most)));
    }
    for (; i < n; i++)
        all |= at[i] >= limit ? UINT64_C(1) << 63 : 0;
    if (_mm256_movemask_pd(_mm256_castsi256_pd(bad)) != 0 || all != 0)
        return false;
    for (i = 0; i + 4 <= n; i += 4) {
        __m256i x = _mm256_i64gather_epi64((const long long *)table,
            load(at + i), 8);

        _mm256_storeu_si256((__m256i *)(void *)(v + i),
            _mm256_add_epi64(x, load(v + i)));
    }
    for (; i < n; i++)
        v[i] += table[at[i]];
    return true;
}

AVX2 static void
add(int64_t *v, const int64_t *d, uint32_t n, struct kernel_range *range)
{
    __m256i min = _mm256_set1_epi64x(range->min);
    __m256i max = _mm256_set1_epi64x(range->max);
    int64_t mins[4], maxs[4];
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) {
        __m256i x = _mm256_add_epi64(load(v + i), load(d + i));

        _mm256_storeu_si256((__m256i *)(void *)(v + i), x);
        min = _mm256_blendv_epi8(min, x, _mm256_cmpgt_epi64(min, x));
        max = _mm256_blendv_epi8(max, x, _mm256_cmpgt_epi64(x, max));
    }
    _mm256_storeu_si256((__m256i *)(void *)mins, min);
    _mm256_storeu_si256((__m256i *)(void *)maxs, max);
    for (uint32_t k = 0; k < 4; k++) {
        range->min = MIN(range->min, mins[k]);
        range->max = MAX(range->max, maxs[k]);
    }
    if (i < n)
        kernels_at(0)->add(v + i, d + i, n - i, range);
}

AVX2 static void
unzigzag(uint64_t *v, uint32_t n)
{
    const __m256i one = _mm256_set1_epi64x(1);
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) {
        __m256i x = load(v + i);
        __m256i sign = _mm256_sub_epi64(_mm256_setzero_si256(),
            _mm256_and_si256(x, one));

        _mm256_storeu_si256((__m256i *)(void *)(v + i),
            _mm256_xor_si256(_mm256_srli_epi64(x, 1), sign));
    }
    for (; i < n; i++)
        v[i] = (uint64_t)enc_unzigzag(v[i]);
}

/* The number of bounds that are <= x. */
AVX2_INLINE __m256i
count_bounds(__m256i x, const int64_t *bounds, uint32_t nbounds)
{
    /* Those that are greater have all bits set. */
    __m256i code = _mm256_set1_epi64x((long long)nbounds);

    for (uint32_t k = 0; k < nbounds; k++)
        code = _mm256_add_epi64(code, _mm256_cmpgt_epi64(
            _mm256_set1_epi64x(bounds[k]), x));
    return code;
}

AVX2 static void
steps(const int64_t *v, uint32_t n, const int64_t *bounds, uint32_t nbounds,
    uint32_t *codes)
{
    const __m256i even = _mm256_set_epi32(0, 0, 0, 0, 6, 4, 2, 0);
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) {
        __m256i code = count_bounds(load(v + i), bounds, nbounds);

        _mm_storeu_si128((__m128i *)(void *)(codes + i),
            _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(code, even)));
    }
    kernels_at(0)->steps(v + i, n - i, bounds, nbounds, codes + i);
}

/* All of it in doubles, which are exact up to 2^53. */
AVX2 static void
divide(const int64_t *v, uint32_t n, int64_t base, int64_t width,
    uint32_t *codes)
{
    /* Added to a small number it leaves that in the low bits of a double. */
    const __m256i magic = _mm256_set1_epi64x(INT64_C(0x4330000000000000));
    const __m256i from = _mm256_set1_epi64x(base);
    const __m256d divisor = _mm256_set1_pd((double)width);
    const __m256d inverse = _mm256_set1_pd(1.0 / (double)width);
    const __m256d one = _mm256_set1_pd(1.0), zero = _mm256_setzero_pd();
    uint32_t i = 0;

    for (; i + 4 <= n; i += 4) {
        __m256i shifted = _mm256_sub_epi64(load(v + i), from);
        __m256d x = _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(
            shifted, magic)), _mm256_castsi256_pd(magic));
        __m256d code = _mm256_floor_pd(_mm256_mul_pd(x, inverse));
        __m256d rest = _mm256_sub_pd(x, _mm256_mul_pd(code, divisor));

        code = _mm256_sub_pd(code, _mm256_and_pd(one,
            _mm256_cmp_pd(rest, zero, _CMP_LT_OQ)));
        code = _mm256_add_pd(code, _mm256_and_pd(one,
            _mm256_cmp_pd(rest, divisor, _CMP_GE_OQ)));
        _mm_storeu_si128((__m128i *)(void *)(codes + i),
            _mm256_cvttpd_epi32(code));
    }
    kernels_at(0)->divide(v + i, n - i, base, width, codes + i);
}

static const struct kernels set = {
    "avx2", unpack, within, add_from, add, unzigzag, steps,
    divide
};

const struct kernels *
kernels_avx2(void)
{
    return __builtin_cpu_supports("avx2") ? &set : NULL;
}

#else

const struct kernels *
kernels_avx2(void)
{
    return NULL;
}

#endif
