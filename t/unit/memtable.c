/* SPDX-License-Identifier: BSD-2-Clause */

/* Memtable: what was appended is read back, and what happens when it fills. */

#include "core/base.h"
#include "core/mem.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"
#include "storage/search.h"

#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (2 * GIB)

static const struct tenant tenant0 = {0, 0};
static struct memtable_writer *writer;
static void *region;

static struct memtable *
fresh(uint64_t first_lsn)
{
    struct memtable *mt = memtable_init(region, 7, first_lsn);

    memtable_writer_attach(writer, mt);
    return mt;
}

/* --- a batch over as many memtables as it takes --- */

struct walk {
    struct memtable *mt;
    uint64_t lsn;        /* of the next span */
    unsigned memtables;
    unsigned unequal;
    unsigned unread;
    char text[480];
};

/* Compares the rows of the memtable with spans [from, to) of the batch. */
static void
compare_rows(struct walk *walk, const struct batch *batch, uint32_t first_row,
    uint32_t from, uint32_t to)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch out;
    struct err err = ERR_INIT;
    uint32_t row = first_row;

    batch_init(&out, pool);
    for (uint32_t i = from; i < to; i++) {
        if (batch->spans[i].reject != REJECT_NONE)
            continue;
        if (memtable_read_row(walk->mt, row++, &out, &err) != 0) {
            walk->unread++;
            memcpy(walk->text, err.text, sizeof(walk->text));
            continue;
        }
        if (!span_equal(batch, &batch->spans[i], &out,
            &out.spans[out.nspans - 1]))
            walk->unequal++;
    }
    walk->unread += row != memtable_rows(walk->mt);
    pool_free(pool);
}

/* Appends a batch, rotating when full, and compares every row. */
static void
append_and_compare(struct walk *walk, const struct batch *batch)
{
    uint32_t from = 0;

    while (from < batch->nspans) {
        uint32_t first_row = memtable_rows(walk->mt);
        uint32_t to = memtable_append(writer, &tenant0, batch, from);

        walk->lsn += to - from;
        if (memtable_next_lsn(walk->mt) != walk->lsn)
            walk->unread++;
        compare_rows(walk, batch, first_row, from, to);
        memtable_commit(walk->mt, memtable_rows(walk->mt));
        if (to < batch->nspans) {
            walk->mt = fresh(walk->lsn);
            walk->memtables++;
        }
        from = to;
    }
}

static void
round_trip(const char *name, const struct span_gen *how, unsigned batches,
    uint32_t spans)
{
    struct span_gen gen = *how;
    struct walk walk = {.mt = fresh(100), .lsn = 100, .memtables = 1};
    struct err err = ERR_INIT;

    for (unsigned i = 0; i < batches; i++) {
        struct pool *pool = pool_new(POOL_MAX);
        struct batch batch;

        batch_init(&batch, pool);
        if (i % 3 == 2)
            span_gen_real(&gen, &batch, 5, spans);
        else
            span_gen_wild(&gen, &batch, spans);
        append_and_compare(&walk, &batch);
        pool_free(pool);
    }
    is_int(walk.unequal, 0, "%s: spans are equal (%u memtables)", name,
        walk.memtables);
    is_int(walk.unread, 0, "%s: rows are read %s", name, walk.text);
    is_int(memtable_check(walk.mt, &err), 0, "%s: the memtable is whole %s",
        name, err.text);
}

static void
test_round_trips(void)
{
    struct span_gen gen;

    span_gen_init(&gen, 1);
    round_trip("small batches", &gen, 60, 50);
    gen.reject_every = 5;
    round_trip("rejected spans", &gen, 30, 100);
    gen.huge_every = 10;
    round_trip("huge strings", &gen, 20, 600);
    gen.shapes = 1000000;
    gen.huge_every = 100000;
    round_trip("every list has its own keys", &gen, 30, 1500);
    gen.spread_ns = 100 * NS_PER_DAY;
    round_trip("many days", &gen, 6, 600);
    span_gen_init(&gen, 5);
    round_trip("more rows than one memtable has", &gen, 6, 30000);
}

/* What the writer knows of one memtable must not reach the next. */
static void
test_attaches(void)
{
    struct span_gen gen;
    unsigned wrong = 0;

    span_gen_init(&gen, 3);
    for (unsigned i = 0; i < 50; i++) {
        struct pool *pool = pool_new(POOL_MAX);
        struct walk walk = {.mt = fresh(i), .lsn = i};
        struct batch batch;

        memset(walk.mt->heap, 0xdb, 100000);
        batch_init(&batch, pool);
        span_gen_wild(&gen, &batch, 20);
        append_and_compare(&walk, &batch);
        wrong += walk.unequal + walk.unread;
        pool_free(pool);
    }
    is_int(wrong, 0, "50 memtables one after the other");
}

