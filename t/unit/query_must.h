/* SPDX-License-Identifier: BSD-2-Clause */

/* Queries from texts that must, or need not, be right. */

#ifndef SPOOR_T_UNIT_QUERY_MUST_H
#define SPOOR_T_UNIT_QUERY_MUST_H

#include "core/base.h"
#include "query/parse.h"

#include "tap.h"

#define NOW INT64_C(1800000000000000000) /* 2027-01-15T08:00:00Z */

static struct pool *pool;

static inline struct query *
parse(const char *text, struct err *err)
{
    struct query *query;

    *err = (struct err)ERR_INIT;
    return query_parse(&query, sv_from(text), NOW, pool, err) == 0 ? query :
        NULL;
}

static inline struct query *
must(const char *text)
{
    struct err err;
    struct query *query = parse(text, &err);

    if (query == NULL) {
        printf("Bail out! %s: %s\n", text, err.text);
        exit(1);
    }
    return query;
}

#endif
