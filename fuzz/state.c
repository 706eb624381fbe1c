/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Partial results of stats and its like (query/state.h): any bytes are an
 * error or become groups that can be printed, and what is saved of them is
 * read again, in one piece and in many.
 */

#include "core/base.h"

#include "core/assert.h"
#include "query/parse.h"
#include "query/pipe.h"
#include "query/query.h"
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
    "* | stats by (a) values(b) v, json_values(c) j, row_any(c) w",
    "* | stats row_max(a, b) x, field_min(a, b) y, histogram(a) h",
    "* | uniq by (a, b) with hits limit 3",
    "* | uniq by (a) limit 2",
    "* | top 5 by (a, b) rank",
    "* | field_values a filter x limit 3",
    "* | field_names filter a",
    "* | facets 3 max_values_per_field 4 max_value_len 8",
    "* | facets keep_const_fields",
    "* | blocks_count",
    "* | query_stats",
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

/* A state of a stage goes to another of the same pipe. */
static int
give(void *arg, struct sv state, struct err *err)
{
    struct stage *to = arg;
    int rc = to->state->load(to, 1, state, err);

    check(rc >= 0 || err->code == ERR_LIMIT);
    return MIN(rc, 0);
}

/* What a stage has of a state is saved, and that must be read again. */
static void
again(struct stage *stage, const struct pipe *pipe)
{
    struct err err = ERR_INIT;
    struct stage *fork;
    struct sb out;

    check(stage_new(&fork, pipe, stage->run, stage->next, &err) == 0);
    if (stats_can_save(stage)) {
        sb_init(&out, TEXT_MAX);
        if (stats_save(stage, UINT32_MAX, &out, &err) == 0 &&
            !sb_failed(&out) && stats_load(fork, 0, sb_sv(&out), &err) != 0)
            check(err.code == ERR_LIMIT);
        sb_release(&out);
    }
    err_reset(&err);
    if (stage->state->save(stage, give, fork, &err) != 0)
        check(err.code == ERR_LIMIT);
    fork->ops->free(fork);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(16 * MIB);
    struct stage sink = {.ops = &sink_ops};
    struct err err = ERR_INIT;
    struct query *query;
    struct stage *stage;
    struct query_env env = {.state_piece = size > 1 ? data[1] : 0};
    struct query_run run = {.nlanes = 2, .budget = {.max = MEMORY_MAX},
        .env = &env};

    if (size > 0) {
        check(query_parse(&query,
            sv_from(queries[data[0] % ARRAY_LEN(queries)]), 0, pool,
            &err) == 0);
        run.query = query;
        sink.run = &run;
        check(stage_new(&stage, query->pipes, &run, &sink, &err) == 0);
        if (stage->state->load(stage, 0, sv_make(data + 1, size - 1),
                &err) >= 0) {
            again(stage, query->pipes);
            check(stages_flush(stage, &err) == 0 || err.text[0] != '\0');
        } else {
            stages_free(stage);
        }
        check(atomic_load(&run.budget.used) == 0);
    }
    pool_free(pool);
    return 0;
}
