/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to regexp.c and regexp_groups.c.
 */

#ifndef SPOOR_QUERY_REGEXP_RUN_H
#define SPOOR_QUERY_REGEXP_RUN_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"
#include "query/regexp.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define REGEXP_MAGIC UINT32_C(0x52455850)

struct regexp {
    uint32_t magic;
    pcre2_code *code;
    struct sv literal;
    bool is_literal;  /* the literal is all there is */
    bool is_anchored;
    uint32_t ngroups; /* with the whole match; 1 without REGEXP_CAPTURES */
    struct sv *names; /* of groups; NULL without REGEXP_CAPTURES */
};

/*
 * Looks for a match that begins at start or behind, in UTF-8: 1 found, with
 * pairs of offsets in *ovector (of the thread, until the next call), as many
 * as *npairs; 0 none; -1.
 */
struct regexp_found {
    const size_t *ovector;
    uint32_t npairs;
};
int regexp_run(const struct regexp *regexp, struct sv value, size_t start,
    struct regexp_found *out, struct err *err) WARN_UNUSED;

#endif
