/* SPDX-License-Identifier: BSD-2-Clause */

/* Every set of kernels does what plain C does, bit for bit. */

#include "core/base.h"

#include "core/kernel_pack.h"
#include "core/mem.h"
#include "kernel_bits.h"
#include "tap.h"

#define COUNT_MAX 256u
#define ROUNDS 20

/* Numbers of any size, and such that are not far apart. */
static void
fill_numbers(uint64_t *v, uint32_t n, uint64_t base)
{
    uint32_t width = (uint32_t)(next_random() % 65);
    bool has_runs = next_random() % 2 == 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t over = next_random();

        if (width < 64)
            over &= (UINT64_C(1) << width) - 1;
        if (next_random() % 4 == 0)
            over >>= next_random() % 64;
        v[i] = base + over;
        if (i > 0 && has_runs && next_random() % 2 == 0)
            v[i] = v[i - 1];
    }
}

static void
test_pack(const struct pack_kernels *set)
{
    for (uint32_t width = 1; width <= PACK_WIDTH_MAX; width++) {
        uint64_t mask = (UINT64_C(1) << width) - 1;
        uint32_t wrong = 0;

        for (uint32_t count = 0; count <= COUNT_MAX; count += 8) {
            size_t bytes = (size_t)count / 8 * width;
            uint8_t *bits = xmalloc(bytes + PACK_PAD);
            uint64_t *v = xmalloc(count * sizeof(*v) + 1);
            uint64_t base = next_random();

            fill_numbers(v, count, next_random());
            set->pack(v, count, width, base, bits);
            for (uint32_t i = 0; i < count; i++)
                wrong += field(bits, i, width) != ((v[i] - base) & mask);
            xfree(bits);
            xfree(v);
        }
        is_int(wrong, 0, "%s: packed fields of %u bits", set->name, width);
    }
}

static bool
is_range(const struct pack_range *range, const uint64_t *v, uint32_t n)
{
    struct pack_range want = {v[0], v[0], v[0], 0};

    for (uint32_t i = 1; i < n; i++) {
        want.min = MIN(want.min, v[i]);
        want.max = MAX(want.max, v[i]);
        want.any |= v[i];
        want.changes += v[i] != v[i - 1];
    }
    return range->min == want.min && range->max == want.max &&
        range->any == want.any && range->changes == want.changes;
}

/* above[] of each width, counted by itself. */
static bool
is_above(const struct pack_kernels *set, const uint64_t *v, uint32_t n,
    const struct pack_range *range)
{
    uint64_t over = range->max - range->min;
    uint32_t full = over == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(over);
    uint32_t above[64], width = full;
    uint32_t last = set->above(v, n, range->min, full, above);

    while (width > 0) {
        uint32_t count = 0;

        width--;
        for (uint32_t i = 0; i < n; i++)
            count += (v[i] - range->min) >> width != 0;
        if (width < last || above[width] != count)
            return false;
        if (count > n / 4)
            break;
    }
    return width == last;
}

static void
test_range(const struct pack_kernels *set)
{
    uint32_t wrong = 0, wrong_above = 0;

    for (uint32_t n = 1; n <= COUNT_MAX; n++) {
        uint64_t *v = xmalloc(n * sizeof(*v));

        for (uint32_t round = 0; round < ROUNDS; round++) {
            struct pack_range range;

            fill_numbers(v, n, round % 2 == 0 ? 0 : next_random());
            set->range(v, n, &range);
            wrong += !is_range(&range, v, n);
            wrong_above += !is_above(set, v, n, &range);
        }
        xfree(v);
    }
    is_int(wrong, 0, "%s: range", set->name);
    is_int(wrong_above, 0, "%s: above", set->name);
}

static void
test_widen(const struct pack_kernels *set)
{
    uint32_t wrong = 0;

    for (uint32_t n = 0; n <= COUNT_MAX; n++) {
        uint32_t *v = xmalloc(n * sizeof(*v) + 1);
        uint64_t *out = xmalloc(n * sizeof(*out) + 1);

        for (uint32_t i = 0; i < n; i++)
            v[i] = (uint32_t)next_random();
        set->widen(v, n, out);
        for (uint32_t i = 0; i < n; i++)
            wrong += out[i] != v[i];
        xfree(v);
        xfree(out);
    }
    is_int(wrong, 0, "%s: widen", set->name);
}

int
main(void)
{
    for (unsigned i = 0; pack_kernels_at(i) != NULL; i++) {
        const struct pack_kernels *set = pack_kernels_at(i);

        test_pack(set);
        test_range(set);
        test_widen(set);
        ok(pack_kernels_at(i + 1) != NULL || pack_kernels() == set,
            "%s: the last one is used", set->name);
    }
    return tap_done();
}
