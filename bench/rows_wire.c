/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows between servers (cluster/rows_wire.h): what a row of one full block
 * takes as bytes, alone and in a compressed frame, and how long each step
 * takes.  "load" is what loading the columns costs a query anyway.  A part of
 * profile a (460 bytes of OTLP a span), on a busy machine:
 *
 *   all columns   94 bytes a row, 49 in a frame; ns: put 290, compress 125,
 *                 decompress 40, take 100
 *   six of them   20 and 20; put 35, compress 16, decompress 2, take 5
 *
 * "columns" as an argument: each column of profile a and b by itself.
 */

#include "core/base.h"

#include <time.h>

#include "cli/gen.h"
#include "cluster/frame.h"
#include "cluster/rows_wire.h"
#include "core/assert.h"
#include "core/compress.h"
#include "storage/part_read.h"

#include "../t/unit/part_gen.h"

#define POOL_MAX (2 * GIB)
#define ROUNDS 7
#define CACHE_BYTES (256 * MIB)
#define PAYLOAD_MAX (MIB)
#define COLUMNS_MAX 4096

static struct part_gen gen;
static struct part *part;
static const struct tenant tenant0 = {0, 0};

enum step { LOAD, PUT, PACK, UNPACK, TAKE, STEPS };

struct cost {
    int64_t ns[STEPS];
    size_t bytes;
    size_t packed;
    uint32_t rows;
};

static int64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static void
make_block(enum gen_profile profile)
{
    struct gen *made = gen_new(profile, 1, INT64_C(1790000000000000000),
        3 * NS_PER_MS);
    struct err err = ERR_INIT;
    bool fits = true;

    part_gen_init(&gen);
    while (fits) {
        struct pool *pool = pool_new(POOL_MAX);
        struct batch batch;

        batch_init(&batch, pool);
        check(gen_traces(made, 200, &batch) == 0);
        fits = part_gen_add(&gen, tenant0, &batch);
        pool_free(pool);
    }
    gen_free(made);
    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    check(part_open(&part, gen.path, &err) == 0);
}

static struct block *
open_block(bool is_part, struct pool *pool)
{
    struct block *block = NULL;
    struct err err = ERR_INIT;

    check((is_part ? block_open_part(&block, part, 0, pool, &err) :
        block_open_memtable(&block, gen.mt, memtable_rows(gen.mt), pool,
            &err)) == 0);
    return block;
}

static void
load(struct rows *rows, const struct needed *needed)
{
    static const struct field_pattern star = {{"", 0}, true};
    struct err err = ERR_INIT;
    struct name_list names;

    check(rows_match_names(rows, needed->is_all ? &star : needed->patterns,
        needed->is_all ? 1 : needed->n, &names, &err) == 0);
    for (uint32_t i = 0; i < names.n; i++) {
        const struct column *column;

        check(rows_column(rows, names.v[i], &column, &err) == 0);
    }
}

/* One payload through all steps. */
static void
carry(struct cost *cost, struct sv payload)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct err err = ERR_INIT;
    struct sb packed, plain;
    struct rows got;
    int64_t start;

    sb_init(&packed, 2 * FRAME_BYTES_MAX);
    sb_init(&plain, FRAME_BYTES_MAX);
    start = cpu_ns();
    check(compress_append(ENCODING_ZSTD, payload, 1, &packed, &err) == 0);
    cost->ns[PACK] += cpu_ns() - start;
    start = cpu_ns();
    check(decompress(ENCODING_ZSTD, sb_sv(&packed), payload.len, &plain,
        &err) == 0);
    cost->ns[UNPACK] += cpu_ns() - start;
    start = cpu_ns();
    check(rows_take(&got, sb_sv(&plain), pool, &err) == 0);
    cost->ns[TAKE] += cpu_ns() - start;
    cost->bytes += payload.len;
    cost->packed += packed.len;
    cost->rows += got.n;
    sb_release(&packed);
    sb_release(&plain);
    pool_free(pool);
}

