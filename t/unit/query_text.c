/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The rules and verified vectors of LogsQL about the text of one value: words
 * and order.  Numbers and times: query_number.c.
 */

#include "core/base.h"
#include "query/text.h"

#include "tap.h"

static void
test_token_runes(void)
{
    static const uint32_t tokens[] = {
        'a', 'Z', '0', '9', '_', 0xe9, 0x3b1, 0x416, 0x4e2d, 0x663, 0x2b0,
        0x1d400,
    };
    static const uint32_t others[] = {
        0, ' ', '.', '-', '/', '@', '[', '`', '{', 0x7f, 0xd7, 0x2014, 0xb2,
        0x2160, 0x301, 0x1f600, 0xfffd,
    };

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        ok(text_is_token_rune(tokens[i]), "U+%04X is of a word", tokens[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ok(!text_is_token_rune(others[i]), "U+%04X is not", others[i]);
}

struct match_row {
    const char *value;
    const char *phrase;
    bool is_phrase;
    bool is_prefix;
};

static const struct match_row match_rows[] = {
    {"GET /cart", "GET /cart", true, true},
    {"GET /cart/checkout", "GET /cart", true, true},
    {"GET /carts", "GET /cart", false, true},
    {"get /cart", "GET /cart", false, false},
    {"10.0.1.9", "10.0.1", true, true},
    {"10.0.12.1", "10.0.1", false, true},
    {"foo-bar", "-bar", true, true},
    {"2.5", "2", true, true},
    {"-2", "2", true, true},
    {"foo_bar", "bar", false, false},
    {"foo_bar", "foo", false, true},
    {"checkout-v2", "v2", true, true},
    {"checkout-v2", "checkout", true, true},
    {"", "", true, false},
    {"a", "", false, true},
    {"", "a", false, false},
    {"barbar bar", "bar", true, true},
    {"xbar barx bar", "bar", true, true},
    {"xbar barx", "bar", false, true},
    {"na\xc3\xafve", "na", false, true},
    {"na\xc3\xafve", "ve", false, false},
    {"na\xc3\xafve", "na\xc3\xafve", true, true},
    {"a\xc3\xa9", "a", false, true},
    {"\xc3\xa9" "a", "a", false, false},
    /* Multiplication sign, em dash: no letters. */
    {"3\xc3\x97" "4", "3", true, true},
    {"3\xc3\x97" "4", "4", true, true},
    {"a\xe2\x80\x94" "b", "b", true, true},
    /* A byte that is not UTF-8 is like a letter. */
    {"a\xff", "a", false, true},
    {"\xff" "a", "a", false, false},
    {"\xa9" "a", "a", false, false},
    {" \xff ", "\xff", true, true},
    {"x\xff ", "\xff", false, false},
    /* Half of a sign that is no letter. */
    {"\xc3\x97", "\xc3", false, true},
    {"aa aaa aaaa", "aa", true, true},
    {"aaa aaaa", "aa", false, true},
    {"-ab-ab-ab", "-ab-a", false, true},
    {"a b", " ", true, true},
    {"ab", "abc", false, false},
};

static void
test_match(void)
{
    for (size_t i = 0; i < ARRAY_LEN(match_rows); i++) {
        const struct match_row *row = &match_rows[i];
        struct sv value = sv_from(row->value), text = sv_from(row->phrase);

        ok(match_phrase(value, text) == row->is_phrase,
            "phrase \"%s\" in \"%s\": %d", row->phrase, row->value,
            row->is_phrase);
        ok(match_prefix(value, text) == row->is_prefix,
            "prefix \"%s\" in \"%s\": %d", row->phrase, row->value,
            row->is_prefix);
    }
}

static void
test_seq(void)
{
    struct sv name = SV("GET /cart/checkout");
    struct sv twice[] = {SV("cart"), SV("cart")};
    struct sv words[] = {SV("GET"), SV(""), SV("cart"), SV("checkout")};
    struct sv path[] = {SV("GET"), SV("/cart")};
    struct sv glued[] = {SV("/"), SV("cart")};
    struct sv half[] = {SV("-a"), SV("b")};

    ok(match_seq(name, words, 4), "words in order");
    ok(match_seq(name, path, 2), "a phrase behind a word");
    ok(match_seq(SV("GET /cart"), path, 2), "the same at the end");
    ok(!match_seq(SV("GET /carts"), path, 2), "not a part of a word");
    ok(!match_seq(name, twice, 2), "a hit is used once");
    ok(match_seq(SV("cart cart"), twice, 2), "the second");
    ok(match_seq(name, glued, 2), "right behind");
    ok(!match_seq(SV("x-ab"), half, 2), "the first ends within a word");
    ok(match_seq(name, NULL, 0), "no phrases");
    ok(match_seq(SV(""), &words[1], 1), "empty phrases only");
}

static void
test_nocase(void)
{
    static const struct {
        const char *value;
        const char *lower;
        bool want;
    } rows[] = {
        {"get /cart", "get /cart", true},
        {"GET /CART", "get /cart", true},
        {"GET /CARTS", "get /cart", false},
        {"[@Z`{z", "[@z`{z", true},
        {"[@Z`{z", "{@z`{z", false},
        {"\xc3\x89T\xc3\x89", "\xc3\xa9t\xc3\xa9", true},
        /* The Kelvin sign and capital sharp s become shorter. */
        {"273 \xe2\x84\xaa", "k", true},
        {"\xe1\xba\x9e", "\xc3\x9f", true},
        /* U+023A becomes longer. */
        {"\xc8\xba", "\xe2\xb1\xa5", true},
        /* U+0130 is an i by the simple mapping. */
        {"\xc4\xb0", "i", true},
        {"\xff" "A", "a", false},
        {"", "", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ok(match_phrase_nocase(sv_from(rows[i].value), sv_from(rows[i].lower))
            == rows[i].want, "i(%s) in \"%s\"", rows[i].lower, rows[i].value);
    ok(match_prefix_nocase(SV("GET /CARTS"), SV("get /cart")), "i(x*)");
    ok(match_prefix_nocase(SV("a"), SV("")), "i(*)");
    ok(!match_prefix_nocase(SV(""), SV("")), "i(*) of nothing");
}

/* Values and phrases longer than the window that is lowered at a time. */
static void
test_nocase_long(void)
{
    size_t len = 20000;
    char *value = malloc(len), *phrase = malloc(len);
    bool good = true;

    memset(value, 'X', len);
    memset(phrase, 'x', len);
    for (size_t at = 0; at + 12 < len; at += 37) {
        memcpy(value + at, " N\xc3\x84" "DEL ", 8);
        good = good && match_phrase_nocase(sv_make(value, len),
            SV("n\xc3\xa4" "del"));
        memcpy(value + at, "-N\xc3\x84" "DELY", 8);
        good = good && !match_phrase_nocase(sv_make(value, len),
            SV("n\xc3\xa4" "del"));
        good = good && match_prefix_nocase(sv_make(value, len),
            SV("n\xc3\xa4" "del"));
        memset(value + at, 'X', 8);
    }
    ok(good, "found wherever it stands");
    good = true;
    for (size_t n = 900; n < 6000; n += 61) {
        value[10] = value[11 + n] = ' ';
        good = good && match_phrase_nocase(sv_make(value, len),
            sv_make(phrase, n));
        good = good && !match_phrase_nocase(sv_make(value, len - 1),
            sv_make(phrase, n + 1));
        value[10] = value[11 + n] = 'X';
    }
    ok(good, "long phrases");
    free(value);
    free(phrase);
}

static void
test_lower_length(void)
{
    static const struct {
        const char *text;
        const char *lower;
        uint64_t length;
    } rows[] = {
        {"", "", 0},
        {"GET /Cart 09 [Z]@`{", "get /cart 09 [z]@`{", 19},
        {"\xc3\x84\xc3\x96\xc3\x9c \xd0\x96", "\xc3\xa4\xc3\xb6\xc3\xbc "
            "\xd0\xb6", 5},
        {"A\xff\xc3Z", "a\xff\xc3z", 4},
        {"\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!", 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sb sb;

        sb_init(&sb, 1000);
        text_lower(&sb, sv_from(rows[i].text));
        is_sv(sb_sv(&sb), rows[i].lower, "lower case of %s", rows[i].text);
        is_int(text_length(sv_from(rows[i].text)), rows[i].length,
            "code points of %s", rows[i].text);
        sb_release(&sb);
    }
}

/* Each less than the next. */
static const char *const ordered[] = {
    "", "NaN", "-Inf", "-300y", "-9223372036854775807", "-10", "-9.5", "-1",
    "0", "0.5", "1", "2", "9", "10", "1KiB", "7ms", "1.5s", "1m",
    "9007199254740992", "9007199254740993", "9223372036854775806",
    "9223372036854775807", "18446744073709551614", "18446744073709551615",
    "1e30", "inf",
    "1969-12-31T23:59:59Z", "2026-03-01T10:00:00Z",
    "2026-03-01T12:00:00.5+02:00", "2026-03-02 00:00:00",
    "10.0.0.7", "10.0.0.12", "10.0.1.9", "900us", "GET", "GET /cart",
    "GET /cart/checkout", "GET /carts", "SELECT orders", "charge card", "get",
    "get /cart", "span2", "span02", "span10", "span10a", "\xff",
};

static const char *const equal[][2] = {
    {"1", "1.0"}, {"007", "7"}, {"1000", "1K"}, {"1s", "1000000000"},
    {"2026-03-01T10:00:00Z", "2026-03-01 12:00:00.0+02:00"}, {"0", "-0"},
    {"1_000", "1e3"}, {"nan", "NaN"},
};

static void
test_order(void)
{
    bool good = true;

    for (size_t i = 0; i < ARRAY_LEN(ordered); i++) {
        for (size_t j = 0; j < ARRAY_LEN(ordered); j++) {
            int order = value_order(sv_from(ordered[i]), sv_from(ordered[j]));
            int want = (i > j) - (i < j);

            if ((order > 0) - (order < 0) == want)
                continue;
            good = false;
            diag("\"%s\" and \"%s\": %d", ordered[i], ordered[j], order);
        }
    }
    ok(good, "all pairs of an ordered list");
    for (size_t i = 0; i < ARRAY_LEN(equal); i++)
        is_int(value_order(sv_from(equal[i][0]), sv_from(equal[i][1])), 0,
            "%s and %s", equal[i][0], equal[i][1]);
}

/* --- properties over random texts --- */

static uint64_t random_state = 7;

static uint32_t
random_below(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005)
        + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % n;
}

static struct sv
random_text(char *dst, uint32_t max)
{
    static const char *const pieces[] = {
        "a", "b", "A", "B", "_", "-", " ", "/", ".", "1", "0", "9", "ms",
        "\xc3\x84", "\xc3\xa4", "\xe2\x84\xaa", "\xff", "\xc3", "K", "e", ":",
    };
    size_t len = 0;

    for (uint32_t n = random_below(max); n > 0; n--) {
        const char *piece = pieces[random_below(ARRAY_LEN(pieces))];

        memcpy(dst + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return sv_make(dst, len);
}

/* Whether the first (last) rune is of a word, by decoding all of the text. */
static bool
is_word_edge(struct sv text, bool is_last)
{
    bool is_token = false;

    for (size_t at = 0; at < text.len;) {
        uint32_t rune = UINT32_MAX;
        unsigned len = sv_utf8_rune(text.ptr + at, text.ptr + text.len,
            &rune);

        is_token = text_is_token_rune(rune);
        if (!is_last)
            break;
        at += len > 0 ? len : 1;
    }
    return is_token;
}

/* The rule of 4.6 as it is written, one position at a time. */
static bool
match_slowly(struct sv value, struct sv phrase, bool is_prefix)
{
    for (size_t at = 0; at + phrase.len <= value.len; at++) {
        struct sv left = sv_sub(value, 0, at);
        struct sv right = sv_sub(value, at + phrase.len, SIZE_MAX);

        if (!sv_eq(sv_sub(value, at, phrase.len), phrase))
            continue;
        if (is_word_edge(phrase, false) && is_word_edge(left, true))
            continue;
        if (is_prefix || !is_word_edge(phrase, true)
            || !is_word_edge(right, false))
            return true;
    }
    return false;
}

static void
test_match_properties(void)
{
    char a[80], b[40];
    struct sb value_lower, phrase_lower;
    bool implied = true, contained = true, folded = true, slowly = true;

    sb_init(&value_lower, 1000);
    sb_init(&phrase_lower, 1000);
    for (int i = 0; i < 200000; i++) {
        struct sv value = random_text(a, 16), phrase = random_text(b, 4);
        bool hit = match_phrase(value, phrase);
        bool is_within = phrase.len > 0 && value.len > 0
            && memmem(value.ptr, value.len, phrase.ptr, phrase.len) != NULL;

        if (phrase.len > 0) {
            implied = implied && (!hit || match_prefix(value, phrase));
            contained = contained && (!hit || is_within);
            slowly = slowly && hit == match_slowly(value, phrase, false)
                && match_prefix(value, phrase)
                    == match_slowly(value, phrase, true);
        }
        sb_reset(&value_lower);
        sb_reset(&phrase_lower);
        text_lower(&value_lower, value);
        text_lower(&phrase_lower, phrase);
        folded = folded
            && match_phrase_nocase(value, sb_sv(&phrase_lower))
                == match_phrase(sb_sv(&value_lower), sb_sv(&phrase_lower))
            && match_prefix_nocase(value, sb_sv(&phrase_lower))
                == match_prefix(sb_sv(&value_lower), sb_sv(&phrase_lower));
    }
    ok(implied, "a phrase that matches is a prefix that matches");
    ok(contained, "a phrase that matches is a part of the value");
    ok(slowly, "the same as one position at a time");
    ok(folded, "without case: the same as lowering both");
    sb_release(&value_lower);
    sb_release(&phrase_lower);
}

static void
test_order_properties(void)
{
    char a[80], b[80], c[80];
    bool antisymmetric = true, transitive = true, keyed = true;

    for (int i = 0; i < 200000; i++) {
        struct sv x = random_text(a, 6), y = random_text(b, 6);
        struct sv z = random_text(c, 6);
        int xy = value_order(x, y), yz = value_order(y, z);
        struct value_key xkey, ykey;

        antisymmetric = antisymmetric && (xy > 0) == (value_order(y, x) < 0)
            && value_order(x, x) == 0;
        if (xy <= 0 && yz <= 0)
            transitive = transitive && value_order(x, z) <= 0;
        value_key_make(&xkey, x);
        value_key_make(&ykey, y);
        keyed = keyed && value_key_order(&xkey, &ykey) == xy;
    }
    ok(antisymmetric, "order: antisymmetric");
    ok(transitive, "order: transitive");
    ok(keyed, "order: keys give the same");
}

int
main(void)
{
    test_token_runes();
    test_match();
    test_seq();
    test_nocase();
    test_nocase_long();
    test_lower_length();
    test_order();
    test_match_properties();
    test_order_properties();
    return tap_done();
}
