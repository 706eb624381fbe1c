/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * AnyValue and KeyValue from the protobuf wire.
 *
 *   AnyValue      string 1, bool 2, int 3, double 4, ArrayValue 5,
 *                 KeyValueList 6, bytes 7, int32 8 (an index that only
 *                 profiles use: leaves the value empty); one of them, the
 *                 last on the wire wins
 *   ArrayValue    repeated AnyValue 1
 *   KeyValueList  repeated KeyValue 1
 *   KeyValue      string key 1, AnyValue value 2, int32 3 (profiles only)
 *
 * Nested values are checked here, once, and stay on the wire.  The recursion
 * is bounded by the depth each call passes on.
 */

#include "core/base.h"
#include "span/value.h"

#define ANY_VALUE_FIELDS 0x1feu
#define KEY_VALUE_FIELDS 0x0eu
#define LIST_FIELDS 0x02u

static bool check_list(struct wire w, bool is_kvlist, unsigned depth,
    struct wire_fail *fail);

/* An array or kvlist: str becomes its payload. */
static bool
nested(struct wire *w, struct value *out, enum value_type type,
    unsigned depth, struct wire_fail *fail)
{
    struct sv payload;

    if (depth == 1) {
        fail->notes |= WIRE_NOTE_DEPTH;
        return wire_failed(fail, w, "values nested too deeply");
    }
    if (!wire_read_bytes(w, &payload, fail))
        return false;
    if (depth != VALUE_TRUSTED && !check_list(wire_make(payload),
            type == VALUE_KVLIST, depth - 1, fail))
        return false;
    out->str = payload;
    out->type = (uint8_t)type;
    return true;
}

static bool
decode_bytes(struct wire *w, struct value *out, enum value_type type,
    struct wire_fail *fail)
{
    if (!wire_read_bytes(w, &out->str, fail))
        return false;
    out->type = (uint8_t)type;
    return true;
}

static bool
decode_bool(struct wire *w, struct value *out, struct wire_fail *fail)
{
    bool b;

    if (!wire_read_bool(w, &b, fail))
        return false;
    out->b = b;
    out->type = VALUE_BOOL;
    return true;
}

/* Fields that are rare or whose wire type is wrong. */
static bool
decode_rest(struct wire *w, uint64_t tag, struct value *out,
    struct wire_fail *fail)
{
    uint64_t ignored;

    if (tag == WIRE_TAG(8, WIRE_VARINT)) {
        out->type = VALUE_EMPTY;
        return wire_read_varint(w, &ignored, fail);
    }
    if (tag >> 3 == 2)
        fail->notes |= WIRE_NOTE_BOOL_TYPE;
    return wire_other(w, tag, ANY_VALUE_FIELDS, fail);
}

bool
value_decode(struct wire w, struct value *out, unsigned depth,
    struct wire_fail *fail)
{
    uint64_t tag;
    uint64_t v;

    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, fail))
            return false;
        bool is_good;
        switch (tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            is_good = decode_bytes(&w, out, VALUE_STRING, fail);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            is_good = decode_bool(&w, out, fail);
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            is_good = wire_read_varint(&w, &v, fail);
            out->i = is_good ? (int64_t)v : 0;
            out->type = VALUE_INT;
            break;
        case WIRE_TAG(4, WIRE_FIXED64):
            is_good = wire_read_fixed64(&w, &v, fail);
            out->i = is_good ? (int64_t)v : 0;
            out->type = VALUE_DOUBLE;
            break;
        case WIRE_TAG(5, WIRE_BYTES):
            is_good = nested(&w, out, VALUE_ARRAY, depth, fail);
            break;
        case WIRE_TAG(6, WIRE_BYTES):
            is_good = nested(&w, out, VALUE_KVLIST, depth, fail);
            break;
        case WIRE_TAG(7, WIRE_BYTES):
            is_good = decode_bytes(&w, out, VALUE_BYTES, fail);
            break;
        default:
            is_good = decode_rest(&w, tag, out, fail);
        }
        if (UNLIKELY(!is_good))
            return false;
    }
    return true;
}

/*
 * The shape that nearly all attributes have: a key and a value below 128
 * bytes each, in this order and nothing else.  Sets the key and gives the
 * bytes of the value; false says nothing but "take the general way".
 */
static inline bool
split_plain_attr(const struct wire *w, struct attr *out, struct wire *value)
{
    size_t len = (size_t)(w->end - w->ptr);
    const uint8_t *ptr = w->ptr;

    if (UNLIKELY(len < 4 || ptr[0] != WIRE_TAG(1, WIRE_BYTES)))
        return false;
    size_t key_len = ptr[1];
    if (UNLIKELY(key_len >= 0x80 || key_len + 4 > len))
        return false;
    const uint8_t *head = ptr + 2 + key_len;
    if (UNLIKELY(head[0] != WIRE_TAG(2, WIRE_BYTES) || head[1] >= 0x80 ||
        key_len + 4 + head[1] != len))
        return false;
    out->key = sv_make(ptr + 2, key_len);
    *value = (struct wire){head + 2, w->end};
    return true;
}

