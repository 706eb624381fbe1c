/* SPDX-License-Identifier: BSD-2-Clause */

/* What is no LogsQL, where it is wrong, and how much is too much. */

#include "core/base.h"

#include "query/inside.h"
#include "query/parse.h"

#include "tap.h"

#define NOW INT64_C(1800000000000000000)

static struct pool *pool;

static struct query *
parse(const char *text, struct err *err)
{
    struct query *query;

    *err = (struct err)ERR_INIT;
    return query_parse(&query, sv_from(text), NOW, pool, err) == 0 ? query :
        NULL;
}

static const struct {
    const char *query;
    const char *want; /* text of the error, or "": any */
} errors[] = {
    {"", "position 1: expected a filter, found the end"},
    {"#x", ""},
    {"a and", "position 6: expected a filter, found the end"},
    {"not", ""}, {"!", ""}, {"-", ""}, {"a or", ""}, {"()", ""},
    {"a:()", ""}, {"a:(b or)", ""}, {"a:", ""}, {"(a", ""}, {"a)", ""},
    {"a,b", "position 2: expected a filter, '|' or the end of the query, "
        "found ','"},
    {"x[", ""}, {"[x]", ""},
    {"word(x)", "position 5: '(' right after 'word': put a space between "
        "them, or quotes around the whole text"},
    {"a:lenrange(1, 2)", "position 3: unknown filter function 'lenrange'; "
        "did you mean 'len_range'?"},
    {"\"in\"(x)", ""}, {"a:!=in(x)", ""},
    {"\xc3\xa9\xc3\xa9 \"a", "position 4: badly quoted string: its closing "
        "quote is missing"},
    {"\"a\\q\"", "position 1: badly quoted string: an escape is not known"},
    {"\"a\nb\"", "position 1: badly quoted string: a line ends within it"},
    {"sort:x", "position 1: a filter cannot begin with 'sort', the name of "
        "a pipe: put the word in quotes, or begin the query with '* |'"},
    {"avg", ""}, {"by", ""}, {"offset", ""}, {"where", ""}, {"rm", ""},
    {"row_any", ""}, {"by:x", ""}, {"* | filter count", ""},
    {"options a", ""}, {"options(concurrency=x) a", ""},
    {"options(a=1) b", "position 9: unknown option 'a'; there are "
        "concurrency, ignore_global_time_filter, parallel_readers, "
        "time_offset, allow_partial_response and global_filter"},
    {"options(time_offset=x) a", "position 21: expected a duration, found "
        "'x'"},
    {"options(allow_partial_response=1) a", "position 32: expected true or "
        "false, found '1'"},
    {"options(global_filter=a) b", "position 23: expected '(' before a "
        "filter, found 'a'"},
    {"options(global_filter=()) b", "position 24: expected a filter, found "
        "')'"},
    {"a:pattern_match()", "position 3: pattern_match() takes 1 value"},
    {"a:patern_match(b)", "position 3: unknown filter function "
        "'patern_match'; did you mean 'pattern_match'?"},
    {"a:ipv6_range(10.0.0.1)", "position 3: ipv6_range() takes two IPv6 "
        "addresses, one, or a network as 2001:db8::/32"},
    {"a:ipv6_range(\"::1/129\")", ""}, {"a:ipv6_range(\"::1\", b)", ""},
    {"*:eq_field(b)", "position 3: eq_field() takes one field, not those "
        "with a prefix"},
    {"*:", "position 3: expected a filter, found the end"},
    {";", ""}, {"a | ;", ""},
    {"options(concurrency=1)", ""},
    {"a:i()", ""}, {"a:i(b,c)", "position 3: i() takes one value"},
    {"a:exact()", ""}, {"a:exact(a,b)", ""}, {"a:re()", ""},
    {"a:eq_field(b,c)", "position 3: eq_field() takes 1 value"},
    {"a:range(1)", ""}, {"a:string_range(a)", ""}, {"a:seq(b*)", ""},
    {"a:in(b*)", ""}, {"a:in(b,,c)", ""}, {"a:in(,)", ""},
    {"a:in(b c)", "position 5: in() takes values with commas between them, "
        "or a query that ends with '| fields' and one name"},
    {"a:in(b | fields c, d)", ""}, {"a:in(b | fields c*)", ""},
    {"a:in(b | uniq by (c) hits)", ""},
    {"a:range(900us, 7ms]",
        "position 9: expected a number, found '900us'"},
    {"a:len_range(a, 5)", ""}, {"a:len_range(1, 2, 3)", ""},
    {"a:ipv4_range(1.2.3.4/33)", ""}, {"a:ipv4_range(256.0.0.1)", ""},
    {"a:value_type()", ""}, {"a:>", ""}, {"~s[0-2]", ""},
    {"{a=\"b\" and c=\"d\"}", ""}, {"{a=\"b\" or}", ""}, {"{a>b}", ""},
    {"{a}", ""}, {"{=\"x\"}", ""}, {"foo:{a=\"b\"}", ""},
    {"_stream:x", ""}, {"_stream:=\"x\"", ""}, {"_stream_id:foo", ""},
    {"_time:", ""},
    {"_time:abc",
        "position 7: 'abc' is neither a time nor a duration"},
    {"_time:2026*", ""}, {"_time:~\"x\"", ""}, {"_time:\"\"", ""},
    {"_time:5m offset", ""}, {"_time:5m offset x", ""},
    {"_time:[2026-01-14 2026-01-15]", ""}, {"_time:day_range[25:00, 26:00]",
        "position 17: expected a time of day as 18:00, found '25:00'"},
    {"_time:week_range[Mon, Foo]", ""},
    {"* | | count()", "position 5: expected a pipe, found '|'"},
    {"* |", "position 4: expected a pipe, found the end"},
    {"* | stats_remote count()",
        "position 5: pipe 'stats_remote' is not supported yet"},
    {"* | sorted by (x)", "position 5: unknown pipe 'sorted'; did you mean "
        "'sort'? (A filter on the word is written '| filter sorted'.)"},
    {"* | feilds a", "position 5: unknown pipe 'feilds'; did you mean "
        "'fields'? (A filter on the word is written '| filter feilds'.)"},
    {"* | cuont()", "position 5: unknown stats function 'cuont'; did you "
        "mean 'count'?"},
    {"* | stats by (a) cuont()", "position 18: unknown stats function "
        "'cuont'; did you mean 'count'?"},
    {"* | nothingknown(x)",
        "position 5: unknown pipe or stats function 'nothingknown'"},
    {"* | limit -1",
        "position 11: expected a number of rows, found '-1'"},
    {"* | limit 1 2", ""}, {"* | offset", ""}, {"* | copy a", ""},
    {"* | rename a", ""}, {"* | copy a b c", ""}, {"* | copy a as b*", ""},
    {"* | fields", ""}, {"* | fields a,", ""}, {"* | fields a)", ""},
    {"* | sort by (a) limit 10K", ""}, {"* | sort by (*)", ""},
    {"* | sort by (a up)", ""}, {"* | sort (x) partition by (y)", ""},
    {"* | uniq (a) limit 10K", ""}, {"* | uniq", ""}, {"* | uniq by ()",
        "position 13: uniq needs the name of a field"},
    {"* | uniq by (a) with", ""}, {"* | filter", ""},
    {"* | field_names as", ""},
    {"* | stats by (a)", ""}, {"* | stats count", ""}, {"* | count", ""},
    {"* | stats count() if x", ""}, {"* | stats by (a*) count()", ""},
    {"* | stats by (a:b) count()", ""},
    {"* | stats by (a:/33) count()", ""},
    {"* | stats by (a:1e8) count()", ""},
    {"* | stats by (_time:-1h) count()", ""},
    {"* | stats by a count()", ""},
    {"* | stats count_uniq()", ""}, {"* | stats count_uniq(a*)", ""},
    {"* | stats quantile(2, a)",
        "position 20: '2' is no quantile from 0 to 1"},
    {"* | stats quantile(a)", ""}, {"* | stats avg(a) limit 5",
        "position 18: avg() has no limit"},
    {"* | stats count() a, sum(b) a",
        "position 22: two results are named 'a'"},
    {"* | running_stats by (a) first(b)", "position 26: expected count(), "
        "sum(), min(), max() or last(), found 'first'"},
    {"* | running_stats avg(b)", ""}, {"* | total_stats first(a, b)",
        "position 22: first() takes the name of one field"},
    {"* | total_stats count() a, sum(b) a",
        "position 35: two results are named 'a'"},
    {"* | total_stats by (a) count() a", ""}, {"* | total_stats", ""},
    {"* | block_stats x", ""}, {"* | blocks_count as", ""},
    {"* | top 0 by (a)", "position 9: 'top' needs a number above 0"},
    {"* | top by ()", "position 12: top needs the name of a field"},
    {"* | top 5 by (a) hits as", ""}, {"* | top x by (a)", ""},
    {"* | top 5 by (a) foo",
        "position 18: expected 'hits', 'rank' or '|', found 'foo'"},
    {"* | first 0", "position 11: 'first' needs a number above 0"},
    {"* | last -1 by (a)", ""}, {"* | first 1 by (a) limit 5", ""},
    {"* | first 10K by (a)", ""}, {"* | field_values", ""},
    {"* | field_values *", "position 18: field_values takes one name "
        "without '*'"},
    {"* | field_values a b", ""}, {"* | field_values a limit 10K", ""},
    {"* | field_names filter", ""}, {"* | facets x", ""},
    {"* | facets max_values_per_field", ""}, {"* | facets 0", ""},
    {"* | stats rate(a)", "position 15: rate() takes no names"},
    {"* | stats histogram(a, b)",
        "position 20: histogram() takes the name of one field"},
    {"* | stats histogram()",
        "position 20: histogram() needs the name of a field"},
    {"* | stats histogram(a*)", ""}, {"* | stats row_min(*)",
        "position 19: the first name of row_min() has no '*'"},
    {"* | stats row_max()",
        "position 19: expected the name of a field, found ')'"},
    {"* | stats field_max(a)",
        "position 20: field_max() needs the names of two fields"},
    {"* | stats field_min(a, b, c)",
        "position 20: field_min() takes the names of two fields"},
    {"* | stats any()", ""}, {"* | stats rate() limit 5", ""},
    {"* | stats values(a) sort by (b)", ""},
    {"* | stats count() switch(x)", "position 26: expected 'case' or "
        "'default', found 'x'"},
    {"* | stats count() switch(case (a:1) as x, default as x)", ""},
    {"* | stats count() switch(case a:1 as x)", ""},
    {"* | stats by (a) count() a", "position 18: the result is named 'a', "
        "as a field of 'by' is"},
    {"a:~\"(\"", ""}, {"{a=~\"(\"}", ""},
    {"* | stream_context", "position 19: expected 'before' or 'after' and a "
        "number, found the end"},
    {"* | limit 1 | stream_context before 1", "position 15: stream_context "
        "must follow the filter"},
    {"* | stream_context before x", "position 27: expected a number of "
        "rows, found 'x'"},
    {"* | stream_context after 1 time_window 5", "position 40: expected a "
        "duration, found '5'"},
    {"* | join (a)", "position 13: expected '(' and a query, or rows(...), "
        "for 'join', found the end"},
    {"* | join by () (b)", "position 13: join needs the name of a field"},
    {"* | join by (a) ()", "position 18: expected a filter, found ')'"},
    {"* | join by (a) (b) prefix", "position 27: expected a prefix, found "
        "the end"},
    {"* | join by (a) (b) innr", "position 21: expected 'inner', 'prefix' "
        "or '|', found 'innr'"},
    {"* | union ()", "position 12: expected a filter, found ')'"},
    {"* | union", "position 10: expected '(' and a query, or rows(...), for "
        "'union', found the end"},
    {"* | union (a) b", "position 15: expected '|' or the end of the query, "
        "found 'b'"},
    {"* | union rows({a})", "position 18: expected '=' after a field name, "
        "found '}'"},
    {"* | union rows(a)", "position 16: expected '{' or ')', found 'a'"},
    {"* | union rows({a=b c=d})", "position 21: expected ',' or '}', found "
        "'c'"},
};

