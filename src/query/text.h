/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What LogsQL says about the text of one value: matching, numbers, order.
 * Pure functions over any bytes; no allocation but where a buffer is given.
 * The rules are those of docs/logsql.md.
 */

#ifndef SPOOR_QUERY_TEXT_H
#define SPOOR_QUERY_TEXT_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

/* --- words and phrases (query/match.c) --- */

/* Token rune: ASCII letter, digit, '_', or another Unicode letter or digit. */
bool text_is_token_rune(uint32_t rune);

bool match_phrase(struct sv value, struct sv phrase);
bool match_prefix(struct sv value, struct sv prefix);
bool match_seq(struct sv value, const struct sv *phrases, uint32_t n);
/*
 * Case-insensitive: lower is the phrase in lower case (text_lower()); the
 * value is lowered piece by piece.
 */
bool match_phrase_nocase(struct sv value, struct sv lower);
bool match_prefix_nocase(struct sv value, struct sv lower);
/* Unicode simple mapping; invalid bytes stay. */
void text_lower(struct sb *out, struct sv text);
/* Code points; an invalid byte counts as one. */
uint64_t text_length(struct sv text);

/* --- numbers (query/number.c): reference 2.7 --- */

/* Number path: decimals, durations (ns), sizes (bytes), floats, 0x... */
bool number_parse(struct sv text, double *out);
/* Operand path: also RFC3339 times (ns) and IPv4 addresses. */
bool operand_parse(struct sv text, double *out);
/* LogsQL duration in ns, with sign and combinations: "1h33m", "-1.5d". */
bool duration_parse(struct sv text, int64_t *ns);
/* Argument of limit, offset, len_range ...: "10", "10K", "0x10", "inf". */
bool uint_parse(struct sv text, uint64_t *out);
bool ipv4_parse(struct sv text, uint32_t *out);
/* "a number" as stats functions print it: shortest, NaN, +Inf, -0. */
void number_print(struct sb *out, double v);

/* --- times (query/times.c): reference 2.8 --- */

/*
 * An RFC3339 time as it stands in values: full date and time, up to nine
 * fraction digits, zone.
 */
bool time_parse_value(struct sv text, int64_t *ns);
/*
 * A time in a query or HTTP argument: partial dates, relative times, Unix
 * times.  *end is the last nanosecond of the period it names (= *start for
 * exact instants).
 */
bool time_parse_query(struct sv text, int64_t now_ns, int64_t *start,
    int64_t *end);
/* "2026-03-01T10:00:00.5Z": up to nine digits, trailing zeros cut. */
#define TIME_TEXT_MAX 40
size_t time_print_short(char *dst, int64_t ns);

/* --- order (query/order.c): reference 7.2 --- */

/* < 0, 0, > 0. */
int value_order(struct sv a, struct sv b);

#endif
