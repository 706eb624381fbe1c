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

/* Four fields from four places. */
AVX2_INLINE __m256i
load_four(const uint8_t *bits, const uint32_t at[4])
{
    return _mm256_set_epi64x((long long)enc_get64(bits + at[3]),
        (long long)enc_get64(bits + at[2]),
        (long long)enc_get64(bits + at[1]),
        (long long)enc_get64(bits + at[0]));
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
    uint64_t shifts[8];
    uint32_t at[8];
    __m256i first, second;

    for (uint32_t i = 0; i < 8; i++) {
        at[i] = i * width / 8;
        shifts[i] = i * width % 8;
    }
    first = _mm256_loadu_si256((const __m256i *)(const void *)shifts);
    second = _mm256_loadu_si256((const __m256i *)(const void *)(shifts + 4));
    for (; count >= 8; count -= 8, bits += width, out += 8) {
        __m256i a = _mm256_srlv_epi64(load_four(bits, at), first);
        __m256i b = _mm256_srlv_epi64(load_four(bits, at + 4), second);

        a = _mm256_and_si256(a, mask);
        b = _mm256_and_si256(b, mask);
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

static const struct kernels set = {"avx2", unpack, within};

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
