/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/json_in.h"

#include "tap.h"

static struct pool *pool;
static struct json_in in;

static void
begin(struct sv text)
{
    pool_reset(pool);
    json_in_init(&in, text, pool);
}

/* Reads the one string of the document; NULL if it is wrong. */
static const char *
string_of(const char *text)
{
    struct sv v;

    begin(sv_from(text));
    if (!json_read_string(&in, &v) || json_peek(&in) != JSON_END)
        return NULL;
    return pool_dup(pool, v.ptr, v.len);
}

static bool
accepts(struct sv text)
{
    begin(text);
    return json_skip(&in) && json_peek(&in) == JSON_END;
}

static void
test_walk(void)
{
    struct sv key, text, number;
    bool flag = false;

    begin(SV(" {\"a\" : [ 1, -2.5e+3 ,\"x\"],\t\"b\":{ },\n\"c\":true,"
        "\"d\":null,\"e\":[],\"\":\"\\u00e4\" } "));
    is_int(json_peek(&in), JSON_OBJECT, "an object");
    ok(json_enter_object(&in), "enter it");
    ok(json_next_key(&in, &key), "first key");
    is_sv(key, "a", "a");
    is_int(json_peek(&in), JSON_ARRAY, "an array");
    ok(json_enter_array(&in), "enter it");
    ok(json_next_item(&in), "first item");
    is_int(json_peek(&in), JSON_NUMBER, "a number");
    ok(json_read_number(&in, &number), "read it");
    is_sv(number, "1", "1");
    ok(json_next_item(&in) && json_read_number(&in, &number), "second item");
    is_sv(number, "-2.5e+3", "raw text");
    ok(json_next_item(&in) && json_read_string(&in, &text), "third item");
    is_sv(text, "x", "x");
    ok(!json_next_item(&in) && !json_in_failed(&in), "end of the array");
    ok(json_next_key(&in, &key), "second key");
    ok(json_enter_object(&in) && !json_next_key(&in, &key), "empty object");
    ok(json_next_key(&in, &key) && json_peek(&in) == JSON_TRUE, "true");
    ok(json_read_bool(&in, &flag) && flag, "read it");
    ok(json_next_key(&in, &key) && json_peek(&in) == JSON_NULL, "null");
    ok(json_read_null(&in), "read it");
    ok(json_next_key(&in, &key), "e");
    ok(json_enter_array(&in) && !json_next_item(&in), "empty array");
    ok(json_next_key(&in, &key), "last key");
    is_sv(key, "", "which is empty");
    ok(json_read_string(&in, &text), "its value");
    is_sv(text, "\xc3\xa4", "decoded");
    ok(!json_next_key(&in, &key), "end of the object");
    ok(!json_in_failed(&in), "no error");
    is_int(json_peek(&in), JSON_END, "end of the document");
}

static void
test_strings(void)
{
    static const char *const wrong[] = {
        "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
        "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        "\"\\ud800\\ud800\"", "\"\n\"", "\"\x01\"", "\"\xff\"",
        "\"\xc3\"", "\"\xed\xa0\x80\"", "\"01234567\t\"", "\"\\u\"", "\"\\",
        "\"\\ud83d\\u\"", "\"\xf4\x90\x80\x80\"",
    };
    char all[64];
    struct sv v;
    bool good = true;

    is_str(string_of("\"\""), "", "empty");
    is_str(string_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t",
        "short escapes");
    is_str(string_of("\"\\u0041\\u00E9\\u20ac\\ud83d\\uDC3e\\uffff\""),
        "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xbe\xef\xbf\xbf", "\\u escapes");
    is_str(string_of("\"\x7f \xc2\x80 gr\xc3\xbc\xc3\x9f\""),
        "\x7f \xc2\x80 gr\xc3\xbc\xc3\x9f", "plain UTF-8");
    is_str(string_of("\"0123456789abcdef0123456789\\n\""),
        "0123456789abcdef0123456789\n", "an escape behind words");
    begin(SV("\"a\\u0000b\""));
    ok(json_read_string(&in, &v), "an escaped NUL");
    is_mem(v.ptr, v.len, "a\0b", 3, "is a byte like others");
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ok(string_of(wrong[i]) == NULL, "wrong string %zu", i);
    for (size_t at = 0; at < 24; at++) {
        memset(all, 'x', 26);
        all[0] = '"';
        all[25] = '"';
        all[26] = '\0';
        all[at + 1] = '"';
        begin(sv_from(all));
        good = good && json_read_string(&in, &v) && v.len == at;
    }
    ok(good, "a quote at every place of a word");
    begin(SV("\"plain\""));
    json_read_string(&in, &v);
    ok(v.ptr == in.start + 1, "a plain string is a view");
    json_in_init(&in, SV("\"a\\n\""), NULL);
    ok(!json_read_string(&in, &v) && in.err.code == ERR_LIMIT,
        "an escape without a pool");
}