/* --- full --- */

typedef void (*explode_fn)(struct batch *batch, struct span *span, uint32_t i);

static struct attr *
one_attr(struct batch *batch, struct span *span)
{
    struct attr *v = gen_alloc(batch, sizeof(*v));

    span->attrs = (struct attrs){v, 1};
    v->key = SV("key");
    v->value.type = VALUE_INT;
    return v;
}

static void IMPL(explode_fn)
explode_names(struct batch *batch, struct span *span, uint32_t i)
{
    span->name = gen_printf(batch, "name %u", i);
}

static void IMPL(explode_fn)
explode_keys(struct batch *batch, struct span *span, uint32_t i)
{
    one_attr(batch, span)->key = gen_printf(batch, "key %u", i);
}

static void IMPL(explode_fn)
explode_types(struct batch *batch, struct span *span, uint32_t i)
{
    struct attr *v = gen_alloc(batch, 7 * sizeof(*v));

    for (unsigned bit = 0; bit < 7; bit++) {
        v[bit].key = SV("same");
        v[bit].value.type = i >> 2 * bit & 3;
        if (v[bit].value.type == VALUE_STRING)
            v[bit].value.str = SV_EMPTY;
    }
    span->attrs = (struct attrs){v, 7};
}

static void IMPL(explode_fn)
explode_strings(struct batch *batch, struct span *span, uint32_t i)
{
    struct attr *v = gen_alloc(batch, 20 * sizeof(*v));

    for (unsigned k = 0; k < 20; k++)
        gen_attr_str(&v[k], "key", gen_printf(batch, "%x", i * 20 + k));
    span->attrs = (struct attrs){v, 20};
}

static void IMPL(explode_fn)
explode_bytes(struct batch *batch, struct span *span, uint32_t i)
{
    uint8_t *p = gen_alloc(batch, 100000);

    gen_bytes(&(struct span_gen){.state = i}, p, 8);
    gen_attr_str(one_attr(batch, span), "huge", sv_make(p, 100000));
}

static void IMPL(explode_fn)
explode_words(struct batch *batch, struct span *span, uint32_t i)
{
    struct attr *v = gen_alloc(batch, 1000 * sizeof(*v));

    for (unsigned k = 0; k < 1000; k++)
        gen_attr_int(&v[k], "key", (int64_t)i * k);
    span->attrs = (struct attrs){v, 1000};
}

static void IMPL(explode_fn)
explode_days(UNUSED struct batch *batch, struct span *span, uint32_t i)
{
    span->end_ns = (int64_t)(i % 100) * NS_PER_DAY;
}

static void IMPL(explode_fn)
explode_resources(struct batch *batch, struct span *span, uint32_t i)
{
    struct resource *r = batch_add_resource(batch, &span->resource);
    struct attr *v = gen_alloc(batch, sizeof(*v));

    gen_attr_int(v, "process.pid", i);
    r->attrs = (struct attrs){v, 1};
}

static void IMPL(explode_fn)
explode_scopes(struct batch *batch, struct span *span, uint32_t i)
{
    batch_add_scope(batch, &span->scope)->name = gen_printf(batch, "%u", i);
}

static void IMPL(explode_fn)
explode_events(struct batch *batch, struct span *span, uint32_t i)
{
    struct span_event *v = gen_alloc(batch, 5000 * sizeof(*v));

    for (unsigned k = 0; k < 5000; k++)
        v[k] = (struct span_event){i, SV("e"), span->attrs, k & 1};
    span->events = v;
    span->nevents = 5000;
}

/* Spans that use up one capacity; the rest is as usual. */
static void
test_explosion(const char *name, explode_fn explode, uint32_t n,
    uint32_t at_least)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct walk walk = {.mt = fresh(0)};
    struct span_gen gen;
    struct batch batch;
    uint32_t fit;

    span_gen_init(&gen, 11);
    batch_init(&batch, pool);
    span_gen_real(&gen, &batch, 2, n);
    for (uint32_t i = 0; i < n; i++)
        explode(&batch, &batch.spans[i], i);
    fit = memtable_append(writer, &tenant0, &batch, 0);
    ok(fit >= at_least && fit < n, "%s: full after %u rows", name, fit);
    is_int(memtable_rows(walk.mt), fit, "%s: as many rows", name);
    compare_rows(&walk, &batch, 0, 0, fit);
    is_int(walk.unequal + walk.unread, 0, "%s: rows are whole", name);
    is_int(memtable_append(writer, &tenant0, &batch, fit), fit,
        "%s: stays full", name);
    walk = (struct walk){.mt = fresh(0)};
    append_and_compare(&walk, &batch);
    is_int(walk.unequal + walk.unread, 0, "%s: goes on in the next", name);
    pool_free(pool);
}

