/* SPDX-License-Identifier: BSD-2-Clause */

/* /select/logsql/query, and what the other endpoints share with it. */

#include "core/base.h"
#include "api/logsql.h"

#include "api/job.h"
#include "api/logsql_args.h"
#include "api/logsql_sinks.h"
#include "core/conf_budget.h"
#include "query/query.h"
#include "query/parse.h"
#include "query/pipe_type.h"

/* --- shared --- */

static int
status_of(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
    case ERR_UNSUPPORTED:
    case ERR_LIMIT:
        return 400;
    case ERR_BUSY:
    case ERR_TIMEOUT:
        return 503;
    default:
        return 500;
    }
}

void
logsql_job_error(struct job *job, const struct err *err)
{
    if (job_is_streaming(job)) {
        /* Too late for a status: a line of text, and no proper end. */
        job->is_broken = true;
    } else {
        job->status = status_of(job_error_code(job, err));
        job->content_type = "text/plain; charset=utf-8";
        sb_reset(&job->reply);
    }
    sb_add_str(&job->reply, err->text);
    sb_add_char(&job->reply, '\n');
}

void
logsql_refuse(struct job *job, const struct err *err)
{
    http_reply_error(job->req, status_of(err->code), "%s", err->text);
    job_free(job);
}

int
logsql_execute(struct job *job, struct query *query, struct stage *sink)
{
    const struct conf *conf = job->process->conf;
    struct query_env env = {.tenant = job->tenant,
        .tasks = job->process->queries,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL,
        .lanes_max = conf_budget(conf)->lanes,
        .memory_max = job->bytes_max, .share = &job->memory,
        .cancel = &job->cancel, .deadline_ns = job->deadline_ns};
    struct err err = ERR_INIT;

    if (query_execute(query, &env, sink, &job->answer, &err) != 0) {
        logsql_job_error(job, &err);
        return -1;
    }
    return 0;
}

/* --- query --- */

/* Pipes after which rows have no order of their own to be cut from. */
static bool
keeps_rows(const struct pipe *pipe)
{
    return (pipe->type->traits & PIPE_PICKS) == 0;
}

static bool
has_time(const struct pipe *pipe)
{
    for (uint32_t i = 0; i < pipe->nnames; i++) {
        const struct field_pattern *name = &pipe->names[i];

        if (name->is_prefix ? sv_starts_with(SV("_time"), name->name)
            : sv_eq(name->name, SV("_time")))
            return true;
    }
    return false;
}

/* limit=N: the newest N rows where that means something, else any N. */
static int
add_limit(struct query *query, uint64_t limit, struct err *err)
{
    bool newest = true;
    char text[160];

    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        if (!keeps_rows(pipe) ||
            (pipe->kind == PIPE_FIELDS && !has_time(pipe)) ||
            (pipe->kind == PIPE_DELETE && has_time(pipe)))
            newest = false;
    }
    if (newest)
        snprintf(text, sizeof(text), "* | sort by (_time desc) limit %llu | "
            "sort by (_time)", (unsigned long long)limit);
    else
        snprintf(text, sizeof(text), "* | limit %llu",
            (unsigned long long)limit);
    return logsql_add_pipes(query, sv_from(text), err);
}

static void
query_run(struct job *job)
{
    (void)logsql_execute(job, job->arg, sink_lines_new(job));
}

void
logsql_query(struct http_req *req)
{
    struct job *job = job_new(req);
    struct err err = ERR_INIT;
    struct query *query;
    uint64_t limit;

    if (job == NULL)
        return;
    if (logsql_query_arg(job, &query, &err) != 0 ||
        logsql_limit_arg(job, &limit, &err) != 0 ||
        (limit > 0 && add_limit(query, limit, &err) != 0)) {
        logsql_refuse(job, &err);
        return;
    }
    job->arg = query;
    job->content_type = "application/stream+json";
    job_start(job, query_run);
}
