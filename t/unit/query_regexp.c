/* SPDX-License-Identifier: BSD-2-Clause */

/* Regular expressions mean what RE2 says, and end in time. */

#include "core/base.h"
#include "query/regexp.h"

#include <pthread.h>

#include "core/sb.h"
#include "core/timefmt.h"
#include "tap.h"

/* No match may take longer; sanitizers and a busy machine included. */
#define SECONDS_MAX 10

static struct pool *pool;

static struct regexp *
compile(struct sv source, unsigned flags)
{
    struct regexp *regexp = NULL;
    struct err err = ERR_INIT;

    if (regexp_compile(&regexp, source, flags, pool, &err) != 0) {
        diag("%.*s: %s", SV_ARG(source), err.text);
        return NULL;
    }
    return regexp;
}

static const struct {
    const char *source;
    const char *value;
    int want;
} match_rows[] = {
    {"/cart$", "GET /cart", 1}, {"/cart$", "GET /carts", 0},
    {"^(GET|POST) /cart(/|$)", "GET /cart/checkout", 1},
    {"^(GET|POST) /cart(/|$)", "GET /carts", 0},
    {"", "", 1}, {"", "abc", 1}, {"^$", "", 1}, {"^$", "a", 0},
    {".+", "", 0}, {".+", "x", 1}, {".*", "", 1},
    {"s[0-2]", "s1", 1}, {"s[0-2]", "s3", 0},
    /* The dot, ends and lines. */
    {"^a.b$", "a\nb", 1}, {"(?-s)^a.b$", "a\nb", 0}, {"a$", "a\n", 0},
    {"(?m)a$", "a\nb", 1}, {"(?m)^b", "a\nb", 1}, {"^b", "a\nb", 0},
    {"(?m)^$", "a\n", 1}, {"a\\z", "a\n", 0}, {"\\Ab", "a\nb", 0},
    {"(?m)\\Ab", "a\nb", 0}, {"(?m)a$", "a\r\nb", 0},
    /* Flags and groups. */
    {"(?i)get", "GET", 1}, {"get", "GET", 0}, {"(?i:g)et", "Get", 1},
    {"(?i:g)et", "GET", 0}, {"(?i)g(?-i)et", "Get", 1},
    {"(?i)g(?-i)et", "GET", 0}, {"(?i)\xc3\xa4", "\xc3\x84", 1},
    {"(?i)k", "\xe2\x84\xaa", 1}, {"(?P<n>a)b", "ab", 1},
    {"(?<n>a)b", "ab", 1}, {"(?:a)(b)", "ab", 1}, {"(?U)a+", "aa", 1},
    {"(?im-s)^A.$", "x\nab", 1}, {"a||b", "", 1}, {"()", "", 1},
    {"(|a)b", "b", 1}, {"x(?i)a|b", "B", 1},
    /* Classes. */
    {"[]a]", "]", 1}, {"[^]a]", "]", 0}, {"[a-]", "-", 1}, {"[-a]", "-", 1},
    {"[a^]", "^", 1}, {"[^a]", "\n", 1}, {"[[]", "[", 1}, {"[.]", "x", 0},
    {"[[:alpha:]]", "a", 1}, {"[[:alpha:]]", "\xc3\xa4", 0},
    {"[[:^digit:]]", "1", 0}, {"[[:word:]]", "_", 1}, {"[\\d-]", "-", 1},
    {"[\\w.]+$", "a.b", 1}, {"[\\x41-\\x43]", "B", 1}, {"[a&&b]", "&", 1},
    {"[\\S]", "\v", 1}, {"[\\s]", "\v", 0}, {"\\s", "\v", 0},
    {"\\S", "\v", 1}, {"[^\\S]", " ", 1}, {"[\\]]", "]", 1},
    {"[\\pN]", "\xd9\xa3", 1}, {"[[:alpha:]1]", "1", 1}, {"[a-d-z]", "-", 1},
    {"[[.a]", ".", 1}, {"[[=]", "=", 1}, {"[:a]", ":", 1},
    /* Escapes. */
    {"\\d", "\xd9\xa3", 0}, {"\\pN", "\xd9\xa3", 1}, {"\\p{Greek}", "\xce\xb1",
        1}, {"\\P{Greek}", "\xce\xb1", 0}, {"\\p{^Greek}", "a", 1},
    {"\\p{Lu}", "A", 1}, {"\\PL", "1", 1}, {"\\p{Any}", "x", 1},
    {"\\bcart\\b", "/cart/", 1}, {"\\bcart\\b", "carts", 0},
    {"\\w", "\xc3\xa4", 0}, {"\\x{e4}", "\xc3\xa4", 1}, {"\\x41", "A", 1},
    {"\\101", "A", 1}, {"\\07", "\a", 1}, {"\\v", "\v", 1}, {"\\v", "\n", 0},
    {"\\t\\n\\f\\r\\a", "\t\n\f\r\a", 1}, {"\\.\\*\\_\\-\\/", ".*_-/", 1},
    {"\\Qa.b\\E.", "a.bc", 1}, {"\\Qa.b\\E.", "axbc", 0}, {"\\Q(", "(", 1},
    {"\\Qab\\E+", "abb", 1}, {"\\Q\\E", "", 1}, {"a b#c", "a b#c", 1},
    /* Repetitions. */
    {"^a{2}$", "aa", 1}, {"^a{2}$", "aaa", 0}, {"^a{2,}$", "aaa", 1},
    {"^a{1,2}$", "aaa", 0}, {"a{,2}", "a{,2}", 1}, {"a{,2}", "aa", 0},
    {"{", "{", 1}, {"a{", "a{", 1}, {"{a}", "{a}", 1}, {"a{2", "a{2", 1},
    {"^a{0}$", "", 1}, {"a+?b", "aab", 1}, {"a{1,2}?b", "ab", 1},
    {"^*a", "a", 1}, {"(?:^)*a", "ba", 1}, {"\\b+a", "a", 1}, {"(a*)*b", "b",
        1}, {"(a|b)*?c", "abc", 1}, {"a{1000}", "a", 0},
    {"((a{10}){10}){10}", "a", 0}, {"}", "}", 1}, {"]", "]", 1},
    /* Bytes that are not UTF-8 are one character each. */
    {"^.$", "\xff", 1}, {"^..$", "\xc3\xff", 1}, {"a.b", "a\xff" "b", 1},
    {"^a", "\xff" "a", 0}, {"\\x{fffd}", "\xff", 1}, {"a\\x{fffd}b",
        "a\xff" "b", 1}, {"[^a]", "\xff", 1}, {"\xc3\xa4", "\xff\xc3\xa4", 1},
    {"^.$", "\xc3\xa4", 1}, {"^.$", "\xf0\x9f\x98\x80", 1},
};

