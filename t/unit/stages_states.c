/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * States of stats functions as bytes: saved, loaded and merged they give what
 * the rows give; damaged ones are refused or taken, and nothing worse.
 */

#include "core/base.h"
#include "query/pipe.h"

#include "query/state.h"
#include "stage_spans.h"

#define STATE_MAX (16 * MIB)
#define DAMAGES 300u

static const char *const queries[] = {
    "* | stats by (kind) count() a, count_empty(took) b, rate() c",
    "* | stats sum(duration) a, rate_sum(kind) b, sum_len(name) c",
    "* | stats by (service) histogram(duration) a, histogram(took) b",
    "* | stats by (trace_id) row_max(duration, span_id, name) a, "
        "row_min(_time, span_id) b, row_any(trace_id) c",
    "* | stats by (trace_id) field_max(span_id, name) a, any(trace_id) b, "
        "field_min(took, span_id) c",
    "* | stats by (span_id) values(took, name) a, json_values(name) b, "
        "stddev(kind) c",
    "* | stats json_values(span_id) sort by (name desc, span_id) limit 4 a",
    "* | stats by (kind) json_values(span_id) sort by (span_id) a",
    "* | stats count_uniq_hash(name) a, uniq_values(took) b, min(took) c",
};

/* All rows in one fork, saved to out. */
static int
save_rows(struct chain *chain, uint64_t seed, struct sb *out,
    struct err *err)
{
    struct chain forked = *chain;
    int result = stats_fork(&forked.first, chain->first, err);

    if (result != 0)
        return -1;
    result = chain_feed(&forked, &span_table, 3, &seed, err);
    if (result == 0)
        result = stats_save(forked.first, 1000, out, err);
    forked.first->ops->free(forked.first);
    return result;
}

static void
give(struct sb *out)
{
    qsort(sink.lines, sink.n, sizeof(char *), line_order);
    for (uint32_t i = 0; i < sink.n; i++)
        sb_addf(out, "%s\n", sink.lines[i]);
    sink_reset(&sink);
}

static void
test_same(const char *query, uint64_t seed)
{
    struct err err = ERR_INIT;
    struct sb state, want, got;
    struct chain chain;

    sb_init(&state, STATE_MAX);
    sb_init(&want, STATE_MAX);
    sb_init(&got, STATE_MAX);
    if (run_table(&sink, query, &span_table, 3, seed) == 0)
        give(&want);
    if (chain_make(&chain, query, &sink, GIB, &err) != 0 ||
        !ok(stats_can_save(chain.first), "%s: can be saved", query) ||
        save_rows(&chain, seed, &state, &err) != 0 ||
        stats_load(chain.first, 1, sb_sv(&state), &err) != 0) {
        fail("%s: %s", query, err.text);
        stages_free(chain.first);
    } else {
        is_int(stages_flush(chain.first, &err), 0, "flushed");
        give(&got);
        is_str(got.ptr, want.ptr, "%s: the same", query);
    }
    pool_free(chain.pool);
    sb_release(&state);
    sb_release(&want);
    sb_release(&got);
}

static void
damage(struct sb *state, uint64_t *random)
{
    if (stage_random(random) % 2 == 0)
        state->len = stage_random(random) % (state->len + 1);
    for (uint32_t i = stage_random(random) % 4; i > 0 && state->len > 0; i--)
        state->ptr[stage_random(random) % state->len] =
            (char)(stage_random(random) % 4 == 0 ? 0xff
            : stage_random(random));
}

static void
test_damage(const char *query)
{
    struct err err = ERR_INIT;
    uint64_t random = 1;
    uint32_t refused = 0, left = 0;

    for (uint32_t i = 0; i < DAMAGES; i++) {
        struct chain chain;
        struct sb state;

        sb_init(&state, STATE_MAX);
        err = (struct err)ERR_INIT;
        if (chain_make(&chain, query, &sink, 4 * MIB, &err) != 0 ||
            save_rows(&chain, i, &state, &err) != 0) {
            fail("%s: %s", query, err.text);
            break;
        }
        damage(&state, &random);
        if (stats_load(chain.first, 0, sb_sv(&state), &err) != 0) {
            refused++;
            stages_free(chain.first);
        } else if (stages_flush(chain.first, &err) != 0) {
            refused++;
        }
        left += chain.run.budget.used != 0;
        sink_reset(&sink);
        pool_free(chain.pool);
        sb_release(&state);
    }
    ok(refused > 0, "%s: %u damaged states of %u refused", query, refused,
        DAMAGES);
    is_int(left, 0, "nothing is charged behind it");
}

int
main(void)
{
    spans_init();
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        for (uint64_t seed = 1; seed <= 5; seed++)
            test_same(queries[i], seed);
        test_damage(queries[i]);
    }
    return tap_done();
}
