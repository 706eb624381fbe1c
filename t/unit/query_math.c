/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Pipes that compute with fields and take texts apart: their syntax and
 * canonical text, and what math computes.
 */

#include "core/base.h"

#include <math.h>

#include "core/num.h"
#include "core/timefmt.h"
#include "query/math.h"
#include "query_must.h"

static char *
print(const struct query *query)
{
    struct sb sb;
    char *text;

    sb_init(&sb, MIB);
    query_print(&sb, query);
    text = pool_dup(pool, sb.ptr, sb.len);
    sb_release(&sb);
    return text;
}

/* --- syntax --- */

static const struct {
    const char *query;
    const char *want; /* NULL: the same text */
} texts[] = {
    {"math a + 1 as b", NULL},
    {"eval a+1 b", "math a + 1 as b"},
    {"math u + 1", "math u + 1 as \"u + 1\""},
    {"math a, b c", "math a as a, b as c"},
    {"math (a + b) * 2 as x", NULL},
    {"math a + (b * 2) as x", "math a + b * 2 as x"},
    {"math a - (b - c) as x, (a - b) - c as y",
        "math a - (b - c) as x, a - b - c as y"},
    {"math 2 ^ (3 ^ 2) as x, (2 ^ 3) ^ 2 as y",
        "math 2 ^ (3 ^ 2) as x, 2 ^ 3 ^ 2 as y"},
    {"math -a ^ 2 as x, -(a ^ 2) as y, --a as z", NULL},
    {"math a XOR b or c & d default 1 as x",
        "math a xor b or c & d default 1 as x"},
    {"math (a default 1) or 2 as x", NULL},
    {"math a % (b * c) / d as x", NULL},
    {"math span_attr:i * 2 as x", "math \"span_attr:i\" * 2 as x"},
    {"math \"a-b\" + \"a b\" as x", NULL},
    {"math \"or\" + \"xor\" + \"default\" + \"as\" as as", NULL},
    {"math \"now\" + \"max\" + abs as x", NULL},
    {"math MAX(a, min(b, c), 1.5s) as x, now() as n",
        "math max(a, min(b, c), 1.5s) as x, now() as n"},
    {"math round(a / 1ms, 0.1) as ms", NULL},
    {"math \"10.0.0.1\" as a, \"2026-01-14T00:00:00Z\" as b",
        "math 10.0.0.1 as a, \"2026-01-14T00:00:00Z\" as b"},
    {"math \"-5\" as a, -5 as b", NULL},
    {"json_array_len(a)", NULL},
    {"json_array_len a as n", "json_array_len(a) as n"},
    {"json_array_len (a) n", "json_array_len(a) as n"},
    {"json_array_concat", NULL},
    {"json_array_concat \",\" from a as b", NULL},
    {"json_array_concat from a", NULL},
    {"json_array_concat \"from\" as b", NULL},
    {"split \",\"", NULL},
    {"split - from a", "split \"-\" from a"},
    {"split \"\" from a as b", NULL},
    {"unpack_words", NULL},
    {"unpack_words a drop_duplicates",
        "unpack_words from a drop_duplicates"},
    {"unpack_words from a as b", NULL},
    {"unpack_words as b", NULL},
    {"pack_json", NULL},
    {"pack_json fields () as b", "pack_json as b"},
    {"pack_json fields (a, span_attr:*) as b",
        "pack_json fields (a, \"span_attr:*\") as b"},
    {"pack_logfmt fields (*) b", "pack_logfmt fields (*) as b"},
    {"unpack_json", NULL},
    {"unpack_json a", "unpack_json from a"},
    {"unpack_json if (x:y z) from a fields (b, c*) result_prefix p. "
        "keep_original_fields", "unpack_json if (x:y z) from a "
        "fields (b, \"c*\") result_prefix p. keep_original_fields"},
    {"unpack_json skip_empty_results fields (b) result_prefix \"p:\"",
        "unpack_json fields (b) result_prefix \"p:\" skip_empty_results"},
    {"unpack_logfmt if () from _msg", "unpack_logfmt"},
    {"unpack_logfmt from \"fields\" fields (a)", NULL},
    {"unpack_syslog from a offset 5h30m result_prefix s_", NULL},
    {"unpack_syslog offset -2h keep_original_fields",
        "unpack_syslog offset \"-2h\" keep_original_fields"},
    {"unroll a", "unroll by (a)"},
    {"unroll if (a:\"[\"*) by (a, \"b:c\")", NULL},
    {"unroll a, b", "unroll by (a, b)"},
};

