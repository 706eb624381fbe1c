/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The same spans in memory, in level-1 parts, merged, merged again and mixed
 * give the same answer to every question: random LogsQL, traces by id, the
 * search for traces, services and operations.  So does the canonical text of
 * a query.
 *
 * EQUALITY_QUERIES says how many queries, EQUALITY_SEED where to begin.  Who
 * fails prints its seed, the query and the data, both made smaller.
 */

#include "core/base.h"

#include <stdlib.h>

#include "tap.h"

#include "api/search_sink.h"
#include "core/conf.h"
#include "equality_canonical.h"
#include "equality_shrink.h"
#include "store_dir.h"
#include "storage/store.h"

#define QUERIES_DEFAULT 2400u
#define QUERIES_PER_WORLD 60u
/* Reports cost time; what fails after so many is only counted. */
#define REPORTS_MAX 5u

static uint64_t ncompared, ndifferent, nparse_errors, nrun_errors, nempty,
    ntyped, ntyped_different;
static unsigned nreports;

/* --- random queries --- */

static void
compare_form(const struct world *world, const struct random_query *q,
    const struct answer *want, struct answer *got, enum form_kind form)
{
    struct failure failure = {world->spec, *q, form};
    enum compare compare = q->compare[q->npipes];

    if (answer_equal(want, got, compare))
        return;
    ndifferent++;
    if (nreports++ >= REPORTS_MAX)
        return;
    fail("seed %llu: %s and %s differ", (unsigned long long)world->spec.seed,
        form_names[FORM_MEMORY], form_names[form]);
    failure_report(&failure);
}

static void
count_answer(const struct answer *answer, struct sv text)
{
    nempty += answer->n == 0;
    if (answer->code == ERR_NONE)
        return;
    if (strncmp(answer->why, "position", 8) == 0)
        nparse_errors++;
    else
        nrun_errors++;
    if (nparse_errors + nrun_errors < 10)
        diag("%.*s: %s", (int)MIN(text.len, 400u), text.ptr, answer->why);
}

static void
world_ask(struct world *world, uint32_t nqueries)
{
    struct pool *pool = pool_new(256 * MIB);
    struct random_query *queries = xcalloc(nqueries, sizeof(*queries));
    struct answer *answers = xcalloc((size_t)nqueries * FORMS,
        sizeof(*answers));
    struct maker maker = {.world = world, .random = &world->random,
        .pool = pool};

    /* Parts of another world may have the same numbers. */
    result_cache_clear();
    sb_init(&maker.sb, QUERY_TEXT_MAX);
    for (uint32_t i = 0; i < nqueries; i++)
        query_make(&maker, &queries[i]);
    for (uint32_t form = 0; form < FORMS; form++) {
        world_show(world, form);
        for (uint32_t i = 0; i < nqueries; i++) {
            const struct random_query *q = &queries[i];
            struct answer *answer = &answers[form * nqueries + i];
            struct sb sb;
            struct sv text = random_query_text(&sb, q);

            answer_run(answer, text, &world_tenants[q->tenant], false);
            if (q->compare[q->npipes] != COMPARE_LIST)
                answer_sort(answer);
            if (form == FORM_MEMORY) {
                count_answer(answer, text);
                canonical_check(q, text, i, answer);
            }
            sb_release(&sb);
        }
    }
    for (uint32_t i = 0; i < nqueries; i++, ncompared++) {
        for (uint32_t form = 1; form < FORMS; form++)
            compare_form(world, &queries[i], &answers[i],
                &answers[form * nqueries + i], form);
    }
    for (uint32_t i = 0; i < nqueries * FORMS; i++)
        answer_free(&answers[i]);
    sb_release(&maker.sb);
    xfree(answers);
    xfree(queries);
    pool_free(pool);
}

/* --- typed questions: a hash of the answer in each form --- */

#define TYPED_TRACES 24u
#define TYPED_SEARCHES 12u
#define TYPED (TYPED_TRACES + TYPED_SEARCHES + WORLD_TENANTS)

struct typed_answer {
    uint64_t hash;
    uint64_t n;
};

