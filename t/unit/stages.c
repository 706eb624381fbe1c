/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The running pipes over small tables: the tables of the reference, and
 * random ones in columns of random forms against a plain implementation over
 * texts.
 */

#include "core/base.h"
#include "query/pipe.h"

#include <math.h>

#include "tap.h"

#include "query/text.h"
#include "stage_run.h"

static struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- the six spans of the reference (14) --- */

#define SPAN_COLUMNS 10

static const char *const spans[][SPAN_COLUMNS] = {
    {"a1", "2026-03-01T10:00:00.000000001Z", "t1", "GET /cart", "2", "0",
        "1500000", "cart", "", ""},
    {"a2", "2026-03-01T10:00:01.5Z", "t1", "SELECT orders", "3", "2",
        "250000", "db", "", ""},
    {"b1", "2026-03-01T10:01:00Z", "t2", "GET /cart/checkout", "2", "1",
        "90000000", "cart", "", ""},
    {"b2", "2026-03-01T10:02:00Z", "t2", "charge card", "3", "0",
        "7000000", "pay", "7ms", "10.0.0.7"},
    {"c1", "2026-03-01T10:03:00Z", "t3", "get /cart", "2", "0",
        "abc", "cart", "1.5s", "10.0.1.9"},
    {"c2", "2026-03-01T10:03:59.999999999Z", "t3", "GET /carts", "2", "0",
        "", "cart", "900us", "10.0.0.12"},
};

static struct sv span_cells[ARRAY_LEN(spans) * SPAN_COLUMNS];
static struct table span_table = {
    .names = {"span_id", "_time", "trace_id", "name", "kind", "status_code",
        "duration", "service", "took", "peer.ip"},
    .ncolumns = SPAN_COLUMNS,
    .nrows = ARRAY_LEN(spans),
    .cells = span_cells,
};

/* Lines in any order, parted by '\n'. */
static void
gives(const char *query, const char *want)
{
    bool is_ordered = want[0] == '!';
    uint32_t wrong = 0;
    char first[2048] = "";

    for (uint64_t round = 0; round < 40; round++) {
        struct sb got;
        unsigned nlanes = is_ordered ? 1 : 1 + round % 4;

        if (run_table(&sink, query, &span_table, nlanes, round) != 0) {
            wrong++;
            continue;
        }
        if (!is_ordered && sink.n > 0)
            qsort(sink.lines, sink.n, sizeof(char *), line_order);
        sb_init(&got, MIB);
        for (uint32_t i = 0; i < sink.n; i++)
            sb_addf(&got, "%s%s", i > 0 ? "\n" : "", sink.lines[i]);
        if (strcmp(got.ptr, want + is_ordered) != 0 && wrong++ == 0)
            snprintf(first, sizeof(first), "%s", got.ptr);
        sb_release(&got);
        sink_reset(&sink);
    }
    if (!ok(wrong == 0, "%s", query))
        diag("wrong in %u of 40 rounds:\n%s\n- want -\n%s", wrong, first,
            want);
}

