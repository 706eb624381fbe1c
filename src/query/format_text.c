/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/format_text.h"

#include "core/enc.h"
#include "core/json_out.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/text.h"

#define HEX_UPPER "0123456789ABCDEF"

/* --- numbers --- */

/* Digits with '_' between them, without zeros in front. */
static bool
plain_u64(struct sv text, uint64_t *out)
{
    char digits[24];
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '_' && i > 0 && i + 1 < text.len)
            continue;
        if (c < '0' || c > '9' || n == sizeof(digits))
            return false;
        digits[n++] = c;
    }
    if (n > 1 && digits[0] == '0')
        return false;
    return num_parse_u64(sv_make(digits, n), out);
}

/* The same with a sign. */
static bool
plain_i64(struct sv text, bool *is_negative, uint64_t *size)
{
    *is_negative = text.len > 0 && text.ptr[0] == '-';
    if (*is_negative)
        text = sv_sub(text, 1, SIZE_MAX);
    return plain_u64(text, size) &&
        *size <= (uint64_t)INT64_MAX + *is_negative;
}

static bool
format_hexnumencode(struct sb *out, struct sv value)
{
    uint64_t n;

    if (!plain_u64(value, &n))
        return false;
    sb_addf(out, "%016llX", (unsigned long long)n);
    return true;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* An empty value is 0 there, too. */
static bool
format_hexnumdecode(struct sb *out, struct sv value)
{
    uint64_t n = 0;

    if (value.len > 16)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        int digit = hex_digit(value.ptr[i]);

        if (digit < 0)
            return false;
        n = n << 4 | (uint64_t)digit;
    }
    sb_add_u64(out, n);
    return true;
}

static bool
format_ipv4(struct sb *out, struct sv value)
{
    uint64_t n;

    if (!plain_u64(value, &n) || n > UINT32_MAX)
        return false;
    sb_addf(out, "%u.%u.%u.%u", (unsigned)(n >> 24),
        (unsigned)(n >> 16 & 0xff), (unsigned)(n >> 8 & 0xff),
        (unsigned)(n & 0xff));
    return true;
}

/* --- times --- */

static void
add_seconds(struct sb *out, uint64_t ns)
{
    char digits[16];
    int n = 9;

    sb_add_u64(out, ns / NS_PER_SEC);
    ns %= NS_PER_SEC;
    if (ns > 0) {
        snprintf(digits, sizeof(digits), "%09u", (unsigned)ns);
        while (digits[n - 1] == '0')
            n--;
        sb_addf(out, ".%.*s", n, digits);
    }
    sb_add_char(out, 's');
}

/*
 * "1h2m3.5s".  From a second on the rest is a fraction of seconds.  The least
 * number, whose size is none of int64's, is recorded as a sign alone.
 */
static bool
format_duration(struct sb *out, struct sv value)
{
    static const struct num_unit units[] = {
        {{"w", 1}, UINT64_C(7) * 24 * 3600 * NS_PER_SEC},
        {{"d", 1}, UINT64_C(24) * 3600 * NS_PER_SEC},
        {{"h", 1}, UINT64_C(3600) * NS_PER_SEC},
        {{"m", 1}, UINT64_C(60) * NS_PER_SEC},
        {{"s", 1}, NS_PER_SEC},
        {{"ms", 2}, NS_PER_MS},
        {{"\xc2\xb5s", 3}, 1000},
        {{"ns", 2}, 1},
    };
    bool is_negative;
    uint64_t ns;

    if (!plain_i64(value, &is_negative, &ns))
        return false;
    if (ns == 0)
        sb_add_char(out, '0');
    else if (is_negative)
        sb_add_char(out, '-');
    for (size_t i = 0; i < ARRAY_LEN(units) && ns <= INT64_MAX; i++) {
        if (ns < units[i].factor)
            continue;
        if (units[i].factor == NS_PER_SEC) {
            add_seconds(out, ns);
            break;
        }
        sb_add_u64(out, ns / units[i].factor);
        sb_add_sv(out, units[i].name);
        ns %= units[i].factor;
    }
    return true;
}

static bool
format_duration_seconds(struct sb *out, struct sv value)
{
    int64_t ns;

    if (!duration_parse(value, &ns))
        return false;
    number_print(out, (double)ns / 1e9);
    return true;
}

