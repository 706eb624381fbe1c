/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "otlp/json_read.h"

#include "core/enc.h"
#include "core/num.h"
#include "span/value.h"
#include "span/wire.h"

/* Longer than any name that is known. */
#define NAME_BYTES_MAX 32

/* 2^63 and 2^64: the first doubles that do not fit. */
#define I64_END 9223372036854775808.0
#define U64_END 18446744073709551616.0

bool
js_over(struct js *js, const char *what)
{
    js->dec.is_over = true;
    return json_fail(&js->in, "%s", what);
}

bool
js_enter(struct js *js)
{
    if (json_peek(&js->in) == JSON_NULL) {
        (void)json_read_null(&js->in);
        return false;
    }
    return json_enter_object(&js->in);
}

bool
js_enter_list(struct js *js)
{
    if (json_peek(&js->in) == JSON_NULL) {
        (void)json_read_null(&js->in);
        return false;
    }
    return json_enter_array(&js->in);
}

/* trace_id and TraceID become traceid; 0 when it is too long to be a name. */
static size_t
fold_name(struct sv key, char *dst)
{
    size_t n = 0;

    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];

        if (c == '_')
            continue;
        if (n == NAME_BYTES_MAX)
            return 0;
        dst[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return n;
}

unsigned
js_name(const struct sv *names, unsigned n, struct sv key)
{
    char wanted[NAME_BYTES_MAX];
    char name[NAME_BYTES_MAX];

    for (unsigned i = 0; i < n; i++) {
        if (sv_eq(names[i], key))
            return i;
    }
    size_t len = fold_name(key, wanted);
    for (unsigned i = 0; i < n && len > 0; i++) {
        if (fold_name(names[i], name) == len &&
            memcmp(name, wanted, len) == 0)
            return i;
    }
    return n;
}

bool
js_text(struct js *js, struct sv *out)
{
    if (json_peek(&js->in) == JSON_NULL) {
        *out = SV_EMPTY;
        return json_read_null(&js->in);
    }
    return json_read_string(&js->in, out);
}

/* The text of a number that may stand in quotes; empty for null. */
static bool
number_text(struct js *js, struct sv *out)
{
    if (json_peek(&js->in) == JSON_NUMBER)
        return json_read_number(&js->in, out);
    return js_text(js, out);
}

bool
js_bool(struct js *js, bool *out)
{
    struct sv text;

    if (json_peek(&js->in) == JSON_TRUE || json_peek(&js->in) == JSON_FALSE)
        return json_read_bool(&js->in, out);
    if (!js_text(js, &text))
        return false;
    *out = sv_eq(text, SV("true"));
    if (*out || text.len == 0 || sv_eq(text, SV("false")))
        return true;
    return json_fail(&js->in, "not a bool");
}

bool
js_i64(struct js *js, int64_t *out)
{
    struct sv text;
    double d;

    *out = 0;
    if (!number_text(js, &text))
        return false;
    if (text.len == 0 || num_parse_i64(text, out))
        return true;
    if (!num_parse_double(text, &d) || !(d >= -I64_END && d < I64_END) ||
        (double)(int64_t)d != d)
        return json_fail(&js->in, "not a 64-bit integer");
    *out = (int64_t)d;
    return true;
}

bool
js_u64(struct js *js, uint64_t *out)
{
    struct sv text;
    double d;

    *out = 0;
    if (!number_text(js, &text))
        return false;
    if (text.len == 0 || num_parse_u64(text, out))
        return true;
    if (!num_parse_double(text, &d) || !(d >= 0 && d < U64_END) ||
        (double)(uint64_t)d != d)
        return json_fail(&js->in, "not an unsigned 64-bit integer");
    *out = (uint64_t)d;
    return true;
}

bool
js_u32(struct js *js, uint32_t *out)
{
    uint64_t v;

    *out = 0;
    if (!js_u64(js, &v))
        return false;
    if (v > UINT32_MAX)
        return json_fail(&js->in, "not an unsigned 32-bit integer");
    *out = (uint32_t)v;
    return true;
}

bool
js_double(struct js *js, double *out)
{
    struct sv text;

    *out = 0;
    if (!number_text(js, &text))
        return false;
    if (text.len == 0 || num_parse_double(text, out))
        return true;
    if (sv_eq(text, SV("NaN")))
        *out = __builtin_nan("");
    else if (sv_eq(text, SV("Infinity")))
        *out = __builtin_inf();
    else if (sv_eq(text, SV("-Infinity")))
        *out = -__builtin_inf();
    else
        return json_fail(&js->in, "not a double");
    return true;
}

bool
js_enum(struct js *js, struct sv prefix, const char *const *names,
    unsigned n, int32_t *out)
{
    struct sv text;
    int64_t v;

    *out = 0;
    if (!number_text(js, &text))
        return false;
    if (text.len == 0)
        return true;
    if (num_parse_i64(text, &v) && v >= INT32_MIN && v <= INT32_MAX) {
        *out = (int32_t)v;
        return true;
    }
    if (sv_starts_with(text, prefix))
        text = sv_sub(text, prefix.len, text.len);
    for (unsigned i = 0; i < n; i++) {
        if (sv_eq_nocase(text, sv_from(names[i]))) {
            *out = (int32_t)i;
            return true;
        }
    }
    return json_fail(&js->in, "unknown enum value");
}

bool
js_id(struct js *js, uint8_t *dst, size_t len, struct sv *out)
{
    struct sv text;

    if (!js_text(js, &text))
        return false;
    if (enc_unhex(text, dst, len))
        *out = sv_make(dst, len);
    else
        *out = text.len == 0 ? SV_EMPTY : SV("?");
    return true;
}

