/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Several threads read columns of one part while the cache throws pieces away
 * under them, and columns of a memtable while it is written: every text is
 * the one that a single thread sees.
 */

#include "core/base.h"

#include <pthread.h>

#include "storage/block.h"
#include "storage/part_read_cache.h"

#include "part_gen.h"
#include "span_gen.h"
#include "tap.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define POOL_MAX (512 * MIB)
#define POOL_KEEP (8 * MIB)
#define THREADS 4
#define ROUNDS 3
#define ROWS 2500u
#define NAMES_MAX 400u
/* A small share of what the part takes when it is read completely. */
#define SMALL_BUDGET (64 * KIB)

static struct part_gen gen;
static struct part *part;
static struct sv names[NAMES_MAX];
static uint32_t nnames;
static uint64_t want[NAMES_MAX];
static _Atomic uint32_t wrong;

/* --- a part --- */

/* All texts of a column as one number; 0 when it cannot be read. */
static uint64_t
sum_column(struct block *block, struct sv name, const uint64_t *wanted)
{
    const struct column *column = NULL;
    struct err err = ERR_INIT;
    uint64_t sum = 1;

    if (block_column(block, name, wanted, &column, &err) != 0)
        return 0;
    for (uint32_t row = 0; row < block_get_info(block)->rows; row++) {
        char buf[COLUMN_TEXT_MAX];
        struct sv text = column_text(column, row, buf);

        sum = sum * 31 + XXH3_64bits(text.ptr, text.len);
    }
    return sum;
}

static void
read_names(struct pool *pool)
{
    struct block *block = NULL;
    struct err err = ERR_INIT;
    const struct sv *v = NULL;

    check(block_open_part(&block, part, 0, pool, &err) == 0);
    check(block_fields(block, &v, &nnames, &err) == 0);
    nnames = MIN(nnames, NAMES_MAX);
    for (uint32_t i = 0; i < nnames; i++) {
        names[i] = v[i];
        want[i] = sum_column(block, v[i], NULL);
        check(want[i] != 0);
    }
    block_close(block);
}

/* Every thread begins elsewhere; some columns share a block. */
static void *
read_part(void *arg)
{
    struct pool *pool = pool_new(POOL_MAX);
    uint32_t first = (uint32_t)(uintptr_t)arg * 37;
    struct block *block = NULL;
    struct err err = ERR_INIT;

    pool_keep(pool, POOL_KEEP);
    for (uint32_t i = 0; i < nnames; i++) {
        uint32_t name = (first + i) % nnames;

        if (block == NULL &&
            block_open_part(&block, part, 0, pool, &err) != 0) {
            wrong++;
            break;
        }
        (void)block_may_have(block, names[name], SV("nowhere"));
        if (sum_column(block, names[name], NULL) != want[name])
            wrong++;
        if (i % 3 != 0)
            continue;
        block_close(block);
        block = NULL;
        pool_reset(pool);
    }
    block_close(block);
    pool_free(pool);
    return NULL;
}

static void
run(void *(*fn)(void *arg))
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, fn, (void *)i) == 0);
    for (uint32_t i = 0; i < THREADS; i++)
        check(pthread_join(threads[i], NULL) == 0);
}

static void
test_part(size_t budget)
{
    data_cache_set_budget(budget);
    wrong = 0;
    for (unsigned i = 0; i < ROUNDS; i++)
        run(read_part);
    is_int(wrong, 0, "part: %u columns, %d threads, %zu bytes of cache",
        nnames, THREADS, budget);
    ok(data_cache_held() <= budget, "the budget is kept: %zu",
        data_cache_held());
}

/* --- a memtable that grows --- */

static const struct tenant tenant0 = {0, 0};
static _Atomic bool is_done;

/* Row r has n = r and s = "row r"; every seventh has another shape. */
static void
add_rows(uint32_t from, uint32_t n)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct span_gen spans;
    struct batch batch;

    span_gen_init(&spans, from + 1);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    batch_init(&batch, pool);
    span_gen_real(&spans, &batch, 4, n);
    for (uint32_t i = 0; i < n; i++) {
        struct attr *v = gen_alloc(&batch, 4 * sizeof(*v));

        gen_attr_int(&v[0], "n", from + i);
        gen_attr_str(&v[1], "s", gen_printf(&batch, "row %u", from + i));
        gen_attr_str(&v[2], "method", SV("GET"));
        gen_attr_int(&v[3], "seventh", 7);
        batch.spans[i].attrs = (struct attrs){v,
            (from + i) % 7 == 0 ? 4 : 3};
    }
    check(part_gen_add(&gen, tenant0, &batch));
    pool_free(pool);
}

