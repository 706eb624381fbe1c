/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/jaeger_traces.h"

#include <pthread.h>

#include "api/jaeger_json.h"
#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/timefmt.h"
#include "event/team.h"
#include "storage/store.h"

const char jaeger_partial_text[] =
    "some stored data is damaged and was left out";
static const char truncated_text[] =
    "the trace has more spans than search.max_trace_spans allows to show";

int
jaeger_trace_write(struct job *job, struct json_out *out,
    const struct trace_id *id, struct found *found, struct err *err)
{
    struct pool *pool = pool_new(job->bytes_max);
    struct store_answer answer;
    struct batch batch;
    int rc;

    *found = (struct found){FOUND_NONE, false};
    pool_share(pool, &job->memory);
    batch_init(&batch, pool);
    rc = store_read_trace(&job->tenant, id, &batch, &answer, err);
    if (rc == 0) {
        found->is_partial = answer.is_partial;
        if (batch.nspans != 0)
            found->what = FOUND_TRACE;
        else if (answer.is_partial)
            found->what = FOUND_DAMAGE;
    }
    if (found->what == FOUND_TRACE)
        jaeger_trace(out, &batch, answer.is_truncated ? truncated_text
            : answer.is_partial ? jaeger_partial_text : NULL);
    pool_free(pool);
    return rc;
}

/* --- several --- */

/* A text that waits for those before it. */
struct ready {
    struct sb text;
    size_t charged;
    bool is_done;
};

struct work {
    struct job *job;
    struct json_out *out;
    const struct jaeger_traces *traces;
    struct ready *ready;        /* one each */
    _Atomic uint32_t next;
    _Atomic bool has_failed;
    pthread_mutex_t mutex;      /* of all below, and of out */
    uint32_t nwritten;
    struct err err;             /* of the first failure */
};

static int
job_poll(const struct job *job, struct err *err)
{
    if (atomic_load_explicit(&job->cancel, memory_order_relaxed))
        return err_set(err, ERR_CANCELLED, "the search was cancelled");
    if (job->deadline_ns != 0 && clock_mono_ns() > job->deadline_ns)
        return err_set(err, ERR_TIMEOUT, "the search took too long");
    return 0;
}

/* The text holds a trace, or nothing. */
static int
text_make(struct work *work, uint32_t i, struct err *err)
{
    struct ready *ready = &work->ready[i];
    struct job *job = work->job;
    struct json_out out;

    sb_init(&ready->text, job->bytes_max);
    json_out_init(&out, &ready->text);
    if (job_poll(job, err) != 0 ||
        jaeger_trace_write(job, &out, &work->traces->ids[i],
            &work->traces->found[i], err) != 0)
        return -1;
    if (sb_failed(&ready->text) ||
        !mem_share_take(&job->memory, ready->text.cap))
        return err_set(err, ERR_LIMIT, "the answer is too large");
    ready->charged = ready->text.cap;
    return 0;
}

static void
ready_release(struct work *work, struct ready *ready)
{
    sb_release(&ready->text);
    mem_share_give(&work->job->memory, ready->charged);
    ready->charged = 0;
}

/* With the mutex: what has nothing missing before it. */
static int
texts_write(struct work *work, struct err *err)
{
    while (work->nwritten < work->traces->n &&
        work->ready[work->nwritten].is_done) {
        struct ready *ready = &work->ready[work->nwritten++];

        if (ready->text.len > 0)
            json_raw(work->out, sb_sv(&ready->text));
        ready_release(work, ready);
    }
    return job_charge_reply(work->job, err);
}

static void
work_fail(struct work *work, const struct err *err)
{
    pthread_mutex_lock(&work->mutex);
    if (!atomic_load(&work->has_failed))
        work->err = *err;
    atomic_store(&work->has_failed, true);
    pthread_mutex_unlock(&work->mutex);
}

static void IMPL(team_fn)
work_run(void *arg, unsigned lane)
{
    struct work *work = arg;
    struct err err = ERR_INIT;
    uint32_t i;

    (void)lane;
    while (!atomic_load(&work->has_failed) &&
        (i = atomic_fetch_add(&work->next, 1)) < work->traces->n) {
        int rc = text_make(work, i, &err);

        if (rc == 0) {
            pthread_mutex_lock(&work->mutex);
            work->ready[i].is_done = true;
            rc = texts_write(work, &err);
            pthread_mutex_unlock(&work->mutex);
        }
        if (rc != 0)
            work_fail(work, &err);
    }
}

int
jaeger_traces_write(struct job *job, struct json_out *out,
    const struct jaeger_traces *traces, struct err *err)
{
    struct work work = {.job = job, .out = out, .traces = traces};
    unsigned nlanes = MIN(conf_budget(job->process->conf)->lanes, traces->n);
    size_t bytes = MAX(traces->n, 1u) * sizeof(*work.ready);

    work.ready = pool_zalloc(job->pool, bytes);
    if (work.ready == NULL)
        return err_set(err, ERR_LIMIT, "the search needs too much memory");
    check(pthread_mutex_init(&work.mutex, NULL) == 0);
    team_run(job->process->queries, nlanes, work_run, &work);
    pthread_mutex_destroy(&work.mutex);
    for (uint32_t i = 0; i < traces->n; i++)
        ready_release(&work, &work.ready[i]);
    if (!work.has_failed)
        return 0;
    *err = work.err;
    return -1;
}
