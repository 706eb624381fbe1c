/* SPDX-License-Identifier: BSD-2-Clause */

/* Patterns of values, IPv6 addresses, and the filters made of them. */

#include "core/base.h"

#include <time.h>

#include "query/filter.h"
#include "query/parse.h"
#include "query/text_pattern.h"

#include "tap.h"

static const struct {
    const char *filter;
    const char *value;
    bool want;
} cases[] = {
    {"pattern_match(\"took <N>ms\")", "it took 17ms or so", true},
    {"pattern_match(\"took <N>ms\")", "it took 17s", false},
    {"pattern_match(\"took <N>ms\")", "it took ms", false},
    {"pattern_match(\"<N>\")", "a", false},
    {"pattern_match(\"<N>\")", "", false},
    {"pattern_match(\"id=<N>;\")", "id=12ab34cd;", true},
    {"pattern_match(\"id=<N>;\")", "id=12ab34c;", false},
    {"pattern_match(\"\")", "x", true},
    {"pattern_match_full(\"\")", "x", false},
    {"pattern_match_full(\"\")", "", true},
    {"pattern_match_full(\"user <UUID>\")",
        "user 2edfed59-3e98-4073-bbb2-28d321ca71a7", true},
    {"pattern_match_full(\"user <UUID>\")",
        "user 2edfed59-3e98-4073-bbb2-28d321ca71a7x", false},
    {"pattern_match_prefix(\"user <UUID>\")",
        "user 2edfed59-3e98-4073-bbb2-28d321ca71a7x", true},
    {"pattern_match(\"<UUID>\")", "2edfed59-3e98-4073-bbb2-28d321ca71a",
        false},
    {"pattern_match_full(\"<IP4>:<N>\")", "10.0.0.1:8080", true},
    {"pattern_match_full(\"<IP4>:<N>\")", "10.0.0:8080", false},
    {"pattern_match_suffix(\"<IP4>\")", "at 10.0.0.1", true},
    {"pattern_match_suffix(\"<IP4>\")", "at 10.0.0.1.", false},
    {"pattern_match_full(\"<TIME>\")", "10:20:30", true},
    {"pattern_match_full(\"<TIME>\")", "10:20:30.123", true},
    {"pattern_match_full(\"<TIME>\")", "10:20", false},
    {"pattern_match_full(\"<DATE>\")", "2026/03/01", true},
    {"pattern_match_full(\"<DATE>\")", "2026-03-1", false},
    {"pattern_match_full(\"<DATETIME>\")", "2026-03-01T10:20:30.5Z", true},
    {"pattern_match_full(\"<DATETIME>\")", "2026-03-01 10:20:30+02:00", true},
    {"pattern_match_full(\"<DATETIME>\")", "2026-03-01", false},
    {"pattern_match_full(\"GET <W>\")", "GET cart", true},
    {"pattern_match_full(\"GET <W>\")", "GET \"a b \\\"c\\\"\"", true},
    {"pattern_match_full(\"GET <W>\")", "GET a b", false},
    {"pattern_match_full(\"GET <W>\")", "GET ", false},
    {"pattern_match(\"<W>=<N>\")", "a b=5", true},
    {"pattern_match(\"<X>\")", "a <X> b", true},
    {"pattern_match(\"<N\")", "1", false},
    {"*art/che*", "GET /cart/checkout", true},
    {"*art/che*", "GET /cart /checkout", false},
    {"*\"t /\"*", "get /", true},
    {"*ET*", "GET", true},
    {"*et*", "GET", false},
    {"equals_common_case(PlaceOrder)", "PlaceOrder", true},
    {"equals_common_case(PlaceOrder)", "PLACEORDER", true},
    {"equals_common_case(PlaceOrder)", "placeorder", true},
    {"equals_common_case(PlaceOrder)", "placeOrder", true},
    {"equals_common_case(PlaceOrder)", "Placeorder", true},
    {"equals_common_case(PlaceOrder)", "plaCeorder", false},
    {"equals_common_case(PlaceOrder)", "PlaceOrders", false},
    {"contains_common_case(PlaceOrder)", "the placeOrder call", true},
    {"contains_common_case(PlaceOrder)", "the placeOrders call", false},
    {"ipv6_range(\"2001:db8::/32\")", "2001:db8::1", true},
    {"ipv6_range(\"2001:db8::/32\")", "2001:DB8:ffff::", true},
    {"ipv6_range(\"2001:db8::/32\")", "2001:db9::", false},
    {"ipv6_range(\"2001:db8::/33\")", "2001:db8:8000::", false},
    {"ipv6_range(\"::/0\")", "ffff::", true},
    {"ipv6_range(\"::1\")", "::1", true},
    {"ipv6_range(\"::1\")", "0:0:0:0:0:0:0:1", true},
    {"ipv6_range(\"::1\")", "::2", false},
    {"ipv6_range(\"::1\", \"::5\")", "::5", true},
    {"ipv6_range(\"::1\", \"::5\")", "::6", false},
    {"ipv6_range(\"::/0\")", "10.0.0.1", false},
    {"ipv6_range(\"::/0\")", "", false},
    {"ipv6_range(\"::/0\")", "::1 ", false},
    {"json_array_contains_any(b, 3)", "[\"a\",\"b\"]", true},
    {"json_array_contains_any(b, 3)", " [1, 2, 3]", true},
    {"json_array_contains_any(b, 3)", "[\"3\"]", true},
    {"json_array_contains_any(b, 3)", "[3.0, [3], {\"b\":3}]", false},
    {"json_array_contains_any(z, b, a, 9, 3)", "[\"b\"]", true},
    {"json_array_contains_any(z, b, a, 9, 3)", "[\"x\",3]", true},
    {"json_array_contains_any(z, b, a, 9, 3)", "[\"x\",4]", false},
    {"json_array_contains_any(true, null)", "[null]", true},
    {"json_array_contains_any(true, null)", "[true]", true},
    {"json_array_contains_any(\"a\\nb\")", "[\"a\\nb\"]", true},
    {"json_array_contains_any(b)", "[\"b\"", false},
    {"json_array_contains_any(b)", "[\"b\"] x", false},
    {"json_array_contains_any(b)", "b", false},
    {"json_array_contains_any(b)", "{\"b\":\"b\"}", false},
};