static void
test_texts(void)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *want = texts[i].want == NULL ? texts[i].query :
            texts[i].want;
        char text[512], whole[512];
        struct err err;
        struct query *query;

        snprintf(text, sizeof(text), "* | %s", texts[i].query);
        query = parse(text, &err);
        if (query == NULL) {
            fail("%s: %s", text, err.text);
            continue;
        }
        snprintf(whole, sizeof(whole), "* | %s", want);
        is_str(print(query), whole, "%s", texts[i].query);
        query = parse(whole, &err);
        is_str(query == NULL ? err.text : print(query), whole,
            "... and again");
    }
}

static const struct {
    const char *query;
    const char *error;
} errors[] = {
    {"math", "position 9: expected a field or number, found the end"},
    {"math a +", "position 13: expected a field or number, found the end"},
    {"math min(a)", "position 10: min() takes two or more arguments"},
    {"math abs()", "position 10: abs() takes one argument"},
    {"math now(1)", "position 10: now() takes no arguments"},
    {"math round(a, b, c)",
        "position 10: round() takes one or two arguments"},
    {"math roun(a)",
        "position 10: unknown math function 'roun'; did you mean 'round'?"},
    {"math (a + 1 as x", "position 17: expected an operator or ')', "
        "found 'as'"},
    {"math ceil(a as x", "position 17: expected an operator, ',' or ')', "
        "found 'as'"},
    {"math a or or b", "position 15: expected a field or number, "
        "found 'or'"},
    {"math a as x,", "position 17: expected a field or number, found the "
        "end"},
    {"math a as", "position 14: expected a field name, found the end"},
    {"math a = b", "position 12: expected an operator, ',' or the result's "
        "name, found '='"},
    {"math a as b c", "position 17: expected an operator, ',', '|' or the "
        "end, found 'c'"},
    {"math \"a*\" + 1",
        "position 10: a name with '*' cannot stand here: 'a*'"},
    {"json_array_len", "expected a field name, found the end"},
    {"json_array_len(a", "expected ')' after the name, found the end"},
    {"split , from a", "position 11: expected a separator, found ','"},
    {"split", "position 10: expected a separator, found the end"},
    {"pack_json fields", "expected '(' after 'fields', found the end"},
    {"pack_json fields (a", "expected ',' or ')', found the end"},
    {"unpack_json from", "expected a field name, found the end"},
    {"unpack_json if from a", "expected '(' after 'if', found 'from'"},
    {"unpack_json a result_prefix",
        "expected a prefix of names, found the end"},
    {"unpack_json a b", "position 19: expected 'fields', 'result_prefix', "
        "'keep_original_fields', 'skip_empty_results' or '|', found 'b'"},
    {"unpack_json keep_original_fields skip_empty_results",
        "only one of 'keep_original_fields' and"},
    {"unpack_syslog offset foo",
        "expected a duration after 'offset', found 'foo'"},
    {"unpack_syslog a fields (b)", "expected 'offset', 'result_prefix', "
        "'keep_original_fields' or '|', found 'fields'"},
    {"unroll", "expected a field name, found the end"},
    {"unroll by ()", "position 15: unroll needs the name of a field"},
    {"unroll (a*)", "a name with '*' cannot stand here"},
};

static void
test_errors(void)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        char text[512];
        struct err err;

        snprintf(text, sizeof(text), "* | %s", errors[i].query);
        if (parse(text, &err) != NULL)
            fail("%s: is parsed", text);
        else if (strstr(err.text, errors[i].error) == NULL)
            is_str(err.text, errors[i].error, "%s", text);
        else
            ok(true, "%s: %s", text, err.text);
    }
}

static void
test_limits(void)
{
    struct sb sb;
    struct err err;

    sb_init(&sb, MIB);
    sb_add_str(&sb, "* | math 1");
    for (int i = 0; i < 499; i++)
        sb_add_str(&sb, "+1");
    ok(parse(sb.ptr, &err) != NULL, "500 operands");
    sb_add_str(&sb, "+1");
    ok(parse(sb.ptr, &err) == NULL && strstr(err.text, "more than 1000 "
        "operands and operators") != NULL, "501 operands: %s", err.text);
    sb_reset(&sb);
    sb_add_str(&sb, "* | math ");
    for (int i = 0; i < 200; i++)
        sb_add_char(&sb, '(');
    ok(parse(sb.ptr, &err) == NULL && err.code == ERR_LIMIT,
        "200 parentheses: %s", err.text);
    sb_reset(&sb);
    sb_add_str(&sb, "* | math ");
    for (int i = 0; i < 1001; i++)
        sb_addf(&sb, "%s1 as f%d", i == 0 ? "" : ", ", i);
    ok(parse(sb.ptr, &err) == NULL && strstr(err.text, "more than 1000 "
        "fields") != NULL, "1001 fields: %s", err.text);
    sb_release(&sb);
}

/* --- math --- */

