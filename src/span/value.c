/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Values as text, as JSON and as OTLP/JSON.  The recursion is bounded: the
 * decoders let no value in that is nested deeper than VALUE_DEPTH_MAX.
 */

#include "core/base.h"
#include "span/value.h"

#include "core/num.h"

_Static_assert(JSON_OUT_DEPTH_MAX >= 3 * VALUE_DEPTH_MAX + 32,
    "OTLP/JSON spends three levels on each level of a value");

void
value_text(struct sb *out, const struct value *value)
{
    char number[NUM_DOUBLE_MAX];
    struct json_out json;

    switch ((enum value_type)value->type) {
    case VALUE_STRING:
        sb_add_sv(out, value->str);
        break;
    case VALUE_BOOL:
        sb_add_str(out, value->b ? "true" : "false");
        break;
    case VALUE_INT:
        sb_add_i64(out, value->i);
        break;
    case VALUE_DOUBLE:
        sb_add(out, number, num_print_double(number, value->d));
        break;
    case VALUE_BYTES:
        sb_add_base64(out, (const uint8_t *)value->str.ptr, value->str.len);
        break;
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        json_out_init(&json, out);
        value_json(&json, value);
        break;
    default:
        break;
    }
}

static void
list_json(struct json_out *out, const struct value *value)
{
    struct value_iter iter;
    struct value item;
    struct sv key;

    value_iter_init(&iter, value);
    if (value->type == VALUE_ARRAY) {
        json_array(out);
        while (value_iter_next(&iter, &key, &item))
            value_json(out, &item);
        json_array_end(out);
        return;
    }
    json_object(out);
    while (value_iter_next(&iter, &key, &item)) {
        json_key_sv(out, key);
        value_json(out, &item);
    }
    json_object_end(out);
}

void
value_json(struct json_out *out, const struct value *value)
{
    switch ((enum value_type)value->type) {
    case VALUE_STRING:
        json_string(out, value->str);
        break;
    case VALUE_BOOL:
        json_bool(out, value->b);
        break;
    case VALUE_INT:
        json_i64(out, value->i);
        break;
    case VALUE_DOUBLE:
        json_double(out, value->d);
        break;
    case VALUE_BYTES:
        json_base64(out, (const uint8_t *)value->str.ptr, value->str.len);
        break;
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        list_json(out, value);
        break;
    default:
        json_null(out);
    }
}

/* {"values":[...]} */
static void
list_otlp_json(struct json_out *out, const struct value *value)
{
    struct value_iter iter;
    struct value item;
    struct sv key;

    value_iter_init(&iter, value);
    json_object(out);
    json_key(out, "values");
    json_array(out);
    while (value_iter_next(&iter, &key, &item)) {
        if (value->type == VALUE_KVLIST)
            attr_otlp_json(out, &(struct attr){key, item});
        else
            value_otlp_json(out, &item);
    }
    json_array_end(out);
    json_object_end(out);
}

/* NaN and the infinities have names in protobuf's JSON. */
static void
double_otlp_json(struct json_out *out, double d)
{
    if (d != d)
        json_string(out, SV("NaN"));
    else if (d - d != 0)
        json_string(out, d > 0 ? SV("Infinity") : SV("-Infinity"));
    else
        json_double(out, d);
}

void
value_otlp_json(struct json_out *out, const struct value *value)
{
    char number[24];

    json_object(out);
    switch ((enum value_type)value->type) {
    case VALUE_STRING:
        json_key(out, "stringValue");
        json_string(out, value->str);
        break;
    case VALUE_BOOL:
        json_key(out, "boolValue");
        json_bool(out, value->b);
        break;
    case VALUE_INT:
        json_key(out, "intValue");
        json_string(out,
            sv_make(number, num_print_i64(number, value->i)));
        break;
    case VALUE_DOUBLE:
        json_key(out, "doubleValue");
        double_otlp_json(out, value->d);
        break;
    case VALUE_BYTES:
        json_key(out, "bytesValue");
        json_base64(out, (const uint8_t *)value->str.ptr, value->str.len);
        break;
    case VALUE_ARRAY:
        json_key(out, "arrayValue");
        list_otlp_json(out, value);
        break;
    case VALUE_KVLIST:
        json_key(out, "kvlistValue");
        list_otlp_json(out, value);
        break;
    default:
        break;
    }
    json_object_end(out);
}

void
attr_otlp_json(struct json_out *out, const struct attr *attr)
{
    json_object(out);
    json_key(out, "key");
    json_string(out, attr->key);
    json_key(out, "value");
    value_otlp_json(out, &attr->value);
    json_object_end(out);
}

bool
value_equal(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    switch ((enum value_type)a->type) {
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        return sv_eq(a->str, b->str);
    case VALUE_BOOL:
        return a->b == b->b;
    case VALUE_INT:
    case VALUE_DOUBLE:
        return a->i == b->i;
    default:
        return true;
    }
}