static void
test_stats(void)
{
    gives("* | stats count() a, count(took) b, count(took, duration) c",
        "a=6 b=3 c=6");
    gives("* | stats min(took) a, max(took) b, median(took) c, "
        "quantile(0.9,took) d", "b=900us c=7ms d=900us");
    gives("* | stats count_uniq(took) c, count_uniq(kind,status_code) b, "
        "count_uniq(span_id) limit 3 d, count_uniq(trace_id) e",
        "c=3 b=4 d=3 e=3");
    gives("* | stats uniq_values(took) a", "a=[\"7ms\",\"1.5s\",\"900us\"]");
    gives("* | stats uniq_values(kind,status_code) a",
        "a=[\"0\",\"1\",\"2\",\"3\"]");
    gives("* | stats sum(duration) a, avg(duration) b, max(duration) c",
        "a=98750000 b=24687500 c=abc");
    gives("* | stats count() if (kind:=3) a, count() if (kind:=9) b, "
        "sum(duration) if (kind:=3)",
        "a=2 b=0 sum(duration) if (kind:=3)=7250000");
    gives("* | stats by (kind) count() if (kind:=3) a",
        "kind=2 a=0\nkind=3 a=2");
    gives("* | stats by (kind) sum(took) a, min(_time) b, max(_time) c, "
        "quantile(0.5, _time) d",
        "kind=2 a=1500000000 b=2026-03-01T10:00:00.000000001Z "
        "c=2026-03-01T10:03:59.999999999Z d=2026-03-01T10:03:00Z\n"
        "kind=3 a=7000000 b=2026-03-01T10:00:01.5Z c=2026-03-01T10:02:00Z "
        "d=2026-03-01T10:02:00Z");
    gives("* | limit 99 | filter kind:=9 | stats count() a, sum(kind) b, avg(kind) c, "
        "min(kind) d, max(kind) e, median(kind) f, count_uniq(kind) g, "
        "uniq_values(kind) h", "a=0 b=NaN c=NaN g=0 h=[]");
    gives("* | limit 99 | filter kind:=9 | stats by (kind) count() a", "");
    gives("* | stats by (kind) count() n | stats sum(n) s, count() g",
        "s=6 g=2");
    gives("* | stats by (trace_id, kind, status_code) count() n",
        "trace_id=t1 kind=2 status_code=0 n=1\n"
        "trace_id=t1 kind=3 status_code=2 n=1\n"
        "trace_id=t2 kind=2 status_code=1 n=1\n"
        "trace_id=t2 kind=3 status_code=0 n=1\n"
        "trace_id=t3 kind=2 status_code=0 n=2");
}

static void
test_buckets(void)
{
    gives("* | stats by (duration:1ms) count() n",
        "duration=0 n=1\nduration=1000000 n=1\nduration=7000000 n=1\n"
        "duration=90000000 n=1\nduration=abc n=1\nn=1");
    gives("* | stats by (duration:10M offset 5M) count() n",
        "duration=-5000000 n=2\nduration=5000000 n=1\nduration=85000000 n=1\n"
        "duration=abc n=1\nn=1");
    gives("* | stats by (took:1s) count() n",
        "n=3\ntook=0 n=1\ntook=1s n=1\ntook=900us n=1");
    gives("* | stats by (peer.ip:/24) count() n",
        "n=3\npeer.ip=10.0.0.0 n=2\npeer.ip=10.0.1.0 n=1");
    gives("* | stats by (_time:1m offset 20s) count() n",
        "_time=2026-03-01T09:59:20Z n=2\n_time=2026-03-01T10:00:20Z n=1\n"
        "_time=2026-03-01T10:01:20Z n=1\n_time=2026-03-01T10:02:20Z n=1\n"
        "_time=2026-03-01T10:03:20Z n=1");
    gives("* | stats by (_time:1m, kind) count() n",
        "_time=2026-03-01T10:00:00Z kind=2 n=1\n"
        "_time=2026-03-01T10:00:00Z kind=3 n=1\n"
        "_time=2026-03-01T10:01:00Z kind=2 n=1\n"
        "_time=2026-03-01T10:02:00Z kind=3 n=1\n"
        "_time=2026-03-01T10:03:00Z kind=2 n=2");
    gives("* | stats by (_time:day offset 2h) count() n",
        "_time=2026-03-01T02:00:00Z n=6");
    gives("* | stats by (_time:week) count() n",
        "_time=2026-02-23T00:00:00Z n=6");
    gives("* | stats by (_time:1w) count() n",
        "_time=2026-02-26T00:00:00Z n=6");
    gives("* | stats by (_time:month) count() n",
        "_time=2026-03-01T00:00:00Z n=6");
    gives("* | stats by (_time:year) count() n",
        "_time=2026-01-01T00:00:00Z n=6");
    gives("* | stats by (kind:0.5) count() n", "kind=2 n=4\nkind=3 n=2");
}

