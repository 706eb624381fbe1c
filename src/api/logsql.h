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

/* --- private to api/logsql*.c --- */

struct job;
struct query;
struct stage;
struct err;

/* The error as the text of the reply, or of its last line. */
void logsql_job_error(struct job *job, const struct err *err);
/* Runs the query into the sink; -1: the reply has the error. */
int logsql_execute(struct job *job, struct query *query,
    struct stage *sink);
/* Refuses the request and frees the job. */
void logsql_refuse(struct job *job, const struct err *err);

#endif
