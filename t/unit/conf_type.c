/* SPDX-License-Identifier: BSD-2-Clause */

/* Kinds of directives, lists of flags, nearest names, places in messages. */

#include "core/base.h"

#include "core/conf_near.h"
#include "core/conf_report.h"
#include "core/conf_type.h"
#include "tap.h"

static struct conf_row
row_of(enum conf_kind kind, const char *min, const char *max)
{
    return (struct conf_row){kind, CONF_CHANGE_RELOAD, 0, "a.b", "ab", "",
        min, max, "one|two|three", "doc"};
}

/* The error of a wrong text, "" if it is right. */
static const char *
error_of(const struct conf_row *row, const char *text)
{
    static struct err err;
    union {
        uint64_t u;
        const char *s;
    } value;

    err_reset(&err);
    return conf_type_parse(row, sv_from(text), &value, &err) == 0 ? ""
                                                                  : err.text;
}

static void
test_numbers(void)
{
    struct conf_row row = row_of(CONF_KIND_UINT, "0", "256");
    uint64_t u = 7;
    int64_t i = 7;
    struct err err = ERR_INIT;

    is_str(error_of(&row, "256"), "", "number at its maximum");
    is_str(error_of(&row, "257"), "must be 0..256, not \"257\"", "above");
    is_str(error_of(&row, "-1"), "must be 0..256, not \"-1\"", "negative");
    is_str(error_of(&row, "99999999999999999999999"),
        "must be 0..256, not \"99999999999999999999999\"", "far above");
    is_str(error_of(&row, "2x"), "must be a number, not \"2x\"", "no number");
    is_str(error_of(&row, ""), "must be a number, not \"\"", "empty");
    ok(conf_type_parse(&row, SV("12"), &u, &err) == 0 && u == 12, "12");

    row = row_of(CONF_KIND_UINT, NULL, NULL);
    is_str(error_of(&row, "99999999999999999999"),
        "must be at most 8EiB, not \"99999999999999999999\"",
        "beyond what a number holds");
    row = row_of(CONF_KIND_SIZE, "1KiB", NULL);
    ok(conf_type_parse(&row, SV("64MiB"), &u, &err) == 0 && u == 64 * MIB,
        "64MiB");
    is_str(error_of(&row, "1023"), "must be at least 1KiB, not \"1023\"",
        "size below its minimum");
    row = row_of(CONF_KIND_DURATION, "0", "1h");
    ok(conf_type_parse(&row, SV("1m30s"), &i, &err) == 0 &&
        i == 90 * NS_PER_SEC, "1m30s");
    ok(conf_type_parse(&row, SV("0"), &i, &err) == 0 && i == 0, "0");
    is_str(error_of(&row, "10"),
        "must be a duration such as 500ms, 10s or 1m30s, not \"10\"",
        "a duration needs a unit");
    is_str(error_of(&row, "-1s"), "must be 0..1h, not \"-1s\"",
        "negative duration");
    row = row_of(CONF_KIND_RETENTION, "1d", "100y");
    ok(conf_type_parse(&row, SV("2"), &i, &err) == 0 && i == 62 * NS_PER_DAY,
        "a bare number is months of 31 days");
    is_str(error_of(&row, "1h"), "must be 1d..100y, not \"1h\"",
        "less than a day");
}

static void
test_words(void)
{
    struct conf_row row = row_of(CONF_KIND_ENUM, NULL, NULL);
    struct err err = ERR_INIT;
    unsigned choice = 9;
    bool flag = false;
    const char *text = NULL;
    char big[2 * CONF_VALUE_BYTES_MAX];

    ok(conf_type_parse(&row, SV("Three"), &choice, &err) == 0 && choice == 2,
        "choices ignore capitals");
    is_str(error_of(&row, "four"), "must be one, two or three, not \"four\"",
        "no such choice");
    row = row_of(CONF_KIND_BOOL, NULL, NULL);
    ok(conf_type_parse(&row, SV("on"), &flag, &err) == 0 && flag, "on");
    ok(conf_type_parse(&row, SV("False"), &flag, &err) == 0 && !flag,
        "False");
    is_str(error_of(&row, "2"), "must be true or false, not \"2\"", "2");
    row = row_of(CONF_KIND_PATH, NULL, NULL);
    row.def = "somewhere";
    is_str(error_of(&row, ""), "must not be empty", "empty path");
    row = row_of(CONF_KIND_SECRET, NULL, NULL);
    ok(conf_type_parse(&row, SV("hunter2"), &text, &err) == 0 &&
        strcmp(text, "hunter2") == 0, "a secret is text");
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    ok(strstr(error_of(&row, big), "xx") == NULL &&
        strstr(error_of(&row, big), "longer than 4096") != NULL,
        "no message shows a secret");
    is_sv(conf_type_shown(CONF_KIND_SECRET, SV("hunter2")), "secret",
        "a secret is masked");
    is_sv(conf_type_shown(CONF_KIND_SECRET, SV_EMPTY), "",
        "an empty secret is seen");
    is_sv(conf_type_shown(CONF_KIND_STRING, SV("x")), "x", "others are not");
}

static void
check_split(const char *text, const char *want)
{
    struct pool *pool = pool_new(MIB);
    struct sv rest = sv_from(text), item;
    struct sb got;

    sb_init(&got, 1024);
    while (conf_type_split(&rest, pool, &item))
        sb_addf(&got, "<%.*s>", SV_ARG(item));
    is_str(got.ptr, want, "items of %s", text);
    sb_release(&got);
    pool_free(pool);
}

