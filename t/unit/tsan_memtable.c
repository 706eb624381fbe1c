/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One thread appends and commits, others read all the while: they see whole
 * committed rows and nothing else.
 */

#include "core/base.h"
#include "storage/memtable.h"
#include "storage/stream_visit.h"

#include "span_gen.h"
#include "tap.h"

#define READERS 3
#define BATCHES 60
#define BATCH_SPANS 60

static const struct tenant tenant0 = {3, 4};
static struct memtable *mt;
static struct batch batches[BATCHES];
static _Atomic bool is_done;
static _Atomic unsigned wrong;
static _Atomic unsigned looks;

/* Row -> span it was made of. */
static const struct span *
span_of_row(uint32_t row, const struct batch **batch)
{
    *batch = &batches[row / BATCH_SPANS];
    return &(*batch)->spans[row % BATCH_SPANS];
}

static void
look_at_row(uint32_t row)
{
    struct pool *pool = pool_new(16 * MIB);
    const struct batch *want;
    const struct span *span = span_of_row(row, &want);
    struct batch got;

    batch_init(&got, pool);
    if (memtable_read_row(mt, row, &got, NULL) != 0 ||
        !span_equal(want, span, &got, &got.spans[0]))
        atomic_fetch_add(&wrong, 1);
    pool_free(pool);
}

/* As many spans of the trace as are committed, no more and no less. */
static void
look_at_trace(uint32_t rows, uint32_t row)
{
    struct pool *pool = pool_new(64 * MIB);
    const struct batch *batch;
    const struct span *span = span_of_row(row, &batch);
    const struct trace_id *id = &span->trace_id;
    struct batch got;
    bool truncated = false;
    uint32_t n = 0;

    for (uint32_t i = 0; i < rows; i++)
        n += memcmp(&span_of_row(i, &batch)->trace_id, id, 16) == 0;
    batch_init(&got, pool);
    if (memtable_read_trace(mt, rows, &tenant0, id, 10000, &got, &truncated,
        NULL) != 0 || got.nspans != n || truncated)
        atomic_fetch_add(&wrong, 1);
    pool_free(pool);
}

static int
count_stream(UNUSED struct sv service, UNUSED struct sv name,
    UNUSED int32_t kind, void *arg)
{
    unsigned *n = arg;

    ++*n;
    return 0;
}

static void
look_at_all(struct span_gen *gen)
{
    uint32_t rows = memtable_committed(mt);
    unsigned n = 0;
    struct stream_visit visit = {count_stream, &n, INT64_MIN, INT64_MAX};
    uint32_t days[MEMTABLE_DAYS_MAX];

    if (memtable_check(mt, NULL) != 0 || rows > memtable_rows(mt) ||
        memtable_used(mt) == 0 || memtable_next_lsn(mt) < rows)
        atomic_fetch_add(&wrong, 1);
    if (rows == 0)
        return;
    look_at_row(gen_below(gen, rows));
    look_at_row(rows - 1);
    look_at_trace(rows, gen_below(gen, rows));
    if (memtable_visit_streams(mt, rows, &tenant0, &visit, NULL) != 0 ||
        n == 0 || memtable_days(mt, days) == 0)
        atomic_fetch_add(&wrong, 1);
    atomic_fetch_add(&looks, 1);
}

static void *
reader(void *arg)
{
    struct span_gen gen;

    span_gen_init(&gen, (uintptr_t)arg);
    while (!atomic_load(&is_done))
        look_at_all(&gen);
    look_at_all(&gen);
    return NULL;
}

int
main(void)
{
    void *region = aligned_alloc(4096, MEMTABLE_BYTES);
    struct memtable_writer *writer = memtable_writer_new();
    struct pool *pool = pool_new(512 * MIB);
    pthread_t threads[READERS];
    struct span_gen gen;
    bool whole = true;

    span_gen_init(&gen, 8);
    gen.huge_every = 0;
    for (unsigned i = 0; i < BATCHES; i++) {
        batch_init(&batches[i], pool);
        if (i % 2 == 0)
            span_gen_wild(&gen, &batches[i], BATCH_SPANS);
        else
            span_gen_real(&gen, &batches[i], 3, BATCH_SPANS);
    }
    mt = memtable_init(region, 1, 0);
    memtable_writer_attach(writer, mt);
    for (uintptr_t i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, reader, (void *)(i + 1));
    for (unsigned i = 0; i < BATCHES; i++) {
        whole = whole && memtable_append(writer, &tenant0, &batches[i], 0) ==
            BATCH_SPANS;
        /* Uncommitted rows stand there for a while. */
        usleep(3000);
        memtable_commit(mt, memtable_rows(mt));
    }
    atomic_store(&is_done, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    ok(whole, "all batches fit");
    is_int(wrong, 0, "readers saw whole committed rows only");
    ok(looks > READERS, "%u looks", looks);
    pool_free(pool);
    memtable_writer_free(writer);
    free(region);
    return tap_done();
}
