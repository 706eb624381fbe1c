/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The local store of a node, as the rest of the server sees it: the sink for
 * ingest, the answers for queries, and the module row that lives in every
 * process.  store.c wires log, memtables, flush, catalogue and recovery.
 */

#ifndef SPOOR_STORAGE_STORE_H
#define SPOOR_STORAGE_STORE_H

#include "core/base.h"
#include "core/err.h"
#include "event/module.h"
#include "span/ingest.h"
#include "span/span.h"
#include "storage/stream_visit.h"

extern const struct module store_module;

/*
 * How replay turns a logged body and the request's parameters back into
 * spans; set by main before the master runs (storage does not know OTLP).
 */
typedef int (*store_decode_fn)(enum otlp_format format, struct sv params,
    struct sv body, struct batch *batch, struct err *err);
void store_set_decoder(store_decode_fn decode);

/* --- ingest (worker, loop thread): implements otlp_sink_fn --- */
void store_ingest(struct ingest *ingest);

/* Limits for batch_apply_limits() at this moment. */
void store_span_limits(struct span_limits *limits);

/* True when ingest is refused now (read-only); *why is a static string. */
bool store_is_read_only(const char **why);

/* --- queries (any thread of a worker) --- */

/* A few names with reasons; of more the number is told. */
#define STORE_MISSING_MAX 240u

/* What an answer must say about itself. */
struct store_answer {
    /*
     * A damaged part or suspect memtable was involved.  A query sets it as
     * soon as that is known, so other threads may look.
     */
    _Atomic bool is_partial;
    bool is_truncated;  /* search.max_trace_spans was reached */
    /*
     * Of a front: storage nodes that were left out, "a:10428 (why), ...";
     * then it is partial.  "": none.
     */
    char missing[STORE_MISSING_MAX];
};

/*
 * All spans of a trace, each once, sorted by start.  None: nspans stays 0.
 */
int store_read_trace(const struct tenant *tenant, const struct trace_id *id,
    struct batch *out, struct store_answer *answer, struct err *err)
    WARN_UNUSED;

int store_visit_streams(const struct tenant *tenant,
    struct stream_visit *visit, struct store_answer *answer, struct err *err)
    WARN_UNUSED;

/* search.max_trace_spans of this process. */
uint32_t store_trace_spans_max(void);

/* --- operation --- */

/*
 * Writes all rows that are in any worker's memory now into parts.  done(arg)
 * on the loop's thread when everything committed before the call is in
 * published parts, or with ok = false after 60 s.
 */
void store_force_flush(void (*done)(bool ok, void *arg), void *arg);

/* Days that have rows, in parts or in memory, rising; free with xfree(). */
size_t store_days(uint32_t **days);

/* --- offline (spoorctl check) --- */

/* Verifies a data directory nobody writes to; prints findings to out. */
int store_check(const char *path, bool deep, struct sb *out, struct err *err)
    WARN_UNUSED;

#endif
