/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/search_find.h"

#include "api/job.h"
#include "api/search_sink.h"
#include "query/backend.h"
#include "query/query.h"

static void
take_hit(void *arg, const struct trace_id *id, int64_t end_ns)
{
    search_offer(arg, id, end_ns);
}

/* Each node says which are its newest. */
static int
search_nodes(struct job *job, struct search *search, struct query *query,
    struct err *err)
{
    const struct backend_hit_to to = {take_hit, search};
    struct backend_ask ask;

    job_ask(job, &ask);
    if (backend_get()->search(&ask, query, search->limit, &to, err) != 0)
        return -1;
    search_finish(search);
    return 0;
}

int
search_find(struct job *job, struct search *search, struct query *query,
    struct err *err)
{
    const struct query_env env = {.tenant = job->tenant,
        .tasks = job->process->queries,
        .seconds = METRIC_QUERY_SECONDS_SEARCH,
        .lanes_max = job_lanes(job),
        .memory_max = job->bytes_max, .share = &job->memory,
        .cancel = &job->cancel,
        .deadline_ns = job->deadline_ns};

    if (search_init(search, err) != 0)
        return -1;
    if (backend_get()->search != NULL)
        return search_nodes(job, search, query, err);
    return query_execute(query, &env, search_sink_new(search), &job->answer,
        err);
}
