/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Regular expressions: PCRE2 with JIT, restricted to what RE2 means.  Back
 * references, look-around, atomic groups and possessive forms are refused.
 * A compiled expression may be used by several threads.
 */

#ifndef SPOOR_QUERY_REGEXP_H
#define SPOOR_QUERY_REGEXP_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sv.h"

#define REGEXP_SOURCE_MAX (16 * KIB)

struct regexp;

enum regexp_flag {
    REGEXP_ANCHORED = 1,   /* must match the whole value */
    REGEXP_DOT_NEWLINE = 2,
};

/* Freed with the pool.  ERR_INVALID says what is wrong and where. */
int regexp_compile(struct regexp **out, struct sv source, unsigned flags,
    struct pool *pool, struct err *err) WARN_UNUSED;

/* 1 matches, 0 not, -1 with ERR_LIMIT: the match limit was hit. */
int regexp_match(const struct regexp *regexp, struct sv value,
    struct err *err) WARN_UNUSED;

/* A literal that every match contains, or an empty view. */
struct sv regexp_literal(const struct regexp *regexp);

#endif
