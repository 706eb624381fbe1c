/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/job.h"

#include "core/conf_budget.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "event/task.h"

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
    job->tenant = tenant;
    job->bytes_max = (size_t)conf_budget(req->process->conf)->query;
    job->pool = pool_new(job->bytes_max);
    job->status = 200;
    job->content_type = "application/json";
    job->deadline_ns = clock_mono_ns() + req->process->conf->query_timeout;
    sb_init(&job->reply, job->bytes_max);
    return job;
}

void
job_free(struct job *job)
{
    if (job == NULL)
        return;
    sb_release(&job->reply);
    pool_free(job->pool);
    xfree(job);
}

static void IMPL(http_abort_fn)
job_aborted(struct http_req *req, void *arg)
{
    struct job *job = arg;

    (void)req;
    atomic_store(&job->cancel, true);
}

static void IMPL(task_fn)
job_run(void *arg)
{
    struct job *job = arg;

    if (!atomic_load(&job->cancel))
        job->run(job);
}

static void IMPL(task_fn)
job_done(void *arg)
{
    struct job *job = arg;

    if (atomic_load(&job->cancel))
        http_abandon(job->req);
    else if (sb_failed(&job->reply))
        http_reply_error(job->req, 422, "the answer is larger than %zu MiB; "
            "ask for less", job->bytes_max / MIB);
    else
        http_reply_sb(job->req, job->status, job->content_type, &job->reply);
    job_free(job);
}

void
job_start(struct job *job, void (*run)(struct job *job))
{
    struct err err = ERR_INIT;

    job->run = run;
    http_on_abort(job->req, job_aborted, job);
    if (task_post(job->req->process->tasks, job_run, job_done, job,
        &err) == 0)
        return;
    http_reply_header(job->req, "Retry-After", "1");
    http_reply_error(job->req, 503, "%s", err.text);
    job_free(job);
}
