/* SPDX-License-Identifier: BSD-2-Clause */

/* Numbers and times as LogsQL reads them in values and queries. */

#include "core/base.h"
#include "query/text.h"

#include <math.h>

#include "tap.h"

/* 2026-03-01T10:00:00Z */
#define TEN INT64_C(1772359200000000000)
#define DAY_START (TEN - 10 * 3600 * NS_PER_SEC)
#define HOUR (3600 * NS_PER_SEC)

static const struct {
    const char *text;
    double want;
} number_rows[] = {
    {"0", 0}, {"7", 7}, {"-7", -7}, {"007", 7}, {"1500000", 1500000},
    {"1_000", 1000}, {"1_000_000.5", 1000000.5}, {"0.5", 0.5}, {"-0.25", -.25},
    {"123456789012345678901234567890", 123456789012345678901234567890.0},
    {"18446744073709551615", 18446744073709551615.0},
    {"1e3", 1000}, {"1E-3", 0.001}, {"-1.5e+2", -150},
    {"0000000000012e34", 12e34}, {"inf", INFINITY}, {"-Inf", -INFINITY},
    {"+Inf", INFINITY}, {"Infinity", INFINITY}, {".5", 0.5},
    {"0x1F", 31}, {"0x1b", 27}, {"0xDEAD_beef", 0xdeadbeef}, {"0b11", 3},
    {"0o17", 15}, {"-0x10", -16},
    {"0xffffffffffffffff", 18446744073709551615.0},
    {"1ns", 1}, {"7ms", 7e6}, {"1.5s", 1.5e9}, {"1h33m", 5580e9},
    {"1.5d12s", 129612e9}, {"-1.5s", -1.5e9}, {"1m", 60e9}, {"2w", 1209600e9},
    {"1y", 31536000e9}, {"2\xc2\xb5s", 2000}, {"33m1h", 5580e9},
    {"1.1s", 1.1e9}, {"300y", 9223372036854775807.0},
    {"-300y", -9223372036854775808.0},
    {"1M", 1e6}, {"1K", 1000}, {"10KB", 1e4}, {"1KiB", 1024}, {"2Ki", 2048},
    {"1MiB500KiB", 1560576}, {"5MiB", 5242880}, {"1.5GB", 1.5e9},
    {"1T", 1e12}, {"1TiB", 1099511627776.0}, {"7B", 7}, {"1.15KB", 1150},
    {"-1KiB", -1024}, {"2.7B", 2}, {"99999999TB", 9223372036854775807.0},
};

static const char *const not_numbers[] = {
    "", "-", "+", ".", "-.", "abc", "900us", "900\xce\xbcs", "1k", "10k", "1h ",
    " 1", "1 ", "1 2", "1__0", "_1", "1_", "1_.5", "1._5", "10.0.0.7", "1:2",
    "0x", "0xg", "0b12", "0o8", "0x1_", "1e", "e5", "1.2.3", "--1", "1-2",
    "1kB", "1mib", "1KiBx", "i", "n", "info", "nano", "infinit", "1sm2",
    "0x10000000000000000", "1e400", "-1h-1m", "1h:2m", "2026-03-01",
};

static void
test_numbers(void)
{
    double v;

    for (size_t i = 0; i < ARRAY_LEN(number_rows); i++) {
        v = NAN;
        ok(number_parse(sv_from(number_rows[i].text), &v)
            && v == number_rows[i].want, "%s is %g (%g)", number_rows[i].text,
            number_rows[i].want, v);
    }
    for (size_t i = 0; i < ARRAY_LEN(not_numbers); i++) {
        ok(!number_parse(sv_from(not_numbers[i]), &v), "\"%s\" is no number",
            not_numbers[i]);
    }
    ok(number_parse(SV("NaN"), &v) && isnan(v), "NaN");
    ok(number_parse(SV("-0"), &v) && v == 0 && signbit(v), "-0");
}

