/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * LogsQL to trees and back.  What a query means is told by its canonical
 * text; the members executors read are looked at one by one.
 */

#include "core/base.h"

#include <math.h>

#include "query_must.h"

/* --- queries and their canonical text --- */

static const struct {
    const char *query;
    const char *want; /* NULL: the same text */
} texts[] = {
    /* logic */
    {"*", NULL},
    {"foo", NULL},
    {"a b", NULL},
    {"a and b", "a b"},
    {"a AND b OR c NOT d", "a b or c !d"},
    {"GET or charge kind:=3", "GET or charge kind:=3"},
    {"(a or b) c", "(a or b) c"},
    {"(a (b c)) or (d or e)", "a b c or d or e"},
    {"not a b", "!a b"},
    {"!(a b)", NULL},
    {"!!a", "a"},
    {"- a", "!a"},
    {"a - b", "a !b"},
    {"a -b", "a !b"},
    {"a-b", "\"a-b\""},
    {"or a", "\"or\" a"},
    {"AND a", "\"AND\" a"},
    {"* a", "a"},
    {"* or a", "*"},
    {"!*", NULL},
    {"* -*", "!*"},
    {"_msg:*", "*"},
    {":*", "*"},
    {"~\".+\"", "*"},
    {"**", "*"},
    {"* *", "*"},
    {"((a))", "a"},
    /* words */
    {"a!b", "\"a!b\""},
    {"a=b", "\"a=b\""},
    {"a;b", "\"a;b\""},
    {"a/b", "\"a/b\""},
    {"a\\b", "\"a\\\\b\""},
    {"=~x", "\"=~x\""},
    {"a\"b\"c", "\"a\\\"b\\\"c\""},
    {"a#b", "a"},
    {"x # note\n| count()", "x | stats count(*) as \"count(*)\""},
    {"*b", "b"},
    {"*b*", NULL},
    {"*\"b c\"* a:*b-c* a:*b* c", "*\"b c\"* a:*\"b-c\"* a:*b* c"},
    {"a:*\"\"* *b *c", "a:* b c"},
    {"a:* b* *c *", "a:* b* c"},
    {"a*b*", "a* b*"},
    {"\"a\"*\"b\"", "a* b"},
    {"checkout*error", "checkout* error"},
    {"\"\"", NULL},
    {"\"sort\"", NULL},
    {"x sort", "x \"sort\""},
    {"in", "\"in\""},
    {"now", "\"now\""},
    {"if as from", NULL},
    {"\"a\\x41\\u00e9\\n\\101\"", "\"aA\xc3\xa9\\nA\""},
    {"'a\\x41' 'it\\'s'", "aA \"it's\""},
    {"'\\xe9'", "\xc3\xa9"},
    {"\"\\xe9\"", NULL},
    {"`a\\b`", "\"a\\\\b\""},
    {"na\xc3\xafve", NULL},
    {"a\xc2\xa0" "b", "a b"},
    /* fields */
    {"a:b", NULL},
    {"a: b", "a:b"},
    {"a :b", "a:b"},
    {"a:b:c", "a:\"b:c\""},
    {"a:b:=c", "a:\"b:=c\""},
    {"a:=~x", "a:\"=~x\""},
    {"\"a\":b", "a:b"},
    {"\"\":b :b _msg:b", "b b b"},
    {"\"resource_attr:service.name\":=cart",
        "\"resource_attr:service.name\":=cart"},
    {"event:event_name:0", "event:\"event_name:0\""},
    {"\"event:event_name:0\":x", "\"event:0:event_name\":x"},
    {"a:(b c)", "a:b a:c"},
    {"a:(b or !(c \"d e\"))", "a:b or !(a:c a:\"d e\")"},
    {"name:(kind:3)", "name:\"kind:3\""},
    {"name:(_time:5m)", "name:\"_time:5m\""},
    {"a:*b", "a:* b"},
    {"a:!b a:-b a:not b", "!a:b !a:b !a:b"},
    {"a:!!x", "a:x"},
    {"a:-5", "!a:5"},
    {"i:5 range:5", "\"i\":5 \"range\":5"},
    {"a:lt_field", "a:\"lt_field\""},
    {"a:in foo", "a:\"in\" foo"},
    {"_time", NULL},
    /* exact */
    {"a:=b", NULL},
    {"a:=\"b c\"", NULL},
    {"a:exact(b)", "a:=b"},
    {"a:exact(\"b c\"*)", "a:=\"b c\"*"},
    {"a:=*", "a:=\"\"*"},
    {"a:=\"\"", NULL},
    {"a:=-5", "a:=\"-5\""},
    {"a:=!x", "a:=\"!x\""},
    {"a:!=x", "!a:=x"},
    {"a:=/api/v1[2]", "a:=\"/api/v1[2]\""},
    {"!=\"-\"", "!=\"-\""},
    /* lists */
    {"a:in(b, \"c d\", 'e')", "a:in(b, \"c d\", e)"},
    {"a:in(-5,)", "a:in(\"-5\")"},
    {"a:in(and, or)", "a:in(\"and\", \"or\")"},
    {"a:in(status_code:=2)", "a:in(\"status_code:=2\")"},
    {"a:in()", "!*"},
    {"a:in(*)", "*"},
    {"a:!in(x) a:-in(x)", "!a:in(x) !a:in(x)"},
    {"a:contains_all()", "*"},
    {"a:contains_all(\"\", b)", "a:contains_all(b)"},
    {"a:contains_any()", "!*"},
    {"a:contains_any(b, \"\")", "*"},
    {"a:contains_any(b,\"c d\")", "a:contains_any(b, \"c d\")"},
    {"a:seq()", "*"},
    {"a:seq(\"\", b, c)", "a:seq(b, c)"},
    {"a:in(b:=2 | fields c)", NULL},
    {"a:in(b | uniq by (c))", NULL},
    {"a:contains_any(* | keep \"x:y\")",
        "a:contains_any(* | fields \"x:y\")"},
    {"options(concurrency=2) a:in(b | fields c)",
        "options(concurrency=2) a:in(options(concurrency=2) b | fields c)"},
    /* other functions */
    {"a:i(ERROR)", "a:i(error)"},
    {"a:i(\"\") a:i(*)", "a:\"\" a:*"},
    {"a:re(\"b|c\")", "a:~\"b|c\""},
    {"a:~b*c", "a:~\"b*c\""},
    {"a:!~b", "!a:~\"b\""},
    {"a:value_type(uint8)", NULL},
    {"a:eq_field(b) a:le_field(\"c:d\") a:lt_field(e)",
        "a:eq_field(b) a:le_field(\"c:d\") a:lt_field(e)"},
    {"a:len_range(5,1)", "a:len_range(5, 1)"},
    {"a:len_range(3, inf)", NULL},
    {"a:ipv4_range(10.0.0.0/8)", "a:ipv4_range(\"10.0.0.0/8\")"},
    {"a:string_range(\"\", b)", NULL},
    {"a:>-5", "a:>\"-5\""},
    {"a:>= 1.5s", "a:>=1.5s"},
    {"a:<abc", NULL},
    {"a:(>5 <=50)", "a:>5 a:<=50"},
    {"a:range(1ms, 2s]", NULL},
    {"a:range[99,+inf)", "a:range[99, \"+inf\")"},
    /* streams */
    {"{a=b,}", "{a=\"b\"}"},
    {"{\"a\"='b'}", "{a=\"b\"}"},
    {"_stream:{x:y.z=~\"a.*\", b!=c or d !~ e}",
        "{\"x:y.z\"=~\"a.*\",b!=\"c\" or d!~\"e\"}"},
    {"{a in (b, \"c d\"), e not_in(*)}", "{a in (b, \"c d\"),e not_in (*)}"},
    {"{}", NULL},
    {"!{a=\"b\"} c", NULL},
    {"_stream_id:000000000000000006FBA3E0F312C0B9F84084965E0C218F",
        "_stream_id:000000000000000006fba3e0f312c0b9f84084965e0c218f"},
    {"_stream_id:in()", "!*"},
    {"_stream_id:in({a=\"b\"} | fields _stream_id)", NULL},
    /* times */
    {"_time:5m", NULL},
    {"_time:=5m", NULL},
    {"_time:-5m", "_time:\"-5m\""},
    {"_time:<=2026-03-01T10:00Z", "_time:<=\"2026-03-01T10:00Z\""},
    {"_time:[now-1h,now) offset 1d",
        "_time:[\"now-1h\", \"now\") offset 1d"},
    {"_time:offset 5m", NULL},
    {"_time:day_range[08:00, 18:00) offset 2h",
        "_time:day_range[\"08:00\", \"18:00\") offset 2h"},
    {"_time:week_range(Mon, friday]", NULL},
    {"!_time:1h", NULL},
    /* options */
    {"options() a", "a"},
    {"options(concurrency=0x10, ignore_global_time_filter=true) a",
        "options(concurrency=16, ignore_global_time_filter=true) a"},
    {"options(ignore_global_time_filter=false) a", "a"},
    {"\"options\"", NULL},
    /* pipes */
    {"* | fields a, b:c, d*, *", "* | fields a, \"b:c\", \"d*\", *"},
    {"* | KEEP a", "* | fields a"},
    {"* | fields \"d*\"", NULL},
    {"* | del a | rm b | drop c", "* | delete a | delete b | delete c"},
    {"* | copy a as b, c d | cp e* as f*",
        "* | copy a as b, c as d | copy \"e*\" as \"f*\""},
    {"* | mv a b", "* | rename a as b"},
    {"* | limit | head 5 | limit 10K", "* | limit 10 | limit 5 | limit 10000"},
    {"* | offset 3 | skip 0x10", "* | offset 3 | offset 16"},
    {"* | sort by (a, b desc, c asc) desc",
        "* | sort by (a desc, b, c desc)"},
    {"* | sort | sort by () | order desc", "* | sort | sort | sort desc"},
    {"* | sort (a) limit 5 offset 2 rank",
        "* | sort by (a) offset 2 limit 5 rank as rank"},
    {"* | sort (a) rank as r partition by (b, c) limit 1",
        "* | sort by (a) partition by (b, c) limit 1 rank as r"},
    {"* | sort by (a) | offset 2 | limit 3",
        "* | sort by (a) offset 2 limit 3"},
    {"* | sort by (a) limit 3 | offset 2",
        "* | sort by (a) limit 3 | offset 2"},
    {"* | sort by (a) | limit 0", NULL},
    {"a | filter b | where c or d", "a b (c or d)"},
    {"a | limit 5 | filter b | c:>5 | !d", "a | limit 5 | filter b | "
        "filter c:>5 | filter !d"},
    {"* | limit 1 | nothingknown", "* | limit 1 | filter nothingknown"},
    {"* | limit 1 | not x", "* | limit 1 | filter !x"},
    {"* | limit 1 | in(a, b)", "* | limit 1 | filter in(a, b)"},
    {"* | uniq a", "* | uniq by (a)"},
    {"* | uniq (a, hits) hits limit 3",
        "* | uniq by (a, hits) with hits limit 3"},
    {"* | uniq by (a) | limit 5", "* | uniq by (a) limit 5"},
    {"* | uniq by (a) with hits | limit 5", NULL},
    {"* | field_names", "* | field_names as name"},
    {"* | field_names x", "* | field_names as x"},
    /* stats */
    {"* | count()", "* | stats count(*) as \"count(*)\""},
    {"* | by (a) count() n", "* | stats by (a) count(*) as n"},
    {"* | stats (a) count() by", "* | stats by (a) count(*) as \"by\""},
    {"* | stats by () count()c", "* | stats count(*) as c"},
    {"* | stats count(a, b*) \"a b\"",
        "* | stats count(a, \"b*\") as \"a b\""},
    {"* | stats sum(resource_attr:x)", "* | stats "
        "sum(\"resource_attr:x\") as \"sum(\\\"resource_attr:x\\\")\""},
    {"* | stats max(i)", "* | stats max(\"i\") as \"max(\\\"i\\\")\""},
    {"* | stats count_uniq(a) limit 3", "* | stats "
        "count_uniq(a) limit 3 as \"count_uniq(a) limit 3\""},
    {"* | stats uniq_values(a) limit 0 b", "* | stats uniq_values(a) as b"},
    {"* | stats sum(a) if (kind:=3)", "* | stats "
        "sum(a) if (kind:=3) as \"sum(a) if (kind:=3)\""},
    {"* | stats count() if () c", "* | stats count(*) as c"},
    {"* | stats quantile(0.5) a, quantile(0.99, b) c, median(d) e",
        "* | stats quantile(0.5) as a, quantile(0.99, b) as c, "
        "median(d) as e"},
    {"* | stats by (_time:1h offset -30m, a:10M, b:/24, c:week, d:0) count()"
        " n", "* | stats by (_time:1h offset -30m, a:10M, b:/24, c:week, d:0)"
        " count(*) as n"},
    {"* | first", "* | first 1"},
    {"* | blocks_count", "* | blocks_count as \"blocks_count\""},
    {"* | blocks_count x", "* | blocks_count as x"},
    {"* | block_stats", NULL},
    {"* | query_stats", NULL},
    {"* | running_stats by (a, b:c) count() n, last(d) offset 2 as e, "
        "sum(f, g*)", "* | running_stats by (a, \"b:c\") count(*) as n, "
        "last(d) offset 2 as e, sum(f, \"g*\") as \"sum(f, \\\"g*\\\")\""},
    {"* | total_stats (a) first(b), MAX(c) d", "* | total_stats by (a) "
        "first(b) as \"first(b)\", max(c) as d"},
    {"* | first 1 (i)", "* | first 1 by (\"i\")"},
    {"* | last 3 by (a desc, b) partition by (c, d) rank",
        "* | last 3 by (a desc, b) partition by (c, d) rank as rank"},
    {"* | first rank as r by (a)", "* | first 1 by (a) rank as r"},
    {"* | top x", "* | top 10 by (x)"},
    {"* | top 10K (a)", "* | top 10000 by (a)"},
    {"* | top 2 by (a, b) hits as a rank", "* | top 2 by (a, b) hits as as "
        "rank as rank"},
    {"* | top by (hits) rank hits n", "* | top 10 by (hits) hits as n rank "
        "as rank"},
    {"* | top by (hits, rank) rank", "* | top 10 by (hits, rank) hits as "
        "hitss rank as ranks"},
    {"* | sort by (a) rank hits", "* | sort by (a) rank as hits"},
    {"* | facets", "* | facets 10"},
    {"* | facets 5 max_value_len 10 keep_const_fields "
        "max_values_per_field 1K", "* | facets 5 max_value_len 10 "
        "keep_const_fields"},
    {"* | facets 3 max_values_per_field 7", NULL},
    {"* | field_values a:b limit 5 filter \"x y\"",
        "* | field_values \"a:b\" filter \"x y\" limit 5"},
    {"* | field_names filter x", "* | field_names as name filter \"x\""},
    {"* | field_names as n filter x", "* | field_names as n filter \"x\""},
    {"* | rate()", "* | stats rate() as \"rate()\""},
    {"* | stats rate() if (kind:=3), rate_sum(a, b*) x", "* | stats rate() "
        "if (kind:=3) as \"rate() if (kind:=3)\", rate_sum(a, \"b*\") as "
        "x"},
    {"* | stats row_max(a) b, row_min(a, *) c, row_any() d, row_max(a, b*, "
        "c:d) e", "* | stats row_max(a) as b, row_min(a) as c, row_any(*) "
        "as d, row_max(a, \"b*\", \"c:d\") as e"},
    {"* | stats json_values() limit 2 a, values(b) limit 0 c, "
        "json_values(d) sort by (e desc, f) limit 3 g", "* | stats "
        "json_values(*) limit 2 as a, values(b) as c, "
        "json_values(d) sort by (e desc, f) limit 3 as g"},
    {"* | stats any(a) b, field_max(c, d) e, stddev() f", "* | stats any(a) "
        "as b, field_max(c, d) as e, stddev(*) as f"},
    {"* | stats count_empty(), sum_len(a) b, histogram(a)", "* | stats "
        "count_empty(*) as \"count_empty(*)\", sum_len(a) as b, "
        "histogram(a) as \"histogram(a)\""},
    {"* | stats count() switch(case (b:1) as x, if (c:1) y, default as z), "
        "sum(d) e", "* | stats count(*) if (b:1) as x, count(*) if (c:1 !b:1) "
        "as y, count(*) if (!b:1 !c:1) as z, sum(d) as e"},
    {"* | stats sum(a) switch", "* | stats sum(a) as switch"},
    {"* | stats count() a | stats sum(a) b",
        "* | stats count(*) as a | stats sum(a) as b"},
};

