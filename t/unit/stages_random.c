/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Running pipes over random tables, in columns of random forms, against a
 * plain implementation over texts.
 */

#include "core/base.h"
#include "query/pipe.h"

#include <math.h>

#include "tap.h"

#include "query/bucket.h"
#include "query/steps.h"
#include "query/text.h"
#include "stage_run.h"

static struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

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
    bool has_runs = stage_random(random) % 2 == 0;

    *table = (struct table){.ncolumns = RANDOM_COLUMNS, .nrows = nrows};
    memcpy(table->names, random_names, sizeof(random_names));
    table->cells = pool_alloc(pool,
        (nrows * RANDOM_COLUMNS + 1) * sizeof(struct sv));
    for (uint32_t i = 0; i < nrows * RANDOM_COLUMNS; i++) {
        if (has_runs && i >= RANDOM_COLUMNS && stage_random(random) % 50 != 0)
            table->cells[i] = table->cells[i - RANDOM_COLUMNS];
        else
            table->cells[i] = random_text(i % RANDOM_COLUMNS, random, pool);
    }
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
plain_stats(const struct table *table, const struct table *keys,
    const uint32_t *by, uint32_t arg, struct sb *out)
{
    static struct plain plain;
    bool *done = xcalloc(table->nrows + 1, sizeof(*done));
    char *lines[4000];
    uint32_t n = 0;

    for (uint32_t i = 0; i < table->nrows; i++) {
        const struct sv *a = &keys->cells[i * RANDOM_COLUMNS];
        struct sb line;

        if (done[i])
            continue;
        memset(&plain, 0, sizeof(plain));
        for (uint32_t k = i; k < table->nrows; k++) {
            const struct sv *b = &keys->cells[k * RANDOM_COLUMNS];

            if ((by[0] < RANDOM_COLUMNS && !sv_eq(a[by[0]], b[by[0]])) ||
                (by[1] < RANDOM_COLUMNS && !sv_eq(a[by[1]], b[by[1]])))
                continue;
            done[k] = true;
            plain.texts[plain.n++] =
                table->cells[k * RANDOM_COLUMNS + arg];
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

/* The same table with the buckets of the query's "by" instead of values. */
static struct table
bucketed_table(const struct table *table, const char *text,
    const uint32_t *by, struct pool *pool)
{
    struct table copy = *table;
    struct query *query;
    struct err err = ERR_INIT;
    uint32_t k = 0;

    if (query_parse(&query, sv_from(text), 0, pool, &err) != 0) {
        fail("%s: %s", text, err.text);
        return copy;
    }
    copy.cells = pool_alloc(pool, (size_t)table->nrows * RANDOM_COLUMNS *
        sizeof(struct sv));
    memcpy(copy.cells, table->cells, (size_t)table->nrows * RANDOM_COLUMNS *
        sizeof(struct sv));
    for (uint32_t i = 0; i < 2; i++) {
        const struct stats_by *bucket;

        if (by[i] == RANDOM_COLUMNS)
            continue;
        bucket = &query->pipes->stats->by[k++];
        for (uint32_t row = 0; row < table->nrows; row++) {
            struct sv *cell = &copy.cells[row * RANDOM_COLUMNS + by[i]];
            char buf[BUCKET_TEXT_MAX];
            struct sv bucket_of = bucket_text(bucket, *cell, buf);

            *cell = sv_make(pool_dup(pool, bucket_of.ptr, bucket_of.len),
                bucket_of.len);
        }
    }
    return copy;
}

static const char *
random_bucket(uint32_t column, uint64_t *random)
{
    static const char *const times[] = {
        "", ":1s", ":1m", ":1m offset 17s", ":month", ":hour",
        ":2m offset -1h",
    };
    static const char *const ints[] = {
        "", ":10", ":7 offset 3", ":0.5", ":1000", ":5 offset -1000", ":1",
    };

    if (column == 2)
        return times[stage_random(random) % ARRAY_LEN(times)];
    return column == 0 || column == 4
        ? ints[stage_random(random) % ARRAY_LEN(ints)] : "";
}

static bool
stats_agree(const struct table *table, const uint32_t *by, uint32_t arg,
    uint64_t seed)
{
    struct pool *pool = pool_new(256 * MIB);
    uint64_t random = seed;
    struct table bucketed;
    char query[512];
    const char *name = random_names[arg];
    struct sb want, got;
    bool is_same;
    int len = snprintf(query, sizeof(query), "* | stats by (");

    for (uint32_t k = 0; k < 2; k++) {
        if (by[k] < RANDOM_COLUMNS)
            len += snprintf(query + len, sizeof(query) - (size_t)len, "%s%s%s",
                k > 0 && by[0] < RANDOM_COLUMNS ? "," : "",
                random_names[by[k]], random_bucket(by[k], &random));
    }
    len += snprintf(query + len, sizeof(query) - (size_t)len,
        ") count() n, count(%s) f, count_uniq(%s) u", name, name);
    if (arg != 4)
        snprintf(query + len, sizeof(query) - (size_t)len,
            ", sum(%s) s, min(%s) lo, max(%s) hi, quantile(0.7,%s) q", name,
            name, name, name);
    sb_init(&want, 16 * MIB);
    sb_init(&got, 16 * MIB);
    bucketed = bucketed_table(table, query, by, pool);
    plain_stats(table, &bucketed, by, arg, &want);
    pool_free(pool);
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
    uint32_t wrong = 0, rounds = 500;

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
/* --- buckets of one width: values around every edge --- */

#define EDGES 300u

static uint32_t
steps_wrong(const struct stats_by *by, int64_t first, uint64_t *random)
{
    static int64_t ints[3 * EDGES];
    static uint32_t codes[3 * EDGES];
    struct column column = {.kind = COLUMN_TIMES, .ints = ints};
    struct picks picks = {ARRAY_LEN(ints), NULL, 0};
    struct steps steps;
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < ARRAY_LEN(ints); i++) {
        uint32_t at = stage_random(random) % (i + 1);

        ints[i] = ints[at];
        ints[at] = first + i / 3 * by->step_ns + i % 3 - 1;
    }
    if (!steps_make(&steps, by, &column, &picks))
        return 1;
    steps_codes(&steps, &column, &picks, codes);
    for (uint32_t i = 0; i < ARRAY_LEN(ints); i++)
        wrong += codes[i] >= steps.n ||
            steps_start(&steps, codes[i]) != bucket_time(by, ints[i]);
    return wrong;
}

static void
test_steps(void)
{
    uint64_t random = 17;
    uint32_t wrong = 0, rounds = 2000;

    for (uint32_t i = 0; i < rounds; i++) {
        int64_t width = 3 + (int64_t)(stage_random(&random) >> i % 28);
        struct stats_by by = {.bucket = BUCKET_STEP};
        int64_t first;

        width *= i % 3 == 0 ? 1 : i % 3 == 1 ? 1000 : 100000;
        by.step_ns = width;
        by.step = (double)width;
        by.offset_ns = i % 4 == 0 ? (int64_t)stage_random(&random) : 0;
        by.offset = (double)by.offset_ns;
        first = bucket_time(&by, i % 2 == 0 ? INT64_C(1772359200000000000)
            : -(int64_t)stage_random(&random));
        wrong += steps_wrong(&by, first, &random);
    }
    is_int(wrong, 0, "edges of %u buckets", rounds);
}

int
main(void)
{
    test_steps();
    test_random_stats();
    test_random_sort();
    return tap_done();
}
