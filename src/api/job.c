/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/job.h"

#include <pthread.h>
#include <time.h>

#include "api/admission.h"
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
    bool has_begun; /* loop thread only, as are the next */
    bool is_marked; /* the head says that the answer is partial */
    bool is_full;   /* the client takes no more for now */
    bool is_over;   /* run() has returned */
};

/* --- streaming --- */

static void
stream_free(struct job_stream *stream)
{
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
        stream->is_full = !http_reply_write(job->req, ptr, len);
        if (stream->is_full)
            http_on_drain(job->req, job_drained, job);
    }
    xfree(ptr);
    if (stream->is_over && (!stream->is_full || atomic_load(&job->cancel)))
        job_end(job);
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

/* Queries of this worker that wait for a place, as their threads see it. */
static _Atomic unsigned nwaiting;

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
        if (stream->stalled_ns >= STALL_NS && atomic_load(&nwaiting) > 0)
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

/* Queries of one worker that wait for a place. */
#define QUEUE_MAX 1000u
/* Places that another worker gives back are seen that soon. */
#define QUEUE_POLL_NS (5 * NS_PER_MS)

/* Of all queries of this process. */
static struct mem_share memory;

static void queue_wake(void);

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

/* Places that jobs of this worker have; loop thread only. */
static unsigned nplaces;

/* The place is that of the thread: nobody keeps it by reading slowly. */
static void
place_leave(struct job *job)
{
    if (!job->has_place)
        return;
    job->has_place = false;
    nplaces--;
    metric_gauge_add(METRIC_CONCURRENT_SELECT, -1);
    admission_leave(job->process);
    queue_wake();
}

void
job_free(struct job *job)
{
    if (job == NULL)
        return;
    place_leave(job);
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

static void IMPL(task_fn)
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
    if (stream->has_begun && job->answer.is_partial && !stream->is_marked)
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

static void IMPL(task_fn)
job_done(void *arg)
{
    struct job *job = arg;

    place_leave(job);
    job->req->ready_ns = loop_now_ns(job->process->loop);
    if (job->stream->is_used) {
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

/* --- a place to run --- */

/* Those that wait for a place, in their order; loop thread only. */
static struct {
    struct job *first, **end;
    unsigned n;
    struct loop_timer *timer;
} queue;

static void
queue_append(struct job *job)
{
    if (queue.first == NULL)
        queue.end = &queue.first;
    job->next = NULL;
    *queue.end = job;
    queue.end = &job->next;
    queue.n++;
    metric_gauge_add(METRIC_QUERY_WAITING, 1);
    atomic_store(&nwaiting, queue.n);
}

static void
queue_remove(struct job **link)
{
    struct job *job = *link;

    *link = job->next;
    if (queue.end == &job->next)
        queue.end = link;
    queue.n--;
    metric_gauge_add(METRIC_QUERY_WAITING, -1);
    atomic_store(&nwaiting, queue.n);
}

static void
job_refuse(struct job *job, const char *why)
{
    http_reply_header(job->req, "Retry-After", "1");
    http_reply_error(job->req, 503, "%s", why);
    job_free(job);
}

static void
job_post(struct job *job)
{
    struct err err = ERR_INIT;

    job->has_place = true;
    nplaces++;
    metric_gauge_add(METRIC_CONCURRENT_SELECT, 1);
    if (task_post(job->process->queries, job_run, job_done, job,
        &err) != 0)
        job_refuse(job, err.text);
}

/*
 * What it answers needs memory, too.  And a place is for a thread: who waits
 * for one waits here, where it is seen when its client leaves.
 */
static bool
place_enter(const struct job *job)
{
    return nplaces < (unsigned)job->process->conf->threads &&
        http_has_reply_room(job->process) &&
        admission_enter(job->process);
}

/* Places may have become free, here or in another worker. */
static void IMPL(loop_timer_fn)
queue_run(void *arg)
{
    int64_t now_ns = clock_mono_ns();
    struct job **link = &queue.first;

    (void)arg;
    while (*link != NULL) {
        struct job *job = *link;

        if (atomic_load(&job->cancel)) {
            queue_remove(link);
            http_abandon(job->req);
            job_free(job);
        } else if (now_ns >= job->queue_until_ns) {
            queue_remove(link);
            metric_add(METRIC_QUERY_QUEUE_TIMEOUT, 1);
            job_refuse(job, http_has_reply_room(job->process)
                    ? "too many queries run already "
                      "(search.max_concurrent_requests)"
                    : "too many replies wait to be read");
        } else if (place_enter(job)) {
            queue_remove(link);
            job_post(job);
        } else {
            link = &job->next;
        }
    }
    if (queue.n > 0)
        loop_timer_set(queue.timer, QUEUE_POLL_NS);
}

static void
queue_wake(void)
{
    if (queue.n > 0)
        loop_timer_set(queue.timer, 0);
}

static void
queue_add(struct job *job)
{
    const struct process *process = job->process;

    if (queue.n >= QUEUE_MAX) {
        job_refuse(job, "too many queries wait already");
        return;
    }
    job->queue_until_ns = MIN(job->deadline_ns,
        clock_mono_ns() + process->conf->query_queue_time);
    metric_add(METRIC_QUERY_QUEUED, 1);
    queue_append(job);
    if (queue.timer == NULL)
        queue.timer = loop_timer_new(process->loop, queue_run, NULL);
    loop_timer_set(queue.timer, QUEUE_POLL_NS);
}

bool
job_take_place(struct job *job)
{
    if (!place_enter(job))
        return false;
    job->has_place = true;
    nplaces++;
    metric_gauge_add(METRIC_CONCURRENT_SELECT, 1);
    return true;
}

void
job_start_lookup(struct job *job, void (*run)(struct job *job))
{
    job->run = run;
    job->queued_ns = loop_now_ns(job->process->loop);
    http_on_abort(job->req, job_aborted, job);
    if (!http_has_reply_room(job->process) ||
        task_post(job->process->lookups, job_run, job_done, job, NULL) != 0)
        queue_add(job);
}

void
job_start(struct job *job, void (*run)(struct job *job))
{
    job->run = run;
    job->queued_ns = loop_now_ns(job->process->loop);
    http_on_abort(job->req, job_aborted, job);
    if (queue.n == 0 && place_enter(job))
        job_post(job);
    else
        queue_add(job);
}
