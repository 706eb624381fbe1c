/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/timefmt.h"

#include "core/num.h"
#include "core/sys.h"

#define NS_PER_MINUTE (60 * NS_PER_SEC)
#define NS_PER_HOUR (3600 * NS_PER_SEC)

int64_t
clock_wall_ns(void)
{
    return sys.wall_ns();
}

int64_t
clock_mono_ns(void)
{
    return sys.mono_ns();
}

/* Days of a 400-year cycle of the Gregorian calendar, and to 0000-03-01. */
#define DAYS_PER_ERA 146097
#define DAYS_TO_1970 719468

/* Rounds to the past, also before 1970. */
static int64_t
floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/*
 * Years are counted from March, so that the day that only leap years have is
 * the last of the year, and the months' lengths follow 153 days per 5 months.
 */
struct civil
civil_from_days(int64_t days)
{
    int64_t shifted = days + DAYS_TO_1970;
    int64_t era = floor_div(shifted, DAYS_PER_ERA);
    unsigned day_of_era = (unsigned)(shifted - era * DAYS_PER_ERA);
    unsigned year_of_era = (day_of_era - day_of_era / 1460
        + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era
        - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153;
    struct civil c;

    c.day = day_of_year - (153 * march_month + 2) / 5 + 1;
    c.month = march_month < 10 ? march_month + 3 : march_month - 9;
    c.year = (int)(era * 400 + year_of_era) + (c.month <= 2);
    return c;
}

int64_t
civil_to_days(struct civil c)
{
    int64_t year = (int64_t)c.year - (c.month <= 2);
    int64_t era = floor_div(year, 400);
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned march_month = c.month > 2 ? c.month - 3 : c.month + 9;
    unsigned day_of_year = (153 * march_month + 2) / 5 + c.day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4
        - year_of_era / 100 + day_of_year;

    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

uint32_t
time_day(int64_t ns)
{
    struct civil c = civil_from_days(floor_div(ns, NS_PER_DAY));

    return (uint32_t)c.year * 10000 + c.month * 100 + c.day;
}

int64_t
time_day_start(uint32_t day)
{
    struct civil c = {(int)(day / 10000), day / 100 % 100, day % 100};
    int64_t ns;

    /* The first day of int64_t begins before its range does. */
    if (__builtin_mul_overflow(civil_to_days(c), NS_PER_DAY, &ns))
        return c.year < 1970 ? INT64_MIN : INT64_MAX;
    return ns;
}

static const struct num_unit duration_units[] = {
    {{"ns", 2}, 1},
    {{"us", 2}, NS_PER_US},
    {{"\xc2\xb5s", 3}, NS_PER_US}, /* U+00B5 */
    {{"\xce\xbcs", 3}, NS_PER_US}, /* U+03BC */
    {{"ms", 2}, NS_PER_MS},
    {{"s", 1}, NS_PER_SEC},
    {{"m", 1}, NS_PER_MINUTE},
    {{"h", 1}, NS_PER_HOUR},
    {{"d", 1}, NS_PER_DAY},
    {{"w", 1}, 7 * NS_PER_DAY},
    {{"y", 1}, 365 * NS_PER_DAY},
};

bool
time_parse_duration(struct sv text, int64_t *ns)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t total = 0;

    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+'))
        text = sv_sub(text, 1, SIZE_MAX);
    if (text.len == 0)
        return false;
    if (sv_eq(text, SV("0"))) {
        *ns = 0;
        return true;
    }
    while (text.len > 0) {
        if (!num_take_unit(&text, duration_units, ARRAY_LEN(duration_units),
            &total))
            return false;
    }
    if (total > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *ns = (int64_t)(negative ? -total : total);
    return true;
}

bool
time_parse_retention(struct sv text, int64_t *ns)
{
    double months, total;

    if (text.len > 0 && text.ptr[0] >= '0' && text.ptr[0] <= '9'
        && num_parse_double(text, &months)) {
        total = months * 31 * (double)NS_PER_DAY;
        if (total >= 0x1p63)
            return false;
        *ns = (int64_t)total;
        return true;
    }
    return time_parse_duration(text, ns);
}

static char *
print_padded(char *dst, uint64_t v, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        dst[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return dst + width;
}

size_t
time_print_rfc3339(char *dst, int64_t ns, int digits)
{
    int64_t days = floor_div(ns, NS_PER_DAY);
    /* Not days * NS_PER_DAY: the first day begins before int64_t does. */
    int64_t remainder = ns % NS_PER_DAY;
    uint64_t of_day = (uint64_t)(remainder < 0
        ? remainder + NS_PER_DAY : remainder);
    uint64_t second = of_day / NS_PER_SEC, fraction = of_day % NS_PER_SEC;
    struct civil c = civil_from_days(days);
    char *p = dst;

    p = print_padded(p, (uint64_t)c.year, 4);
    *p++ = '-';
    p = print_padded(p, c.month, 2);
    *p++ = '-';
    p = print_padded(p, c.day, 2);
    *p++ = 'T';
    p = print_padded(p, second / 3600, 2);
    *p++ = ':';
    p = print_padded(p, second / 60 % 60, 2);
    *p++ = ':';
    p = print_padded(p, second % 60, 2);
    if (digits > 0) {
        *p++ = '.';
        for (int i = digits; i < 9; i++)
            fraction /= 10;
        p = print_padded(p, fraction, digits);
    }
    *p++ = 'Z';
    return (size_t)(p - dst);
}

/* v / unit with up to nine decimals, then the unit's name. */
static char *
print_decimal(char *dst, uint64_t v, uint64_t unit, const char *name)
{
    uint64_t fraction = v % unit;
    size_t len = strlen(name);

    dst += num_print_u64(dst, v / unit);
    if (fraction > 0) {
        *dst++ = '.';
        while (fraction > 0) {
            unit /= 10;
            *dst++ = (char)('0' + fraction / unit);
            fraction %= unit;
        }
    }
    memcpy(dst, name, len);
    return dst + len;
}

size_t
time_print_duration(char *dst, int64_t ns)
{
    static const struct {
        uint64_t ns;
        char name;
    } large[] = {
        {NS_PER_DAY, 'd'}, {NS_PER_HOUR, 'h'}, {NS_PER_MINUTE, 'm'},
    };
    uint64_t left = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    char *p = dst;

    if (ns < 0)
        *p++ = '-';
    if (left > 0 && left < NS_PER_US)
        return (size_t)(print_decimal(p, left, 1, "ns") - dst);
    if (left > 0 && left < NS_PER_MS)
        return (size_t)(print_decimal(p, left, NS_PER_US, "us") - dst);
    if (left > 0 && left < NS_PER_SEC)
        return (size_t)(print_decimal(p, left, NS_PER_MS, "ms") - dst);

    /* Days only when nothing else follows: "7d" but "25h30m". */
    for (size_t i = left % NS_PER_DAY == 0 ? 0 : 1; i < ARRAY_LEN(large);
        i++) {
        if (left < large[i].ns)
            continue;
        p += num_print_u64(p, left / large[i].ns);
        *p++ = large[i].name;
        left %= large[i].ns;
    }
    if (left > 0 || ns == 0)
        p = print_decimal(p, left, NS_PER_SEC, "s");
    return (size_t)(p - dst);
}
