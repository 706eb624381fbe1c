/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Inserts of a front: a request is split by trace, each share is a parcel,
 * and a thread of the worker (the sender) brings parcels to their nodes, many
 * in a request when many wait.  An insert is answered when all its parcels
 * are stored by a node or durable in the queue.
 */

#ifndef SPOOR_CLUSTER_SENDER_H
#define SPOOR_CLUSTER_SENDER_H

#include "core/base.h"
#include "core/err.h"
#include "event/module.h"
#include "span/ingest.h"

/* Implements otlp_sink_fn; loop's thread. */
void cluster_ingest(struct ingest *ingest);
/* For otlp_set_limits(): no limits of time, nodes know theirs. */
void cluster_span_limits(struct span_limits *limits);

/* Master, before any fork: what workers know of those that ended. */
int sender_create(struct err *err) WARN_UNUSED;
/* Master: its inserts are nobody's any more. */
void sender_process_ended(pid_t pid);
/* Worker, after nodes_start(); the master has made the request table. */
int sender_start(struct process *process, struct err *err) WARN_UNUSED;
/* Wakes the thread; any thread. */
void sender_wake(void);
bool sender_is_idle(void);
/* Parcels that are not stored by then go into the queue. */
void sender_stop(int64_t timeout_ns);

#endif
