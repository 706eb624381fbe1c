/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Links: whatever trace and span a link is to (its own, one of the block,
 * another tenant's, none), what is read is what went in, from parts and from
 * merged ones.
 */

#include "core/base.h"

#include "storage/block.h"
#include "storage/part_read.h"

#include "part_gen.h"
#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (512 * MIB)
#define TRACES 40u
#define LINKS_MAX 4u

static const struct tenant tenants[2] = {{0, 0}, {0, 7}};
static struct part_gen gen;
static struct span_gen dice;

/* By span, the last two bytes of its id. */
static struct span_link links[65536][LINKS_MAX];
static uint32_t nlinks[65536];
static uint32_t nspans;

static uint32_t
number_of(const struct span *span)
{
    return (uint32_t)span->span_id.b[6] << 8 | span->span_id.b[7];
}

/* --- links of all kinds --- */

enum { OWN, KNOWN, OTHER_TENANT, UNKNOWN, NONE, TRACE_KINDS };
enum { PARENT, ROW, ITSELF, ANY, ZERO, SPAN_KINDS };

static struct trace_id other_tenant;

static void
make_link(const struct batch *batch, const struct span *span, unsigned kind,
    struct span_link *link)
{
    const struct span *other = &batch->spans[gen_below(&dice,
        batch->nspans)];

    memset(link, 0, sizeof(*link));
    switch (kind % TRACE_KINDS) {
    case OWN:
        link->trace_id = span->trace_id;
        break;
    case KNOWN:
        link->trace_id = other->trace_id;
        break;
    case OTHER_TENANT:
        link->trace_id = other_tenant;
        break;
    case UNKNOWN:
        gen_bytes(&dice, link->trace_id.b, 16);
        break;
    }
    switch (kind / TRACE_KINDS % SPAN_KINDS) {
    case PARENT:
        link->span_id = span->parent_id;
        break;
    case ROW:
        link->span_id = other->span_id;
        break;
    case ITSELF:
        link->span_id = span->span_id;
        break;
    case ANY:
        gen_bytes(&dice, link->span_id.b, 8);
        break;
    }
}

/* Traces of ten spans, the last one of many; parents that are there or not. */
static void
make_trace(struct batch *batch, uint32_t trace)
{
    uint32_t first = trace * 10, n = 10;
    struct trace_id id;

    if (trace == TRACES - 1)
        n = batch->nspans - first;
    gen_bytes(&dice, id.b, sizeof(id.b));
    for (uint32_t i = 0; i < n; i++) {
        struct span *span = &batch->spans[first + i];

        span->trace_id = id;
        gen_bytes(&dice, span->span_id.b, 8);
        span->span_id.b[6] = (uint8_t)(nspans >> 8);
        span->span_id.b[7] = (uint8_t)nspans++;
        span->parent_id = i == 0 ? (struct span_id){{0}} :
            batch->spans[first + gen_below(&dice, i)].span_id;
        if (i % 7 == 3)
            gen_bytes(&dice, span->parent_id.b, 8);
    }
}

static void
make_spans(struct tenant tenant, bool has_links)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;

    batch_init(&batch, pool);
    span_gen_real(&dice, &batch, 3, TRACES * 10 + 200);
    for (uint32_t i = 0; i < TRACES; i++)
        make_trace(&batch, i);
    for (uint32_t i = 0; i < batch.nspans; i++) {
        struct span *span = &batch.spans[i];
        uint32_t number = number_of(span);

        nlinks[number] = !has_links || i % 3 == 0 ? 0 :
            1 + gen_below(&dice, LINKS_MAX);
        for (uint32_t j = 0; j < nlinks[number]; j++)
            make_link(&batch, span, gen_below(&dice, 1000),
                &links[number][j]);
        span->links = links[number];
        span->nlinks = nlinks[number];
    }
    other_tenant = batch.spans[0].trace_id;
    check(part_gen_add(&gen, tenant, &batch));
    pool_free(pool);
}

/* --- comparing --- */

static bool
is_same(const struct span_link *a, const struct span_link *b)
{
    return memcmp(&a->trace_id, &b->trace_id, sizeof(a->trace_id)) == 0 &&
        memcmp(&a->span_id, &b->span_id, sizeof(a->span_id)) == 0;
}

