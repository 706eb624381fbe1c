/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reads a damaged memtable in every way: no read leaves the region.  The
 * input is a list of words to overwrite: u8 area, u16 word in the area
 * (modulo what is used of it), u32 the new word.
 */

#include "core/base.h"
#include "core/assert.h"
#include "storage/block.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"
#include "storage/stream_visit.h"

#include "span_gen.h"
#include "use_column.h"

#define ROWS 60
#define DAMAGES_MAX 64
#define DAMAGE_BYTES 7

static const struct tenant tenant0 = {1, 2};
static struct memtable *mt;

struct area {
    uint32_t *words;
    size_t n;
};

#define AREA(array, entries) \
    {(uint32_t *)(void *)mt->array, (entries) * sizeof(mt->array[0]) / 4}
#define AREAS 23

static struct area areas[AREAS];
static uint8_t *pristine;

/* The used part of each array. */
static void
find_areas(void)
{
    const struct memtable_header *h = &mt->h;
    const struct area found[AREAS] = {
        AREA(header_page, sizeof(mt->header_page)),
        AREA(trace_id, ROWS), AREA(span_id, ROWS), AREA(parent_id, ROWS),
        AREA(start_ns, ROWS), AREA(end_ns, ROWS), AREA(stream, ROWS),
        AREA(shape, ROWS), AREA(resource, ROWS), AREA(values, ROWS),
        AREA(subs, ROWS), AREA(chain, ROWS), AREA(status, ROWS),
        AREA(buckets, MEMTABLE_BUCKETS), AREA(strings, h->nstrings),
        AREA(keys, h->nkeys), AREA(shapes, h->nshapes),
        AREA(streams, h->nstreams), AREA(resources, h->nresources),
        AREA(scopes, h->nscopes), AREA(tenants, h->ntenants),
        AREA(heap, h->words_used),
        {&mt->heap[MEMTABLE_HEAP_WORDS - h->bytes_used / 4],
            h->bytes_used / 4},
    };

    memcpy(areas, found, sizeof(areas));
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(UNUSED int *argc, UNUSED char ***argv)
{
    struct memtable_writer *writer = memtable_writer_new();
    struct pool *pool = pool_new(64 * MIB);
    struct span_gen gen;
    struct batch batch;

    span_gen_init(&gen, 1);
    gen.huge_every = 0;
    gen.shapes = 20;
    batch_init(&batch, pool);
    span_gen_wild(&gen, &batch, ROWS);
    mt = memtable_init(aligned_alloc(4096, MEMTABLE_BYTES), 1, 0);
    memtable_writer_attach(writer, mt);
    check(memtable_append(writer, &tenant0, &batch, 0) == ROWS);
    memtable_commit(mt, ROWS);
    memtable_writer_free(writer);
    pool_free(pool);
    pristine = aligned_alloc(4096, MEMTABLE_BYTES);
    memcpy(pristine, mt, MEMTABLE_BYTES);
    find_areas();
    return 0;
}

static int
visit(struct sv service, struct sv name, UNUSED int32_t kind, void *arg)
{
    uint64_t *sum = arg;

    for (size_t i = 0; i < service.len; i += 100)
        *sum += (uint8_t)service.ptr[i];
    for (size_t i = 0; i < name.len; i += 100)
        *sum += (uint8_t)name.ptr[i];
    return 0;
}

/* What was read must stand in memory of its own. */
static void
use_batch(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->nspans; i++)
        check(span_equal(batch, &batch->spans[i], batch, &batch->spans[i]));
}

static void
read_rows(uint32_t rows)
{
    for (uint32_t row = 0; row < MIN(rows, ROWS); row++) {
        struct pool *pool = pool_new(MIB);
        struct err err = ERR_INIT;
        struct batch batch;

        batch_init(&batch, pool);
        if (memtable_read_row(mt, row, &batch, &err) != 0)
            check(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
        use_batch(&batch);
        pool_free(pool);
    }
}

static void
read_traces(uint32_t rows)
{
    for (uint32_t row = 0; row < ROWS; row += 3) {
        struct pool *pool = pool_new(MIB);
        struct trace_id id = mt->trace_id[row];
        bool truncated = false;
        struct err err = ERR_INIT;
        struct batch batch;

        batch_init(&batch, pool);
        if (memtable_read_trace(mt, rows, &tenant0, &id, 1000, &batch,
            &truncated, &err) != 0)
            check(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
        use_batch(&batch);
        pool_free(pool);
    }
}

static void
ask(uint32_t rows)
{
    struct pool *pool = pool_new(MIB);
    uint64_t sum = 0;
    struct stream_visit streams = {visit, &sum, INT64_MIN, INT64_MAX};
    uint32_t days[MEMTABLE_DAYS_MAX];
    int64_t low, high;
    struct err err = ERR_INIT;

    if (memtable_visit_streams(mt, rows, &tenant0, &streams, &err) != 0)
        check(err.code == ERR_CORRUPT);
    memtable_end_range(mt, rows, &low, &high);
    check(memtable_days(mt, days) <= MEMTABLE_DAYS_MAX);
    pool_free(pool);
}

/* Every STEP-th field from `first` on: an input that grows asks them all. */
#define STEP 16u

static void
ask_columns(uint32_t rows, uint32_t first)
{
    struct pool *pool = pool_new(64 * MIB);
    struct err err = ERR_INIT;
    struct block *block = NULL;
    const struct sv *names = NULL;
    uint64_t bits[BITMAP_WORDS(BLOCK_ROWS_MAX)];
    uint32_t count, n = 0;

    if (block_open_memtable(&block, mt, rows, pool, &err) != 0) {
        check(err.code == ERR_CORRUPT && rows > BLOCK_ROWS_MAX);
        pool_free(pool);
        return;
    }
    if (block_select_tenant(block, &tenant0, bits, &count, &err) != 0 ||
        block_fields(block, &names, &n, &err) != 0)
        check(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
    for (uint32_t i = first % STEP; i < n; i += STEP) {
        const struct column *column = NULL;

        (void)block_may_have(block, names[i], SV("value-7"));
        (void)block_may_have(block, names[i], SV("4711"));
        if (block_column(block, names[i], NULL, &column, &err) == 0)
            use_column(column, rows);
        else
            check(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
    }
    (void)block_may_have(block, SV("trace_id"),
        SV("0123456789abcdef0123456789abcdef"));
    block_close(block);
    pool_free(pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t *damaged[DAMAGES_MAX];
    unsigned n = 0;
    uint32_t rows;

    for (; n < DAMAGES_MAX && size >= DAMAGE_BYTES; n++) {
        const struct area *area = &areas[data[0] % AREAS];
        uint16_t at;

        memcpy(&at, data + 1, sizeof(at));
        damaged[n] = area->words + at % area->n;
        memcpy(damaged[n], data + 3, sizeof(uint32_t));
        data += DAMAGE_BYTES;
        size -= DAMAGE_BYTES;
    }
    /* Going on after the check said no must not crash either. */
    if (memtable_check(mt, NULL) == 0)
        check(memtable_committed(mt) <= MEMTABLE_ROWS_MAX);
    rows = memtable_committed(mt);
    read_rows(rows);
    read_traces(rows);
    ask(rows);
    ask_columns(rows, n + (uint32_t)size);
    while (n-- > 0)
        memcpy(damaged[n],
            pristine + ((uint8_t *)damaged[n] - (uint8_t *)mt),
            sizeof(uint32_t));
    return 0;
}
