/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Synthetic load.  The same seed gives the same bytes, and a trace depends on
 * nothing but the seed and its number.  Profiles:
 *
 *   shop  a web shop: a frontend, a dozen services behind it, databases, a
 *         cache and a queue; 15 spans a trace
 *   a     short traces of many operations: 7.8 spans a trace, 462 bytes of
 *         OTLP and 8.5 attributes a span, 326 streams
 *   b     fan-out and uuids: 17.9 spans a trace, 403 bytes and 7.9 attributes
 *         a span, uuids in 37 % of the spans
 *
 * a and b are the corpora that sizes and times are quoted for; bench/README.md
 * describes them and has the figures as measured.
 */

#ifndef SPOOR_CLI_GEN_H
#define SPOOR_CLI_GEN_H

#include "core/base.h"
#include "span/span.h"

struct gen;

enum gen_profile { GEN_SHOP, GEN_A, GEN_B, GEN_PROFILES };

/* "shop", "a", "b". */
bool gen_profile_from_name(struct sv name, enum gen_profile *out);

/*
 * first_ns: start of the first trace; spacing_ns: between the starts of
 * traces (of a and b: on average).
 */
struct gen *gen_new(enum gen_profile profile, uint64_t seed,
    int64_t first_ns, int64_t spacing_ns);
void gen_free(struct gen *gen);

/* The next trace is the one of that number (from 0). */
void gen_seek(struct gen *gen, uint64_t index);

/*
 * Fills an empty batch with the next traces, spans grouped by service and
 * instance as a collector sends them.  Of profiles a and b the batch points
 * into gen, too.  -1: the batch's pool is too small.
 */
int gen_traces(struct gen *gen, unsigned traces, struct batch *out)
    WARN_UNUSED;

/* Spans of a trace, on average: of a and b as this file says. */
double gen_mean_spans(enum gen_profile profile);

/* Id of the trace number index (from 0) of a seed; the same in all profiles. */
struct trace_id gen_trace_id(uint64_t seed, uint64_t index);

#endif
