/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * LogsQL that is run: the filter selects as many rows of a memtable as of a
 * part with the same rows, a block that cannot match has none, and pipes end
 * with rows or an error.
 */

#include "core/base.h"

#include <sys/mman.h>

#include "core/assert.h"
#include "core/timefmt.h"
#include "query/filter.h"
#include "query/inside.h"
#include "query/parse.h"
#include "query/pipe.h"
#include "query/rows.h"
#include "query/stage.h"
#include "storage/block.h"

#include "part_gen.h"
#include "span_gen.h"

#define ROWS 150
#define REAL_ROWS 300
/* A query that ends for one of these is no fault. */
#define SECONDS_MAX 4
#define MEMORY_MAX (8 * MIB)
#define NOW INT64_C(1800000000123456789)
#define TEXT_MAX (4 * KIB)

static const struct tenant tenant0;
static struct part_gen gen;
static struct part *part;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(UNUSED int *argc, UNUSED char ***argv)
{
    struct pool *pool = pool_new(64 * MIB);
    struct err err = ERR_INIT;
    struct span_gen spans;
    struct batch batch;
    char path[64];
    int fd = memfd_create("part", MFD_CLOEXEC);

    part_gen_init(&gen);
    span_gen_init(&spans, 1);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    spans.huge_every = 0;
    spans.shapes = 20;
    batch_init(&batch, pool);
    span_gen_wild(&spans, &batch, ROWS);
    check(part_gen_add(&gen, tenant0, &batch));
    batch_init(&batch, pool);
    span_gen_real(&spans, &batch, 3, REAL_ROWS);
    check(part_gen_add(&gen, tenant0, &batch));
    check(part_gen_encode(&gen, &err) == 0);
    pool_free(pool);
    check(fd >= 0 && write(fd, gen.file.ptr, gen.file.len) ==
        (ssize_t)gen.file.len);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    check(part_open(&part, path, &err) == 0);
    check(part_get_info(part)->nblocks == 1 &&
        part_get_info(part)->rows == memtable_rows(gen.mt));
    return 0;
}

/* --- the sink: looks at every byte --- */

static int
sink_write(UNUSED struct stage *stage, UNUSED unsigned lane,
    struct rows *rows, struct err *err)
{
    const struct sv *names;
    const struct column *column;
    uint64_t sum = 0;
    uint32_t n;

    if (rows_names(rows, &names, &n, err) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (rows_column(rows, names[i], &column, err) != 0)
            return -1;
        for (uint32_t row = rows_first(rows); row < rows->n;
            row = rows_next(rows, row)) {
            char buf[COLUMN_TEXT_MAX];
            struct sv text = column_text(column, row, buf);

            for (size_t k = 0; k < text.len; k++)
                sum += (uint8_t)text.ptr[k];
        }
    }
    check(sum != UINT64_MAX);
    return 0;
}

static void
sink_free(UNUSED struct stage *stage)
{
}

static const struct stage_ops sink_ops = {
    sink_write, stage_flush_nothing, sink_free
};

/* --- running --- */

/* Queries inside of the query have no store here that could run them. */
static void
is_expected(const struct err *err)
{
    if (err->code != ERR_LIMIT && err->code != ERR_TIMEOUT &&
        err->code != ERR_UNSUPPORTED)
        panic("%d: %s", (int)err->code, err->text);
}

static int
stages_make(const struct pipe *pipe, struct query_run *run,
    struct stage *sink, struct stage **out, struct err *err)
{
    if (pipe == NULL) {
        *out = sink;
        return 0;
    }
    if (stages_make(pipe->next, run, sink, out, err) != 0)
        return -1;
    return stage_new(out, pipe, run, *out, err);
}

/*
 * Rows that the filter selects; -1 when it failed.  *state is what the
 * stages said last: 0, 1 or -1, after which they get no more.
 */
static int
run_block(struct query_run *run, struct block *block, struct stage *first,
    unsigned lane, int *state)
{
    struct pool *pool = pool_new(64 * MIB);
    struct err err = ERR_INIT;
    struct rows rows;
    uint32_t n = block_get_info(block)->rows;
    bool may_match = filter_may_match(run->query->filter, block);
    int count = -1;

    rows_init_block(&rows, block, n, pool);
    rows.run = run;
    if (rows_filter(&rows, run->query->filter, &err) != 0) {
        is_expected(&err);
        goto out;
    }
    count = (int)rows.nselected;
    check(may_match || count == 0);
    if (count == 0 || *state != 0)
        goto out;
    *state = stage_write(first, lane, &rows, &err);
    if (*state < 0)
        is_expected(&err);
out:
    pool_free(pool);
    return count;
}

static void
run_both(struct query_run *run, struct stage *first)
{
    struct pool *pool = pool_new(64 * MIB);
    struct block *table = NULL, *sorted = NULL;
    struct err err = ERR_INIT;
    int a, b, state = 0;

    check(block_open_memtable(&table, gen.mt, memtable_rows(gen.mt), pool,
        &err) == 0);
    check(block_open_part(&sorted, part, 0, pool, &err) == 0);
    a = run_block(run, table, first, 0, &state);
    b = run_block(run, sorted, first, 1, &state);
    if (a >= 0 && b >= 0 && a != b)
        panic("%d rows of the memtable, %d of the part", a, b);
    block_close(table);
    block_close(sorted);
    pool_free(pool);
    if (state < 0)
        stages_free(first);
    else if (stages_flush(first, &err) != 0)
        is_expected(&err);
}

/* A query inside the query: of the same rows. */
static int
ask_inside(struct query_run *outer, struct query *query, struct stage *last,
    struct err *err)
{
    struct query_run run = {
        .budget = {0, outer->budget.max, NULL, &outer->budget},
        .query = query, .nlanes = 2, .deadline_ns = outer->deadline_ns,
        .inside = outer->inside, .depth = outer->depth + 1,
        .run_inside = ask_inside, .time_bound = INT64_MIN};
    struct stage *first = last;

    last->run = &run;
    if (inside_resolve(&run, query, err) != 0 ||
        query_prepare(query, err) != 0 ||
        stages_make(query->pipes, &run, last, &first, err) != 0) {
        stages_free(first);
        return -1;
    }
    run_both(&run, first);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = sv_make(data, MIN(size, TEXT_MAX));
    struct inside inside;
    struct pool *pool = pool_new(64 * MIB);
    struct query_run run = {.budget = {.max = MEMORY_MAX}, .nlanes = 2,
        .deadline_ns = clock_mono_ns() + SECONDS_MAX * NS_PER_SEC,
        .inside = &inside, .run_inside = ask_inside,
        .time_bound = INT64_MIN};
    struct stage sink = {.ops = &sink_ops, .run = &run}, *first = &sink;
    struct err err = ERR_INIT;
    struct query *query;

    inside_init(&inside, &run.budget);
    if (query_parse(&query, text, NOW, pool, &err) == 0 &&
        inside_resolve(&run, query, &err) == 0 &&
        query_prepare(query, &err) == 0) {
        run.query = query;
        if (stages_make(query->pipes, &run, &sink, &first, &err) == 0)
            run_both(&run, first);
        else
            stages_free(first);
    }
    inside_free(&inside);
    check(run.budget.used == 0);
    pool_free(pool);
    return 0;
}
