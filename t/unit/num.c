/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/num.h"

#include <math.h>

#include "tap.h"

static const char *
print(double v)
{
    static char text[NUM_DOUBLE_MAX + 1];

    text[num_print_double(text, v)] = '\0';
    return text;
}

static void
test_integers(void)
{
    static const char *const wrong[] = {
        "", "-", "+1", " 1", "1 ", "1a", "0x1", "--1", "1.0",
    };
    char text[21];
    uint64_t u;
    int64_t i;

    ok(num_parse_u64(SV("18446744073709551615"), &u) && u == UINT64_MAX,
        "greatest u64");
    ok(!num_parse_u64(SV("18446744073709551616"), &u), "one more");
    ok(!num_parse_u64(SV("99999999999999999999"), &u), "far more");
    ok(num_parse_u64(SV("007"), &u) && u == 7, "zeros in front");
    ok(!num_parse_u64(SV("-1"), &u), "negative u64");
    ok(num_parse_i64(SV("-9223372036854775808"), &i) && i == INT64_MIN,
        "least i64");
    ok(!num_parse_i64(SV("-9223372036854775809"), &i), "one less");
    ok(num_parse_i64(SV("9223372036854775807"), &i) && i == INT64_MAX,
        "greatest i64");
    ok(!num_parse_i64(SV("9223372036854775808"), &i), "one more");
    ok(num_parse_exact_i64(SV("-9223372036854775808"), &i) &&
        i == INT64_MIN && num_parse_exact_i64(SV("0"), &i) && i == 0 &&
        num_parse_exact_i64(SV("-10"), &i) && i == -10, "as printed");
    ok(!num_parse_exact_i64(SV("007"), &i) &&
        !num_parse_exact_i64(SV("-0"), &i) &&
        !num_parse_exact_i64(SV("-01"), &i) &&
        !num_parse_exact_i64(SV("00"), &i) &&
        !num_parse_exact_i64(SV("+1"), &i) &&
        !num_parse_exact_i64(SV(""), &i) &&
        !num_parse_exact_i64(SV("-"), &i), "not as printed");
    for (size_t k = 0; k < ARRAY_LEN(wrong); k++)
        ok(!num_parse_i64(sv_from(wrong[k]), &i), "\"%s\"", wrong[k]);

    is_int(num_print_u64(text, UINT64_MAX), 20, "length of the greatest");
    is_mem(text, 20, "18446744073709551615", 20, "its digits");
    is_mem(text, num_print_u64(text, 0), "0", 1, "zero");
    is_mem(text, num_print_u64(text, 10), "10", 2, "ten");
    is_mem(text, num_print_u64(text, 109), "109", 3, "109");
    is_mem(text, num_print_i64(text, INT64_MIN), "-9223372036854775808", 20,
        "least i64 printed");
}

static void
test_every_length(void)
{
    bool good = true;
    uint64_t v = 1;

    for (unsigned i = 0; i < 2000; i++) {
        char text[21], want[21];
        size_t len = num_print_u64(text, v);

        snprintf(want, sizeof(want), "%llu", (unsigned long long)v);
        good = good && len == strlen(want) && memcmp(text, want, len) == 0;
        v = v * 7 + i;
    }
    ok(good, "2000 numbers as printf has them");
    good = true;
    for (unsigned i = 0; i < 1000; i++) {
        char text[21], want[21];

        snprintf(want, sizeof(want), "%u", i);
        good = good && num_print_u64(text, i) == strlen(want)
            && memcmp(text, want, strlen(want)) == 0;
    }
    ok(good, "0 to 999");
}

