/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Compares a part with the memtable it was made of: all rows, traces,
 * streams, searches.  The includer has `gen`, a struct part_gen whose rows
 * are those of the part.
 */

#ifndef SPOOR_T_UNIT_PART_SAME_H
#define SPOOR_T_UNIT_PART_SAME_H

#include "core/base.h"

#include "core/mem.h"
#include "span/span.h"
#include "storage/stream_visit.h"

#include "part_gen.h"
#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (2 * GIB)

static const struct tenant tenant0 = {0, 0};
static struct part_gen gen;

/* --- rows as sorted hashes --- */

struct row_hash {
    struct tenant tenant;
    uint8_t hash[16];
};

static int
compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct row_hash));
}

static struct row_hash *
hash_memtable(void)
{
    struct row_hash *v = xcalloc(gen.nrows + 1, sizeof(*v));
    struct err err = ERR_INIT;

    for (uint32_t i = 0; i < gen.nrows; i++) {
        struct pool *pool = pool_new(POOL_MAX);
        struct batch batch;
        uint32_t stream = gen.mt->stream[gen.rows[i]];

        batch_init(&batch, pool);
        check(memtable_read_row(gen.mt, gen.rows[i], &batch, &err) == 0);
        span_hash(&batch, &batch.spans[0], v[i].hash);
        v[i].tenant = gen.mt->tenants[gen.mt->streams[stream].tenant];
        pool_free(pool);
    }
    qsort(v, gen.nrows, sizeof(*v), compare_hashes);
    return v;
}

/* NULL when reading failed (reported). */
static struct row_hash *
hash_part(struct part *part, uint32_t step)
{
    struct row_hash *v = xcalloc(gen.nrows + 1, sizeof(*v));
    struct tenant *tenants = xcalloc(step, sizeof(*tenants));
    struct err err = ERR_INIT;
    uint32_t got = 0;

    for (uint32_t row = 0; row < gen.nrows; row += got) {
        struct pool *pool = pool_new(POOL_MAX);
        struct batch batch;

        batch_init(&batch, pool);
        if (part_read_rows(part, row, step, &batch, tenants, &got,
                &err) != 0 || got == 0 || got != batch.nspans) {
            fail("rows from %u: %u, %s", row, got, err.text);
            pool_free(pool);
            break;
        }
        for (uint32_t i = 0; i < got; i++) {
            span_hash(&batch, &batch.spans[i], v[row + i].hash);
            v[row + i].tenant = tenants[i];
        }
        pool_free(pool);
    }
    xfree(tenants);
    qsort(v, gen.nrows, sizeof(*v), compare_hashes);
    return v;
}

static void
compare_rows(struct part *part, const char *name)
{
    struct row_hash *want = hash_memtable();
    struct row_hash *got = hash_part(part, 1000);

    ok(memcmp(want, got, gen.nrows * sizeof(*want)) == 0,
        "%s: all %u rows are equal", name, gen.nrows);
    xfree(want);
    xfree(got);
}

/* --- traces --- */

/* Each span of one batch is in the other, bit for bit. */
static bool
same_spans(const struct batch *a, const struct batch *b)
{
    if (a->nspans != b->nspans)
        return false;
    for (uint32_t i = 0; i < a->nspans; i++) {
        uint32_t j = 0;

        while (j < b->nspans && !span_equal(a, &a->spans[i], b, &b->spans[j]))
            j++;
        if (j == b->nspans)
            return false;
    }
    return true;
}

static bool
same_trace(struct part *part, const struct tenant *tenant,
    const struct trace_id *id)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch want, got;
    struct err err = ERR_INIT;
    bool truncated = false, same;

    batch_init(&want, pool);
    batch_init(&got, pool);
    check(memtable_read_trace(gen.mt, memtable_rows(gen.mt), tenant, id,
        UINT32_MAX, &want, &truncated, &err) == 0);
    if (part_read_trace(part, tenant, id, UINT32_MAX, &got, &truncated,
            &err) != 0)
        diag("%s", err.text);
    same = same_spans(&want, &got) && !truncated;
    pool_free(pool);
    return same;
}

/* Some traces of a part that holds all rows of the memtable. */
static void
compare_traces(struct part *part, const char *name)
{
    uint32_t step = MAX(gen.nrows / 200, 1u);
    uint32_t wrong = 0, count = 0;

    for (uint32_t i = 0; i < gen.nrows; i += step, count++) {
        uint32_t row = gen.rows[i];
        uint32_t tenant = gen.mt->streams[gen.mt->stream[row]].tenant;

        wrong += !same_trace(part, &gen.mt->tenants[tenant],
            &gen.mt->trace_id[row]);
    }
    is_int(wrong, 0, "%s: %u traces are equal", name, count);
}

static void
absent_traces(struct part *part, const char *name)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct tenant stranger = {9999, 1};
    struct batch batch;
    struct err err = ERR_INIT;
    struct span_gen ids;
    bool truncated = false;
    uint32_t failed = 0;

    span_gen_init(&ids, 4711);
    batch_init(&batch, pool);
    for (uint32_t i = 0; i < 100000; i++) {
        struct trace_id id;

        gen_bytes(&ids, id.b, 16);
        failed += part_read_trace(part, &tenant0, &id, 10, &batch,
            &truncated, &err) != 0;
    }
    failed += part_read_trace(part, &stranger, &gen.mt->trace_id[gen.rows[0]],
        10, &batch, &truncated, &err) != 0;
    is_int(failed, 0, "%s: unknown ids are no error %s", name, err.text);
    is_int(batch.nspans, 0, "%s: and find nothing", name);
    pool_free(pool);
}

/* --- streams and search --- */

struct names {
    uint64_t sum; /* of hashes, so that order does not matter */
    uint32_t n;
};

static int
count_stream(struct sv service, struct sv name, int32_t kind, void *arg)
{
    struct names *names = arg;
    uint64_t h = (uint64_t)(uint32_t)kind + 1;

    for (size_t i = 0; i < service.len; i++)
        h = h * 31 + (uint8_t)service.ptr[i];
    h += 77;
    for (size_t i = 0; i < name.len; i++)
        h = h * 31 + (uint8_t)name.ptr[i];
    names->sum += h * h;
    names->n++;
    return 0;
}

static void
compare_streams(struct part *part, const struct tenant *tenant,
    const char *name)
{
    struct names want = {0, 0}, got = {0, 0};
    struct stream_visit visit = {count_stream, &want, INT64_MIN, INT64_MAX};
    struct err err = ERR_INIT;

    check(memtable_visit_streams(gen.mt, memtable_rows(gen.mt), tenant,
        &visit, &err) == 0);
    visit.arg = &got;
    is_int(part_visit_streams(part, tenant, &visit, &err), 0,
        "%s: streams %s", name, err.text);
    ok(want.n == got.n && want.sum == got.sum, "%s: the same %u streams",
        name, got.n);
}

#endif
