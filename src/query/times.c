/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/text.h"

#include <math.h>

#include "core/num.h"
#include "core/timefmt.h"

#define NS_PER_MINUTE (60 * NS_PER_SEC)
#define NS_PER_HOUR (3600 * NS_PER_SEC)

/* Years of which int64_t nanoseconds hold at least a part. */
#define YEAR_MIN 1677
#define YEAR_MAX 2262

/* How much of "2026-03-01T10:00:00.123" was written. */
enum time_unit {
    TIME_YEAR,
    TIME_MONTH,
    TIME_DAY,
    TIME_HOUR,
    TIME_MINUTE,
    TIME_SECOND,
    TIME_FRACTION,
};

struct time_parts {
    enum time_unit unit; /* the finest that was written */
    struct civil date;
    int64_t of_day;      /* ns */
    unsigned digits;     /* of the fraction */
    bool has_zone;
    int64_t zone;        /* ns east of UTC */
};

/* Takes a separator and two digits. */
static bool
take_two(struct sv *text, char separator, unsigned max, unsigned *out)
{
    const char *p = text->ptr;
    unsigned tens, ones;

    if (text->len < 3 || p[0] != separator)
        return false;
    tens = (unsigned)(unsigned char)p[1] - '0';
    ones = (unsigned)(unsigned char)p[2] - '0';
    if (tens > 9 || ones > 9 || 10 * tens + ones > max)
        return false;
    *out = 10 * tens + ones;
    *text = sv_sub(*text, 3, SIZE_MAX);
    return true;
}

static unsigned
month_days(struct civil date)
{
    struct civil next = {date.year, date.month + 1, 1};

    if (date.month == 12)
        return 31;
    return (unsigned)(civil_to_days(next)
        - civil_to_days((struct civil){date.year, date.month, 1}));
}

static bool
take_year(struct sv *text, struct time_parts *parts)
{
    uint64_t year;

    if (!num_parse_u64(sv_sub(*text, 0, 4), &year) || text->len < 4
        || year < YEAR_MIN || year > YEAR_MAX)
        return false;
    *text = sv_sub(*text, 4, SIZE_MAX);
    parts->unit = TIME_YEAR;
    parts->date = (struct civil){(int)year, 1, 1};
    return true;
}

/* Whether "-03:00" follows, not "-03-01". */
static bool
is_zone(struct sv text)
{
    return text.len == 6 && text.ptr[3] == ':'
        && (text.ptr[0] == '-' || text.ptr[0] == '+');
}

/* "-03", then "-01" */
static void
take_date(struct sv *text, struct time_parts *parts)
{
    unsigned v;

    if (!take_two(text, '-', 12, &v) || v == 0)
        return;
    parts->unit = TIME_MONTH;
    parts->date.month = v;
    if (is_zone(*text)
        || !take_two(text, '-', month_days(parts->date), &v) || v == 0)
        return;
    parts->unit = TIME_DAY;
    parts->date.day = v;
}

/* Digits after the point, at most nine. */
static bool
take_fraction(struct sv *text, struct time_parts *parts)
{
    static const int64_t powers[] = {1000000000, 100000000, 10000000, 1000000,
        100000, 10000, 1000, 100, 10, 1};
    int64_t v = 0;
    unsigned n = 0;

    *text = sv_sub(*text, 1, SIZE_MAX);
    for (; n < text->len && text->ptr[n] >= '0' && text->ptr[n] <= '9'; n++) {
        if (n == 9)
            return false;
        v = 10 * v + (text->ptr[n] - '0');
    }
    if (n == 0)
        return false;
    *text = sv_sub(*text, n, SIZE_MAX);
    parts->unit = TIME_FRACTION;
    parts->digits = n;
    parts->of_day += v * powers[n];
    return true;
}

