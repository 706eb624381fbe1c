/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/sb.h"

#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"
#include "core/num.h"

#define SB_CAP_FIRST 64

/* What an empty builder points to; cap 0 keeps everybody from writing it. */
static char sb_nothing[1];

void
sb_init(struct sb *sb, size_t max)
{
    *sb = (struct sb){.ptr = sb_nothing, .max = MIN(max, SIZE_MAX / 4)};
}

void
sb_release(struct sb *sb)
{
    if (sb->ptr != sb_nothing)
        xfree(sb->ptr);
    *sb = (struct sb){.ptr = sb_nothing, .max = sb->max};
}

void
sb_reset(struct sb *sb)
{
    sb->len = 0;
    sb->failed = false;
    if (sb->cap > 0)
        sb->ptr[0] = '\0';
}

bool
sb_grow(struct sb *sb, size_t n)
{
    size_t cap;
    char *ptr;

    if (sb->failed)
        return false;
    if (n > sb->max - sb->len) {
        sb->failed = true;
        return false;
    }
    cap = MAX(sb->len + n, MAX(2 * sb->cap, SB_CAP_FIRST));
    cap = MIN(cap, sb->max);
    ptr = mem_try_realloc(sb->cap > 0 ? sb->ptr : NULL, cap + 1);
    if (ptr == NULL) {
        sb->failed = true;
        return false;
    }
    ptr[sb->len] = '\0';
    sb->ptr = ptr;
    sb->cap = cap;
    return true;
}

char *
sb_reserve(struct sb *sb, size_t n)
{
    if ((sb->failed || n > sb->cap - sb->len) && !sb_grow(sb, n))
        return NULL;
    return sb->ptr + sb->len;
}

void
sb_advance(struct sb *sb, size_t n)
{
    check(n <= sb->cap - sb->len);
    if (n == 0)
        return;
    sb->len += n;
    sb->ptr[sb->len] = '\0';
}

void
sb_add_u64(struct sb *sb, uint64_t n)
{
    char digits[20];

    sb_add(sb, digits, num_print_u64(digits, n));
}

void
sb_add_i64(struct sb *sb, int64_t n)
{
    char digits[20];

    sb_add(sb, digits, num_print_i64(digits, n));
}

void
sb_add_hex(struct sb *sb, const uint8_t *bytes, size_t len)
{
    char *dst;

    if (len > SIZE_MAX / 2) {
        sb->failed = true;
        return;
    }
    dst = sb_reserve(sb, 2 * len);
    if (dst == NULL)
        return;
    enc_hex(dst, bytes, len);
    sb_advance(sb, 2 * len);
}

void
sb_add_base64(struct sb *sb, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "abcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t encoded = len / 3 * 4 + (len % 3 > 0 ? 4 : 0), i;
    char *dst = len <= SIZE_MAX / 2 ? sb_reserve(sb, encoded) : NULL;
    uint32_t group;

    if (dst == NULL) {
        sb->failed = true;
        return;
    }
    for (i = 0; i + 3 <= len; i += 3) {
        group = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8
            | bytes[i + 2];
        *dst++ = digits[group >> 18];
        *dst++ = digits[group >> 12 & 63];
        *dst++ = digits[group >> 6 & 63];
        *dst++ = digits[group & 63];
    }
    if (i < len) {
        group = (uint32_t)bytes[i] << 16;
        if (i + 1 < len)
            group |= (uint32_t)bytes[i + 1] << 8;
        *dst++ = digits[group >> 18];
        *dst++ = digits[group >> 12 & 63];
        *dst++ = i + 1 < len ? digits[group >> 6 & 63] : '=';
        *dst++ = '=';
    }
    sb_advance(sb, encoded);
}

void
sb_vaddf(struct sb *sb, const char *fmt, va_list args)
{
    va_list again;
    char *dst;
    int n;

    if (sb->failed)
        return;
    va_copy(again, args);
    n = vsnprintf(sb->cap > 0 ? sb->ptr + sb->len : NULL,
        sb->cap > 0 ? sb->cap - sb->len + 1 : 0, fmt, args);
    if (n >= 0 && sb->cap > 0 && (size_t)n <= sb->cap - sb->len) {
        sb->len += (size_t)n;
    } else if (n < 0 || (dst = sb_reserve(sb, (size_t)n)) == NULL) {
        if (sb->cap > 0)
            sb->ptr[sb->len] = '\0';
        sb->failed = true;
    } else if (n > 0) {
        vsnprintf(dst, (size_t)n + 1, fmt, again);
        sb->len += (size_t)n;
    }
    va_end(again);
}

void
sb_addf(struct sb *sb, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    sb_vaddf(sb, fmt, args);
    va_end(args);
}

char *
sb_detach(struct sb *sb, size_t *len)
{
    char *ptr = sb->cap > 0 ? sb->ptr : xmemdup0("", 0);

    if (len != NULL)
        *len = sb->len;
    sb_init(sb, sb->max);
    return ptr;
}
