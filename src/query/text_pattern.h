/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Patterns of values: "took <N>ms for <UUID>".  A placeholder stands for
 *
 *   <N>         a decimal number, or hex of 4 or more digits
 *   <UUID>      8-4-4-4-12 hex digits
 *   <IP4>       10.0.0.7
 *   <TIME>      10:00:00, perhaps with .fraction or ,fraction
 *   <DATE>      2026-03-01 or 2026/03/01
 *   <DATETIME>  date, T or a space, time, perhaps Z or +hh:mm
 *   <W>         a word, or a string in quotes
 *
 * Each takes as much as it can; what is in no such brackets is literal.
 */

#ifndef SPOOR_QUERY_TEXT_PATTERN_H
#define SPOOR_QUERY_TEXT_PATTERN_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sv.h"

enum pattern_ends {
    PATTERN_ANYWHERE = 0,
    PATTERN_AT_START = 1,
    PATTERN_AT_END = 2,
};

/* Literals and placeholders of one pattern. */
#define PATTERN_ITEMS_MAX 200u

struct text_pattern;

/* In the pool; the text is borrowed.  ERR_INVALID: too many placeholders. */
int text_pattern_make(struct text_pattern **out, struct sv text,
    enum pattern_ends ends, struct pool *pool, struct err *err) WARN_UNUSED;
enum pattern_ends text_pattern_ends(const struct text_pattern *pattern);
bool text_pattern_matches(const struct text_pattern *pattern,
    struct sv value);

/* An IPv6 address and nothing else: 16 bytes. */
bool ipv6_parse(struct sv text, uint8_t out[16]);

#endif
