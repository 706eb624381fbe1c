/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/text.h"

#include <math.h>

#include "core/num.h"

/* No number that anybody writes is longer; a longer one is text. */
#define NUMBER_TEXT_MAX 1100u

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Whole numbers, which most values are: at most 18 digits fit without a look
 * at overflow.  False says nothing: the general way decides.
 */
static inline bool
parse_whole(struct sv text, double *out)
{
    const char *ptr = text.ptr, *end;
    bool is_negative;
    uint64_t v = 0;

    if (text.len == 0)
        return false;
    end = ptr + text.len;
    is_negative = *ptr == '-';
    ptr += is_negative;
    if (ptr == end || end - ptr > 18)
        return false;
    for (; ptr < end; ptr++) {
        unsigned digit = (unsigned)(unsigned char)*ptr - '0';

        if (digit > 9)
            return false;
        v = 10 * v + digit;
    }
    *out = is_negative ? -(double)v : (double)v;
    return true;
}

/*
 * Copies text without the underscores that stand between two digits.
 * Returns the length; 0 if one stands elsewhere or text is too long.
 */
static size_t
copy_digits(char dst[NUMBER_TEXT_MAX], struct sv text, bool is_hex)
{
    size_t len = 0;

    if (text.len > NUMBER_TEXT_MAX)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c != '_') {
            dst[len++] = c;
            continue;
        }
        if (i == 0 || i + 1 == text.len || text.ptr[i + 1] == '_'
            || (!is_hex && (!is_digit(text.ptr[i - 1])
                || !is_digit(text.ptr[i + 1]))))
            return 0;
    }
    return len;
}

static bool
parse_decimal(struct sv text, double *out)
{
    char copy[NUMBER_TEXT_MAX];

    if (text.len > NUMBER_TEXT_MAX)
        return false;
    if (sv_find_byte(text, '_') < text.len)
        text = sv_make(copy, copy_digits(copy, text, false));
    return num_parse_double(text, out);
}

/* What "0x", "0b" and "0o" are followed by; 0 if it is none of them. */
static unsigned
base_of(struct sv text)
{
    if (text.len < 3 || text.ptr[0] != '0')
        return 0;
    switch (text.ptr[1] | 0x20) {
    case 'x':
        return 16;
    case 'o':
        return 8;
    case 'b':
        return 2;
    default:
        return 0;
    }
}

static unsigned
digit_value(char c)
{
    if (is_digit(c))
        return (unsigned)(c - '0');
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (unsigned)((c | 0x20) - 'a' + 10);
    return UINT_MAX;
}

/* "0x1F", "0b11", "0o17", "0x_ff": no sign, at most 64 bits. */
static bool
parse_based(struct sv text, uint64_t *out)
{
    unsigned base = base_of(text);
    uint64_t v = 0;
    char copy[NUMBER_TEXT_MAX];

    if (base == 0)
        return false;
    /* Go's way: an underscore may follow the base, too. */
    if (sv_find_byte(text, '_') < text.len)
        text = sv_make(copy, copy_digits(copy, text, true));
    if (text.len < 3)
        return false;
    for (size_t i = 2; i < text.len; i++) {
        unsigned digit = digit_value(text.ptr[i]);

        if (digit >= base || __builtin_mul_overflow(v, base, &v)
            || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *out = v;
    return true;
}

static bool
parse_special(struct sv text, double *out)
{
    double sign = 1;

    if (sv_eq_nocase(text, SV("nan"))) {
        *out = NAN;
        return true;
    }
    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        sign = text.ptr[0] == '-' ? -1 : 1;
        text = sv_sub(text, 1, SIZE_MAX);
    }
    if (!sv_eq_nocase(text, SV("inf")) && !sv_eq_nocase(text, SV("infinity")))
        return false;
    *out = sign * INFINITY;
    return true;
}

static bool
parse_generic(struct sv text, double *out)
{
    bool has_sign = text.ptr[0] == '-' || text.ptr[0] == '+';
    uint64_t v;

    if (parse_decimal(text, out) || parse_special(text, out))
        return true;
    if (!parse_based(sv_sub(text, has_sign ? 1 : 0, SIZE_MAX), &v))
        return false;
    *out = text.ptr[0] == '-' ? -(double)v : (double)v;
    return true;
}

static const struct num_unit duration_units[] = {
    {{"ns", 2}, 1},
    {{"\xc2\xb5s", 3}, NS_PER_US}, /* U+00B5; "us" is no unit */
    {{"ms", 2}, NS_PER_MS},
    {{"s", 1}, NS_PER_SEC},
    {{"m", 1}, 60 * NS_PER_SEC},
    {{"h", 1}, 3600 * NS_PER_SEC},
    {{"d", 1}, NS_PER_DAY},
    {{"w", 1}, 7 * NS_PER_DAY},
    {{"y", 1}, 365 * NS_PER_DAY},
};

static const struct num_unit size_units[] = {
    {{"KiB", 3}, KIB},
    {{"Ki", 2}, KIB},
    {{"KB", 2}, 1000},
    {{"K", 1}, 1000},
    {{"MiB", 3}, MIB},
    {{"Mi", 2}, MIB},
    {{"MB", 2}, 1000000},
    {{"M", 1}, 1000000},
    {{"GiB", 3}, GIB},
    {{"Gi", 2}, GIB},
    {{"GB", 2}, 1000000000},
    {{"G", 1}, 1000000000},
    {{"TiB", 3}, 1024 * GIB},
    {{"Ti", 2}, 1024 * GIB},
    {{"TB", 2}, 1000 * UINT64_C(1000000000)},
    {{"T", 1}, 1000 * UINT64_C(1000000000)},
    {{"B", 1}, 1},
};

/* "-1h30m": the sum saturates at what int64_t holds. */
static bool
parse_units(struct sv text, const struct num_unit *units, size_t nunits,
    int64_t *out)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t sum = 0;

    if (text.len > NUMBER_TEXT_MAX)
        return false;
    text = sv_sub(text, is_negative ? 1 : 0, SIZE_MAX);
    if (text.len == 0)
        return false;
    while (text.len > 0) {
        if (!num_take_unit(&text, units, nunits, &sum))
            return false;
    }
    if (is_negative)
        *out = sum > INT64_MAX ? INT64_MIN : -(int64_t)sum;
    else
        *out = (int64_t)MIN(sum, (uint64_t)INT64_MAX);
    return true;
}

