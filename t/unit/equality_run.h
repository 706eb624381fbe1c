/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Answers for t/unit/equality.c: running a query over what the catalogue has,
 * and comparing two answers.
 */

#ifndef SPOOR_T_UNIT_EQUALITY_RUN_H
#define SPOOR_T_UNIT_EQUALITY_RUN_H

#include "core/base.h"

#include <math.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "equality_query.h"
#include "query/parse.h"
#include "query/query.h"
#include "query/result_cache.h"
#include "query/text.h"

#define EQUALITY_NOW (SPAN_GEN_BASE_NS + 86400 * NS_PER_SEC)

/* --- answers --- */

struct answer_row {
    uint64_t hash[2]; /* of all cells but the loose ones */
    struct sv loose;  /* their texts, a newline behind each */
    struct sv text;   /* of all cells, when the answer is verbose */
};

struct answer {
    struct pool *pool;
    struct answer_row *rows;
    uint32_t n, cap;
    bool is_verbose;
    bool is_partial;
    uint64_t seen; /* of t/unit/split.c */
    enum err_code code; /* ERR_NONE: it is an answer */
    char why[200];
};

struct answer_sink {
    struct stage stage;
    struct answer *answer;
    struct sb loose, text;
};

static bool
is_loose(struct sv name)
{
    return sv_starts_with(name, SV("loose"));
}

static struct sv
answer_text(struct answer *answer, const struct sb *sb)
{
    char *copy = pool_dup(answer->pool, sb->ptr, sb->len);

    check(copy != NULL && !sb_failed(sb));
    return sv_make(copy, sb->len);
}

static void
row_add_cell(struct answer_sink *sink, struct answer_row *row,
    struct sv name, struct sv text)
{
    if (sink->answer->is_verbose) {
        sb_addf(&sink->text, " %.*s=", (int)name.len, name.ptr);
        sb_add_sv(&sink->text, sv_sub(text, 0, MIN(text.len, 200u)));
    }
    if (is_loose(name)) {
        sb_add_sv(&sink->loose, text);
        sb_add_char(&sink->loose, '\n');
    } else {
        XXH128_hash_t hash = XXH3_128bits_withSeed(text.ptr, text.len,
            XXH3_64bits(name.ptr, name.len));

        /* A sum, since columns come in any order. */
        row->hash[0] += hash.low64;
        row->hash[1] += hash.high64;
    }
}

static struct answer_row *
answer_add_row(struct answer *answer)
{
    if (answer->n == answer->cap) {
        answer->cap = MAX(2 * answer->cap, 64u);
        answer->rows = xrealloc(answer->rows,
            answer->cap * sizeof(*answer->rows));
    }
    memset(&answer->rows[answer->n], 0, sizeof(*answer->rows));
    return &answer->rows[answer->n++];
}

static int
answer_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct answer_sink *sink = (struct answer_sink *)stage;
    struct answer *answer = sink->answer;
    uint32_t first = answer->n, n;
    const struct sv *names;

    if (rows_names(rows, &names, &n, err) != 0)
        return -1;
    for (uint32_t i = 0; i < rows->nselected; i++)
        answer_add_row(answer);
    /* Verbose: texts of a row must stay together, so row by row. */
    for (uint32_t k = 0; !answer->is_verbose && k < n; k++) {
        const struct column *column;
        uint32_t at = first;

        if (rows_column(rows, names[k], &column, err) != 0)
            return -1;
        for (uint32_t row = rows_first(rows); row < rows->n;
            row = rows_next(rows, row), at++) {
            char buf[COLUMN_TEXT_MAX];
            struct sv text = column_text(column, row, buf);

            if (text.len == 0 && !is_loose(names[k]))
                continue;
            if (is_loose(names[k])) {
                struct sv old = answer->rows[at].loose;

                sb_reset(&sink->loose);
                sb_add_sv(&sink->loose, old);
            }
            row_add_cell(sink, &answer->rows[at], names[k], text);
            if (is_loose(names[k]))
                answer->rows[at].loose = answer_text(answer, &sink->loose);
        }
    }
    for (uint32_t row = rows_first(rows), at = first;
        answer->is_verbose && row < rows->n;
        row = rows_next(rows, row), at++) {
        sb_reset(&sink->loose);
        sb_reset(&sink->text);
        for (uint32_t k = 0; k < n; k++) {
            const struct column *column;
            char buf[COLUMN_TEXT_MAX];
            struct sv text;

            if (rows_column(rows, names[k], &column, err) != 0)
                return -1;
            text = column_text(column, row, buf);
            if (text.len > 0 || is_loose(names[k]))
                row_add_cell(sink, &answer->rows[at], names[k], text);
        }
        answer->rows[at].loose = answer_text(answer, &sink->loose);
        answer->rows[at].text = answer_text(answer, &sink->text);
    }
    return 0;
}

static int
answer_flush(UNUSED struct stage *stage, UNUSED struct err *err)
{
    return 0;
}

