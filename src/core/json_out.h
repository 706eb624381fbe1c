/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * JSON writer on a string builder.  It places the commas and checks that
 * every object and array is closed (check() on misuse).  Text is written as
 * UTF-8; bytes that are not well-formed UTF-8 become U+FFFD; control
 * characters, '"' and '\\' are escaped.
 */

#ifndef SPOOR_CORE_JSON_OUT_H
#define SPOOR_CORE_JSON_OUT_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

#define JSON_OUT_DEPTH_MAX 256 /* OTLP/JSON: 3 a level of a value */

struct json_out {
    struct sb *sb;
    uint16_t depth;
    bool first;                               /* no comma before the next */
    bool after_key;
    uint8_t is_object[JSON_OUT_DEPTH_MAX / 8];
};

void json_out_init(struct json_out *out, struct sb *sb);
void json_object(struct json_out *out);
void json_object_end(struct json_out *out);
void json_array(struct json_out *out);
void json_array_end(struct json_out *out);
void json_key(struct json_out *out, const char *key);
void json_key_sv(struct json_out *out, struct sv key);
void json_string(struct json_out *out, struct sv text);
void json_i64(struct json_out *out, int64_t v);
void json_u64(struct json_out *out, uint64_t v);
void json_double(struct json_out *out, double v); /* NaN, Inf as strings */
void json_bool(struct json_out *out, bool v);
void json_null(struct json_out *out);
/* A value that is JSON text already. */
void json_raw(struct json_out *out, struct sv text);
/*
 * A value of JSON text with other values in it: open, a value, next, a value
 * and so on, close.
 */
void json_raw_open(struct json_out *out, struct sv text);
void json_raw_next(struct json_out *out, struct sv text);
void json_raw_close(struct json_out *out, struct sv text);
void json_hex(struct json_out *out, const uint8_t *bytes, size_t len);
void json_base64(struct json_out *out, const uint8_t *bytes, size_t len);

#endif
