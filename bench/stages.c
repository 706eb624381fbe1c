/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Running pipes over columns that are already in memory: 5 million spans in
 * 80 chunks, the newest chunk first.  "runs" are rows as they stand in parts:
 * those of a stream (service, name, kind) together, in it one trace after the
 * other; "mixed" are rows as they come, a trace together.
 *
 * CPU of one thread for a row, milliseconds of the whole query with one and
 * with two threads, CPU of the flush; the best of some rounds, each figure
 * for itself.
 */

#include "core/base.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/timefmt.h"
#include "query/filter.h"
#include "query/parse.h"
#include "query/pipe.h"
#include "query/rows.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#define CHUNKS 80u
#define ROWS 62500u
#define ROUNDS 3u
#define SERVICES 32u
#define STREAMS 300u
#define TRACE_SPANS 8u
#define CHUNK_NS (90 * NS_PER_SEC)

static struct sv services[SERVICES], names[STREAMS], routes[STREAMS];
static const struct sv kinds[] = {{"1", 1}, {"2", 1}, {"3", 1}};

static struct chunk {
    uint32_t *service, *name, *kind, *route;
    int64_t *duration, *time, *status;
    uint8_t *trace_id, *span_id;
    int64_t max_time;
} chunks[CHUNKS];

static uint64_t
random64(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

struct row {
    uint64_t trace[2];
    uint64_t id;
    int64_t start;
    uint32_t stream;
};

static int
span_order(const void *a_ptr, const void *b_ptr)
{
    const struct row *a = a_ptr, *b = b_ptr;

    if (a->stream != b->stream)
        return a->stream < b->stream ? -1 : 1;
    return a->start < b->start ? -1 : a->start > b->start;
}

static void
make_spans(struct row *spans, uint32_t index)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        uint64_t random = random64();

        spans[i].stream = (uint32_t)(random % STREAMS);
        spans[i].id = random;
        if (i % TRACE_SPANS != 0) {
            memcpy(spans[i].trace, spans[i - 1].trace, 16);
            spans[i].start = spans[i - 1].start + (int64_t)(random >> 40);
            continue;
        }
        spans[i].trace[0] = random64();
        spans[i].trace[1] = random64();
        spans[i].start = INT64_C(1772359200000000000) + (int64_t)(CHUNKS -
            index) * CHUNK_NS + CHUNK_NS / ROWS * i;
    }
}

static void
make_chunk(struct chunk *chunk, uint32_t index, bool has_runs)
{
    static struct row spans[ROWS];

    chunk->max_time = 0;
    make_spans(spans, index);
    if (has_runs)
        qsort(spans, ROWS, sizeof(spans[0]), span_order);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t stream = spans[i].stream;

        chunk->service[i] = stream % SERVICES;
        chunk->name[i] = stream;
        chunk->kind[i] = stream % 3;
        chunk->route[i] = (uint32_t)(spans[i].id >> 20) % STREAMS;
        chunk->status[i] = spans[i].id % 16 == 0 ? 2 : 0;
        chunk->duration[i] = (int64_t)(random64() >> (spans[i].id % 30 + 24));
        chunk->time[i] = spans[i].start + chunk->duration[i] % NS_PER_SEC;
        chunk->max_time = MAX(chunk->max_time, chunk->time[i]);
        memcpy(chunk->trace_id + (size_t)i * 16, spans[i].trace, 16);
        memcpy(chunk->span_id + (size_t)i * 8, &spans[i].id, 8);
    }
}

static void
alloc_chunk(struct chunk *chunk)
{
    chunk->service = xcalloc(ROWS, sizeof(*chunk->service));
    chunk->name = xcalloc(ROWS, sizeof(*chunk->name));
    chunk->kind = xcalloc(ROWS, sizeof(*chunk->kind));
    chunk->route = xcalloc(ROWS, sizeof(*chunk->route));
    chunk->duration = xcalloc(ROWS, sizeof(*chunk->duration));
    chunk->time = xcalloc(ROWS, sizeof(*chunk->time));
    chunk->status = xcalloc(ROWS, sizeof(*chunk->status));
    chunk->trace_id = xcalloc(ROWS, 16);
    chunk->span_id = xcalloc(ROWS, 8);
}