static void
test_errors(void)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct err err;
        struct query *query = parse(errors[i].query, &err);

        if (query != NULL)
            fail("\"%s\" is refused", errors[i].query);
        else if (errors[i].want[0] == '\0')
            ok(strncmp(err.text, "position ", 9) == 0, "\"%s\": %s",
                errors[i].query, err.text);
        else
            is_str(err.text, errors[i].want, "\"%s\"", errors[i].query);
    }
}

static char *
repeat(const char *before, const char *inner, const char *after, unsigned n)
{
    struct sb sb;
    size_t len;

    sb_init(&sb, MIB);
    for (unsigned i = 0; i < n; i++)
        sb_add_str(&sb, before);
    sb_add_str(&sb, inner);
    for (unsigned i = 0; i < n; i++)
        sb_add_str(&sb, after);
    return sb_detach(&sb, &len);
}

static void
test_limits(void)
{
    static const struct {
        const char *before, *inner, *after;
        unsigned good, bad;
        const char *name;
    } cases[] = {
        {"(", "a", ")", QUERY_DEPTH_MAX, QUERY_DEPTH_MAX + 1, "parens"},
        {"!", "a", "", QUERY_DEPTH_MAX, QUERY_DEPTH_MAX + 1, "NOTs"},
        {"a:in(", "b", " | fields c)", INSIDE_DEPTH_MAX, INSIDE_DEPTH_MAX + 1,
            "subqueries"},
        {"a | union (", "b", ")", INSIDE_DEPTH_MAX, INSIDE_DEPTH_MAX + 1,
            "unions"},
        {"a:in(b | fields c) ", "b", "", INSIDE_QUERIES_MAX,
            INSIDE_QUERIES_MAX + 1, "many subqueries"},
        {"a ", "b", "", 9000, 20000, "words"},
        {"a:in(b) or ", "b", "", 3000, 20000, "lists"},
        {"", "*", " | limit 1", 9000, 20001, "pipes"},
        {"", "*", " | len a", QUERY_PIPES_MAX, QUERY_PIPES_MAX + 1,
            "calls in each other"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        char *text = repeat(cases[i].before, cases[i].inner, cases[i].after,
            cases[i].good);

        ok(parse(text, &err) != NULL, "%s: %s", cases[i].name, err.text);
        free(text);
        text = repeat(cases[i].before, cases[i].inner, cases[i].after,
            cases[i].bad);
        ok(parse(text, &err) == NULL && err.code == ERR_LIMIT, "%s: %s",
            cases[i].name, err.text);
        free(text);
    }
}

int
main(void)
{
    pool = pool_new(256 * MIB);
    test_errors();
    test_limits();
    pool_free(pool);
    return tap_done();
}
