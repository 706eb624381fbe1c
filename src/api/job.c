/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/job.h"

#include <pthread.h>
#include <time.h>

#include "api/job_state.h"
#include "api/trim.h"
#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/task.h"
#include "query/backend.h"

/* What the task's thread and the loop share of a streamed answer. */
struct job_stream {
    pthread_mutex_t mutex;
    pthread_cond_t has_room;
    struct sb pending;
    bool is_posted; /* job_pump() is to run */
    bool is_used;   /* something was written */
    int64_t stalled_ns; /* waited for the client, of the task's thread */
    struct loop_timer *timer; /* says that the job is alive; or NULL */
    int64_t sent_ns;    /* when something was last sent; loop thread */
    bool has_begun; /* loop thread only, as are the next */
    bool is_marked; /* the head says that the answer is partial */
    bool is_full;   /* the client takes no more for now */
    bool is_over;   /* run() has returned */
};

/* --- streaming --- */

static void
stream_free(struct job_stream *stream)
{
    loop_timer_free(stream->timer);
    sb_release(&stream->pending);
    pthread_mutex_destroy(&stream->mutex);
    pthread_cond_destroy(&stream->has_room);
    xfree(stream);
}

static struct job_stream *
stream_new(size_t bytes_max)
{
    struct job_stream *stream = xcalloc(1, sizeof(*stream));
    pthread_condattr_t attr;

    check(pthread_mutex_init(&stream->mutex, NULL) == 0);
    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_cond_init(&stream->has_room, &attr) == 0);
    pthread_condattr_destroy(&attr);
    /* One part may be as large as a whole answer. */
    sb_init(&stream->pending, JOB_STREAM_BYTES_MAX + bytes_max);
    return stream;
}

static void job_end(struct job *job);
static void job_pump(void *arg);

static void IMPL(http_drain_fn)
job_drained(struct http_req *req, void *arg)
{
    struct job *job = arg;

    (void)req;
    job->stream->is_full = false;
    job_pump(job);
}

/* What clients of LogsQL like to know, scripts of other origins, too. */
static void
logsql_headers(struct job *job)
{
    struct http_req *req = job->req;
    char text[64];

    snprintf(text, sizeof(text), "%.6f",
        (double)(clock_mono_ns() - req->start_ns) / 1e9);
    http_reply_header(req, "VL-Request-Duration-Seconds", text);
    snprintf(text, sizeof(text), "%u", job->tenant.account);
    http_reply_header(req, "AccountID", text);
    snprintf(text, sizeof(text), "%u", job->tenant.project);
    http_reply_header(req, "ProjectID", text);
    if (job->tells_range &&
        (job->own_min != INT64_MIN || job->own_max != INT64_MAX)) {
        snprintf(text, sizeof(text), "[%lld,%lld]", (long long)job->own_min,
            (long long)job->own_max);
        http_reply_header(req, "VL-Selected-Time-Range", text);
    }
    http_reply_header(req, "Access-Control-Expose-Headers",
        "VL-Request-Duration-Seconds, VL-Selected-Time-Range, AccountID, "
        "ProjectID, Spoor-Partial");
}

static void
reply_headers(struct job *job)
{
    if (job->answer.is_partial)
        http_reply_header(job->req, "Spoor-Partial", "true");
    if (job->is_logsql)
        logsql_headers(job);
}

static void
stream_begin(struct job *job)
{
    job->stream->has_begun = true;
    job->stream->is_marked = job->answer.is_partial;
    reply_headers(job);
    http_reply_begin(job->req, job->status, job->content_type);
}

static void
stream_send(struct job *job, const void *ptr, size_t len)
{
    struct job_stream *stream = job->stream;

    stream->sent_ns = loop_now_ns(job->process->loop);
    stream->is_full = !http_reply_write(job->req, ptr, len);
    if (stream->is_full)
        http_on_drain(job->req, job_drained, job);
}

/* On the loop: gives the reply what is pending. */
static void IMPL(loop_post_fn)
job_pump(void *arg)
{
    struct job *job = arg;
    struct job_stream *stream = job->stream;
    char *ptr = NULL;
    size_t len = 0;

    pthread_mutex_lock(&stream->mutex);
    stream->is_posted = false;
    if (!stream->is_full && stream->pending.len > 0) {
        ptr = sb_detach(&stream->pending, &len);
        pthread_cond_signal(&stream->has_room);
    }
    pthread_mutex_unlock(&stream->mutex);
    if (ptr != NULL && !atomic_load(&job->cancel)) {
        if (!stream->has_begun)
            stream_begin(job);
        stream_send(job, ptr, len);
    }
    xfree(ptr);
    if (stream->is_over && (!stream->is_full || atomic_load(&job->cancel)))
        job_end(job);
}

