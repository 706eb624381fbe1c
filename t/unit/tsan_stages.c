/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Running pipes that several threads write to: the answer is that of one
 * thread, limits are kept exactly, and who cancels is heard.
 */

#include "core/base.h"
#include "query/pipe.h"

#include "tap.h"

#include "stage_run.h"

#define ROWS 6000u
#define COLUMNS 6u
#define CHUNK 150u
#define THREADS_MAX 4u

static struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct table table = {
    .names = {"_time", "trace_id", "name", "n", "service", "mixed"},
    .ncolumns = COLUMNS,
    .nrows = ROWS,
};

static struct sv
cell(uint32_t row, uint32_t column, struct pool *pool)
{
    static const char *const mixed[] = {"", "7ms", "abc", "007", "12", "1e3"};
    uint32_t mix = (uint32_t)((uint64_t)row * 7919 % ROWS);
    struct atom time = {
        ATOM_TIME, INT64_C(1772359200000000000) + mix * NS_PER_MS, {NULL, 0}
    };
    char buf[ATOM_TEXT_MAX];
    struct sv text;

    switch (column) {
    case 0:
        text = atom_text(&time, buf);
        break;
    case 1:
        text = sv_make(buf, (size_t)snprintf(buf, sizeof(buf), "%032x",
            0xfeed0000 + row / 8));
        break;
    case 2:
        text = sv_make(buf, (size_t)snprintf(buf, sizeof(buf), "GET /%u",
            mix % 97));
        break;
    case 3:
        text = sv_make(buf, (size_t)snprintf(buf, sizeof(buf), "%u", mix));
        break;
    case 4:
        text = sv_from(row % 3 == 0 ? "cart" : row % 3 == 1 ? "pay" : "db");
        break;
    default:
        text = sv_from(mixed[mix % ARRAY_LEN(mixed)]);
    }
    return sv_make(pool_dup(pool, text.ptr, text.len), text.len);
}

static void
make_table(struct pool *pool)
{
    table.cells = pool_alloc(pool, ROWS * COLUMNS * sizeof(struct sv));
    for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
        table.cells[i] = cell(i / COLUMNS, i % COLUMNS, pool);
}

static int64_t
chunk_max(uint32_t first)
{
    int64_t max = INT64_MIN;

    for (uint32_t i = first; i < MIN(first + CHUNK, ROWS); i++) {
        struct atom atom = atom_from_text(table.cells[i * COLUMNS]);

        max = MAX(max, atom.v);
    }
    return max;
}

/* --- threads that feed one chain --- */

struct feed {
    struct chain *chain;
    _Atomic uint32_t cursor;
    _Atomic bool is_over;
    _Atomic int code; /* of a failure */
    _Atomic unsigned lanes;
};

static void *
feed_run(void *arg)
{
    struct feed *feed = arg;
    unsigned lane = atomic_fetch_add(&feed->lanes, 1);
    struct pool *pool = pool_new(256 * MIB);
    struct err err = ERR_INIT;

    while (!atomic_load(&feed->is_over)) {
        uint32_t at = atomic_fetch_add(&feed->cursor, CHUNK);
        struct rows rows = {.pool = pool};
        uint64_t random = at + 1;
        int result;

        if (at >= ROWS)
            break;
        if (chunk_max(at) < atomic_load(&feed->chain->run.time_bound))
            continue;
        chunk_make(&rows, &table, at, MIN(CHUNK, ROWS - at), &random);
        result = run_poll(&feed->chain->run, &err);
        if (result == 0)
            result = stage_write(feed->chain->first, lane, &rows, &err);
        if (result < 0)
            atomic_store(&feed->code, (int)err.code);
        if (result != 0)
            atomic_store(&feed->is_over, true);
        pool_reset(pool);
    }
    pool_free(pool);
    return NULL;
}

/* The code of the error; the rows are in the sink, in order of their text. */
static int
run_threads(const char *query, unsigned nthreads, size_t memory,
    const _Atomic bool *cancel)
{
    struct chain chain;
    struct feed feed = {.chain = &chain};
    struct err err = ERR_INIT;
    pthread_t threads[THREADS_MAX];
    int code;

    if (chain_make(&chain, query, &sink, memory, &err) != 0) {
        diag("%s: %s", query, err.text);
        return -1;
    }
    chain.run.nlanes = nthreads;
    chain.run.cancel = cancel;
    for (unsigned i = 0; i < nthreads; i++)
        pthread_create(&threads[i], NULL, feed_run, &feed);
    for (unsigned i = 0; i < nthreads; i++)
        pthread_join(threads[i], NULL);
    code = atomic_load(&feed.code);
    if (code != 0)
        stages_free(chain.first);
    else if (stages_flush(chain.first, &err) != 0)
        code = (int)err.code;
    if (chain.run.budget.used != 0) {
        diag("%s: %zu bytes are still charged", query,
            (size_t)chain.run.budget.used);
        code = -1;
    }
    pool_free(chain.pool);
    if (sink.n > 0)
        qsort(sink.lines, sink.n, sizeof(char *), line_order);
    return code;
}

