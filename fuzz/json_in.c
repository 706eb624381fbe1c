/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as JSON.  Skipping and reading must agree on what is valid, and
 * what was read and written again must read as the same.
 */

#include "core/base.h"

#include "core/assert.h"
#include "core/json_in.h"
#include "core/json_out.h"
#include "core/num.h"
#include "core/pool.h"
#include "core/sb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Copies a value that is no container; numbers become strings. */
static void
copy_scalar(struct json_in *in, struct json_out *out)
{
    struct sv text;
    double number;
    bool flag;

    switch (json_peek(in)) {
    case JSON_STRING:
        if (json_read_string(in, &text)) {
            check(sv_is_utf8(text));
            json_string(out, text);
        }
        break;
    case JSON_NUMBER:
        if (json_read_number(in, &text)) {
            json_string(out, text);
            (void)num_parse_double(text, &number);
        }
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        if (json_read_bool(in, &flag))
            json_bool(out, flag);
        break;
    case JSON_NULL:
        if (json_read_null(in))
            json_null(out);
        break;
    default:
        json_fail(in, "expected a value");
    }
}

/* Copies the document with a stack of its own; false if it is wrong. */
static bool
copy(struct json_in *in, struct json_out *out)
{
    bool is_object[JSON_IN_DEPTH_MAX + 1];
    unsigned depth = 0;
    struct sv key;

    do {
        enum json_type type = json_peek(in);

        if (type == JSON_OBJECT && json_enter_object(in)) {
            is_object[++depth] = true;
            json_object(out);
        } else if (type == JSON_ARRAY && json_enter_array(in)) {
            is_object[++depth] = false;
            json_array(out);
        } else {
            copy_scalar(in, out);
        }
        while (depth > 0 && !json_in_failed(in)) {
            if (is_object[depth] ? json_next_key(in, &key)
                : json_next_item(in)) {
                if (is_object[depth])
                    json_key_sv(out, key);
                break;
            }
            if (json_in_failed(in))
                break;
            if (is_object[depth--])
                json_object_end(out);
            else
                json_array_end(out);
        }
    } while (depth > 0 && !json_in_failed(in));
    return json_peek(in) == JSON_END;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(16 * MIB);
    struct sb first, second;
    struct json_out out;
    struct json_in in;
    bool skips, reads;

    sb_init(&first, 16 * MIB);
    sb_init(&second, 16 * MIB);
    json_in_init(&in, sv_make(data, size), pool);
    skips = json_skip(&in) && json_peek(&in) == JSON_END;
    check(skips || (json_in_failed(&in) && in.err.text[0] != '\0'));
    check(pool_used(pool) == 0);

    json_in_init(&in, sv_make(data, size), pool);
    json_out_init(&out, &first);
    reads = copy(&in, &out);
    check(reads == skips);
    if (reads) {
        json_in_init(&in, sb_sv(&first), pool);
        json_out_init(&out, &second);
        check(copy(&in, &out));
        check(sv_eq(sb_sv(&first), sb_sv(&second)));
    }
    sb_release(&first);
    sb_release(&second);
    pool_free(pool);
    return 0;
}
