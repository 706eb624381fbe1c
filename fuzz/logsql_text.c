/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Words, numbers, times and order: a phrase, a newline, a value.  Any bytes
 * are taken, and what the functions say of them fits together.
 */

#include "core/base.h"

#include <math.h>

#include "core/assert.h"
#include "query/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
match(struct sv value, struct sv phrase)
{
    struct sb value_lower, phrase_lower;
    struct sv twice[] = {phrase, phrase};
    bool hit = match_phrase(value, phrase);

    sb_init(&value_lower, MIB);
    sb_init(&phrase_lower, MIB);
    text_lower(&value_lower, value);
    text_lower(&phrase_lower, phrase);
    check(!sb_failed(&value_lower) && !sb_failed(&phrase_lower));
    if (hit && phrase.len > 0)
        check(match_prefix(value, phrase) && match_seq(value, twice, 1));
    if (phrase.len > 0 && match_seq(value, twice, 2))
        check(hit && value.len >= 2 * phrase.len);
    check(match_phrase(phrase, phrase));
    check(match_phrase_nocase(value, sb_sv(&phrase_lower))
        == match_phrase(sb_sv(&value_lower), sb_sv(&phrase_lower)));
    check(match_prefix_nocase(value, sb_sv(&phrase_lower))
        == match_prefix(sb_sv(&value_lower), sb_sv(&phrase_lower)));
    check(text_length(value) <= value.len);
    check(text_length(value) == text_length(sb_sv(&value_lower)));
    sb_release(&value_lower);
    sb_release(&phrase_lower);
}

static void
parse(struct sv text)
{
    double number, operand, back;
    int64_t ns, start, end;
    uint64_t u;
    uint32_t address;
    struct sb sb;
    char print[TIME_TEXT_MAX];

    sb_init(&sb, MIB);
    if (number_parse(text, &number)) {
        number_print(&sb, number);
        check(number_parse(sb_sv(&sb), &back));
        check(back == number || (isnan(back) && isnan(number)));
        check(operand_parse(text, &operand));
        check(operand == number || isnan(number));
        check(!time_parse_value(text, &ns) && !ipv4_parse(text, &address));
    }
    if (duration_parse(text, &ns))
        check(number_parse(text, &number) && number == (double)ns);
    (void)uint_parse(text, &u);
    if (time_parse_value(text, &ns)) {
        size_t len = time_print_short(print, ns);

        check(len <= TIME_TEXT_MAX);
        check(time_parse_value(sv_make(print, len), &start) && start == ns);
        check(time_parse_query(sv_make(print, len), 0, &start, &end));
        check(start == ns && end >= ns);
    }
    if (time_parse_query(text, 1, &start, &end))
        check(start <= end);
    sb_release(&sb);
}

static void
order(struct sv a, struct sv b, struct sv c)
{
    int ab = value_order(a, b), bc = value_order(b, c);
    struct value_key akey, bkey;

    check(value_order(a, a) == 0);
    check((ab > 0) == (value_order(b, a) < 0));
    if (ab <= 0 && bc <= 0)
        check(value_order(a, c) <= 0);
    value_key_make(&akey, a);
    value_key_make(&bkey, b);
    check(value_key_order(&akey, &bkey) == ab);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv rest = sv_make(data, size), parts[3];

    if (size > 64 * KIB)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        if (!sv_split(&rest, '\n', &parts[i]))
            parts[i] = SV_EMPTY;
        parse(parts[i]);
    }
    match(parts[1], parts[0]);
    match(parts[2], parts[0]);
    order(parts[0], parts[1], parts[2]);
    order(parts[1], parts[2], parts[0]);
    order(parts[2], parts[0], parts[1]);
    return 0;
}