static void
rows_of(struct rows *rows, const struct chunk *chunk, struct pool *pool)
{
    const struct column columns[] = {
        {.name = SV("service"), .kind = COLUMN_CODES, .codes = chunk->service,
            .values = services, .nvalues = SERVICES},
        {.name = SV("name"), .kind = COLUMN_CODES, .codes = chunk->name,
            .values = names, .nvalues = STREAMS},
        {.name = SV("kind"), .kind = COLUMN_CODES, .codes = chunk->kind,
            .values = kinds, .nvalues = 3},
        {.name = SV("route"), .kind = COLUMN_CODES, .codes = chunk->route,
            .values = routes, .nvalues = STREAMS},
        {.name = SV("status_code"), .kind = COLUMN_INTS,
            .ints = chunk->status},
        {.name = SV("duration"), .kind = COLUMN_INTS,
            .ints = chunk->duration},
        {.name = SV("_time"), .kind = COLUMN_TIMES, .ints = chunk->time},
        {.name = SV("trace_id"), .kind = COLUMN_IDS, .ids = chunk->trace_id,
            .width = 16},
        {.name = SV("span_id"), .kind = COLUMN_IDS, .ids = chunk->span_id,
            .width = 8},
    };
    struct err err = ERR_INIT;

    rows_init(rows, ROWS, pool);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        if (rows_set_column(rows, &columns[i], &err) != 0)
            abort();
    }
}

/* --- threads --- */

static struct stage *first;
static _Atomic uint32_t cursor;

static void *
feed(void *arg)
{
    unsigned lane = *(unsigned *)arg;
    struct pool *pool = pool_new(GIB);
    struct err err = ERR_INIT;
    uint32_t i;

    while ((i = atomic_fetch_add(&cursor, 1)) < CHUNKS) {
        struct rows rows;
        int result;

        if (chunks[i].max_time < atomic_load(&first->run->time_bound))
            continue;
        rows_of(&rows, &chunks[i], pool);
        result = stage_write(first, lane, &rows, &err);
        if (result < 0) {
            printf("%s\n", err.text);
            exit(1);
        }
        if (result > 0)
            break;
        pool_reset(pool);
    }
    pool_free(pool);
    return NULL;
}

static uint64_t rows_out;

static int
count_write(UNUSED struct stage *stage, UNUSED unsigned lane,
    struct rows *rows, UNUSED struct err *err)
{
    rows_out += rows->nselected;
    return 0;
}

static int
count_flush(UNUSED struct stage *stage, UNUSED struct err *err)
{
    return 0;
}

static void
count_free(UNUSED struct stage *stage)
{
}

static const struct stage_ops count_ops = {
    count_write, count_flush, count_free
};
static struct stage sink = {.ops = &count_ops};

/* Of all threads. */
static int64_t
cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

struct times {
    int64_t wall_ns;
    int64_t cpu_ns; /* without the flush */
    int64_t flush_ns;
};

static void
run_once(const char *text, unsigned nthreads, struct times *times)
{
    struct pool *pool = pool_new(16 * MIB);
    struct query_run run = {.budget = {.max = 4 * GIB}, .nlanes = nthreads,
        .time_bound = INT64_MIN};
    const struct pipe *pipes[16];
    struct query *query;
    pthread_t threads[4];
    unsigned lanes[4];
    struct err err = ERR_INIT;
    char full[512];
    uint32_t n = 0;
    int64_t start = clock_mono_ns(), cpu = cpu_ns();

    snprintf(full, sizeof(full), "* | %s", text);
    if (query_parse(&query, sv_from(full), 0, pool, &err) != 0 ||
        query_prepare(query, &err) != 0)
        goto failed;
    run.query = query;
    sink.run = &run;
    for (struct pipe *pipe = query->pipes; pipe != NULL; pipe = pipe->next)
        pipes[n++] = pipe;
    first = &sink;
    while (n-- > 0) {
        struct stage *stage;

        if (stage_new(&stage, pipes[n], &run, first, &err) != 0)
            goto failed;
        first = stage;
    }
    atomic_store(&cursor, 0);
    rows_out = 0;
    for (unsigned i = 0; i < nthreads; i++) {
        lanes[i] = i;
        if (i > 0)
            pthread_create(&threads[i], NULL, feed, &lanes[i]);
    }
    feed(&lanes[0]);
    for (unsigned i = 1; i < nthreads; i++)
        pthread_join(threads[i], NULL);
    times->cpu_ns = cpu_ns() - cpu;
    if (stages_flush(first, &err) != 0)
        goto failed;
    times->flush_ns = cpu_ns() - cpu - times->cpu_ns;
    times->wall_ns = clock_mono_ns() - start;
    pool_free(pool);
    return;
failed:
    printf("%s: %s\n", text, err.text);
    exit(1);
}

