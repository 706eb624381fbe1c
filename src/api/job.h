/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A query as a job: arguments are read on the loop, run() works on a task
 * thread, the reply is sent from the loop.  A client that goes away cancels
 * its job.
 */

#ifndef SPOOR_API_JOB_H
#define SPOOR_API_JOB_H

#include "core/base.h"
#include "core/pool.h"
#include "core/sb.h"
#include "http/http.h"
#include "span/span.h"

struct job {
    struct http_req *req;  /* loop thread only */
    struct pool *pool;     /* arguments and working memory */
    struct tenant tenant;
    size_t bytes_max;      /* of a region, and of the answer */
    int64_t deadline_ns;   /* monotonic */
    _Atomic bool cancel;
    struct sb reply;
    int status;
    const char *content_type;
    void *arg;             /* of the handler, in the pool */
    void (*run)(struct job *job); /* private */
};

/*
 * Makes a job with the request's tenant; NULL when the request was answered
 * with an error already.
 */
struct job *job_new(struct http_req *req);
/* Queues it; answers 503 by itself when too many wait. */
void job_start(struct job *job, void (*run)(struct job *job));
/* For argument errors: answers nothing, the caller does. */
void job_free(struct job *job);

#endif
