/* SPDX-License-Identifier: BSD-2-Clause */

/* Copies of spans: which stay, in which order, and how long that takes. */

#include "core/base.h"

#include <time.h>

#include "core/assert.h"
#include "core/mem.h"
#include "storage/dedupe.h"
#include "span_gen.h"
#include "tap.h"

#define MANY 50000u

static void
start(struct batch *batch)
{
    batch_init(batch, pool_new(256 * MIB));
    check(batch_add_resource(batch, NULL) != NULL);
    check(batch_add_scope(batch, NULL) != NULL);
}

/* The same id and times for all; the content is the number. */
static struct span *
add(struct batch *batch, uint32_t content)
{
    struct span *span = batch_add_span(batch, NULL);

    check(span != NULL);
    span->trace_id.b[0] = span->span_id.b[0] = 1;
    span->start_ns = 5;
    span->end_ns = 7;
    span->flags = content;
    return span;
}

static bool
dedupe(struct batch *batch)
{
    struct err err = ERR_INIT;

    return spans_dedupe(batch, &err) == 0;
}

/* The contents are 0 .. n-1 in that order. */
static bool
is_row(const struct batch *batch, uint32_t n)
{
    for (uint32_t i = 0; i < batch->nspans; i++) {
        if (batch->spans[i].flags != i ||
            batch->spans[i].reject != REJECT_NONE)
            return false;
    }
    return batch->nspans == n;
}

static double
seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
test_many(void)
{
    struct batch batch;
    double begin;

    start(&batch);
    for (uint32_t i = 0; i < MANY; i++)
        add(&batch, i);
    for (uint32_t i = 0; i < MANY; i++)
        add(&batch, i * 7 % MANY);
    begin = seconds();
    ok(dedupe(&batch), "many spans of one id, each twice");
    ok(seconds() - begin < 3, "are soon done: %.2f s", seconds() - begin);
    ok(is_row(&batch, MANY), "the first of each stays, in order");
    pool_free(batch.pool);
}

/* Resources and scopes differ, or are the same at another index. */
static void
test_heads(void)
{
    struct batch batch;
    double begin;

    batch_init(&batch, pool_new(256 * MIB));
    for (uint32_t i = 0; i < 2 * MANY; i++) {
        check(batch_add_resource(&batch, NULL) != NULL);
        check(batch_add_scope(&batch, NULL) != NULL);
        batch.resources[i].dropped_attrs = i % MANY;
        add(&batch, 0)->resource = i;
    }
    for (uint32_t i = 0; i < 2 * MANY; i++)
        batch.spans[i].scope = i / 2;
    for (uint32_t i = 0; i < 10; i++)
        batch.scopes[i].dropped_attrs = i;
    begin = seconds();
    ok(dedupe(&batch), "many resources");
    ok(seconds() - begin < 3, "are soon done: %.2f s", seconds() - begin);
    /* The scopes 1 .. 9 have two spans each of their own. */
    is_int(batch.nspans, MANY + 18, "what differs in them stays");
    pool_free(batch.pool);
}

/* A large resource that all spans share is hashed and compared once. */
static void
test_large_head(void)
{
    static char text[MIB];
    struct batch batch;
    double begin;

    start(&batch);
    batch.resources[0].schema_url = sv_make(text, sizeof(text));
    for (uint32_t i = 0; i < 2 * MANY; i++)
        add(&batch, i % MANY);
    begin = seconds();
    ok(dedupe(&batch), "many spans of a large resource");
    ok(seconds() - begin < 3, "are soon done: %.2f s", seconds() - begin);
    ok(is_row(&batch, MANY), "one of each stays");
    pool_free(batch.pool);
}

static void
test_few(void)
{
    for (uint32_t n = 0; n < 20; n++) {
        struct batch batch;

        start(&batch);
        for (uint32_t i = 0; i < n; i++)
            add(&batch, i);
        for (uint32_t i = n; i > 0; i--)
            add(&batch, i - 1);
        for (uint32_t i = 0; i < n; i++)
            add(&batch, i);
        ok(dedupe(&batch) && is_row(&batch, n), "%u spans, each thrice", n);
        pool_free(batch.pool);
    }
}

/* As comparing each with each says. */
static void
test_random(void)
{
    struct span_gen gen;
    unsigned wrong = 0;

    span_gen_init(&gen, 11);
    for (unsigned round = 0; round < 300; round++) {
        struct batch batch;
        struct span *expected;
        uint32_t n = gen_below(&gen, 200), nexpected = 0;

        start(&batch);
        for (uint32_t i = 0; i < n; i++) {
            struct span *span = add(&batch, gen_below(&gen, 30));

            span->span_id.b[7] = (uint8_t)gen_below(&gen, 4);
            span->start_ns = gen_below(&gen, 2);
            span->end_ns = gen_below(&gen, 2);
        }
        expected = xcalloc(n + 1, sizeof(*expected));
        for (uint32_t i = 0; i < n; i++) {
            uint32_t k = 0;

            while (k < nexpected && !span_equal(&batch, &expected[k], &batch,
                &batch.spans[i]))
                k++;
            if (k == nexpected)
                expected[nexpected++] = batch.spans[i];
        }
        wrong += !dedupe(&batch) || batch.nspans != nexpected ||
            (nexpected > 0 && memcmp(batch.spans, expected,
                nexpected * sizeof(*expected)) != 0);
        xfree(expected);
        pool_free(batch.pool);
    }
    is_int(wrong, 0, "as comparing each with each");
}

static void
test_memory(void)
{
    struct pool *small = pool_new(4 * KIB);
    struct err err = ERR_INIT;
    struct batch batch;
    struct pool *pool;

    start(&batch);
    for (uint32_t i = 0; i < 10000; i++)
        add(&batch, i);
    pool = batch.pool;
    batch.pool = small;
    is_int(spans_dedupe(&batch, &err), -1, "no memory");
    is_int(err.code, ERR_LIMIT, "is a limit");
    pool_free(small);
    pool_free(pool);
}

int
main(void)
{
    test_few();
    test_random();
    test_many();
    test_heads();
    test_large_head();
    test_memory();
    return tap_done();
}