static void
test_rows_out(void)
{
    gives("* | fields span_id, nosuch, k*", "span_id=a1 kind=2\n"
        "span_id=a2 kind=3\nspan_id=b1 kind=2\nspan_id=b2 kind=3\n"
        "span_id=c1 kind=2\nspan_id=c2 kind=2");
    gives("* | limit 99 | filter span_id:=b2 | delete _*, t*, s*, n*, d*",
        "kind=3 peer.ip=10.0.0.7");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind, took "
        "| copy kind as x, x as y", "span_id=b2 kind=3 took=7ms x=3 y=3");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind, took "
        "| rename span_id name, name span_id", "span_id=b2 kind=3 took=7ms");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind "
        "| rename nosuch as kind", "span_id=b2");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind "
        "| copy * as a.*", "span_id=b2 kind=3 a.span_id=b2 a.kind=3");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind "
        "| rename span_id as kind", "kind=b2");
    gives("* | delete * | stats count() n", "n=6");
    gives("* | rename kind as x | stats by (x) count() n",
        "x=2 n=4\nx=3 n=2");
    gives("* | uniq by (kind) with hits", "kind=2 hits=4\nkind=3 hits=2");
    gives("* | uniq by (took, kind)", "kind=2\nkind=3\ntook=1.5s kind=2\n"
        "took=7ms kind=3\ntook=900us kind=2");
    gives("* | uniq by (span_id) with hits limit 2 | stats count() n, "
        "sum(hits) s", "n=2 s=0");
    gives("* | uniq by (kind) with hits limit 2",
        "kind=2 hits=4\nkind=3 hits=2");
    gives("* | uniq by (span_id) limit 2 | stats count() n", "n=2");
    gives("* | fields kind, took, nosuch | field_names",
        "name=kind hits=6\nname=took hits=3");
    gives("* | limit 4 | stats count() n", "n=4");
    gives("* | limit 0 | stats count() n", "n=0");
    gives("* | offset 4 | stats count() n", "n=2");
    gives("* | offset 100 | stats count() n", "n=0");
    gives("* | limit 3 | offset 2 | stats count() n", "n=1");
}

static void
test_sort(void)
{
    gives("* | sort by (kind, span_id desc) | fields span_id",
        "!span_id=c2\nspan_id=c1\nspan_id=b1\nspan_id=a1\nspan_id=b2\n"
        "span_id=a2");
    gives("* | sort by (kind, span_id) offset 2 limit 2 rank as r "
        "| fields span_id, r", "!span_id=c1 r=3\nspan_id=c2 r=4");
    gives("* | sort by (took, span_id) limit 10 | fields took, span_id",
        "!span_id=a1\nspan_id=a2\nspan_id=b1\ntook=7ms span_id=b2\n"
        "took=1.5s span_id=c1\ntook=900us span_id=c2");
    gives("* | sort by (took desc) limit 2 | fields took, kind",
        "!took=900us kind=2\ntook=1.5s kind=2");
    gives("* | sort by (name) | fields name",
        "!name=GET /cart\nname=GET /cart/checkout\nname=GET /carts\n"
        "name=SELECT orders\nname=charge card\nname=get /cart");
    gives("* | sort by (_time desc) limit 1 partition by (trace_id) "
        "| fields trace_id, span_id",
        "!trace_id=t1 span_id=a2\ntrace_id=t2 span_id=b2\n"
        "trace_id=t3 span_id=c2");
    gives("* | fields kind, span_id | sort by (span_id) limit 2 rank",
        "!rank=1 span_id=a1 kind=2\nrank=2 span_id=a2 kind=3");
    gives("* | sort by (duration desc) limit 3 | fields duration",
        "!duration=abc\nduration=90000000\nduration=7000000");
    gives("* | fields span_id | sort desc limit 2",
        "!span_id=c2\nspan_id=c1");
    gives("* | sort by (span_id) | limit 2 | fields span_id",
        "!span_id=a1\nspan_id=a2");
    gives("* | sort by (span_id desc) | offset 5 | fields span_id",
        "!span_id=a1");
}

/* --- random tables against a plain implementation --- */

#define RANDOM_COLUMNS 6

static const char *const random_names[RANDOM_COLUMNS] = {
    "int", "word", "time", "id", "mixed", "few",
};

