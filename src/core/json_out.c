/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/json_out.h"

#include <math.h>

#include "core/assert.h"
#include "core/num.h"

void
json_out_init(struct json_out *out, struct sb *sb)
{
    *out = (struct json_out){.sb = sb, .first = true};
}

static bool
in_object(const struct json_out *out)
{
    unsigned top = out->depth - 1u;

    return out->depth > 0 && (out->is_object[top / 8] >> top % 8 & 1) != 0;
}

/* The comma before a value, where one is due. */
static void
before_value(struct json_out *out)
{
    if (out->after_key) {
        out->after_key = false;
        return;
    }
    check(!in_object(out));
    /* A document is one value. */
    check(out->depth > 0 || out->first);
    if (!out->first)
        sb_add_char(out->sb, ',');
    out->first = false;
}

static void
enter(struct json_out *out, bool is_object)
{
    unsigned bit = 1u << out->depth % 8;

    before_value(out);
    check(out->depth < JSON_OUT_DEPTH_MAX);
    if (is_object)
        out->is_object[out->depth / 8] |= (uint8_t)bit;
    else
        out->is_object[out->depth / 8] &= (uint8_t)~bit;
    out->depth++;
    out->first = true;
    sb_add_char(out->sb, is_object ? '{' : '[');
}

static void
leave(struct json_out *out, bool is_object)
{
    check(out->depth > 0 && in_object(out) == is_object && !out->after_key);
    out->depth--;
    out->first = false;
    sb_add_char(out->sb, is_object ? '}' : ']');
}

void
json_object(struct json_out *out)
{
    enter(out, true);
}

void
json_object_end(struct json_out *out)
{
    leave(out, true);
}

void
json_array(struct json_out *out)
{
    enter(out, false);
}

void
json_array_end(struct json_out *out)
{
    leave(out, false);
}

static void
add_escape(struct sb *sb, unsigned char byte)
{
    switch (byte) {
    case '"':
        sb_add_str(sb, "\\\"");
        break;
    case '\\':
        sb_add_str(sb, "\\\\");
        break;
    case '\n':
        sb_add_str(sb, "\\n");
        break;
    case '\r':
        sb_add_str(sb, "\\r");
        break;
    case '\t':
        sb_add_str(sb, "\\t");
        break;
    default:
        sb_add_str(sb, "\\u00");
        sb_add_hex(sb, &byte, 1);
    }
}

/* Bytes that are copied as they are: printable ASCII but '"' and '\\'. */
static bool
is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* The same for eight bytes; may say no for a few plain ones. */
static bool
are_plain(const char *ptr)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    uint64_t word, quote, backslash, odd;

    memcpy(&word, ptr, sizeof(word));
    quote = word ^ ones * '"';
    backslash = word ^ ones * '\\';
    odd = word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)
        | (word + ones);
    return (odd & tops) == 0;
}

/* May say no, too. */
static bool
is_all_plain(const char *ptr, size_t len)
{
    char few[8];
    uint32_t low, high;

    if (len >= 8) {
        for (size_t i = 0; i < len - 8; i += 8) {
            if (!are_plain(ptr + i))
                return false;
        }
        return are_plain(ptr + len - 8);
    }
    if (len >= 4) {
        memcpy(&low, ptr, 4);
        memcpy(&high, ptr + len - 4, 4);
        memcpy(few, &low, 4);
        memcpy(few + 4, &high, 4);
        return are_plain(few);
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_plain((unsigned char)ptr[i]))
            return false;
    }
    return true;
}

static void
add_plain(struct sb *sb, struct sv text)
{
    char *dst = sb_reserve(sb, text.len + 2);

    if (dst == NULL)
        return;
    dst[0] = '"';
    if (text.len > 0)
        memcpy(dst + 1, text.ptr, text.len);
    dst[text.len + 1] = '"';
    sb_advance(sb, text.len + 2);
}

static void
add_escaped(struct sb *sb, struct sv text)
{
    const char *ptr = text.ptr, *plain = ptr;
    const char *end = text.len > 0 ? ptr + text.len : ptr;

    sb_add_char(sb, '"');
    while (ptr < end) {
        unsigned char byte = (unsigned char)*ptr;
        unsigned len;

        if (end - ptr >= 8 && are_plain(ptr)) {
            ptr += 8;
            continue;
        }
        if (is_plain(byte)) {
            ptr++;
            continue;
        }
        len = sv_utf8_len(ptr, end);
        /* U+0080 to U+009F are control characters, too. */
        if (len >= 2 && !(byte == 0xc2 && (unsigned char)ptr[1] < 0xa0)) {
            ptr += len;
            continue;
        }
        sb_add(sb, plain, (size_t)(ptr - plain));
        if (len == 0)
            sb_add_str(sb, "\xef\xbf\xbd");
        else
            add_escape(sb, (unsigned char)ptr[len - 1]);
        ptr += MAX(len, 1);
        plain = ptr;
    }
    sb_add(sb, plain, (size_t)(ptr - plain));
    sb_add_char(sb, '"');
}

static void
add_quoted(struct sb *sb, struct sv text)
{
    if (LIKELY(is_all_plain(text.ptr, text.len)))
        add_plain(sb, text);
    else
        add_escaped(sb, text);
}

void
json_key(struct json_out *out, const char *key)
{
    json_key_sv(out, sv_from(key));
}

void
json_key_sv(struct json_out *out, struct sv key)
{
    check(in_object(out) && !out->after_key);
    if (!out->first)
        sb_add_char(out->sb, ',');
    out->first = false;
    add_quoted(out->sb, key);
    sb_add_char(out->sb, ':');
    out->after_key = true;
}

void
json_string(struct json_out *out, struct sv text)
{
    before_value(out);
    add_quoted(out->sb, text);
}

void
json_i64(struct json_out *out, int64_t v)
{
    before_value(out);
    sb_add_i64(out->sb, v);
}

void
json_u64(struct json_out *out, uint64_t v)
{
    before_value(out);
    sb_add_u64(out->sb, v);
}

void
json_double(struct json_out *out, double v)
{
    char text[NUM_DOUBLE_MAX];
    struct sv number = {text, num_print_double(text, v)};

    before_value(out);
    if (isfinite(v))
        sb_add_sv(out->sb, number);
    else
        add_quoted(out->sb, number);
}

void
json_bool(struct json_out *out, bool v)
{
    before_value(out);
    sb_add_str(out->sb, v ? "true" : "false");
}

void
json_raw(struct json_out *out, struct sv text)
{
    before_value(out);
    sb_add_sv(out->sb, text);
}

void
json_raw_open(struct json_out *out, struct sv text)
{
    before_value(out);
    sb_add_sv(out->sb, text);
    out->after_key = true;
}

void
json_raw_next(struct json_out *out, struct sv text)
{
    check(!out->after_key);
    sb_add_sv(out->sb, text);
    out->after_key = true;
}

void
json_raw_close(struct json_out *out, struct sv text)
{
    check(!out->after_key);
    sb_add_sv(out->sb, text);
}

void
json_null(struct json_out *out)
{
    before_value(out);
    sb_add_str(out->sb, "null");
}

void
json_hex(struct json_out *out, const uint8_t *bytes, size_t len)
{
    before_value(out);
    sb_add_char(out->sb, '"');
    sb_add_hex(out->sb, bytes, len);
    sb_add_char(out->sb, '"');
}

void
json_base64(struct json_out *out, const uint8_t *bytes, size_t len)
{
    before_value(out);
    sb_add_char(out->sb, '"');
    sb_add_base64(out->sb, bytes, len);
    sb_add_char(out->sb, '"');
}
