/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A front gives the answers of one store: the same spans are in one store and
 * divided by their trace ids (or span ids) among some, in parts of any level
 * and memtables, which a front asks, or a front of fronts.  Queries are those of
 * t/unit/equality.c.
 *
 * SPLIT_QUERIES says how many queries, SPLIT_SEED where to begin.
 */

#include "core/base.h"

#include <stdlib.h>

#include "tap.h"

#include "core/conf.h"
#include "split_query.h"
#include "split_site.h"
#include "store_dir.h"
#include "storage/store.h"

#define QUERIES_DEFAULT 1500u
#define QUERIES_PER_WORLD 60u
#define REPORTS_MAX 5u

static uint64_t ncompared, ndifferent, nfailed, nempty;
static unsigned nreports;

/* --- asking --- */

static void
report(const struct answer *want, struct answer *got, struct sv text)
{
    if (nreports++ >= REPORTS_MAX)
        return;
    diag("    %.*s", (int)MIN(text.len, 1000u), text.ptr);
    answer_sort(got);
    diag("    what the front has more (+) or less (-):");
    answer_diff(want, got);
}

struct asked {
    struct question question;
    enum compare compare;
    bool has_copies; /* of spans, of which any number is given */
    struct answer want;
};

/* Must all rows be looked at? */
static bool
reads_all(const struct asked *asked)
{
    static const char *const enough[] = {"limit", "first", "last", "sort",
        "generate"};
    struct sv text = asked->question.text;

    for (size_t i = 0; i < ARRAY_LEN(enough); i++) {
        if (memmem(text.ptr, text.len, enough[i], strlen(enough[i])) != NULL)
            return false;
    }
    return !asked->has_copies;
}

static bool
is_same(const struct asked *asked, const struct answer *got)
{
    return answer_equal(&asked->want, got, asked->compare) &&
        (got->code != ERR_NONE || !reads_all(asked) ||
        asked->want.seen == got->seen);
}

static void
ask_fronts(const struct cluster *cluster, struct asked *asked,
    uint32_t nqueries, uint64_t seed)
{
    for (uint32_t i = 0; i < nqueries * FRONTS; i++) {
        struct asked *one = &asked[i / FRONTS];
        struct answer got;

        site_answer(&got, &one->question, &cluster->fronts[i % FRONTS]);
        if (one->compare != COMPARE_LIST)
            answer_sort(&got);
        ncompared++;
        if (!is_same(one, &got)) {
            ndifferent++;
            if (nreports < REPORTS_MAX)
                fail("seed %llu: %u stores, front %u: differs",
                    (unsigned long long)seed, cluster->n, i % FRONTS);
            answer_sort(&one->want);
            report(&one->want, &got, one->question.text);
        }
        answer_free(&got);
    }
}

/* The generator of t/unit/equality.c, and that of split_query.h. */
static void
asked_make(struct asked *asked, struct maker *maker)
{
    struct random_query q;
    struct sb sb;

    query_make(maker, &q);
    asked->compare = q.compare[q.npipes];
    asked->question.tenant = &world_tenants[q.tenant];
    if (one_in(maker, 2) && !maker->world->spec.has_copies)
        asked->compare = split_pipes(maker, &q);
    sb_init(&sb, QUERY_TEXT_MAX);
    split_options(maker, &sb);
    random_query_print(&sb, &q);
    asked->question.text = sv_make(pool_dup(maker->pool, sb.ptr, sb.len),
        sb.len);
    /* Doubles cannot tell apart times of less than 256 ns. */
    if (memmem(sb.ptr, sb.len, "stddev(\"start_t", 15) != NULL ||
        memmem(sb.ptr, sb.len, "stddev(\"end_t", 13) != NULL)
        asked->compare = COMPARE_COUNT;
    asked->has_copies = maker->world->spec.has_copies;
    asked->question.has_front = one_in(maker, 12);
    asked->question.hidden = one_in(maker, 8) ? SV("name") : SV_EMPTY;
    sb_release(&sb);
}

static void
ask_whole(struct world *world, struct asked *asked, uint32_t nqueries,
    struct pool *pool)
{
    struct maker maker = {.world = world, .random = &world->random,
        .pool = pool};
    struct site whole = {.world = world, .form = FORM_MEMORY};