static void
test_match(void)
{
    for (size_t i = 0; i < ARRAY_LEN(match_rows); i++) {
        struct err err = ERR_INIT;
        struct regexp *regexp = compile(sv_from(match_rows[i].source),
            REGEXP_DOT_NEWLINE);

        if (!ok(regexp != NULL, "compiles %s", match_rows[i].source))
            continue;
        is_int(regexp_match(regexp, sv_from(match_rows[i].value), &err),
            match_rows[i].want, "%s in \"%s\"", match_rows[i].source,
            match_rows[i].value);
    }
}

static void
test_anchored(void)
{
    static const struct {
        const char *source;
        const char *value;
        int want;
    } rows[] = {
        {"GET", "GET /cart", 0}, {"GET.*", "GET /cart", 1},
        {"GET", "GET", 1}, {"a|ab", "ab", 1}, {"a|b", "ab", 0},
        {"(?m)a", "a\nb", 0}, {"", "", 1}, {"", "a", 0}, {"a", "a\n", 0},
        {"cart", "xcart", 0}, {"a*?", "aaa", 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        struct regexp *regexp = compile(sv_from(rows[i].source),
            REGEXP_ANCHORED);

        is_int(regexp_match(regexp, sv_from(rows[i].value), &err),
            rows[i].want, "%s is all of \"%s\"", rows[i].source,
            rows[i].value);
    }
}

static const struct {
    const char *source;
    int pos; /* in the message; -1: none */
    const char *text;
} refused_rows[] = {
    {"(a)\\1", 3, "back references"}, {"(?P<n>a)(?P=n)", 8, "back ref"},
    {"(?<n>a)\\k<n>", 7, "back ref"}, {"a\\g1", 1, "back ref"},
    {"a(?=b)", 1, "look-around"}, {"a(?!b)", 1, "look-around"},
    {"(?<=a)b", 0, "look-around"}, {"(?<!a)b", 0, "look-around"},
    {"(?>a)", 0, "atomic"}, {"a*+", 2, "possessive"}, {"a++", 2, "posses"},
    {"a?+", 2, "possessive"}, {"a{2}+", 4, "possessive"}, {"a**", 2, "rep"},
    {"a{2}{3}", 4, "repetition of"}, {"a*?*", 3, "repetition of"},
    {"(?R)", 0, "recursion"}, {"(?1)", 0, "group"}, {"(?&n)", 0, "recurs"},
    {"(?P>n)", 0, "recursion"}, {"(?(1)a|b)", 0, "conditions"},
    {"(?C1)a", 0, "callouts"}, {"(?#x)", 0, "comments"}, {"(?|a)", 0, "reset"},
    {"a\\Kb", 1, "escape \\K"}, {"\\Ga", 0, "escape \\G"}, {"\\R", 0, "\\R"},
    {"\\X", 0, "\\X"}, {"\\Z", 0, "\\Z"}, {"\\h", 0, "\\h"}, {"\\N", 0, "\\N"},
    {"\\C", 0, "\\C"}, {"\\e", 0, "\\e"}, {"\\cA", 0, "\\c"}, {"\\o{1}", 0,
        "\\o"}, {"\\u0041", 0, "\\u"}, {"\\E", 0, "\\E"},
    {"(*UTF)a", 0, "verbs"}, {"(*ACCEPT)", 0, "verbs"}, {"(?x)a", 0, "flag"},
    {"(?n)a", 0, "flag"}, {"(?^i)a", 0, "flag"}, {"(?J)", 0, "flag"},
    {"(?-)a", 0, "flag"}, {"(?i-)a", 0, "flag"}, {"(?i", 0, "flag"},
    {"(?", 0, "flag"}, {"(?)", 0, "flag"}, {"(?'n'a)", 0, "flag"},
    {"(?P<>a)", 0, "name"}, {"(?P<n", 0, "name"}, {"(?P<n-m>a)", 0, "name"},
    {"(a", 0, "( without )"}, {"a)", 1, ") without ("}, {"(a))", 3, ")"},
    {"[a", 0, "[ without ]"}, {"[]", 0, "[ without ]"}, {"[^]", 0, "[ w"},
    {"[b-a]", 1, "range"}, {"[a-\\d]", 3, "\\d"}, {"[\\b]", 1, "\\b"},
    {"[[:foo:]]", 1, "class"}, {"[[:foo:]", 1, "class"}, {"[\\", 1, "back"},
    {"*", 0, "nothing"}, {"a|*", 2, "nothing"}, {"(+)", 1, "nothing"},
    {"(?i)*", 4, "nothing"}, {"{1}", 0, "nothing"}, {"a{1001}", 1, "1000"},
    {"a{2,1}", 1, "below"}, {"(a{100}){100}", 8, "1000"},
    {"((a{10}){10}){11}", 13, "1000"}, {"a{99999999999999999999}", 1, "1000"},
    {"\\", 0, "backslash"}, {"\\x", 0, "\\x"}, {"\\x{}", 0, "\\x"},
    {"\\x{110000}", 0, "character"}, {"\\x{d800}", 0, "character"},
    {"\\xg", 0, "\\x"}, {"\\8", 0, "back ref"}, {"\\p", 0, "class"},
    {"\\p{", 0, "\\p{"}, {"\\p{}", 0, "class"}, {"\\p{a&}", 0, "class"},
    {"\\pX", -1, "property"}, {"\\p{Xwd}", -1, "property"},
    {"\\p{Klingon}", -1, "property"}, {"a\xff", 1, "UTF-8"},
    {"[\xff]", 1, "UTF-8"}, {"\\Q\xff", 2, "UTF-8"}, {"\\\xc3\xa4", 0, "esc"},
};

static void
test_refused(void)
{
    for (size_t i = 0; i < ARRAY_LEN(refused_rows); i++) {
        struct regexp *regexp = NULL;
        struct err err = ERR_INIT;
        char pos[40] = "";

        if (refused_rows[i].pos >= 0)
            snprintf(pos, sizeof(pos), "position %d:", refused_rows[i].pos);
        ok(regexp_compile(&regexp, sv_from(refused_rows[i].source), 0, pool,
            &err) == -1 && err.code == ERR_INVALID
            && strstr(err.text, pos) != NULL
            && strstr(err.text, refused_rows[i].text) != NULL,
            "refuses %s: %s", refused_rows[i].source, err.text);
    }
}

static void
test_limits(void)
{
    struct regexp *regexp;
    struct err err = ERR_INIT;
    struct sb sb;

    sb_init(&sb, MIB);
    for (int i = 0; i < 250; i++)
        sb_add_char(&sb, '(');
    ok(regexp_compile(&regexp, sb_sv(&sb), 0, pool, &err) == -1,
        "nesting: %s", err.text);
    sb_reset(&sb);
    for (int i = 0; i < 200; i++)
        sb_add_char(&sb, '(');
    for (int i = 0; i < 200; i++)
        sb_add_char(&sb, ')');
    ok(compile(sb_sv(&sb), 0) != NULL, "200 groups within each other");
    sb_reset(&sb);
    while (sb.len <= REGEXP_SOURCE_MAX)
        sb_add_str(&sb, "[a]");
    ok(regexp_compile(&regexp, sb_sv(&sb), 0, pool, &err) == -1
        && err.code == ERR_LIMIT, "length: %s", err.text);
    ok(compile(sv_sub(sb_sv(&sb), 0, 16383), 0) != NULL, "16383 bytes");
    sb_reset(&sb);
    while (sb.len < REGEXP_SOURCE_MAX - 20)
        sb_add_str(&sb, "([ab]|cd){1000}");
    ok(regexp_compile(&regexp, sb_sv(&sb), 0, pool, &err) == -1,
        "too large when compiled: %s", err.text);
    sb_release(&sb);
}

static const struct {
    const char *source;
    const char *want;
} literal_rows[] = {
    {"abc", "abc"}, {"^abc$", "abc"}, {"a.bcd", "bcd"}, {"ab+cde", "cde"},
    {"abc?d", "ab"}, {"abcd*", "abc"}, {"abc+", "abc"}, {"abc{2}", "abc"},
    {"abc{0,2}", "ab"}, {"abc{0}", "ab"}, {"abc|d", ""}, {"(abc)d", "d"},
    {"(GET|POST) /cart(/|$)", " /cart"}, {"(?i)abc", ""}, {"ab(?i)cde", "ab"},
    {"(?i:abc)de", "de"}, {"(?i)a(?-i)bcd", "bcd"}, {"\\Qa.b\\Ec", "a.bc"},
    {"\\x41\\.b", "A.b"}, {"a\\bb", "ab"}, {"[a]bc", "bc"}, {"", ""},
    {"a\\x{fffd}bc", "bc"}, {"\xc3\xa4\xc3\xb6?", "\xc3\xa4"},
    {"\\x{e4}x", "\xc3\xa4x"}, {".*", ""}, {"(a|b)", ""}, {"a{,2}", "a{,2}"},
    {"x*", ""}, {"(?m)a$\nb", "a\nb"}, {"(a)?bc", "bc"}, {"\\dab\\d", "ab"},
};

static void
test_literal(void)
{
    for (size_t i = 0; i < ARRAY_LEN(literal_rows); i++) {
        struct regexp *regexp = compile(sv_from(literal_rows[i].source), 0);

        if (ok(regexp != NULL, "compiles %s", literal_rows[i].source))
            is_sv(regexp_literal(regexp), literal_rows[i].want,
                "literal of %s", literal_rows[i].source);
    }
}

/* Values that make a backtracking matcher slow end with an answer or error. */
static void
test_time(void)
{
    static const struct {
        const char *source;
        const char *piece;
        size_t len;
        int want; /* 2: either way */
    } rows[] = {
        {"(a+)+[xy]", "a", 64, -1},
        {"(a|a)*[xy]", "a", 10000, -1},
        {"(a|aa)+[xy]", "a", 10000, -1},
        {"a(?:[ab])*b(?:[ab]|x)*[xy]", "ab", 300, 0},
        {"a(?:[ab])*b(?:[ab]|x)*[xy]", "ab", 20000, -1},
        {"a.*[xy]", "a", 20000, 0},
        {"a.*b.*[cd]", "ab", 1000, 0},
        {"(?:ab|c)*$", "ab", 20000, 1},
        {"(([a-z])+.)+[A-Z]([a-z])+[!?]", "a", 1000, -1},
        {"[a-f]+z[0-9]", "abcdefghijk lmn ", 1000000, 0},
        {"needle[0-9]", "abcdefghijk lmn ", 1000000, 0},
        {"(\xc3\xa4+)+[xy]", "\xc3\xa4", 2000, -1},
        {"(.*)(.*)(.*)(.*)(.*)[xy]", "\xc3\xa4z", 3000, -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct regexp *regexp = compile(sv_from(rows[i].source),
            REGEXP_DOT_NEWLINE);
        struct err err = ERR_INIT;
        int64_t start, took;
        struct sb sb;

        sb_init(&sb, 2 * MIB);
        while (sb.len < rows[i].len)
            sb_add_str(&sb, rows[i].piece);
        start = clock_mono_ns();
        is_int(regexp_match(regexp, sb_sv(&sb), &err), rows[i].want,
            "%s over %zu bytes %s", rows[i].source, rows[i].len, err.text);
        took = clock_mono_ns() - start;
        ok(took < SECONDS_MAX * NS_PER_SEC, "in time");
        diag("%s: %.1f ms", rows[i].source, (double)took / 1e6);
        if (rows[i].want == -1)
            is_int(err.code, ERR_LIMIT, "the limit");
        sb_release(&sb);
    }
}

static void *
match_often(void *arg)
{
    struct err err = ERR_INIT;
    size_t good = 0;

    for (int i = 0; i < 2000; i++)
        good += regexp_match(arg, SV("GET /cart/17"), &err) == 1;
    return (void *)good;
}

static void
test_threads(void)
{
    struct regexp *regexp = compile(SV("^(GET|POST) /\\w+/\\d+$"), 0);
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, match_often, regexp);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *good;

        pthread_join(threads[i], &good);
        is_int((size_t)good, 2000, "thread %zu", i);
    }
}

int
main(void)
{
    pool = pool_new(64 * MIB);
    test_match();
    test_anchored();
    test_refused();
    test_limits();
    test_literal();
    test_time();
    test_threads();
    pool_free(pool);
    return tap_done();
}
