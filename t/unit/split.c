/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A front gives the answers of one store: the same spans are in one store and
 * divided by their trace ids among some, in parts of any level and memtables,
 * which a front asks, or a front of fronts.  Queries are those of
 * t/unit/equality.c.
 *
 * SPLIT_QUERIES says how many queries, SPLIT_SEED where to begin.
 */

#include "core/base.h"

#include <stdlib.h>

#include "tap.h"

#include "core/conf.h"
#include "split_site.h"
#include "store_dir.h"
#include "storage/store.h"

#define QUERIES_DEFAULT 1200u
#define QUERIES_PER_WORLD 60u
#define REPORTS_MAX 5u
#define SHARES_MAX 3u

static uint64_t ncompared, ndifferent, nfailed, nempty;
static unsigned nreports;

/* --- worlds --- */

/* Traces divided among n stores. */
struct cluster {
    struct world *worlds[SHARES_MAX];
    struct site stores[SHARES_MAX];
    uint32_t n;
};

/* Memtables are those of the newest world. */
static void
cluster_make(struct cluster *cluster, const struct world_spec *whole,
    uint32_t n)
{
    struct world_spec spec = *whole;

    cluster->n = spec.nshares = n;
    for (uint32_t i = 0; i < n; i++) {
        enum form_kind form = (enum form_kind)((whole->seed + i) % FORMS);

        spec.share = i;
        cluster->worlds[i] = world_new(&spec);
        if (i + 1 < n && (form == FORM_MEMORY || form == FORM_MIXED))
            form = FORM_LEVEL2;
        cluster->stores[i] = (struct site){
            .world = cluster->worlds[i], .form = form};
    }
}

static void
cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->n; i++)
        world_free(cluster->worlds[i]);
}

/* --- fronts --- */

#define FRONTS 2u

/* A front of all stores; a front of that of the first ones and the last. */
static uint32_t
fronts_make(const struct cluster *cluster, struct site *fronts)
{
    uint32_t n = cluster->n;

    memset(fronts, 0, (FRONTS + 1) * sizeof(*fronts));
    for (uint32_t i = 0; i < n; i++)
        fronts[0].kids[fronts[0].nkids++] = &cluster->stores[i];
    if (n == 1) {
        fronts[1].kids[fronts[1].nkids++] = &fronts[0];
        return 2;
    }
    for (uint32_t i = 0; i + 1 < n; i++)
        fronts[2].kids[fronts[2].nkids++] = &cluster->stores[i];
    fronts[1].kids[fronts[1].nkids++] = &fronts[2];
    fronts[1].kids[fronts[1].nkids++] = &cluster->stores[n - 1];
    return 2;
}

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
    struct random_query q;
    struct sv text;
    struct answer want;
};

static void
ask_fronts(const struct cluster *cluster, struct asked *asked,
    uint32_t nqueries, uint64_t seed)
{
    struct site fronts[FRONTS + 1];
    uint32_t n = fronts_make(cluster, fronts);

    for (uint32_t i = 0; i < nqueries; i++) {
        const struct random_query *q = &asked[i].q;
        const struct tenant *tenant = &world_tenants[q->tenant];
        enum compare compare = q->compare[q->npipes];

        for (uint32_t f = 0; f < n; f++) {
            struct answer got;

            site_answer(&got, asked[i].text, &fronts[f], tenant, true);
            if (compare != COMPARE_LIST)
                answer_sort(&got);
            ncompared++;
            if (!answer_equal(&asked[i].want, &got, compare)) {
                ndifferent++;
                if (nreports < REPORTS_MAX)
                    fail("seed %llu: %u stores, front %u: differs",
                        (unsigned long long)seed, cluster->n, f);
                answer_sort(&asked[i].want);
                report(&asked[i].want, &got, asked[i].text);
            }
            answer_free(&got);
        }
    }
}

static void
ask_whole(struct world *world, struct asked *asked, uint32_t nqueries,
    struct pool *pool)
{
    struct maker maker = {.world = world, .random = &world->random,
        .pool = pool};

    world_show(world, FORM_MEMORY);
    sb_init(&maker.sb, QUERY_TEXT_MAX);
    for (uint32_t i = 0; i < nqueries; i++) {
        struct random_query *q = &asked[i].q;
        struct sb sb;

        query_make(&maker, q);
        sb_init(&sb, QUERY_TEXT_MAX);
        random_query_print(&sb, q);
        asked[i].text = sv_make(pool_dup(pool, sb.ptr, sb.len), sb.len);
        sb_release(&sb);
        answer_run(&asked[i].want, asked[i].text,
            &world_tenants[q->tenant], true);
        nempty += asked[i].want.n == 0;
        nfailed += asked[i].want.code != ERR_NONE;
        if (q->compare[q->npipes] != COMPARE_LIST)
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