/* So often at least something is sent to who wants to know that it runs. */
#define ALIVE_NS (250 * NS_PER_MS)

/* What is sent elsewhere are whole pieces, so this may be between any two. */
static void IMPL(loop_timer_fn)
job_tick(void *arg)
{
    struct job *job = arg;
    struct job_stream *stream = job->stream;

    if (stream->is_over || atomic_load(&job->cancel))
        return;
    if (!stream->is_full &&
        loop_now_ns(job->process->loop) - stream->sent_ns >= ALIVE_NS) {
        if (!stream->has_begun)
            stream_begin(job);
        stream_send(job, job->alive.ptr, job->alive.len);
    }
    loop_timer_set(stream->timer, ALIVE_NS);
}

static void
ticks_begin(struct job *job)
{
    struct loop *loop = job->process->loop;

    if (job->alive.len == 0)
        return;
    job->stream->sent_ns = loop_now_ns(loop);
    job->stream->timer = loop_timer_new(loop, job_tick, job);
    loop_timer_set(job->stream->timer, ALIVE_NS);
}

bool
job_is_streaming(const struct job *job)
{
    return job->stream->is_used;
}

/*
 * How long, in all, a query may wait for its client while others have no
 * place to run, and how often the waiting one looks.
 */
#define STALL_NS (5 * NS_PER_SEC)
#define STALL_POLL_NS (500 * NS_PER_MS)

/* Under the mutex.  A while, or until there may be room. */
static void
wait_some(struct job *job)
{
    int64_t now_ns = clock_mono_ns();
    int64_t until_ns = MIN(job->deadline_ns, now_ns + STALL_POLL_NS);
    struct timespec until = {.tv_sec = until_ns / NS_PER_SEC,
        .tv_nsec = until_ns % NS_PER_SEC};

    (void)pthread_cond_timedwait(&job->stream->has_room,
        &job->stream->mutex, &until);
    job->stream->stalled_ns += clock_mono_ns() - now_ns;
}

/* Under the mutex. */
static int
wait_for_room(struct job *job, struct err *err)
{
    struct job_stream *stream = job->stream;

    while (stream->pending.len >= JOB_STREAM_BYTES_MAX &&
        !atomic_load(&job->cancel)) {
        if (clock_mono_ns() >= job->deadline_ns)
            return err_set(err, ERR_TIMEOUT,
                "the client takes the answer too slowly");
        if (stream->stalled_ns >= STALL_NS && atomic_load(&job_nwaiting) > 0)
            return err_set(err, ERR_TIMEOUT, "the client takes the answer "
                "too slowly while other queries wait");
        wait_some(job);
    }
    if (atomic_load(&job->cancel))
        return err_set(err, ERR_CANCELLED, "the client is gone");
    return 0;
}

int
job_write(struct job *job, struct sb *part, struct err *err)
{
    bool is_posted;
    int rc;

    if (sb_failed(part))
        return err_set(err, ERR_LIMIT, "the answer is too large");
    pthread_mutex_lock(&job->stream->mutex);
    job->stream->is_used = true;
    rc = wait_for_room(job, err);
    if (rc == 0)
        sb_add(&job->stream->pending, part->ptr, part->len);
    is_posted = job->stream->is_posted;
    job->stream->is_posted = is_posted || rc == 0;
    pthread_mutex_unlock(&job->stream->mutex);
    sb_reset(part);
    if (rc == 0 && !is_posted)
        loop_post(job->process->loop, job_pump, job);
    return rc;
}

/* --- jobs --- */

/* Of all queries of this process. */
static struct mem_share memory;

struct job *
job_new(struct http_req *req)
{
    struct err err = ERR_INIT;
    struct tenant tenant;
    struct job *job;

    if (http_tenant(req, &tenant.account, &tenant.project, &err) != 0) {
        http_reply_error(req, 400, "%s", err.text);
        return NULL;
    }
    job = xcalloc(1, sizeof(*job));
    job->req = req;
    job->process = req->process;
    job->tenant = tenant;
    job->bytes_max = (size_t)conf_budget(req->process->conf)->query;
    /* Before the first query; threads read it from then on. */
    if (memory.max == 0)
        memory.max = (size_t)conf_budget(req->process->conf)->queries;
    /* One leaves something to the small ones that run beside it. */
    job->memory.max = memory.max / 4 * 3;
    job->memory.parent = &memory;
    job->pool = pool_new(job->bytes_max);
    pool_share(job->pool, &job->memory);
    job->allow_missing = req->process->conf->allow_partial;
    job->status = 200;
    job->content_type = "application/json";
    job->deadline_ns = clock_mono_ns() + req->process->conf->query_timeout;
    sb_init(&job->reply, job->bytes_max);
    job->stream = stream_new(job->bytes_max);
    return job;
}

