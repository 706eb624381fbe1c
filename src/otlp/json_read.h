/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Scalars and attribute values of OTLP/JSON, private to otlp/.  The reader is
 * lenient where senders differ and nothing can be misunderstood:
 *
 *   - names in lowerCamelCase, snake_case or any other case;
 *   - integers as numbers or strings, also 1.79e18 when it is integral;
 *   - enums as numbers or by their names;
 *   - null means the default; unknown names are skipped;
 *   - "kvlistValue" is also taken as "keyValueList".
 *
 * Every function returns false when reading cannot go on.
 */

#ifndef SPOOR_OTLP_JSON_READ_H
#define SPOOR_OTLP_JSON_READ_H

#include "core/base.h"
#include "core/json_in.h"
#include "core/sb.h"
#include "otlp/decode.h"

struct js {
    struct json_in in;
    struct otlp_decoder dec;
    struct sb scratch; /* payloads of lists, a stack */
};

/* Sets is_over and fails. */
bool js_over(struct js *js, const char *what);

/*
 * Enters a message.  False when it is null (consumed, an empty message) and
 * on error: return !json_in_failed() then.
 */
bool js_enter(struct js *js);
/* The same for a repeated field. */
bool js_enter_list(struct js *js);

/*
 * Index of a key among n names, the spelling of which is lowerCamelCase; n
 * when there is none.
 */
unsigned js_name(const struct sv *names, unsigned n, struct sv key);

bool js_text(struct js *js, struct sv *out);
bool js_bool(struct js *js, bool *out);
bool js_i64(struct js *js, int64_t *out);
bool js_u64(struct js *js, uint64_t *out);
bool js_u32(struct js *js, uint32_t *out);
bool js_double(struct js *js, double *out);
/* A number, or prefix and one of n names: the value is the name's index. */
bool js_enum(struct js *js, struct sv prefix, const char *const *names,
    unsigned n, int32_t *out);

/*
 * Hex of len bytes, kept at dst.  *out is empty for "" and null, len bytes
 * long for an id, and of a length that no id has for anything else.
 */
bool js_id(struct js *js, uint8_t *dst, size_t len, struct sv *out);

/* AnyValue; depth as in value_decode(). */
bool js_value(struct js *js, struct value *out, unsigned depth);
/* KeyValue. */
bool js_attr(struct js *js, struct attr *out, unsigned depth);

#endif
