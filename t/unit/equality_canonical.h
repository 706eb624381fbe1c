/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * parse(print(q)) = q for t/unit/equality.c: the canonical text of a random
 * query is parsed to the same text again, and is answered as the query is.
 */

#ifndef SPOOR_T_UNIT_EQUALITY_CANONICAL_H
#define SPOOR_T_UNIT_EQUALITY_CANONICAL_H

#include "core/base.h"

#include "equality_run.h"
#include "query/parse.h"
#include "tap.h"

/* Canonical texts are parsed always, answered so seldom. */
#define CANONICAL_RUN_EVERY 4u
#define CANONICAL_REPORTS_MAX 5u

struct canonical_figures {
    uint64_t nprinted;
    uint64_t nrun;
    uint64_t ndifferent;
};

static struct canonical_figures canonical;

static void
canonical_differs(struct sv text, struct sv printed, const char *what)
{
    if (canonical.ndifferent++ < CANONICAL_REPORTS_MAX)
        fail("%s: %.*s is printed as %.*s", what, (int)text.len, text.ptr,
            (int)printed.len, printed.ptr);
}

/* The canonical text; false if the query cannot be parsed. */
static bool
canonical_print(struct sb *out, struct sv text)
{
    struct pool *pool = pool_new(64 * MIB);
    struct query *query;
    bool is_parsed = query_parse(&query, text, EQUALITY_NOW, pool, NULL) == 0;

    if (is_parsed)
        query_print(out, query);
    pool_free(pool);
    return is_parsed && !sb_failed(out);
}

/* The i-th query, whose sorted answer in this form is known. */
static void
canonical_check(const struct random_query *q, struct sv text, uint32_t i,
    const struct answer *want)
{
    enum compare compare = q->compare[q->npipes];
    struct sb first, second;
    struct answer got;

    sb_init(&first, QUERY_TEXT_MAX);
    sb_init(&second, QUERY_TEXT_MAX);
    if (want->code == ERR_NONE && canonical_print(&first, text)) {
        canonical.nprinted++;
        if (!canonical_print(&second, sb_sv(&first)) ||
            !sv_eq(sb_sv(&first), sb_sv(&second)))
            canonical_differs(text, sb_sv(&first), "not parsed to itself");
        if (i % CANONICAL_RUN_EVERY == 0) {
            canonical.nrun++;
            answer_run(&got, sb_sv(&first), &world_tenants[q->tenant], false);
            if (compare != COMPARE_LIST)
                answer_sort(&got);
            if (!answer_equal(want, &got, compare))
                canonical_differs(text, sb_sv(&first), "other answer");
            answer_free(&got);
        }
    }
    sb_release(&first);
    sb_release(&second);
}

#endif