static void *
write_memtable(UNUSED void *arg)
{
    for (uint32_t row = 0; row < ROWS; row += 50)
        add_rows(row, 50);
    atomic_store(&is_done, true);
    return NULL;
}

static bool
is_text(const struct column *column, uint32_t row, const char *text)
{
    char buf[COLUMN_TEXT_MAX];

    return sv_eq(column_text(column, row, buf), sv_from(text));
}

static uint32_t
check_rows(struct block *block, uint32_t rows)
{
    const struct column *n = NULL, *s = NULL, *seventh = NULL, *name = NULL;
    struct err err = ERR_INIT;
    uint32_t bad = 0;

    if (block_column(block, SV("span_attr:n"), NULL, &n, &err) != 0 ||
        block_column(block, SV("span_attr:s"), NULL, &s, &err) != 0 ||
        block_column(block, SV("span_attr:seventh"), NULL, &seventh,
            &err) != 0 ||
        block_column(block, SV("name"), NULL, &name, &err) != 0)
        return 1;
    for (uint32_t row = 0; row < rows; row++) {
        char buf[COLUMN_TEXT_MAX], text[32];

        snprintf(text, sizeof(text), "%u", row);
        bad += !is_text(n, row, text);
        snprintf(text, sizeof(text), "row %u", row);
        bad += !is_text(s, row, text);
        bad += !is_text(seventh, row, row % 7 == 0 ? "7" : "");
        bad += column_text(name, row, buf).len == 0;
        if (row % 97 == 0)
            bad += !block_may_have(block, SV("span_attr:s"),
                sv_from(text));
    }
    return bad;
}

static void *
read_memtable(UNUSED void *arg)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct err err = ERR_INIT;
    bool is_last;

    pool_keep(pool, POOL_KEEP);
    do {
        struct block *block = NULL;
        uint32_t rows;

        is_last = atomic_load(&is_done);
        rows = memtable_committed(gen.mt);
        check(block_open_memtable(&block, gen.mt, rows, pool, &err) == 0);
        wrong += check_rows(block, rows);
        (void)block_may_have(block, SV("trace_id"),
            SV("0123456789abcdef0123456789abcdef"));
        (void)block_may_have(block, SV("name"), SV("nowhere"));
        (void)block_may_have(block, SV("resource_attr:host.name"),
            SV("nowhere"));
        block_close(block);
        pool_reset(pool);
    } while (!is_last);
    pool_free(pool);
    return NULL;
}

static void
test_memtable(void)
{
    pthread_t writer;

    part_gen_reset(&gen);
    wrong = 0;
    check(pthread_create(&writer, NULL, write_memtable, NULL) == 0);
    run(read_memtable);
    check(pthread_join(writer, NULL) == 0);
    is_int(wrong, 0, "memtable: %u rows, %d threads", ROWS, THREADS);
}

int
main(void)
{
    struct pool *pool = pool_new(POOL_MAX), *names_pool = pool_new(POOL_MAX);
    struct span_gen spans;
    struct batch batch;
    struct err err = ERR_INIT;

    part_gen_init(&gen);
    span_gen_init(&spans, 12);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    spans.shapes = 20;
    batch_init(&batch, pool);
    span_gen_wild(&spans, &batch, ROWS / 5);
    check(part_gen_add(&gen, tenant0, &batch));
    batch_init(&batch, pool);
    span_gen_real(&spans, &batch, 12, ROWS);
    check(part_gen_add(&gen, tenant0, &batch));
    pool_free(pool);
    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    check(part_open(&part, gen.path, &err) == 0);
    read_names(names_pool);
    test_part(SMALL_BUDGET);
    test_part(0);
    test_part(DATA_CACHE_BYTES);
    part_close(part);
    test_memtable();
    pool_free(names_pool);
    part_gen_free(&gen);
    return tap_done();
}
