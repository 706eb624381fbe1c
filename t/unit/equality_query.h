/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Random LogsQL for t/unit/equality.c.  A query is a tree of filters and a
 * list of pipes, so that a failing one can be made smaller.  Every query has
 * one answer only, whatever the form of the data: where the language leaves
 * a choice (which rows a limit lets pass), only what it settles is compared.
 */

#ifndef SPOOR_T_UNIT_EQUALITY_QUERY_H
#define SPOOR_T_UNIT_EQUALITY_QUERY_H

#include "core/base.h"

#include "equality_filter.h"

#define EQUALITY_PIPES_MAX 5u

enum compare {
    COMPARE_SET,   /* the same rows in any order */
    COMPARE_LIST,  /* the same rows in the same order */
    COMPARE_COUNT, /* as many rows */
    COMPARE_NOT,   /* the answer is not settled */
};

struct random_query {
    uint32_t tenant;
    struct node *filter;
    struct sv time; /* "_time:[...)", or empty */
    struct sv pipes[EQUALITY_PIPES_MAX];
    uint32_t npipes;
    /* How to compare when only the first n pipes run. */
    enum compare compare[EQUALITY_PIPES_MAX + 1];
};

/* --- pipes --- */

static void
add_names(struct maker *m, uint32_t max)
{
    uint32_t n = 1 + below(m, max);

    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            sb_add_str(&m->sb, ", ");
        add_name(m);
    }
}

/* Functions whose answer does not depend on copies, then the others. */
static const char *const sure_functions[] = {"count_uniq", "uniq_values",
    "min", "max", "count_uniq_hash"};
static const char *const other_functions[] = {"count", "sum", "avg",
    "median", "quantile", "count_empty", "sum_len", "stddev", "histogram"};

/*
 * Where doubles are summed in some order, the result's name begins with
 * "loose".
 */
static void
add_function(struct maker *m, uint32_t i)
{
    bool is_sure = m->world->spec.has_copies || one_in(m, 3);
    const char *name = is_sure
        ? sure_functions[below(m, ARRAY_LEN(sure_functions))]
        : other_functions[below(m, ARRAY_LEN(other_functions))];
    bool is_exact = strcmp(name, "sum") != 0 && strcmp(name, "avg") != 0 &&
        strcmp(name, "stddev") != 0;
    bool is_counter = strstr(name, "count") != NULL ||
        strstr(name, "uniq") != NULL;

    sb_addf(&m->sb, "%s(", name);
    if (strcmp(name, "quantile") == 0)
        sb_addf(&m->sb, "0.%u, ", 5 + 9 * below(m, 11));
    if (strcmp(name, "count") == 0 && one_in(m, 2))
        ;
    else if (strcmp(name, "count_uniq") == 0 && one_in(m, 2))
        sb_add_str(&m->sb, one_in(m, 3) ? "name" : "trace_id");
    else if (!is_counter && one_in(m, 2))
        sb_add_str(&m->sb, "duration");
    else if (strcmp(name, "histogram") == 0)
        add_name(m);
    else if (!is_counter && name[0] != 'q' && strcmp(name, "median") != 0 &&
        one_in(m, 10))
        sb_add_str(&m->sb, "\"span_attr:\"*");
    else
        add_names(m, 2);
    sb_add_char(&m->sb, ')');
    if (one_in(m, 5)) {
        sb_add_str(&m->sb, " if (");
        add_field_leaf(m);
        sb_add_char(&m->sb, ')');
    }
    sb_addf(&m->sb, " as %s%u", is_exact ? "exact" : "loose", i);
}

static void
add_by(struct maker *m)
{
    static const char *const steps[] = {"1m", "5m", "1h", "day", "7s",
        "1h offset 13m"};

    switch (below(m, 6)) {
    case 0:
        sb_addf(&m->sb, "_time:%s", steps[below(m, ARRAY_LEN(steps))]);
        break;
    case 1:
        sb_addf(&m->sb, "duration:%s", one_in(m, 2) ? "10ms" : "1000000");
        break;
    case 2:
        sb_add_str(&m->sb, "name");
        break;
    case 3:
        sb_add_str(&m->sb, "\"resource_attr:service.name\"");
        break;
    default:
        add_name(m);
    }
}

