/* SPDX-License-Identifier: BSD-2-Clause */

/* The k-th of many whole numbers is that of the sorted ones. */

#include "core/base.h"

#include "core/mem.h"
#include "query/quantile_samples.h"
#include "tap.h"

#define VALUES_MAX 20000u

static uint64_t random_state = 88172645463325252u;

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

enum shape { WIDE, TAIL, FEW, SAME, RISING, EDGES, SHAPES };
static const char *const shapes[] = {"wide", "with a long tail",
    "few different", "the same", "rising", "at the edges"};

static int64_t
value_of(enum shape shape, uint32_t i)
{
    static const int64_t edges[] = {INT64_MIN, INT64_MAX, 0, -1, 1};
    uint64_t random = next_random();

    switch (shape) {
    case WIDE:
        return (int64_t)random;
    case TAIL:
        return (int64_t)(random >> (20 + random % 40));
    case FEW:
        return (int64_t)(random % 3) - 1;
    case SAME:
        return -7;
    case RISING:
        return (int64_t)i * 1000 - 50000;
    default:
        return edges[random % ARRAY_LEN(edges)];
    }
}

static int
compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* In pieces of any length, some of them linked. */
static int
fill(struct sampler *sampler, struct samples *out, const int64_t *v,
    uint32_t n)
{
    struct samples other = {.n = 0};
    uint32_t cut = (uint32_t)(next_random() % (n + 1)), i = 0;

    while (i < n) {
        uint32_t end = i < cut ? cut : n;
        uint32_t count = MIN(end - i, (uint32_t)(next_random() % 100) + 1);

        if (samples_put_ints(sampler, i < cut ? out : &other, v + i, count,
                NULL) != 0)
            return -1;
        i += count;
    }
    samples_link(out, &other);
    return 0;
}

static uint32_t
count_wrong(struct hold *hold, enum shape shape, uint32_t n, bool is_array)
{
    int64_t *v = xmalloc(n * sizeof(*v)), *scratch = xmalloc(n * sizeof(*v));
    uint32_t ks[] = {0, n / 20, n / 2, n - 1 - n / 20, n - 1 - n / 100,
        n - 1};
    struct samples samples = {.n = 0};
    struct sampler sampler;
    uint32_t wrong = 0;

    sampler_init(&sampler, hold, VALUES_MAX + 2);
    for (uint32_t i = 0; i < n; i++)
        v[i] = value_of(shape, i);
    wrong += fill(&sampler, &samples, v, n) != 0 || samples.n != n;
    samples_copy(&samples, scratch);
    wrong += memcmp(scratch, v, n * sizeof(*v)) != 0;
    if (is_array && samples_reserve(&sampler, &samples, n, NULL) != 0)
        wrong++;
    qsort(v, n, sizeof(*v), compare);
    for (uint32_t i = 0; i < ARRAY_LEN(ks); i++)
        wrong += samples_select(&samples, ks[i], scratch) != v[ks[i]];
    samples_drop(&sampler, &samples);
    xfree(scratch);
    xfree(v);
    return wrong;
}

int
main(void)
{
    static const uint32_t sizes[] = {1, 2, 24, 25, 255, 256, 257, 1340, 5000,
        VALUES_MAX};
    struct query_budget budget = {.max = 1024 * MIB};
    struct hold hold;

    hold_init(&hold, &budget);
    for (enum shape shape = 0; shape < SHAPES; shape++) {
        uint32_t wrong = 0;

        for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++)
            wrong += count_wrong(&hold, shape, sizes[i], false) +
                count_wrong(&hold, shape, sizes[i], true);
        for (uint32_t round = 0; round < 200; round++)
            wrong += count_wrong(&hold, shape,
                (uint32_t)(next_random() % 1000) + 1, round % 2);
        is_int(wrong, 0, "%s", shapes[shape]);
    }
    hold_free(&hold);
    is_int(budget.used, 0, "all memory is given back");
    return tap_done();
}
