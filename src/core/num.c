/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/num.h"

#include <float.h>
#include <math.h>

/*
 * More text than this is refused as a number: no double needs more than about
 * 770 digits, and strtod() must not be fed by the megabyte.
 */
#define NUM_TEXT_MAX 4096

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool
num_parse_u64(struct sv text, uint64_t *out)
{
    uint64_t v = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i])
            || __builtin_mul_overflow(v, 10, &v)
            || __builtin_add_overflow(v, (uint64_t)(text.ptr[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool
num_parse_i64(struct sv text, int64_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t v;

    if (!num_parse_u64(sv_sub(text, negative ? 1 : 0, SIZE_MAX), &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *out = (int64_t)(negative ? -v : v);
    return true;
}

bool
num_parse_exact_i64(struct sv text, int64_t *out)
{
    size_t sign = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;

    if (!num_parse_i64(text, out))
        return false;
    return text.ptr[sign] != '0' || text.len == 1;
}

static const double exact_powers[] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* A number taken apart: digits * 10^exponent. */
struct decimal {
    uint64_t digits;      /* all of them only if there are at most 18 */
    int exponent;
    unsigned significant; /* digits, without zeros in front */
    unsigned count;       /* digits, with them */
    bool negative;
};

/* Reads digits; returns where they end. */
static const char *
decimal_digits(const char *p, const char *end, struct decimal *d)
{
    for (; p < end && is_digit(*p); p++) {
        d->count++;
        if (d->significant > 0 || *p != '0')
            d->significant++;
        if (d->significant <= 18)
            d->digits = 10 * d->digits + (uint64_t)(*p - '0');
    }
    return p;
}

/* Reads what follows the 'e'; false if there are no digits. */
static bool
decimal_exponent(const char **p, const char *end, int *out)
{
    bool negative = false;
    int v = 0;

    if (*p < end && (**p == '-' || **p == '+'))
        negative = *(*p)++ == '-';
    if (*p == end)
        return false;
    /* Beyond every double; larger ones need not be told apart. */
    for (; *p < end && is_digit(**p); ++*p)
        v = MIN(10 * v + (**p - '0'), 100000);
    *out = negative ? -v : v;
    return true;
}

/* Checks the grammar [+-] digits [. digits] [e [+-] digits]. */
static bool
decimal_scan(struct sv text, struct decimal *d)
{
    const char *p = text.ptr, *end = p + text.len;
    unsigned whole;

    *d = (struct decimal){0};
    if (p < end && (*p == '-' || *p == '+'))
        d->negative = *p++ == '-';
    p = decimal_digits(p, end, d);
    whole = d->count;
    if (p < end && *p == '.')
        p = decimal_digits(p + 1, end, d);
    if (d->count == 0)
        return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (!decimal_exponent(&p, end, &d->exponent))
            return false;
    }
    d->exponent -= (int)(d->count - whole);
    return p == end;
}

bool
num_parse_double(struct sv text, double *out)
{
    char copy[NUM_TEXT_MAX + 1];
    struct decimal d;
    double v;

    if (text.len == 0 || text.len > NUM_TEXT_MAX || !decimal_scan(text, &d))
        return false;

    /* Both numbers are doubles, so one operation rounds correctly. */
    if (d.significant <= 18 && d.digits <= UINT64_C(1) << 53
        && d.exponent >= -22 && d.exponent <= 22) {
        v = (double)d.digits;
        if (d.exponent < 0)
            v /= exact_powers[-d.exponent];
        else
            v *= exact_powers[d.exponent];
        *out = d.negative ? -v : v;
        return true;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    v = strtod(copy, NULL);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

bool
num_parse_size(struct sv text, uint64_t *bytes)
{
    static const struct {
        struct sv name;
        uint64_t factor;
    } units[] = {
        {{"KiB", 3}, KIB}, {{"MiB", 3}, MIB}, {{"GiB", 3}, GIB},
        {{"TiB", 3}, 1024 * GIB},
        {{"KB", 2}, 1000}, {{"MB", 2}, 1000000}, {{"GB", 2}, 1000000000},
        {{"TB", 2}, UINT64_C(1000000000000)}, {{"B", 1}, 1},
    };
    uint64_t factor = 1, whole;
    double v;

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        struct sv unit = units[i].name;
        struct sv tail = sv_sub(text, text.len - MIN(unit.len, text.len),
            unit.len);

        if (sv_eq_nocase(tail, unit)) {
            factor = units[i].factor;
            text.len -= unit.len;
            break;
        }
    }
    if (num_parse_u64(text, &whole))
        return !__builtin_mul_overflow(whole, factor, bytes);
    if (text.len == 0 || !is_digit(text.ptr[0])
        || sv_find_byte(text, 'e') < text.len
        || sv_find_byte(text, 'E') < text.len
        || !num_parse_double(text, &v))
        return false;
    v *= (double)factor;
    if (v >= 0x1p63)
        return false;
    *bytes = (uint64_t)v;
    return true;
}

/* Digits as they stand, of the fraction as many as scale can count. */
struct scaled {
    uint64_t whole;
    uint64_t fraction;
    uint64_t scale; /* fraction / scale is the part behind the point */
    size_t digits;
    size_t len;     /* bytes of text */
};

static void
scaled_read(struct sv text, struct scaled *s)
{
    size_t i = 0;

    *s = (struct scaled){.scale = 1};
    for (; i < text.len && is_digit(text.ptr[i]); i++, s->digits++) {
        if (__builtin_mul_overflow(s->whole, 10, &s->whole)
            || __builtin_add_overflow(s->whole,
                (uint64_t)(text.ptr[i] - '0'), &s->whole))
            s->whole = UINT64_MAX; /* the next digit overflows, too */
    }
    if (i < text.len && text.ptr[i] == '.') {
        for (i++; i < text.len && is_digit(text.ptr[i]); i++, s->digits++) {
            if (s->scale < UINT64_C(1000000000000000000)) {
                s->fraction = 10 * s->fraction
                    + (uint64_t)(text.ptr[i] - '0');
                s->scale *= 10;
            }
        }
    }
    s->len = i;
}

bool
num_take_unit(struct sv *text, const struct num_unit *units, size_t nunits,
    uint64_t *sum)
{
    struct scaled s;
    struct sv rest;
    unsigned __int128 product;
    size_t u = 0;

    scaled_read(*text, &s);
    if (s.digits == 0)
        return false;
    rest = sv_sub(*text, s.len, SIZE_MAX);
    while (u < nunits && !sv_starts_with(rest, units[u].name))
        u++;
    if (u == nunits)
        return false;
    *text = sv_sub(rest, units[u].name.len, SIZE_MAX);
    product = (unsigned __int128)s.whole * units[u].factor
        + (unsigned __int128)s.fraction * units[u].factor / s.scale + *sum;
    *sum = product > UINT64_MAX ? UINT64_MAX : (uint64_t)product;
    return true;
}

size_t
num_print_u64(char *dst, uint64_t v)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "68697071727374757677787980818283848586878889909192939495969798"
        "99";
    char digits[20];
    size_t at = sizeof(digits);

    while (v >= 100) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * v, 2);
    } else {
        digits[--at] = (char)('0' + v);
    }
    memcpy(dst, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

size_t
num_print_i64(char *dst, int64_t v)
{
    if (v >= 0)
        return num_print_u64(dst, (uint64_t)v);
    *dst = '-';
    return 1 + num_print_u64(dst + 1, -(uint64_t)v);
}

/*
 * Writes digits * 10^exponent without an exponent.  The digits have no zeros
 * at the end, unless they are "0".
 */
static size_t
print_positional(char *dst, const char *digits, int count, int exponent)
{
    int point = count + exponent; /* digits before the point */
    char *p = dst;

    if (point <= 0) {
        *p++ = '0';
        *p++ = '.';
        memset(p, '0', (size_t)-point);
        p += -point;
        memcpy(p, digits, (size_t)count);
        p += count;
    } else if (exponent >= 0) {
        memcpy(p, digits, (size_t)count);
        p += count;
        memset(p, '0', (size_t)exponent);
        p += exponent;
    } else {
        memcpy(p, digits, (size_t)point);
        p += point;
        *p++ = '.';
        memcpy(p, digits + point, (size_t)(count - point));
        p += count - point;
    }
    return (size_t)(p - dst);
}

/*
 * Most values in traces have few decimals: v * 10^k is a whole number of at
 * most 15 digits, and dividing it again gives v, so it is the shortest text.
 */
static size_t
print_few_decimals(char *dst, double v)
{
    char digits[20];

    for (int k = 1; k <= 9; k++) {
        double scaled = v * exact_powers[k], whole;

        if (scaled >= 1e15)
            return 0;
        whole = nearbyint(scaled);
        if (whole >= 1 && whole / exact_powers[k] == v)
            return print_positional(dst, digits,
                (int)num_print_u64(digits, (uint64_t)whole), -k);
    }
    return 0;
}

/* The next decimal of the same length; false for 99...9. */
static bool
digits_increment(char *digits, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        if (digits[i] < '9') {
            digits[i]++;
            return true;
        }
        digits[i] = '0';
    }
    return false;
}

static bool
digits_read_back(const char *digits, int count, int exponent, double v)
{
    char text[40];

    snprintf(text, sizeof(text), "%.*se%d", count, digits, exponent);
    return strtod(text, NULL) == v;
}

/*
 * Shortest digits of a positive v.  Where the gap below v is half of that
 * above (powers of two), the nearest decimal of a length may miss v and the
 * one above it may not.  Subnormals have less than DBL_DIG digits.
 */
static int
shortest_digits(char digits[18], int *exponent, double v)
{
    int first = v < DBL_MIN ? 1 : DBL_DIG, unused;
    bool is_power = frexp(v, &unused) == 0.5;
    int count = 0;

    for (int precision = first; precision <= DBL_DECIMAL_DIG; precision++) {
        char text[40];

        snprintf(text, sizeof(text), "%.*e", precision - 1, v);
        digits[0] = text[0];
        if (precision > 1)
            memcpy(digits + 1, text + 2, (size_t)precision - 1);
        *exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10)
            - (precision - 1);
        count = precision;
        if (precision == DBL_DECIMAL_DIG
            || digits_read_back(digits, count, *exponent, v))
            break;
        if (is_power && digits_increment(digits, count)
            && digits_read_back(digits, count, *exponent, v))
            break;
    }
    while (count > 1 && digits[count - 1] == '0') {
        count--;
        ++*exponent;
    }
    return count;
}

size_t
num_print_double(char *dst, double v)
{
    char digits[18];
    size_t sign = 0, len;
    int count, exponent;

    if (isnan(v)) {
        memcpy(dst, "NaN", 3);
        return 3;
    }
    if (isinf(v)) {
        memcpy(dst, v > 0 ? "+Inf" : "-Inf", 4);
        return 4;
    }
    if (signbit(v)) {
        *dst++ = '-';
        sign = 1;
        v = -v;
    }
    if (v < 0x1p53 && v == (double)(uint64_t)v)
        return sign + num_print_u64(dst, (uint64_t)v);
    len = print_few_decimals(dst, v);
    if (len > 0)
        return sign + len;
    count = shortest_digits(digits, &exponent, v);
    return sign + print_positional(dst, digits, count, exponent);
}
