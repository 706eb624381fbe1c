/* SPDX-License-Identifier: BSD-2-Clause */

/* Queries of a front: its storage nodes are asked. */

#ifndef SPOOR_CLUSTER_BACKEND_NODES_H
#define SPOOR_CLUSTER_BACKEND_NODES_H

#include "core/base.h"
#include "core/conf.h"
#include "query/backend.h"
#include "query/source.h"

extern const struct backend backend_nodes;

/* Worker, before backend_set(): conf stays as long as the process. */
void backend_nodes_init(const struct conf *conf);

/* --- private to cluster/ --- */

const struct conf *backend_nodes_conf(void);
/* Rows and states of all nodes (source_nodes.c). */
int source_nodes(const struct source_plan *plan, struct err *err)
    WARN_UNUSED;
/* PLAN_TRACES (read_nodes.c). */
int nodes_read_traces(const struct backend_ask *ask,
    const struct trace_id *ids, uint32_t n,
    const struct backend_trace_to *to, struct err *err) WARN_UNUSED;
/* PLAN_EXPORT (source_nodes.c). */
int nodes_export_spans(const struct backend_ask *ask, struct query *query,
    backend_spans_fn fn, void *arg, struct err *err) WARN_UNUSED;

#endif
