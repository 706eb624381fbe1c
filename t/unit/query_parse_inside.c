/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Canonical texts, as in query_parse.c: queries inside queries, options,
 * filters of later versions, and the examples of the table of filters.
 */

#include "core/base.h"

#include "query/parser.h"
#include "query_must.h"

static const struct {
    const char *query;
    const char *want; /* NULL: the same text */
} texts[] = {
    /* functions of later versions */
    {"a:pattern_match(\"b <N>\")", NULL},
    {"a:pattern_match_full(b) a:PATTERN_MATCH_PREFIX(\"<W>\") "
        "a:pattern_match_suffix(c)",
        "a:pattern_match_full(b) a:pattern_match_prefix(\"<W>\") "
        "a:pattern_match_suffix(c)"},
    {"a:equals_common_case(Foo, \"b c\")", NULL},
    {"a:contains_common_case(FooBar)", NULL},
    {"a:contains_common_case(b, \"\") a:equals_common_case()", "!*"},
    {"a:ipv6_range(\"2001:db8::/32\") a:ipv6_range(::1, ::2)",
        "a:ipv6_range(\"2001:db8::/32\") a:ipv6_range(\"::1\", \"::2\")"},
    {"a:json_array_contains_any(b, 3, \"c d\")", NULL},
    {"pattern_match ipv6_range:b", "\"pattern_match\" \"ipv6_range\":b"},
    /* all fields of a prefix */
    {"*:b", NULL},
    {"* :b", "b"},
    {"\"a:\"*:b c*:d", "\"a:\"*:b \"c\"*:d"},
    {"\"a:\"*:(b or !=c) d", "(\"a:\"*:b or !\"a:\"*:=c) d"},
    {"*:!\"b c\" -*:~d *:>5", "!*:\"b c\" !*:~\"d\" *:>5"},
    {"*:* *:\"\" *:b* *:*c*", "*:* *:\"\" *:b* *:*c*"},
    {"*:in(a, b) *:in(c:d | fields e)", "*:in(a, b) *:in(c:d | fields e)"},
    {"_time*:b", "\"_time\"*:b"},
    /* options */
    {"options(parallel_readers=3, allow_partial_response=false) a", NULL},
    {"options(time_offset=-1.5h) a | count() b", "options(time_offset="
        "\"-1.5h\") a | stats count(*) as b"},
    {"options(time_offset=1d) a:in(options(time_offset=0s) b | fields c)",
        NULL},
    {"options(concurrency=2, ignore_global_time_filter=true) a:in(options("
        "concurrency=0, ignore_global_time_filter=false) b | fields c)",
        NULL},
    {"options(global_filter=(a or b)) c:in(d | fields e) | union (f | "
        "count() g)", "(a or b) c:in((a or b) d | fields e) | union ((a or "
        "b) f | stats count(*) as g)"},
    {"options(global_filter=(a)) b:in(options(global_filter=(c)) d | fields "
        "e)", "a b:in(a c d | fields e)"},
    {"a | count() b ; ", "a | stats count(*) as b"},
    {"a;", "a"},
    {"\"a;\"", NULL},
    /* queries inside */
    {"* | join on (a, b:c) (d | fields a) prefix p. inner",
        "* | join by (a, \"b:c\") (d | fields a) inner prefix p."},
    {"* | JOIN (a) (* | join by (b) (c))",
        "* | join by (a) (* | join by (b) (c))"},
    {"* | join (a) rows({a:b, \"c d\"=\"e f\"}, {} {a=''})",
        "* | join by (a) rows({a=\"b\", \"c d\"=\"e f\"} {} {a=\"\"})"},
    {"* | union (a | limit 1) | union rows()",
        "* | union (a | limit 1) | union rows()"},
    {"a | stream_context after 2 before 1 time_window 5m | limit 1",
        "a | stream_context before 1 after 2 time_window 5m | limit 1"},
    {"a | filter b | stream_context before 0", "a b | stream_context "
        "before 0"},
    {"a:in(* | fields a) b", "b"},
    {"a:in(* | fields b)", NULL},
    {"a:in(options(concurrency=1) * | fields a)", NULL},
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

/* Those of the tables: parsed, printed, parsed. */
static void
test_examples(void)
{
    for (size_t i = 0; i < nfilter_names; i++) {
        const struct filter_name *name = &filter_names[i];
        char text[4096], again[4096];

        print(text, sizeof(text), must(name->example));
        print(again, sizeof(again), must(text));
        is_str(again, text, "filter %s: %s", name->name, name->example);
        ok(name->syntax[0] != '\0' && name->doc[0] != '\0',
            "filter %s: syntax and text", name->name);
    }
}

int
main(void)
{
    pool = pool_new(256 * MIB);
    test_texts();
    test_examples();
    pool_free(pool);
    return tap_done();
}