static void
add_stats(struct maker *m)
{
    uint32_t nby = below(m, 3), nfns = 1 + below(m, 3);

    sb_add_str(&m->sb, "stats ");
    if (nby > 0) {
        sb_add_str(&m->sb, "by (");
        for (uint32_t i = 0; i < nby; i++) {
            if (i > 0)
                sb_add_str(&m->sb, ", ");
            add_by(m);
        }
        sb_add_str(&m->sb, ") ");
    }
    for (uint32_t i = 0; i < nfns; i++) {
        if (i > 0)
            sb_add_str(&m->sb, ", ");
        add_function(m, i);
    }
}

/* What the index may answer, and what people ask most. */
static void
add_popular(struct maker *m)
{
    static const char *const sure[] = {
        "stats count_uniq(trace_id) as exact0",
        "uniq by (\"resource_attr:service.name\")",
        "uniq by (name)",
        "uniq by (\"resource_attr:service.name\", name)",
        "uniq by (_stream)",
        "uniq by (_stream_id)",
        "uniq by (kind)",
        "uniq by (trace_id)",
        "uniq by (\"span_attr:http.route\")",
        "stats by (\"resource_attr:service.name\") "
            "count_uniq(trace_id) as exact0",
        "stats by (name) max(duration) as exact0, min(duration) as exact1",
        "stats min(_time) as exact0, max(_time) as exact1",
        "stats by (\"resource_attr:service.name\") "
            "uniq_values(name) as exact0",
    };
    static const char *const others[] = {
        "stats count() as exact0",
        "stats by (\"resource_attr:service.name\") count() as exact0",
        "stats by (name) count() as exact0",
        "stats by (_time:1m) count() as exact0",
        "stats by (_time:5m, \"resource_attr:service.name\") count() "
            "as exact0",
        "stats by (\"resource_attr:service.name\") "
            "quantile(0.95, duration) as exact0",
        "stats by (_time:1m) quantile(0.95, duration) as exact0",
        "stats by (\"resource_attr:service.name\", name) count() as exact0, "
            "sum(duration) as loose0, avg(duration) as loose1, "
            "max(duration) as exact2",
        "stats by (_stream) count() as exact0, min(duration) as exact1",
        "stats by (kind) count() as exact0",
        "stats by (status_code) count() as exact0",
        "field_names",
        "uniq by (name) with hits",
        "uniq by (\"resource_attr:service.name\") with hits",
        "uniq by (_stream) with hits",
        "uniq by (_stream_id) with hits",
        "uniq by (\"span_attr:http.response.status_code\") with hits",
        "stats by (\"span_attr:http.response.status_code\") count() "
            "as exact0",
        "stats avg(duration) as loose0",
        "stats by (_time:day) count() as exact0, max(duration) as exact1",
    };
    uint32_t k = below(m, m->world->spec.has_copies ? ARRAY_LEN(sure)
        : ARRAY_LEN(sure) + ARRAY_LEN(others));

    sb_add_str(&m->sb, k < ARRAY_LEN(sure) ? sure[k]
        : others[k - ARRAY_LEN(sure)]);
}

static void
take_pipe(struct maker *m, struct random_query *q, enum compare compare)
{
    q->pipes[q->npipes] = maker_keep(m);
    q->compare[++q->npipes] = compare;
}

/* Pipes that work row by row. */
static void
make_row_pipe(struct maker *m, struct random_query *q, bool keeps_all)
{
    switch (below(m, keeps_all ? 2 : 6)) {
    case 0:
        sb_add_str(&m->sb, one_in(m, 2) ? "filter " : "where ");
        add_field_leaf(m);
        break;
    case 1:
        sb_add_str(&m->sb, "copy ");
        add_name(m);
        sb_addf(&m->sb, " as copied%u", q->npipes);
        break;
    case 2:
        sb_add_str(&m->sb, "rename ");
        add_name(m);
        sb_addf(&m->sb, " as renamed%u", q->npipes);
        break;
    case 3:
        sb_add_str(&m->sb, "delete ");
        add_names(m, 3);
        break;
    case 4:
        sb_add_str(&m->sb, "fields \"span_attr:\"*, name");
        break;
    default:
        sb_add_str(&m->sb, "fields ");
        add_names(m, 6);
    }
    take_pipe(m, q, COMPARE_SET);
}