static struct sv
random_text(uint32_t column, uint64_t *random, struct pool *pool)
{
    static const char *const words[] = {
        "", "GET", "get", "span2", "span10", "7ms", "1.5s", "900us", "007",
        "1_000", "-0", "18446744073709551615", "9223372036854775808",
        "2026-03-01T10:00:00.0Z", "1234567890123456", "00000000000000000",
        "0123456789abcdef", "0000000000000000", "10.0.0.1", "NaN",
    };
    uint32_t n = stage_random(random);
    char buf[64];
    struct atom atom = {ATOM_INT, (int64_t)(n % 50) - 10, {NULL, 0}};
    struct sv text = SV_EMPTY;

    switch (column) {
    case 0:
        text = n % 17 == 0 ? SV_EMPTY : atom_text(&atom, buf);
        break;
    case 1:
        text = sv_from(words[1 + n % 5]);
        break;
    case 2:
        atom.tag = ATOM_TIME;
        atom.v = INT64_C(1772359200000000000) + n % 300 * NS_PER_SEC +
            n % 7;
        text = atom_text(&atom, buf);
        break;
    case 3:
        text = n % 9 == 0 ? SV_EMPTY : sv_make(buf, (size_t)snprintf(buf,
            sizeof(buf), "%032x", 0xabc00000 + n % 100));
        break;
    case 4:
        text = n % 2 == 0 ? sv_from(words[n / 2 % ARRAY_LEN(words)])
            : n % 3 == 0 ? sv_make(buf, (size_t)snprintf(buf, sizeof(buf),
                "%016x", n % 20))
            : atom_text(&atom, buf);
        break;
    default:
        text = sv_from(n % 3 == 0 ? "a" : n % 3 == 1 ? "b" : "");
    }
    return sv_make(pool_dup(pool, text.ptr, text.len), text.len);
}

static void
random_table(struct table *table, uint32_t nrows, uint64_t *random,
    struct pool *pool)
{
    *table = (struct table){.ncolumns = RANDOM_COLUMNS, .nrows = nrows};
    memcpy(table->names, random_names, sizeof(random_names));
    table->cells = pool_alloc(pool,
        (nrows * RANDOM_COLUMNS + 1) * sizeof(struct sv));
    /* Kinds of values change with the rows, so that chunks differ. */
    for (uint32_t i = 0; i < nrows * RANDOM_COLUMNS; i++)
        table->cells[i] = random_text(i % RANDOM_COLUMNS, random, pool);
}

/* The values of one group. */
struct plain {
    struct sv texts[4000];
    uint32_t n;
    double sum;
    uint32_t numbers;
};

static int
plain_order(const void *a, const void *b)
{
    return value_order(*(const struct sv *)a, *(const struct sv *)b);
}

static uint32_t
plain_distinct(const struct plain *plain)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < plain->n; i++) {
        bool is_new = plain->texts[i].len > 0;

        for (uint32_t k = 0; k < i && is_new; k++)
            is_new = !sv_eq(plain->texts[i], plain->texts[k]);
        n += is_new;
    }
    return n;
}

/* One group as the query prints it; the order of mixed values is open. */
static void
plain_print(struct sb *out, struct plain *plain, bool is_ordered)
{
    uint32_t filled = 0;

    for (uint32_t i = 0; i < plain->n; i++) {
        double v;

        filled += plain->texts[i].len > 0;
        if (number_parse(plain->texts[i], &v)) {
            plain->sum += v;
            plain->numbers++;
        }
    }
    sb_addf(out, " n=%u f=%u u=%u", plain->n, filled,
        plain_distinct(plain));
    /* The sum of numbers of 20 digits depends on the order of rows. */
    if (!is_ordered)
        return;
    sb_add_str(out, " s=");
    number_print(out, plain->numbers == 0 ? (double)NAN : plain->sum);
    qsort(plain->texts, plain->n, sizeof(struct sv), plain_order);
    if (plain->texts[0].len > 0)
        sb_addf(out, " lo=%.*s", SV_ARG(plain->texts[0]));
    if (plain->texts[plain->n - 1].len > 0)
        sb_addf(out, " hi=%.*s", SV_ARG(plain->texts[plain->n - 1]));
    if (plain->texts[(uint32_t)(0.7 * plain->n)].len > 0)
        sb_addf(out, " q=%.*s",
            SV_ARG(plain->texts[(uint32_t)(0.7 * plain->n)]));
}

/* by: up to two columns, RANDOM_COLUMNS: none. */
static void
plain_stats(const struct table *table, const uint32_t *by, uint32_t arg,
    struct sb *out)
{
    static struct plain plain;
    bool *done = xcalloc(table->nrows + 1, sizeof(*done));
    char *lines[4000];
    uint32_t n = 0;

