/* SPDX-License-Identifier: BSD-2-Clause */

/* Parts: what a memtable held is what its part answers. */

#include "core/base.h"

#include "core/mem.h"
#include "span/span.h"
#include "storage/part.h"
#include "storage/part_read_cache.h"
#include "storage/stream_visit.h"

#include "part_gen.h"
#include "part_same.h"
#include "span_gen.h"
#include "tap.h"

/* --- whole parts --- */

static void
compare_info(const struct part *part, const char *name)
{
    const struct part_info *a = part_get_info(part);
    const struct part_info *b = &gen.info;
    int64_t min_end = INT64_MAX, max_end = INT64_MIN;
    size_t nranges;

    for (uint32_t i = 0; i < gen.nrows; i++) {
        min_end = MIN(min_end, gen.mt->end_ns[gen.rows[i]]);
        max_end = MAX(max_end, gen.mt->end_ns[gen.rows[i]]);
    }
    ok(a->id == PART_GEN_ID && a->rows == gen.nrows && a->level == 1 &&
        a->nblocks == 1 && a->bytes == gen.file.len && a->day == gen.day &&
        a->min_end_ns == min_end && a->max_end_ns == max_end,
        "%s: what the part says of itself", name);
    ok(a->ntraces == b->ntraces && a->min_start_ns == b->min_start_ns &&
        a->max_start_ns == b->max_start_ns && b->bytes == a->bytes &&
        b->rows == a->rows, "%s: the writer said the same", name);
    is_int(part_get_lineage(part, &nranges)->first_lsn, 1000, "%s: lineage",
        name);
    ok(memcmp(part_get_node_id(part), part_gen_node, 16) == 0, "%s: node",
        name);
}

/* Encodes what is in the memtable; NULL when that failed. */
static struct part *
make_part(const char *name)
{
    struct err err = ERR_INIT;
    struct part *part = NULL;

    if (!ok(part_gen_encode(&gen, &err) == 0, "%s: encodes %s", name,
            err.text))
        return NULL;
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    ok(part_check(gen.path, &err) == 0, "%s: checks %s", name, err.text);
    ok(part_open(&part, gen.path, &err) == 0, "%s: opens %s", name,
        err.text);
    return part;
}

/* All rows of the memtable are of one day. */
static void
compare_all(const char *name)
{
    struct part *part = make_part(name);

    if (part == NULL)
        return;
    is_int(gen.nrows, memtable_rows(gen.mt), "%s: one day", name);
    compare_info(part, name);
    compare_rows(part, name);
    compare_traces(part, name);
    absent_traces(part, name);
    compare_streams(part, &tenant0, name);
    part_close(part);
}

static void
test_wild(void)
{
    static const struct {
        const char *name;
        uint32_t spans;
        uint32_t shapes;
    } cases[] = {{"one wild span", 1, 200}, {"a few wild spans", 7, 200},
        {"wild spans", 8000, 200}, {"wild spans of many shapes", 5000, 5000},
        {"wild spans of one shape", 3000, 1}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pool *pool = pool_new(POOL_MAX);
        struct span_gen spans;
        struct batch batch;

        part_gen_reset(&gen);
        batch_init(&batch, pool);
        span_gen_init(&spans, 1000 + i);
        spans.shapes = cases[i].shapes;
        spans.now_ns += 12 * 3600 * NS_PER_SEC; /* far from midnight */
        span_gen_wild(&spans, &batch, cases[i].spans);
        ok(part_gen_add(&gen, tenant0, &batch), "%s: fit", cases[i].name);
        compare_all(cases[i].name);
        pool_free(pool);
    }
}

static void
test_full(void)
{
    struct span_gen spans;

    part_gen_reset(&gen);
    span_gen_init(&spans, 5);
    for (;;) {
        struct pool *pool = pool_new(POOL_MAX);
        struct batch batch;
        bool fits;

        batch_init(&batch, pool);
        span_gen_real(&spans, &batch, 12, 1000);
        fits = part_gen_add(&gen, tenant0, &batch);
        pool_free(pool);
        if (!fits)
            break;
    }
    compare_all("a full memtable");
    diag("%u rows, %.1f bytes a row", gen.nrows,
        (double)gen.file.len / gen.nrows);
}

/* --- spans made by hand --- */

static struct batch hand;

static struct span *
hand_span(uint8_t trace, uint8_t id, uint8_t parent)
{
    struct span *span = batch_add_span(&hand, NULL);

    memset(span->trace_id.b, trace, 16);
    memset(span->span_id.b, id, 8);
    memset(span->parent_id.b, parent, 8);
    span->start_ns = SPAN_GEN_BASE_NS + id * 1000;
    span->end_ns = span->start_ns + 500;
    span->name = SV("hand");
    return span;
}

static void
hand_start(void)
{
    part_gen_reset(&gen);
    batch_init(&hand, pool_new(POOL_MAX));
    batch_add_resource(&hand, NULL);
    hand.resources[0].service = SV("made by hand");
    batch_add_scope(&hand, NULL);
}