static void
print(char *dst, size_t size, const struct query *query)
{
    struct sb sb;

    sb_init(&sb, MIB);
    query_print(&sb, query);
    snprintf(dst, size, "%s", sb.ptr);
    sb_release(&sb);
}

static void
test_texts(void)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *want = texts[i].want;
        char text[4096], again[4096];
        struct err err;
        struct query *query = parse(texts[i].query, &err);

        if (query == NULL) {
            fail("%s: %s", texts[i].query, err.text);
            continue;
        }
        print(text, sizeof(text), query);
        is_str(text, want == NULL ? texts[i].query : want, "%s",
            texts[i].query);
        query = parse(text, &err);
        if (query == NULL) {
            fail("%s again: %s", text, err.text);
            continue;
        }
        print(again, sizeof(again), query);
        is_str(again, text, "%s again", text);
    }
}

/* --- members --- */

static const struct filter *
filter_of(const char *text)
{
    return must(text)->filter;
}

static void
test_filters(void)
{
    const struct filter *f = filter_of("a:>5");

    ok(f->kind == FILTER_NUMBER_RANGE && f->min == nextafter(5, INFINITY) &&
        f->max == INFINITY, "> is the next number");
    f = filter_of("a:range[1ms, 2KiB)");
    ok(f->min == 1e6 && f->max == nextafter(2048, -INFINITY), "a range");
    f = filter_of("a:>inf");
    ok(!(INFINITY >= f->min), "nothing is over inf");
    f = filter_of("a:>abc");
    ok(f->kind == FILTER_TEXT_RANGE && !f->has_text_end, "a text");
    is_mem(f->text.ptr, f->text.len, "abc\0", 4, "the next text");
    f = filter_of("a:<=abc");
    ok(f->has_text_end && f->text.len == 0 && f->is_empty_matched,
        "up to a text");
    is_mem(f->text_end.ptr, f->text_end.len, "abc\0", 4, "and behind it");
    f = filter_of("a:len_range(3, inf)");
    ok(f->len_min == 3 && f->len_max == UINT64_MAX, "lengths");
    f = filter_of("a:len_range(-1, 5)");
    ok(f->len_min > f->len_max, "no length is negative");
    f = filter_of("a:ipv4_range(10.1.2.3/24)");
    ok(f->len_min == 0x0a010200 && f->len_max == 0x0a0102ff, "a network");
    f = filter_of("a:i(ERR*)");
    is_sv(f->text, "err", "lower case");
    f = filter_of("a:in(b:=2 | fields \"event:event_name:0\")");
    is_sv(f->subquery_field, "event:0:event_name", "field of a subquery");
    ok(f->values == NULL && f->subquery->npipes == 1, "a subquery");
    f = filter_of("a:eq_field(\"event:event_name:0\")");
    is_sv(f->text, "event:0:event_name", "the other field");
    is_int(filter_of("x a:b")->items[1]->pos, 4, "position of a filter");
    f = filter_of("{a=b or c in (d,e)}");
    ok(f->nstream == 2 && f->stream[1].tags[0].op == STREAM_IN &&
        f->stream[1].tags[0].nvalues == 2, "streams");
}

