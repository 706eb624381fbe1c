/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/path.h"

#include "core/assert.h"

/* Value of a hexadecimal digit, or -1. */
static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that "%XX" at text[i] stands for, or -1. */
static int
escape_value(struct sv text, size_t i)
{
    int high, low;

    if (text.len - i < 3 || text.ptr[i] != '%')
        return -1;
    high = hex_value(text.ptr[i + 1]);
    low = hex_value(text.ptr[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* RFC 3986, 2.3: escaped or not, these mean the same. */
static bool
is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
        c == '~';
}

/* Writes at most raw.len bytes; false at a malformed or NUL escape. */
static bool
write_plain(char *dst, struct sv raw, struct sv *plain)
{
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int value;

        if (raw.ptr[i] == '/' && n > 0 && dst[n - 1] == '/')
            continue;
        if (raw.ptr[i] != '%') {
            dst[n++] = raw.ptr[i];
            continue;
        }
        value = escape_value(raw, i);
        if (value <= 0)
            return false;
        if (is_unreserved(value)) {
            dst[n++] = (char)value;
        } else {
            memcpy(dst + n, raw.ptr + i, 3);
            n += 3;
        }
        i += 2;
    }
    *plain = sv_make(dst, n);
    return true;
}

static void
write_decoded(char *dst, struct sv plain, struct sv *decoded)
{
    size_t n = 0;

    for (size_t i = 0; i < plain.len; i++) {
        if (plain.ptr[i] == '%') {
            dst[n++] = (char)escape_value(plain, i);
            i += 2;
        } else {
            dst[n++] = plain.ptr[i];
        }
    }
    *decoded = sv_make(dst, n);
}

static bool
has_dot_segment(struct sv path)
{
    struct sv rest = path, segment;

    while (sv_split(&rest, '/', &segment)) {
        if (sv_eq(segment, SV(".")) || sv_eq(segment, SV("..")))
            return true;
    }
    return false;
}

const char *
path_normalise(struct pool *pool, struct sv raw, struct sv *plain,
    struct sv *decoded)
{
    char *dst = pool_alloc(pool, 2 * raw.len + 1);

    if (dst == NULL)
        return "out of memory";
    if (!write_plain(dst, raw, plain))
        return "malformed escape in the path";
    if (sv_find_byte(*plain, '%') == plain->len)
        *decoded = *plain;
    else
        write_decoded(dst + raw.len, *plain, decoded);
    /* "..%2f" is a dot segment to whoever uses the decoded form. */
    if (has_dot_segment(*decoded))
        return "dot segment in the path";
    return NULL;
}

struct sv
http_unescape(struct pool *pool, struct sv text, bool plus_is_space, bool *ok)
{
    char *dst;
    size_t n = 0;

    *ok = true;
    if (sv_find_byte(text, '%') == text.len &&
        (!plus_is_space || sv_find_byte(text, '+') == text.len))
        return text;
    dst = pool_alloc(pool, text.len);
    if (dst == NULL) {
        *ok = false;
        return sv_make(NULL, 0);
    }
    for (size_t i = 0; i < text.len; i++) {
        int value = escape_value(text, i);

        if (value >= 0) {
            dst[n++] = (char)value;
            i += 2;
            continue;
        }
        if (text.ptr[i] == '%')
            *ok = false;
        dst[n++] = plus_is_space && text.ptr[i] == '+' ? ' ' : text.ptr[i];
    }
    return sv_make(dst, n);
}