static int
hash_cmp(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

/* The spans in their order by start; equal starts in any order. */
static struct typed_answer
ask_trace(const struct tenant *tenant, const struct trace_id *id)
{
    struct pool *pool = pool_new(WORLD_POOL_MAX);
    struct typed_answer answer = {0, 0};
    struct store_answer about;
    struct err err = ERR_INIT;
    struct batch batch;
    uint8_t (*hashes)[16];

    batch_init(&batch, pool);
    if (store_read_trace(tenant, id, &batch, &about, &err) != 0 ||
        about.is_partial || about.is_truncated) {
        fail("a trace cannot be read: %s", err.text);
        pool_free(pool);
        return answer;
    }
    hashes = xcalloc(batch.nspans + 1, 16);
    for (uint32_t i = 0; i < batch.nspans; i++) {
        span_hash(&batch, &batch.spans[i], hashes[i]);
        if (i > 0 && batch.spans[i].start_ns < batch.spans[i - 1].start_ns)
            fail("spans of a trace are not sorted");
    }
    qsort(hashes, batch.nspans, 16, hash_cmp);
    answer.n = batch.nspans;
    answer.hash = XXH3_64bits(hashes, 16 * (size_t)batch.nspans);
    for (uint32_t i = 1; i < batch.nspans; i++) {
        if (memcmp(hashes[i], hashes[i - 1], 16) == 0 &&
            !span_id_is_zero(&batch.spans[i].span_id))
            fail("a trace shows a span twice");
    }
    xfree(hashes);
    pool_free(pool);
    return answer;
}

static struct typed_answer
ask_search(struct sv text, const struct tenant *tenant, uint32_t limit)
{
    struct pool *pool = pool_new(64 * MIB);
    struct search search = {.limit = limit, .pool = pool};
    struct query_env env = {.tenant = *tenant,
        .seconds = METRIC_QUERY_SECONDS_SEARCH, .lanes_max = 1,
        .memory_max = GIB};
    struct typed_answer answer = {0, 0};
    struct store_answer about;
    struct err err = ERR_INIT;
    struct query *query;

    if (query_parse(&query, text, EQUALITY_NOW, pool, &err) != 0 ||
        search_init(&search, &err) != 0 ||
        query_execute(query, &env, search_sink_new(&search), &about,
            &err) != 0 || about.is_partial)
        fail("search %.*s: %s", (int)text.len, text.ptr, err.text);
    for (uint32_t i = 0; i < search.nhits; i++)
        answer.hash = XXH3_64bits_withSeed(&search.hits[i],
            sizeof(search.hits[i]), answer.hash);
    answer.n = search.nhits;
    pool_free(pool);
    return answer;
}

struct seen_streams {
    uint64_t *hashes;
    uint32_t n;
};

static int
streams_take(struct sv service, struct sv name, int32_t kind, void *arg)
{
    struct seen_streams *seen = arg;
    uint64_t hash = XXH3_64bits(service.ptr, service.len);

    hash = XXH3_64bits_withSeed(name.ptr, name.len, hash);
    hash = XXH3_64bits_withSeed(&kind, sizeof(kind), hash);
    for (uint32_t i = 0; i < seen->n; i++) {
        if (seen->hashes[i] == hash)
            return 0;
    }
    if (seen->n % 256 == 0)
        seen->hashes = xrealloc(seen->hashes,
            (seen->n + 256) * sizeof(*seen->hashes));
    seen->hashes[seen->n++] = hash;
    return 0;
}

/* Services, operations and kinds. */
static struct typed_answer
ask_streams(const struct tenant *tenant)
{
    struct seen_streams seen = {NULL, 0};
    struct stream_visit visit = {streams_take, &seen, INT64_MIN, INT64_MAX};
    struct typed_answer answer = {0, 0};
    struct store_answer about;
    struct err err = ERR_INIT;

    if (store_visit_streams(tenant, &visit, &about, &err) != 0 ||
        about.is_partial)
        fail("streams cannot be visited: %s", err.text);
    for (uint32_t i = 0; i < seen.n; i++)
        answer.hash += seen.hashes[i];
    answer.n = seen.n;
    xfree(seen.hashes);
    return answer;
}

static struct typed_answer
ask_typed(const struct world *world, uint32_t i, const struct sv *searches)
{
    const struct tenant *tenant = &world_tenants[i % world->spec.ntenants];
    static const struct trace_id unknown = {{0xde, 0xad, 1}};

    if (i < TYPED_TRACES)
        return ask_trace(tenant, i < world->ntraces
            ? &world->traces[i] : &unknown);
    i -= TYPED_TRACES;
    if (i < TYPED_SEARCHES)
        return ask_search(searches[i], tenant, i % 2 == 0 ? 20 : 3);
    return ask_streams(&world_tenants[i - TYPED_SEARCHES]);
}

static void
world_ask_typed(struct world *world)
{
    struct typed_answer answers[FORMS][TYPED];
    struct pool *pool = pool_new(64 * MIB);
    struct maker maker = {.world = world, .random = &world->random,
        .pool = pool};
    struct sv searches[TYPED_SEARCHES];

    sb_init(&maker.sb, QUERY_TEXT_MAX);
    for (uint32_t i = 0; i < TYPED_SEARCHES; i++) {
        const struct node *node = make_node(&maker, i % 3);

        if (i % 4 == 3)
            add_time_filter(&maker);
        sb_add_char(&maker.sb, ' ');
        node_print(&maker.sb, node);
        searches[i] = i == 0 ? SV("*") : maker_keep(&maker);
        sb_reset(&maker.sb);
    }
    for (uint32_t form = 0; form < FORMS; form++) {
        world_show(world, form);
        for (uint32_t i = 0; i < TYPED; i++)
            answers[form][i] = ask_typed(world, i, searches);
    }
    for (uint32_t i = 0; i < TYPED; i++, ntyped++) {
        for (uint32_t form = 1; form < FORMS; form++) {
            const struct typed_answer *want = &answers[0][i];
            const struct typed_answer *got = &answers[form][i];

            if (want->hash == got->hash && want->n == got->n)
                continue;
            ntyped_different++;
            fail("seed %llu: typed question %u differs in %s: %llu and "
                "%llu%s%.*s", (unsigned long long)world->spec.seed, i,
                form_names[form], (unsigned long long)want->n,
                (unsigned long long)got->n,
                i >= TYPED_TRACES && i < TYPED_TRACES + TYPED_SEARCHES
                ? ": " : "",
                i >= TYPED_TRACES && i < TYPED_TRACES + TYPED_SEARCHES
                ? (int)searches[i - TYPED_TRACES].len : 0,
                searches[i < TYPED_TRACES || i >= TYPED_TRACES +
                TYPED_SEARCHES ? 0 : i - TYPED_TRACES].ptr);
        }
    }
    sb_release(&maker.sb);
    pool_free(pool);
}

/* --- worlds --- */

static void
spec_make(struct world_spec *spec, uint64_t seed)
{
    struct span_gen random;

    span_gen_init(&random, seed * 31 + 7);
    memset(spec, 0, sizeof(*spec));
    spec->seed = seed;
    spec->is_wild = seed % 2 == 0;
    spec->has_copies = seed % 5 == 4;
    spec->is_late = gen_one_in(&random, 3);
    spec->nchunks = 1 + gen_below(&random, WORLD_CHUNKS_MAX);
    spec->ntenants = gen_one_in(&random, 2) ? 1
        : 1 + gen_below(&random, WORLD_TENANTS);
    /*
     * Many small ones, some of a few thousand spans: quantiles are exact up
     * to 10,000 values, and a query may take two fields.
     */
    spec->nspans = spec->is_wild ? 5 + gen_below(&random, 60)
        : 20 + gen_below(&random, gen_one_in(&random, 8) ?
        4500 / spec->nchunks : 200);
    spec->keep_to = UINT32_MAX;
}

static void
ask_all(uint64_t seed, uint32_t nqueries)
{
    uint32_t done = 0;

    while (done < nqueries) {
        uint32_t n = MIN(nqueries - done, QUERIES_PER_WORLD);
        struct world_spec spec;
        struct world *world;

        spec_make(&spec, seed++);
        world = world_new(&spec);
        world->spec.keep_to = world->made;
        world_ask(world, n);
        /* Reports have made other worlds in the same memory. */
        if (nreports == 0)
            world_ask_typed(world);
        world_free(world);
        done += n;
    }
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
    uint64_t seed = env_number("EQUALITY_SEED", 1);
    uint32_t nqueries = (uint32_t)env_number("EQUALITY_QUERIES",
        QUERIES_DEFAULT);
    struct err err = ERR_INIT;

    store_dir_make();
    conf.data_path = store_dir;
    if (store_module.init_master(&conf, &err) != 0)
        bail_out(err.text);
    world_parts = part_writer_new();
    world_writer = memtable_writer_new();
    /* Found once: rows of runs that do not begin with their chunk. */
    ask_all(600053, QUERIES_PER_WORLD);
    ask_all(seed, nqueries);
    diag("%llu queries x %u forms, %llu differences; %llu typed questions, "
        "%llu differences", (unsigned long long)ncompared, FORMS,
        (unsigned long long)ndifferent, (unsigned long long)ntyped,
        (unsigned long long)ntyped_different);
    diag("%llu answers without a row, %llu queries failed",
        (unsigned long long)nempty, (unsigned long long)nrun_errors);
    diag("%llu printed and parsed again, %llu of them run, %llu differences",
        (unsigned long long)canonical.nprinted,
        (unsigned long long)canonical.nrun,
        (unsigned long long)canonical.ndifferent);
    is_int(canonical.ndifferent, 0, "what is printed is the same query");
    is_int(ndifferent, 0, "every query has one answer in all forms");
    is_int(ntyped_different, 0, "every typed question, too");
    is_int(nparse_errors, 0, "every query is parsed");
    ok(nempty * 2 < ncompared, "most queries find something");
    ok(nrun_errors * 20 < ncompared, "and few fail");
    memtable_writer_free(world_writer);
    part_writer_free(world_parts);
    return tap_done();
}
