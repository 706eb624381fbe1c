/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a front asks a node: the body of POST /internal/select/..., a message
 * of proto/plan.proto.  Filters travel as they are in memory, with resolved
 * values; pipes as canonical text, read again with the front's time.
 */

#ifndef SPOOR_CLUSTER_PLAN_H
#define SPOOR_CLUSTER_PLAN_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "query/ast.h"
#include "query/split.h"
#include "span/span.h"

#define PLAN_BYTES_MAX (64 * MIB)
#define PLAN_TRACES_MAX 10000u

enum plan_kind {
    PLAN_QUERY = 1,   /* remote, end, needed: ROWS, or STATE */
    PLAN_SEARCH,      /* remote's filter, limit: HITS, newest first */
    PLAN_TRACES,      /* ids: SPANS for each that has any, in their order */
    PLAN_NAMES,       /* min_time, max_time: NAMES */
    PLAN_EDGES,       /* min_time, max_time: EDGES */
    PLAN_TENANTS,     /* min_time, max_time: TENANTS; of all tenants */
    PLAN_EXPORT,      /* remote's filter: SPANS */
};

struct plan {
    enum plan_kind kind;
    struct tenant tenant;
    int64_t timeout_ns;        /* what is left at the front */
    size_t memory_max;         /* at most; the node has its own limit, too */
    bool wants_plain;          /* frames are not to be compressed */
    bool allow_missing;        /* for nodes that are fronts themselves */
    bool no_cache;
    int64_t now_ns;            /* that pipes are read with */
    int64_t min_time, max_time;
    uint32_t limit;
    struct query *query;       /* of QUERY, SEARCH, EXPORT; else NULL */
    enum split_end end;
    struct needed needed;
    const struct trace_id *ids;
    uint32_t nids;
};

int plan_put(struct sb *out, const struct plan *plan, struct err *err)
    WARN_UNUSED;
/* Everything lives in the pool.  ERR_INVALID: not such a message. */
int plan_take(struct plan *out, struct sv bytes, struct pool *pool,
    struct err *err) WARN_UNUSED;

/* "/internal/select/query" and so on: one path for each kind. */
const char *plan_path(enum plan_kind kind);

/* --- payloads of frames --- */

struct plan_hit {
    struct trace_id id;
    int64_t end_ns;
};
void plan_hit_put(struct sb *out, const struct plan_hit *hit);
int plan_hit_take(struct sv *in, struct plan_hit *out, struct err *err)
    WARN_UNUSED; /* 1, 0 at the end, -1 */

#endif
