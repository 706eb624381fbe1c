/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/jaeger_traces.h"

#include <pthread.h>

#include "api/jaeger_json.h"
#include "core/assert.h"
#include "query/backend.h"

const char *
jaeger_lack(const struct store_answer *answer, char text[JAEGER_LACK_MAX])
{
    if (answer->missing[0] == '\0')
        return "some stored data is damaged and was left out";
    snprintf(text, JAEGER_LACK_MAX, "storage nodes that cannot be reached "
        "were left out: %s", answer->missing);
    return text;
}

static const char truncated_text[] =
    "the trace has more spans than search.max_trace_spans allows to show";

/* Writes it to out, or nothing. */
static void
write_trace(struct json_out *out, const struct batch *batch,
    const struct store_answer *answer, struct found *found)
{
    char text[JAEGER_LACK_MAX];

    *found = (struct found){FOUND_NONE, answer->is_partial};
    if (batch->nspans != 0)
        found->what = FOUND_TRACE;
    else if (answer->is_partial)
        found->what = FOUND_DAMAGE;
    if (found->what == FOUND_TRACE)
        jaeger_trace(out, batch, answer->is_truncated ? truncated_text
            : answer->is_partial ? jaeger_lack(answer, text) : NULL);
}

/* --- one --- */

struct single {
    struct json_out *out;
    struct found *found;
};

static int IMPL(backend_trace_fn)
single_write(void *arg, uint32_t i, struct batch *batch,
    const struct store_answer *answer, struct err *err)
{
    const struct single *single = arg;

    (void)i;
    (void)err;
    write_trace(single->out, batch, answer, single->found);
    return 0;
}

int
jaeger_trace_write(struct job *job, struct json_out *out,
    const struct trace_id *id, struct found *found, struct err *err)
{
    struct single single = {out, found};
    const struct backend_trace_to to = {single_write, &single};
    struct backend_ask ask;

    *found = (struct found){FOUND_NONE, false};
    job_ask(job, &ask);
    return backend_get()->read_traces(&ask, id, 1, &to, err);
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
    pthread_mutex_t mutex;      /* of all below, and of out */
    uint32_t nwritten;
};

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

/* The text holds a trace, or nothing. */
static int IMPL(backend_trace_fn)
text_make(void *arg, uint32_t i, struct batch *batch,
    const struct store_answer *answer, struct err *err)
{
    struct work *work = arg;
    struct ready *ready = &work->ready[i];
    struct json_out out;
    int rc;

    sb_init(&ready->text, work->job->bytes_max);
    json_out_init(&out, &ready->text);
    write_trace(&out, batch, answer, &work->traces->found[i]);
    if (sb_failed(&ready->text) ||
        !mem_share_take(&work->job->memory, ready->text.cap))
        return err_set(err, ERR_LIMIT, "the answer is too large");
    ready->charged = ready->text.cap;
    pthread_mutex_lock(&work->mutex);
    ready->is_done = true;
    rc = texts_write(work, err);
    pthread_mutex_unlock(&work->mutex);
    return rc;
}

int
jaeger_traces_write(struct job *job, struct json_out *out,
    const struct jaeger_traces *traces, struct err *err)
{
    struct work work = {.job = job, .out = out, .traces = traces};
    const struct backend_trace_to to = {text_make, &work};
    size_t bytes = MAX(traces->n, 1u) * sizeof(*work.ready);
    struct backend_ask ask;
    int rc;

    work.ready = pool_zalloc(job->pool, bytes);
    if (work.ready == NULL)
        return err_set(err, ERR_LIMIT, "the search needs too much memory");
    job_ask(job, &ask);
    check(pthread_mutex_init(&work.mutex, NULL) == 0);
    rc = backend_get()->read_traces(&ask, traces->ids, traces->n, &to, err);
    pthread_mutex_destroy(&work.mutex);
    for (uint32_t i = 0; i < traces->n; i++)
        ready_release(&work, &work.ready[i]);
    return rc;
}
