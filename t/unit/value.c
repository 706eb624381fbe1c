/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "span/value.h"

#include "core/sb.h"
#include "tap.h"

#define TEXT_MAX (1 * MIB)

static struct value
text_value(const char *text)
{
    return (struct value){.type = VALUE_STRING, .str = sv_from(text)};
}

static struct value
int_value(int64_t i)
{
    return (struct value){.type = VALUE_INT, .i = i};
}

static struct value
double_value(double d)
{
    return (struct value){.type = VALUE_DOUBLE, .d = d};
}

/* Appends an item to the payload of an array, with a key to a kvlist's. */
static void
add_item(struct sb *payload, const char *key, struct value item)
{
    if (key == NULL) {
        wire_put_head(payload, 1, value_size(&item));
        value_put(payload, &item);
        return;
    }
    struct attr attr = {sv_from(key), item};
    wire_put_head(payload, 1, attr_size(&attr));
    attr_put(payload, &attr);
}

static void
is_text(struct value value, const char *want, const char *name)
{
    struct sb sb;

    sb_init(&sb, TEXT_MAX);
    value_text(&sb, &value);
    is_str(sb.ptr, want, "text of %s", name);
    sb_release(&sb);
}

static void
is_json(struct value value, const char *plain, const char *otlp)
{
    struct json_out out;
    struct sb sb;

    sb_init(&sb, TEXT_MAX);
    json_out_init(&out, &sb);
    value_json(&out, &value);
    is_str(sb.ptr, plain, "JSON");
    sb_reset(&sb);
    json_out_init(&out, &sb);
    value_otlp_json(&out, &value);
    is_str(sb.ptr, otlp, "OTLP/JSON");
    sb_release(&sb);
}

static void
test_scalars(void)
{
    struct value empty = {.type = VALUE_EMPTY};
    struct value yes = {.type = VALUE_BOOL, .b = true};
    struct value bytes = {.type = VALUE_BYTES, .str = SV("\0\1\xff")};

    is_text(text_value("a b"), "a b", "a string");
    is_text(text_value(""), "", "an empty string");
    is_text(yes, "true", "a bool");
    is_text(int_value(INT64_MIN), "-9223372036854775808", "an int");
    is_text(double_value(0.25), "0.25", "a double");
    is_text(double_value(3), "3", "an integral double");
    is_text(bytes, "AAH/", "bytes");
    is_text(empty, "", "nothing");

    is_json(text_value("q\"\n"), "\"q\\\"\\n\"",
        "{\"stringValue\":\"q\\\"\\n\"}");
    is_json(yes, "true", "{\"boolValue\":true}");
    is_json(int_value(503), "503", "{\"intValue\":\"503\"}");
    is_json(double_value(0.5), "0.5", "{\"doubleValue\":0.5}");
    is_json(bytes, "\"AAH/\"", "{\"bytesValue\":\"AAH/\"}");
    is_json(empty, "null", "{}");
}

static void
test_special_doubles(void)
{
    static const struct {
        double d;
        const char *want;
    } rows[] = {
        {__builtin_nan(""), "{\"doubleValue\":\"NaN\"}"},
        {__builtin_inf(), "{\"doubleValue\":\"Infinity\"}"},
        {-__builtin_inf(), "{\"doubleValue\":\"-Infinity\"}"},
    };
    struct json_out out;
    struct sb sb;

    sb_init(&sb, TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct value value = double_value(rows[i].d);

        sb_reset(&sb);
        json_out_init(&out, &sb);
        value_otlp_json(&out, &value);
        is_str(sb.ptr, rows[i].want, "a double that JSON has no number for");
    }
    sb_release(&sb);
}

