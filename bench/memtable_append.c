/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Appending to a memtable: nanoseconds and bytes for a span of about 460
 * bytes with 8 to 9 attributes, traces of 18 spans, a uuid in 37 % of the
 * spans.  Each request is decoded right before it is appended, as in the
 * server.  The aim is 200 ns.
 */

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/shm.h"
#include "core/timefmt.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "storage/memtable.h"

#include "span_gen.h"

#define REQUESTS 600u
#define BUFFERS 4u
#define ROUNDS 6u /* the first also touches the memory */

static const struct tenant tenant0 = {0, 0};
static struct sb bodies[REQUESTS];
static void *regions[BUFFERS];

/* Returns the bytes of all bodies. */
static uint64_t
make_bodies(uint32_t spans)
{
    struct span_gen gen;
    uint64_t bytes = 0;

    span_gen_init(&gen, 42);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct pool *pool = pool_new(GIB);
        struct batch batch;

        batch_init(&batch, pool);
        span_gen_real(&gen, &batch, 4, spans);
        sb_init(&bodies[i], GIB);
        otlp_encode_protobuf(&batch, &bodies[i]);
        bytes += bodies[i].len;
        pool_free(pool);
    }
    return bytes;
}

struct sums {
    int64_t decode_ns;
    int64_t append_ns;
    uint64_t spans;
    uint64_t used;
    uint32_t memtables;
};

static struct memtable *
next_memtable(struct memtable_writer *writer, struct sums *sums)
{
    struct memtable *mt = memtable_init(regions[sums->memtables++ % BUFFERS],
        1, sums->spans);

    memtable_writer_attach(writer, mt);
    return mt;
}

static struct memtable *
append_one(struct memtable_writer *writer, struct memtable *mt,
    const struct batch *batch, struct sums *sums)
{
    uint32_t from = 0;

    for (;;) {
        from = memtable_append(writer, &tenant0, batch, from);
        memtable_commit(mt, memtable_rows(mt));
        if (from == batch->nspans)
            return mt;
        sums->used += memtable_used(mt);
        mt = next_memtable(writer, sums);
    }
}

static void
run(struct memtable_writer *writer, struct sums *sums)
{
    struct pool *pool = pool_new(GIB);
    struct memtable *mt;

    memset(sums, 0, sizeof(*sums));
    mt = next_memtable(writer, sums);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct batch batch;
        int64_t t0, t1;

        pool_reset(pool);
        batch_init(&batch, pool);
        t0 = clock_mono_ns();
        if (otlp_decode_protobuf(sb_sv(&bodies[i]), &batch, NULL) != 0)
            abort();
        memtable_reject_oversize(&batch);
        t1 = clock_mono_ns();
        mt = append_one(writer, mt, &batch, sums);
        sums->append_ns += clock_mono_ns() - t1;
        sums->decode_ns += t1 - t0;
        sums->spans += batch.nspans;
    }
    sums->used += memtable_used(mt);
    pool_free(pool);
}

int
main(void)
{
    static const uint32_t sizes[] = {20, 100, 500};
    struct memtable_writer *writer = memtable_writer_new();
    struct err err = ERR_INIT;

    for (unsigned i = 0; i < BUFFERS; i++) {
        if (shm_new(&regions[i], "bench", MEMTABLE_BYTES, &err) != 0) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
    }
    for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
        uint64_t bytes = make_bodies(sizes[k]);
        struct sums sums, best = {.append_ns = INT64_MAX};

        for (unsigned round = 0; round < ROUNDS; round++) {
            run(writer, &sums);
            if (sums.append_ns < best.append_ns)
                best = sums;
        }
        printf("memtable_append: requests of %u spans: %.0f ns/span append, "
            "%.0f ns/span decode, %.0f bytes/span (%.0f sent), "
            "%u memtables\n", sizes[k],
            (double)best.append_ns / (double)best.spans,
            (double)best.decode_ns / (double)best.spans,
            (double)best.used / (double)best.spans,
            (double)bytes / (double)best.spans, best.memtables);
        for (uint32_t i = 0; i < REQUESTS; i++)
            sb_release(&bodies[i]);
    }
    memtable_writer_free(writer);
    return 0;
}
