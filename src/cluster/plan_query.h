/* SPDX-License-Identifier: BSD-2-Clause */

/* The query of a plan, as a message of proto/plan.proto. */

#ifndef SPOOR_CLUSTER_PLAN_QUERY_H
#define SPOOR_CLUSTER_PLAN_QUERY_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "query/ast.h"

struct Spoor__FieldPattern; /* generated */
struct Spoor__Query;

/*
 * Fills *out.  Texts are those of the query; the rest is in the pool.
 * ERR_UNSUPPORTED: a pipe asks a query, or a filter was not resolved.
 */
int plan_query_put(struct Spoor__Query *out, const struct query *query,
    struct pool *pool, struct err *err) WARN_UNUSED;
/* Texts are those of the message; the rest is in the pool. */
int plan_query_take(struct query **out, const struct Spoor__Query *message,
    int64_t now_ns, struct pool *pool, struct err *err) WARN_UNUSED;

struct pattern_list {
    struct Spoor__FieldPattern **v;
    size_t n;
};
int plan_patterns_put(struct pattern_list *out,
    const struct field_pattern *patterns, uint32_t n, struct pool *pool,
    struct err *err) WARN_UNUSED;
/* NULL after an error. */
struct field_pattern *plan_patterns_take(const struct pattern_list *list,
    struct pool *pool, struct err *err);

#endif
