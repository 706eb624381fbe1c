/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Arguments that the LogsQL endpoints share: query, start, end, time,
 * timeout, extra_filters, extra_stream_filters.
 */

#ifndef SPOOR_API_LOGSQL_ARGS_H
#define SPOOR_API_LOGSQL_ARGS_H

#include "core/base.h"
#include "api/job.h"
#include "core/err.h"
#include "query/ast.h"

/* Repetitions of extra_filters (more are refused) and of field. */
#define LOGSQL_REPEATS_MAX 100u

/*
 * Parses the query and adds what the arguments say; sets the job's deadline.
 * Everything lives in the job's pool.  ERR_INVALID is for a 400.
 */
int logsql_query_arg(struct job *job, struct query **out, struct err *err)
    WARN_UNUSED;

/* "limit": 0 when it is absent, zero or negative. */
int logsql_limit_arg(struct job *job, uint64_t *out, struct err *err)
    WARN_UNUSED;

/*
 * A duration of an HTTP argument: a number of seconds, or with the units ms s
 * m h d w y; whole milliseconds.
 */
bool logsql_parse_duration(struct sv text, int64_t *ns);

/* Appends the text as a quoted name or value of LogsQL. */
void logsql_quote(struct sb *out, struct sv text);

/* Adds the pipes of "* | ..." to the query. */
int logsql_add_pipes(struct query *query, struct sv text, struct err *err)
    WARN_UNUSED;

#endif
