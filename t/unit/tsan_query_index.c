/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What indexes answer is what the rows answer: on random stores of parts of
 * both levels and memtables, of several tenants and nodes, and for times that
 * cut parts.
 */

#include "core/base.h"

#include "storage/edges.h"

#include "index_store.h"

#define STORES 5u
#define QUERIES 10u

static struct span_gen spans;

/* Random stores, each asked the same questions for random times. */
static void
test_queries(const char *name, const struct store_mix *mix,
    const char *const *pipes, size_t npipes)
{
    uint64_t saved = 0;
    unsigned wrong = 0;

    for (unsigned i = 0; i < STORES; i++) {
        store_random(&spans, mix);
        for (unsigned k = 0; k < QUERIES; k++)
            wrong += !store_agrees(&spans, "*", pipes[gen_below(&spans,
                (uint32_t)npipes)], &saved);
    }
    is_int(wrong, 0, "%s: all equal", name);
    ok(saved > 0, "%s: %llu blocks were not read", name,
        (unsigned long long)saved);
}

static void
test_traces(void)
{
    static const char *const pipes[] = {
        "| stats count_uniq(trace_id)",
        "| stats count_uniq(trace_id) as n",
        "| stats count_uniq(trace_id) limit 100",
        "| stats by () count_uniq(trace_id) n | limit 5",
        "| stats count_uniq(trace_id, name)",
        "| stats by (kind) count_uniq(trace_id)",
        "| stats count_uniq(trace_id) if (kind:=2) a",
    };
    static const struct store_mix mixes[] = {
        {6, 4000, false, false, false}, {12, 300, false, false, false},
        {8, 2000, true, true, false}, {20, 60, true, false, false},
        {1, 3000, false, false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(mixes); i++) {
        test_queries("count_uniq(trace_id)", &mixes[i], pipes, 4);
        test_queries("and its like", &mixes[i], pipes, ARRAY_LEN(pipes));
    }
}

/* Large enough that many hashes begin with the same bits. */
static void
test_many_traces(void)
{
    struct store_mix mix = {5, 60000, false, false, false};
    uint64_t saved = 0;

    store_random(&spans, &mix);
    for (unsigned i = 0; i < 4; i++)
        ok(store_agrees(&spans, "*", "| stats count_uniq(trace_id)", &saved),
            "many traces, %u", i);
}

/* --- names of fields --- */

static void
test_names(void)
{
    static const char *const filters[] = {
        "*", "*", "*", "_time:>2026-11-21T12:00:00Z", "status_code:=2",
        "{\"resource_attr:service.name\"!=\"\"}",
    };
    static const struct store_mix mixes[] = {
        {6, 3000, false, false, true}, {8, 400, true, true, false},
        {20, 60, true, false, false}, {4, 30000, true, false, true},
    };
    uint64_t saved = 0;

    for (size_t m = 0; m < ARRAY_LEN(mixes); m++) {
        unsigned wrong = 0;

        for (unsigned i = 0; i < 3; i++) {
            store_random(&spans, &mixes[m]);
            for (unsigned k = 0; k < 10; k++)
                wrong += !store_agrees(&spans, filters[gen_below(&spans,
                    ARRAY_LEN(filters))], "| field_names", &saved);
        }
        is_int(wrong, 0, "names of fields: all equal");
    }
    ok(saved > 0, "names of fields: %llu blocks were not read",
        (unsigned long long)saved);
}

/* --- values --- */

#define NAMES_MAX 4000

static char *names[NAMES_MAX];
static uint32_t nnames;

static bool
is_plain(const char *text)
{
    for (; *text != 0; text++) {
        if ((unsigned char)*text <= ' ' || (unsigned char)*text > '~' ||
            strchr("\"'\\`=", *text) != NULL)
            return false;
    }
    return true;
}

/* Names of fields that the store has. */
static void
find_names(void)
{
    struct answer answer;

    while (nnames > 0)
        xfree(names[--nnames]);
    store_ask(&answer, "* | field_names as name | fields name",
        (struct tenant){0, 0}, INT64_MIN, INT64_MAX);
    if (answer.rc != 0)
        diag("names: %s", answer.err.text);
    /* Attributes, and some of the others. */
    for (uint32_t i = 0; i < answer.sink.n && nnames < NAMES_MAX; i++) {
        bool is_attr = strstr(answer.sink.lines[i], "_attr:") != NULL;

        if (sv_starts_with(sv_from(answer.sink.lines[i]), SV("name=")) &&
            is_plain(answer.sink.lines[i] + 5) &&
            (is_attr || gen_one_in(&spans, 6)))
            names[nnames++] = xstrdup(answer.sink.lines[i] + 5);
    }
    sink_reset(&answer.sink);
}

/* Counted by value, and each value looked for: "v=VALUE n=ROWS". */
static unsigned
test_value(const char *name, const char *line)
{
    const char *n = strstr(line, " hits=");
    size_t skip = strlen(name) + 1;
    struct tenant tenant = {0, 0};
    char text[1000], value[300];
    struct answer answer;
    unsigned wrong;

    if (n == NULL || strncmp(line, name, skip - 1) != 0 ||
        (size_t)(n - line) - skip >= sizeof(value))
        return 0;
    snprintf(value, sizeof(value), "%.*s", (int)((size_t)(n - line) - skip),
        line + skip);
    if (!is_plain(value) || value[0] == 0)
        return 0;
    snprintf(text, sizeof(text), "\"%s\":=\"%s\" | stats count() hits", name,
        value);
    store_ask(&answer, text, tenant, INT64_MIN, INT64_MAX);
    wrong = answer.rc != 0 || answer.sink.n != 1 ||
        strcmp(answer.sink.lines[0], n + 1) != 0;
    if (wrong)
        diag("%s: %s, not %s", text, answer.rc != 0 ? answer.err.text :
            answer.sink.lines[0], n + 1);
    sink_reset(&answer.sink);
    return wrong;
}

static unsigned
test_pruning(const char *name)
{
    struct answer answer;
    unsigned wrong = 0;
    char text[1000];

    snprintf(text, sizeof(text), "(*) !span_id:=x | uniq by (\"%s\") hits",
        name);
    store_ask(&answer, text, (struct tenant){0, 0}, INT64_MIN, INT64_MAX);
    if (answer.rc != 0)
        return 1;
    for (uint32_t i = 0; i < 3 && answer.sink.n > 0; i++)
        wrong += test_value(name, answer.sink.lines[gen_below(&spans,
            answer.sink.n)]);
    sink_reset(&answer.sink);
    return wrong;
}

static void
test_values(void)
{
    static const struct store_mix mixes[] = {
        {6, 3000, false, false, false}, {10, 300, true, true, false},
        {20, 60, true, false, false}, {4, 30000, true, false, true},
    };

    uint64_t total = 0;

    for (size_t m = 0; m < ARRAY_LEN(mixes); m++) {
        unsigned wrong = 0, missed = 0, asked = 0;
        uint64_t saved = 0;

        for (unsigned i = 0; i < 3; i++) {
            store_random(&spans, &mixes[m]);
            if (store_nparts > 1)
                (void)store_merge(MIN(store_nparts, 3u));
            find_names();
            for (unsigned k = 0; nnames > 0 && k < 20; k++) {
                const char *name = names[gen_below(&spans, nnames)];
                char text[1000];

                snprintf(text, sizeof(text), "| uniq by (\"%s\") hits",
                    name);
                wrong += !store_agrees(&spans, "*", text, &saved);
                missed += test_pruning(name);
                asked++;
            }
        }
        is_int(wrong, 0, "values of %u fields: all equal", asked);
        is_int(missed, 0, "values are found in their blocks");
        total += saved;
    }
    ok(total > 0, "values: %llu blocks were not read",
        (unsigned long long)total);
    while (nnames > 0)
        xfree(names[--nnames]);
}

/* --- all fields of a prefix --- */

/* A text that some field has, or part of it. */
static void
make_operand(char *dst, size_t size)
{
    static const char *const some[] = {"GET", "500", "a", "true", "7",
        "-", "checkout", "timeout", "deadbeef", "2026", "4.5"};
    const char *name = nnames == 0 || gen_one_in(&spans, 3) ? NULL :
        names[gen_below(&spans, nnames)];
    struct answer answer;
    char text[1000];
    size_t len;

    snprintf(dst, size, "%s", some[gen_below(&spans, ARRAY_LEN(some))]);
    if (name == NULL)
        return;
    snprintf(text, sizeof(text), "\"%s\":* | limit 20 | fields \"%s\"",
        name, name);
    store_ask(&answer, text, (struct tenant){0, 0}, INT64_MIN, INT64_MAX);
    if (answer.rc == 0 && answer.sink.n > 0) {
        const char *line = answer.sink.lines[gen_below(&spans,
            answer.sink.n)];

        len = strlen(name) + 1;
        if (strlen(line) > len && strlen(line) < size &&
            is_plain(line + len))
            snprintf(dst, size, "%s", line + len);
    }
    sink_reset(&answer.sink);
    if (gen_one_in(&spans, 2) && strlen(dst) > 3)
        dst[1 + gen_below(&spans, (uint32_t)strlen(dst) - 1)] = 0;
}

/* A row passes when one of its columns does, which are all looked at. */
static bool
any_agrees(uint64_t *hits)
{
    static const char *const prefixes[] = {"", "", "span_attr:",
        "resource_attr:", "event:", "s", "link:0", "scope", "nosuch"};
    static const char *const operators[] = {"\"%s\"", "\"%s\"*",
        "=\"%s\"", "=\"%s\"*", "i(\"%s\")", "in(\"%s\", x7)",
        "contains_all(\"%s\")", "~\"%s\"", ">\"%s\"", "seq(\"%s\")",
        "len_range(9, 11)"};
    const char *prefix = prefixes[gen_below(&spans, ARRAY_LEN(prefixes))];
    char field[400], operand[200], filter[400], text[1400];
    struct answer fast, slow;
    struct tenant tenant = {0, gen_one_in(&spans, 8) ? 1 : 0};
    bool same;

    make_operand(operand, sizeof(operand));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    snprintf(filter, sizeof(filter), operators[gen_below(&spans,
        ARRAY_LEN(operators))], operand);
#pragma GCC diagnostic pop
    snprintf(field, sizeof(field), "any*%s", prefix);
    if (nnames > 0 && gen_one_in(&spans, 2))
        snprintf(field, sizeof(field), "%s", names[gen_below(&spans,
            nnames)]);
    snprintf(text, sizeof(text), "\"%s\":%s | fields span_id, _time",
        field, filter);
    store_ask(&fast, text, tenant, INT64_MIN, INT64_MAX);
    snprintf(text, sizeof(text), "* | rename nosuch as nosuch2 | "
        "filter \"%s\":%s | fields span_id, _time", field, filter);
    store_ask(&slow, text, tenant, INT64_MIN, INT64_MAX);
    same = answers_equal(&fast, &slow);
    if (fast.rc != 0 && slow.rc != 0)
        same = true;
    *hits += fast.sink.n;
    if (!same)
        diag("%s: %u rows, not %u; %s %s", text, fast.sink.n, slow.sink.n,
            fast.err.text, slow.err.text);
    sink_reset(&fast.sink);
    sink_reset(&slow.sink);
    return same;
}

static void
test_any(void)
{
    static const struct store_mix mixes[] = {
        {6, 800, false, false, true}, {8, 300, true, true, false},
        {20, 60, true, false, false}, {4, 6000, true, false, true},
    };
    uint64_t hits = 0;

    for (size_t m = 0; m < ARRAY_LEN(mixes); m++) {
        unsigned wrong = 0;

        for (unsigned i = 0; i < 3; i++) {
            store_random(&spans, &mixes[m]);
            if (store_nparts > 1)
                (void)store_merge(MIN(store_nparts, 3u));
            find_names();
            for (unsigned k = 0; k < 40; k++)
                wrong += !any_agrees(&hits);
        }
        is_int(wrong, 0, "any field: all equal");
    }
    ok(hits > 0, "any field: %llu rows", (unsigned long long)hits);
    while (nnames > 0)
        xfree(names[--nnames]);
}

/* --- memtables of very many keys --- */

/* All columns at a time would take gigabytes. */
static void
test_wide(void)
{
    static const char *const texts[] = {"*", "* | limit 5000",
        "* | field_names", "* | fields span_attr:*"};
    struct tenant tenant = {0, 0};
    struct answer all, some;

    store_empty();
    spans.now_ns = SPAN_GEN_BASE_NS + 12 * 3600 * NS_PER_SEC;
    spans.shapes = 8000;
    for (uint32_t i = 0; i < 20; i++)
        store_spans(&spans, true, 400, tenant);
    spans.shapes = 0;
    store_keep();
    store_ask(&all, "* | fields span_id", tenant, INT64_MIN, INT64_MAX);
    is_int(all.rc, 0, "wide: one column");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        store_ask(&some, texts[i], tenant, INT64_MIN, INT64_MAX);
        is_int(some.rc, 0, "wide: %s %s", texts[i], some.err.text);
        if (i == 0)
            is_int(some.sink.n, all.sink.n, "wide: all rows");
        diag("wide: %s: %u lines", texts[i], some.sink.n);
        sink_reset(&some.sink);
    }
    sink_reset(&all.sink);
}