static void
test_full(void)
{
    test_explosion("names", explode_names, 40000, 30000);
    test_explosion("keys", explode_keys, 40000, 15000);
    test_explosion("types", explode_types, 20000, 16000);
    test_explosion("strings", explode_strings, 20000, 8000);
    test_explosion("bytes", explode_bytes, 200, 80);
    test_explosion("words", explode_words, 2000, 1000);
    test_explosion("days", explode_days, 100, 64);
    test_explosion("resources", explode_resources, 20000, 16000);
    test_explosion("scopes", explode_scopes, 5000, 4000);
    test_explosion("events", explode_events, 200, 20);
}

/* --- oversize --- */

static void
test_one_oversize(const char *name, uint32_t nevents, uint32_t nattrs,
    bool is_distinct, bool fits)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct walk walk = {.mt = fresh(0)};
    struct span_gen gen;
    struct batch batch;
    struct span *span;
    struct span_event *events;

    span_gen_init(&gen, 12);
    batch_init(&batch, pool);
    span_gen_real(&gen, &batch, 1, 1);
    span = &batch.spans[0];
    span->bytes = 2000000;
    events = gen_alloc(&batch, nevents * sizeof(*events));
    for (uint32_t i = 0; i < nevents; i++) {
        struct attr *v = gen_alloc(&batch, nattrs * sizeof(*v));

        for (uint32_t k = 0; k < nattrs; k++) {
            v[k].key = gen_printf(&batch, "%x",
                is_distinct ? i * nattrs + k : k);
            v[k].value = (struct value){.b = true, .type = VALUE_BOOL};
        }
        events[i].attrs = (struct attrs){v, nattrs};
    }
    span->events = events;
    span->nevents = nevents;
    memtable_reject_oversize(&batch);
    is_int(span->reject, fits ? REJECT_NONE : REJECT_LARGE, "%s: %s", name,
        fits ? "accepted" : "rejected");
    append_and_compare(&walk, &batch);
    is_int(walk.unequal + walk.unread, 0, "%s: handled", name);
    is_int(memtable_rows(walk.mt), fits, "%s: in the empty memtable", name);
    pool_free(pool);
}

static void
test_oversize(void)
{
    test_one_oversize("no big thing", 10, 10, true, true);
    test_one_oversize("40000 equal events", 40000, 5, false, true);
    test_one_oversize("14000 shapes", 14000, 2, true, true);
    test_one_oversize("18000 shapes", 18000, 1, true, false);
    test_one_oversize("60000 keys", 6000, 10, true, false);
    test_one_oversize("a million events", 1000000, 0, false, false);
    test_one_oversize("one long list", 1, 65530, false, false);
    test_one_oversize("one list just short enough", 1, 30000, true, true);
}

static void
test_oversize_resource(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct span_gen gen;
    struct batch batch;
    struct attr *v;
    char *text;

    span_gen_init(&gen, 12);
    batch_init(&batch, pool);
    span_gen_real(&gen, &batch, 2, 10);
    v = gen_alloc(&batch, sizeof(*v));
    text = gen_alloc(&batch, 9 * MIB);
    gen_attr_str(v, "big", sv_make(text, 9 * MIB));
    batch.resources[1].attrs = (struct attrs){v, 1};
    memtable_reject_oversize(&batch);
    is_int(batch.rejected, 5, "spans of a huge resource are rejected");
    is_int(batch.spans[0].reject, REJECT_NONE, "the others are not");
    pool_free(pool);
}

/* --- questions --- */

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
    model->mt = fresh(0);
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

/* Best ends of the traces of a service (and name), the slow way. */
static unsigned
naive_search(const struct batch *batch, const struct search *search,
    struct search_hit *hits)
{
    unsigned n = 0, k;

    for (uint32_t i = 0; i < batch->nspans; i++) {
        const struct span *span = &batch->spans[i];

        if (!sv_eq(batch->resources[span->resource].service,
            search->service) || span->end_ns < search->start_ns ||
            span->end_ns > search->end_ns ||
            (search->name.ptr != NULL && !sv_eq(search->name, span->name)))
            continue;
        for (k = 0; k < n; k++) {
            if (memcmp(&hits[k].id, &span->trace_id, 16) == 0)
                break;
        }
        if (k == n)
            hits[n++] = (struct search_hit){span->trace_id, INT64_MIN};
        hits[k].end_ns = MAX(hits[k].end_ns, span->end_ns);
    }
    return n;
}