static void
is_time(const char *text, int64_t min, int64_t max)
{
    const struct filter *f = filter_of(text);

    is_int(f->time_min, min, "%s: from", text);
    is_int(f->time_max, max, "%s: to", text);
}

static void
test_times(void)
{
    const int64_t minute = 60 * NS_PER_SEC;
    const int64_t t = INT64_C(1772359200) * NS_PER_SEC; /* 2026-03-01T10Z */
    const struct filter *f;

    is_time("_time:5m", NOW - 5 * minute, NOW);
    is_time("_time:-5m", NOW - 5 * minute, NOW);
    is_time("_time:<5m", NOW - 5 * minute + 1, NOW);
    is_time("_time:<=5m", NOW - 5 * minute, NOW);
    is_time("_time:>5m", INT64_MIN, NOW - 5 * minute - 1);
    is_time("_time:>=5m", INT64_MIN, NOW - 5 * minute);
    is_time("_time:offset 5m", INT64_MIN, NOW - 5 * minute);
    is_time("_time:5m offset 5m", NOW - 10 * minute, NOW - 5 * minute);
    is_time("_time:5m offset -2s", NOW - 5 * minute + 2 * NS_PER_SEC,
        NOW + 2 * NS_PER_SEC);
    is_time("_time:2026-03-01T10:00Z", t, t + minute - 1);
    is_time("_time:>2026-03-01T10:00Z", t + 1, INT64_MAX);
    is_time("_time:<2026-03-01T10:00Z", INT64_MIN, t - 1);
    is_time("_time:<=2026-03-01T10:00Z", INT64_MIN, t + minute - 1);
    is_time("_time:[2026-03-01T10:00Z, 2026-03-01T10:01Z]", t,
        t + 2 * minute - 1);
    is_time("_time:(2026-03-01T10:00Z, 2026-03-01T10:01Z)", t + 1,
        t + minute - 1);
    is_time("_time:(1772359200, 1772359260]", t + 1, t + minute);
    is_time("_time:[now-1h, 10m)", NOW - 60 * minute, NOW - 10 * minute - 1);
    is_time("_time:day_range(00:00, 24:00]", 1, NS_PER_DAY - 1);
    is_time("_time:day_range[08:00, 18:00)", 480 * minute,
        1080 * minute - 1);
    f = filter_of("_time:week_range(Mon, Fri) offset 2h");
    ok(f->kind == FILTER_WEEK_RANGE && f->len_min == 2 && f->len_max == 4 &&
        f->offset == 120 * minute, "days of the week");
    f = filter_of("_time:week_range[Sun, Sun)");
    ok(f->len_min > f->len_max, "no day");
}

