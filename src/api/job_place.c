/* SPDX-License-Identifier: BSD-2-Clause */

/* Places for jobs to run, and those that wait for one. */

#include "core/base.h"
#include "api/job.h"

#include "api/admission.h"
#include "api/job_state.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/task.h"

/* Queries of one worker that wait for a place. */
#define QUEUE_MAX 1000u
/* Places that another worker gives back are seen that soon. */
#define QUEUE_POLL_NS (5 * NS_PER_MS)

_Atomic unsigned job_nwaiting;

static void queue_wake(void);

/* Places that jobs of this worker have; loop thread only. */
static unsigned nplaces;

static enum admission_kind
kind_of(const struct job *job)
{
    return job->is_internal ? ADMISSION_INTERNAL : ADMISSION_QUERY;
}

/* The place is that of the thread: nobody keeps it by reading slowly. */
void
job_place_leave(struct job *job)
{
    if (!job->has_place)
        return;
    job->has_place = false;
    nplaces--;
    metric_gauge_add(METRIC_CONCURRENT_SELECT, -1);
    admission_leave(job->process, kind_of(job));
    queue_wake();
}

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
    atomic_store(&job_nwaiting, queue.n);
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
    atomic_store(&job_nwaiting, queue.n);
}

static void
job_refuse(struct job *job, const char *why)
{
    if (job_stream_refuse(job, why))
        return;
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
        admission_enter(job->process, kind_of(job));
}

static const char *
too_many(const struct job *job)
{
    return job->is_internal ? "too many queries of fronts run already "
        "(internal_select.max_concurrent_requests, and threads of a worker)"
        : "too many queries run already (search.max_concurrent_requests)";
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
                    ? too_many(job) : "too many replies wait to be read");
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
    job_begin(job, run);
    if (!http_has_reply_room(job->process) ||
        task_post(job->process->lookups, job_run, job_done, job, NULL) != 0)
        queue_add(job);
}

void
job_start(struct job *job, void (*run)(struct job *job))
{
    job_begin(job, run);
    if (queue.n == 0 && place_enter(job))
        job_post(job);
    else
        queue_add(job);
}