/* A value that is a short string and nothing else. */
static inline bool
take_plain_string(const struct wire *w, struct value *out)
{
    size_t len = (size_t)(w->end - w->ptr);

    if (len < 2 || w->ptr[0] != WIRE_TAG(1, WIRE_BYTES) ||
        (size_t)w->ptr[1] + 2 != len)
        return false;
    out->str = sv_make(w->ptr + 2, len - 2);
    out->type = VALUE_STRING;
    return true;
}

static bool
attr_decode_general(struct wire w, struct attr *out, unsigned depth,
    struct wire_fail *fail)
{
    bool has_value = false;
    struct wire sub;
    uint64_t tag;
    uint64_t ignored;

    out->key = SV_EMPTY;
    out->value = (struct value){.type = VALUE_EMPTY};
    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, fail))
            return false;
        bool is_good;
        switch (tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            is_good = wire_read_bytes(&w, &out->key, fail);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            if (has_value)
                fail->notes |= WIRE_NOTE_MERGE;
            has_value = true;
            is_good = wire_read_message(&w, &sub, fail) &&
                value_decode(sub, &out->value, depth, fail);
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            is_good = wire_read_varint(&w, &ignored, fail);
            break;
        default:
            is_good = wire_other(&w, tag, KEY_VALUE_FIELDS, fail);
        }
        if (UNLIKELY(!is_good))
            return false;
    }
    return true;
}

bool
attr_decode(struct wire w, struct attr *out, unsigned depth,
    struct wire_fail *fail)
{
    struct wire value;

    if (UNLIKELY(!split_plain_attr(&w, out, &value)))
        return attr_decode_general(w, out, depth, fail);
    if (take_plain_string(&value, &out->value))
        return true;
    out->value = (struct value){.type = VALUE_EMPTY};
    return value_decode(value, &out->value, depth, fail);
}

/* Well-formedness of the items; what they hold is not kept. */
static bool
check_list(struct wire w, bool is_kvlist, unsigned depth,
    struct wire_fail *fail)
{
    struct attr item;
    struct wire sub;
    uint64_t tag;

    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, fail))
            return false;
        if (tag != WIRE_TAG(1, WIRE_BYTES)) {
            if (!wire_other(&w, tag, LIST_FIELDS, fail))
                return false;
            continue;
        }
        if (!wire_read_message(&w, &sub, fail))
            return false;
        bool is_good = is_kvlist ? attr_decode(sub, &item, depth, fail)
            : value_decode(sub, &item.value, depth, fail);
        if (!is_good)
            return false;
    }
    return true;
}

void
value_iter_init(struct value_iter *iter, const struct value *value)
{
    struct wire w = {NULL, NULL};

    if (value->type == VALUE_ARRAY || value->type == VALUE_KVLIST)
        w = wire_make(value->str);
    iter->ptr = w.ptr;
    iter->end = w.end;
    iter->is_kvlist = value->type == VALUE_KVLIST;
}

bool
value_iter_next(struct value_iter *iter, struct sv *key, struct value *item)
{
    struct wire w = {iter->ptr, iter->end};
    struct wire_fail fail = {0};
    struct attr attr = {.key = SV_EMPTY};
    struct wire sub;
    uint64_t tag;

    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, &fail))
            break;
        if (tag != WIRE_TAG(1, WIRE_BYTES)) {
            if (!wire_skip(&w, tag, &fail))
                break;
            continue;
        }
        if (!wire_read_message(&w, &sub, &fail))
            break;
        bool is_good = iter->is_kvlist
            ? attr_decode(sub, &attr, VALUE_TRUSTED, &fail)
            : value_decode(sub, &attr.value, VALUE_TRUSTED, &fail);
        if (!is_good)
            break;
        *key = attr.key;
        *item = attr.value;
        iter->ptr = w.ptr;
        return true;
    }
    iter->ptr = iter->end;
    return false;
}

/* --- writing --- */

size_t
value_size(const struct value *value)
{
    switch ((enum value_type)value->type) {
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        return wire_bytes_size(value->str.len);
    case VALUE_BOOL:
        return 2;
    case VALUE_INT:
        return 1 + wire_varint_size((uint64_t)value->i);
    case VALUE_DOUBLE:
        return 9;
    default:
        return 0;
    }
}

void
value_put(struct sb *out, const struct value *value)
{
    switch ((enum value_type)value->type) {
    case VALUE_STRING:
        wire_put_bytes(out, 1, value->str);
        break;
    case VALUE_BOOL:
        wire_put_tag_varint(out, 2, value->b);
        break;
    case VALUE_INT:
        wire_put_tag_varint(out, 3, (uint64_t)value->i);
        break;
    case VALUE_DOUBLE:
        wire_put_fixed64(out, 4, (uint64_t)value->i);
        break;
    case VALUE_ARRAY:
        wire_put_bytes(out, 5, value->str);
        break;
    case VALUE_KVLIST:
        wire_put_bytes(out, 6, value->str);
        break;
    case VALUE_BYTES:
        wire_put_bytes(out, 7, value->str);
        break;
    default:
        break;
    }
}

size_t
attr_size(const struct attr *attr)
{
    return wire_bytes_size(attr->key.len) +
        wire_bytes_size(value_size(&attr->value));
}

void
attr_put(struct sb *out, const struct attr *attr)
{
    wire_put_bytes(out, 1, attr->key);
    wire_put_head(out, 2, value_size(&attr->value));
    value_put(out, &attr->value);
}