static void
test_operands(void)
{
    double v;
    uint32_t address;
    int64_t ns;

    ok(operand_parse(SV("10.0.0.8"), &v) && v == 167772168, "IPv4");
    ok(operand_parse(SV("2026-03-01T10:00:00Z"), &v) && v == (double)TEN,
        "time");
    ok(operand_parse(SV("1ms"), &v) && v == 1e6, "duration");
    ok(!operand_parse(SV("900us"), &v), "900us is text");
    ok(!operand_parse(SV("abc"), &v), "abc is text");
    ok(ipv4_parse(SV("10.0.1.9"), &address) && address == 0x0a000109, "IPv4");
    ok(ipv4_parse(SV("010.000.001.255"), &address) && address == 0x0a0001ff,
        "three digits each");
    ok(!ipv4_parse(SV("10.0.1"), &address), "three octets");
    ok(!ipv4_parse(SV("10.0.1.256"), &address), "256");
    ok(!ipv4_parse(SV("10.0.1.9:80"), &address), "a port");
    ok(!ipv4_parse(SV("10.0.1.9 "), &address), "a space");
    ok(!ipv4_parse(SV("10.0.1.0009"), &address), "four digits");
    ok(!ipv4_parse(SV("10.0.1.9.1"), &address), "five octets");
    ok(!ipv4_parse(SV("10..1.9"), &address), "an empty octet");
    ok(!ipv4_parse(SV(""), &address), "nothing");
    ok(duration_parse(SV("1h33m"), &ns) && ns == 5580 * NS_PER_SEC, "1h33m");
    ok(duration_parse(SV("-2s"), &ns) && ns == -2 * NS_PER_SEC, "-2s");
    ok(duration_parse(SV("1.5h30s"), &ns) && ns == 5430 * NS_PER_SEC,
        "1.5h30s");
    ok(duration_parse(SV("1000y"), &ns) && ns == INT64_MAX, "saturates");
    ok(!duration_parse(SV("5"), &ns), "no unit");
    ok(!duration_parse(SV("5us"), &ns), "us is no unit");
    ok(!duration_parse(SV("-"), &ns) && !duration_parse(SV(""), &ns),
        "nothing");
}

static void
test_uint(void)
{
    static const struct {
        const char *text;
        uint64_t want;
    } rows[] = {
        {"0", 0}, {"10", 10}, {"1_000", 1000}, {"10K", 10000},
        {"1KiB", 1024}, {"0x10", 16}, {"0b101", 5}, {"0o17", 15},
        {"inf", UINT64_MAX}, {"1s", 1000000000}, {"1.5K", 1500},
        {"18446744073709551615", UINT64_MAX},
    };
    static const char *const wrong[] = {
        "", "-1", "abc", "1.5", "10k", "18446744073709551616", "-inf", "+1",
    };
    uint64_t v;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ok(uint_parse(sv_from(rows[i].text), &v) && v == rows[i].want,
            "argument %s", rows[i].text);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ok(!uint_parse(sv_from(wrong[i]), &v), "argument \"%s\"", wrong[i]);
}

