/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Pipes that make fields of the fields of a row, over a small table in
 * columns of random forms and chunks of random size.
 */

#include "core/base.h"
#include "query/pipe.h"

#include "tap.h"

#include "stage_run.h"

static struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define COLUMNS 6

static const char *const cells[][COLUMNS] = {
    /* id, name, kind, num, old, empty */
    {"a", "GET /cart", "2", "12", "x", ""},
    {"b", "GET /cart", "2", "7", "", ""},
    {"c", "SELECT orders", "3", "12", "x", ""},
    {"d", "", "3", "", "y", ""},
    {"e", "GET /pay", "2", "-5", "", ""},
    {"f", "GET /cart", "2", "12", "x", ""},
};

static struct sv table_cells[ARRAY_LEN(cells) * COLUMNS];
static struct table table = {
    .names = {"id", "name", "kind", "num", "old", "empty"},
    .ncolumns = COLUMNS,
    .nrows = ARRAY_LEN(cells),
    .cells = table_cells,
};

static int
line_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The sorted lines, parted by '\n'; the filter of a query is a pipe here. */
static void
gives(const char *text, const char *want)
{
    uint32_t wrong = 0;
    char first[2048] = "", query[512];

    snprintf(query, sizeof(query), "%s%s", text[0] == '*' ? "" :
        "* | limit 100 | filter ", text);
    for (uint64_t round = 0; round < 20; round++) {
        struct sb got;

        if (run_table(&sink, query, &table, 1 + round % 3, round) != 0) {
            wrong++;
            continue;
        }
        if (sink.n > 0)
            qsort(sink.lines, sink.n, sizeof(char *), line_cmp);
        sb_init(&got, MIB);
        for (uint32_t i = 0; i < sink.n; i++)
            sb_addf(&got, "%s%s", i > 0 ? "\n" : "", sink.lines[i]);
        if (strcmp(got.ptr, want) != 0 && wrong++ == 0)
            snprintf(first, sizeof(first), "%s", got.ptr);
        sb_release(&got);
        sink_reset(&sink);
    }
    if (!ok(wrong == 0, "%s", query))
        diag("wrong in %u of 20 rounds:\n%s\n- want -\n%s", wrong, first,
            want);
}

static void
test_len(void)
{
    gives("* | len(name) as n | fields id, n",
        "id=a n=9\nid=b n=9\nid=c n=13\nid=d n=0\nid=e n=8\nid=f n=9");
    gives("* | len num | fields id, _msg",
        "id=a _msg=2\nid=b _msg=1\nid=c _msg=2\nid=d _msg=0\nid=e _msg=2\n"
        "id=f _msg=2");
    gives("* | len(empty) name | stats by (name) count() n", "name=0 n=6");
    gives("* | len(name) kind | fields id, kind, nothing | limit 0", "");
    gives("* | len(name) as n | filter n:>9 | fields id", "id=c");
    gives("* | hash(name) as h | stats count_uniq(h) u", "u=4");
    gives("* | hash(id) as h | filter id:=a | fields h",
        "h=4157191884664411");
    gives("* | len(name) as n | len(n) as n | stats by (n) count() c",
        "n=1 c=5\nn=2 c=1");
}

/* Which rows and fields are replaced; name has codes or texts here. */
static void
test_keep(void)
{
    gives("* | extract \"GET /<p>\" from name | stats by (p) count() n",
        "n=2\np=cart n=3\np=pay n=1");
    gives("* | extract \"<name> /\" from name | fields id, name",
        "id=a name=GET\nid=b name=GET\nid=c\nid=d\nid=e name=GET\n"
        "id=f name=GET");
    gives("* | extract \"GET /<old>\" from name | fields id, old",
        "id=a old=cart\nid=b old=cart\nid=c\nid=d\nid=e old=pay\n"
        "id=f old=cart");
    gives("* | extract \"GET /<old>\" from name keep_original_fields | "
        "fields id, old", "id=a old=x\nid=b old=cart\nid=c old=x\n"
        "id=d old=y\nid=e old=pay\nid=f old=x");
    gives("* | extract \"GET /<old>\" from name skip_empty_results | "
        "fields id, old", "id=a old=cart\nid=b old=cart\nid=c old=x\n"
        "id=d old=y\nid=e old=pay\nid=f old=cart");
    gives("* | extract if (num:>0) \"GET /<old>\" from name | "
        "fields id, old", "id=a old=cart\nid=b old=cart\nid=c\n"
        "id=d old=y\nid=e\nid=f old=cart");
    gives("* | extract if (old:\"\" or id:d) \"GET /<new>\" from name | "
        "fields id, new", "id=a\nid=b new=cart\nid=c\nid=d\nid=e new=pay\n"
        "id=f");
    gives("* | extract if (nothing:x) \"<new>\" from name | fields id, new",
        "id=a\nid=b\nid=c\nid=d\nid=e\nid=f");
    gives("* | format if (kind:=3) \"<id><num>\" as num | fields id, num",
        "id=a num=12\nid=b num=7\nid=c num=c12\nid=d num=d\nid=e num=-5\n"
        "id=f num=12");
    gives("* | format \"<id>\" as num keep_original_fields | fields num",
        "num=-5\nnum=12\nnum=12\nnum=12\nnum=7\nnum=d");
    gives("* | format \"<old>\" as num skip_empty_results | fields num",
        "num=-5\nnum=7\nnum=x\nnum=x\nnum=x\nnum=y");
    /* The filter asks for what the pipe replaces. */
    gives("* | format if (old:x) \"<old>!\" as old | format if (old:\"x!\") "
        "\"<old>!\" as old | uniq by (old)", "\nold=x!!\nold=y");
}

