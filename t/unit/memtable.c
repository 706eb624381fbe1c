/* SPDX-License-Identifier: BSD-2-Clause */

/* Memtable: what was appended is read back, and what happens when it fills. */

#include "core/base.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"

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
    memtable_writer_free(writer);
    free(region);
    return tap_done();
}