static void
test_print(void)
{
    static const struct {
        double v;
        const char *want;
    } rows[] = {
        {0, "0"}, {-0.0, "-0"}, {24687500, "24687500"}, {3.4, "3.4"},
        {1e21, "1000000000000000000000"}, {NAN, "NaN"}, {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"}, {1e-7, "0.0000001"}, {-1.5, "-1.5"},
    };
    uint64_t seed = 42;
    bool good = true;
    struct sb sb;

    sb_init(&sb, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        sb_reset(&sb);
        number_print(&sb, rows[i].v);
        is_sv(sb_sv(&sb), rows[i].want, "prints %s", rows[i].want);
    }
    for (int i = 0; i < 20000; i++) {
        double v, back = 0;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        memcpy(&v, &seed, sizeof(v));
        if (isnan(v))
            continue;
        sb_reset(&sb);
        number_print(&sb, v);
        good = good && number_parse(sb_sv(&sb), &back) && back == v;
    }
    ok(good, "what is printed reads back");
    sb_release(&sb);
}

static void
test_value_times(void)
{
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = {
        {"2026-03-01T10:00:00Z", TEN},
        {"2026-03-01 10:00:00Z", TEN},
        {"2026-03-01T10:00:00", TEN},
        {"2026-03-01T10:00:00.000000001Z", TEN + 1},
        {"2026-03-01T10:00:01.5Z", TEN + 1500000000},
        {"2026-03-01T12:00:00+02:00", TEN},
        {"2026-03-01T04:30:00.5-05:30", TEN + 500000000},
        {"2026-03-01 10:00:00.123456789", TEN + 123456789},
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000000)},
        {"1677-09-21T00:12:43.145224192Z", INT64_MIN},
        {"2262-04-11T23:47:16.854775807Z", INT64_MAX},
    };
    static const char *const wrong[] = {
        "2026", "2026-03-01", "2026-03-01T10:00", "2026-03-01T10:00Z",
        "2026-02-29T10:00:00Z", "2026-13-01T10:00:00Z",
        "2026-00-01T10:00:00Z", "2026-01-00T10:00:00Z",
        "2026-03-01T24:00:00Z", "2026-03-01T10:60:00Z",
        "2026-03-01T10:00:60Z", "2026-03-01T10:00:00.Z",
        "2026-03-01T10:00:00.1234567890Z", "2026-03-01T10:00:00Zx",
        "2026-03-01T10:00:00 Z", "2026-03-01t10:00:00Z",
        "2026-03-01T10:00:00+2:00", "2026-03-01T10:00:00+0200",
        "1677-09-21T00:12:43.145224191Z", "2262-04-11T23:47:16.854775808Z",
        "1676-01-01T00:00:00Z", "2263-01-01T00:00:00Z", "",
        "2026-03-01_10:00:00Z", "x026-03-01T10:00:00Z",
    };
    char text[TIME_TEXT_MAX];
    int64_t ns;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ok(time_parse_value(sv_from(rows[i].text), &ns)
            && ns == rows[i].want, "%s", rows[i].text);
        is_int(ns, rows[i].want, "its nanoseconds");
        ok(time_parse_value(sv_make(text, time_print_short(text,
            rows[i].want)), &ns) && ns == rows[i].want, "printed and read");
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ok(!time_parse_value(sv_from(wrong[i]), &ns), "no time: \"%s\"",
            wrong[i]);
    is_mem(text, time_print_short(text, TEN), "2026-03-01T10:00:00Z", 20,
        "no fraction");
    is_mem(text, time_print_short(text, TEN + 500000000),
        "2026-03-01T10:00:00.5Z", 22, "one digit");
    is_mem(text, time_print_short(text, TEN + 1),
        "2026-03-01T10:00:00.000000001Z", 30, "nine digits");
}

