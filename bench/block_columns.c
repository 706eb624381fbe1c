/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reading columns of one full block: ns a row by field, from a memtable and
 * from a part whose pieces are in the cache, and what a text that is not
 * there costs a block.
 */

#include "core/base.h"

#include <time.h>

#include "core/assert.h"
#include "core/mem.h"
#include "storage/block.h"
#include "storage/part_read.h"

#include "../t/unit/part_gen.h"
#include "../t/unit/span_gen.h"

#define POOL_MAX (2 * GIB)
#define POOL_KEEP (16 * MIB)
#define ROUNDS 15
#define CACHE_BYTES (256 * MIB)

static struct part_gen gen;
static struct part *part;
static const struct tenant tenant0 = {0, 0};

/* CPU time, since other processes may want the machine as well. */
static int64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static int
compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static void
fill_memtable(void)
{
    struct span_gen g;
    bool fits = true;

    span_gen_init(&g, 42);
    g.now_ns += 3600 * NS_PER_SEC;
    while (fits) {
        struct pool *pool = pool_new(POOL_MAX);
        struct batch batch;

        batch_init(&batch, pool);
        span_gen_real(&g, &batch, 12, 1000);
        fits = part_gen_add(&gen, tenant0, &batch);
        pool_free(pool);
    }
}

static void
open_part(void)
{
    struct err err = ERR_INIT;

    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    check(part_open(&part, gen.path, &err) == 0);
}

static struct block *
open_block(bool is_part, struct pool *pool)
{
    struct block *block = NULL;
    struct err err = ERR_INIT;
    int rc = is_part ? block_open_part(&block, part, 0, pool, &err) :
        block_open_memtable(&block, gen.mt, memtable_rows(gen.mt), pool,
            &err);

    check(rc == 0);
    return block;
}

static const char *
kind_name(const struct column *column)
{
    static const char *const names[] = {"empty", "const", "codes", "ints",
        "uints", "times", "ids", "texts"};

    return names[column->kind];
}

/* The block is opened and closed as well: that is what a query does. */
static double
bench_column(bool is_part, struct sv field, const uint64_t *wanted,
    const char **kind)
{
    static struct pool *pool;
    int64_t ns[ROUNDS];

    if (pool == NULL) {
        pool = pool_new(POOL_MAX);
        pool_keep(pool, POOL_KEEP);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        const struct column *column = NULL;
        struct err err = ERR_INIT;
        int64_t start = cpu_ns();
        struct block *block = open_block(is_part, pool);

        check(block_column(block, field, wanted, &column, &err) == 0);
        *kind = kind_name(column);
        block_close(block);
        pool_reset(pool);
        ns[i] = cpu_ns() - start;
    }
    qsort(ns, ROUNDS, sizeof(ns[0]), compare_i64);
    return (double)ns[ROUNDS / 2];
}

static void
bench_columns(void)
{
    static const char *const fields[] = {"_msg", "_time", "duration",
        "start_time_unix_nano", "end_time_unix_nano", "trace_id", "span_id",
        "parent_span_id", "name", "kind", "status_code", "flags",
        "status_message", "scope_name", "_stream", "_stream_id",
        "resource_attr:service.name", "resource_attr:host.name",
        "span_attr:http.request.method", "span_attr:http.route",
        "span_attr:url.path", "span_attr:http.response.status_code",
        "span_attr:app.request_id", "span_attr:never",
        "event:0:event_name", "event:0:event_attr:exception.type"};
    uint32_t rows = memtable_rows(gen.mt);
    static uint64_t few[BITMAP_WORDS(BLOCK_ROWS_MAX)];

    for (uint32_t row = 5; row < MIN(rows, gen.nrows); row += 2000)
        bitmap_set(few, row);
    printf("%-36s %-6s %9s %9s  %9s\n", "", "", "memtable", "part",
        "part, 33");
    printf("%-36s %-6s %9s %9s  %9s\n", "field", "kind", "ns/row", "ns/row",
        "us");
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        struct sv field = sv_from(fields[i]);
        const char *kind = "";
        double memtable = bench_column(false, field, NULL, &kind) / rows;
        double single = bench_column(true, field, few, &kind) / 1000;
        double full = bench_column(true, field, NULL, &kind) / gen.nrows;

        printf("%-36s %-6s %9.2f %9.2f  %9.1f\n", fields[i], kind, memtable,
            full, single);
    }
}

static double
bench_absent(bool is_part, struct sv field, struct sv text)
{
    struct pool *pool = pool_new(POOL_MAX);
    int64_t ns[ROUNDS];

    for (unsigned i = 0; i < ROUNDS; i++) {
        int64_t start = cpu_ns();
        struct block *block = open_block(is_part, pool);

        check(!block_may_have(block, field, text));
        block_close(block);
        pool_reset(pool);
        ns[i] = cpu_ns() - start;
    }
    qsort(ns, ROUNDS, sizeof(ns[0]), compare_i64);
    pool_free(pool);
    return (double)ns[ROUNDS / 2] / 1000;
}

static void
bench_needles(void)
{
    static const char *const needles[][2] = {
        {"name", "no such"},
        {"resource_attr:service.name", "no such"},
        {"trace_id", "0123456789abcdef0123456789abcdef"},
        {"span_attr:never", "x"},
        {"span_attr:http.request.method", "BREW"},
        {"span_attr:url.path", "/api/v1/resource-9/4711"},
        {"span_attr:app.request_id",
            "01234567-89ab-4cde-aabc-0123456789ab"},
    };

    printf("\n%-36s %9s %9s\n%-36s %9s %9s\n", "", "memtable", "part",
        "text that is not there", "us", "us");
    for (size_t i = 0; i < ARRAY_LEN(needles); i++) {
        struct sv field = sv_from(needles[i][0]);
        struct sv text = sv_from(needles[i][1]);

        printf("%-36s %9.1f %9.1f\n", needles[i][0],
            bench_absent(false, field, text),
            bench_absent(true, field, text));
    }
}

int
main(int argc, char **argv)
{
    data_cache_set_budget(CACHE_BYTES);
    part_gen_init(&gen);
    fill_memtable();
    open_part();
    printf("%u rows in the memtable, %u in the part\n",
        memtable_rows(gen.mt), gen.nrows);
    if (argc > 1) {
        const char *kind;

        for (int i = 0; i < 300; i++)
            bench_column(argc == 2, sv_from(argv[1]), NULL, &kind);
    } else {
        bench_columns();
        bench_needles();
    }
    part_close(part);
    part_gen_free(&gen);
    return 0;
}