/* In a total order: no two spans have the same ids and times. */
static void
make_sort(struct maker *m, struct random_query *q)
{
    uint32_t n = below(m, 3), limit = one_in(m, 4) ? 0 : 1 + below(m, 40);

    if (one_in(m, 3)) {
        sb_addf(&m->sb, "sort by (_time%s) limit %u",
            one_in(m, 4) ? "" : " desc", 1 + below(m, 40));
        take_pipe(m, q, COMPARE_COUNT);
        sb_add_str(&m->sb, "fields _time");
        take_pipe(m, q, COMPARE_LIST);
        return;
    }
    sb_add_str(&m->sb, "sort by (");
    for (uint32_t i = 0; i < n; i++) {
        add_name(m);
        sb_add_str(&m->sb, one_in(m, 2) ? " desc, " : ", ");
    }
    sb_add_str(&m->sb, "trace_id, span_id, end_time_unix_nano)");
    if (one_in(m, 5))
        sb_addf(&m->sb, " offset %u", below(m, 20));
    if (limit > 0)
        sb_addf(&m->sb, " limit %u", limit);
    if (limit > 0 && one_in(m, 4))
        sb_add_str(&m->sb, " partition by (name)");
    if (one_in(m, 4))
        sb_add_str(&m->sb, " rank as ranked");
    take_pipe(m, q, memmem(m->sb.ptr, m->sb.len, "partition", 9) != NULL
        ? COMPARE_SET : COMPARE_LIST);
}

static void
make_uniq(struct maker *m, struct random_query *q)
{
    bool has_hits = !m->world->spec.has_copies && one_in(m, 2);
    bool has_limit = one_in(m, 6);

    sb_add_str(&m->sb, "uniq by (");
    add_names(m, 2);
    sb_addf(&m->sb, ")%s", has_hits ? " with hits" : "");
    if (has_limit)
        sb_addf(&m->sb, " limit %u", 1 + below(m, 10));
    take_pipe(m, q, has_limit ? COMPARE_COUNT : COMPARE_SET);
}

/* Tuples, values or rows with what is counted of all; no copies. */
static void
make_counts(struct maker *m, struct random_query *q)
{
    enum compare compare = COMPARE_LIST;

    switch (below(m, 4)) {
    case 0:
        sb_addf(&m->sb, "facets %u max_values_per_field %u max_value_len %u",
            1 + below(m, 10), 1 + below(m, 60), 1 + below(m, 60));
        break;
    case 1:
        sb_add_str(&m->sb, "field_values ");
        add_name(m);
        sb_addf(&m->sb, " filter \"%s\"", one_in(m, 2) ? "" : "a");
        compare = COMPARE_SET;
        break;
    case 2:
        sb_add_str(&m->sb, "total_stats by (name) count() as exact7, "
            "max(duration) as exact8");
        compare = COMPARE_SET;
        break;
    default:
        sb_addf(&m->sb, "top %u by (", 1 + below(m, 30));
        add_names(m, 2);
        sb_addf(&m->sb, ")%s", one_in(m, 2) ? " rank as ranked" : "");
    }
    take_pipe(m, q, compare);
}

static void
make_stats(struct maker *m, struct random_query *q)
{
    bool is_exact;

    if (one_in(m, 2))
        add_popular(m);
    else
        add_stats(m);
    is_exact = memmem(m->sb.ptr, m->sb.len, "count() as exact0", 17) != NULL;
    take_pipe(m, q, COMPARE_SET);
    if (is_exact && one_in(m, 6)) {
        sb_addf(&m->sb, "filter exact0:>%u", below(m, 20));
        take_pipe(m, q, COMPARE_SET);
    } else if (is_exact && one_in(m, 6)) {
        sb_addf(&m->sb, "sort by (exact0 desc) limit %u", 1 + below(m, 9));
        take_pipe(m, q, COMPARE_COUNT);
        sb_add_str(&m->sb, "fields exact0");
        take_pipe(m, q, COMPARE_LIST);
    } else if (one_in(m, 8)) {
        sb_add_str(&m->sb, "stats count() as exact9");
        take_pipe(m, q, COMPARE_SET);
    }
}