/* "T10", then ":30", then ":59", then ".5" */
static bool
take_clock(struct sv *text, char separator, struct time_parts *parts)
{
    unsigned v;

    if (!take_two(text, separator, 23, &v))
        return true;
    parts->unit = TIME_HOUR;
    parts->of_day = (int64_t)v * NS_PER_HOUR;
    if (!take_two(text, ':', 59, &v))
        return true;
    parts->unit = TIME_MINUTE;
    parts->of_day += (int64_t)v * NS_PER_MINUTE;
    if (!take_two(text, ':', 59, &v))
        return true;
    parts->unit = TIME_SECOND;
    parts->of_day += (int64_t)v * NS_PER_SEC;
    if (text->len == 0 || text->ptr[0] != '.')
        return true;
    return take_fraction(text, parts);
}

/* The rest of the text is nothing, "Z" or "+02:00". */
static bool
take_zone(struct sv text, struct time_parts *parts)
{
    unsigned hours, minutes;
    bool is_west;

    if (text.len == 0)
        return true;
    parts->has_zone = true;
    if (text.len == 1 && text.ptr[0] == 'Z')
        return true;
    is_west = text.ptr[0] == '-';
    if (text.len != 6 || !take_two(&text, is_west ? '-' : '+', 23, &hours)
        || !take_two(&text, ':', 59, &minutes))
        return false;
    parts->zone = (int64_t)hours * NS_PER_HOUR
        + (int64_t)minutes * NS_PER_MINUTE;
    if (is_west)
        parts->zone = -parts->zone;
    return true;
}

/* A date and what follows it, of which all may be missing but the year. */
static bool
parse_parts(struct sv text, char separator, struct time_parts *parts)
{
    *parts = (struct time_parts){.unit = TIME_YEAR};
    if (!take_year(&text, parts))
        return false;
    if (!is_zone(text))
        take_date(&text, parts);
    if (parts->unit == TIME_DAY && !is_zone(text)
        && !take_clock(&text, separator, parts))
        return false;
    return take_zone(text, parts);
}

/* false: not a time that int64_t holds. */
static bool
parts_time(struct civil date, int64_t of_day, int64_t zone, int64_t *ns)
{
    __int128 t = (__int128)civil_to_days(date) * NS_PER_DAY + of_day - zone;

    if (t < INT64_MIN || t > INT64_MAX)
        return false;
    *ns = (int64_t)t;
    return true;
}

bool
time_parse_value(struct sv text, int64_t *ns)
{
    struct time_parts parts;

    /* Nearly all texts end here. */
    if (text.len < 19 || text.len > 35 || text.ptr[4] != '-'
        || (text.ptr[10] != 'T' && text.ptr[10] != ' '))
        return false;
    return parse_parts(text, text.ptr[10], &parts)
        && parts.unit >= TIME_SECOND
        && parts_time(parts.date, parts.of_day, parts.zone, ns);
}

/* Nanoseconds that the part names, where it is not of the calendar. */
static int64_t
parts_length(const struct time_parts *parts)
{
    switch (parts->unit) {
    case TIME_HOUR:
        return NS_PER_HOUR;
    case TIME_MINUTE:
        return NS_PER_MINUTE;
    case TIME_SECOND:
        return NS_PER_SEC;
    case TIME_FRACTION:
        return parts->digits == 3 ? NS_PER_MS : 1;
    default:
        return NS_PER_DAY;
    }
}

static int64_t
parts_end(const struct time_parts *parts, int64_t start)
{
    struct civil next = parts->date;
    int64_t end;

    if (parts->unit >= TIME_DAY) {
        return __builtin_add_overflow(start, parts_length(parts) - 1, &end)
            ? INT64_MAX : end;
    }
    if (parts->unit == TIME_YEAR || next.month == 12)
        next = (struct civil){next.year + 1, 1, 1};
    else
        next.month++;
    if (!parts_time(next, 0, parts->zone, &end))
        return INT64_MAX;
    return end - 1;
}

