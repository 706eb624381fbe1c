/* SPDX-License-Identifier: BSD-2-Clause */

/* Route handlers of the Jaeger query API. */

#ifndef SPOOR_API_JAEGER_H
#define SPOOR_API_JAEGER_H

#include "core/base.h"
#include "core/err.h"
#include "core/json_out.h"
#include "http/http.h"
#include "span/span.h"
#include "storage/store.h"

void jaeger_services(struct http_req *req);
void jaeger_operations(struct http_req *req);
/* Search by service and operation, or several traces by traceID. */
void jaeger_traces(struct http_req *req);
void jaeger_trace_by_id(struct http_req *req);
/* Calls between services (jaeger_dependencies.c). */
void jaeger_dependencies(struct http_req *req);

/* --- between jaeger.c and jaeger_search.c --- */

struct job;

/* As job_new(), with the arguments of all: allow_partial_response. */
struct job *jaeger_job_new(struct http_req *req);
/* allow_partial_response=0 and damaged data: the answer is an error. */
bool jaeger_must_fail(struct job *job, bool is_partial);

void jaeger_search_start(struct job *job);

/* The end of an answer that may lack damaged data, or nodes. */
void jaeger_end_answer(struct json_out *out, uint64_t total,
    const struct store_answer *answer);
/* The error as the whole reply. */
void jaeger_job_error(struct job *job, const struct err *err);
/* An argument is wrong: 400 in Jaeger's envelope; frees the job. */
void jaeger_refuse(struct http_req *req, struct job *job, const char *text);

#endif
