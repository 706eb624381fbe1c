/* SPDX-License-Identifier: BSD-2-Clause */

/* The questions a memtable answers, against the slow way. */

#include "core/base.h"
#include "core/mem.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"
#include "storage/stream_visit.h"

#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (2 * GIB)

static const struct tenant tenant0 = {0, 0};
static struct memtable_writer *writer;
static void *region;

struct model {
    struct pool *pool;
    struct batch batch[2];  /* of two tenants, the same trace ids */
    struct tenant tenants[2];
    struct memtable *mt;
    uint32_t rows;
};

static void
model_init(struct model *model, uint32_t n)
{
    struct span_gen gen;

    model->pool = pool_new(POOL_MAX);
    model->tenants[0] = (struct tenant){0, 0};
    model->tenants[1] = (struct tenant){5, 77};
    model->mt = memtable_init(region, 1, 0);
    memtable_writer_attach(writer, model->mt);
    for (int t = 0; t < 2; t++) {
        span_gen_init(&gen, 21);
        batch_init(&model->batch[t], model->pool);
        span_gen_real(&gen, &model->batch[t], 6, n);
    }
    for (uint32_t i = 0; i < n; i++)
        model->batch[1].spans[i].dropped_links = 1;
    for (int t = 0; t < 2; t++)
        is_int(memtable_append(writer, &model->tenants[t], &model->batch[t],
            0), n, "tenant %d fits", t);
    model->rows = memtable_rows(model->mt);
    memtable_commit(model->mt, model->rows);
}

static unsigned
count_found(const struct batch *want, const struct trace_id *id,
    const struct batch *got)
{
    unsigned found = 0;

    for (uint32_t i = 0; i < want->nspans; i++) {
        if (memcmp(&want->spans[i].trace_id, id, sizeof(*id)) != 0)
            continue;
        for (uint32_t k = 0; k < got->nspans; k++)
            found += span_equal(want, &want->spans[i], got, &got->spans[k]);
    }
    return found;
}

static unsigned
count_spans(const struct batch *batch, const struct trace_id *id)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < batch->nspans; i++)
        n += memcmp(&batch->spans[i].trace_id, id, sizeof(*id)) == 0;
    return n;
}

static void
test_traces(struct model *model)
{
    unsigned wrong = 0, cut = 0, shared = 0;

    for (uint32_t i = 0; i < 400; i++) {
        const struct batch *batch = &model->batch[i % 2];
        const struct trace_id *id = &batch->spans[i * 7].trace_id;
        struct pool *pool = pool_new(POOL_MAX);
        struct err err = ERR_INIT;
        struct batch out;
        bool truncated = false;
        unsigned n = count_spans(batch, id);

        batch_init(&out, pool);
        if (memtable_read_trace(model->mt, model->rows,
            &model->tenants[i % 2], id, 1000, &out, &truncated, &err) != 0)
            wrong++;
        wrong += truncated || out.nspans != n ||
            count_found(batch, id, &out) != n;
        shared += out.nresources <= 6 && out.nscopes <= 2;
        batch_init(&out, pool);
        if (memtable_read_trace(model->mt, model->rows,
            &model->tenants[i % 2], id, n / 2, &out, &truncated, &err) != 0)
            wrong++;
        cut += truncated && out.nspans == n / 2;
        pool_free(pool);
    }
    is_int(wrong, 0, "traces are whole and of one tenant");
    is_int(cut, 400, "a trace is cut at spans_max");
    is_int(shared, 400, "resources and scopes are shared");
}

static void
test_unknown_trace(struct model *model)
{
    struct trace_id id = {{1, 2, 3}};
    struct tenant other = {9, 9};
    struct batch out;
    bool truncated = false;
    struct err err = ERR_INIT;

    batch_init(&out, model->pool);
    is_int(memtable_read_trace(model->mt, model->rows, &tenant0, &id, 10,
        &out, &truncated, &err), 0, "unknown trace");
    is_int(memtable_read_trace(model->mt, model->rows, &other,
        &model->batch[0].spans[0].trace_id, 10, &out, &truncated, &err), 0,
        "unknown tenant");
    is_int(memtable_read_trace(model->mt, 0, &tenant0,
        &model->batch[0].spans[0].trace_id, 10, &out, &truncated, &err), 0,
        "no rows yet");
    is_int(out.nspans, 0, "nothing found");
    ok(!truncated, "nothing cut");
}

struct seen {
    unsigned streams;
    unsigned services;
    unsigned stop_at;
};

static int
see_stream(struct sv service, struct sv name, int32_t kind, void *arg)
{
    struct seen *seen = arg;

    seen->streams++;
    seen->services += sv_starts_with(service, SV("service-")) &&
        name.len > 0 && kind >= 2;
    return seen->streams == seen->stop_at ? -1 : 0;
}

static void
test_streams(struct model *model)
{
    struct seen seen = {0, 0, 0};
    struct stream_visit visit = {see_stream, &seen, INT64_MIN, INT64_MAX};
    struct err err = ERR_INIT;
    unsigned n;

    is_int(memtable_visit_streams(model->mt, model->rows, &tenant0, &visit,
        &err), 0, "streams");
    ok(seen.streams > 6 && seen.services == seen.streams, "%u streams",
        seen.streams);
    n = seen.streams;
    seen = (struct seen){0, 0, 3};
    is_int(memtable_visit_streams(model->mt, model->rows,
        &model->tenants[1], &visit, &err), 0, "stopped");
    is_int(seen.streams, 3, "after three");
    seen = (struct seen){0, 0, 0};
    is_int(memtable_visit_streams(model->mt, model->rows / 2 + 5,
        &model->tenants[1], &visit, &err), 0, "half of the rows");
    ok(seen.streams > 0 && seen.streams <= 5 && n > 5,
        "streams of uncommitted rows are not seen");
}

static void
test_ranges(struct model *model)
{
    const uint32_t at[] = {1, 2, 1023, 1024, 1025, 5000, model->rows};
    struct span_gen gen;
    int64_t min_end, max_end;
    uint32_t days[MEMTABLE_DAYS_MAX];

    span_gen_init(&gen, 9);
    ok(!memtable_end_range(model->mt, 0, &min_end, &max_end), "no range");
    for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
        int64_t low = INT64_MAX, high = INT64_MIN;

        for (uint32_t row = 0; row < at[i]; row++) {
            low = MIN(low, model->mt->end_ns[row]);
            high = MAX(high, model->mt->end_ns[row]);
        }
        ok(memtable_end_range(model->mt, at[i], &min_end, &max_end) &&
            min_end == low && max_end == high, "range of %u rows", at[i]);
    }
    is_int(memtable_days(model->mt, days), 1, "one day");
    is_int(days[0], 20261121, "the day");
}

int
main(void)
{
    struct model model;

    region = aligned_alloc(4096, MEMTABLE_BYTES);
    writer = memtable_writer_new();
    model_init(&model, 8000);
    test_traces(&model);
    test_unknown_trace(&model);
    test_streams(&model);
    test_ranges(&model);
    pool_free(model.pool);
    memtable_writer_free(writer);
    free(region);
    return tap_done();
}
