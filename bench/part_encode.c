/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Parts without the server around them: CPU nanoseconds to encode a span, bytes
 * on disk by kind of data, microseconds to open a part and to read a trace.
 * Two corpora of 65,536 spans: "plain" is span_gen_real() of the
 * tests; "shop" has 18 spans a trace in call order, 20 services with three
 * pods each, nanosecond clocks, and values that repeat less: paths, users,
 * sessions, query texts, a uuid in 37 % of the spans, stack traces.
 *
 * PART_MERGED=1 reads them after a merge, as parts of level 2.
 *
 * Aims: encode 350 ns, 40 bytes a span, a trace in 150 us, an unknown id in
 * 1 us.
 */

#include "core/base.h"

#include <time.h>

#include "../bench/part_sizes.h"
#include "../t/unit/part_gen.h"
#include "../t/unit/span_gen.h"

#define ROUNDS 15
#define POOL_MAX (1 * GIB)

static const struct tenant tenant0 = {0, 0};
static struct part_gen gen;

/* --- the shop --- */

#define SERVICES 20u
#define PODS 3u
#define TRACE_SPANS 18u

/* Durations are skewed: most are short, a few long. */
static int64_t
skewed_ns(struct span_gen *g, uint32_t bits)
{
    uint32_t width = 14 + gen_below(g, bits);

    return (int64_t)(gen_next(g) >> (64 - width));
}

static void
shop_resources(struct batch *batch)
{
    for (uint32_t i = 0; i < SERVICES * PODS; i++) {
        struct resource *r = batch_add_resource(batch, NULL);
        struct attr *v = gen_alloc(batch, 7 * sizeof(*v));

        r->service = gen_printf(batch, "shop-%u", i / PODS);
        gen_attr_str(&v[0], "service.name", r->service);
        gen_attr_str(&v[1], "service.version", SV("2.14.1"));
        gen_attr_str(&v[2], "k8s.pod.name", gen_printf(batch,
            "shop-%u-6f7d9c7b5-x%05u", i / PODS, i * 7919 % 99991));
        gen_attr_str(&v[3], "k8s.namespace.name", SV("production"));
        gen_attr_str(&v[4], "host.name",
            gen_printf(batch, "ip-10-2-%u-%u.internal", i, i * 37 % 250));
        gen_attr_str(&v[5], "telemetry.sdk.name", SV("opentelemetry"));
        gen_attr_int(&v[6], "process.pid", 1000 + i * 17);
        r->attrs = (struct attrs){v, 7};
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct scope *s = batch_add_scope(batch, NULL);

        s->name = gen_printf(batch, "io.opentelemetry.instrument-%u", i);
        s->version = SV("2.9.0");
    }
}

static uint32_t
shop_http(struct span_gen *g, struct batch *batch, struct attr *v,
    uint32_t op, struct sv session)
{
    uint32_t n = 0;

    gen_attr_str(&v[n++], "http.request.method",
        op % 3 == 0 ? SV("POST") : SV("GET"));
    gen_attr_str(&v[n++], "http.route",
        gen_printf(batch, "/api/v1/things-%u/{id}/detail", op));
    gen_attr_str(&v[n++], "url.path", gen_printf(batch,
        "/api/v1/things-%u/%u/detail", op, gen_below(g, 100000)));
    gen_attr_int(&v[n++], "http.response.status_code",
        gen_one_in(g, 50) ? 500 : gen_one_in(g, 20) ? 404 : 200);
    gen_attr_str(&v[n++], "network.peer.address", gen_printf(batch,
        "10.2.%u.%u", gen_below(g, 4), gen_below(g, 250)));
    gen_attr_int(&v[n++], "network.peer.port", 32768 + gen_below(g, 28000));
    if (gen_one_in(g, 3))
        gen_attr_str(&v[n++], "session.id", session);
    if (gen_below(g, 100) < 37)
        gen_attr_str(&v[n++], "app.request_id", gen_uuid(g, batch));
    gen_attr_int(&v[n++], "thread.id", gen_below(g, 64));
    return n;
}

static uint32_t
shop_db(struct span_gen *g, struct batch *batch, struct attr *v, uint32_t op)
{
    uint32_t n = 0;

    gen_attr_str(&v[n++], "db.system.name", SV("postgresql"));
    gen_attr_str(&v[n++], "db.namespace", SV("orders"));
    gen_attr_str(&v[n++], "db.query.text", gen_one_in(g, 4) ?
        gen_printf(batch, "SELECT id, total, state FROM table_%u WHERE "
            "customer = %u AND region = 'eu-%u'", op, gen_below(g, 50000),
            gen_below(g, 9)) :
        gen_printf(batch, "SELECT id, total, state FROM table_%u WHERE "
            "customer = $1 AND region = $2", op));
    gen_attr_str(&v[n++], "server.address", SV("db-0.prod.internal"));
    gen_attr_int(&v[n++], "server.port", 5432);
    gen_attr_int(&v[n++], "db.response.returned_rows",
        gen_below(g, 1u << gen_below(g, 10)));
    if (gen_below(g, 100) < 37)
        gen_attr_str(&v[n++], "app.order_id", gen_uuid(g, batch));
    gen_attr_str(&v[n++], "enduser.id",
        gen_printf(batch, "user-%06u", gen_below(g, 20000)));
    return n;
}