    for (uint32_t i = 0; i < table->nrows; i++) {
        const struct sv *a = &table->cells[i * RANDOM_COLUMNS];
        struct sb line;

        if (done[i])
            continue;
        memset(&plain, 0, sizeof(plain));
        for (uint32_t k = i; k < table->nrows; k++) {
            const struct sv *b = &table->cells[k * RANDOM_COLUMNS];

            if ((by[0] < RANDOM_COLUMNS && !sv_eq(a[by[0]], b[by[0]])) ||
                (by[1] < RANDOM_COLUMNS && !sv_eq(a[by[1]], b[by[1]])))
                continue;
            done[k] = true;
            plain.texts[plain.n++] = b[arg];
        }
        sb_init(&line, MIB);
        for (uint32_t k = 0; k < 2; k++) {
            if (by[k] < RANDOM_COLUMNS && a[by[k]].len > 0)
                sb_addf(&line, "%s%s=%.*s", line.len > 0 ? " " : "",
                    table->names[by[k]], SV_ARG(a[by[k]]));
        }
        plain_print(&line, &plain, arg != 4);
        lines[n++] = xstrdup(line.ptr + (line.ptr[0] == ' '));
        sb_release(&line);
    }
    qsort(lines, n, sizeof(char *), line_order);
    for (uint32_t i = 0; i < n; i++) {
        sb_addf(out, "%s\n", lines[i]);
        xfree(lines[i]);
    }
    xfree(done);
}

static bool
stats_agree(const struct table *table, const uint32_t *by, uint32_t arg,
    uint64_t seed)
{
    char query[512];
    const char *name = random_names[arg];
    struct sb want, got;
    bool is_same;
    int len = snprintf(query, sizeof(query), "* | stats by (");

    for (uint32_t k = 0; k < 2; k++) {
        if (by[k] < RANDOM_COLUMNS)
            len += snprintf(query + len, sizeof(query) - (size_t)len, "%s%s",
                k > 0 && by[0] < RANDOM_COLUMNS ? "," : "",
                random_names[by[k]]);
    }
    len += snprintf(query + len, sizeof(query) - (size_t)len,
        ") count() n, count(%s) f, count_uniq(%s) u", name, name);
    if (arg != 4)
        snprintf(query + len, sizeof(query) - (size_t)len,
            ", sum(%s) s, min(%s) lo, max(%s) hi, quantile(0.7,%s) q", name,
            name, name, name);
    sb_init(&want, 16 * MIB);
    sb_init(&got, 16 * MIB);
    plain_stats(table, by, arg, &want);
    if (run_table(&sink, query, table, 1 + seed % 4, seed) != 0)
        return false;
    qsort(sink.lines, sink.n, sizeof(char *), line_order);
    for (uint32_t i = 0; i < sink.n; i++)
        sb_addf(&got, "%s\n", sink.lines[i]);
    is_same = strcmp(want.ptr, got.ptr) == 0;
    if (!is_same)
        diag("%s\n%.1500s\n- want -\n%.1500s", query, got.ptr, want.ptr);
    sb_release(&want);
    sb_release(&got);
    sink_reset(&sink);
    return is_same;
}

static void
test_random_stats(void)
{
    uint64_t random = 7;
    uint32_t wrong = 0, rounds = 250;

    for (uint32_t i = 0; i < rounds; i++) {
        struct pool *pool = pool_new(64 * MIB);
        struct table table;
        uint32_t by[2] = {
            stage_random(&random) % (RANDOM_COLUMNS + 1),
            stage_random(&random) % (RANDOM_COLUMNS + 1),
        };

        if (by[0] == by[1])
            by[1] = RANDOM_COLUMNS;
        random_table(&table, 1 + stage_random(&random) % 900, &random, pool);
        wrong += wrong < 3 && !stats_agree(&table, by,
            stage_random(&random) % RANDOM_COLUMNS, random);
        pool_free(pool);
    }
    is_int(wrong, 0, "%u random tables, stats", rounds);
}