static void
test_grammar(void)
{
    static const char *const good[] = {
        "0", "-0", "10", "0.5", "1e5", "1E-5", "-1.25e+10", "true", "false",
        "null", "\"\"", "[]", "{}", " [ ] ", "[[],[[]]]", "[1,2]",
        "{\"a\":{\"b\":[{}]},\"a\":1}", "\t\r\n 1 \t\r\n",
    };
    static const char *const wrong[] = {
        "", " ", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "--1",
        "NaN", "Infinity", "tru", "True", "nul", "truefalse", "1 2", "[1,]",
        "[,1]", "[1 2]", "[", "]", "{", "}", "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "[1}", "{\"a\":1]",
        "'a'", "[1,,2]", "{,}", "[]]", "{}}", "/* */ 1", "[1]x",
        "\xef\xbb\xbf[1]", "[\"a\" \"b\"]", "{\"a\":1 \"b\":2}", "-a",
        "[1,2", "{\"a\":1,", "{\"a\":", "{\"a", "\v1", "[-]", "[1.e1]",
        "{\"\\x\":1}", "{\"\xff\":1}",
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ok(accepts(sv_from(good[i])), "good: %s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        ok(!accepts(sv_from(wrong[i])), "wrong: %s", wrong[i]);
        if (!json_in_failed(&in) || strncmp(in.err.text, "JSON: ", 6) != 0
            || in.err.code != ERR_INVALID)
            fail("no error for %s", wrong[i]);
    }
    ok(!accepts(sv_make("\0", 1)), "a NUL");
    ok(!accepts(sv_make(NULL, 0)), "no pointer");
    ok(accepts(sv_make("12345", 1)), "the end of the view is the end");
}

static void
test_depth(void)
{
    char text[2 * JSON_IN_DEPTH_MAX + 3];

    memset(text, '[', JSON_IN_DEPTH_MAX);
    memset(text + JSON_IN_DEPTH_MAX, ']', JSON_IN_DEPTH_MAX);
    ok(accepts(sv_make(text, 2 * JSON_IN_DEPTH_MAX)), "as deep as allowed");
    memset(text, '[', JSON_IN_DEPTH_MAX + 1);
    memset(text + JSON_IN_DEPTH_MAX + 1, ']', JSON_IN_DEPTH_MAX + 1);
    ok(!accepts(sv_make(text, sizeof(text) - 1)), "one level more");
    is_str(in.err.text, "JSON: too deeply nested at byte 64", "its error");
}

static void
test_errors(void)
{
    struct sv key, text;
    bool flag;

    begin(SV("{\"a\":1}"));
    json_enter_object(&in);
    json_next_key(&in, &key);
    ok(!json_read_string(&in, &text), "a string where a number stands");
    is_str(in.err.text, "JSON: expected a string at byte 5", "its error");
    ok(!json_next_key(&in, &key) && !json_skip(&in)
        && !json_read_bool(&in, &flag) && !json_enter_array(&in)
        && json_peek(&in) == JSON_ERROR, "everything fails after an error");
    is_str(in.err.text, "JSON: expected a string at byte 5",
        "the first error stays");
    begin(SV("[1]"));
    json_enter_array(&in);
    json_next_item(&in);
    ok(!json_fail(&in, "%s is wrong", "kind"), "an error of the caller's");
    is_str(in.err.text, "JSON: kind is wrong at byte 1", "its text");
    begin(SV("7"));
    ok(!json_read_null(&in), "null where a number stands");
    begin(SV("7"));
    ok(!json_read_bool(&in, &flag), "bool where a number stands");
    begin(SV("true"));
    ok(!json_read_number(&in, &text), "number where a bool stands");
    begin(SV("[]"));
    ok(!json_enter_object(&in), "object where an array stands");
}

static void
test_skip(void)
{
    struct sv key, number = SV_EMPTY;

    begin(SV("{\"x\":{\"y\":[1,{\"z\":[[\"\\n\"],[]]},true]},\"n\":5}"));
    json_enter_object(&in);
    json_next_key(&in, &key);
    ok(json_skip(&in), "skips a tree");
    ok(json_next_key(&in, &key), "and stands behind it");
    is_sv(key, "n", "at the next key");
    ok(json_read_number(&in, &number), "with its value");
    is_sv(number, "5", "5");
    is_int(pool_used(pool), 0, "skipping takes no memory");
    ok(!json_next_key(&in, &key) && json_peek(&in) == JSON_END, "end");
}

int
main(void)
{
    pool = pool_new(MIB);
    test_walk();
    test_strings();
    test_grammar();
    test_depth();
    test_errors();
    test_skip();
    pool_free(pool);
    return tap_done();
}