static const struct {
    const char *expr;
    const char *want;
} sums[] = {
    {"2 ^ 3 ^ 2", "64"},
    {"-2 ^ 2", "4"},
    {"1 + 2 * 3", "7"},
    {"2 + 3 * 2 ^ 2", "14"},
    {"2 ^ 2 * 3 + 2", "14"},
    {"10 - 4 - 3", "3"},
    {"100 / 10 / 2", "5"},
    {"10 / 0", "+Inf"},
    {"-10 / 0", "-Inf"},
    {"0 / 0", "NaN"},
    {"1 / 3", "0.3333333333333333"},
    {"5 & 3 or 8", "9"},
    {"7 & 3 + 1", "4"},
    {"6 xor 3", "5"},
    {"1 or 2 xor 3", "1"},
    {"1 default 2 + 3", "1"},
    {"nosuch default 2 + 3", "5"},
    {"nosuch + 1", "NaN"},
    {"nosuch & 1", "NaN"},
    {"7.5 % 2", "1.5"},
    {"7 % 2", "1"},
    {"-7 % 2", "-1"},
    {"-8 % 2", "0"},
    {"7 % 0", "NaN"},
    {"7.5 % 0", "NaN"},
    {"nosuch % 0", "NaN"},
    {"9223372036854775807 % -1", "0"},
    {"-9223372036854775808 % -1", "0"},
    {"-1 & 255", "255"},
    {"1e30 & 1", "NaN"},
    {"inf or 1", "NaN"},
    {"2.9 & 3", "2"},
    {"round(3.5, 0.2)", "3.4"},
    {"round(3.75, 0.1)", "3.7"},
    {"round(0.25, 0.1)", "0.2"},
    {"round(-1.5, 0.1)", "-1.5"},
    {"round(12.605, 0.01)", "12.61"},
    {"round(5, 10)", "10"},
    {"round(104, 10)", "100"},
    {"round(104, -10)", "100"},
    {"round(1, 0)", "NaN"},
    {"round(inf, 2)", "+Inf"},
    {"round(1, inf)", "NaN"},
    {"round(2.5)", "3"},
    {"round(-1.5)", "-2"},
    {"round(1e300, 0.1)", NULL}, /* no crash */
    {"round(5e-324, 5e-324)", NULL},
    {"max(1, nosuch, 3)", "3"},
    {"min(nosuch, 2, 1)", "1"},
    {"max(nosuch, nosuch)", "NaN"},
    {"abs(-1.5) + ceil(1.2) + floor(-1.2)", "1.5"},
    {"ln(exp(1))", "1"},
    {"ln(-1)", "NaN"},
    {"ln(0)", "-Inf"},
    {"1h + 30m", "5400000000000"},
    {"1.5KiB", "1536"},
    {"\"10.0.0.1\" + 1", "167772162"},
    {"\"2026-01-14T00:00:00Z\"", "1768348800000000000"},
    {"0xff + 0b11", "258"},
    {"-0", "-0"},
    {"0 - 0", "0"},
    {"1e308 * 10", "+Inf"},
};

/* The last expression's result. */
static double
compute(const char *text, struct err *err)
{
    char whole[512];
    const struct math_spec *spec;
    struct query *query;
    double slots[MATH_FIELDS_MAX];

    snprintf(whole, sizeof(whole), "* | math %s", text);
    query = parse(whole, err);
    if (query == NULL)
        return -12345;
    spec = query->pipes->spec;
    for (uint32_t i = 0; i < spec->nsources; i++)
        slots[spec->source_slots[i]] = NAN;
    for (uint32_t i = 0; i < spec->nexprs; i++)
        slots[spec->exprs[i].slot] = math_eval(&spec->exprs[i], slots);
    return slots[spec->exprs[spec->nexprs - 1].slot];
}

static void
test_math(void)
{
    struct err err;
    double v;

    for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
        char text[NUM_DOUBLE_MAX + 1];

        v = compute(sums[i].expr, &err);
        text[num_print_double(text, v)] = '\0';
        if (sums[i].want == NULL)
            ok(err.code == ERR_NONE, "%s is %s", sums[i].expr, text);
        else
            is_str(err.code == ERR_NONE ? text : err.text, sums[i].want,
                "%s", sums[i].expr);
    }
    v = compute("1 as a, a + 1 as b, a + b as a, a * 10 as c", &err);
    ok(v == 30, "later expressions see earlier results: %g", v);
    v = compute("now()", &err);
    ok(fabs(v - (double)clock_wall_ns()) < 60e9, "now()");
    for (int i = 0; i < 100; i++) {
        v = compute("rand()", &err);
        if (v < 0 || v >= 1)
            fail("rand() is %g", v);
    }
    ok(compute("rand()", &err) != compute("rand()", &err), "rand() changes");
}

int
main(void)
{
    pool = pool_new(256 * MIB);
    test_texts();
    test_errors();
    test_limits();
    test_math();
    pool_free(pool);
    return tap_done();
}