static bool
matches(const char *pattern, enum pattern_ends ends, struct sv value)
{
    struct pool *pool = pool_new(MIB);
    struct text_pattern *made;
    struct err err = ERR_INIT;
    bool result;

    if (text_pattern_make(&made, sv_from(pattern), ends, pool, &err) != 0)
        abort();
    result = text_pattern_matches(made, value);
    pool_free(pool);
    return result;
}

/*
 * What is remembered of a value changes nothing: a pattern that begins with a
 * literal matches where its rest does from some byte on.
 */
static void
test_same(void)
{
    static const char *const patterns[] = {
        "a<N>b", "a<N>x<N>y", "\"<W>", "a<W>'<W>b", "'<W><N>", "1<W>x<N>'",
        "a<W> <W>", "\xc3<W>x", "a<IP4>.<N>b",
    };
    static const char bytes[] = "ab1'\"\\x y.`\xc3\xa9""0";
    uint64_t random = 1;
    uint32_t wrong = 0, found = 0;

    for (uint32_t round = 0; round < 60000; round++) {
        const char *pattern = patterns[round % ARRAY_LEN(patterns)];
        char text[24];
        size_t len = round % sizeof(text);
        bool want = false;

        for (size_t i = 0; i < len; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[i] = bytes[(random >> 33) % (sizeof(bytes) - 1)];
        }
        for (size_t i = 0; i < len && !want; i++)
            want = matches(pattern, PATTERN_AT_START,
                sv_make(text + i, len - i));
        wrong += matches(pattern, PATTERN_ANYWHERE, sv_make(text, len)) !=
            want;
        found += want;
    }
    is_int(wrong, 0, "as from each byte on");
    ok(found > 500, "%u of them match", found);
}

/* Not once more for each byte. */
static void
test_long(void)
{
    static const struct {
        const char *pattern;
        const char *piece;
    } cases_of[] = {
        {"<N>x", "a"}, {"a<N>x", "a"}, {"a<W>,", "a"}, {"a<N>b<N>x", "ba"},
        {"<W>x", "\"\\"}, {"'<W>x", "'\\"}, {"\\<W>", "\\\"'"},
    };
    size_t len = MIB + 1;
    char *text = malloc(len);

    for (size_t i = 0; i < ARRAY_LEN(cases_of); i++) {
        size_t n = strlen(cases_of[i].piece);
        clock_t began = clock();

        for (size_t k = 0; k < len; k++)
            text[k] = cases_of[i].piece[k % n];
        ok(!matches(cases_of[i].pattern, PATTERN_ANYWHERE,
            sv_make(text, len)), "%s: no match", cases_of[i].pattern);
        ok(clock() - began < 5 * CLOCKS_PER_SEC, "soon");
    }
    free(text);
}

int
main(void)
{
    struct pool *pool = pool_new(64 * MIB);

    test_same();
    test_long();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter *filter;
        struct err err = ERR_INIT;

        if (filter_parse(&filter, sv_from(cases[i].filter), 0, pool,
                &err) != 0 || filter_prepare(filter, &err) != 0) {
            ok(false, "%s: %s", cases[i].filter, err.text);
            continue;
        }
        is_int(filter_match_text(filter, sv_from(cases[i].value), &err),
            cases[i].want, "%s: %s", cases[i].filter, cases[i].value);
    }
    pool_free(pool);
    return tap_done();
}
