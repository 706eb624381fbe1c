/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * More pipes for the queries of t/unit/split.c: those that equality_query.h
 * leaves out, each with what is settled of its answer.  Ties of an order are
 * avoided (an order that ends with ids is total) or summed away.
 */

#ifndef SPOOR_T_UNIT_SPLIT_QUERY_H
#define SPOOR_T_UNIT_SPLIT_QUERY_H

#include "core/base.h"

#include "equality_query.h"

#define SERVICE "\"resource_attr:service.name\""
#define TOTAL "trace_id, span_id, end_time_unix_nano"

/* Row by row; "..." in front: rows are other ones behind it. */
static const char *const row_pipes[] = {
    "math round(duration / 1ms, 1) as ms",
    "math duration + kind as d2, d2 * 2 as d3",
    "format \"<name> <kind> <duration:duration>\" as text",
    "format if (kind:=2) \"<name>\" as name keep_original_fields",
    "extract \"<verb> <rest>\" from name",
    "extract_regexp \"(?P<verb>[A-Z]+) \" from name",
    "unpack_words from name as words drop_duplicates",
    "len(name) as n",
    "hash(trace_id) as h",
    "pack_json fields (trace_id, name, span_attr:*) as j",
    "pack_logfmt fields (name, kind) as l",
    /* Its fields come in any order. */
    "pack_json as j | len(j) as n | fields n, kind, duration, " TOTAL,
    "replace (\"e\", \"E\") at name limit 1",
    "replace_regexp (\"[a-z]+\", \"<$0>\") at name",
    "collapse_nums at name prettify",
    "coalesce(status_message, name) default \"none\" as text",
    "set_stream_fields name, kind",
    "time_add 1h",
    "split \" \" from name as w | json_array_concat \"/\" from w as w2",
    "split \" \" from name as w | json_array_len(w) as n",
    "decolorize name",
    "drop_empty_fields",
    "unpack_json from name",
    "unpack_logfmt from name result_prefix u.",
    "filter name:*",
    "filter duration:>1000",
    "filter trace_id:in(kind:=2 | fields trace_id)",
    "format if (trace_id:in(kind:=3 | fields trace_id)) \"x\" as mark",
    "copy name as other | rename kind as k | delete status_code",
    "fields " TOTAL ", name, kind, duration, _time, _stream",
};

