/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What ends a query before its time: memory, time, who asked, a stage behind
 * that has enough.  And which columns a query needs.
 */

#include "core/base.h"
#include "query/pipe.h"

#include <malloc.h>

#include "tap.h"

#include "query/text.h"
#include "stage_run.h"

static struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- limits --- */

/* Distinct texts, numbers from 0 in no order, one of two texts. */
#define ROWS 20000u

static struct table table = {
    .names = {"a", "n", "b"}, .ncolumns = 3, .nrows = ROWS
};

static void
make_table(struct pool *pool)
{
    table.cells = pool_alloc(pool, ROWS * 3 * sizeof(struct sv));
    for (uint32_t i = 0; i < ROWS; i++) {
        struct sv *cells = &table.cells[3 * i];
        char *text = pool_alloc(pool, 32), *number = pool_alloc(pool, 32);

        cells[0] = sv_make(text, (size_t)snprintf(text, 32, "value %u",
            i * 7919));
        cells[1] = sv_make(number, (size_t)snprintf(number, 32, "%u",
            (uint32_t)((uint64_t)i * 7919 % ROWS)));
        cells[2] = sv_from(i % 2 == 0 ? "x" : "y");
    }
}

static const char *const heavy[] = {
    "* | stats by (a) count() n",
    "* | stats by (b) quantile(0.5, a) n",
    "* | stats by (a) quantile(0.5, n) m",
    "* | stats by (a) sum(n) s, max(n) m, avg(n) v",
    "* | stats by (a) min(b) m",
    "* | stats count_uniq(a) n",
    "* | stats count_uniq(n) n",
    "* | stats count_uniq(a, b) n",
    "* | stats uniq_values(a) n",
    "* | uniq by (a)",
    "* | uniq by (n, b) with hits",
    "* | sort by (a)",
    "* | sort by (a) limit 10000",
    "* | sort by (b) limit 1 partition by (n)",
    "* | sort",
    "* | stats values(a) v",
    "* | stats by (n) values(b) v",
    "* | stats json_values(a, n) v",
    "* | stats json_values(a, n) sort by (n) limit 9000 v",
    "* | stats by (a) row_any(n) r",
    "* | stats by (n) row_max(a, b) r",
    "* | stats by (n) any(a) r",
    "* | stats by (a) histogram(n) h",
    "* | stats by (a) stddev(n) v",
    "* | top by (a)",
    "* | field_values a",
    "* | first 10000 by (a)",
    "* | facets 10 max_values_per_field 100K",
    "* | running_stats by (a) count() n",
    "* | total_stats last(a) n",
};

static void
test_memory(void)
{
    for (size_t i = 0; i < ARRAY_LEN(heavy); i++) {
        struct err err = ERR_INIT;
        struct chain chain;
        uint64_t random = i;
        int result = chain_make(&chain, heavy[i], &sink, 256 * KIB, &err);

        if (result == 0)
            result = chain_feed(&chain, &table, 3, &random, &err);
        if (result == 0)
            result = stages_flush(chain.first, &err);
        else
            stages_free(chain.first);
        ok(result == -1 && err.code == ERR_LIMIT, "%s: %s", heavy[i],
            err.text);
        is_int(chain.run.budget.used, 0, "nothing is charged behind it");
        sink_reset(&sink);
        pool_free(chain.pool);
    }
}

/*
 * A merge that fails in its middle: the lane that it went to owns some of
 * what the other one still uses.
 */