bool
duration_parse(struct sv text, int64_t *ns)
{
    return parse_units(text, duration_units, ARRAY_LEN(duration_units), ns);
}

static bool
size_parse(struct sv text, int64_t *bytes)
{
    return parse_units(text, size_units, ARRAY_LEN(size_units), bytes);
}

/* The bytes that a number can begin with: digits, signs, '.', inf, nan. */
static bool
may_be_number(struct sv text)
{
    if (text.len == 0)
        return false;
    switch (text.ptr[0]) {
    case '0' ... '9':
    case '-':
    case '+':
    case '.':
        return true;
    case 'i':
    case 'I':
    case 'n':
    case 'N':
        return text.len <= 8;
    default:
        return false;
    }
}

bool
number_parse(struct sv text, double *out)
{
    int64_t v;
    char last;

    if (parse_whole(text, out))
        return true;
    if (!may_be_number(text))
        return false;

    /* No two of the three read the same text: the end tells most. */
    last = text.ptr[text.len - 1];
    if (is_digit(last) || last == '.')
        return parse_generic(text, out);
    if (duration_parse(text, &v) || size_parse(text, &v)) {
        *out = (double)v;
        return true;
    }
    return parse_generic(text, out);
}

bool
operand_parse(struct sv text, double *out)
{
    int64_t ns;
    uint32_t address;

    if (number_parse(text, out))
        return true;
    if (time_parse_value(text, &ns)) {
        *out = (double)ns;
        return true;
    }
    if (ipv4_parse(text, &address)) {
        *out = address;
        return true;
    }
    return false;
}

bool
uint_parse(struct sv text, uint64_t *out)
{
    char copy[NUMBER_TEXT_MAX];
    struct sv digits = text;
    int64_t v;

    if (text.len == 0 || text.ptr[0] == '-')
        return false;
    if (sv_find_byte(text, '_') < text.len)
        digits = sv_make(copy, copy_digits(copy, text, false));
    if (num_parse_u64(digits, out) || parse_based(text, out))
        return true;
    if (sv_eq_nocase(text, SV("inf"))) {
        *out = UINT64_MAX;
        return true;
    }
    if (!duration_parse(text, &v) && !size_parse(text, &v))
        return false;
    *out = (uint64_t)v;
    return true;
}

bool
ipv4_parse(struct sv text, uint32_t *out)
{
    const char *ptr = text.ptr, *end;
    uint32_t address = 0;

    if (text.len < 7 || text.len > 15)
        return false;
    end = ptr + text.len;
    for (unsigned octet = 0; octet < 4; octet++) {
        const char *start = ptr;
        unsigned v = 0;

        for (; ptr < end && ptr - start < 3 && is_digit(*ptr); ptr++)
            v = 10 * v + (unsigned)(*ptr - '0');
        if (ptr == start || v > 255)
            return false;
        if (octet < 3 && (ptr == end || *ptr++ != '.'))
            return false;
        address = address << 8 | v;
    }
    if (ptr != end)
        return false;
    *out = address;
    return true;
}

void
number_print(struct sb *out, double v)
{
    char *dst = sb_reserve(out, NUM_DOUBLE_MAX);

    if (dst != NULL)
        sb_advance(out, num_print_double(dst, v));
}