void
job_free(struct job *job)
{
    if (job == NULL)
        return;
    job_place_leave(job);
    stream_free(job->stream);
    sb_release(&job->reply);
    pool_free(job->pool);
    mem_share_give(&job->memory, job->reply_charged);
    check(job->memory.used == 0);
    trim_after(job->process, &memory);
    xfree(job);
}

int
job_charge_reply(struct job *job, struct err *err)
{
    size_t more = job->reply.cap - MIN(job->reply.cap, job->reply_charged);

    if (!mem_share_take(&job->memory, more))
        return err_set(err, ERR_LIMIT, "the answer is too large");
    job->reply_charged += more;
    return 0;
}

void
job_ask(struct job *job, struct backend_ask *out)
{
    *out = (struct backend_ask){.tenant = job->tenant,
        .deadline_ns = job->deadline_ns, .cancel = &job->cancel,
        .memory_max = job->bytes_max, .share = &job->memory,
        .tasks = job->process->queries,
        .lanes_max = conf_budget(job->process->conf)->lanes,
        .allow_missing = job->allow_missing, .answer = &job->answer};
}

unsigned
job_lanes(const struct job *job)
{
    const struct conf *conf = job->process->conf;
    unsigned lanes = conf_budget(conf)->lanes;

    return conf->parallel_readers > 0
        ? MIN(lanes, (unsigned)conf->parallel_readers) : lanes;
}

int64_t
job_newest_ns(const struct process *process)
{
    int64_t offset_ns = process->conf->latency_offset;

    return offset_ns == 0 ? INT64_MAX : clock_wall_ns() - offset_ns;
}

enum err_code
job_error_code(const struct job *job, const struct err *err)
{
    return err->code == ERR_LIMIT && job->memory.was_starved ? ERR_BUSY
                                                             : err->code;
}

static void IMPL(http_abort_fn)
job_aborted(struct http_req *req, void *arg)
{
    struct job *job = arg;

    (void)req;
    atomic_store(&job->cancel, true);
    pthread_mutex_lock(&job->stream->mutex);
    pthread_cond_signal(&job->stream->has_room);
    pthread_mutex_unlock(&job->stream->mutex);
    /* run() has returned and the rest waited for the client. */
    if (job->stream->is_over)
        job_end(job);
}

void IMPL(task_fn)
job_run(void *arg)
{
    struct job *job = arg;

    metric_observe_ns(METRIC_QUERY_QUEUE_SECONDS,
        clock_mono_ns() - job->queued_ns);
    if (!atomic_load(&job->cancel))
        job->run(job);
}

/* The last bytes have been given to the reply, or nobody wants them. */
static void
job_end(struct job *job)
{
    if (atomic_load(&job->cancel))
        http_abandon(job->req);
    else if (job->is_broken)
        http_reply_break(job->req);
    else
        http_reply_end(job->req);
    job_free(job);
}

static void
stream_done(struct job *job)
{
    struct job_stream *stream = job->stream;

    loop_post_cancel(job->process->loop, job_pump, job);
    sb_add(&stream->pending, job->reply.ptr, job->reply.len);
    if (sb_failed(&stream->pending) || sb_failed(&job->reply))
        job->is_broken = true;
    /* Damage that was found too late to say so. */
    if (stream->has_begun && job->answer.is_partial && !stream->is_marked &&
        !job->is_internal)
        job->is_broken = true;
    stream->is_over = true;
    job_pump(job);
}

static void
job_reply(struct job *job)
{
    if (job->status == 503)
        http_reply_header(job->req, "Retry-After", "1");
    reply_headers(job);
    http_reply_sb(job->req, job->status, job->content_type, &job->reply);
}

void IMPL(task_fn)
job_done(void *arg)
{
    struct job *job = arg;

    job_place_leave(job);
    job->req->ready_ns = loop_now_ns(job->process->loop);
    if (job->stream->is_used || job->stream->has_begun) {
        stream_done(job);
        return;
    }
    if (atomic_load(&job->cancel))
        http_abandon(job->req);
    else if (sb_failed(&job->reply))
        http_reply_error(job->req, 422, "the answer is larger than %zu MiB; "
            "ask for less", job->bytes_max / MIB);
    else
        job_reply(job);
    job_free(job);
}

bool
job_stream_refuse(struct job *job, const char *why)
{
    struct err err = ERR_INIT;

    if (!job->stream->has_begun)
        return false;
    job_place_leave(job);
    (void)err_set(&err, ERR_BUSY, "%s", why);
    job->put_refusal(&job->reply, &err);
    job->stream->is_used = true;
    stream_done(job);
    return true;
}

void
job_begin(struct job *job, void (*run)(struct job *job))
{
    job->run = run;
    job->queued_ns = loop_now_ns(job->process->loop);
    http_on_abort(job->req, job_aborted, job);
    ticks_begin(job);
}