static void
test_min_max(void)
{
    struct query *query = must("_time:5m a (_time:1m or b) _time:<2m");

    ok(query->min_time == NOW - 120 * NS_PER_SEC + 1 &&
        query->max_time == NOW, "times under AND");
    ok(fabs(query->rate_step - 120) < 1e-6, "rate step");
    query = must("_time:5m or a");
    ok(query->min_time == INT64_MIN && query->max_time == INT64_MAX &&
        query->rate_step == 0, "not those under OR");
    query = must("* | filter _time:5m | limit 1 | filter _time:1m");
    is_int(query->min_time, NOW - 300 * NS_PER_SEC, "filters in front");
    is_int(query->npipes, 2, "are none then");
}

static void
test_pipes(void)
{
    struct query *query = must("* | uniq by (hits, hitss) hits | "
        "fields event:event_name:0 | stats by (a:1h offset 30m, b:/24, "
        "c:10.5, d:10KB) quantile(0.9, x) q, count(a, *) n");
    const struct stats_by *by;
    const struct stats_fn *fns;

    is_sv(query->pipes->hits, "hitsss", "a name for hits");
    is_sv(query->pipes->next->names[0].name, "event:0:event_name",
        "the stored name");
    by = query->pipes->next->next->stats->by;
    fns = query->pipes->next->next->stats->fns;
    ok(by[0].bucket == BUCKET_STEP && by[0].step_ns == 3600 * NS_PER_SEC &&
        by[0].offset_ns == 1800 * NS_PER_SEC, "a bucket of time");
    ok(by[1].bucket == BUCKET_IPV4 && by[1].step_ns == 0xffffff00,
        "a mask");
    ok(by[2].step == 10.5 && by[2].step_ns == 0, "a fraction");
    ok(by[3].step == 10000 && by[3].step_ns == 10000, "a size");
    ok(fns[0].kind == STATS_QUANTILE && fns[0].phi == 0.9 &&
        fns[0].nargs == 1, "a quantile");
    ok(fns[1].kind == STATS_COUNT && fns[1].nargs == 0, "all fields");
}