    sb_init(&maker.sb, QUERY_TEXT_MAX);
    for (uint32_t i = 0; i < nqueries; i++) {
        asked_make(&asked[i], &maker);
        site_answer(&asked[i].want, &asked[i].question, &whole);
        nempty += asked[i].want.n == 0;
        nfailed += asked[i].want.code != ERR_NONE;
        if (asked[i].want.code != ERR_NONE && nfailed < 10)
            diag("%.*s: %s", (int)asked[i].question.text.len,
                asked[i].question.text.ptr, asked[i].want.why);
        if (asked[i].compare != COMPARE_LIST)
            answer_sort(&asked[i].want);
    }
    sb_release(&maker.sb);
}

/* --- all --- */

static void
spec_make(struct world_spec *spec, uint64_t seed)
{
    struct span_gen random;

    span_gen_init(&random, seed * 31 + 7);
    memset(spec, 0, sizeof(*spec));
    spec->seed = seed;
    spec->is_wild = seed % 2 == 0;
    spec->has_copies = seed % 7 == 4;
    spec->is_late = gen_one_in(&random, 3);
    spec->nchunks = 1 + gen_below(&random, 4);
    spec->ntenants = gen_one_in(&random, 2) ? 1
        : 1 + gen_below(&random, WORLD_TENANTS);
    spec->nspans = spec->is_wild ? 5 + gen_below(&random, 60)
        : 20 + gen_below(&random, 200);
    spec->keep_to = UINT32_MAX;
    spec->divides_traces = seed % 3 != 0;
}

static void
ask_world(uint64_t seed, uint32_t nqueries)
{
    struct pool *pool = pool_new(256 * MIB);
    struct asked *asked = xcalloc(nqueries, sizeof(*asked));
    struct world_spec spec;
    struct world *world;

    result_cache_clear();
    spec_make(&spec, seed);
    world = world_new(&spec);
    ask_whole(world, asked, nqueries, pool);
    world_free(world);
    for (uint32_t n = 1; n <= SHARES_MAX; n++) {
        struct cluster cluster;

        cluster_make(&cluster, &spec, n);
        ask_fronts(&cluster, asked, nqueries, seed);
        cluster_free(&cluster);
    }
    for (uint32_t i = 0; i < nqueries; i++)
        answer_free(&asked[i].want);
    xfree(asked);
    pool_free(pool);
}

static uint64_t
env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

int
main(void)
{
    struct conf conf = {.workers = 2, .user = "", .trace_max_spans = 100000};
    uint64_t seed = env_number("SPLIT_SEED", 1);
    uint32_t nqueries = (uint32_t)env_number("SPLIT_QUERIES",
        QUERIES_DEFAULT);
    struct err err = ERR_INIT;

    store_dir_make();
    conf.data_path = store_dir;
    if (store_module.init_master(&conf, &err) != 0)
        bail_out(err.text);
    world_parts = part_writer_new();
    world_writer = memtable_writer_new();
    for (uint32_t done = 0; done < nqueries; done += QUERIES_PER_WORLD)
        ask_world(seed++, MIN(nqueries - done, QUERIES_PER_WORLD));
    diag("%llu answers of fronts, %llu differences",
        (unsigned long long)ncompared, (unsigned long long)ndifferent);
    diag("asked for rows %llu times, for rows of an answer %llu, for states "
        "%llu: %llu rows, %llu states, %llu bytes",
        (unsigned long long)site_counts.asked[SPLIT_ROWS],
        (unsigned long long)site_counts.asked[SPLIT_PARTIAL],
        (unsigned long long)site_counts.asked[SPLIT_STATE],
        (unsigned long long)site_counts.rows,
        (unsigned long long)site_counts.states,
        (unsigned long long)site_counts.state_bytes);
    is_int(ndifferent, 0, "fronts answer as one store");
    ok(nempty * 2 < nqueries, "most queries find something");
    ok(nfailed * 20 < nqueries, "and few fail");
    memtable_writer_free(world_writer);
    part_writer_free(world_parts);
    return tap_done();
}
