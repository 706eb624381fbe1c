/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * OTLP trace requests to span batches, and the HTTP handler in front of it.
 * Decoding has no side effects: a malformed body leaves nothing behind.
 */

#ifndef SPOOR_OTLP_OTLP_H
#define SPOOR_OTLP_OTLP_H

#include "core/base.h"
#include "core/compress.h"
#include "core/err.h"
#include "core/pool.h"
#include "http/http.h"
#include "span/ingest.h"
#include "span/span.h"

/*
 * Decodes a whole ExportTraceServiceRequest.  The batch's views point into
 * body and pool.  ERR_INVALID: malformed (400).  ERR_LIMIT: too many spans or
 * too much memory (413).  Spans with wrong ids or times are in the batch,
 * marked rejected.
 */
int otlp_decode_protobuf(struct sv body, struct batch *batch, struct err *err)
    WARN_UNUSED;
int otlp_decode_json(struct sv body, struct batch *batch, struct err *err)
    WARN_UNUSED;

/* By format. */
int otlp_decode(enum otlp_format format, struct sv body, struct batch *batch,
    struct err *err) WARN_UNUSED;

/*
 * Decodes, then does what the request's canonical parameters ask for
 * (span/params.h): what a request and its replay from the log both go
 * through.
 */
int otlp_decode_request(enum otlp_format format, struct sv params,
    struct sv body, struct batch *batch, struct err *err) WARN_UNUSED;

/* --- ingest seam --- */

/* Called on the loop's thread; must call done() exactly once, later or now. */
typedef void (*otlp_sink_fn)(struct ingest *ingest);
/*
 * Set by main before any request (default: panics).  Also makes errors of
 * insert routes google.rpc.Status messages.
 */
void otlp_set_sink(otlp_sink_fn sink);
/*
 * Asked on the loop's thread for the limits of each request.  Not set: no
 * limits of time, 1,000 fields.
 */
typedef void (*otlp_limits_fn)(struct span_limits *limits);
void otlp_set_limits(otlp_limits_fn limits);

/* Inserts that a worker decodes or stores at a time. */
unsigned otlp_concurrent_max(const struct conf *conf);

/* Route handler of /insert/opentelemetry/v1/traces and /v1/traces. */
void otlp_http_traces(struct http_req *req);
/* And of TraceService/Export over gRPC (ROUTE_GRPC). */
void otlp_grpc_traces(struct http_req *req);

#endif