/* --- changes --- */

static void
is_query(const struct query *query, const char *want, const char *name)
{
    char text[4096];

    print(text, sizeof(text), query);
    is_str(text, want, "%s", name);
}

static void
test_changes(void)
{
    struct query *query = must("a or b | stats count() if (c:in(d | fields "
        "e)) n");
    struct err err = ERR_INIT;
    struct filter *filter;
    struct pipe *pipe;

    ok(filter_parse(&filter, SV("x"), NOW, pool, &err) == 0 &&
        query_add_filter(query, filter, false, &err) == 0, "a filter");
    is_query(query, "x (a or b) | stats count(*) if (c:in(x d | fields e)) "
        "as n", "is added everywhere");
    query = must("a:in(options(ignore_global_time_filter=true) b | fields c)"
        " d:in(e | fields f)");
    filter = filter_new_time(pool, NOW - 1000, NOW);
    ok(query_add_filter(query, filter, true, &err) == 0, "a time");
    is_query(query, "_time:[\"2027-01-15T07:59:59.999999000Z\", "
        "\"2027-01-15T08:00:00.000000000Z\"] "
        "a:in(options(ignore_global_time_filter=true) b | fields c) "
        "d:in(_time:[\"2027-01-15T07:59:59.999999000Z\", "
        "\"2027-01-15T08:00:00.000000000Z\"] e | fields f)",
        "is not added where it is ignored");
    is_int(query->min_time, NOW - 1000, "min_time follows");
    is_int(must("_time:[\"2027-01-15T07:59:59.999999000Z\", "
        "\"2027-01-15T08:00:00.000000000Z\"]")->max_time, NOW, "exactly");
    query_drop_pipes(query);
    pipe = query_add_pipe(query, PIPE_LIMIT);
    pipe->n = 7;
    query = must("a | offset 1");
    pipe = query_add_pipe(query, PIPE_LIMIT);
    pipe->n = 7;
    is_query(query, "a | offset 1 | limit 7", "a pipe");
    query_drop_pipes(query);
    is_query(query, "a", "no pipe");
}