static void
test_merge(void)
{
    static const char query[] =
        "* | stats by (b) quantile(0.5, n) q, uniq_values(a) v";
    uint32_t failed = 0, charged = 0;

    /* What is freed is not what it was. */
    (void)mallopt(M_PERTURB, 0xa5);
    for (size_t more = 0; more < 512 * KIB; more += 16 * KIB) {
        struct err err = ERR_INIT;
        struct chain chain;
        uint64_t random = 1;

        if (chain_make(&chain, query, &sink, GIB, &err) != 0 ||
            chain_feed(&chain, &table, 3, &random, &err) != 0)
            abort();
        chain.run.budget.max = chain.run.budget.used + more;
        failed += stages_flush(chain.first, &err) != 0 &&
            err.code == ERR_LIMIT;
        charged += chain.run.budget.used != 0;
        sink_reset(&sink);
        pool_free(chain.pool);
    }
    ok(failed > 5, "%u merges failed", failed);
    is_int(charged, 0, "nothing is charged behind them");
    (void)mallopt(M_PERTURB, 0);
}

/* --- ends before the end --- */

static void
test_poll(void)
{
    struct err err = ERR_INIT;
    _Atomic bool cancel = true;
    struct query_run run = {.cancel = &cancel};

    is_int(run_poll(&run, &err), -1, "cancelled");
    is_int(err.code, ERR_CANCELLED, "says so");
    run = (struct query_run){.deadline_ns = 1};
    is_int(run_poll(&run, &err), -1, "late");
    is_int(err.code, ERR_TIMEOUT, "says so");
    run = (struct query_run){.cancel = NULL};
    is_int(run_poll(&run, &err), 0, "neither");
}

enum trouble {
    CANCEL,
    DEADLINE,
    SINK_FAILS,
    SINK_HAS_ENOUGH,
    STOP, /* the source gives up: no flush at all */
    TROUBLES
};

static const enum err_code trouble_codes[TROUBLES] = {
    ERR_CANCELLED, ERR_TIMEOUT, ERR_BUSY, ERR_NONE, ERR_NONE
};

/* The trouble comes when all rows are in; 0 or the error's code. */
static int
run_troubled(const char *query, enum trouble trouble, unsigned nlanes)
{
    struct err err = ERR_INIT;
    _Atomic bool cancel = false;
    struct chain chain;
    uint64_t random = nlanes;
    int result = chain_make(&chain, query, &sink, GIB, &err);

    chain.run.nlanes = nlanes;
    chain.run.cancel = &cancel;
    if (result == 0)
        result = chain_feed(&chain, &table, nlanes, &random, &err);
    if (result != 0) {
        stages_free(chain.first);
        return -1;
    }
    cancel = trouble == CANCEL;
    chain.run.deadline_ns = trouble == DEADLINE ? 1 : 0;
    sink.is_broken = trouble == SINK_FAILS;
    sink.enough = trouble == SINK_HAS_ENOUGH ? 1 : 0;
    if (trouble == STOP)
        stages_free(chain.first);
    else
        result = stages_flush(chain.first, &err);
    sink.is_broken = false;
    sink.enough = 0;
    if (chain.run.budget.used != 0)
        diag("%s: %zu bytes are still charged", query,
            (size_t)chain.run.budget.used);
    if (chain.run.budget.used != 0 || (result == 0) != (err.code == ERR_NONE))
        result = -1;
    else
        result = (int)err.code;
    pool_free(chain.pool);
    return result;
}

static void
test_trouble(void)
{
    for (size_t i = 0; i < ARRAY_LEN(heavy); i++) {
        for (int trouble = 0; trouble < TROUBLES; trouble++) {
            for (unsigned nlanes = 1; nlanes <= 3; nlanes += 2) {
                is_int(run_troubled(heavy[i], trouble, nlanes),
                    trouble_codes[trouble], "%s: trouble %d, %u lanes",
                    heavy[i], trouble, nlanes);
                if (trouble == SINK_HAS_ENOUGH)
                    ok(sink.n > 0 && sink.n <= ROWS_CHUNK,
                        "%u rows, then no more", sink.n);
                else
                    is_int(sink.n, 0, "no rows");
                sink_reset(&sink);
            }
        }
    }
}