static int
newest_first(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;

    if (x->end_ns != y->end_ns)
        return x->end_ns < y->end_ns ? 1 : -1;
    return memcmp(&x->id, &y->id, 16);
}

static void
test_search(struct model *model, bool with_name, uint32_t limit,
    int64_t start_ns, int64_t end_ns)
{
    const struct batch *batch = &model->batch[0];
    struct pool *pool = pool_new(POOL_MAX);
    struct search_hit *want = xcalloc(batch->nspans, sizeof(*want));
    struct err err = ERR_INIT;
    const struct span *span = &batch->spans[batch->nspans / 2];
    struct search search = {
        .tenant = tenant0,
        .service = batch->resources[span->resource].service,
        .name = with_name ? span->name : (struct sv){NULL, 0},
        .start_ns = start_ns,
        .end_ns = end_ns,
        .limit = limit,
        .pool = pool,
    };
    unsigned n = naive_search(batch, &search, want), wrong = 0;

    is_int(search_init(&search, &err), 0, "search starts");
    is_int(memtable_search(model->mt, model->rows, &search, &err), 0,
        "search of %u %s", limit, err.text);
    search_finish(&search);
    qsort(want, n, sizeof(*want), newest_first);
    is_int(search.nhits, MIN(n, limit), "number of hits");
    for (uint32_t i = 0; i < search.nhits; i++)
        wrong += newest_first(&search.hits[i], &want[i]) != 0;
    is_int(wrong, 0, "the newest hits in order");
    xfree(want);
    pool_free(pool);
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

static void
test_questions(void)
{
    struct model model;
    int64_t from = SPAN_GEN_BASE_NS;

    model_init(&model, 8000);
    test_traces(&model);
    test_unknown_trace(&model);
    test_streams(&model);
    test_search(&model, false, 20, INT64_MIN, INT64_MAX);
    test_search(&model, false, 100000, INT64_MIN, INT64_MAX);
    test_search(&model, true, 20, INT64_MIN, INT64_MAX);
    test_search(&model, true, 5, from + NS_PER_SEC, from + 2 * NS_PER_SEC);
    test_search(&model, false, 5, from - 2, from - 1);
    test_ranges(&model);
    pool_free(model.pool);
}

/* --- the header --- */

static void
test_header(void)
{
    struct memtable *mt = fresh(55);
    struct err err = ERR_INIT;

    is_int(memtable_first_lsn(mt), 55, "first lsn");
    is_int(memtable_next_lsn(mt), 55, "next lsn");
    is_int(memtable_log_id(mt), 7, "log id");
    is_int(memtable_rows(mt), 0, "no rows");
    is_int(memtable_committed(mt), 0, "none committed");
    ok(memtable_used(mt) < MIB, "nearly nothing used");
    is_int(memtable_check(mt, &err), 0, "an empty memtable is whole");
    mt->h.layout++;
    is_int(memtable_check(mt, &err), -1, "another layout");
    is_int(err.code, ERR_CORRUPT, "is corrupt");
    mt->h.layout--;
    mt->h.nstreams = MEMTABLE_STREAMS_MAX + 1;
    is_int(memtable_check(mt, &err), -1, "too many streams");
    mt->h.nstreams = 0;
    mt->h.committed = 1;
    is_int(memtable_check(mt, &err), -1, "more committed than written");
    mt->h.committed = 0;
    mt->h.magic = 0;
    is_int(memtable_check(mt, &err), -1, "no magic");
}

static void
test_fields(void)
{
    struct memtable *mt = fresh(0);

    for (unsigned i = 0; i < FIELD_KEYS; i++) {
        struct sv name = memtable_field_name(i);

        ok(mt->keys[i].scope == KEY_FIELD &&
            sv_eq(memtable_string(mt, mt->keys[i].text), name),
            "key %u is the field %.*s", i, SV_ARG(name));
    }
}

int
main(void)
{
    region = aligned_alloc(4096, MEMTABLE_BYTES);
    writer = memtable_writer_new();
    test_header();
    test_fields();
    test_round_trips();
    test_attaches();
    test_full();
    test_oversize();
    test_oversize_resource();
    test_questions();
    memtable_writer_free(writer);
    free(region);
    return tap_done();
}
