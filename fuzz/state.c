/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Partial results of stats (query/state.h): any bytes are an error or become
 * groups that can be printed, and what is saved of them is read again.
 */

#include "core/base.h"

#include "core/assert.h"
#include "query/parse.h"
#include "query/pipe.h"
#include "query/stage.h"
#include "query/state.h"

#define MEMORY_MAX (32 * MIB)
#define TEXT_MAX (16 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const queries[] = {
    "* | stats count() n",
    "* | stats by (a) count(b) n, sum(b) s, avg(b) v, rate() r",
    "* | stats by (a, b) min(c) i, max(c) x, sum_len(c) l",
    "* | stats by (a:10) quantile(0.9, c) q, median(c) m",
    "* | stats by (a) count_uniq(b, c) u, count_uniq(b) v",
    "* | stats by (_time:1m) uniq_values(a) u, count_empty(a) e",
    "* | stats stddev(a) d, count_uniq(trace_id) t, rate_sum(b) r",
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

/* What a stage has of a state is saved, and that must be read again. */
static void
again(struct stage *stage)
{
    struct err err = ERR_INIT;
    struct stage *fork;
    struct sb out;

    sb_init(&out, TEXT_MAX);
    check(stats_fork(&fork, stage, &err) == 0);
    if (stats_save(stage, UINT32_MAX, &out, &err) == 0 && !sb_failed(&out) &&
        stats_load(fork, 0, sb_sv(&out), &err) != 0)
        check(err.code == ERR_LIMIT);
    fork->ops->free(fork);
    sb_release(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(16 * MIB);
    struct stage sink = {.ops = &sink_ops};
    struct err err = ERR_INIT;
    struct query *query;
    struct stage *stage;
    struct query_run run = {.nlanes = 2, .budget = {.max = MEMORY_MAX}};

    if (size > 0) {
        check(query_parse(&query,
            sv_from(queries[data[0] % ARRAY_LEN(queries)]), 0, pool,
            &err) == 0);
        run.query = query;
        sink.run = &run;
        check(stage_new(&stage, query->pipes, &run, &sink, &err) == 0);
        if (stats_load(stage, 0, sv_make(data + 1, size - 1), &err) == 0) {
            again(stage);
            check(stages_flush(stage, &err) == 0 || err.text[0] != '\0');
        } else {
            stages_free(stage);
        }
        check(atomic_load(&run.budget.used) == 0);
    }
    pool_free(pool);
    return 0;
}