/* How many rows the source gives before it is told to stop. */
static uint32_t
rows_until_stop(const char *query, uint64_t enough)
{
    struct err err = ERR_INIT;
    struct chain chain;
    uint32_t n = 0;
    int result = chain_make(&chain, query, &sink, GIB, &err);

    sink.enough = enough;
    while (result == 0 && n < ROWS) {
        struct rows rows = {.pool = pool_new(16 * MIB)};
        uint64_t random = n;

        chunk_make(&rows, &table, n++, 1, &random);
        result = stage_write(chain.first, n % 2, &rows, &err);
        pool_free(rows.pool);
    }
    if (result < 0 || stages_flush(chain.first, &err) != 0)
        diag("%s: %s", query, err.text);
    sink.enough = 0;
    sink_reset(&sink);
    pool_free(chain.pool);
    return n;
}

static void
test_stop(void)
{
    is_int(rows_until_stop("* | limit 5", 0), 5, "limit stops the source");
    is_int(rows_until_stop("* | limit 0", 0), 1, "limit 0 does");
    is_int(rows_until_stop("* | fields a | copy a as b | limit 7", 0), 7,
        "and behind others");
    is_int(rows_until_stop("* | limit 99 | filter b:=x | limit 3", 0), 5,
        "and behind a filter");
    is_int(rows_until_stop("* | offset 3 | limit 2", 0), 5,
        "and behind an offset");
    is_int(rows_until_stop("* | uniq by (a) limit 2", 0), 3,
        "uniq has enough values in one lane");
    is_int(rows_until_stop("* | uniq by (a) with hits limit 2", 0), 5,
        "uniq with hits has too many in one lane");
    is_int(rows_until_stop("* | fields a", 9), 9, "the sink has enough");
    is_int(rows_until_stop("* | delete a | offset 2", 9), 11,
        "the sink has enough behind an offset");
    is_int(rows_until_stop("* | sort by (a) | limit 2", 0), ROWS,
        "sort needs all");
    is_int(rows_until_stop("* | stats by (a) count() | limit 2", 0), ROWS,
        "stats needs all");
}

/* --- the newest rows --- */

#define BLOCKS 40u
#define BLOCK_ROWS 25u

/* Blocks of a source, newest first; their times overlap. */
static void
make_blocks(struct table *blocks, uint64_t *random, struct pool *pool)
{
    char buf[ATOM_TEXT_MAX];

    *blocks = (struct table){.names = {"_time", "n", "ts"}, .ncolumns = 3,
        .nrows = BLOCKS * BLOCK_ROWS};
    blocks->cells = pool_alloc(pool, blocks->nrows * 3 * sizeof(struct sv));
    for (uint32_t i = 0; i < blocks->nrows; i++) {
        struct sv *cells = &blocks->cells[3 * i];
        struct atom atom = {ATOM_TIME, INT64_C(1772359200000000000) +
            (BLOCKS - i / BLOCK_ROWS) * NS_PER_SEC +
            stage_random(random) % (3 * NS_PER_SEC), {NULL, 0}};
        struct sv time = atom_text(&atom, buf);

        cells[0] = sv_make(pool_dup(pool, time.ptr, time.len), time.len);
        atom = (struct atom){ATOM_INT, i, {NULL, 0}};
        time = atom_text(&atom, buf);
        cells[1] = sv_make(pool_dup(pool, time.ptr, time.len), time.len);
        cells[2] = SV("2030-01-01T00:00:00Z");
    }
}

static int64_t
block_max(const struct table *blocks, uint32_t block)
{
    int64_t max = INT64_MIN;

    for (uint32_t i = 0; i < BLOCK_ROWS; i++) {
        struct atom atom = atom_from_text(
            blocks->cells[(block * BLOCK_ROWS + i) * 3]);

        max = MAX(max, atom.v);
    }
    return max;
}