static void
answer_sink_free(UNUSED struct stage *stage)
{
}

static const struct stage_ops answer_ops = {
    answer_write, answer_flush, answer_sink_free
};

static void
answer_free(struct answer *answer)
{
    xfree(answer->rows);
    pool_free(answer->pool);
    answer->rows = NULL;
}

static void
answer_run_once(struct answer *answer, struct sv text,
    const struct tenant *tenant, bool keeps_results, bool is_verbose)
{
    struct pool *pool = pool_new(64 * MIB);
    struct query_env env = {.tenant = *tenant,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL, .lanes_max = 1,
        .memory_max = GIB, .results_max = keeps_results ? 16 * MIB : 0,
        .results_rows_min = 1};
    struct answer_sink sink = {.stage = {.ops = &answer_ops},
        .answer = answer};
    struct store_answer about = {.is_partial = false};
    struct err err = ERR_INIT;
    struct query *query;

    memset(answer, 0, sizeof(*answer));
    answer->pool = pool_new(GIB);
    answer->is_verbose = is_verbose;
    sb_init(&sink.loose, 16 * MIB);
    sb_init(&sink.text, 16 * MIB);
    if (query_parse(&query, text, EQUALITY_NOW, pool, &err) != 0 ||
        query_execute(query, &env, &sink.stage, &about, &err) != 0) {
        answer->code = err.code;
        snprintf(answer->why, sizeof(answer->why), "%s", err.text);
    }
    answer->is_partial = about.is_partial;
    sb_release(&sink.loose);
    sb_release(&sink.text);
    pool_free(pool);
}

/* A third of all queries is asked twice and finds what the first time kept. */
static UNUSED void
answer_run(struct answer *answer, struct sv text,
    const struct tenant *tenant, bool is_verbose)
{
    uint64_t how = XXH3_64bits(text.ptr, text.len) % 3;

    answer_run_once(answer, text, tenant, how > 0, is_verbose);
    if (how < 2)
        return;
    answer_free(answer);
    answer_run_once(answer, text, tenant, true, is_verbose);
}

/* --- comparing --- */

static bool
loose_text_equal(struct sv a, struct sv b)
{
    double x, y;

    if (sv_eq(a, b))
        return true;
    if (!number_parse(a, &x) || !number_parse(b, &y))
        return false;
    /* Sums of doubles depend on their order. */
    return fabs(x - y) <= 1e-9 * MAX(fabs(x), fabs(y));
}

static bool
row_equal(const struct answer_row *a, const struct answer_row *b)
{
    struct sv left = a->loose, right = b->loose, x, y;

    if (memcmp(a->hash, b->hash, sizeof(a->hash)) != 0)
        return false;
    for (;;) {
        bool has_left = sv_split(&left, '\n', &x);

        if (has_left != sv_split(&right, '\n', &y))
            return false;
        if (!has_left)
            return true;
        if (!loose_text_equal(x, y))
            return false;
    }
}

static int
row_order(const void *left, const void *right)
{
    const struct answer_row *a = left, *b = right;
    int order = memcmp(a->hash, b->hash, sizeof(a->hash));

    return order != 0 ? order : sv_cmp(a->loose, b->loose);
}

static void
answer_sort(struct answer *answer)
{
    if (answer->n > 1)
        qsort(answer->rows, answer->n, sizeof(*answer->rows), row_order);
}

/* Of answers that were sorted when the order does not count. */
static bool
answer_equal(const struct answer *a, const struct answer *b,
    enum compare compare)
{
    if (compare == COMPARE_NOT)
        return true;
    if (a->code != b->code || a->is_partial || b->is_partial ||
        a->n != b->n)
        return false;
    for (uint32_t i = 0; compare != COMPARE_COUNT && i < a->n; i++) {
        if (!row_equal(&a->rows[i], &b->rows[i]))
            return false;
    }
    return true;
}

/* What one has and the other has not; both sorted and verbose. */
static void
answer_diff(const struct answer *a, const struct answer *b)
{
    uint32_t i = 0, k = 0, said = 0;

    diag("    %u and %u rows; errors %d \"%s\" and %d \"%s\"%s", a->n, b->n,
        (int)a->code, a->why, (int)b->code, b->why,
        a->is_partial || b->is_partial ? "; partial" : "");
    while ((i < a->n || k < b->n) && said < 12) {
        int order = i == a->n ? 1 : k == b->n ? -1
            : memcmp(a->rows[i].hash, b->rows[k].hash,
                sizeof(a->rows[i].hash));

        if (order == 0 && row_equal(&a->rows[i], &b->rows[k])) {
            i++;
            k++;
            continue;
        }
        if (order <= 0)
            diag("    -%.*s", (int)MIN(a->rows[i].text.len, 600u),
                a->rows[i].text.ptr);
        if (order >= 0)
            diag("    +%.*s", (int)MIN(b->rows[k].text.len, 600u),
                b->rows[k].text.ptr);
        i += order <= 0;
        k += order >= 0;
        said++;
    }
}

#endif
