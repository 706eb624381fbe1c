/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/bucket.h"

#include <math.h>

#include "core/num.h"
#include "core/timefmt.h"
#include "query/text.h"

#define NS_PER_WEEK (7 * NS_PER_DAY)
/* 1970-01-01 was a Thursday; weeks start on Mondays. */
#define MONDAY_NS (-3 * NS_PER_DAY)

bool
bucket_is_none(const struct stats_by *by)
{
    return by->bucket == BUCKET_NONE ||
        (by->bucket == BUCKET_STEP && by->step == 0);
}

/* Whole numbers and times stay such: what is left of a step of 2.5. */
static int64_t
whole_of(double v, int64_t exact)
{
    return exact != 0 || fabs(v) >= 9e18 ? exact : (int64_t)v;
}

static int64_t
offset_of(const struct stats_by *by)
{
    return whole_of(by->offset, by->offset_ns);
}

/* Whole numbers only: floor((v - offset) / step) * step + offset. */
static int64_t
floor_to(int64_t v, int64_t step, int64_t offset)
{
    int64_t shifted, rest, start;

    if (step <= 1)
        return v;
    if (__builtin_sub_overflow(v, offset, &shifted))
        return v;
    rest = shifted % step;
    if (rest < 0)
        rest += step;
    if (__builtin_sub_overflow(v, rest, &start))
        return v;
    return start;
}

static int64_t
step_of(const struct stats_by *by)
{
    switch (by->bucket) {
    case BUCKET_STEP:
        return whole_of(by->step, by->step_ns);
    case BUCKET_IPV4:
        return (INT64_C(1) << 32) - by->step_ns;
    case BUCKET_WEEK:
        return NS_PER_WEEK;
    default:
        return 0;
    }
}

int64_t
bucket_width(const struct stats_by *by)
{
    return step_of(by);
}

int64_t
bucket_int(const struct stats_by *by, int64_t v)
{
    return floor_to(v, step_of(by), offset_of(by));
}

/* Month and year: calendar units in UTC. */
static int64_t
floor_calendar(int64_t ns, bool is_year)
{
    uint32_t day = time_day(ns); /* 20261121 */

    return time_day_start(is_year ? day / 10000 * 10000 + 101
        : day / 100 * 100 + 1);
}

int64_t
bucket_time(const struct stats_by *by, int64_t ns)
{
    int64_t offset = offset_of(by), shifted;

    if (by->bucket == BUCKET_WEEK)
        return floor_to(ns, NS_PER_WEEK, offset + MONDAY_NS);
    if (by->bucket != BUCKET_MONTH && by->bucket != BUCKET_YEAR)
        return floor_to(ns, step_of(by), offset);
    if (__builtin_sub_overflow(ns, offset, &shifted))
        return ns;
    return floor_calendar(shifted, by->bucket == BUCKET_YEAR) + offset;
}

/* --- texts --- */

/* Decimal digits behind the point of a step: 0.25 has two. */
static int
fraction_digits(double v)
{
    char text[NUM_DOUBLE_MAX];
    size_t len = num_print_double(text, v);
    size_t point = sv_find_byte(sv_make(text, len), '.');

    return point == len ? 0 : (int)(len - point - 1);
}

/*
 * The same in doubles.  0.3 is in the bucket 0.3 of step 0.1, although
 * 0.3 / 0.1 is a little less than 3; the result is cut to the digits that
 * step and offset have.
 */
static double
floor_double(const struct stats_by *by, double v)
{
    double step = by->bucket == BUCKET_STEP ? by->step : (double)step_of(by);
    double q, near, scale;
    int digits = MAX(fraction_digits(step), fraction_digits(by->offset));

    if (step <= 0)
        return v;
    q = (v - by->offset) / step;
    near = nearbyint(q);
    q = fabs(q - near) <= 1e-9 * fmax(1, fabs(q)) ? near : floor(q);
    v = q * step + by->offset;
    scale = pow(10, digits);
    if (digits == 0 || digits > 15 || fabs(v) * scale > 9e15)
        return v;
    return nearbyint(v * scale) / scale;
}

static size_t
print_ipv4(char *dst, uint32_t ip)
{
    return (size_t)snprintf(dst, BUCKET_TEXT_MAX, "%u.%u.%u.%u", ip >> 24,
        ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static size_t
ipv4_bucket(const struct stats_by *by, uint32_t ip, char *buf)
{
    int64_t start = ip;

    /* A step of more than all addresses is none. */
    if (step_of(by) <= UINT32_MAX)
        start = floor_to(ip, step_of(by), offset_of(by));
    return print_ipv4(buf, start < 0 ? 0 : (uint32_t)start);
}

struct sv
bucket_text(const struct stats_by *by, struct sv text, char *buf)
{
    int64_t v;
    double number;
    uint32_t ip;
    size_t len;

    if (text.len == 0 || bucket_is_none(by))
        return text;
    if (num_parse_i64(text, &v))
        len = num_print_i64(buf, bucket_int(by, v));
    else if (num_parse_double(text, &number))
        len = num_print_double(buf, floor_double(by, number));
    else if (time_parse_value(text, &v))
        len = time_print_short(buf, bucket_time(by, v));
    else if (ipv4_parse(text, &ip))
        len = ipv4_bucket(by, ip, buf);
    else if (duration_parse(text, &v))
        len = duration_print(buf, bucket_int(by, v));
    else
        return text;
    return sv_make(buf, len);
}

static const struct {
    const char *name;
    uint64_t ns;
} units[] = {
    {"w", (uint64_t)NS_PER_WEEK},
    {"d", (uint64_t)NS_PER_DAY},
    {"h", (uint64_t)NS_PER_SEC * 3600},
    {"m", (uint64_t)NS_PER_SEC * 60},
    {"ms", (uint64_t)NS_PER_MS},
    {"\xc2\xb5s", (uint64_t)NS_PER_US},
    {"ns", 1},
};

/* From one second on the rest is a fraction of seconds. */
static size_t
print_seconds(char *dst, uint64_t ns)
{
    size_t len = num_print_u64(dst, ns / (uint64_t)NS_PER_SEC);
    uint64_t fraction = ns % (uint64_t)NS_PER_SEC;

    if (fraction != 0) {
        dst[len++] = '.';
        for (uint64_t unit = (uint64_t)NS_PER_SEC / 10; fraction != 0;
            unit /= 10) {
            dst[len++] = (char)('0' + fraction / unit);
            fraction %= unit;
        }
    }
    dst[len++] = 's';
    return len;
}

size_t
duration_print(char *dst, int64_t ns)
{
    uint64_t rest = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    bool is_long = rest >= (uint64_t)NS_PER_SEC;
    size_t len = 0;

    if (ns == 0) {
        dst[0] = '0';
        return 1;
    }
    if (ns < 0)
        dst[len++] = '-';
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t count = rest / units[i].ns;
        size_t name_len = strlen(units[i].name);

        if (is_long && units[i].ns < (uint64_t)NS_PER_SEC)
            break;
        if (count == 0)
            continue;
        len += num_print_u64(dst + len, count);
        memcpy(dst + len, units[i].name, name_len);
        len += name_len;
        rest %= units[i].ns;
    }
    if (is_long && rest != 0)
        len += print_seconds(dst + len, rest);
    return len;
}
