/* SPDX-License-Identifier: BSD-2-Clause */

/* Traces as elements of a JSON array, several at a time by several threads. */

#ifndef SPOOR_API_JAEGER_TRACES_H
#define SPOOR_API_JAEGER_TRACES_H

#include "core/base.h"
#include "core/err.h"
#include "core/json_out.h"
#include "api/job.h"
#include "span/span.h"

enum found_what { FOUND_NONE, FOUND_TRACE, FOUND_DAMAGE /* and no span */ };

struct found {
    enum found_what what;
    bool is_partial; /* damaged data was left out */
};

/*
 * What a partial answer lacks: "some stored data is damaged and was left out",
 * or which storage nodes; in text, if it has to be made.
 */
#define JAEGER_LACK_MAX (STORE_MISSING_MAX + 80)
const char *jaeger_lack(const struct store_answer *answer,
    char text[JAEGER_LACK_MAX]);

/* Writes one trace, if there is one. */
int jaeger_trace_write(struct job *job, struct json_out *out,
    const struct trace_id *id, struct found *found, struct err *err)
    WARN_UNUSED;

/*
 * Writes those that there are, in the order of ids, and tells what was found
 * of each.  Not for the threads of lookups: it takes more of job's queries.
 */
struct jaeger_traces {
    const struct trace_id *ids;
    uint32_t n;
    struct found *found; /* n */
};
int jaeger_traces_write(struct job *job, struct json_out *out,
    const struct jaeger_traces *traces, struct err *err) WARN_UNUSED;

#endif