/* --- sums by stream --- */

static void
test_cells(void)
{
    static const char *const by[] = {
        "", "by (name)", "by (\"resource_attr:service.name\")",
        "by (kind, status_code)", "by (\"resource_attr:service.name\", name)",
        "by (_time:1m)", "by (_time:10m, \"resource_attr:service.name\")",
        "by (_time:1h offset 7m, status_code)", "by (_time:1d, name)",
        "by (_time, kind)", "by (\"scope_attr:x\", scope_name)",
        "by (_stream)", "by (_time:1w) ", "by (kind:2)", "by (span_id)",
    };
    static const char *const functions[] = {
        "count() n", "count() n, sum(duration) s", "avg(duration) a",
        "min(duration) a, max(duration) b", "sum(duration) s, count(name) n",
        "count() if (status_code:=2) errors, count() n",
        "max(name) a, count_uniq(name) b, min(kind) c",
        "uniq_values(\"resource_attr:service.name\") v",
        "count() if (name:~\"a\" or kind:=3) n",
        "sum(duration) if (-status_code:=0) s",
        "sum(duration, kind) s", "count(\"span_attr:a\", name) n",
    };
    static const char *const filters[] = {
        "*", "*", "*", "status_code:=2", "kind:in(1,2)", "name:*e*",
        "{\"resource_attr:service.name\"!=\"\"}", "_time:>2026-11-21T12:00:00Z",
        "-name:\"\"", "_time:5d offset 1h",
    };
    static const char *const uniq[] = {
        "| uniq by (name) hits", "| uniq by (kind, status_code) hits",
        "| uniq by (\"resource_attr:service.name\") hits",
        "| uniq by (_stream) hits", "| uniq by (scope_name, name)",
        "| uniq by (_stream_id) hits",
    };
    static const struct store_mix mixes[] = {
        {6, 6000, false, false, true}, {8, 4000, true, true, false},
        {3, 40000, false, false, true}, {12, 300, true, false, false},
    };
    uint64_t saved = 0;

    for (size_t m = 0; m < ARRAY_LEN(mixes); m++) {
        unsigned wrong = 0;

        for (unsigned i = 0; i < 3; i++) {
            store_random(&spans, &mixes[m]);
            for (unsigned k = 0; k < 40; k++) {
                const char *filter = filters[gen_below(&spans,
                    ARRAY_LEN(filters))];
                char text[1000];

                snprintf(text, sizeof(text), "| stats %s %s",
                    by[gen_below(&spans, ARRAY_LEN(by))],
                    functions[gen_below(&spans, ARRAY_LEN(functions))]);
                if (gen_one_in(&spans, 4))
                    snprintf(text, sizeof(text), "%s",
                        uniq[gen_below(&spans, ARRAY_LEN(uniq))]);
                wrong += !store_agrees(&spans, filter, text, &saved);
            }
        }
        is_int(wrong, 0, "sums by stream: all equal");
        diag("%llu blocks were not read", (unsigned long long)saved);
    }
    ok(saved > 0, "sums: %llu blocks were not read",
        (unsigned long long)saved);
}

