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
 *
 *   regexp.c          compiling, and whether a value matches
 *   regexp_groups.c   matches and groups
 *   regexp_syntax.c   RE2's syntax to PCRE2's
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
    REGEXP_CAPTURES = 4,    /* regexp_next() will be used */
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

/* --- matches one after the other, with their groups (REGEXP_CAPTURES) --- */

/* The whole match is group 0. */
uint32_t regexp_ngroups(const struct regexp *regexp);
/* Empty: it has none.  Lives as long as the pool. */
struct sv regexp_group_name(const struct regexp *regexp, uint32_t group);

/* A value in which matches are looked for, from its begin to its end. */
struct regexp_subject {
    struct sv value;
    struct sv text;      /* as RE2 sees it; the value if that is UTF-8 */
    uint32_t *offsets;   /* of bytes of the text in the value; NULL: same */
    size_t at;           /* in the text: where to look next */
    size_t last;         /* end of the match before; SIZE_MAX: none */
};
/* The value is borrowed.  Values of 1 GiB and more are refused. */
int regexp_subject_open(struct regexp_subject *subject, struct sv value,
    struct err *err) WARN_UNUSED;
void regexp_subject_close(struct regexp_subject *subject);
/*
 * 1: the next match, with pieces of the value in groups[regexp_ngroups()],
 * ptr NULL for a group that took no part; 0: no more; -1 as regexp_match().
 * Matches do not overlap, and an empty one does not touch the one before.
 */
int regexp_next(const struct regexp *regexp, struct regexp_subject *subject,
    struct sv *groups, struct err *err) WARN_UNUSED;

#endif
