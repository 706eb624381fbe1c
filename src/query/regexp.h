/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Regular expressions: RE2's, run by PCRE2 with JIT.  The syntax is RE2's:
 * what RE2 has not (back references, look-around, atomic and possessive
 * forms, recursion, \K, \G, \R, \X, comments ...) is refused.  So is what
 * PCRE2 reads differently, unless it is rewritten: \pN, \Q..\E, \z, \v, \s,
 * octal, "{" that is no count, (?P<name>..), repetitions up to 1000 in all.
 * \d \w \s \b and [[:word:]] are ASCII's; case and \p are Unicode's.  Each
 * byte of a value that is not UTF-8 is seen as U+FFFD.
 *
 * What is left: (?i) does not widen \p{Lu}, and \w and [[:alpha:]] not to the
 * two letters beyond ASCII that fold to k and s; a(?i)* is refused; a group's
 * name may come twice; and matching is not of linear time.  Instead, a match
 * has a budget of steps and of about a third of a second, which only nested
 * or many-fold repetitions over long values need; then it is an error.
 *
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
    REGEXP_ANCHORED = 1,    /* must match the whole value */
    REGEXP_DOT_NEWLINE = 2, /* (?s) from the start, as the filter has it */
};

/*
 * Freed with the pool.  ERR_INVALID says what is wrong and at which byte of
 * source; ERR_LIMIT: too long.
 */
int regexp_compile(struct regexp **out, struct sv source, unsigned flags,
    struct pool *pool, struct err *err) WARN_UNUSED;

/*
 * 1 matches, 0 not, -1 with ERR_LIMIT: the match limit was hit.  Looks for
 * regexp_literal() itself before all else.
 */
int regexp_match(const struct regexp *regexp, struct sv value,
    struct err *err) WARN_UNUSED;

/*
 * The longest literal that every match contains, as it stands in the value's
 * bytes, or an empty view.  Lives as long as the pool.
 */
struct sv regexp_literal(const struct regexp *regexp);

#endif