/* --- values --- */

static bool
read_bytes(struct js *js, struct value *out)
{
    struct sv text;
    uint8_t *bytes;
    ssize_t len;

    if (!js_text(js, &text))
        return false;
    bytes = pool_alloc(js->in.pool, text.len / 4 * 3 + 3);
    if (bytes == NULL)
        return js_over(js, "too many bytes");
    len = enc_unbase64(text, bytes);
    if (len < 0)
        return json_fail(&js->in, "not base64");
    out->str = sv_make(bytes, (size_t)len);
    out->type = VALUE_BYTES;
    return true;
}

/* One element of "values", behind what the scratch holds already. */
static bool
read_item(struct js *js, bool is_kvlist, unsigned depth)
{
    struct attr item = {.key = SV_EMPTY, .value = {.type = VALUE_EMPTY}};

    if (is_kvlist) {
        if (!js_attr(js, &item, depth))
            return false;
        wire_put_head(&js->scratch, 1, attr_size(&item));
        attr_put(&js->scratch, &item);
    } else {
        if (!js_value(js, &item.value, depth))
            return false;
        wire_put_head(&js->scratch, 1, value_size(&item.value));
        value_put(&js->scratch, &item.value);
    }
    return true;
}

static bool
read_values(struct js *js, bool is_kvlist, unsigned depth)
{
    static const struct sv names[] = {SV("values")};
    struct sv key;

    if (!js_enter(js))
        return !json_in_failed(&js->in);
    while (json_next_key(&js->in, &key)) {
        if (js_name(names, 1, key) != 0) {
            if (!json_skip(&js->in))
                return false;
            continue;
        }
        if (!js_enter_list(js))
            continue;
        while (json_next_item(&js->in)) {
            if (!read_item(js, is_kvlist, depth))
                return false;
        }
    }
    return !json_in_failed(&js->in);
}

/*
 * An array or kvlist becomes the payload that protobuf would have.  The
 * scratch is a stack: what is nested is moved to the pool before its parent
 * goes on.
 */
static bool
read_list(struct js *js, struct value *out, enum value_type type,
    unsigned depth)
{
    size_t start = js->scratch.len;
    char *payload;

    if (depth == 1)
        return json_fail(&js->in, "values nested too deeply");
    if (!read_values(js, type == VALUE_KVLIST, depth - 1))
        return false;
    size_t len = js->scratch.len - start;
    payload = pool_dup(js->in.pool, js->scratch.ptr + start, len);
    if (payload == NULL || sb_failed(&js->scratch))
        return js_over(js, "too many values");
    js->scratch.len = start;
    out->str = sv_make(payload, len);
    out->type = (uint8_t)type;
    return true;
}

static const struct sv value_names[] = {
    SV("stringValue"), SV("intValue"), SV("boolValue"), SV("doubleValue"),
    SV("arrayValue"), SV("kvlistValue"), SV("keyValueList"),
    SV("bytesValue"),
};

enum value_name {
    NAME_STRING, NAME_INT, NAME_BOOL, NAME_DOUBLE, NAME_ARRAY, NAME_KVLIST,
    NAME_KEY_VALUE_LIST, NAME_BYTES,
};

static bool
read_member(struct js *js, unsigned name, struct value *out, unsigned depth)
{
    switch (name) {
    case NAME_STRING:
        out->type = VALUE_STRING;
        return json_read_string(&js->in, &out->str);
    case NAME_INT:
        out->type = VALUE_INT;
        return js_i64(js, &out->i);
    case NAME_BOOL:
        out->type = VALUE_BOOL;
        return js_bool(js, &out->b);
    case NAME_DOUBLE:
        out->type = VALUE_DOUBLE;
        return js_double(js, &out->d);
    case NAME_ARRAY:
        return read_list(js, out, VALUE_ARRAY, depth);
    case NAME_KVLIST:
    case NAME_KEY_VALUE_LIST:
        return read_list(js, out, VALUE_KVLIST, depth);
    case NAME_BYTES:
        return read_bytes(js, out);
    default:
        return json_skip(&js->in);
    }
}

bool
js_value(struct js *js, struct value *out, unsigned depth)
{
    struct sv key;

    if (!js_enter(js))
        return !json_in_failed(&js->in);
    while (json_next_key(&js->in, &key)) {
        unsigned name = js_name(value_names, ARRAY_LEN(value_names), key);

        if (json_peek(&js->in) == JSON_NULL) {
            (void)json_read_null(&js->in);
            continue;
        }
        if (!read_member(js, name, out, depth))
            return false;
    }
    return !json_in_failed(&js->in);
}

bool
js_attr(struct js *js, struct attr *out, unsigned depth)
{
    static const struct sv names[] = {SV("key"), SV("value")};
    struct sv key;

    out->key = SV_EMPTY;
    out->value = (struct value){.type = VALUE_EMPTY};
    if (!js_enter(js))
        return !json_in_failed(&js->in);
    while (json_next_key(&js->in, &key)) {
        bool is_good;

        switch (js_name(names, ARRAY_LEN(names), key)) {
        case 0:
            is_good = js_text(js, &out->key);
            break;
        case 1:
            is_good = js_value(js, &out->value, depth);
            break;
        default:
            is_good = json_skip(&js->in);
        }
        if (!is_good)
            return false;
    }
    return !json_in_failed(&js->in);
}
