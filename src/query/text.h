/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What LogsQL says about the text of one value: matching, numbers, order.
 * Pure functions over any bytes; no allocation but where a buffer is given
 * (and for case-insensitive phrases of more than about a thousand bytes).
 * The rules are those of docs/logsql.md.
 *
 * Where LogsQL speaks of the local time zone of the server, that is UTC here.
 */

#ifndef SPOOR_QUERY_TEXT_H
#define SPOOR_QUERY_TEXT_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

/* --- words and phrases (query/match.c) --- */

/* Token rune: ASCII letter, digit, '_', or another Unicode letter or digit. */
bool text_is_token_rune(uint32_t rune);

/*
 * The text stands in the value as whole words: where it begins (ends) with a
 * token rune, the rune before (behind) it is none.  A byte that is not UTF-8
 * counts as a token rune.  An empty phrase is found in an empty value only.
 */
bool match_phrase(struct sv value, struct sv phrase);
/* Only words' beginnings count.  Empty: any value but the empty one. */
bool match_prefix(struct sv value, struct sv prefix);
/* One behind the other; empty phrases do not count. */
bool match_seq(struct sv value, const struct sv *phrases, uint32_t n);
/*
 * Case-insensitive: lower is the phrase in lower case (text_lower()); the
 * value is lowered piece by piece.
 */
bool match_phrase_nocase(struct sv value, struct sv lower);
bool match_prefix_nocase(struct sv value, struct sv lower);
/* Unicode simple mapping; invalid bytes stay. */
void text_lower(struct sb *out, struct sv text);
void text_upper(struct sb *out, struct sv text);
/* Code points; an invalid byte counts as one. */
uint64_t text_length(struct sv text);

/* --- numbers (query/number.c): reference 2.7 --- */

/*
 * Number path: decimals, durations (ns), sizes (bytes), floats, 0x...  The
 * three texts of number_print() that are no decimals are numbers, too, so
 * the result may be infinite or NaN.
 */
bool number_parse(struct sv text, double *out);
/* Operand path: also RFC3339 times (ns) and IPv4 addresses. */
bool operand_parse(struct sv text, double *out);
/*
 * LogsQL duration in ns, with sign and combinations: "1h33m", "-1.5d".  The
 * greatest and least stand for all beyond; "us" and "0" are no durations.
 */
bool duration_parse(struct sv text, int64_t *ns);
/*
 * Argument of limit, offset, len_range ...: "10", "10K", "0x10", "1_000",
 * "inf", which is UINT64_MAX.
 */
bool uint_parse(struct sv text, uint64_t *out);
bool ipv4_parse(struct sv text, uint32_t *out);
/* "a number" as stats functions print it: shortest, NaN, +Inf, -0. */
void number_print(struct sb *out, double v);

/* --- times (query/times.c): reference 2.8 --- */

/*
 * An RFC3339 time as it stands in values: full date and time, a 'T' or space
 * between them, up to nine fraction digits, zone (none: UTC).
 */
bool time_parse_value(struct sv text, int64_t *ns);
/*
 * A time in a query or HTTP argument: partial dates, relative times, Unix
 * times.  *end is the last nanosecond of the period it names (= *start for
 * exact instants).
 */
bool time_parse_query(struct sv text, int64_t now_ns, int64_t *start,
    int64_t *end);
/*
 * What the HTTP argument `end` includes when it names this instant (8.1):
 * all of its second, or of its millisecond.
 */
int64_t time_arg_end(int64_t ns);
/* "2026-03-01T10:00:00.5Z": up to nine digits, trailing zeros cut. */
#define TIME_TEXT_MAX 40
size_t time_print_short(char *dst, int64_t ns);

/* --- order (query/order.c): reference 7.2 --- */

/*
 * < 0, 0, > 0.  The empty text, numbers (number path, exact for integers of
 * 64 bits; NaN first), times, other texts (runs of digits by value).  0 does
 * not mean the same text: "1" and "1.0".  In this order of kinds, it is a
 * total order also where kinds are mixed.
 */
int value_order(struct sv a, struct sv b);

/* The same for those who compare a value more than a few times. */
enum value_kind {
    VALUE_KIND_EMPTY,
    VALUE_KIND_NUMBER,
    VALUE_KIND_TIME,
    VALUE_KIND_TEXT,
};

struct value_key {
    struct sv text;     /* borrowed */
    double number;      /* NUMBER; never NaN, which is a remainder of -INF */
    int64_t ns;         /* TIME */
    int32_t remainder;  /* NUMBER: what is more than the double */
    enum value_kind kind;
};

void value_key_make(struct value_key *key, struct sv text);
int value_key_order(const struct value_key *a, const struct value_key *b);

#endif