/* --- calls between services --- */

#define PAIRS_MAX 20000u

struct pairs {
    struct {
        char text[600];
        uint64_t calls, errors;
        int64_t duration_ns;
    } v[PAIRS_MAX];
    uint32_t n;
};

static int
add_pair(const struct edge *edge, void *arg, UNUSED struct err *err)
{
    struct pairs *pairs = arg;
    char text[600];
    uint32_t i = 0;

    snprintf(text, sizeof(text), "%.*s > %.*s", SV_ARG(edge->parent),
        SV_ARG(edge->child));
    while (i < pairs->n && strcmp(pairs->v[i].text, text) != 0)
        i++;
    if (i == pairs->n) {
        check(pairs->n++ < PAIRS_MAX);
        memset(&pairs->v[i], 0, sizeof(pairs->v[i]));
        memcpy(pairs->v[i].text, text, sizeof(text));
    }
    pairs->v[i].calls += edge->calls;
    pairs->v[i].errors += edge->errors;
    pairs->v[i].duration_ns += edge->duration_ns;
    return 0;
}

static bool
edges_agree(uint64_t *calls)
{
    static struct pairs fast, slow;
    struct tenant tenant = {0, gen_one_in(&spans, 4) ? 1 : 0};
    struct edge_visit visit = {.fn = add_pair, .arg = &fast,
        .min_end_ns = INT64_MIN, .max_end_ns = INT64_MAX,
        .bytes_max = GIB};
    struct store_answer answer;
    struct err err = ERR_INIT;
    bool same;

    if (gen_one_in(&spans, 2))
        visit.min_end_ns = store_time(&spans);
    if (gen_one_in(&spans, 2))
        visit.max_end_ns = store_time(&spans);
    fast.n = slow.n = 0;
    same = store_visit_edges(&tenant, &visit, &answer, &err) == 0;
    visit.arg = &slow;
    visit.by_rows = true;
    same &= store_visit_edges(&tenant, &visit, &answer, &err) == 0;
    same &= fast.n == slow.n;
    for (uint32_t i = 0; i < fast.n && same; i++) {
        uint32_t k = 0;

        while (k < slow.n && strcmp(slow.v[k].text, fast.v[i].text) != 0)
            k++;
        same = k < slow.n && slow.v[k].calls == fast.v[i].calls &&
            slow.v[k].errors == fast.v[i].errors &&
            slow.v[k].duration_ns == fast.v[i].duration_ns;
        *calls += fast.v[i].calls;
        if (!same)
            diag("%s: %llu calls", fast.v[i].text,
                (unsigned long long)fast.v[i].calls);
    }
    if (!same)
        diag("%s: %u pairs, not %u", err.text, fast.n, slow.n);
    return same;
}

static void
test_edges(void)
{
    static const struct store_mix mixes[] = {
        {6, 3000, true, true, false}, {4, 20000, true, false, true},
    };
    uint64_t calls = 0;
    unsigned wrong = 0;

    for (size_t m = 0; m < ARRAY_LEN(mixes); m++) {
        for (unsigned i = 0; i < 3; i++) {
            store_random(&spans, &mixes[m]);
            for (unsigned k = 0; k < 6; k++)
                wrong += !edges_agree(&calls);
        }
    }
    is_int(wrong, 0, "calls between services: all equal");
    ok(calls > 0, "%llu calls", (unsigned long long)calls);
}

int
main(void)
{
    span_gen_init(&spans, 4711);
    store_open();
    test_wide();
    test_any();
    test_names();
    test_edges();
    test_cells();
    test_values();
    test_traces();
    test_many_traces();
    store_close();
    return tap_done();
}