static void
shop_error(struct span_gen *g, struct batch *batch, struct span *span)
{
    struct span_event *event = gen_alloc(batch, sizeof(*event));
    struct attr *v = gen_alloc(batch, 3 * sizeof(*v));
    char *trace = gen_alloc(batch, 4000);
    size_t len = 0;

    for (uint32_t i = 0; i < 20; i++)
        len += (size_t)snprintf(trace + len, 4000 - len,
            "\tat shop.module%u.Handler.call(Handler.java:%u)\n", i,
            gen_below(g, 400));
    gen_attr_str(&v[0], "exception.type", SV("java.io.IOException"));
    gen_attr_str(&v[1], "exception.message", gen_printf(batch,
        "order %u cannot be loaded", gen_below(g, 100000)));
    gen_attr_str(&v[2], "exception.stacktrace", sv_make(trace, len));
    *event = (struct span_event){(uint64_t)span->end_ns - 777,
        SV("exception"), {v, 3}, 0};
    span->events = event;
    span->nevents = 1;
    span->status_code = 2;
}

static void
shop_span(struct span_gen *g, struct batch *batch, const struct span *spans,
    uint32_t i, struct sv session)
{
    struct span *span = batch_add_span(batch, NULL);
    struct attr *v = gen_alloc(batch, 10 * sizeof(*v));
    uint32_t op = gen_below(g, 8);
    const struct span *parent = i == 0 ? NULL : &spans[gen_below(g, i)];
    uint32_t service = gen_below(g, SERVICES);

    check(span != NULL);
    span->trace_id = batch->spans[batch->nspans - 1 - i].trace_id;
    gen_bytes(g, span->span_id.b, 8);
    span->start_ns = g->now_ns;
    if (i == 0) {
        gen_bytes(g, span->trace_id.b, 16);
    } else {
        span->parent_id = parent->span_id;
        span->start_ns = parent->start_ns + skewed_ns(g, 8);
    }
    span->end_ns = span->start_ns + skewed_ns(g, 12);
    span->resource = service * PODS + gen_below(g, PODS);
    span->flags = 0x101;
    span->bytes = 460;
    span->attrs.v = v;
    if (gen_one_in(g, 3)) {
        span->kind = 3;
        span->name = gen_printf(batch, "SELECT orders.table_%u", op);
        span->attrs.n = shop_db(g, batch, v, op + service % 3 * 8);
    } else {
        span->scope = 1 + (op & 1);
        span->kind = 2 + (int32_t)(op & 1);
        span->name = gen_printf(batch, "GET /api/v1/things-%u/{id}/detail",
            service * 8 + op);
        span->attrs.n = shop_http(g, batch, v, service * 8 + op, session);
    }
    if (gen_one_in(g, 60))
        shop_error(g, batch, span);
}

/* Traces arrive one after the other; that is how a small shop looks. */
static void
shop_batch(struct span_gen *g, struct batch *batch, uint32_t traces)
{
    shop_resources(batch);
    for (uint32_t t = 0; t < traces; t++) {
        uint32_t n = 1 + gen_below(g, 2 * TRACE_SPANS);
        struct sv session = gen_uuid(g, batch);
        uint32_t first = batch->nspans;

        g->now_ns += 1 + (int64_t)gen_below(g, 3 * NS_PER_MS);
        for (uint32_t i = 0; i < n; i++)
            shop_span(g, batch, batch->spans + first, i, session);
    }
}

/* --- filling --- */

static void
fill(bool is_shop)
{
    struct span_gen g;
    bool fits = true;

    part_gen_reset(&gen);
    span_gen_init(&g, 42);
    g.now_ns += 3600 * NS_PER_SEC;
    while (fits) {
        struct pool *pool = pool_new(POOL_MAX);
        struct batch batch;

        batch_init(&batch, pool);
        if (is_shop)
            shop_batch(&g, &batch, 50);
        else
            span_gen_real(&g, &batch, 12, 1000);
        fits = part_gen_add(&gen, tenant0, &batch);
        pool_free(pool);
    }
}

static int
compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* CPU time, since other processes may want the machine as well. */
static int64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* --- encoding --- */