static bool
parse_date(struct sv text, int64_t *start, int64_t *end)
{
    struct time_parts parts;

    if (!parse_parts(text, 'T', &parts))
        return false;
    if (parts.unit == TIME_YEAR && parts.date.year < 1970)
        return false;
    if (parts.unit == TIME_FRACTION && !parts.has_zone)
        return false;
    if (!parts_time(parts.date, parts.of_day, parts.zone, start))
        return false;
    *end = parts_end(&parts, *start);
    return true;
}

/* "now", "now-1h", "-1h" and "1h": never later than now. */
static bool
parse_relative(struct sv text, int64_t now_ns, int64_t *out)
{
    static const struct num_unit units[] = {
        {{"ms", 2}, NS_PER_MS},
        {{"s", 1}, NS_PER_SEC},
        {{"m", 1}, NS_PER_MINUTE},
        {{"h", 1}, NS_PER_HOUR},
        {{"d", 1}, NS_PER_DAY},
        {{"w", 1}, 7 * NS_PER_DAY},
        {{"y", 1}, 365 * NS_PER_DAY},
    };
    uint64_t ago = 0;

    if (sv_starts_with(text, SV("now"))) {
        text = sv_sub(text, 3, SIZE_MAX);
        if (text.len == 0) {
            *out = now_ns;
            return true;
        }
        if (text.ptr[0] != '-')
            return false;
    }
    if (text.len > 0 && text.ptr[0] == '-')
        text = sv_sub(text, 1, SIZE_MAX);
    if (text.len == 0)
        return false;
    while (text.len > 0) {
        if (!num_take_unit(&text, units, ARRAY_LEN(units), &ago))
            return false;
    }
    ago -= ago % NS_PER_MS;
    if (ago > INT64_MAX
        || __builtin_sub_overflow(now_ns, (int64_t)ago, out))
        *out = INT64_MIN;
    return true;
}

/* Nanoseconds of the unit that a Unix time of this size is meant in. */
static uint64_t
unix_unit(double v)
{
    if (v < 0x1p31)
        return NS_PER_SEC;
    if (v < 0x1p31 * 1e3)
        return NS_PER_MS;
    if (v < 0x1p31 * 1e6)
        return NS_PER_US;
    return 1;
}

static bool
parse_unix(struct sv text, int64_t *out)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    struct num_unit unit = {{"", 0}, 0};
    struct sv digits = sv_sub(text, is_negative ? 1 : 0, SIZE_MAX);
    uint64_t ns = 0;
    double v;

    if (!num_parse_double(text, &v))
        return false;
    unit.factor = unix_unit(fabs(v));
    /* Exactly, unless there is an exponent. */
    if (!num_take_unit(&digits, &unit, 1, &ns) || digits.len > 0) {
        v = fabs(v) * (double)unit.factor;
        ns = v >= 0x1p63 ? UINT64_MAX : (uint64_t)v;
    }
    if (ns > INT64_MAX)
        return false;
    *out = is_negative ? -(int64_t)ns : (int64_t)ns;
    return true;
}

bool
time_parse_query(struct sv text, int64_t now_ns, int64_t *start, int64_t *end)
{
    if (parse_date(text, start, end))
        return true;
    /* Four digits are a year, even if it is none that there is. */
    if (text.len == 4 && num_parse_u64(text, &(uint64_t){0}))
        return false;
    if (!parse_unix(text, start) && !parse_relative(text, now_ns, start))
        return false;
    *end = *start;
    return true;
}

int64_t
time_arg_end(int64_t ns)
{
    int64_t last = 0, end;

    if (ns % NS_PER_SEC == 0)
        last = NS_PER_SEC - 1;
    else if (ns % NS_PER_MS == 0)
        last = NS_PER_MS - 1;
    return __builtin_add_overflow(ns, last, &end) ? INT64_MAX : end;
}

size_t
time_print_short(char *dst, int64_t ns)
{
    size_t len = time_print_rfc3339(dst, ns, ns % NS_PER_SEC == 0 ? 0 : 9);

    if (ns % NS_PER_SEC == 0)
        return len;
    len--;
    while (dst[len - 1] == '0')
        len--;
    dst[len++] = 'Z';
    return len;
}
