/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Numbers, sizes, durations and times: any text is parsed or refused, any
 * value survives being printed and parsed.
 */

#include "core/base.h"

#include <math.h>

#include "core/assert.h"
#include "core/num.h"
#include "core/timefmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip_double(double v)
{
    char text[NUM_DOUBLE_MAX];
    size_t len = num_print_double(text, v);
    double back;

    check(len <= sizeof(text));
    if (!isfinite(v)) {
        check(!num_parse_double(sv_make(text, len), &back));
        return;
    }
    check(num_parse_double(sv_make(text, len), &back));
    check(back == v && signbit(back) == signbit(v));
    check(memchr(text, 'e', len) == NULL);
}

static void
round_trip_integer(int64_t v)
{
    char text[32];
    uint64_t u;
    int64_t i;

    check(num_parse_i64(sv_make(text, num_print_i64(text, v)), &i) && i == v);
    check(num_parse_u64(sv_make(text, num_print_u64(text, (uint64_t)v)), &u)
        && u == (uint64_t)v);
    check(time_parse_duration(sv_make(text, time_print_duration(text, v)),
        &i) && i == v);
}

static void
round_trip_time(int64_t ns)
{
    uint32_t day = time_day(ns);
    int64_t start = time_day_start(day);
    char text[32], date[9];
    size_t len = time_print_rfc3339(text, ns, 9);

    check(len == 30 && text[10] == 'T' && text[29] == 'Z');
    check(start <= ns && (start == INT64_MIN
        || (uint64_t)ns - (uint64_t)start < (uint64_t)NS_PER_DAY));
    check(start == INT64_MIN || time_day(start) == day);
    memcpy(date, text, 4);
    memcpy(date + 4, text + 5, 2);
    memcpy(date + 6, text + 8, 2);
    date[8] = '\0';
    check(strtoul(date, NULL, 10) == day);
}

static void
parse_text(struct sv text)
{
    double d;
    uint64_t u;
    int64_t i;

    if (num_parse_u64(text, &u) && text.len < 19)
        check(num_parse_i64(text, &i) && (uint64_t)i == u);
    if (num_parse_i64(text, &i))
        round_trip_integer(i);
    if (num_parse_double(text, &d)) {
        char copy[4097];

        memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
        check(strtod(copy, NULL) == d);
        round_trip_double(d);
    }
    if (num_parse_size(text, &u))
        check(text.len > 0);
    if (time_parse_duration(text, &i))
        round_trip_integer(i);
    if (time_parse_retention(text, &i))
        round_trip_integer(i);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t bits;
    double d;

    parse_text(sv_make(data, size));
    if (size < sizeof(bits))
        return 0;
    memcpy(&bits, data, sizeof(bits));
    memcpy(&d, data, sizeof(d));
    round_trip_double(d);
    round_trip_integer(bits);
    round_trip_time(bits);
    return 0;
}
