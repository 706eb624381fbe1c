/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * RE2's syntax, written as PCRE2's.  Of query/regexp.c only.
 */

#ifndef SPOOR_QUERY_REGEXP_SYNTAX_H
#define SPOOR_QUERY_REGEXP_SYNTAX_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "core/sv.h"

/* Nesting of groups; PCRE2's own limit is 250. */
#define REGEXP_DEPTH_MAX 200u
/* Of {n,m}, and of the product of nested ones: that of RE2. */
#define REGEXP_REPEAT_MAX 1000u

/* Groups of an expression whose captures are asked for. */
#define REGEXP_GROUPS_MAX 250u

struct regexp_syntax {
    bool has_captures; /* given: groups capture, and names are told */
    uint32_t ngroups;  /* found; the whole match is not counted */
    struct sv names[REGEXP_GROUPS_MAX]; /* in the source; empty: none */
    struct sb pattern; /* for PCRE2 */
    struct sb literal; /* the longest text that each match contains */
    bool is_literal;   /* the expression is nothing but that text */
};

/* Fills *out, which the caller has set up (sb_init). */
int regexp_translate(struct regexp_syntax *out, struct sv source,
    struct err *err) WARN_UNUSED;

#endif
