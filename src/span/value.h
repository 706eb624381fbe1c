/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Attribute values: walking the nested ones, and their one text form, which
 * defines equality, grouping and display everywhere (design 15.6 L1).
 */

#ifndef SPOOR_SPAN_VALUE_H
#define SPOOR_SPAN_VALUE_H

#include "core/base.h"
#include "core/json_out.h"
#include "core/sb.h"
#include "span/span.h"
#include "span/wire.h"

/*
 * Text: string as is; true/false; decimal; double as num_print_double;
 * bytes as base64; array and kvlist as JSON.  Empty value: nothing.
 */
void value_text(struct sb *out, const struct value *value);

/* As a JSON value: numbers stay numbers, bytes are base64 strings. */
void value_json(struct json_out *out, const struct value *value);

/* As an OTLP/JSON AnyValue object: {"intValue":"503"}. */
void value_otlp_json(struct json_out *out, const struct value *value);
/* As an OTLP/JSON KeyValue object: {"key":"a","value":{...}}. */
void attr_otlp_json(struct json_out *out, const struct attr *attr);

/*
 * Items of an ARRAY or KVLIST payload, in order.  Returns false at the end.
 * For an array key is empty.  The bytes were validated by the decoder; a
 * malformed rest ends the walk.
 */
struct value_iter {
    const uint8_t *ptr;
    const uint8_t *end;
    bool is_kvlist;
};
void value_iter_init(struct value_iter *iter, const struct value *value);
bool value_iter_next(struct value_iter *iter, struct sv *key,
    struct value *item);

/*
 * The message AnyValue: sets what the wire holds on top of *out, which the
 * caller has zeroed.  The views point into the wire.  depth is how many
 * levels of values it may have, itself included (VALUE_DEPTH_MAX); with
 * VALUE_TRUSTED nested lists are not looked into.
 */
#define VALUE_TRUSTED 0u
bool value_decode(struct wire w, struct value *out, unsigned depth,
    struct wire_fail *fail) WARN_UNUSED;

/* The message KeyValue; *out need not be set before. */
bool attr_decode(struct wire w, struct attr *out, unsigned depth,
    struct wire_fail *fail) WARN_UNUSED;

/* The other way: the bytes of an AnyValue, and of a KeyValue. */
size_t value_size(const struct value *value);
void value_put(struct sb *out, const struct value *value);
size_t attr_size(const struct attr *attr);
void attr_put(struct sb *out, const struct attr *attr);

/* The same type and the same bits; lists: the same payload bytes. */
bool value_equal(const struct value *a, const struct value *b);

#endif