static const struct {
    const char *text;
    int64_t start;
    int64_t end;
} period_rows[] = {
    {"2026-03-01T10:00", TEN, TEN + 60 * NS_PER_SEC - 1},
    {"2026-03-01T10:00Z", TEN, TEN + 60 * NS_PER_SEC - 1},
    {"2026-03-01T10", TEN, TEN + HOUR - 1},
    {"2026-03-01T10:00:00", TEN, TEN + NS_PER_SEC - 1},
    {"2026-03-01T10:00:00.5Z", TEN + 500000000, TEN + 500000000},
    {"2026-03-01T10:00:00.500Z", TEN + 500000000, TEN + 500999999},
    {"2026-03-01T10:00:00.000000001Z", TEN + 1, TEN + 1},
    {"2026-03-01", DAY_START, DAY_START + 24 * HOUR - 1},
    {"2026-03-01Z", DAY_START, DAY_START + 24 * HOUR - 1},
    {"2026-03-01+02:00", DAY_START - 2 * HOUR, DAY_START + 22 * HOUR - 1},
    {"2026-03", DAY_START, DAY_START + 31 * 24 * HOUR - 1},
    {"2026-02", DAY_START - 28 * 24 * HOUR, DAY_START - 1},
    {"2026-12", DAY_START + 275 * 24 * HOUR,
        DAY_START + 306 * 24 * HOUR - 1},
    {"2026", DAY_START - 59 * 24 * HOUR, DAY_START + 306 * 24 * HOUR - 1},
    {"2026Z", DAY_START - 59 * 24 * HOUR, DAY_START + 306 * 24 * HOUR - 1},
    {"2026+02:00", DAY_START - 59 * 24 * HOUR - 2 * HOUR,
        DAY_START + 306 * 24 * HOUR - 2 * HOUR - 1},
    {"2026-03:00", DAY_START - 59 * 24 * HOUR + 3 * HOUR,
        DAY_START + 306 * 24 * HOUR + 3 * HOUR - 1},
    {"2026-03-03:00", DAY_START + 3 * HOUR,
        DAY_START + 31 * 24 * HOUR + 3 * HOUR - 1},
    {"2026-03-01T12+02:00", TEN, TEN + HOUR - 1},
    {"2262", INT64_C(9214646400000000000), INT64_MAX},
    {"now", TEN, TEN},
    {"now-1h", TEN - HOUR, TEN - HOUR},
    {"-1h", TEN - HOUR, TEN - HOUR},
    {"1h", TEN - HOUR, TEN - HOUR},
    {"-10m", TEN - 600 * NS_PER_SEC, TEN - 600 * NS_PER_SEC},
    {"now-9m50s", TEN - 590 * NS_PER_SEC, TEN - 590 * NS_PER_SEC},
    {"1.5h", TEN - HOUR * 3 / 2, TEN - HOUR * 3 / 2},
    {"1w", TEN - 168 * HOUR, TEN - 168 * HOUR},
    {"1y", TEN - 8760 * HOUR, TEN - 8760 * HOUR},
    {"20ms", TEN - 20000000, TEN - 20000000},
    {"1772359200", TEN, TEN},
    {"1772359200.5", TEN + 500000000, TEN + 500000000},
    {"1772359200.000000001", TEN + 1, TEN + 1},
    {"1772359200000", TEN, TEN},
    {"1772359200000000", TEN, TEN},
    {"1772359200000000000", TEN, TEN},
    {"1772359200000000001", TEN + 1, TEN + 1},
    {"1.7e9", INT64_C(1700000000000000000), INT64_C(1700000000000000000)},
    {"0", 0, 0},
    {"12345", INT64_C(12345000000000), INT64_C(12345000000000)},
};

static void
test_query_times(void)
{
    static const char *const wrong[] = {
        "", "abc", "1234", "9999", "1969", "2026-", "2026-3", "2026-13",
        "2026-03-32", "2026-02-29", "2026-03-01 10:00", "2026-03-01T",
        "2026-03-01T1", "2026-03-01T10:", "2026-03-01T24:00",
        "2026-03-01T10:00:00.5", "2026-03-01T10:00:00.1234567891Z",
        "2026-03-01x", "2026+2", "now+", "now-", "now1h", "-", "1x", "5us",
        "1h-", "now-1", "1e99", "99999999999999999999", "2026-03-01ZZ",
        "now+1h",
    };
    int64_t start, end;

    for (size_t i = 0; i < ARRAY_LEN(period_rows); i++) {
        start = end = -1;
        ok(time_parse_query(sv_from(period_rows[i].text), TEN, &start, &end),
            "time %s", period_rows[i].text);
        is_int(start, period_rows[i].start, "begin of %s",
            period_rows[i].text);
        is_int(end, period_rows[i].end, "end of %s", period_rows[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ok(!time_parse_query(sv_from(wrong[i]), TEN, &start, &end),
            "no time: \"%s\"", wrong[i]);
    is_int(time_arg_end(TEN), TEN + 999999999, "end of a second");
    is_int(time_arg_end(TEN + 500000000), TEN + 500999999,
        "end of a millisecond");
    is_int(time_arg_end(TEN + 500000001), TEN + 500000001, "an instant");
}

int
main(void)
{
    test_numbers();
    test_operands();
    test_uint();
    test_print();
    test_value_times();
    test_query_times();
    return tap_done();
}