static void
test_patterns(void)
{
    gives("* | extract \"<a> <b>\" from name | extract \"/<b>\" from b | "
        "filter a:* | fields id, a, b", "id=a a=GET b=cart\n"
        "id=b a=GET b=cart\nid=c a=SELECT\nid=e a=GET b=pay\n"
        "id=f a=GET b=cart");
    gives("id:a | format 'x=\"a\\tb\" y=`c` z=\"d' as t | "
        "extract 'x=<x> y=<y> z=<z>' from t | fields x, y, z",
        "x=a\tb y=c z=\"d");
    gives("id:a | format \"x='a\\\\'b' y='c\" as t | "
        "extract 'x=<x> y=<y>' from t | fields x, y", "x=a'b y='c");
    gives("id:a | format 'x=\"a\" b' as t | extract 'x=<x>c<y>' from t | "
        "fields x, y, id", "x=a id=a");
    gives("id:a | format 'x=\"a\" b' as t | extract 'x=<plain:x> <y>' "
        "from t | fields x, y", "x=\"a\" y=b");
    gives("id:a | format 'a&lt;b&gt;&amp;&#65;&#x42;&zz;&' as t | fields t",
        "t=a<b>&AB&zz;&");
    gives("id:a | format 'v:1' as t | extract '<:a:b>:<c>' from t | "
        "fields a:b, c", "a:b=v c=1");
    gives("* | extract_regexp \"(?P<m>[A-Z]+) (?P<x>/)?\" from name | "
        "fields id, m, x | filter m:*", "id=a m=GET x=/\nid=b m=GET x=/\n"
        "id=c m=SELECT\nid=e m=GET x=/\nid=f m=GET x=/");
    gives("id:a | format \"a\xff" "b\xff" "c\" as t | "
        "extract_regexp \"b(?P<x>.)(?P<y>.*)\" from t | fields x, y",
        "x=\xff y=c");
}

static void
test_replace(void)
{
    gives("id:a or id:c | replace (\"R\", \"rr\") at name | fields name",
        "name=GET /cart\nname=SELECT orders");
    gives("id:a or id:c | replace (\"E\", \"ee\") at name limit 1 | "
        "fields name", "name=GeeT /cart\nname=SeeLECT orders");
    gives("id:a | replace (\"\", \"x\") at name | fields name",
        "name=GET /cart");
    gives("id:a | replace (\"1\", \"<\") at num | fields num", "num=<2");
    gives("id:a | replace_regexp (\"([a-z])([a-z])\", \"${2}$1$3$$ $x$\") "
        "at name | fields name", "name=GET /ac$ $tr$ $");
    gives("id:a | replace_regexp (\"(?P<l>[A-Z])\", \"$l$lx\") at name | "
        "fields name", "name=GET /cart");
    gives("id:a | replace_regexp (\"x*\", \"-\") at name | fields name",
        "name=-G-E-T- -/-c-a-r-t-");
    gives("id:a | replace_regexp (\"t?\", \"-\") at name | fields name",
        "name=-G-E-T- -/-c-a-r-");
    gives("id:a | replace_regexp (\"\\\\b\", \"|\") at name | fields name",
        "name=|GET| /|cart|");
    gives("id:a | replace_regexp (\"\", \".\") at empty | fields empty",
        "");
    gives("id:a | format \"\xff\xc3\xa4\xff\" as t | "
        "replace_regexp (\"\", \".\") at t | fields t",
        "t=.\xff.\xc3\xa4.\xff.");
    gives("id:a | format \"\x1b[31mred\x1b[0m \x1b(Bx\x1b[1;2\" as t | "
        "decolorize t | fields t", "t=red x[1;2");
}

