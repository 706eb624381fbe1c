/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * JSON pull parser (RFC 8259) over one buffer: strict grammar, bounded depth,
 * no recursion, no tree.  Strings without escapes are views into the buffer;
 * others are decoded into the pool.  Invalid UTF-8 and lone surrogates are
 * errors.
 *
 *     while (json_next_key(in, &key)) ... one of the value readers ...
 */

#ifndef SPOOR_CORE_JSON_IN_H
#define SPOOR_CORE_JSON_IN_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sv.h"

#define JSON_IN_DEPTH_MAX 64

enum json_type {
    JSON_ERROR = 0,
    JSON_END, /* nothing but white space is left */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json_in {
    const char *start;
    const char *ptr;
    const char *end;
    struct pool *pool;
    uint16_t depth;
    bool failed;
    uint8_t state[JSON_IN_DEPTH_MAX + 1]; /* private */
    struct err err;                       /* "JSON: ... at byte N" */
};

void json_in_init(struct json_in *in, struct sv text, struct pool *pool);

/* What stands at the reading position, without consuming it. */
enum json_type json_peek(struct json_in *in);

/* Enter; then json_next_key / json_next_item until false. */
bool json_enter_object(struct json_in *in);
bool json_enter_array(struct json_in *in);
/*
 * False at the end of the object or array (which is left) and on error: after
 * the loop test json_in_failed().
 */
bool json_next_key(struct json_in *in, struct sv *key);
bool json_next_item(struct json_in *in);

/* Each consumes one value; false and failed if it is of another type. */
bool json_read_string(struct json_in *in, struct sv *out);
bool json_read_number(struct json_in *in, struct sv *raw_text);
bool json_read_bool(struct json_in *in, bool *out);
bool json_read_null(struct json_in *in);
/* Consumes a value of any type, whatever its depth (within the limit). */
bool json_skip(struct json_in *in);

/* Records an error of the caller's at the present position; returns false. */
bool json_fail(struct json_in *in, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool json_in_failed(const struct json_in *in);

#endif