static bool
check_item(const struct conf_row *row, const char *text)
{
    struct sv item = sv_from(text);
    struct err err = ERR_INIT;

    return conf_type_item(row, NULL, &item, &err) == 0;
}

static void
test_lists(void)
{
    const struct conf_row *listen = &conf_rows[CONF_ROW_http_listen];
    static const char *const good[] = {":0", ":10428", "127.0.0.1:1",
        "[::]:80", "[fe80::1%eth0]:80", "localhost:65535"};
    static const char *const bad[] = {"", ":", "10428", "a:b", ":65536",
        "::1:80", "[]:80", "/x:1", "http://x:1"};

    check_split("", "");
    check_split("a", "<a>");
    check_split("a,b, c ", "<a><b><c>");
    check_split("\"a,b\",'c,d',e", "<a,b><c,d><e>");
    check_split("{a,b},[c,d],(e,f)", "<{a,b}><[c,d]><(e,f)>");
    check_split("{a,{b,c},d},e", "<{a,{b,c},d}><e>");
    check_split("a}b,c", "<a}b><c>");
    check_split("\"a\\\"b\"", "<a\"b>");
    check_split("\"a,b", "<\"a,b>");
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ok(check_item(listen, good[i]), "address %s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(!check_item(listen, bad[i]), "no address %s", bad[i]);
}

static const char *
nearest(const char *word, const char *a, const char *b)
{
    struct conf_near near;

    conf_near_init(&near, sv_from(word));
    conf_near_offer(&near, sv_from(a));
    conf_near_offer(&near, sv_from(b));
    return near.best.ptr;
}

static void
test_near(void)
{
    is_str(nearest("retension", "path", "retention"), "retention",
        "one letter wrong");
    is_str(nearest("rentetion", "retention", "future"), "retention",
        "letters swapped");
    is_str(nearest("PATH", "path", "pith"), "path", "capitals");
    is_str(nearest("xyz", "path", "retention"), NULL, "nothing is near");
    is_str(nearest("", "a", "b"), NULL, "no word");
}

static void
test_yaml_text(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"plain", "plain"},
        {"/var/lib/spoor", "/var/lib/spoor"},
        {"", "\"\""},
        {"off", "\"off\""},
        {"1", "\"1\""},
        {":10428", "\":10428\""},
        {"a b", "\"a b\""},
        {"${HOME}", "\"$${HOME}\""},
        {"a\"b\\c\n\x7f", "\"a\\\"b\\\\c\\u000a\\u007f\""},
        {"\xc2\x85\xe2\x80\xa8", "\"\\u0085\\u2028\""},
        {"Gr\xc3\xbc\xc3\x9f" "e", "\"Gr\xc3\xbc\xc3\x9f" "e\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sb out;

        sb_init(&out, 1024);
        conf_type_print_yaml(&out, sv_from(cases[i].text));
        is_str(out.ptr, cases[i].want, "yaml of case %zu", i);
        sb_release(&out);
    }
}

static void
check_report(struct conf_mark mark, const char *source, const char *want)
{
    struct conf_report report;
    struct sb out;

    sb_init(&out, 4096);
    conf_report_init(&report, &out);
    conf_report_source(&report, "f", sv_from(source));
    conf_report_error(&report, &mark, "x\ty");
    is_str(out.ptr, want, "place %u:%u", mark.line, mark.column);
    sb_release(&out);
}

static void
test_report(void)
{
    char line[400];
    struct conf_report report;
    struct sb out;

    check_report((struct conf_mark){2, 3, 2, NULL}, "a\nb cd\r\n",
        "f:2:3: error: x\\x09y\n    2 | b cd\n      |   ^~\n");
    check_report((struct conf_mark){1, 3, 1, NULL}, "\t\xc3\xbc!\x1b",
        "f:1:3: error: x\\x09y\n    1 |  \xc3\xbc!?\n      |   ^\n");
    check_report((struct conf_mark){9, 1, 1, NULL}, "a\n",
        "f:9:1: error: x\\x09y\n");
    memset(line, 'a', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    sb_init(&out, 4096);
    conf_report_init(&report, &out);
    conf_report_source(&report, "f", sv_from(line));
    conf_report_error(&report, &(struct conf_mark){1, 300, 50, NULL}, "x");
    ok(out.len < 350 && strstr(out.ptr, "...") != NULL, "a long line is cut");
    sb_reset(&out);
    conf_report_error_hidden(&report, &(struct conf_mark){1, 3, 1, NULL}, "x");
    is_str(out.ptr, "f:1:3: error: x\n", "hidden: no source line");
    sb_reset(&out);
    for (int i = 0; i < 2 * CONF_ERRORS_SHOWN_MAX; i++)
        conf_report_error(&report, NULL, "x");
    conf_report_close(&report, "f");
    ok(strstr(out.ptr, "only the first 100 errors are shown\n"
        "f: 202 errors, configuration not used\n") != NULL,
        "errors beyond the maximum are counted");
    sb_release(&out);
}

int
main(void)
{
    test_numbers();
    test_words();
    test_lists();
    test_near();
    test_yaml_text();
    test_report();
    return tap_done();
}
