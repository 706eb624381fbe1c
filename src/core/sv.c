/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/sv.h"

static unsigned char
ascii_lower(char c)
{
    unsigned char byte = (unsigned char)c;

    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + 32) : byte;
}

bool
sv_eq_nocase(struct sv a, struct sv b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    }
    return true;
}

int
sv_cmp(struct sv a, struct sv b)
{
    size_t len = MIN(a.len, b.len);
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

    if (order != 0)
        return order < 0 ? -1 : 1;
    return (a.len > b.len) - (a.len < b.len);
}

bool
sv_starts_with(struct sv v, struct sv prefix)
{
    return v.len >= prefix.len
        && sv_eq(sv_make(v.ptr, prefix.len), prefix);
}

bool
sv_ends_with(struct sv v, struct sv suffix)
{
    return v.len >= suffix.len
        && sv_eq(sv_sub(v, v.len - suffix.len, suffix.len), suffix);
}

size_t
sv_find_byte(struct sv v, char c)
{
    const char *found = v.len > 0 ? memchr(v.ptr, c, v.len) : NULL;

    return found != NULL ? (size_t)(found - v.ptr) : v.len;
}

struct sv
sv_trim(struct sv v)
{
    while (v.len > 0 && (v.ptr[0] == ' ' || v.ptr[0] == '\t')) {
        v.ptr++;
        v.len--;
    }
    while (v.len > 0 && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
        v.len--;
    return v;
}

struct sv
sv_sub(struct sv v, size_t from, size_t len)
{
    if (from >= v.len)
        return (struct sv){v.len > 0 ? v.ptr + v.len : v.ptr, 0};
    return (struct sv){v.ptr + from, MIN(len, v.len - from)};
}

bool
sv_split(struct sv *rest, char sep, struct sv *part)
{
    size_t at;

    /* A NULL pointer marks the end, so that "a," gives "a" and "". */
    if (rest->ptr == NULL)
        return false;
    at = sv_find_byte(*rest, sep);
    *part = sv_make(rest->ptr, at);
    if (at == rest->len)
        *rest = (struct sv){NULL, 0};
    else
        *rest = sv_sub(*rest, at + 1, SIZE_MAX);
    return true;
}

static bool
is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

unsigned
sv_utf8_len(const char *ptr, const char *end)
{
    const unsigned char *p = (const unsigned char *)ptr;
    size_t left = (size_t)(end - ptr);

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < 2 || !is_continuation(ptr[1]))
        return 0;
    if (p[0] < 0xe0)
        return 2;
    if (left < 3 || !is_continuation(ptr[2]))
        return 0;
    if (p[0] < 0xf0) {
        /* Overlong forms and surrogates. */
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (left < 4 || !is_continuation(ptr[3]))
        return 0;
    /* Overlong forms and what is above U+10FFFF. */
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return 4;
}

unsigned
sv_utf8_rune(const char *ptr, const char *end, uint32_t *rune)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned len = sv_utf8_len(ptr, end);

    if (len == 0)
        return 0;
    *rune = (unsigned char)ptr[0] & mask[len];
    for (unsigned i = 1; i < len; i++)
        *rune = *rune << 6 | ((unsigned char)ptr[i] & 0x3f);
    return len;
}

bool
sv_is_utf8(struct sv v)
{
    const char *ptr = v.ptr, *end = v.len > 0 ? ptr + v.len : ptr;

    while (ptr < end) {
        unsigned len;
        uint64_t word;

        if ((size_t)(end - ptr) >= sizeof(word)) {
            memcpy(&word, ptr, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                ptr += sizeof(word);
                continue;
            }
        }
        len = sv_utf8_len(ptr, end);
        if (len == 0)
            return false;
        ptr += len;
    }
    return true;
}