/* As a source does it; blocks that were given, or -1. */
static int
give_blocks(const char *query, const struct table *blocks, unsigned nlanes)
{
    struct err err = ERR_INIT;
    struct chain chain;
    int given = 0, result = chain_make(&chain, query, &sink, GIB, &err);

    for (uint32_t i = 0; i < BLOCKS && result == 0; i++) {
        struct rows rows = {.pool = pool_new(16 * MIB)};
        uint64_t random = i;

        if (block_max(blocks, i) >= chain.run.time_bound) {
            chunk_make(&rows, blocks, i * BLOCK_ROWS, BLOCK_ROWS, &random);
            result = stage_write(chain.first, i % nlanes, &rows, &err);
            given++;
        }
        pool_free(rows.pool);
    }
    if (result < 0 || stages_flush(chain.first, &err) != 0) {
        diag("%s: %s", query, err.text);
        given = -1;
    }
    pool_free(chain.pool);
    return given;
}

/* The answer is that of all blocks; most are skipped, or none. */
static void
skips(const char *query, bool is_skipping)
{
    uint64_t random = 3;
    uint32_t wrong = 0, nfew = 0;

    for (uint32_t round = 0; round < 20; round++) {
        struct sink all = {.lock = PTHREAD_MUTEX_INITIALIZER};
        struct pool *pool = pool_new(16 * MIB);
        struct table blocks;
        int given;

        make_blocks(&blocks, &random, pool);
        given = give_blocks(query, &blocks, 1 + round % 3);
        nfew += given > 0 && given < (int)BLOCKS / 2;
        wrong += is_skipping ? given <= 0 : given != (int)BLOCKS;
        wrong += run_table(&all, query, &blocks, 1, round) != 0;
        wrong += all.n != sink.n;
        for (uint32_t i = 0; i < MIN(all.n, sink.n); i++)
            wrong += strcmp(all.lines[i], sink.lines[i]) != 0;
        sink_reset(&all);
        sink_reset(&sink);
        pool_free(pool);
    }
    is_int(wrong, 0, "%s", query);
    is_int(nfew, is_skipping ? 20 : 0, "it reads few blocks: %s",
        is_skipping ? "yes" : "no");
}

static void
test_newest(void)
{
    skips("* | sort by (_time desc) limit 10", true);
    skips("* | sort by (_time) desc limit 5 offset 20 rank | fields n", true);
    skips("* | sort by (_time desc, n) limit 100 | sort by (_time)", true);
    skips("* | fields _*, n | delete nosuch | copy n as m, _time as t "
        "| rename ts as u | sort by (_time desc) limit 30 | fields m", true);
    skips("* | delete nosuch | filter !n:=3 | sort by (_time desc) limit 9",
        true);
    skips("* | sort by (_time desc) limit 10 | stats count() n", true);
    skips("* | sort by (_time) limit 10", false);
    skips("* | sort by (_time desc)", false);
    skips("* | sort by (n, _time desc) limit 10", false);
    skips("* | sort by (n desc) limit 10", false);
    skips("* | fields n | sort by (_time desc, n) limit 10", false);
    skips("* | copy ts as _time | sort by (_time desc, n) limit 10", false);
    skips("* | rename t* as _t*, n as _time "
        "| sort by (_time desc) limit 10", false);
    skips("* | copy t* as _t* | sort by (_time desc) limit 10", false);
    skips("* | limit 10K | sort by (_time desc) limit 10", false);
    skips("* | offset 1 | sort by (_time desc) limit 10 | stats count() n",
        false);
    skips("* | uniq by (_time) | sort by (_time desc) limit 10", false);
    skips("* | stats by (_time) count() n | sort by (_time desc) limit 10",
        false);
    skips("* | sort by (n) limit 1000 | sort by (_time desc) limit 10", false);
    skips("* | sort by (_time desc) limit 1 partition by (n) "
        "| stats count() n", false);
}

/* --- many values --- */

