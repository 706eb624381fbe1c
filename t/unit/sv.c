/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/sv.h"

#include "tap.h"

static void
test_compare(void)
{
    ok(sv_eq(SV("abc"), sv_from("abc")), "equal");
    ok(!sv_eq(SV("abc"), SV("abd")), "not equal");
    ok(sv_eq(sv_make(NULL, 0), SV_EMPTY), "nothing equals nothing");
    ok(sv_eq_nocase(SV("aBc-[@"), SV("AbC-[@")), "without case");
    ok(!sv_eq_nocase(SV("["), SV("{")), "letters only");
    ok(!sv_eq_nocase(SV("a"), SV("ab")), "another length");
    ok(sv_cmp(SV("a"), SV("b")) < 0, "a < b");
    ok(sv_cmp(SV("ab"), SV("a")) > 0, "ab > a");
    is_int(sv_cmp(SV("ab"), SV("ab")), 0, "ab = ab");
    ok(sv_cmp(SV("\x80"), SV("a")) > 0, "bytes are unsigned");
    ok(sv_cmp(SV_EMPTY, SV("a")) < 0, "empty is least");
    ok(sv_starts_with(SV("abc"), SV("ab")), "starts with");
    ok(!sv_starts_with(SV("a"), SV("ab")), "shorter than the prefix");
    ok(sv_ends_with(SV("abc"), SV("bc")), "ends with");
    ok(sv_ends_with(SV("abc"), SV_EMPTY), "ends with nothing");
    ok(!sv_ends_with(SV("c"), SV("bc")), "shorter than the suffix");
}

static void
test_cut(void)
{
    struct sv rest = SV("a,,b,"), part;

    is_int(sv_find_byte(SV("abc"), 'c'), 2, "position");
    is_int(sv_find_byte(SV("abc"), 'x'), 3, "length when absent");
    is_int(sv_find_byte(SV_EMPTY, 'x'), 0, "in nothing");
    is_sv(sv_trim(SV(" \ta b\t ")), "a b", "trim");
    is_sv(sv_trim(SV(" \t")), "", "trim to nothing");
    is_sv(sv_sub(SV("abcdef"), 2, 3), "cde", "sub");
    is_sv(sv_sub(SV("abc"), 2, SIZE_MAX), "c", "clipped length");
    is_sv(sv_sub(SV("abc"), 9, 1), "", "clipped start");

    ok(sv_split(&rest, ',', &part), "first part");
    is_sv(part, "a", "a");
    ok(sv_split(&rest, ',', &part), "second part");
    is_sv(part, "", "empty");
    ok(sv_split(&rest, ',', &part), "third part");
    is_sv(part, "b", "b");
    ok(sv_split(&rest, ',', &part), "fourth part");
    is_sv(part, "", "empty at the end");
    ok(!sv_split(&rest, ',', &part), "used up");
    rest = SV_EMPTY;
    ok(sv_split(&rest, ',', &part), "nothing has one part");
    is_sv(part, "", "which is empty");
    ok(!sv_split(&rest, ',', &part), "and that was it");
}

/* The definition by code points, against which sv_is_utf8() is compared. */
static bool
slow_is_utf8(const unsigned char *p, size_t len)
{
    size_t i = 0;

    while (i < len) {
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        unsigned n = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2
            : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
        uint32_t c = n == 1 ? p[i] : p[i] & (0x7fu >> n);

        if (n == 0 || i + n > len)
            return false;
        for (unsigned k = 1; k < n; k++) {
            if (p[i + k] >> 6 != 2)
                return false;
            c = c << 6 | (p[i + k] & 0x3fu);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        i += n;
    }
    return true;
}

static void
test_utf8(void)
{
    static const unsigned char edges[] = {
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
        0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4,
        0xf5, 0xff,
    };
    const size_t n = ARRAY_LEN(edges);
    unsigned char text[4];
    size_t wrong = 0;

    for (size_t i = 0; i < n * n * n * n; i++) {
        size_t rest = i;

        for (unsigned k = 0; k < 4; k++) {
            text[k] = edges[rest % n];
            rest /= n;
        }
        for (size_t len = 1; len <= 4; len++) {
            if (sv_is_utf8(sv_make(text, len)) != slow_is_utf8(text, len))
                wrong++;
        }
    }
    is_int(wrong, 0, "agrees with the definition");
    ok(sv_is_utf8(SV("0123456789\xc3\xa4" "0123456\xf0\x9f\x90\xbe")),
        "words and letters mixed");
    ok(!sv_is_utf8(SV("012345678901234\xff")), "wrong byte at the end");
    ok(sv_is_utf8(SV_EMPTY), "nothing is UTF-8");
    ok(sv_is_utf8(sv_make(NULL, 0)), "no pointer, no bytes");
}

int
main(void)
{
    test_compare();
    test_cut();
    test_utf8();
    return tap_done();
}