/* What comes behind; what is compared of it. */
static const struct split_end_pipe {
    const char *text;
    enum compare compare;
} end_pipes[] = {
    {"uniq by (kind) with hits limit 2 | stats sum(hits) s, count() n",
        COMPARE_SET},
    {"uniq by (name) with hits limit 5 | stats sum(hits) s, count() n",
        COMPARE_SET},
    {"uniq by (name, kind) with hits limit 100 | stats sum(hits) s, "
        "count() n", COMPARE_SET},
    {"uniq by (name) limit 3 | stats count() n", COMPARE_SET},
    {"uniq by (trace_id, span_id)", COMPARE_SET},
    {"uniq by (hits, kind) with hits", COMPARE_SET},
    {"field_values name limit 4 | stats sum(hits) s, count() n",
        COMPARE_SET},
    {"field_values kind filter \"2\" limit 3", COMPARE_SET},
    {"field_values name filter \"a\" limit 2 | stats sum(hits) s, "
        "count() n", COMPARE_SET},
    {"field_names as f", COMPARE_SET},
    {"field_names filter \"a\"", COMPARE_SET},
    {"top 3 by (name)", COMPARE_LIST},
    {"top 10 by (kind, name) hits as h rank as r", COMPARE_LIST},
    {"top 1000 by (trace_id)", COMPARE_LIST},
    {"facets", COMPARE_LIST},
    {"facets 2 max_values_per_field 3 keep_const_fields", COMPARE_LIST},
    {"facets 3 max_values_per_field 100000 max_value_len 1000",
        COMPARE_LIST},
    {"first 3 by (duration desc, " TOTAL ")", COMPARE_LIST},
    {"last 4 by (kind, " TOTAL ") rank as r", COMPARE_LIST},
    {"first 2 by (duration, " TOTAL ") partition by (name)", COMPARE_SET},
    {"last 1 by (_time, " TOTAL ") partition by (kind, name) rank",
        COMPARE_SET},
    {"first by (" TOTAL ") | fields trace_id", COMPARE_LIST},
    {"sort by (_time desc, " TOTAL ") offset 2 limit 3 rank as r "
        "| fields r, span_id, _time", COMPARE_LIST},
    {"sort by (" TOTAL ") limit 7 partition by (kind) rank as r",
        COMPARE_SET},
    {"sort by (" TOTAL ") offset 3 | stats count() n, min(span_id) m",
        COMPARE_SET},
    {"sort by (" TOTAL ") | fields span_id", COMPARE_LIST},
    {"sort by (duration) limit 5 | fields duration", COMPARE_LIST},
    {"sort by (_time desc) limit 3 | fields _time", COMPARE_LIST},
    {"sort by (name) limit 1000000000 | stats count() n", COMPARE_SET},
    {"sort limit 3 | stats count() n", COMPARE_SET},
    {"offset 5 | limit 7 | stats count() n", COMPARE_SET},
    {"offset 3 | stats count() n", COMPARE_SET},
    {"limit 6 | stats count() n", COMPARE_SET},
    {"limit 0", COMPARE_SET},
    {"limit 3 | limit 2 | fields kind", COMPARE_COUNT},
    {"stats count() n, count(status_message) m, count_empty(parent_span_id) "
        "e, sum(duration) s, avg(duration) loose1, min(duration) a, "
        "max(duration) b", COMPARE_SET},
    {"stats by (name) rate() r, rate_sum(duration) loose1, "
        "sum_len(name, kind) l", COMPARE_SET},
    {"stats by (_time:1m) rate() r, quantile(0.9, duration) q, "
        "median(kind) m", COMPARE_SET},
    {"stats by (_time:week) count() n | sort by (_time)", COMPARE_LIST},
    {"stats by (_time:month offset 1h, kind) count() n", COMPARE_SET},
    {"stats by (duration:1ms) count() n | sort by (n desc, duration)",
        COMPARE_LIST},
    {"stats by (kind) histogram(duration) h, stddev(duration) loose1",
        COMPARE_SET},
    {"stats by (trace_id) values(span_id) v | json_array_len(v) as n "
        "| fields trace_id, n", COMPARE_SET},
    {"stats by (kind) values(span_id) limit 3 v | json_array_len(v) as n "
        "| fields kind, n", COMPARE_SET},
    {"stats by (trace_id) json_values(name, span_id) sort by (" TOTAL ") "
        "limit 2 j", COMPARE_SET},
    {"stats json_values(span_id) sort by (duration desc, " TOTAL ") limit 5 "
        "j", COMPARE_SET},
    {"stats by (trace_id) row_max(span_id, name, kind) a, "
        "row_min(span_id, kind) b, field_max(span_id, name) c, "
        "field_min(span_id, kind) d", COMPARE_SET},
    {"stats by (trace_id, span_id) any(name) a, row_any(kind, name) b",
        COMPARE_COUNT},
    {"stats count_uniq(name) a, count_uniq(trace_id, kind) b, "
        "count_uniq(span_id) limit 10 c, uniq_values(kind) d", COMPARE_SET},
    {"stats by (name) count_uniq(trace_id) if (kind:=2) a, "
        "uniq_values(trace_id) b, count() if (duration:>1ms) c",
        COMPARE_SET},
    {"stats count_uniq(trace_id) n", COMPARE_SET},
    {"stats count_uniq(trace_id) if (trace_id:in(kind:=2 "
        "| fields trace_id)) n", COMPARE_SET},
    {"stats by (kind) uniq_values(name) limit 2 v | json_array_len(v) as n "
        "| fields kind, n", COMPARE_SET},
    {"stats by (kind) count() n | stats sum(n) all, count() groups",
        COMPARE_SET},
    {"stats by (trace_id) count() n | filter n:>2 | top 3 by (n)",
        COMPARE_LIST},
    {"stats min(*) a, max(span_attr:*) b", COMPARE_SET},
    {"total_stats by (name) count() n, sum(duration) s | fields n, s, "
        "span_id", COMPARE_SET},
    {"running_stats by (kind) count() n | stats by (kind) max(n) n",
        COMPARE_SET},
    {"join by (trace_id) (kind:=2 | stats by (trace_id) count() servers)",
        COMPARE_SET},
    {"join by (trace_id) (kind:=3 | stats by (trace_id) max(duration) m) "
        "inner | stats count() n, max(m) m", COMPARE_SET},
    {"join by (kind) rows({kind=2, word=two} {kind=3, word=three}) "
        "| fields span_id, word", COMPARE_SET},
    {"union (kind:=2 | fields span_id) | stats count() n, "
        "count_uniq(span_id) m", COMPARE_SET},
    {"fields span_id, kind | union (kind:=3 | stats by (kind) count() n)",
        COMPARE_SET},
    {"fields span_id | union rows({a=1} {a=2})", COMPARE_SET},
    {"generate_sequence 3", COMPARE_LIST},
    {"unpack_words from name as w | unroll by (w) | stats by (w) count() n",
        COMPARE_SET},
    {"stream_context before 1000 after 1000 | stats count_uniq(span_id) n",
        COMPARE_SET},
    {"sample 3", COMPARE_NOT},
    {"block_stats | stats sum(rows) n, count_uniq(field) f", COMPARE_NOT},
    {"block_stats", COMPARE_NOT},
    {"blocks_count as n | stats count() rows", COMPARE_SET},
    {"query_stats | fields RowsFound | stats count() rows", COMPARE_SET},
};

/* Replaces the pipes of a query; how to compare. */
static enum compare
split_pipes(struct maker *m, struct random_query *q)
{
    const struct split_end_pipe *end = &end_pipes[below(m,
        ARRAY_LEN(end_pipes))];

    q->npipes = 0;
    /* stream_context follows the filter. */
    for (uint32_t i = end->text[2] == 'r' ? 0 : below(m, 3); i > 0; i--)
        q->pipes[q->npipes++] = sv_from(row_pipes[below(m,
            ARRAY_LEN(row_pipes))]);
    q->pipes[q->npipes++] = sv_from(end->text);
    return end->compare;
}

static void
split_options(struct maker *m, struct sb *sb)
{
    switch (below(m, 16)) {
    case 0:
        sb_add_str(sb, "options(time_offset=1h) ");
        break;
    case 1:
        sb_add_str(sb, "options(concurrency=1) ");
        break;
    case 2:
        sb_add_str(sb, "options(time_offset=-3m) ");
        break;
    case 3:
        sb_add_str(sb, "options(allow_partial_response=false) ");
        break;
    }
}

#endif