static void
gives_one(const char *query, const char *want)
{
    for (unsigned nlanes = 1; nlanes <= 4; nlanes++) {
        if (run_table(&sink, query, &table, nlanes, nlanes) != 0)
            fail("%s", query);
        else
            is_str(sink.n == 1 ? sink.lines[0] : "not one row", want,
                "%s, %u lanes", query, nlanes);
        sink_reset(&sink);
    }
}

/* The rank of a quantile is right up to 1 % of the rows. */
static void
gives_near(const char *query, double want)
{
    for (unsigned nlanes = 1; nlanes <= 4; nlanes++) {
        double got = -1;

        if (run_table(&sink, query, &table, nlanes, nlanes) != 0 ||
            sink.n != 1 || !number_parse(sv_from(strchr(sink.lines[0], '=') +
                1), &got))
            fail("%s gives a number", query);
        ok(got > want - 0.01 * ROWS && got < want + 0.01 * ROWS,
            "%s: %g, %u lanes", query, got, nlanes);
        sink_reset(&sink);
    }
}

/* More pairs than could be codes, of values that are there often. */
#define PAIR_ROWS 20000u
#define PAIR_VALUES 300u

static void
test_pairs(void)
{
    static bool is_there[PAIR_VALUES * PAIR_VALUES];
    static struct sv cells[PAIR_ROWS * 3];
    struct table pairs = {.names = {"p", "q", "r"}, .ncolumns = 3,
        .nrows = PAIR_ROWS, .cells = cells};
    struct pool *pool = pool_new(16 * MIB);
    uint64_t random = 5;
    uint32_t n = 0;
    char want[64];

    for (uint32_t i = 0; i < PAIR_ROWS; i++) {
        uint32_t p = stage_random(&random) % PAIR_VALUES;
        uint32_t q = stage_random(&random) % PAIR_VALUES;
        char text[32];

        n += !is_there[p * PAIR_VALUES + q];
        is_there[p * PAIR_VALUES + q] = true;
        for (uint32_t k = 0; k < 2; k++) {
            size_t len = (size_t)snprintf(text, sizeof(text), "text %u",
                k == 0 ? p : q);

            cells[3 * i + k] = sv_make(pool_dup(pool, text, len), len);
        }
        cells[3 * i + 2] = sv_from(i % 2 == 0 ? "even" : "odd");
    }
    chunk_rows_max = 16000;
    table = pairs;
    snprintf(want, sizeof(want), "n=%u s=%u", n, PAIR_ROWS);
    gives_one("* | uniq by (p, q) with hits | stats count() n, sum(hits) s",
        want);
    gives_one("* | stats by (q, p) count() c | stats count() n, sum(c) s",
        want);
    gives_one("* | stats count_uniq(p, q) n, count() s", want);
    gives_one("* | stats by (p, q, r) count() c | stats by (p, q) sum(c) c "
        "| stats count() n, sum(c) s", want);
    gives_one("* | stats by (p, q) count() if (r:=odd) c | stats sum(c) c",
        "c=10000");
    gives_one("* | stats by (r) count_uniq(p) a, uniq_values(q) b "
        "| stats sum(a) a, count(b) b", "a=600 b=2");
    chunk_rows_max = 200;
    pool_free(pool);
}

/* Values that are no plain texts or numbers. */
static void
test_odd(void)
{
    static struct sv cells[] = {
        SV("it's"), SV("1.5"), SV("<b>"), SV("NaN"), SV("\"\\"), SV("2"),
        SV("it's"), SV("+Inf"),
    };
    struct table odd = {.names = {"p", "q"}, .ncolumns = 2, .nrows = 4,
        .cells = cells};

    table = odd;
    gives_one("* | stats uniq_values(p) v",
        "v=[\"\\\"\\\\\",\"\\u003cb>\",\"it\\u0027s\"]");
    gives_one("* | stats sum(q) s, avg(q) a", "s=+Inf a=+Inf");
    gives_one("* | limit 99 | filter !q:=+Inf | stats sum(q) s, avg(q) a",
        "s=3.5 a=1.75");
    gives_one("* | stats by (q:1.5) count() n | filter q:=1.5", "q=1.5 n=1");
    gives_one("* | stats by (q:1.5) count() n | filter q:=2", "q=2 n=1");
}