static void
test_answers(void)
{
    static const char *const queries[] = {
        "* | fields service, n | rename n as m | copy m as k",
        "* | limit 9K | filter service:=pay | delete trace_id, na*",
        "* | stats count() a, sum(n) b, min(n) c, max(n) d, "
            "count_uniq(trace_id) e, quantile(0.5, n) f",
        "* | stats by (service) count() if (mixed:=7ms) a, avg(n) b, "
            "median(n) c, uniq_values(mixed) d, count_uniq(name, mixed) e",
        "* | stats by (trace_id) max(n) a, count_uniq(name) b",
        "* | stats by (name, service, mixed) count() a, min(_time) b",
        "* | stats by (_time:500ms, service) count() a, quantile(0.9, n) b",
        "* | stats by (n:100) count() a | stats by (a) count() b",
        "* | uniq by (trace_id, service) with hits",
        "* | uniq by (mixed)",
        "* | field_names",
        "* | sort by (n desc) limit 100",
        "* | sort by (_time desc) limit 20 offset 5 rank",
        "* | sort by (mixed, n) limit 200 | fields mixed, n",
        "* | sort by (trace_id, n) | fields trace_id, n",
        "* | sort by (n) limit 3 partition by (name) | fields name, n",
        "* | sort by (_time) limit 7 partition by (service, mixed)",
    };
    struct sink one = {.lock = PTHREAD_MUTEX_INITIALIZER};

    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        uint32_t nwrong = 0;

        ok(run_table(&one, queries[i], &table, 1, i) == 0 && one.n > 0,
            "%s, %u rows", queries[i], one.n);
        qsort(one.lines, one.n, sizeof(char *), line_order);
        for (unsigned nthreads = 2; nthreads <= THREADS_MAX; nthreads += 2) {
            is_int(run_threads(queries[i], nthreads, GIB, NULL), 0,
                "%u threads", nthreads);
            nwrong += sink.n != one.n;
            for (uint32_t k = 0; k < one.n && nwrong == 0; k++) {
                nwrong += strcmp(one.lines[k], sink.lines[k]) != 0;
                if (nwrong > 0)
                    diag("%s\n- want -\n%s", sink.lines[k], one.lines[k]);
            }
            sink_reset(&sink);
        }
        is_int(nwrong, 0, "the same rows");
        sink_reset(&one);
    }
}

static void
test_limits(void)
{
    static const struct {
        const char *query;
        uint32_t rows;
    } limits[] = {
        {"* | limit 1000 | fields n", 1000},
        {"* | fields n | offset 2500 | fields n", 3500},
        {"* | offset 100 | limit 300 | fields n", 300},
        {"* | uniq by (n) limit 500", 500},
        {"* | uniq by (n) with hits limit 500 | filter hits:=0", 500},
        {"* | uniq by (trace_id) limit 750", 750},
        {"* | sort by (n) | limit 1500 | fields n", 1500},
    };

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        is_int(run_threads(limits[i].query, THREADS_MAX, GIB, NULL), 0, "%s",
            limits[i].query);
        is_int(sink.n, limits[i].rows, "exactly as many rows");
        sink_reset(&sink);
    }
}

static void
test_memory(void)
{
    static const char *const queries[] = {
        "* | stats by (trace_id) count() n", "* | uniq by (n)",
        "* | sort by (n)", "* | stats uniq_values(n)",
        "* | sort by (name) limit 4000",
    };

    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        is_int(run_threads(queries[i], THREADS_MAX, 64 * KIB, NULL),
            ERR_LIMIT, "%s: too much memory", queries[i]);
        sink_reset(&sink);
    }
}

static void *
cancel_run(void *arg)
{
    usleep(3000);
    atomic_store((_Atomic bool *)arg, true);
    return NULL;
}

/* At any time: it is heard, or comes too late. */
static void
test_cancel(void)
{
    static const char *const queries[] = {
        "* | stats by (trace_id) count() n", "* | sort by (n)",
        "* | uniq by (n)",
    };

    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        _Atomic bool cancel = false;
        pthread_t thread;
        int code;

        pthread_create(&thread, NULL, cancel_run, (void *)&cancel);
        code = run_threads(queries[i], THREADS_MAX, GIB, &cancel);
        pthread_join(thread, NULL);
        ok(code == 0 || code == ERR_CANCELLED, "%s: cancelled", queries[i]);
        sink_reset(&sink);
    }
}

int
main(void)
{
    struct pool *pool = pool_new(64 * MIB);

    make_table(pool);
    test_answers();
    test_limits();
    test_memory();
    test_cancel();
    pool_free(pool);
    return tap_done();
}