static bool
bench_encode(void)
{
    int64_t ns[ROUNDS];
    struct err err = ERR_INIT;

    part_gen_rows(&gen);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        int64_t start = cpu_ns();

        if (part_encode(gen.pw, gen.mt, gen.rows, gen.nrows, PART_GEN_ID,
                gen.day, part_gen_node, &part_gen_lineage, &gen.file,
                &gen.info, &err) != 0) {
            fprintf(stderr, "part_encode: %s\n", err.text);
            return false;
        }
        ns[i] = cpu_ns() - start;
    }
    printf("encode            %8.1f ns/span first, ",
        (double)ns[0] / gen.nrows);
    qsort(ns, ROUNDS, sizeof(ns[0]), compare_i64);
    printf("%.1f median, %.1f best\n", (double)ns[ROUNDS / 2] / gen.nrows,
        (double)ns[0] / gen.nrows);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    return true;
}

/* PART_MERGED=1: what is read is of level 2. */
static void
merge(void)
{
    int64_t start = cpu_ns();

    if (getenv("PART_MERGED") == NULL)
        return;
    part_gen_merge(&gen, gen.path);
    printf("merge             %8.1f ns/span\n",
        (double)(cpu_ns() - start) / gen.nrows);
}

/* --- reading --- */

static double
read_trace(struct part *part, const struct trace_id *id, uint32_t *spans)
{
    static struct pool *pool;
    struct batch batch;
    struct err err = ERR_INIT;
    bool truncated = false;
    int64_t start;

    if (pool == NULL)
        pool = pool_new(POOL_MAX);
    pool_reset(pool);
    start = cpu_ns();
    batch_init(&batch, pool);
    if (part_read_trace(part, &tenant0, id, 100000, &batch, &truncated,
            &err) != 0) {
        fprintf(stderr, "part_read_trace: %s\n", err.text);
        exit(1);
    }
    *spans += batch.nspans;
    return (double)(cpu_ns() - start) / 1000;
}

static int
compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void
bench_traces(struct part *part)
{
    enum { READS = 2000 };
    static double us[READS];
    struct span_gen g;
    uint32_t spans = 0, none = 0;
    double absent = 0;

    span_gen_init(&g, 1);
    printf("trace, first read %8.1f us\n", read_trace(part,
        &gen.mt->trace_id[gen.rows[gen.nrows / 2]], &spans));
    spans = 0;
    for (uint32_t i = 0; i < READS; i++)
        us[i] = read_trace(part,
            &gen.mt->trace_id[gen.rows[gen_below(&g, gen.nrows)]], &spans);
    qsort(us, READS, sizeof(us[0]), compare_double);
    printf("trace             %8.1f us median, %.1f p99, %.1f spans each\n",
        us[READS / 2], us[READS * 99 / 100], (double)spans / READS);
    for (uint32_t i = 0; i < READS; i++) {
        struct trace_id id;

        gen_bytes(&g, id.b, sizeof(id.b));
        absent += read_trace(part, &id, &none);
    }
    printf("unknown trace     %8.3f us mean (with the clock)\n",
        absent / READS);
}

static void
bench_scan(struct part *part)
{
    int64_t start = cpu_ns();
    struct pool *pool = pool_new(POOL_MAX);
    struct err err = ERR_INIT;
    uint32_t got = 0;

    for (uint64_t row = 0; row < gen.nrows; row += got) {
        struct batch batch;

        pool_reset(pool);
        batch_init(&batch, pool);
        check(part_read_rows(part, row, 4096, &batch, NULL, &got,
            &err) == 0);
    }
    pool_free(pool);
    printf("all rows          %8.1f ns/span\n",
        (double)(cpu_ns() - start) / gen.nrows);
    start = cpu_ns();
    check(part_check(gen.path, &err) == 0);
    printf("check             %8.1f ns/span\n",
        (double)(cpu_ns() - start) / gen.nrows);
}

static bool
bench_corpus(const char *name, bool is_shop)
{
    struct sizes sizes = {0};
    struct part *part;
    struct err err = ERR_INIT;
    int64_t start;

    fill(is_shop);
    printf("--- %s: %u spans\n", name, memtable_rows(gen.mt));
    if (!bench_encode())
        return false;
    merge();
    start = cpu_ns();
    if (part_open(&part, gen.path, &err) != 0) {
        fprintf(stderr, "part_open: %s\n", err.text);
        return false;
    }
    printf("open              %8.1f us\n",
        (double)(cpu_ns() - start) / 1000);
    bench_traces(part);
    bench_scan(part);
    sizes_add(&sizes, part);
    sizes_print_groups(&sizes);
    if (getenv("PART_COLUMNS") != NULL)
        sizes_print_columns(&sizes, 0.01);
    sizes_release(&sizes);
    part_close(part);
    return true;
}

int
main(void)
{
    bool good;

    part_gen_init(&gen);
    good = bench_corpus("plain", false) && bench_corpus("shop", true);
    part_gen_free(&gen);
    return good ? 0 : 1;
}