static void
make_pipes(struct maker *m, struct random_query *q)
{
    bool has_copies = m->world->spec.has_copies;
    uint32_t kind = has_copies ? 4 + below(m, 6) : below(m, 10);

    if (kind == 0)
        return;
    if (one_in(m, 3)) {
        make_row_pipe(m, q, kind == 2);
        if (has_copies)
            q->compare[0] = q->compare[1] = COMPARE_NOT;
    } else if (has_copies) {
        q->compare[0] = COMPARE_NOT;
    }
    switch (kind) {
    case 1:
        make_row_pipe(m, q, false);
        break;
    case 2:
        make_sort(m, q);
        break;
    case 3:
        sb_addf(&m->sb, "%s %u", one_in(m, 2) ? "limit" : "offset",
            below(m, 50));
        take_pipe(m, q, COMPARE_COUNT);
        break;
    case 4:
    case 5:
        if (!has_copies && one_in(m, 2))
            make_counts(m, q);
        else
            make_uniq(m, q);
        break;
    default:
        make_stats(m, q);
    }
}

/* --- a query --- */

/* What an index may answer: all rows, or those of streams, and one pipe. */
static void
make_simple(struct maker *m, struct random_query *q)
{
    q->filter = pool_zalloc(m->pool, sizeof(*q->filter));
    if (one_in(m, 4))
        add_stream(m);
    else if (one_in(m, 6))
        sb_addf(&m->sb, "%s:=%u", one_in(m, 2) ? "kind" : "status_code",
            below(m, 4));
    else
        sb_add_char(&m->sb, '*');
    q->filter->text = maker_keep(m);
    q->compare[0] = m->world->spec.has_copies ? COMPARE_NOT : COMPARE_SET;
    if (one_in(m, 6))
        sb_add_str(&m->sb, "stats count_uniq(trace_id) as exact0");
    else
        add_popular(m);
    take_pipe(m, q, COMPARE_SET);
}

static UNUSED void
query_make(struct maker *m, struct random_query *q)
{
    static const char *const whole[] = {"_time:[2026-11-20, 2026-11-24)",
        "_time:[2026-11-21T00:00:00Z, 2026-11-30T00:00:00Z]"};

    memset(q, 0, sizeof(*q));
    q->tenant = below(m, WORLD_TENANTS);
    m->row = NULL;
    if (m->world->nsample_rows > 0 && !one_in(m, 20)) {
        m->row = &m->world->rows[below(m, m->world->nsample_rows)];
        q->tenant = m->row->tenant;
    }
    q->time = SV_EMPTY;
    if (one_in(m, 3))
        sb_add_str(&m->sb, whole[below(m, ARRAY_LEN(whole))]);
    else if (one_in(m, 3))
        add_time_filter(m);
    q->time = maker_keep(m);
    if (one_in(m, 4)) {
        make_simple(m, q);
        return;
    }
    q->filter = make_node(m, below(m, 4));
    make_pipes(m, q);
}

static void
node_print(struct sb *sb, const struct node *node)
{
    static const char *const between[] = {"", " and ", " or ", ""};

    if (node->kind == NODE_LEAF) {
        sb_add_sv(sb, node->text);
        return;
    }
    sb_add_str(sb, node->kind == NODE_NOT ? "!(" : "(");
    for (uint32_t i = 0; i < node->nkids; i++) {
        if (i > 0)
            sb_add_str(sb, between[node->kind]);
        node_print(sb, node->kids[i]);
    }
    sb_add_char(sb, ')');
}

static UNUSED void
random_query_print(struct sb *sb, const struct random_query *q)
{
    if (q->time.len > 0) {
        sb_add_sv(sb, q->time);
        sb_add_char(sb, ' ');
    }
    node_print(sb, q->filter);
    for (uint32_t i = 0; i < q->npipes; i++) {
        sb_add_str(sb, " | ");
        sb_add_sv(sb, q->pipes[i]);
    }
}

#endif
