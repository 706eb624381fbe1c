/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which spans a tail has seen: windows of time overlap, so that spans that
 * come late are not lost, and each span goes out once.
 */

#ifndef SPOOR_API_TAIL_SEEN_H
#define SPOOR_API_TAIL_SEEN_H

#include "core/base.h"
#include "query/pipe.h"

/*
 * Spans remembered: what comes in ten seconds at 5,000 a second, in 3 MiB; a
 * busier tail does without the overlap.
 */
#define TAIL_SEEN_MAX 50000u

struct tail_seen;

struct tail_seen *tail_seen_new(void);
void tail_seen_free(struct tail_seen *seen);
/* A stage that lets the spans pass that were not seen before; one lane. */
struct stage *tail_seen_stage(struct tail_seen *seen);
/*
 * The end of a round.  Failed: what it has seen counts as not seen.  Forgets
 * what ended before from_ns.  False: there were too many spans to remember.
 */
bool tail_seen_end(struct tail_seen *seen, bool is_failed, int64_t from_ns);

#endif
