/* SPDX-License-Identifier: BSD-2-Clause */

/* Handlers of /select/logsql/. */

#ifndef SPOOR_API_LOGSQL_H
#define SPOOR_API_LOGSQL_H

#include "core/base.h"
#include "http/http.h"

void logsql_query(struct http_req *req);
void logsql_field_names(struct http_req *req);
void logsql_field_values(struct http_req *req);
void logsql_streams(struct http_req *req);
void logsql_stream_ids(struct http_req *req);
void logsql_hits(struct http_req *req);

void logsql_stream_field_names(struct http_req *req);
void logsql_stream_field_values(struct http_req *req);
void logsql_facets(struct http_req *req);
void logsql_stats_query(struct http_req *req);
void logsql_stats_query_range(struct http_req *req);
void logsql_query_time_range(struct http_req *req);
void logsql_tenant_ids(struct http_req *req);
void logsql_tail(struct http_req *req);
void logsql_parse(struct http_req *req);
void logsql_registry(struct http_req *req);

/* --- private to api/logsql*.c --- */

struct job;
struct query;
struct stage;
struct err;

/* The error as the text of the reply, or of its last line. */
void logsql_job_error(struct job *job, const struct err *err);
/*
 * Runs the query into the sink; -1: the reply has the error, or the plan when
 * that was asked for.
 */
int logsql_execute(struct job *job, struct query *query,
    struct stage *sink);
/* Whether nodes that cannot be reached may be left out. */
bool logsql_allows_missing(const struct job *job, const struct query *query);
/* ERR_CORRUPT: the answer lacks something, which the request refuses. */
int logsql_check_whole(const struct job *job, const struct query *query,
    struct err *err);
/* Zeroed memory for job->arg. */
int logsql_arg_new(struct job *job, size_t size, struct err *err)
    WARN_UNUSED;
/* Refuses the request and frees the job. */
void logsql_refuse(struct job *job, const struct err *err);
/* The same with the JSON error of stats_query. */
void logsql_refuse_stats(struct job *job, const struct err *err);

#endif
