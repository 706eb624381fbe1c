/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/text.h"

#include <math.h>

#include "core/num.h"

/*
 * A whole number of at most 64 bits, with its sign apart.  Longer ones are
 * numbers like all others.
 */
static bool
parse_integer(struct sv text, bool *is_negative, uint64_t *out)
{
    *is_negative = text.len > 0 && text.ptr[0] == '-';
    if (text.len - *is_negative > 20)
        return false;
    return num_parse_u64(sv_sub(text, *is_negative ? 1 : 0, SIZE_MAX), out);
}

/*
 * Doubles above 2^53 stand for several integers: what the integer is more
 * than its double.  Doubles of that size are at most 2048 apart.
 */
static int32_t
integer_remainder(uint64_t v, bool is_negative)
{
    double rounded = (double)v;
    int64_t rest;

    if (v < UINT64_C(1) << 53)
        return 0;
    rest = rounded >= 0x1p64 ? (int64_t)v : (int64_t)(v - (uint64_t)rounded);
    return (int32_t)(is_negative ? -rest : rest);
}

void
value_key_make(struct value_key *key, struct sv text)
{
    bool is_negative;
    uint64_t v;

    key->text = text;
    key->remainder = 0;
    key->ns = 0;
    if (text.len == 0) {
        key->kind = VALUE_KIND_EMPTY;
    } else if (parse_integer(text, &is_negative, &v)) {
        key->kind = VALUE_KIND_NUMBER;
        key->number = is_negative ? -(double)v : (double)v;
        key->remainder = integer_remainder(v, is_negative);
    } else if (number_parse(text, &key->number)) {
        key->kind = VALUE_KIND_NUMBER;
        if (isnan(key->number)) {
            key->number = -INFINITY;
            key->remainder = -1;
        }
    } else if (time_parse_value(text, &key->ns)) {
        key->kind = VALUE_KIND_TIME;
    } else {
        key->kind = VALUE_KIND_TEXT;
    }
}

static bool
is_digit_at(struct sv text, size_t at)
{
    return at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9';
}

/* Cuts the digits at *at off; zeros in front are only counted. */
static struct sv
take_digits(struct sv text, size_t *at, size_t *nzeros)
{
    size_t start = *at, first;

    while (*at < text.len && text.ptr[*at] == '0')
        ++*at;
    first = *at;
    *nzeros = first - start;
    while (is_digit_at(text, *at))
        ++*at;
    return sv_sub(text, first, *at - first);
}

/* Runs of digits by their value, then the shorter one; else bytes. */
static int
natural_order(struct sv a, struct sv b)
{
    size_t i = 0, j = 0;

    while (i < a.len && j < b.len) {
        if (is_digit_at(a, i) && is_digit_at(b, j)) {
            size_t azeros, bzeros;
            struct sv adigits = take_digits(a, &i, &azeros);
            struct sv bdigits = take_digits(b, &j, &bzeros);
            int order = adigits.len != bdigits.len
                ? (adigits.len < bdigits.len ? -1 : 1)
                : sv_cmp(adigits, bdigits);

            if (order != 0)
                return order;
            if (azeros != bzeros)
                return azeros < bzeros ? -1 : 1;
            continue;
        }
        if (a.ptr[i] != b.ptr[j])
            return (unsigned char)a.ptr[i] < (unsigned char)b.ptr[j] ? -1 : 1;
        i++;
        j++;
    }
    return (i < a.len) - (j < b.len);
}

int
value_key_order(const struct value_key *a, const struct value_key *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case VALUE_KIND_NUMBER:
        if (a->number != b->number)
            return a->number < b->number ? -1 : 1;
        return (a->remainder > b->remainder) - (a->remainder < b->remainder);
    case VALUE_KIND_TIME:
        return (a->ns > b->ns) - (a->ns < b->ns);
    case VALUE_KIND_TEXT:
        return natural_order(a->text, b->text);
    default:
        return 0;
    }
}

/* The common case: 18 digits at most, and a sign. */
static bool
parse_short(struct sv text, int64_t *out)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    size_t i = is_negative ? 1 : 0;
    int64_t v = 0;

    if (i == text.len || text.len - i > 18)
        return false;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.ptr[i] - '0';

        if (digit > 9)
            return false;
        v = 10 * v + (int64_t)digit;
    }
    *out = is_negative ? -v : v;
    return true;
}

int
value_order(struct sv a, struct sv b)
{
    struct value_key akey, bkey;
    int64_t x, y;

    if (parse_short(a, &x) && parse_short(b, &y))
        return (x > y) - (x < y);
    if (sv_eq(a, b))
        return 0;
    value_key_make(&akey, a);
    value_key_make(&bkey, b);
    return value_key_order(&akey, &bkey);
}
