/* SPDX-License-Identifier: BSD-2-Clause */

/* /internal/select/search, traces, export: which traces, and their spans. */

#include "core/base.h"
#include "api/internal_select.h"

#include <pthread.h>

#include "api/job.h"
#include "api/otlp_export.h"
#include "api/search_find.h"
#include "cluster/answer_wire.h"
#include "core/assert.h"
#include "query/query.h"

/* --- search --- */

static int
send_hits(const struct internal *internal, const struct search *search,
    struct err *err)
{
    struct sb sb;
    int rc = 0;

    sb_init(&sb, FRAME_BYTES_MAX);
    for (uint32_t i = 0; rc == 0 && i < search->nhits; i++) {
        const struct plan_hit hit = {search->hits[i].id,
            search->hits[i].end_ns};

        plan_hit_put(&sb, &hit);
        if (sb.len < ANSWER_PIECE && i + 1 < search->nhits)
            continue;
        rc = internal_send(internal, FRAME_HITS, sb_sv(&sb), err);
        sb_reset(&sb);
    }
    sb_release(&sb);
    return rc;
}

int
internal_run_search(const struct internal *internal, struct err *err)
{
    struct job *job = internal->job;
    struct search search = {.limit = internal->plan.limit,
        .pool = job->pool, .cancel = &job->cancel,
        .deadline_ns = job->deadline_ns};

    job->allow_missing = internal->plan.allow_missing;
    return search_find(job, &search, internal->plan.query, err) != 0 ? -1
        : send_hits(internal, &search, err);
}

/* --- traces --- */

struct sending {
    const struct internal *internal;
    pthread_mutex_t mutex; /* of sending */
};

static int IMPL(wire_piece_fn)
send_spans(void *arg, struct sv payload, struct err *err)
{
    struct sending *sending = arg;
    int rc;

    pthread_mutex_lock(&sending->mutex);
    rc = internal_send(sending->internal, FRAME_SPANS, payload, err);
    pthread_mutex_unlock(&sending->mutex);
    return rc;
}

static int IMPL(backend_trace_fn)
send_trace(void *arg, uint32_t i, struct batch *batch,
    const struct store_answer *answer, struct err *err)
{
    const struct wire_spans head = {.index = i,
        .is_partial = answer->is_partial,
        .is_truncated = answer->is_truncated};
    const struct wire_piece_to to = {send_spans, arg};

    if (batch->nspans == 0 && !answer->is_partial)
        return 0;
    return wire_spans_put(batch, &head, &to, err);
}

int
internal_run_traces(const struct internal *internal, struct err *err)
{
    const struct plan *plan = &internal->plan;
    struct sending sending = {.internal = internal};
    const struct backend_trace_to to = {send_trace, &sending};
    struct backend_ask ask;
    int rc;

    internal_ask(internal, &ask);
    check(pthread_mutex_init(&sending.mutex, NULL) == 0);
    rc = backend_get()->read_traces(&ask, plan->ids, plan->nids, &to, err);
    pthread_mutex_destroy(&sending.mutex);
    return rc;
}

/* --- export --- */

/* A request of a node behind this one, as it is. */
static int IMPL(backend_spans_fn)
pass_on(void *arg, struct sv request, struct err *err)
{
    return internal_send(arg, FRAME_SPANS, request, err);
}

int
internal_run_export(const struct internal *internal, struct err *err)
{
    const struct plan *plan = &internal->plan;
    const struct backend *backend = backend_get();
    struct job *job = internal->job;
    struct sending sending = {.internal = internal};
    const struct wire_piece_to to = {send_spans, &sending};
    const struct query_env env = {.tenant = job->tenant,
        .tasks = job->process->queries,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL, .lanes_max = job_lanes(job),
        .memory_max = job->bytes_max, .share = &job->memory,
        .cancel = &job->cancel, .deadline_ns = job->deadline_ns,
        .range_max_ns = job->process->conf->query_range_max};
    struct backend_ask ask;
    int rc;

    internal_ask(internal, &ask);
    if (backend->export_spans != NULL)
        return backend->export_spans(&ask, plan->query, pass_on,
            (void *)(uintptr_t)internal, err);
    check(pthread_mutex_init(&sending.mutex, NULL) == 0);
    rc = query_execute(plan->query, &env, export_pieces_new(job, &to),
        &job->answer, err);
    pthread_mutex_destroy(&sending.mutex);
    return rc;
}