static void
test_extra(void)
{
    static const struct {
        const char *text;
        bool is_stream;
        const char *want; /* NULL: refused */
    } cases[] = {
        {"{\"a:b\":[\"17\",\"4 2\"],\"c\":\"d\",\"e\":[]}", false,
            "\"a:b\":in(17, \"4 2\") c:=d"},
        {"a:b or c", false, "a:b or c"},
        {"{\"a\"=\"b\"}", false, "{a=\"b\"}"},
        {"{\"a\"", false, NULL},
        {"{\"a\":1}", false, NULL},
        {"{\"a\":\"b\"} x", false, NULL},
        {"foo | count()", false, NULL},
        {"", false, NULL},
        {"(", false, NULL},
        {"{a=b}", true, "{a=\"b\"}"},
        {"{\"a:b\":\"c\",\"d\":[\"e\",\"f\"]}", true,
            "{\"a:b\"=\"c\",d in (e, f)}"},
        {"{", true, NULL},
        {"{a=b} c", true, NULL},
        {"a", true, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter *filter;
        struct err err = ERR_INIT;
        struct sv text = sv_from(cases[i].text);
        int done = cases[i].is_stream ?
            filter_parse_stream(&filter, text, pool, &err) :
            filter_parse(&filter, text, NOW, pool, &err);
        struct sb sb;

        if (done == -1 || cases[i].want == NULL) {
            ok(done == -1 && cases[i].want == NULL && err.text[0] != '\0',
                "%s: %s", cases[i].text, err.text);
            continue;
        }
        sb_init(&sb, MIB);
        filter_print(&sb, filter);
        is_str(sb.ptr, cases[i].want, "%s", cases[i].text);
        sb_release(&sb);
    }
}

int
main(void)
{
    pool = pool_new(256 * MIB);
    test_texts();
    test_filters();
    test_times();
    test_min_max();
    test_pipes();
    test_changes();
    test_extra();
    pool_free(pool);
    return tap_done();
}
