/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Where the spans of this server are: in its own store (query/backend.c), or,
 * of a front, on storage nodes (cluster/backend_nodes.c).  All that the APIs
 * ask for goes through here.
 */

#ifndef SPOOR_QUERY_BACKEND_H
#define SPOOR_QUERY_BACKEND_H

#include "core/base.h"
#include "core/err.h"
#include "core/mem_share.h"
#include "core/pool.h"
#include "query/source.h"
#include "span/span.h"
#include "storage/edges.h"
#include "storage/store.h"
#include "storage/stream_visit.h"
#include "storage/tenants.h"

struct query;
struct task_pool;

/* Who asks, and how long and how much he may. */
struct backend_ask {
    struct tenant tenant;
    int64_t deadline_ns;        /* monotonic; 0: none */
    const _Atomic bool *cancel; /* may be NULL */
    size_t memory_max;
    struct mem_share *share;    /* may be NULL */
    struct task_pool *tasks;    /* may be NULL */
    unsigned lanes_max;
    bool allow_missing;         /* nodes that cannot be reached are left out */
    struct store_answer *answer;
};

/*
 * One trace, the spans of which are sorted: batch has none when there is none,
 * and is good for the call.  Each id (of the index i) comes once; calls come
 * one at a time or from several threads, in any order.
 */
typedef int (*backend_trace_fn)(void *arg, uint32_t i, struct batch *batch,
    const struct store_answer *answer, struct err *err);
struct backend_trace_to {
    backend_trace_fn fn;
    void *arg;
};
/*
 * fn for 0 .. n - 1, on as many threads as the ask allows; the first error
 * ends it, as do ERR_CANCELLED and ERR_TIMEOUT.
 */
struct backend_work {
    int (*fn)(void *arg, uint32_t i, struct err *err);
    void *arg;
    uint32_t n;
};
int backend_each(const struct backend_ask *ask,
    const struct backend_work *work, struct err *err) WARN_UNUSED;

struct backend_hit_to {
    void (*fn)(void *arg, const struct trace_id *id, int64_t end_ns);
    void *arg;
};
typedef int (*backend_spans_fn)(void *arg, struct sv request,
    struct err *err);

struct backend {
    source_fn source;
    bool is_remote;
    /* ask->answer is set by nodes only; each trace has an own one. */
    int (*read_traces)(const struct backend_ask *ask,
        const struct trace_id *ids, uint32_t n,
        const struct backend_trace_to *to, struct err *err);
    int (*visit_streams)(const struct backend_ask *ask,
        struct stream_visit *visit, struct err *err);
    int (*visit_edges)(const struct backend_ask *ask,
        const struct edge_visit *visit, struct err *err);
    int (*list_tenants)(const struct backend_ask *ask,
        struct tenant_list *list, int64_t start_ns, int64_t end_ns,
        struct err *err);
    /*
     * The newest traces with a span that passes the query's filter: fn for
     * each candidate, more than once perhaps, at most about limit from each
     * node.  NULL: run the query into a sink instead.
     */
    int (*search)(const struct backend_ask *ask, struct query *query,
        uint32_t limit, const struct backend_hit_to *to, struct err *err);
    /*
     * Spans that pass the filter as ExportTraceServiceRequests.  NULL: run
     * the query into a sink that reads blocks.
     */
    int (*export_spans)(const struct backend_ask *ask, struct query *query,
        backend_spans_fn fn, void *arg, struct err *err);
};

extern const struct backend backend_local;

/* backend_local until a worker sets another, before its first request. */
const struct backend *backend_get(void);
void backend_set(const struct backend *backend);

#endif