static struct cost
measure(bool is_part, uint32_t every, const struct needed *needed)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct block *block = open_block(is_part, pool);
    uint32_t n = block_get_info(block)->rows, row = 0;
    uint64_t *bits = pool_zalloc(pool, BITMAP_WORDS(n) * 8);
    struct cost cost = {0};
    struct err err = ERR_INIT;
    struct rows rows;
    struct sb out;
    int64_t start;

    for (uint32_t i = 0; i < n; i += every)
        bitmap_set(bits, i);
    rows_init_block(&rows, block, n, pool);
    rows_select(&rows, bits);
    start = cpu_ns();
    load(&rows, needed);
    cost.ns[LOAD] = cpu_ns() - start;
    sb_init(&out, FRAME_BYTES_MAX);
    while (row < n) {
        sb_reset(&out);
        start = cpu_ns();
        check(rows_put(&out, &rows, needed, &row, PAYLOAD_MAX, &err) == 0);
        cost.ns[PUT] += cpu_ns() - start;
        carry(&cost, sb_sv(&out));
    }
    sb_release(&out);
    block_close(block);
    pool_free(pool);
    return cost;
}

static void
print_costs(const char *what, bool is_part, uint32_t every,
    const struct needed *needed)
{
    struct cost best = {.rows = 0};

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct cost cost = measure(is_part, every, needed);

        for (unsigned k = 0; k < STEPS; k++) {
            if (best.rows == 0 || cost.ns[k] < best.ns[k])
                best.ns[k] = cost.ns[k];
        }
        best.rows = cost.rows;
        best.bytes = cost.bytes;
        best.packed = cost.packed;
    }
    printf("%-9s %-24s %6u rows %7.1f B %7.1f B packed; ns: load %6.0f "
        "put %6.0f pack %6.0f unpack %6.0f take %6.0f\n",
        is_part ? "part" : "memtable", what, best.rows,
        (double)best.bytes / best.rows, (double)best.packed / best.rows,
        (double)best.ns[LOAD] / best.rows, (double)best.ns[PUT] / best.rows,
        (double)best.ns[PACK] / best.rows,
        (double)best.ns[UNPACK] / best.rows,
        (double)best.ns[TAKE] / best.rows);
}

static void
print_columns(bool is_part)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct block *block = open_block(is_part, pool);
    struct err err = ERR_INIT;
    const struct sv *names;
    uint32_t n;

    check(block_fields(block, &names, &n, &err) == 0);
    for (uint32_t i = 0; i < n; i++) {
        struct field_pattern one = {names[i], false};
        struct needed needed = {&one, 1, false};
        struct cost cost = measure(is_part, 1, &needed);

        if (cost.bytes / 4 > cost.rows / 4)
            printf("  %-44.*s %6.2f B %6.2f B packed; ns: load %4.0f put "
                "%4.0f pack %4.0f take %4.0f\n", SV_ARG(names[i]),
                (double)cost.bytes / cost.rows,
                (double)cost.packed / cost.rows,
                (double)cost.ns[LOAD] / cost.rows,
                (double)cost.ns[PUT] / cost.rows,
                (double)cost.ns[PACK] / cost.rows,
                (double)cost.ns[TAKE] / cost.rows);
    }
    block_close(block);
    pool_free(pool);
}

int
main(int argc, char **argv)
{
    static const struct field_pattern some[] = {{{"_time", 5}, false},
        {{"trace_id", 8}, false}, {{"span_id", 7}, false},
        {{"duration", 8}, false}, {{"name", 4}, false},
        {{"resource_attr:service.name", 26}, false}};
    const struct needed all = {.is_all = true};
    const struct needed few = {(struct field_pattern *)(uintptr_t)some,
        ARRAY_LEN(some), false};

    data_cache_set_budget(CACHE_BYTES);
    for (enum gen_profile profile = GEN_A; profile <= GEN_B; profile++) {
        printf("profile %c\n", profile == GEN_A ? 'a' : 'b');
        make_block(profile);
        for (unsigned is_part = 0; is_part < 2; is_part++) {
            print_costs("all columns", is_part, 1, &all);
            print_costs("all columns, row of 16", is_part, 16, &all);
            print_costs("6 columns", is_part, 1, &few);
            print_costs("6 columns, row of 1000", is_part, 1000, &few);
        }
        if (argc > 1 && strcmp(argv[1], "columns") == 0)
            print_columns(true);
        part_close(part);
        part_gen_free(&gen);
    }
    return 0;
}
