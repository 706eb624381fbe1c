/* SPDX-License-Identifier: BSD-2-Clause */

/* Row pipes: their canonical text, and what is refused. */

#include "core/base.h"

#include "query/parse.h"

#include "tap.h"

static struct pool *pool;

static const struct {
    const char *pipe;
    const char *want; /* NULL: the same text */
} texts[] = {
    {"len(a)", NULL},
    {"len a", "len(a)"},
    {"len a n", "len(a) as n"},
    {"len(\"a b\") as _msg", "len(\"a b\")"},
    {"hash(a) as as", NULL},
    {"extract \"<a>\"", NULL},
    {"EXTRACT '<a> \"<b>' FROM c:d KEEP_original_fields",
        "extract \"<a> \\\"<b>\" from \"c:d\" keep_original_fields"},
    {"extract if (x:1 or y) 'a&lt;<_>b<plain:c>' skip_empty_results",
        "extract if (x:1 or y) \"a&lt;<_>b<plain:c>\" skip_empty_results"},
    {"extract if () \"<a>\" from _msg", "extract \"<a>\""},
    {"extract_regexp \"(?P<a>x)\"", NULL},
    {"extract_regexp if (x) `(?P<a>\\d)` from b keep_original_fields",
        "extract_regexp if (x) \"(?P<a>\\\\d)\" from b "
        "keep_original_fields"},
    {"format \"\"", NULL},
    {"format foo", "format \"foo\""},
    {"format \"if\" as if", NULL},
    {"format if (x) \"<q:a>\" as b skip_empty_results", NULL},
    {"replace (\"a\", \"b\")", NULL},
    {"replace if (x) (a, '') at b:c limit 3",
        "replace if (x) (\"a\", \"\") at \"b:c\" limit 3"},
    {"replace (a, b) limit 0", "replace (\"a\", \"b\")"},
    {"replace_regexp ('(a)', '$1') at b", "replace_regexp (\"(a)\", "
        "\"$1\") at b"},
    {"collapse_nums", NULL},
    {"collapse_nums if (x) at b prettify", NULL},
    {"decolorize", "decolorize _msg"},
    {"decolorize a", NULL},
    {"drop_empty_fields", NULL},
    {"sample 10K", "sample 10000"},
    {"coalesce(a, b:c, d*)", "coalesce(a, \"b:c\", \"d*\")"},
    {"coalesce(a) default x as default", "coalesce(a) default \"x\" as "
        "default"},
    {"coalesce (a) b", "coalesce(a) as b"},
    {"time_add 1h", NULL},
    {"time_add -1h30m at a", "time_add \"-1h30m\" at a"},
    {"set_stream_fields b, a, b", "set_stream_fields (a, b)"},
    {"set_stream_fields if (x) (\"if\")", "set_stream_fields if (x) (if)"},
    {"set_stream_fields (if)", NULL},
    {"generate_sequence 1KB", "generate_sequence 1000"},
};

static const struct {
    const char *pipe;
    const char *want; /* "": any error; positions count from the pipe on */
} wrong[] = {
    {"len", "position 8: expected a field name, found the end"},
    {"len(a, b)", ""}, {"len(a", ""}, {"len(a*)", ""}, {"len(a) b c", ""},
    {"hash()", ""},
    {"extract", ""}, {"extract \"\"", "position 13: a pattern needs a "
        "<name>"},
    {"extract \"ab\"", ""}, {"extract \"<_>\"", ""},
    {"extract \"<a><b>\"", "position 13: a text is needed between two "
        "<names> of a pattern"},
    {"extract \"<a\"", "position 13: expected '>' behind '<a' (a '<' that "
        "is no placeholder is written '&lt;')"},
    {"extract if \"<a>\"", "position 16: expected '(' after 'if', found "
        "'\"<a>\"'"},
    {"extract \"<a>\" from", ""}, {"extract \"<a>\" at b",
        "position 19: expected 'from', 'keep_original_fields', "
        "'skip_empty_results' or '|', found 'at'"},
    {"extract \"<a>\" keep_original_fields skip_empty_results",
        "position 40: only one of 'keep_original_fields' and "
        "'skip_empty_results' may be given"},
    {"extract_regexp", ""}, {"extract_regexp \"(\"", ""},
    {"extract_regexp \"(a)\"", "position 20: the regular expression needs a "
        "group with a name: '(?P<name>...)'"},
    {"format", ""}, {"format \"<\"", ""}, {"format \"a\" as", ""},
    {"format \"a\" b", ""}, {"format if x \"a\"", ""},
    {"replace", "position 12: expected '(' before the old text, found the "
        "end"},
    {"replace (a)", "position 15: expected ',' after the old text, found "
        "')'"},
    {"replace (a, b, c)", ""}, {"replace (a, b) at", ""},
    {"replace (a, b) limit", ""}, {"replace (a, b) limit 1K", ""},
    {"replace_regexp (\"(\", b)", ""}, {"replace_regexp (a)", ""},
    {"collapse_nums at", ""}, {"collapse_nums at a b", ""},
    {"decolorize a b", ""}, {"drop_empty_fields a", ""},
    {"sample", ""}, {"sample x", ""}, {"sample 0",
        "position 12: sample needs a number above 0"},
    {"coalesce a", ""}, {"coalesce()", ""}, {"coalesce(a) default", ""},
    {"time_add", ""}, {"time_add 5", "position 14: expected a duration such "
        "as 1h, found '5'"},
    {"time_add 1h to a", ""},
    {"set_stream_fields", ""}, {"set_stream_fields a b", ""},
    {"set_stream_fields a*", ""},
    {"generate_sequence", ""}, {"generate_sequence x", ""},
    {"extarct \"<a>\"", ""},
};

static bool
prints(const char *text, const char *want, struct err *err)
{
    struct query *query;
    struct sb sb;
    bool is_same;

    if (query_parse(&query, sv_from(text), 0, pool, err) != 0)
        return false;
    sb_init(&sb, MIB);
    query_print(&sb, query);
    is_same = strcmp(sb.ptr, want) == 0;
    if (!is_same)
        err_set(err, ERR_INVALID, "got %s", sb.ptr);
    sb_release(&sb);
    return is_same;
}

static void
test_texts(void)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *pipe = texts[i].want ? texts[i].want : texts[i].pipe;
        struct err err = ERR_INIT;
        char text[256], want[256];

        snprintf(text, sizeof(text), "* | %s", texts[i].pipe);
        snprintf(want, sizeof(want), "* | %s", pipe);
        if (!ok(prints(text, want, &err), "%s", text))
            diag("%s", err.text);
        if (!ok(prints(want, want, &err), "... and again"))
            diag("%s", err.text);
    }
}

static void
test_wrong(void)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err err = ERR_INIT;
        struct query *query;
        char text[256];
        int result;

        snprintf(text, sizeof(text), "* | %s", wrong[i].pipe);
        result = query_parse(&query, sv_from(text), 0, pool, &err);
        if (wrong[i].want[0] == '\0')
            ok(result != 0, "%s: %s", text, err.text);
        else
            is_str(result != 0 ? err.text : "no error", wrong[i].want,
                "%s", text);
    }
}

int
main(void)
{
    pool = pool_new(64 * MIB);
    test_texts();
    test_wrong();
    pool_free(pool);
    return tap_done();
}
