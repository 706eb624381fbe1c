/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A query as a job: arguments are read on the loop, run() works on a task
 * thread, the reply is sent from the loop.  A client that goes away cancels
 * its job.
 */

#ifndef SPOOR_API_JOB_H
#define SPOOR_API_JOB_H

#include "core/base.h"
#include "core/err.h"
#include "core/mem_share.h"
#include "core/pool.h"
#include "core/sb.h"
#include "http/http.h"
#include "span/span.h"
#include "storage/store.h"

/* A streamed answer waits for its client when it holds this much. */
#define JOB_STREAM_BYTES_MAX (1 * MIB)

struct backend_ask;
struct job_stream; /* private to job.c */

struct job {
    struct http_req *req;  /* loop thread only */
    struct process *process;
    struct pool *pool;     /* arguments and working memory */
    struct tenant tenant;
    size_t bytes_max;      /* of a region, and of the answer */
    struct mem_share memory; /* of all the job's regions and the answer */
    int64_t deadline_ns;   /* monotonic */
    _Atomic bool cancel;
    struct sb reply;
    /* "Spoor-Partial: true" is sent when damaged data was left out. */
    struct store_answer answer;
    int status;
    const char *content_type;
    void *arg;             /* of the handler, in the pool */
    void (*run)(struct job *job); /* private */
    struct job_stream *stream;    /* private, as are the next four */
    struct job *next;
    int64_t queue_until_ns;
    int64_t queued_ns;
    size_t reply_charged;
    bool has_place;
    bool is_explained;     /* the plan is the answer, not the rows */
    bool is_stats;         /* errors are 422 and JSON */
    bool is_logsql;        /* the reply tells tenant and duration */
    bool tells_range;      /* and the times that the query itself asks for */
    int64_t own_min, own_max; /* these; INT64_MIN, INT64_MAX: none */
    bool no_cache;         /* kept results are neither used nor made */
    bool must_be_whole;    /* an error is better than a partial answer */
    bool allow_missing;    /* storage nodes that cannot be reached are left
                              out; without a word search.allow_partial_response
                              decides */
    bool is_broken;        /* what was streamed is not the whole answer */
    /*
     * Of a query that comes from a front.  It is counted with its like, and
     * its answer says in its last bytes what it lacks: status 200, whatever
     * happens.
     */
    bool is_internal;
    struct sv alive;       /* sent when nothing else was for a while */
    /* Appends what tells the front that the job was refused (ERR_BUSY). */
    void (*put_refusal)(struct sb *out, const struct err *err);
};

/*
 * Makes a job with the request's tenant; NULL when the request was answered
 * with an error already.
 */
struct job *job_new(struct http_req *req);
/*
 * Runs it as soon as there is a place (api/admission.h); answers 503 by
 * itself when there is none for too long.
 */
void job_start(struct job *job, void (*run)(struct job *job));
/*
 * The same for what reads little by an index: it has a thread that no query
 * takes, and needs a place only when many wait for that.
 */
void job_start_lookup(struct job *job, void (*run)(struct job *job));
/*
 * A place for a job that the caller has a thread run by itself, until
 * job_free().  False: there is none now, or replies that wait to be read
 * leave no memory for another.
 */
bool job_take_place(struct job *job) WARN_UNUSED;
/*
 * On the task's thread: sends what is in `part` before the answer is
 * complete and empties it; status and content type are settled by the first
 * call.  Waits while the client is slow.  What is in job->reply when run()
 * returns goes out last.  -1: the client is gone or the time is up.
 */
int job_write(struct job *job, struct sb *part, struct err *err) WARN_UNUSED;
/* True when job_write() was called: it is too late for another status. */
bool job_is_streaming(const struct job *job);

/* What a backend (query/backend.h) is told of the one who asks. */
void job_ask(struct job *job, struct backend_ask *out);

/* Threads that may work on it, if the query does not say it. */
unsigned job_lanes(const struct job *job);
/*
 * search.latency_offset: what ended later is not found yet; INT64_MAX: all
 * is.
 */
int64_t job_newest_ns(const struct process *process);

/*
 * Counts what job->reply has grown to against the job's memory: for answers
 * that are made whole, from time to time.
 */
int job_charge_reply(struct job *job, struct err *err) WARN_UNUSED;
/*
 * ERR_BUSY in place of ERR_LIMIT when it was other queries that had the
 * memory; else the error's code.
 */
enum err_code job_error_code(const struct job *job, const struct err *err);

/* For argument errors: answers nothing, the caller does. */
void job_free(struct job *job);

#endif
