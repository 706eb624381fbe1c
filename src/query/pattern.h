/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Texts with placeholders, "literal<name>literal<option:name>": what extract
 * takes apart and format puts together (reference 7.3, 7.4).
 */

#ifndef SPOOR_QUERY_PATTERN_H
#define SPOOR_QUERY_PATTERN_H

#include "core/base.h"
#include "core/sv.h"
#include "query/parser.h"

/* A literal and the placeholder behind it; the last one may have none. */
struct pattern_step {
    struct sv literal; /* HTML entities decoded */
    bool has_field;
    struct sv option;  /* what stands before the first ':', or "" */
    struct sv name;    /* empty: "<_>", "<*>" and "<>" */
};

struct pattern {
    struct sv source;
    struct pattern_step *steps;
    uint32_t n;
};

/* A quoted or plain word that is a pattern, as the parser stands. */
int parse_placeholders(struct parser *p, struct pattern *out) WARN_UNUSED;

/*
 * A quoted string that value begins with (any of the three quotes, as
 * versions since 1.33 have it, reference 11.4): its length with the
 * quotes and what it says; 0: there is none.  In the pool if it has escapes.
 */
size_t pattern_quoted(struct sv value, struct sv *out, struct pool *pool);

#endif