static void
compare_rows(struct part *part, const char *name)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;
    struct err err = ERR_INIT;
    uint32_t got = 0, wrong = 0, n = 0;

    batch_init(&batch, pool);
    check(part_read_rows(part, 0, nspans, &batch, NULL, &got, &err) == 0);
    is_int(got, nspans, "%s: all rows", name);
    for (uint32_t i = 0; i < got; i++) {
        const struct span *span = &batch.spans[i];
        uint32_t number = number_of(span);

        wrong += span->nlinks != nlinks[number];
        for (uint32_t j = 0; j < MIN(span->nlinks, nlinks[number]); j++)
            wrong += !is_same(&span->links[j], &links[number][j]);
        n += span->nlinks;
    }
    is_int(wrong, 0, "%s: %u links", name, n);
    pool_free(pool);
}

static const struct column *
get_column(struct block *block, const char *name)
{
    const struct column *column = NULL;
    struct err err = ERR_INIT;

    check(block_column(block, sv_from(name), NULL, &column, &err) == 0);
    return column;
}

static void
compare_columns(struct part *part, const char *name)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct block *block = NULL;
    const struct column *ids, *traces, *spans;
    struct err err = ERR_INIT;
    uint32_t wrong = 0;

    check(block_open_part(&block, part, 0, pool, &err) == 0);
    ids = get_column(block, "span_id");
    traces = get_column(block, "link:1:link_trace_id");
    spans = get_column(block, "link:1:link_span_id");
    for (uint32_t row = 0; row < nspans; row++) {
        const uint8_t *id = column_id(ids, row);
        uint32_t number = (uint32_t)id[6] << 8 | id[7];
        struct span_link none = {.flags = 0};
        const struct span_link *link = nlinks[number] > 1 ?
            &links[number][1] : &none;

        wrong += memcmp(column_id(traces, row), link->trace_id.b, 16) != 0;
        wrong += memcmp(column_id(spans, row), link->span_id.b, 8) != 0;
    }
    is_int(wrong, 0, "%s: columns", name);
    block_close(block);
    pool_free(pool);
}

static void
compare(const char *name)
{
    struct part *part = NULL;
    struct err err = ERR_INIT;

    ok(part_check(gen.path, &err) == 0, "%s: checks %s", name, err.text);
    check(part_open(&part, gen.path, &err) == 0);
    compare_rows(part, name);
    compare_columns(part, name);
    part_close(part);
}

/* --- damage --- */

static void
test_missing(void)
{
    static const uint32_t columns[] = {PART_LINK_TRACE, PART_LINK_SPAN,
        PART_LINK_TRACE_CODE, PART_LINK_SPAN_CODE};
    struct part *part = NULL;
    struct err err = ERR_INIT;

    check(part_open(&part, gen.path, &err) == 0);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        struct pool *pool = pool_new(POOL_MAX);
        struct reading r;
        struct batch batch;
        struct part_vector *vector;
        uint32_t row = 0;

        batch_init(&batch, pool);
        check(reading_open(&r, part, 0, &err) == 0);
        vector = (struct part_vector *)(uintptr_t)directory_find(r.dir,
            columns[i], PART_ROLE_VALUES);
        check(vector != NULL);
        vector->id++;
        while (row < nspans && reading_row(&r, row, &batch) == 0)
            row++;
        ok(row < nspans && err.code == ERR_CORRUPT,
            "without column %u: %s", columns[i], err.text);
        vector->id--;
        reading_release(&r);
        pool_free(pool);
    }
    part_close(part);
}

int
main(void)
{
    struct err err = ERR_INIT;

    part_gen_init(&gen);
    span_gen_init(&dice, 11);
    dice.now_ns += 3600 * NS_PER_SEC;
    part_gen_reset(&gen);
    make_spans(tenants[1], false);
    make_spans(tenants[0], true);
    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    compare("level 1");
    part_gen_merge(&gen, gen.path);
    compare("merged");
    test_missing();
    part_gen_free(&gen);
    return tap_done();
}