static void
test_many(void)
{
    gives_one("* | stats count_uniq(a) n, count_uniq(n) m, "
        "count_uniq(a, b) o, count_uniq(b) p, count_uniq(a) limit 7 q",
        "n=20000 m=20000 o=20000 p=2 q=7");
    gives_one("* | stats by (b) count_uniq(n) n | filter b:=y",
        "b=y n=10000");
    gives_one("* | uniq by (a, n) | count() c", "c=20000");
    gives_one("* | stats by (a, n) count() c | stats sum(c) c", "c=20000");
    gives_one("* | sort by (n desc) offset 4999 limit 1 | fields n",
        "n=15000");
    gives_one("* | sort by (n) | offset 14999 | limit 1 | fields n",
        "n=14999");
    gives_one("* | sort by (a) limit 12000 | stats min(a) a, max(a) b, "
        "count() c", "a=value 0 b=value 95020081 c=12000");
    gives_one("* | stats quantile(0.3, n) if (b:=x) q", "q=6000");
    gives_near("* | stats quantile(0.25, n) q", 5000);
    gives_near("* | stats quantile(0.5, n) q", 10000);
    gives_near("* | stats quantile(0.99, n) q", 19800);
    gives_near("* | uniq by (n) | stats median(n) q", 10000);
}

/* --- needed columns --- */

static void
needs(const char *query, const char *want)
{
    struct pool *pool = pool_new(MIB * 16);
    struct query *parsed;
    struct err err = ERR_INIT;
    struct field_pattern *patterns;
    struct sb sb;
    uint32_t n;
    bool is_all;

    sb_init(&sb, MIB);
    if (query_parse(&parsed, sv_from(query), 0, pool, &err) != 0 ||
        pipes_needed(parsed->pipes, pool, &patterns, &n, &is_all) != 0) {
        fail("%s: %s", query, err.text);
        return;
    }
    if (is_all)
        sb_add_str(&sb, "all");
    for (uint32_t i = 0; !is_all && i < n; i++)
        sb_addf(&sb, "%s%.*s%s", i > 0 ? " " : "", SV_ARG(patterns[i].name),
            patterns[i].is_prefix ? "*" : "");
    is_str(sb.ptr, want, "%s", query);
    sb_release(&sb);
    pool_free(pool);
}

static void
test_needed(void)
{
    needs("*", "all");
    needs("* | limit 10", "all");
    needs("* | stats count() n", "");
    needs("* | stats by (a:1m) sum(b) if (c:=1) x, min(d*) y", "a c b d*");
    needs("* | fields a, b* | sort by (c) limit 1", "a b*");
    needs("* | sort by (c) limit 1 | fields a", "a c");
    needs("* | sort by (c) limit 1 rank as r | fields a, r", "a c");
    needs("* | sort | fields a", "all");
    needs("* | rename a as b | fields b, c", "c a");
    needs("* | copy a as b | fields b", "a");
    needs("* | copy a* as b* | fields b1", "b1 a*");
    needs("* | delete a | fields a, b", "b");
    needs("* | limit 99 | filter a:=1 b:x | uniq by (c)", "c a b");
    needs("* | field_names | fields name", "all");
    needs("* | stats by (a) count() n | sort by (n)", "a");
    needs("* | stats quantile(0.5) n", "all");
}
int
main(void)
{
    struct pool *pool = pool_new(GIB);

    make_table(pool);
    test_memory();
    test_merge();
    test_poll();
    test_trouble();
    test_stop();
    test_newest();
    test_many();
    test_pairs(); /* makes another table */
    test_odd();
    test_needed();
    pool_free(pool);
    return tap_done();
}