static void
hand_end(const char *name)
{
    ok(part_gen_add(&gen, tenant0, &hand), "%s: fit", name);
    compare_all(name);
    pool_free(hand.pool);
}

/* Parents that are there, not there, twice there, the row itself. */
static void
test_parents(void)
{
    hand_start();
    hand_span(1, 10, 0);
    hand_span(1, 11, 10);
    hand_span(1, 12, 99);
    hand_span(1, 13, 13);
    hand_span(1, 14, 20);
    hand_span(1, 20, 0);
    hand_span(1, 20, 10)->name = SV("same id, other span");
    hand_span(1, 20, 20);
    hand_span(2, 30, 10);
    hand_span(2, 31, 30)->name = SV("a");
    hand_end("odd parents");
    hand_start();
    for (uint8_t i = 1; i < 250; i++)
        hand_span(3, i, (uint8_t)(i % 7 == 0 ? i : i % 5 == 0 ? 251 : i / 2));
    for (uint8_t i = 1; i < 250; i += 50)
        hand_span(3, i, 7);
    hand_end("odd parents of a large trace");
}

static void
test_times(void)
{
    struct span *span;

    hand_start();
    span = hand_span(1, 1, 0);
    span->start_ns = 0;
    span = hand_span(1, 2, 1);
    span->start_ns = INT64_MAX;
    span = hand_span(2, 3, 0);
    span->start_ns = span->end_ns + 12345;
    span = hand_span(2, 4, 0);
    span->start_ns = INT64_MIN;
    hand_span(2, 5, 0)->start_ns = SPAN_GEN_BASE_NS - 1;
    hand_end("odd times");
}

/* The same long strings under many keys stand in the heap once. */
static void
test_shared_strings(void)
{
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g",
        "h"};
    char text[3000];
    struct span_gen bytes;

    span_gen_init(&bytes, 3);
    hand_start();
    for (uint8_t i = 1; i < 200; i++) {
        struct span *span = hand_span(i, i, 0);
        struct attr *v = pool_zalloc(hand.pool, 8 * sizeof(*v));
        char *copy;

        gen_bytes(&bytes, (uint8_t *)text, sizeof(text));
        copy = pool_dup(hand.pool, text, sizeof(text));
        for (uint32_t j = 0; j < 8; j++)
            gen_attr_str(&v[j], keys[j], sv_make(copy, sizeof(text)));
        span->attrs = (struct attrs){v, 8};
    }
    hand_end("shared strings");
    ok(gen.file.len < 2 * 200 * sizeof(text),
        "eight keys, one copy: %zu bytes", gen.file.len);
}

/* Values larger than pages, uuids, hex, and what only looks like them. */
static void
test_strings(void)
{
    struct span_gen bytes;
    char *big;

    span_gen_init(&bytes, 9);
    hand_start();
    big = pool_zalloc(hand.pool, 100000);
    gen_bytes(&bytes, (uint8_t *)big, 50000);
    for (uint8_t i = 1; i < 120; i++) {
        struct span *span = hand_span(i, i, 0);
        struct attr *v = pool_zalloc(hand.pool, 8 * sizeof(*v));
        struct sv uuid = gen_uuid(&bytes, &hand);

        gen_attr_str(&v[0], "uuid", uuid);
        gen_attr_str(&v[1], "not a uuid",
            i == 77 ? SV("123e4567-e89b-12d3-a456-42661417400G") : uuid);
        gen_attr_str(&v[2], "hex", gen_printf(&hand, "%016x", i));
        gen_attr_str(&v[3], "upper", gen_printf(&hand, "%08X", i + 0xabcdu));
        gen_attr_str(&v[4], "odd", gen_printf(&hand, "%07x", i));
        gen_attr_str(&v[5], "big", sv_make(big, i % 40 == 0 ? 100000 : i));
        v[5].value.type = VALUE_BYTES;
        gen_attr_str(&v[6], "uuid", uuid);
        gen_attr_str(&v[7], "uuid", SV("third of its key"));
        span->attrs = (struct attrs){v, 8};
    }
    hand_end("strings of all kinds");
}

/* One trace of more rows than a chunk has values. */
static void
test_giant(void)
{
    hand_start();
    for (uint32_t i = 0; i < 30000; i++) {
        struct span *span = hand_span(9, 1, 0);
        uint32_t parent = i / 3;

        memcpy(span->span_id.b, &i, 4);
        if (i > 0)
            memcpy(span->parent_id.b, &parent, 4);
        memset(span->parent_id.b + 4, i > 0 ? 1 : 0, 4);
        span->start_ns += (int64_t)(i * 7919u % 30011u);
        span->end_ns = span->start_ns + i;
        span->name = i % 5 == 0 ? SV("five") : SV("not five");
    }
    ok(part_gen_add(&gen, tenant0, &hand), "a giant trace: fit");
    {
        struct part *part = make_part("a giant trace");
        struct pool *pool = pool_new(POOL_MAX);
        struct batch out;
        struct err err = ERR_INIT;
        bool truncated = false;

        compare_rows(part, "a giant trace");
        batch_init(&out, pool);
        is_int(part_read_trace(part, &tenant0, &hand.spans[0].trace_id, 100,
            &out, &truncated, &err), 0, "a giant trace, at most 100 spans");
        is_int(out.nspans, 100, "100 spans");
        ok(truncated, "truncated");
        pool_free(pool);
        part_close(part);
    }
    pool_free(hand.pool);
}