static void
test_lists(void)
{
    struct sb inner;
    struct sb outer;
    struct value array = {.type = VALUE_ARRAY};
    struct value kvlist = {.type = VALUE_KVLIST};

    sb_init(&inner, TEXT_MAX);
    sb_init(&outer, TEXT_MAX);
    add_item(&inner, NULL, text_value("a"));
    add_item(&inner, NULL, int_value(-1));
    add_item(&inner, NULL, (struct value){.type = VALUE_EMPTY});
    array.str = sb_sv(&inner);
    add_item(&outer, "list", array);
    add_item(&outer, "d", double_value(1.5));
    kvlist.str = sb_sv(&outer);
    is_text(array, "[\"a\",-1,null]", "an array");
    is_text(kvlist, "{\"list\":[\"a\",-1,null],\"d\":1.5}", "a kvlist");
    is_json(kvlist, "{\"list\":[\"a\",-1,null],\"d\":1.5}",
        "{\"kvlistValue\":{\"values\":[{\"key\":\"list\",\"value\":"
        "{\"arrayValue\":{\"values\":[{\"stringValue\":\"a\"},"
        "{\"intValue\":\"-1\"},{}]}}},"
        "{\"key\":\"d\",\"value\":{\"doubleValue\":1.5}}]}}");
    sb_release(&inner);
    sb_release(&outer);
}

static void
test_iter(void)
{
    struct value array = {.type = VALUE_ARRAY, .str = SV("\x0a\x02\x18\x05"
        "\x10\x01\x0a\x00\x0a\x7f")};
    struct value_iter iter;
    struct value item;
    struct sv key;

    value_iter_init(&iter, &array);
    ok(value_iter_next(&iter, &key, &item) && item.type == VALUE_INT &&
        item.i == 5 && key.len == 0, "the first item");
    ok(value_iter_next(&iter, &key, &item) && item.type == VALUE_EMPTY,
        "an unknown field is skipped");
    ok(!value_iter_next(&iter, &key, &item), "a malformed rest ends it");
    ok(!value_iter_next(&iter, &key, &item), "for good");
    array = int_value(1);
    value_iter_init(&iter, &array);
    ok(!value_iter_next(&iter, &key, &item), "a scalar has no items");
}

static void
test_equal(void)
{
    struct value zero = double_value(0.0);
    struct value minus_zero = double_value(-0.0);
    struct value nan = double_value(__builtin_nan(""));
    struct value one = int_value(1);
    struct value text = text_value("1");
    struct value yes = {.type = VALUE_BOOL, .b = true};

    ok(value_equal(&one, &one) && value_equal(&text, &text) &&
        value_equal(&yes, &yes) && value_equal(&nan, &nan), "equal");
    ok(!value_equal(&one, &text) && !value_equal(&one, &yes),
        "types are told apart");
    ok(!value_equal(&zero, &minus_zero), "so are the zeros");
}

/* As deep as the decoders allow: no writer may run out of its own depth. */
static void
test_depth(void)
{
    struct value value = int_value(1);
    struct json_out out;
    struct sb payload;
    struct sb json;
    char *kept[VALUE_DEPTH_MAX];
    size_t len;

    sb_init(&json, TEXT_MAX);
    for (unsigned i = 0; i < VALUE_DEPTH_MAX - 1; i++) {
        sb_init(&payload, TEXT_MAX);
        add_item(&payload, "k", value);
        kept[i] = sb_detach(&payload, &len);
        value = (struct value){.type = VALUE_KVLIST,
            .str = sv_make(kept[i], len)};
    }
    json_out_init(&out, &json);
    value_otlp_json(&out, &value);
    ok(!sb_failed(&json), "OTLP/JSON of the deepest value");
    struct wire_fail fail = {0};
    struct value again = {.type = VALUE_EMPTY};
    sb_init(&payload, TEXT_MAX);
    value_put(&payload, &value);
    ok(value_decode(wire_make(sb_sv(&payload)), &again, VALUE_DEPTH_MAX,
        &fail), "it is decoded");
    ok(!value_decode(wire_make(sb_sv(&payload)), &again,
        VALUE_DEPTH_MAX - 1, &fail) && fail.notes == WIRE_NOTE_DEPTH,
        "one level less is not enough");
    for (unsigned i = 0; i < VALUE_DEPTH_MAX - 1; i++)
        free(kept[i]);
    sb_release(&payload);
    sb_release(&json);
}

int
main(void)
{
    test_scalars();
    test_special_doubles();
    test_lists();
    test_iter();
    test_equal();
    test_depth();
    return tap_done();
}
