/* SPDX-License-Identifier: BSD-2-Clause */

/* Every set of kernels does what plain C does, bit for bit. */

#include "core/base.h"

#include "core/enc.h"
#include "core/kernel.h"
#include "core/mem.h"
#include "kernel_bits.h"
#include "tap.h"

#define COUNT_MAX 256u
#define ROUNDS 20

/* No byte but those of the fields and the pad may be looked at. */
static uint32_t
count_wrong(const struct kernels *set, uint32_t width, uint32_t count)
{
    static const uint64_t scales[] = {1, 2, 1000, 2000000, UINT32_MAX,
        UINT64_C(1) << 32, UINT64_C(0x9e3779b97f4a7c15)};
    size_t bytes = (size_t)count / 8 * width + KERNEL_PAD;
    uint8_t *bits = xmalloc(bytes);
    uint64_t out[COUNT_MAX + 1];
    uint32_t wrong = 0;

    for (size_t i = 0; i < bytes; i++)
        bits[i] = (uint8_t)(next_random() >> 32);
    for (size_t s = 0; s < ARRAY_LEN(scales); s++) {
        struct kernel_linear to = {next_random(), scales[s]};

        out[count] = 4711;
        set->unpack(bits, count, width, &to, out);
        for (uint32_t i = 0; i < count; i++)
            wrong += out[i] != to.base + to.scale * field(bits, i, width);
        wrong += out[count] != 4711;
    }
    xfree(bits);
    return wrong;
}

static void
test_unpack(const struct kernels *set)
{
    for (uint32_t width = 1; width <= KERNEL_WIDTH_MAX; width++) {
        uint32_t wrong = 0;

        for (uint32_t count = 0; count <= COUNT_MAX; count += 8)
            wrong += count_wrong(set, width, count);
        is_int(wrong, 0, "%s: fields of %u bits", set->name, width);
    }
}

static void
test_within(const struct kernels *set)
{
    static const uint64_t edges[] = {0, 1, INT64_MAX, UINT64_C(1) << 63,
        UINT64_MAX, 1000};
    uint32_t wrong = 0;

    for (uint32_t n = 0; n <= 64; n++) {
        for (uint32_t round = 0; round < ROUNDS; round++) {
            uint64_t low = edges[next_random() % ARRAY_LEN(edges)];
            uint64_t width = edges[next_random() % ARRAY_LEN(edges)];
            uint64_t *v = xmalloc(n * sizeof(*v) + 1), want = 0;

            for (uint32_t i = 0; i < n; i++) {
                v[i] = low + (next_random() % 3 == 0 ? next_random() :
                    edges[next_random() % ARRAY_LEN(edges)]);
                v[i] += next_random() % 3 - 1;
                want |= (uint64_t)(v[i] - low <= width) << i;
            }
            wrong += set->within(v, n, low, width) != want;
            xfree(v);
        }
    }
    is_int(wrong, 0, "%s: within", set->name);
}

/* --- times --- */

#define TIMES_MAX 70u

static void
test_add_from(const struct kernels *set)
{
    uint64_t table[50], at[TIMES_MAX], v[TIMES_MAX], want[TIMES_MAX];
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < ARRAY_LEN(table); i++)
        table[i] = next_random();
    for (uint32_t n = 0; n <= TIMES_MAX; n++) {
        for (uint32_t i = 0; i < n; i++) {
            at[i] = next_random() % ARRAY_LEN(table);
            v[i] = next_random();
            want[i] = v[i] + table[at[i]];
        }
        wrong += !set->add_from(v, at, n, table, ARRAY_LEN(table));
        wrong += memcmp(v, want, n * sizeof(*v)) != 0;
        for (uint32_t i = 0; i < n; i++) {
            uint64_t kept = at[i];

            at[i] = i % 3 == 0 ? ARRAY_LEN(table) : i % 3 == 1 ? UINT64_MAX :
                (uint64_t)INT64_MAX + 1 + i;
            wrong += set->add_from(v, at, n, table, ARRAY_LEN(table));
            at[i] = kept;
        }
    }
    is_int(wrong, 0, "%s: add_from", set->name);
}