/* The keys of sort are in order, and the rows are those of the table. */
static bool
sort_agrees(const struct table *table, uint32_t column, uint32_t limit,
    bool is_desc)
{
    struct sv *want = xcalloc(table->nrows + 1, sizeof(*want));
    uint64_t seed = limit * 7 + column;
    char query[256];
    bool is_same = true;

    for (uint32_t i = 0; i < table->nrows; i++)
        want[i] = table->cells[i * RANDOM_COLUMNS + column];
    qsort(want, table->nrows, sizeof(*want), plain_order);
    snprintf(query, sizeof(query), "* | sort by (%s%s) %s%u | fields %s",
        random_names[column], is_desc ? " desc" : "",
        limit == 0 ? "offset " : "limit ", limit, random_names[column]);
    if (run_table(&sink, query, table, 1 + seed % 4, seed) != 0)
        return false;
    is_same = sink.n == (limit == 0 ? table->nrows
        : MIN(limit, table->nrows));
    for (uint32_t i = 0; i < sink.n && is_same; i++) {
        struct sv text = want[is_desc ? table->nrows - 1 - i : i];
        char line[128];

        snprintf(line, sizeof(line), "%s=%.*s", random_names[column],
            SV_ARG(text));
        is_same = strcmp(sink.lines[i], text.len == 0 ? "" : line) == 0;
        if (!is_same)
            diag("%s: row %u is %s, want %s", query, i, sink.lines[i], line);
    }
    sink_reset(&sink);
    xfree(want);
    return is_same;
}

static void
test_random_sort(void)
{
    uint64_t random = 99;
    uint32_t wrong = 0, rounds = 200;

    for (uint32_t i = 0; i < rounds; i++) {
        struct pool *pool = pool_new(64 * MIB);
        struct table table;
        uint32_t column = stage_random(&random) % RANDOM_COLUMNS;

        if (column == 4) /* kinds that have no common order */
            column = 0;
        random_table(&table, 1 + stage_random(&random) % 1500, &random,
            pool);
        wrong += wrong < 3 && !sort_agrees(&table, column,
            i % 3 == 0 ? 0 : 1 + stage_random(&random) % 100, i % 2 == 0);
        pool_free(pool);
    }
    is_int(wrong, 0, "%u random tables, sort", rounds);
}

/* --- limits --- */

static void
test_memory(void)
{
    static const char *const queries[] = {
        "* | stats by (a) count() n",
        "* | stats by (b) quantile(0.5, a) n",
        "* | stats count_uniq(a) n",
        "* | stats uniq_values(a) n",
        "* | uniq by (a)",
        "* | sort by (a)",
        "* | sort by (a) limit 10000",
    };
    struct table table = {.names = {"a", "b"}, .ncolumns = 2};
    struct pool *pool = pool_new(GIB);

    table.nrows = 20000;
    table.cells = pool_alloc(pool, table.nrows * 2 * sizeof(struct sv));
    for (uint32_t i = 0; i < table.nrows; i++) {
        char *text = pool_alloc(pool, 32);

        table.cells[2 * i] = sv_make(text, (size_t)snprintf(text, 32,
            "value %u", i * 7919));
        table.cells[2 * i + 1] = sv_from(i % 2 == 0 ? "x" : "y");
    }
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct err err = ERR_INIT;
        struct chain chain;
        uint64_t random = i;
        int result = chain_make(&chain, queries[i], &sink, 256 * KIB, &err);

        if (result == 0)
            result = chain_feed(&chain, &table, 3, &random, &err);
        if (result == 0) {
            result = stages_flush(chain.first, &err);
        } else {
            stages_free(chain.first);
        }
        ok(result == -1 && err.code == ERR_LIMIT, "%s: %s", queries[i],
            err.text);
        is_int(chain.run.budget.used, 0, "nothing is charged behind it");
        sink_reset(&sink);
        pool_free(chain.pool);
    }
    pool_free(pool);
}

static void
test_cancel(void)
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
    for (size_t i = 0; i < ARRAY_LEN(span_cells); i++)
        span_cells[i] = sv_from(spans[i / SPAN_COLUMNS][i % SPAN_COLUMNS]);
    test_stats();
    test_buckets();
    test_rows_out();
    test_sort();
    test_random_stats();
    test_random_sort();
    test_memory();
    test_cancel();
    test_needed();
    return tap_done();
}