static void
test_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"4096", 4096}, {"64MiB", 64 * MIB}, {"10KB", 10000}, {"0", 0},
        {"1.5GiB", GIB + GIB / 2}, {"1kib", 1024}, {"2TB", 2000000000000},
        {"1TiB", 1024 * GIB}, {"100B", 100}, {"0.5KB", 500},
        {"16777215TiB", UINT64_C(16777215) << 40},
    };
    static const char *const wrong[] = {
        "", "MiB", "10M", "10 MB", "-1", "1e3", "1e3KB", "16777216TiB", "KB1",
        ".5KB", "99999999999999999999", "1.5e3MB", "18446744073709551616",
        "1KBKB",
    };
    uint64_t bytes;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ok(num_parse_size(sv_from(good[i].text), &bytes)
            && bytes == good[i].bytes, "%s", good[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ok(!num_parse_size(sv_from(wrong[i]), &bytes), "\"%s\"", wrong[i]);
}

static void
test_parse_double(void)
{
    static const char *const wrong[] = {
        "", "-", ".", "e5", "1e", "1e+", "0x10", "inf", "nan", "NaN", "1e400",
        " 1", "1 ", "1_0", "1,5", "--1", "1.2.3", "-1e309",
    };
    char large[5000];
    double v;

    ok(num_parse_double(SV("-1.5e-3"), &v) && v == -1.5e-3, "-1.5e-3");
    ok(num_parse_double(SV("1."), &v) && v == 1, "1.");
    ok(num_parse_double(SV(".5"), &v) && v == 0.5, ".5");
    ok(num_parse_double(SV("-0"), &v) && v == 0 && signbit(v), "-0");
    ok(num_parse_double(SV("1e-400"), &v) && v == 0, "1e-400 is zero");
    ok(num_parse_double(SV("1e99999999999"), &v) == false, "a huge exponent");
    ok(num_parse_double(SV("1e-99999999999"), &v) && v == 0, "a tiny one");
    ok(num_parse_double(SV("1.7976931348623157e308"), &v)
        && v == 1.7976931348623157e308, "the greatest");
    ok(num_parse_double(SV("9007199254740993"), &v)
        && v == 9007199254740992.0, "2^53 + 1 rounds to even");
    ok(num_parse_double(SV("123456789012345678901234567890"), &v)
        && v == 123456789012345678901234567890.0, "many digits");
    ok(num_parse_double(SV("0.000000000000000000000000000001"), &v)
        && v == 1e-30, "many zeros");
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        ok(!num_parse_double(sv_from(wrong[i]), &v), "\"%s\"", wrong[i]);
    memset(large, '0', sizeof(large));
    large[0] = '1';
    ok(!num_parse_double(sv_make(large, sizeof(large)), &v),
        "5000 digits are refused");
    ok(num_parse_double(sv_make(large + 1, 4000), &v) && v == 0,
        "4000 zeros are zero");
}

static void
test_print_double(void)
{
    char want[NUM_DOUBLE_MAX];
    size_t len;

    is_str(print(0), "0", "0");
    is_str(print(-0.0), "-0", "-0");
    is_str(print(1), "1", "1");
    is_str(print(-1.5), "-1.5", "-1.5");
    is_str(print(0.1), "0.1", "0.1");
    is_str(print(0.1 + 0.2), "0.30000000000000004", "0.1 + 0.2");
    is_str(print(1e21), "1000000000000000000000", "1e21");
    is_str(print(123456789012345680.0), "123456789012345680", "1.2e17");
    is_str(print(1e-7), "0.0000001", "1e-7");
    is_str(print(1.25e-7), "0.000000125", "1.25e-7");
    is_str(print(123.456), "123.456", "123.456");
    is_str(print(1e15 + 0.5), "1000000000000000.5", "1e15 + 0.5");
    is_str(print(9007199254740992.0), "9007199254740992", "2^53");
    is_str(print(5.684341886080802e-14), "0.00000000000005684341886080802",
        "2^-44");
    is_str(print(9.5367431640625e-7), "0.00000095367431640625", "2^-20");
    is_str(print(NAN), "NaN", "NaN");
    is_str(print(INFINITY), "+Inf", "+Inf");
    is_str(print(-INFINITY), "-Inf", "-Inf");
    len = strlen(print(1e308));
    is_int(len, 309, "1e308 has 309 digits");
    ok(strlen(print(-2.2250738585072014e-308)) < NUM_DOUBLE_MAX,
        "the longest text fits");
    memset(want, '0', sizeof(want));
    want[1] = '.';
    want[325] = '5';
    want[326] = '\0';
    is_str(print(5e-324), want, "the least subnormal is 5e-324");
}

/* The number of digits a printf that tries every precision needs. */
static int
digits_needed(double v)
{
    char text[40];

    for (int precision = 1; precision < 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision - 1, v);
        if (strtod(text, NULL) == v)
            return precision;
    }
    return 17;
}

static int
digits_of(const char *text)
{
    const char *first = strpbrk(text, "123456789"), *p, *last = first;
    int n = 0;

    for (p = first; *p != '\0'; p++) {
        if (*p >= '1' && *p <= '9')
            last = p;
    }
    for (p = first; p <= last; p++)
        n += *p != '.';
    return n;
}

static void
test_round_trips(void)
{
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
    unsigned bad = 0, not_short = 0, other = 0;

    for (unsigned i = 0; i < 60000; i++) {
        const char *text;
        uint64_t bits;
        double v, back, slow;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bits = seed;
        if (i % 6 == 1)
            bits &= ~UINT64_C(0xfffffffffffff); /* powers of two */
        memcpy(&v, &bits, sizeof(v));
        if (i % 6 == 2)
            v = (double)(int64_t)(seed >> 20) / 1000;
        if (i % 6 == 3)
            v = (double)(seed >> 40) / 1e6;
        if (i % 6 == 4)
            v = ldexp((double)(seed & 0xffff), -1074); /* subnormal */
        if (!isfinite(v) || v == 0)
            continue;
        text = print(v);
        slow = strtod(text, NULL);
        bad += slow != v;
        other += !num_parse_double(sv_from(text), &back) || back != v;
        not_short += digits_of(text) > digits_needed(v);
    }
    is_int(bad, 0, "strtod reads back the same");
    is_int(other, 0, "num_parse_double reads back the same");
    is_int(not_short, 0, "no text is longer than it must be");
}

static void
test_parse_as_strtod(void)
{
    uint64_t seed = 42;
    unsigned bad = 0;

    for (unsigned i = 0; i < 50000; i++) {
        char text[64];
        double v;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        snprintf(text, sizeof(text), "%llu.%llue%d",
            (unsigned long long)(seed >> (seed % 60)),
            (unsigned long long)(seed >> 30 & 0xfff),
            (int)(seed >> 10 & 63) - 32);
        bad += !num_parse_double(sv_from(text), &v)
            || v != strtod(text, NULL);
    }
    is_int(bad, 0, "the fast way agrees with strtod");
}

int
main(void)
{
    test_integers();
    test_every_length();
    test_sizes();
    test_parse_double();
    test_print_double();
    test_round_trips();
    test_parse_as_strtod();
    return tap_done();
}