/* The same trace id and stream names of two tenants stay apart. */
static void
test_tenants(void)
{
    static const struct tenant tenants[] = {{5, 1}, {0, 0}, {5, 0}};
    struct part *part;

    part_gen_reset(&gen);
    for (size_t t = 0; t < ARRAY_LEN(tenants); t++) {
        batch_init(&hand, pool_new(POOL_MAX));
        batch_add_resource(&hand, NULL);
        hand.resources[0].service = SV("shared name");
        batch_add_scope(&hand, NULL);
        for (uint8_t i = 1; i < 50; i++)
            hand_span(i / 5 + 1, (uint8_t)(i + t), i)->kind = (int32_t)t;
        check(part_gen_add(&gen, tenants[t], &hand));
        pool_free(hand.pool);
    }
    part = make_part("tenants");
    compare_rows(part, "tenants");
    compare_traces(part, "tenants");
    for (size_t t = 0; t < ARRAY_LEN(tenants); t++)
        compare_streams(part, &tenants[t], "tenants");
    part_close(part);
}

/* A part of some rows knows nothing of the others. */
static void
test_subset(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct span_gen spans;
    struct batch batch;
    struct err err = ERR_INIT;
    struct part *part = NULL;

    part_gen_reset(&gen);
    batch_init(&batch, pool);
    span_gen_init(&spans, 31);
    spans.spread_ns = 40 * 3600 * NS_PER_SEC;
    span_gen_wild(&spans, &batch, 3000);
    ok(part_gen_add(&gen, tenant0, &batch), "several days: fit");
    part = make_part("several days");
    ok(gen.nrows > 100 && gen.nrows < 2900, "several days: a part of the "
        "rows, %u", gen.nrows);
    compare_info(part, "several days");
    compare_rows(part, "several days");
    part_close(part);
    for (uint32_t i = 0; i < gen.nrows / 2; i++) {
        uint32_t other = gen.nrows - 1 - i, row = gen.rows[i];

        gen.rows[i] = gen.rows[other];
        gen.rows[other] = row;
    }
    ok(part_encode(gen.pw, gen.mt, gen.rows, gen.nrows, PART_GEN_ID, gen.day,
        part_gen_node, &part_gen_lineage, &gen.file, &gen.info, &err) == 0,
        "rows in another order");
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    ok(part_open(&part, gen.path, &err) == 0, "opens");
    compare_rows(part, "rows in another order");
    part_close(part);
    pool_free(pool);
}

/* The same answers when the cache holds next to nothing. */
static void
test_small_cache(void)
{
    struct part *part;

    data_cache_set_budget(4 * KIB);
    test_wild();
    part = make_part("small cache");
    compare_rows(part, "small cache");
    ok(data_cache_held() <= 4 * KIB, "the budget is kept: %zu",
        data_cache_held());
    data_cache_set_budget(DATA_CACHE_BYTES);
    part_close(part);
    is_int(data_cache_held(), 0, "a closed part leaves nothing");
}

/* Each allocation fails once: an error, nothing leaked, and then it works. */
static void
test_no_memory(void)
{
    uint32_t failures = 0, odd = 0;
    bool failed = true;

    hand_start();
    for (uint8_t i = 1; i < 30; i++)
        hand_span(1, i, (uint8_t)(i - 1))->status_message = SV("message");
    check(part_gen_add(&gen, tenant0, &hand));
    pool_free(hand.pool);
    for (uint64_t nth = 1; failed; nth++) {
        struct part *part = NULL;
        struct pool *pool = pool_new(POOL_MAX);
        struct err err = ERR_INIT;
        struct batch out;
        bool truncated = false;

        part_writer_free(gen.pw);
        gen.pw = part_writer_new();
        batch_init(&out, pool);
        mem_fail_at(nth);
        failed = part_gen_encode(&gen, &err) != 0;
        if (!failed) {
            part_gen_write(&gen, gen.file.ptr, gen.file.len);
            failed = part_open(&part, gen.path, &err) != 0 ||
                part_read_trace(part, &tenant0, &gen.mt->trace_id[0], 100,
                    &out, &truncated, &err) != 0 || out.nspans != 29;
        }
        mem_fail_at(0);
        part_close(part);
        pool_free(pool);
        failures += failed;
        odd += failed && err.code != ERR_LIMIT;
    }
    ok(failures > 20, "%u allocations failed", failures);
    is_int(odd, 0, "each was reported as such");
}

int
main(void)
{
    part_gen_init(&gen);
    test_wild();
    test_parents();
    test_times();
    test_strings();
    test_shared_strings();
    test_giant();
    test_tenants();
    test_subset();
    test_no_memory();
    test_full();
    test_small_cache();
    part_gen_free(&gen);
    return tap_done();
}