static void
test_add(const struct kernels *set)
{
    uint32_t wrong = 0;

    for (uint32_t n = 0; n <= TIMES_MAX; n++) {
        int64_t v[TIMES_MAX], d[TIMES_MAX], want[TIMES_MAX];
        struct kernel_range range = {(int64_t)next_random(), INT64_MIN};
        struct kernel_range expected = range;

        for (uint32_t i = 0; i < n; i++) {
            v[i] = (int64_t)next_random() >> next_random() % 64;
            d[i] = (int64_t)next_random() >> next_random() % 64;
            want[i] = (int64_t)((uint64_t)v[i] + (uint64_t)d[i]);
            expected.min = MIN(expected.min, want[i]);
            expected.max = MAX(expected.max, want[i]);
        }
        set->add(v, d, n, &range);
        wrong += memcmp(v, want, n * sizeof(*v)) != 0 ||
            range.min != expected.min || range.max != expected.max;
    }
    is_int(wrong, 0, "%s: add", set->name);
}

static void
test_unzigzag(const struct kernels *set)
{
    uint32_t wrong = 0;

    for (uint32_t n = 0; n <= TIMES_MAX; n++) {
        uint64_t v[TIMES_MAX], want[TIMES_MAX];

        for (uint32_t i = 0; i < n; i++) {
            v[i] = i == 0 ? UINT64_MAX : next_random() >> next_random() % 64;
            want[i] = (uint64_t)enc_unzigzag(v[i]);
        }
        set->unzigzag(v, n);
        wrong += memcmp(v, want, n * sizeof(*v)) != 0;
    }
    is_int(wrong, 0, "%s: unzigzag", set->name);
}

static void
test_steps(const struct kernels *set)
{
    uint32_t wrong = 0;

    for (uint32_t n = 0; n <= TIMES_MAX; n++) {
        int64_t v[TIMES_MAX], bounds[KERNEL_STEPS_MAX];
        uint32_t codes[TIMES_MAX + 1], nbounds = n % (KERNEL_STEPS_MAX + 1);

        for (uint32_t k = 0; k < nbounds; k++)
            bounds[k] = (int64_t)next_random() >> 20;
        for (uint32_t i = 0; i < n; i++)
            v[i] = i % 4 == 0 && nbounds > 0 ? bounds[i % nbounds] - i % 3 + 1
                : (int64_t)next_random() >> 20;
        codes[n] = 4711;
        set->steps(v, n, bounds, nbounds, codes);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t want = 0;

            for (uint32_t k = 0; k < nbounds; k++)
                want += bounds[k] <= v[i];
            wrong += codes[i] != want;
        }
        wrong += codes[n] != 4711;
    }
    is_int(wrong, 0, "%s: steps", set->name);
}

static void
test_divide(const struct kernels *set)
{
    uint32_t wrong = 0;

    for (uint32_t round = 0; round < 20 * TIMES_MAX; round++) {
        int64_t width = 1 + (int64_t)(next_random() %
            (uint64_t)KERNEL_DIVIDE_MAX >> next_random() % 51);
        int64_t base = (int64_t)next_random() >> 3, v[TIMES_MAX];
        uint32_t codes[TIMES_MAX + 1], n = round % TIMES_MAX;
        int64_t most = MIN(KERNEL_DIVIDE_MAX / width, 1023);

        for (uint32_t i = 0; i < n; i++) {
            int64_t at = (int64_t)(next_random() % (uint64_t)(most + 1)) *
                width;

            if (i % 3 == 0)
                at -= at > 0;
            else if (i % 3 == 1)
                at += (int64_t)(next_random() % (uint64_t)width);
            v[i] = base + MIN(at, KERNEL_DIVIDE_MAX);
        }
        codes[n] = 4711;
        set->divide(v, n, base, width, codes);
        for (uint32_t i = 0; i < n; i++)
            wrong += codes[i] != (uint64_t)(v[i] - base) / (uint64_t)width;
        wrong += codes[n] != 4711;
    }
    is_int(wrong, 0, "%s: divide", set->name);
}

int
main(void)
{
    for (unsigned i = 0; kernels_at(i) != NULL; i++) {
        diag("%s", kernels_at(i)->name);
        test_unpack(kernels_at(i));
        test_within(kernels_at(i));
        test_add_from(kernels_at(i));
        test_add(kernels_at(i));
        test_unzigzag(kernels_at(i));
        test_steps(kernels_at(i));
        test_divide(kernels_at(i));
        ok(kernels_at(i + 1) != NULL || kernels() == kernels_at(i),
            "%s: the last one is used", kernels_at(i)->name);
    }
    return tap_done();
}
