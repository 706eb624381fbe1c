/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Spans as the JSON that Jaeger UI and Grafana's Jaeger data source read.
 * Source of the shape: design reference, query-apis 2.4.
 */

#ifndef SPOOR_API_JAEGER_JSON_H
#define SPOOR_API_JAEGER_JSON_H

#include "core/base.h"
#include "core/json_out.h"
#include "span/span.h"

/* Opens {"data": ; jaeger_end() writes the rest of the envelope. */
void jaeger_begin(struct json_out *out);
struct jaeger_error {
    int code;
    struct sv text;
    struct sv trace_id; /* may be empty */
};
void jaeger_end(struct json_out *out, uint64_t total,
    const struct jaeger_error *errors, unsigned nerrors);

/*
 * One trace.  batch holds the spans of this trace alone, sorted.  warning may
 * be NULL.
 */
void jaeger_trace(struct json_out *out, const struct batch *batch,
    const char *warning);

/* 32 hex digits, or 16 when the high half is zero; dst holds 32 bytes. */
struct sv jaeger_trace_id(const struct trace_id *id, char dst[32]);

#endif