static void
best_of(const char *text, unsigned nthreads, struct times *best)
{
    struct times times;

    *best = (struct times){INT64_MAX, INT64_MAX, INT64_MAX};
    for (unsigned i = 0; i < ROUNDS; i++) {
        run_once(text, nthreads, &times);
        best->wall_ns = MIN(best->wall_ns, times.wall_ns);
        best->cpu_ns = MIN(best->cpu_ns, times.cpu_ns);
        best->flush_ns = MIN(best->flush_ns, times.flush_ns);
    }
}

static void
measure(const char *text)
{
    struct times one, two;

    best_of(text, 1, &one);
    best_of(text, 2, &two);
    printf("%7.2f %8.2f %8.2f %8.2f %8.2f %8" PRIu64 "  %s\n",
        (double)one.cpu_ns / (CHUNKS * ROWS), (double)one.wall_ns / 1e6,
        (double)two.wall_ns / 1e6, (double)one.flush_ns / 1e6,
        (double)two.flush_ns / 1e6, rows_out, text);
}

static const char *const queries[] = {
    "stats count() n",
    "stats by (service) count() n, quantile(0.95, duration) p95",
    "stats by (service) count() n",
    "stats by (service) quantile(0.95, duration) p95",
    "stats quantile(0.95, duration) p95",
    "stats by (service) sum(duration) s, max(duration) m",
    "stats by (service, name, kind) count() n",
    ("stats by (name, status_code) count() n, sum(duration) s, "
        "max(duration) m"),
    "stats by (route) count() n, max(duration) m",
    "stats by (status_code) count() n",
    "stats by (_time:1m) count() n",
    "stats by (_time:1m, service) quantile(0.95, duration) p95",
    "stats by (duration:1ms) count() n",
    "stats by (service) count() if (status_code:=2) n",
    "stats by (service) max(_time) t, uniq_values(kind) k",
    "sort by (duration desc) limit 10",
    "sort by (duration desc, span_id) limit 1000",
    "sort by (_time desc) limit 1000",
    "sort by (_time) limit 1000",
    "sort by (name, duration) limit 10",
    "stats count_uniq(trace_id) n",
    "stats by (service) count_uniq(trace_id) n",
    "stats count_uniq(name) n, count_uniq(route) m",
    "stats count_uniq(name, route) n",
    "stats by (service) count_uniq(route) m",
    "uniq by (service)",
    "uniq by (name, route) with hits",
    "uniq by (trace_id) | limit 10",
    "stats by (trace_id) count() n | limit 10",
    "stats by (trace_id) max(duration) d | sort by (d desc) limit 10",
};

int
main(int argc, char **argv)
{
    static char texts[STREAMS][32];

    for (uint32_t i = 0; i < STREAMS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "GET /api/name/%u", i);
        names[i] = sv_from(texts[i]);
        routes[i] = sv_sub(names[i], 4, SIZE_MAX);
        if (i < SERVICES)
            services[i] = sv_sub(names[i], 9, SIZE_MAX);
    }
    for (uint32_t i = 0; i < CHUNKS; i++)
        alloc_chunk(&chunks[i]);
    for (unsigned mixed = 0; mixed <= 1; mixed++) {
        for (uint32_t i = 0; i < CHUNKS; i++)
            make_chunk(&chunks[i], i, mixed == 0);
        printf("%s%s\n%7s %8s %8s %8s %8s %8s\n", mixed ? "\n" : "",
            mixed ? "mixed" : "runs", "ns/row", "ms", "ms, 2", "flush",
            "flush, 2", "rows");
        for (int i = 1; i < argc; i++)
            measure(argv[i]);
        for (size_t i = 0; argc == 1 && i < ARRAY_LEN(queries); i++)
            measure(queries[i]);
        fflush(stdout);
    }
    return 0;
}
