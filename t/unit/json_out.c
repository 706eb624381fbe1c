/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/json_out.h"

#include <math.h>
#include <sys/wait.h>

#include "tap.h"

static struct sb sb;
static struct json_out out;

static void
begin(void)
{
    sb_reset(&sb);
    json_out_init(&out, &sb);
}

static const char *
quoted(struct sv text)
{
    begin();
    json_string(&out, text);
    return sb.ptr;
}

static void
test_document(void)
{
    uint8_t bytes[] = {0xde, 0xad};

    begin();
    json_object(&out);
    json_key(&out, "a");
    json_array(&out);
    json_i64(&out, -1);
    json_u64(&out, UINT64_MAX);
    json_double(&out, 0.5);
    json_double(&out, NAN);
    json_double(&out, INFINITY);
    json_array(&out);
    json_array_end(&out);
    json_object(&out);
    json_object_end(&out);
    json_array_end(&out);
    json_key_sv(&out, SV("b\n"));
    json_bool(&out, true);
    json_key(&out, "c");
    json_bool(&out, false);
    json_key(&out, "d");
    json_null(&out);
    json_key(&out, "e");
    json_hex(&out, bytes, 2);
    json_key(&out, "f");
    json_base64(&out, bytes, 2);
    json_object_end(&out);
    is_str(sb.ptr, "{\"a\":[-1,18446744073709551615,0.5,\"NaN\",\"+Inf\",[],"
        "{}],\"b\\n\":true,\"c\":false,\"d\":null,\"e\":\"dead\","
        "\"f\":\"3q0=\"}", "a document");
}

static void
test_strings(void)
{
    is_str(quoted(SV_EMPTY), "\"\"", "empty");
    is_str(quoted(sv_make(NULL, 0)), "\"\"", "no pointer");
    is_str(quoted(SV("a\"b\\c/d\n\r\t\x01\x1f")),
        "\"a\\\"b\\\\c/d\\n\\r\\t\\u0001\\u001f\"", "escapes");
    is_str(quoted(SV("\x7f \xc2\x80 \xc2\x9f \xc2\xa0")),
        "\"\\u007f \\u0080 \\u009f \xc2\xa0\"", "other controls");
    is_str(quoted(sv_make("a\0b", 3)), "\"a\\u0000b\"", "NUL");
    is_str(quoted(SV("gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xbe")),
        "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xbe\"", "UTF-8 stays");
    is_str(quoted(SV("a\xff\xed\xa0\x80z\xc3")),
        "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\"",
        "wrong bytes become U+FFFD");
}

/* Every byte at every place of a word, against a simple rule. */
static void
test_positions(void)
{
    unsigned wrong = 0;

    for (unsigned byte = 0; byte < 128; byte++) {
        for (unsigned at = 0; at < 20; at++) {
            char text[20], want[40];
            bool special = byte < 0x20 || byte == 0x7f || byte == '"'
                || byte == '\\';
            const char *got;

            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            got = quoted(sv_make(text, sizeof(text)));
            snprintf(want, sizeof(want), "\"%.*s", (int)at,
                "xxxxxxxxxxxxxxxxxxxx");
            wrong += strncmp(got, want, at + 1) != 0;
            wrong += (got[at + 1] == '\\') != special;
            wrong += !special && (got[at + 1] != (char)byte
                || strlen(got) != 22);
        }
    }
    is_int(wrong, 0, "every byte at every place");
}

static bool
dies(void (*misuse)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(0);
        begin();
        misuse();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status);
}

static void
value_without_key(void)
{
    json_object(&out);
    json_null(&out);
}

static void
two_documents(void)
{
    json_null(&out);
    json_null(&out);
}

static void
wrong_end(void)
{
    json_object(&out);
    json_array_end(&out);
}

static void
key_without_value(void)
{
    json_object(&out);
    json_key(&out, "a");
    json_object_end(&out);
}

static void
too_deep(void)
{
    for (unsigned i = 0; i <= JSON_OUT_DEPTH_MAX; i++)
        json_array(&out);
}

int
main(void)
{
    sb_init(&sb, MIB);
    test_document();
    test_strings();
    test_positions();
    begin();
    for (unsigned i = 0; i < JSON_OUT_DEPTH_MAX; i++)
        json_array(&out);
    for (unsigned i = 0; i < JSON_OUT_DEPTH_MAX; i++)
        json_array_end(&out);
    is_int(sb.len, 2 * JSON_OUT_DEPTH_MAX, "as deep as allowed");
    ok(dies(value_without_key), "a value without a key is a bug");
    ok(dies(two_documents), "so are two documents");
    ok(dies(wrong_end), "the wrong end");
    ok(dies(key_without_value), "a key without a value");
    ok(dies(too_deep), "and too many levels");
    sb_release(&sb);
    return tap_done();
}