static void
test_others(void)
{
    gives("* | collapse_nums at name | uniq by (name)",
        "\nname=GET /cart\nname=GET /pay\nname=SELECT orders");
    gives("id:a | format \"x12 12ab34cd id_12 0x1f 0xdead 1.5s 3h4m 2\xc2\xb5"
        "s 5d abc abcd ab12x 20T30Z\" as t | collapse_nums at t | fields t",
        "t=x<N> <N> id_12 0x1f 0x<N> <N>.<N>s <N>h<N>m <N>\xc2\xb5s 5d abc "
        "<N> ab12x <N>T<N>Z");
    gives("id:a | format \"2026-01-02T03:04:05.6+01:00 2026/01/02 03:04:05Z "
        "1.2.3.4:5 03:04:05,6 1-2-3-4-5\" as t | collapse_nums at t prettify "
        "| fields t", "t=<DATETIME> <DATETIME> <IP4>:<N> <TIME> <UUID>");
    gives("* | fields empty, old | drop_empty_fields | fields old",
        "old=x\nold=x\nold=x\nold=y");
    gives("* | fields empty | drop_empty_fields | count()", "count(*)=0");
    gives("* | fields empty, id | drop_empty_fields | field_names",
        "name=id hits=6");
    gives("* | sample 1 | count()", "count(*)=6");
    gives("* | coalesce(empty, old, n*) default \"-\" as c | fields id, c",
        "id=a c=x\nid=b c=GET /cart\nid=c c=x\nid=d c=y\nid=e c=GET /pay\n"
        "id=f c=x");
    gives("* | coalesce(empty, old) default \"-\" | uniq by (_msg)",
        "_msg=-\n_msg=x\n_msg=y");
    gives("id:a | format \"2026-03-01T10:00:00Z\" as t | time_add 90m at t |"
        " fields t", "t=2026-03-01T11:30:00Z");
    gives("id:a | time_add -1h at name | fields name", "name=GET /cart");
    gives("id:a | set_stream_fields num, id, empty | fields _stream",
        "_stream={id=\"a\",num=\"12\"}");
    gives("* | set_stream_fields if (id:a) id | stats by (_stream) "
        "count() n", "_stream={id=\"a\"} n=1\nn=5");
    gives("* | generate_sequence 3", "_msg=0\n_msg=1\n_msg=2");
    gives("* | generate_sequence 10000 | stats count() n, max(_msg) m",
        "n=10000 m=9999");
    gives("* | generate_sequence 1000000000000 | limit 2",
        "_msg=0\n_msg=1");
}

static void
test_format(void)
{
    static const char *const cases[][3] = {
        /* value, option, text */
        {"1500000", "duration", "1ms500\xc2\xb5s"},
        {"3723500000000", "duration", "1h2m3.5s"},
        {"-1000", "duration", "-1\xc2\xb5s"}, {"0", "duration", "0"},
        {"1.5", "duration", "1.5"},
        {"1h30m", "duration_seconds", "5400"},
        {"-1.5ms", "duration_seconds", "-0.0015"},
        {"15", "duration_seconds", "15"},
        {"255", "hexnumencode", "00000000000000FF"},
        {"00FF", "hexnumdecode", "255"}, {"xyz", "hexnumdecode", "xyz"},
        {"16909060", "ipv4", "1.2.3.4"}, {"4294967296", "ipv4", "4294967296"},
        {"1768384800", "time", "2026-01-14T10:00:00Z"},
        {"1768384800001", "time", "2026-01-14T10:00:00.001Z"},
        {"1768384800000001", "time", "2026-01-14T10:00:00.000001Z"},
        {"-1", "time", "1969-12-31T23:59:59Z"}, {"x", "time", "x"},
        {"a b+\xc3\xa4/~", "urlencode", "a+b%2B%C3%A4%2F~"},
        {"a+b%2B%C3%A4", "urldecode", "a b+\xc3\xa4"},
        {"100%", "urldecode", "100%"}, {"%4", "urldecode", "%4"},
        {"az", "hexencode", "617A"}, {"617a", "hexdecode", "az"},
        {"617", "hexdecode", "617"}, {"6g", "hexdecode", "6g"},
        {"a?>b", "base64encode", "YT8+Yg=="},
        {"YT8+Yg==", "base64decode", "a?>b"},
        {"YT8-Yg==", "base64decode", "YT8-Yg=="},
        {"YT8+Yg", "base64decode", "YT8+Yg"},
        {"stra\xc3\x9f" "e \xc3\xa4", "uc", "STRA\xc3\x9f" "E \xc3\x84"},
        {"\xc3\x84 B\xff", "lc", "\xc3\xa4 b\xff"},
        {"a\"b", "q", "\"a\\\"b\""}, {"a\"b", "nothing", "a\"b"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char query[256], want[256];

        snprintf(query, sizeof(query), "id:a | format '%s' as t | "
            "format '<%s:t>' as t | fields t", cases[i][0], cases[i][1]);
        snprintf(want, sizeof(want), "t=%s", cases[i][2]);
        gives(query, want);
    }
}

int
main(void)
{
    for (uint32_t i = 0; i < ARRAY_LEN(cells); i++) {
        for (uint32_t k = 0; k < COLUMNS; k++)
            table_cells[i * COLUMNS + k] = sv_from(cells[i][k]);
    }
    test_len();
    test_keep();
    test_patterns();
    test_replace();
    test_others();
    test_format();
    return tap_done();
}
