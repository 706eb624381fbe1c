/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Several threads read one part while the cache throws pieces away under
 * them: every answer is that of a single thread.
 */

#include "core/base.h"

#include <pthread.h>

#include "core/mem.h"
#include "span/span.h"
#include "storage/part.h"
#include "storage/part_read_cache.h"
#include "storage/stream_visit.h"

#include "part_gen.h"
#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (512 * MIB)
#define THREADS 4
#define ROUNDS 60u
#define ROWS 3000u
/* A twentieth of what the part takes when it is read completely. */
#define SMALL_BUDGET (64 * KIB)

static const struct tenant tenant0 = {0, 0};
static struct part_gen gen;
static struct part *part;
static uint64_t want[ROUNDS];
static _Atomic uint32_t wrong;

/* A trace or some rows, by round; 0 when it failed. */
static uint64_t
ask(uint32_t round)
{
    struct pool *pool = pool_new(POOL_MAX);
    uint32_t row = gen.rows[round * 577 % gen.nrows];
    struct batch batch;
    struct err err = ERR_INIT;
    bool truncated = false;
    uint64_t sum = 1;
    uint32_t got;
    int rc;

    batch_init(&batch, pool);
    if (round % 2 == 0) {
        rc = part_read_trace(part, &tenant0, &gen.mt->trace_id[row], 1000,
            &batch, &truncated, &err);
    } else {
        rc = part_read_rows(part, row % (ROWS - 50), 50, &batch, NULL, &got,
            &err);
    }
    for (uint32_t i = 0; i < batch.nspans; i++) {
        uint64_t hash[2];

        span_hash(&batch, &batch.spans[i], (uint8_t *)hash);
        sum = sum * 31 + hash[0];
    }
    pool_free(pool);
    return rc == 0 ? sum : 0;
}

static void *
reader(void *arg)
{
    uint32_t first = (uint32_t)(uintptr_t)arg * 13;

    for (uint32_t i = 0; i < 3 * ROUNDS; i++) {
        uint32_t round = (first + i) % ROUNDS;

        if (ask(round) != want[round])
            wrong++;
    }
    return NULL;
}

static void
test_threads(size_t budget)
{
    pthread_t threads[THREADS];

    data_cache_set_budget(budget);
    wrong = 0;
    for (uintptr_t i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, reader, (void *)i) == 0);
    for (uint32_t i = 0; i < THREADS; i++)
        check(pthread_join(threads[i], NULL) == 0);
    is_int(wrong, 0, "%d threads, %zu bytes of cache", THREADS, budget);
    ok(data_cache_held() <= budget, "the budget is kept: %zu",
        data_cache_held());
}

int
main(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct span_gen spans;
    struct batch batch;
    struct err err = ERR_INIT;

    part_gen_init(&gen);
    span_gen_init(&spans, 12);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    batch_init(&batch, pool);
    span_gen_wild(&spans, &batch, ROWS);
    check(part_gen_add(&gen, tenant0, &batch));
    pool_free(pool);
    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    check(part_open(&part, gen.path, &err) == 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        want[round] = ask(round);
        ok(want[round] != 0, "question %u has an answer", round);
    }
    test_threads(SMALL_BUDGET);
    test_threads(0);
    test_threads(DATA_CACHE_BYTES);
    part_close(part);
    part_gen_free(&gen);
    return tap_done();
}
