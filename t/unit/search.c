/* SPDX-License-Identifier: BSD-2-Clause */

/* The heap of newest traces, against the slow way of finding them. */

#include "core/base.h"
#include "core/mem.h"
#include "api/search.h"

#include "span_gen.h"
#include "tap.h"

#include <time.h>

static struct trace_id
small_id(uint32_t n)
{
    struct trace_id id = {{0}};

    /* The first bytes decide ties. */
    id.b[0] = (uint8_t)(n >> 8);
    id.b[1] = (uint8_t)n;
    id.b[15] = 1;
    return id;
}

static int
newest_first(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;

    if (x->end_ns != y->end_ns)
        return x->end_ns < y->end_ns ? 1 : -1;
    return memcmp(&x->id, &y->id, sizeof(x->id));
}

/* Offers n rows of `traces` traces with `times` different ends. */
static bool
agrees(struct span_gen *gen, uint32_t limit, uint32_t n, uint32_t traces,
    uint32_t times)
{
    struct pool *pool = pool_new(64 * MIB);
    struct search search = {.limit = limit, .pool = pool};
    struct search_hit *all = xcalloc(traces, sizeof(*all));
    uint32_t nall = 0;
    bool same;

    for (uint32_t i = 0; i < traces; i++)
        all[i].end_ns = INT64_MIN;
    if (search_init(&search, NULL) != 0)
        bail_out("no memory");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t trace = gen_below(gen, traces);
        int64_t end = (int64_t)gen_below(gen, times) - times / 2;
        struct trace_id id = small_id(trace);

        all[trace].id = id;
        all[trace].end_ns = MAX(all[trace].end_ns, end);
        search_offer(&search, &id, end);
    }
    for (uint32_t i = 0; i < traces; i++) {
        if (all[i].end_ns != INT64_MIN)
            all[nall++] = all[i];
    }
    qsort(all, nall, sizeof(*all), newest_first);
    search_finish(&search);
    same = search.nhits == MIN(nall, limit);
    for (uint32_t i = 0; same && i < search.nhits; i++)
        same = newest_first(&all[i], &search.hits[i]) == 0;
    xfree(all);
    pool_free(pool);
    return same;
}

static void
test_random(void)
{
    static const uint32_t limits[] = {0, 1, 2, 3, 7, 20, 100, 1000};
    struct span_gen gen;

    span_gen_init(&gen, 4);
    for (unsigned i = 0; i < ARRAY_LEN(limits); i++) {
        unsigned wrong = 0;

        for (unsigned round = 0; round < 100; round++) {
            uint32_t n = gen_below(&gen, 3000);
            uint32_t traces = 1 + gen_below(&gen, 2000);
            uint32_t times = gen_one_in(&gen, 2) ? 10 : 1000000;

            wrong += !agrees(&gen, limits[i], n, traces, times);
        }
        is_int(wrong, 0, "limit %u agrees with sorting", limits[i]);
    }
}

static void
test_settled(void)
{
    struct pool *pool = pool_new(MIB);
    struct search search = {.limit = 2, .pool = pool};
    struct trace_id a = small_id(1), b = small_id(2), c = small_id(0);

    is_int(search_init(&search, NULL), 0, "starts");
    ok(!search_is_settled(&search, INT64_MIN), "an empty search is open");
    search_offer(&search, &a, 100);
    ok(!search_is_settled(&search, 99), "a search with room is open");
    search_offer(&search, &b, 50);
    ok(search_is_settled(&search, 49), "older rows cannot matter");
    ok(!search_is_settled(&search, 50), "a tie can matter");
    search_offer(&search, &c, 50);
    search_finish(&search);
    ok(memcmp(&search.hits[1].id, &c, sizeof(c)) == 0,
        "the smaller id wins a tie");
    pool_free(pool);
}

static void
test_limits(void)
{
    struct pool *pool = pool_new(MIB);
    struct search search = {.limit = 0, .pool = pool};
    struct trace_id id = small_id(1);
    struct err err = ERR_INIT;

    is_int(search_init(&search, &err), 0, "a limit of 0");
    search_offer(&search, &id, 1);
    ok(search_is_settled(&search, INT64_MAX), "is settled at once");
    is_int(search.nhits, 0, "and finds nothing");
    search.limit = 900000;
    is_int(search_init(&search, &err), -1, "more hits than memory");
    is_int(err.code, ERR_LIMIT, "is a limit");
    search.limit = 2000000000;
    is_int(search_init(&search, &err), -1, "an absurd number of hits");
    is_int(err.code, ERR_LIMIT, "is a limit");
    pool_free(pool);
}

static void
test_poll(void)
{
    _Atomic bool cancel = false;
    struct search search = {.cancel = &cancel};
    struct err err = ERR_INIT;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    is_int(search_poll(&search, &err), 0, "goes on");
    search.deadline_ns = now.tv_sec * NS_PER_SEC + now.tv_nsec;
    is_int(search_poll(&search, &err), -1, "the deadline passes");
    is_int(err.code, ERR_TIMEOUT, "timeout");
    search.deadline_ns += 1000 * NS_PER_SEC;
    is_int(search_poll(&search, &err), 0, "a deadline to come");
    cancel = true;
    is_int(search_poll(&search, &err), -1, "cancelled");
    is_int(err.code, ERR_CANCELLED, "says so");
}

int
main(void)
{
    test_random();
    test_settled();
    test_limits();
    test_poll();
    return tap_done();
}
