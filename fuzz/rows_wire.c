/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows from other nodes: any bytes are an error, or rows that can be read, put
 * and taken again, and run through pipes.
 */

#include "core/base.h"

#include "cluster/frame.h"
#include "cluster/rows_wire.h"
#include "core/assert.h"
#include "query/filter.h"
#include "query/parse.h"
#include "query/pipe.h"
#include "query/stage.h"

#define POOL_MAX (32 * MIB)
#define MEMORY_MAX (16 * MIB)
/* Larger ones take long and tell no more. */
#define CELLS_MAX 200000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct needed all_columns = {.is_all = true};

static const char *const queries[] = {
    "* | stats by (a) count() n, count_uniq(b) u, sum(c) s",
    "* | uniq by (b, c) with hits",
    "* | sort by (c desc, a) limit 10",
    "* | stats by (_time:1h) min(a) i, max(b) x, quantile(0.5, c) q",
    "* | filter a:b or b:>5 or c:~\"x\" | top 5 by (a)",
    "* | stats count_uniq(a) u, uniq_values(b) v, row_max(c) r",
    "* | math a * 2 as b | delete c | limit 3",
    "* | facets | pack_json as x | len(x) as y",
};

static int
sink_write(UNUSED struct stage *stage, UNUSED unsigned lane,
    UNUSED struct rows *rows, UNUSED struct err *err)
{
    return 0;
}

static void
sink_free(UNUSED struct stage *stage)
{
}

static const struct stage_ops sink_ops = {
    sink_write, stage_flush_nothing, sink_free
};

/* Every text of every row is looked at. */
static size_t
read_texts(const struct rows *rows)
{
    size_t sum = 0;

    for (uint32_t k = 0; k < rows->ncolumns; k++) {
        for (uint32_t row = 0; row < rows->n; row++) {
            char buf[COLUMN_TEXT_MAX];
            struct sv text = column_text(&rows->columns[k], row, buf);

            sum = sum * 31 + text.len;
            for (size_t i = 0; i < text.len; i++)
                sum = sum * 31 + (unsigned char)text.ptr[i];
        }
    }
    return sum;
}

static void
again(struct rows *rows, struct pool *pool)
{
    struct err err = ERR_INIT;
    struct rows got;
    uint32_t row = 0;
    struct sb out;

    sb_init(&out, FRAME_BYTES_MAX);
    check(rows_put(&out, rows, &all_columns, &row, FRAME_BYTES_MAX,
        &err) == 0);
    if (row == rows->n && rows_take(&got, sb_sv(&out), pool, &err) != 0)
        check(err.code == ERR_LIMIT);
    else if (row == rows->n)
        check(got.n == rows->n && got.ncolumns == rows->ncolumns &&
            read_texts(&got) == read_texts(rows));
    sb_release(&out);
}

static void
run(struct rows *rows, const char *text, struct pool *pool)
{
    struct query_run run = {.nlanes = 1, .budget = {.max = MEMORY_MAX},
        .time_bound = INT64_MIN, .duration_bound = INT64_MIN};
    struct stage sink = {.ops = &sink_ops, .run = &run};
    struct stage *first = &sink;
    struct err err = ERR_INIT;
    const struct pipe *pipes[8];
    struct query *query;
    uint32_t n = 0;
    int rc;

    check(query_parse(&query, sv_from(text), 0, pool, &err) == 0);
    check(query_prepare(query, &err) == 0);
    run.query = query;
    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next)
        pipes[n++] = pipe;
    while (n-- > 0)
        check(stage_new(&first, pipes[n], &run, first, &err) == 0);
    rc = rows_filter(rows, query->filter, &err);
    if (rc == 0)
        rc = stage_write(first, 0, rows, &err);
    if (rc >= 0)
        rc = stages_flush(first, &err);
    else
        stages_free(first);
    check(rc >= 0 || err.text[0] != '\0');
    check(atomic_load(&run.budget.used) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct err err = ERR_INIT;
    struct rows rows;

    if (size > 1 && rows_take(&rows, sv_make(data + 1, size - 1), pool,
            &err) == 0) {
        if ((size_t)rows.n * rows.ncolumns <= CELLS_MAX) {
            again(&rows, pool);
            run(&rows, queries[data[0] % ARRAY_LEN(queries)], pool);
        }
    } else if (size > 1) {
        check(err.text[0] != '\0');
    }
    pool_free(pool);
    return 0;
}