/* The size tells the unit: s, ms, us or ns since 1970. */
static bool
format_time(struct sb *out, struct sv value)
{
    uint64_t factor = 1, size;
    char text[TIME_TEXT_MAX];
    bool is_negative;

    if (!plain_i64(value, &is_negative, &size))
        return false;
    if (size < UINT64_C(1) << 31)
        factor = NS_PER_SEC;
    else if (size < (UINT64_C(1) << 31) * 1000)
        factor = NS_PER_MS;
    else if (size < (UINT64_C(1) << 31) * 1000000)
        factor = 1000;
    if (size > INT64_MAX)
        return false;
    sb_add(out, text, time_print_short(text, is_negative
        ? -(int64_t)(size * factor) : (int64_t)(size * factor)));
    return true;
}

/* --- bytes --- */

static bool
format_base64encode(struct sb *out, struct sv value)
{
    sb_add_base64(out, (const uint8_t *)value.ptr, value.len);
    return true;
}

/* With its padding, and in the one alphabet. */
static bool
format_base64decode(struct sb *out, struct sv value)
{
    size_t n = value.len;
    char *dst;
    ssize_t len;

    if (n % 4 != 0)
        return false;
    for (unsigned i = 0; i < 2 && n > 0 && value.ptr[n - 1] == '='; i++)
        n--;
    for (size_t i = 0; i < n; i++) {
        char c = value.ptr[i];

        if (hex_digit(c) < 0 && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
            c != '+' && c != '/')
            return false;
    }
    dst = sb_reserve(out, value.len / 4 * 3 + 3);
    if (dst == NULL)
        return true;
    len = enc_unbase64(value, (uint8_t *)dst);
    if (len < 0)
        return false;
    sb_advance(out, (size_t)len);
    return true;
}

static bool
format_hexencode(struct sb *out, struct sv value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        sb_add_char(out, HEX_UPPER[c >> 4]);
        sb_add_char(out, HEX_UPPER[c & 15]);
    }
    return true;
}

static bool
format_hexdecode(struct sb *out, struct sv value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.len % 2 != 0 || hex_digit(value.ptr[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < value.len; i += 2)
        sb_add_char(out, (char)(hex_digit(value.ptr[i]) << 4 |
            hex_digit(value.ptr[i + 1])));
    return true;
}

static bool
format_urlencode(struct sb *out, struct sv value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' &&
            (c | 0x20) <= 'z') || (c != '\0' && strchr("-_.~", c) != NULL)) {
            sb_add_char(out, (char)c);
        } else if (c == ' ') {
            sb_add_char(out, '+');
        } else {
            sb_add_char(out, '%');
            sb_add_char(out, HEX_UPPER[c >> 4]);
            sb_add_char(out, HEX_UPPER[c & 15]);
        }
    }
    return true;
}

static bool
format_urldecode(struct sb *out, struct sv value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '%' && (value.len - i < 3 ||
            hex_digit(value.ptr[i + 1]) < 0 ||
            hex_digit(value.ptr[i + 2]) < 0))
            return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '%') {
            c = (char)(hex_digit(value.ptr[i + 1]) << 4 |
                hex_digit(value.ptr[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        sb_add_char(out, c);
    }
    return true;
}

/* --- texts --- */

static bool
format_lc(struct sb *out, struct sv value)
{
    text_lower(out, value);
    return true;
}

static bool
format_uc(struct sb *out, struct sv value)
{
    text_upper(out, value);
    return true;
}

static bool
format_q(struct sb *out, struct sv value)
{
    struct json_out json;

    json_out_init(&json, out);
    json_string(&json, value);
    return true;
}

/* --- the table --- */

static const struct {
    const char *name;
    format_fn fn;
} formats[] = {
    {"base64decode", format_base64decode},
    {"base64encode", format_base64encode},
    {"duration", format_duration},
    {"duration_seconds", format_duration_seconds},
    {"hexdecode", format_hexdecode},
    {"hexencode", format_hexencode},
    {"hexnumdecode", format_hexnumdecode},
    {"hexnumencode", format_hexnumencode},
    {"ipv4", format_ipv4},
    {"lc", format_lc},
    {"q", format_q},
    {"time", format_time},
    {"uc", format_uc},
    {"urldecode", format_urldecode},
    {"urlencode", format_urlencode},
};

format_fn
format_find(struct sv option)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (sv_eq(sv_from(formats[i].name), option))
            return formats[i].fn;
    }
    return NULL;
}
