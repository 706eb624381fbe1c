/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/timefmt.h"

#include <time.h>

#include "tap.h"

static const char *
rfc3339(int64_t ns, int digits)
{
    static char text[33];

    memset(text, '#', sizeof(text));
    text[time_print_rfc3339(text, ns, digits)] = '\0';
    return text;
}

static const char *
duration(int64_t ns)
{
    static char text[33];

    text[time_print_duration(text, ns)] = '\0';
    return text;
}

static void
test_rfc3339(void)
{
    const int64_t ns = INT64_C(1795254645123456789);

    is_str(rfc3339(ns, 0), "2026-11-21T09:50:45Z", "seconds");
    is_str(rfc3339(ns, 3), "2026-11-21T09:50:45.123Z", "ms");
    is_str(rfc3339(ns, 6), "2026-11-21T09:50:45.123456Z", "us");
    is_str(rfc3339(ns, 9), "2026-11-21T09:50:45.123456789Z", "ns");
    is_str(rfc3339(0, 3), "1970-01-01T00:00:00.000Z", "1970");
    is_str(rfc3339(-1, 9), "1969-12-31T23:59:59.999999999Z", "before it");
    is_str(rfc3339(INT64_MAX, 9), "2262-04-11T23:47:16.854775807Z", "last");
    is_str(rfc3339(INT64_MIN, 9), "1677-09-21T00:12:43.145224192Z", "first");
}

/* Every day of int64_t against the C library. */
static void
test_days(void)
{
    unsigned wrong_day = 0, wrong_start = 0, wrong_text = 0;

    for (int64_t day = -106751; day <= 106751; day++) {
        int64_t ns = day * NS_PER_DAY, late;
        time_t seconds = (time_t)(day * 86400);
        struct tm tm;
        char want[32];
        uint32_t number;

        gmtime_r(&seconds, &tm);
        number = (uint32_t)(tm.tm_year + 1900) * 10000
            + (uint32_t)(tm.tm_mon + 1) * 100 + (uint32_t)tm.tm_mday;
        late = day == 106751 ? INT64_MAX : ns + NS_PER_DAY - 1;
        wrong_day += time_day(ns) != number || time_day(late) != number;
        wrong_start += time_day_start(number) != ns;
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
        wrong_text += strcmp(rfc3339(ns, 0), want) != 0;
    }
    is_int(wrong_day, 0, "numbers of 213503 days");
    is_int(wrong_start, 0, "their starts");
    is_int(wrong_text, 0, "their texts");
    is_int(time_day(INT64_MIN), 16770921, "the first day");
    ok(time_day_start(16770921) == INT64_MIN, "begins before int64_t does");
    is_int(time_day(INT64_MAX), 22620411, "the last day");
    ok(time_day_start(22630101) == INT64_MAX, "a day after int64_t");
}

static void
test_parse(void)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"0", 0}, {"1.5ms", 1500000}, {"2h45m", 9900 * NS_PER_SEC},
        {"300us", 300000}, {"300\xc2\xb5s", 300000},
        {"300\xce\xbcs", 300000}, {"7d", 7 * NS_PER_DAY},
        {"2w", 14 * NS_PER_DAY}, {"1y", 365 * NS_PER_DAY},
        {"-1.5h", -5400 * NS_PER_SEC}, {"+1s", NS_PER_SEC}, {"0s", 0},
        {".5s", NS_PER_SEC / 2}, {"1.s", NS_PER_SEC}, {"10ns", 10},
        {"0.000000001s", 1}, {"1.0000000009s", NS_PER_SEC},
        {"0.1234567890123456789012345678s", 123456789},
        {"9223372036854775807ns", INT64_MAX},
        {"-9223372036854775808ns", INT64_MIN},
        {"1d1h1m1s1ms1us1ns", 90061001001001},
    };
    static const char *const wrong[] = {
        "", "1", "s", "-", "1.5", "1 s", "1S", ".s", "1x", "1s1", "--1s",
        "9223372036854775808ns", "300y", "99999999999999999999s",
        "106752d", "1e3s", "18446744073709551615y",
    };
    int64_t ns;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ns = -7;
        ok(time_parse_duration(sv_from(good[i].text), &ns)
            && ns == good[i].ns, "%s", good[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ok(!time_parse_duration(sv_from(wrong[i]), &ns), "\"%s\"", wrong[i]);

    ok(time_parse_retention(SV("1"), &ns) && ns == 31 * NS_PER_DAY,
        "a month of retention");
    ok(time_parse_retention(SV("0.5"), &ns) && ns == 31 * NS_PER_DAY / 2,
        "half a month");
    ok(time_parse_retention(SV("7d"), &ns) && ns == 7 * NS_PER_DAY, "7d");
    ok(!time_parse_retention(SV("999999"), &ns), "too many months");
    ok(!time_parse_retention(SV(""), &ns), "no retention");
}

static void
test_print(void)
{
    uint64_t seed = 1;
    unsigned bad = 0;

    is_str(duration(0), "0s", "0s");
    is_str(duration(1), "1ns", "1ns");
    is_str(duration(1500), "1.5us", "1.5us");
    is_str(duration(1500000), "1.5ms", "1.5ms");
    is_str(duration(NS_PER_SEC), "1s", "1s");
    is_str(duration(61 * NS_PER_SEC + 1), "1m1.000000001s", "1m1.000000001s");
    is_str(duration(7384 * NS_PER_SEC), "2h3m4s", "2h3m4s");
    is_str(duration(7200 * NS_PER_SEC), "2h", "2h");
    is_str(duration(7 * NS_PER_DAY), "7d", "7d");
    is_str(duration(NS_PER_DAY + NS_PER_SEC), "24h1s", "24h1s");
    is_str(duration(-90 * NS_PER_SEC), "-1m30s", "-1m30s");
    is_str(duration(INT64_MAX), "2562047h47m16.854775807s", "longest");
    is_str(duration(INT64_MIN), "-2562047h47m16.854775808s", "least");
    for (unsigned i = 0; i < 20000; i++) {
        int64_t ns, back;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        ns = (int64_t)seed >> (i % 63);
        bad += !time_parse_duration(sv_from(duration(ns)), &back)
            || back != ns;
    }
    is_int(bad, 0, "20000 durations read back");
}

int
main(void)
{
    int64_t mono = clock_mono_ns();

    ok(clock_wall_ns() > INT64_C(1700000000) * NS_PER_SEC, "wall clock");
    ok(clock_mono_ns() >= mono, "monotonic clock");
    test_rfc3339();
    test_days();
    test_parse();
    test_print();
    return tap_done();
}
