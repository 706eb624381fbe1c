/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What indexes answer is what the rows answer: on random stores of parts of
 * both levels and memtables, of several tenants and nodes, and for times that
 * cut parts.
 */

#include "core/base.h"

#include "index_store.h"

#define STORES 12u
#define QUERIES 12u

static struct span_gen spans;

/* Random stores, each asked the same questions for random times. */
static void
test_queries(const char *name, const struct store_mix *mix,
    const char *const *pipes, size_t npipes)
{
    uint64_t saved = 0;
    unsigned wrong = 0;

    for (unsigned i = 0; i < STORES; i++) {
        store_random(&spans, mix);
        for (unsigned k = 0; k < QUERIES; k++)
            wrong += !store_agrees(&spans, "*", pipes[gen_below(&spans,
                (uint32_t)npipes)], &saved);
    }
    is_int(wrong, 0, "%s: all equal", name);
    ok(saved > 0, "%s: %llu blocks were not read", name,
        (unsigned long long)saved);
}

static void
test_traces(void)
{
    static const char *const pipes[] = {
        "| stats count_uniq(trace_id)",
        "| stats count_uniq(trace_id) as n",
        "| stats count_uniq(trace_id) limit 100",
        "| stats by () count_uniq(trace_id) n | limit 5",
        "| stats count_uniq(trace_id, name)",
        "| stats by (kind) count_uniq(trace_id)",
        "| stats count_uniq(trace_id) if (kind:=2) a",
    };
    static const struct store_mix mixes[] = {
        {6, 4000, false, false}, {12, 300, false, false},
        {8, 2000, true, true}, {20, 60, true, false}, {1, 3000, false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(mixes); i++) {
        test_queries("count_uniq(trace_id)", &mixes[i], pipes, 4);
        test_queries("and its like", &mixes[i], pipes, ARRAY_LEN(pipes));
    }
}

/* Large enough that many hashes begin with the same bits. */
static void
test_many_traces(void)
{
    struct store_mix mix = {5, 60000, false, false};
    uint64_t saved = 0;

    store_random(&spans, &mix);
    for (unsigned i = 0; i < 4; i++)
        ok(store_agrees(&spans, "*", "| stats count_uniq(trace_id)", &saved),
            "many traces, %u", i);
}

int
main(void)
{
    span_gen_init(&spans, 4711);
    store_open();
    test_traces();
    test_many_traces();
    store_close();
    return tap_done();
}
