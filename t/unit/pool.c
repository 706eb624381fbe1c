/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/pool.h"

#include "core/assert.h"
#include "core/mem.h"
#include "core/mem_share.h"
#include "tap.h"

#define PIECES 3000

static void
test_content(void)
{
    struct pool *pool = pool_new(64 * MIB);
    unsigned char *pieces[PIECES];
    bool aligned = true, kept = true;
    uint32_t seed = 7;
    size_t sizes[PIECES], sum = 0;

    for (unsigned round = 0; round < 2; round++) {
        sum = 0;
        for (unsigned i = 0; i < PIECES; i++) {
            seed = seed * 1664525 + 1013904223;
            sizes[i] = (seed >> 8) % (i % 100 == 0 ? 200000 : 300);
            pieces[i] = pool_alloc(pool, sizes[i]);
            aligned = aligned && (uintptr_t)pieces[i] % 16 == 0;
            memset(pieces[i], (int)(i & 255), sizes[i]);
            sum += ALIGN_UP(sizes[i], 16);
        }
        for (unsigned i = 0; i < PIECES; i++) {
            for (size_t k = 0; k < sizes[i]; k++)
                kept = kept && pieces[i][k] == (i & 255);
        }
        is_int(pool_used(pool), sum, "used bytes, round %u", round);
        pool_reset(pool);
        is_int(pool_used(pool), 0, "nothing used after a reset");
    }
    ok(aligned, "16-byte alignment");
    ok(kept, "pieces do not overlap");
    pool_free(pool);
}

static void
test_limits(void)
{
    struct pool *pool = pool_new(1000);
    unsigned n = 0;
    void *ptr;

    ptr = pool_alloc(pool, 1000);
    ok(ptr != NULL, "all of it at once");
    ok(pool_alloc(pool, 16) == NULL, "no more");
    pool_reset(pool);
    while (pool_alloc(pool, 100) != NULL)
        n++;
    is_int(n, 9, "112 bytes each in 1008");
    ok(pool_alloc(pool, SIZE_MAX) == NULL, "SIZE_MAX");
    ok(pool_alloc(pool, SIZE_MAX - 15) == NULL, "a size that would wrap");
    ok(pool_dup(pool, "x", SIZE_MAX) == NULL, "dup of SIZE_MAX");
    pool_free(pool);

    pool = pool_new(1 * MIB);
    n = 0;
    while (pool_alloc(pool, 64) != NULL)
        n++;
    ok(n > 16000 && n <= 16384, "small pieces fill 1 MiB (%u)", n);
    pool_reset(pool);
    ptr = pool_alloc(pool, 1 * MIB - 8 * KIB);
    ok(ptr != NULL, "a large piece beside the first chunk");
    ptr = pool_alloc(pool, 8 * KIB);
    ok(ptr != NULL, "the first chunk is still open");
    pool_free(pool);

    pool = pool_new(SIZE_MAX);
    mem_fail_at(1);
    ok(pool_alloc(pool, 100000) == NULL, "the system refuses");
    ptr = pool_alloc(pool, 100000);
    ok(ptr != NULL, "and gives later");
    pool_free(pool);
    pool_free(NULL);
}

static void
test_helpers(void)
{
    struct pool *pool = pool_new(1 * MIB);
    char *text = pool_dup(pool, "a\0b", 3), *more;

    ok(memcmp(text, "a\0b", 4) == 0, "dup adds a NUL");
    is_str(pool_dup(pool, NULL, 0), "", "dup of nothing");
    text = pool_alloc(pool, 100);
    memset(text, 'x', 100);
    ok(pool_extend(pool, text, 100, 5000), "the newest grows in place");
    text[4999] = 'y';
    ok(!pool_extend(pool, text, 5000, 9000), "but not beyond its chunk");
    more = pool_alloc(pool, 1);
    ok(more >= text + 5000, "the next piece stands behind");
    ok(!pool_extend(pool, text, 5000, 5001), "only the newest");
    text = pool_zalloc(pool, 50);
    ok(text[0] == 0 && text[49] == 0, "zalloc");
    pool_free(pool);
}

/* As a query does with the columns of block after block. */
static char *
fill(struct pool *pool, unsigned n)
{
    char *first = pool_alloc(pool, 10);

    for (unsigned i = 0; i < n; i++) {
        char *piece = pool_alloc(pool, 200 * KIB);

        check(piece != NULL);
        memset(piece, 'x', 200 * KIB);
        check(pool_zalloc(pool, 100) != NULL);
    }
    return first;
}

