/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Synthetic load of a web shop: a frontend, a dozen services behind it,
 * databases, a cache and a queue.  About 18 spans a trace and 8 attributes a
 * span, some with errors, exceptions, links.  The same seed gives the same
 * bytes.
 */

#ifndef SPOOR_CLI_GEN_H
#define SPOOR_CLI_GEN_H

#include "core/base.h"
#include "span/span.h"

struct gen;

/*
 * first_ns: start of the first trace; spacing_ns: between the starts of
 * traces.
 */
struct gen *gen_new(uint64_t seed, int64_t first_ns, int64_t spacing_ns);
void gen_free(struct gen *gen);

/*
 * Fills an empty batch with the next traces, spans grouped by service as a
 * collector sends them.  -1: the batch's pool is too small.
 */
int gen_traces(struct gen *gen, unsigned traces, struct batch *out)
    WARN_UNUSED;

/* Id of the trace number index (from 0) of a seed. */
struct trace_id gen_trace_id(uint64_t seed, uint64_t index);

#endif
