/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/enc.h"

size_t
enc_put_varint(uint8_t *dst, uint64_t v)
{
    size_t n = 0;

    while (v >= 0x80) {
        dst[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    dst[n++] = (uint8_t)v;
    return n;
}

size_t
enc_varint_len(uint64_t v)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);

    return (bits + 6) / 7;
}

uint64_t
enc_read_varint_long(struct enc_reader *r)
{
    const uint8_t *ptr = r->ptr;
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 7 * ENC_VARINT_MAX; shift += 7) {
        uint8_t byte;

        if (ptr == r->end)
            break;
        byte = *ptr++;
        /* The tenth byte has room for the highest bit only. */
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            r->ptr = ptr;
            return v;
        }
    }
    enc_reader_fail(r);
    return 0;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void
enc_hex(char *dst, const void *bytes, size_t len)
{
    const uint8_t *src = bytes;
    uint8_t last[4] = {0}, digits[8];

    for (; len >= 4; len -= 4, src += 4, dst += 8)
        enc_put64(dst, enc_hex_digits(enc_get32(src)));
    if (len == 0)
        return;
    memcpy(last, src, len);
    enc_put64(digits, enc_hex_digits(enc_get32(last)));
    memcpy(dst, digits, 2 * len);
}

bool
enc_unhex(struct sv hex, uint8_t *dst, size_t len)
{
    if (hex.len % 2 != 0 || hex.len / 2 != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(hex.ptr[2 * i]);
        int low = hex_digit(hex.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        dst[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int
base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

ssize_t
enc_unbase64(struct sv src, uint8_t *dst)
{
    size_t len = src.len, n = 0, tail;
    uint32_t group = 0;

    if (len > 0 && len % 4 == 0 && src.ptr[len - 1] == '=')
        len -= src.ptr[len - 2] == '=' ? 2 : 1;
    tail = len % 4;
    if (tail == 1)
        return -1;

    for (size_t i = 0; i < len; i++) {
        int digit = base64_digit(src.ptr[i]);

        if (digit < 0)
            return -1;
        group = group << 6 | (uint32_t)digit;
        if (i % 4 == 3) {
            dst[n++] = (uint8_t)(group >> 16);
            dst[n++] = (uint8_t)(group >> 8);
            dst[n++] = (uint8_t)group;
        }
    }
    if (tail == 2) {
        dst[n++] = (uint8_t)(group >> 4);
    } else if (tail == 3) {
        dst[n++] = (uint8_t)(group >> 10);
        dst[n++] = (uint8_t)(group >> 2);
    }
    return (ssize_t)n;
}
