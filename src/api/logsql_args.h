/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Arguments that the LogsQL endpoints share: query, start, end, time,
 * timeout, extra_filters, extra_stream_filters, hidden_fields_filters,
 * allow_partial_response, nocache.
 */

#ifndef SPOOR_API_LOGSQL_ARGS_H
#define SPOOR_API_LOGSQL_ARGS_H

#include "core/base.h"
#include "api/job.h"
#include "core/err.h"
#include "query/ast.h"

/*
 * Repetitions of extra_filters and hidden_fields_filters (more are refused)
 * and of field.
 */
#define LOGSQL_REPEATS_MAX 100u

/*
 * Parses the query and adds what the arguments say; sets the job's deadline.
 * Everything lives in the job's pool.  ERR_INVALID is for a 400.
 */
int logsql_query_arg(struct job *job, struct query **out, struct err *err)
    WARN_UNUSED;

/* The same; and what else the time arguments say. */
struct logsql_times {
    int64_t start, end; /* of the arguments; INT64_MIN, INT64_MAX: none */
    int64_t instant;    /* time, else end, else now */
    int64_t now;        /* what relative times count from */
    bool has_start, has_end;
};
int logsql_query_times(struct job *job, struct query **out,
    struct logsql_times *times, struct err *err) WARN_UNUSED;
/* The same with times of the caller's instead of those of the request. */
int logsql_query_in(struct job *job, struct query **out,
    const struct logsql_times *times, struct err *err) WARN_UNUSED;
/* The time arguments alone. */
int logsql_times_arg(struct job *job, struct logsql_times *out,
    struct err *err) WARN_UNUSED;

/*
 * The query of an endpoint that counts rows: what it says in pipes counts,
 * too, unless ignore_pipes=1.
 */
int logsql_rows_query(struct job *job, struct query **out, struct err *err)
    WARN_UNUSED;

/* 1, true, yes, on, and their opposites; absent: *out stays. */
int logsql_bool_arg(struct job *job, const char *name, bool *out,
    struct err *err) WARN_UNUSED;
/*
 * allow_partial_response: whether damaged data, which is by default, and nodes
 * that cannot be reached, which are as search.allow_partial_response says, may
 * be left out.
 */
int logsql_partial_arg(struct job *job, struct err *err) WARN_UNUSED;
/* A number of at least 0; absent: *out stays. */
int logsql_uint_arg(struct job *job, const char *name, uint64_t *out,
    struct err *err) WARN_UNUSED;
/* A duration above 0; absent: *out stays. */
int logsql_step_arg(struct job *job, const char *name, int64_t *ns,
    struct err *err) WARN_UNUSED;

/* "limit": 0 when it is absent, zero or negative. */
int logsql_limit_arg(struct job *job, uint64_t *out, struct err *err)
    WARN_UNUSED;

/*
 * A duration of an HTTP argument: a number of seconds, or with the units ns
 * us ms s m h d w y in either case; whole nanoseconds.
 */
bool logsql_parse_duration(struct sv text, int64_t *ns);

/* Appends the text as a quoted name or value of LogsQL. */
void logsql_quote(struct sb *out, struct sv text);

/* Adds the pipes of "* | ..." to the query. */
int logsql_add_pipes(struct query *query, struct sv text, struct err *err)
    WARN_UNUSED;

#endif
