/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "query/lex.h"

/* Where a string is being decoded. */
struct decoder {
    const char *ptr;
    const char *end;
    char *out;
    char quote;
    const char *why;
};

static void
put_rune(struct decoder *d, uint32_t rune)
{
    if (rune < 0x80) {
        *d->out++ = (char)rune;
    } else if (rune < 0x800) {
        *d->out++ = (char)(0xc0 | rune >> 6);
        *d->out++ = (char)(0x80 | (rune & 0x3f));
    } else if (rune < 0x10000) {
        *d->out++ = (char)(0xe0 | rune >> 12);
        *d->out++ = (char)(0x80 | (rune >> 6 & 0x3f));
        *d->out++ = (char)(0x80 | (rune & 0x3f));
    } else {
        *d->out++ = (char)(0xf0 | rune >> 18);
        *d->out++ = (char)(0x80 | (rune >> 12 & 0x3f));
        *d->out++ = (char)(0x80 | (rune >> 6 & 0x3f));
        *d->out++ = (char)(0x80 | (rune & 0x3f));
    }
}

static int
digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* n digits of that base at d->ptr. */
static bool
take_digits(struct decoder *d, unsigned n, unsigned base, uint32_t *out)
{
    *out = 0;
    if (d->end - d->ptr < (ptrdiff_t)n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        int digit = digit_value(*d->ptr++);

        if (digit >= (int)base)
            return false;
        *out = *out * base + (uint32_t)digit;
    }
    return true;
}

/* \xHH and \ooo are a byte, in single quotes a code point. */
static bool
take_byte(struct decoder *d, unsigned n, unsigned base)
{
    uint32_t v;

    if (!take_digits(d, n, base, &v) || v > 0xff)
        return false;
    if (d->quote == '\'')
        put_rune(d, v);
    else
        *d->out++ = (char)v;
    return true;
}

static bool
take_rune(struct decoder *d, unsigned n)
{
    uint32_t v;

    if (!take_digits(d, n, 16, &v) || v > 0x10ffff ||
        (v >= 0xd800 && v <= 0xdfff))
        return false;
    put_rune(d, v);
    return true;
}

/* d->ptr is behind the backslash. */
static bool
take_escape(struct decoder *d)
{
    static const char letters[] = "abfnrtv\\\"'";
    static const char values[] = "\a\b\f\n\r\t\v\\\"'";
    const char *found;
    char c;

    if (d->ptr == d->end)
        return false;
    c = *d->ptr++;
    if (c == 'x')
        return take_byte(d, 2, 16);
    if (c == 'u')
        return take_rune(d, 4);
    if (c == 'U')
        return take_rune(d, 8);
    if (c >= '0' && c <= '7') {
        d->ptr--;
        return take_byte(d, 3, 8);
    }
    found = memchr(letters, c, sizeof(letters) - 1);
    if (found == NULL)
        return false;
    *d->out++ = values[found - letters];
    return true;
}

static bool
decode_escaped(struct decoder *d)
{
    while (d->ptr < d->end) {
        char c = *d->ptr++;

        if (c == d->quote)
            return true;
        if (c == '\n' && d->quote == '"') {
            d->why = "a line ends within it";
            return false;
        }
        if (c != '\\') {
            *d->out++ = c;
        } else if (!take_escape(d)) {
            d->why = "an escape is not known";
            return false;
        }
    }
    d->why = "its closing quote is missing";
    return false;
}

static bool
decode_verbatim(struct decoder *d)
{
    while (d->ptr < d->end) {
        char c = *d->ptr++;

        if (c == d->quote)
            return true;
        if (c != '\r')
            *d->out++ = c;
    }
    d->why = "its closing quote is missing";
    return false;
}

/* Bytes up to the closing quote, or text.len: what the output needs. */
static size_t
quoted_bytes(struct sv text, bool *is_plain)
{
    char quote = text.ptr[0];

    *is_plain = true;
    for (size_t i = 1; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == quote)
            return i;
        if (c == '\\' && quote != '`') {
            *is_plain = false;
            i++;
        } else if (c == '\n' || c == '\r') {
            *is_plain = false;
        }
    }
    *is_plain = false;
    return text.len;
}

size_t
quote_decode(struct sv text, struct sv *out, struct pool *pool,
    const char **why)
{
    struct decoder d = {text.ptr + 1, text.ptr + text.len, NULL,
        text.ptr[0], NULL};
    bool is_plain;
    size_t len = quoted_bytes(text, &is_plain);
    char *start;

    if (is_plain) {
        *out = sv_make(text.ptr + 1, len - 1);
        return len + 1;
    }
    /* No escape is shorter than what it means; see put_rune(). */
    start = d.out = pool_alloc(pool, len + 1);
    if (start == NULL) {
        *why = "there is no memory for it";
        return 0;
    }
    if (d.quote == '`' ? !decode_verbatim(&d) : !decode_escaped(&d)) {
        *why = d.why;
        return 0;
    }
    *out = sv_make(start, (size_t)(d.out - start));
    return (size_t)(d.ptr - text.ptr);
}