static void
test_keep(void)
{
    struct pool *pool = pool_new(16 * MIB);
    const char *first;

    fill(pool, 10);
    pool_reset(pool);
    is_int(pool->held, 8 * KIB, "nothing is kept unless wanted");
    pool_keep(pool, 4 * MIB);
    pool_reset(pool);
    is_int(pool->held, 8 * KIB, "nothing was used, nothing is kept");
    fill(pool, 10);
    pool_reset(pool);
    is_int(pool->held, 2 * MIB + 8 * KIB, "one piece is kept");
    is_int(pool_used(pool), 0, "it is free");
    first = fill(pool, 10);
    ok(pool_used(pool) > 2000 * KIB, "%zu bytes used", pool_used(pool));
    is_int(pool->held, 2 * MIB + 8 * KIB, "what was kept is enough");
    pool_reset(pool);
    ok(fill(pool, 10) == first, "the same bytes again");
    pool_reset(pool);
    fill(pool, 50);
    ok(pool->held > 10000 * KIB, "more than what was kept");
    pool_reset(pool);
    is_int(pool->held, 4 * MIB + 8 * KIB, "no more than allowed is kept");
    ok(pool_alloc(pool, 13 * MIB) == NULL && pool_alloc(pool, 11 * MIB) !=
        NULL, "what is kept counts");
    pool_reset(pool);
    fill(pool, 1);
    pool_reset(pool);
    is_int(pool->held, 4 * MIB + 8 * KIB, "little use takes nothing away");
    pool_keep(pool, 0);
    pool_reset(pool);
    is_int(pool->held, 8 * KIB, "nothing may be kept any more");
    pool_free(pool);
}

static void
test_keep_without_memory(void)
{
    struct pool *pool = pool_new(16 * MIB);

    pool_keep(pool, 4 * MIB);
    fill(pool, 10);
    mem_fail_at(1);
    pool_reset(pool);
    is_int(pool->held, 8 * KIB, "no memory to keep");
    ok(fill(pool, 10) != NULL, "it still works");
    pool_reset(pool);
    is_int(pool->held, 2 * MIB + 8 * KIB, "and keeps again");
    pool_free(pool);
    pool = pool_new(1000);
    pool_keep(pool, MIB);
    ok(pool_alloc(pool, 900) != NULL, "a small one");
    pool_reset(pool);
    ok(pool_alloc(pool, 1000) != NULL, "has all of it again");
    pool_free(pool);
}

static char order[8];

static void
note(void *arg)
{
    size_t len = strlen(order);

    order[len] = *(char *)arg;
    order[len + 1] = '\0';
}

static void
test_cleanups(void)
{
    struct pool *pool = pool_new(1 * MIB);
    char a = 'a', b = 'b', c = 'c';

    is_int(pool_on_free(pool, note, &a), 0, "one");
    is_int(pool_on_free(pool, note, &b), 0, "another");
    pool_reset(pool);
    is_str(order, "ba", "last added first");
    is_int(pool_on_free(pool, note, &c), 0, "after the reset");
    pool_free(pool);
    is_str(order, "bac", "once each");

    pool = pool_new(16);
    is_int(pool_on_free(pool, note, &a), -1, "no room for a cleanup");
    pool_free(pool);
    is_str(order, "bac", "so it is not called");
}

static void
test_share(void)
{
    struct mem_share all = {.max = 3 * MIB};
    struct mem_share one = {.max = 2 * MIB, .parent = &all};
    struct mem_share two = {.max = 2 * MIB, .parent = &all};
    struct pool *a = pool_new(8 * MIB), *b = pool_new(8 * MIB);

    pool_share(a, &one);
    pool_share(b, &two);
    is_int(all.used, 0, "the first piece is free");
    ok(pool_alloc(a, 1500 * KIB) != NULL, "in both");
    is_int(all.used, 1500 * KIB, "counted");
    ok(pool_alloc(a, 1000 * KIB) == NULL && !one.was_starved,
        "too much for itself");
    ok(pool_alloc(b, 1700 * KIB) == NULL && two.was_starved,
        "the other has it");
    is_int(two.used, 0, "nothing stays taken");
    mem_fail_at(1);
    ok(pool_alloc(b, 1 * MIB) == NULL, "no memory at all");
    is_int(all.used, 1500 * KIB, "nothing stays taken again");
    pool_reset(a);
    is_int(all.used, 0, "given back by a reset");
    ok(pool_alloc(b, 1700 * KIB) != NULL, "so others can have it");
    pool_free(a);
    pool_free(b);
    is_int(all.used + one.used + two.used, 0, "given back by the end");
    ok(mem_share_take(NULL, SIZE_MAX), "none has no bound");
    mem_share_give(NULL, SIZE_MAX);
    ok(mem_share_take(&one, 2 * MIB) && !mem_share_take(&one, 1),
        "up to the last byte");
    mem_share_give(&one, 2 * MIB);
}

int
main(void)
{
    test_content();
    test_limits();
    test_helpers();
    test_keep();
    test_keep_without_memory();
    test_cleanups();
    test_share();
    return tap_done();
}
