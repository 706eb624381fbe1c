/* SPDX-License-Identifier: BSD-2-Clause */

/* /select/logsql/query, and what the other endpoints share with it. */

#include "core/base.h"
#include "api/logsql.h"

#include "api/error_body.h"
#include "api/job.h"
#include "api/logsql_args.h"
#include "api/logsql_sinks.h"
#include "core/conf_budget.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "query/backend.h"
#include "query/figures.h"
#include "query/query.h"
#include "query/parse.h"
#include "query/pipe_type.h"

/* Of what a worker keeps of parts, so much goes to results of queries. */
#define RESULTS_SHARE 8u

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
    case ERR_CORRUPT:
    case ERR_UNREACHABLE:
        return 502;
    default:
        return 500;
    }
}

static int
stats_status(enum err_code code)
{
    if (code == ERR_UNREACHABLE)
        return 502;
    return code == ERR_BUSY || code == ERR_TIMEOUT ? 503 : 422;
}

void
logsql_job_error(struct job *job, const struct err *err)
{
    if (job_is_streaming(job)) {
        /* Too late for a status: a line of text, and no proper end. */
        job->is_broken = true;
    } else if (job->is_stats) {
        job->status = stats_status(job_error_code(job, err));
        sb_reset(&job->reply);
        error_body_prometheus(&job->reply, job->status, err->text);
        return;
    } else {
        job->status = status_of(job_error_code(job, err));
        job->content_type = "text/plain; charset=utf-8";
        sb_reset(&job->reply);
    }
    sb_add_str(&job->reply, err->text);
    sb_add_char(&job->reply, '\n');
}

int
logsql_arg_new(struct job *job, size_t size, struct err *err)
{
    job->arg = pool_zalloc(job->pool, size);
    return job->arg != NULL ? 0
        : err_set(err, ERR_LIMIT, "query needs too much memory");
}

void
logsql_refuse(struct job *job, const struct err *err)
{
    http_reply_error(job->req, status_of(err->code), "%s", err->text);
    job_free(job);
}

void
logsql_refuse_stats(struct job *job, const struct err *err)
{
    int status = stats_status(err->code);

    error_body_prometheus(&job->reply, status, err->text);
    http_reply_sb(job->req, status, "application/json", &job->reply);
    job_free(job);
}

/* --- cost --- */

/* Of a slow query, cut there: what is left tells which one it was. */
#define SLOW_TEXT_MAX 1000u

static void
log_slow(const struct job *job, const struct query *query,
    const struct query_figures *figures)
{
    int64_t limit_ns = job->process->conf->query_slow;
    struct sb sb;

    if (limit_ns == 0 || figures->wall_ns < limit_ns)
        return;
    metric_add(METRIC_QUERY_SLOW, 1);
    sb_init(&sb, 2 * MIB);
    query_print(&sb, query);
    log_warn("slow query of tenant %u:%u: %lld ms, CPU %lld ms, %llu blocks "
        "and %llu rows read, %llu rows found, %llu bytes of files: %.*s",
        job->tenant.account, job->tenant.project,
        (long long)(figures->wall_ns / NS_PER_MS),
        (long long)(atomic_load(&figures->cpu_ns) / NS_PER_MS),
        (unsigned long long)atomic_load(&figures->read),
        (unsigned long long)atomic_load(&figures->rows),
        (unsigned long long)atomic_load(&figures->found),
        (unsigned long long)atomic_load(&figures->bytes),
        (int)MIN(sb.len, (size_t)SLOW_TEXT_MAX), sb.ptr);
    sb_release(&sb);
}

/* The rows go nowhere, the plan is the answer. */
static void
explain(struct job *job, const struct query *query,
    const struct query_figures *figures)
{
    job->content_type = "application/json";
    figures_print(&job->reply, figures, query);
}

/* options() say it for the query, then the argument or the directive. */
bool
logsql_allows_missing(const struct job *job, const struct query *query)
{
    return query->allow_partial == PARTIAL_NOT_GIVEN ? job->allow_missing
        : query->allow_partial == PARTIAL_ALLOWED;
}

int
logsql_check_whole(const struct job *job, const struct query *query,
    struct err *err)
{
    if (!job->must_be_whole || !job->answer.is_partial ||
        query->allow_partial == PARTIAL_ALLOWED)
        return 0;
    return err_set(err, ERR_CORRUPT, "damaged data was left out, which "
        "allow_partial_response=0 does not allow");
}

int
logsql_execute(struct job *job, struct query *query, struct stage *sink)
{
    const struct conf *conf = job->process->conf;
    struct query_figures figures = {.is_explained = job->is_explained};
    struct query_env env = {.tenant = job->tenant,
        .tasks = job->process->queries,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL,
        .lanes_max = query->parallel_readers > 0
            ? conf_budget(conf)->lanes : job_lanes(job),
        .memory_max = job->bytes_max, .share = &job->memory,
        .results_max = conf->query_no_cache || job->no_cache ? 0 :
            conf_budget(conf)->cache / RESULTS_SHARE,
        .cancel = &job->cancel, .deadline_ns = job->deadline_ns,
        .range_max_ns = conf->query_range_max, .figures = &figures,
        .source = backend_get()->source,
        .is_remote = backend_get()->is_remote,
        .allow_missing = logsql_allows_missing(job, query)};
    int64_t start_ns = clock_mono_ns();
    struct err err = ERR_INIT;
    int rc;

    job->is_logsql = true;
    if (job->is_explained) {
        stages_free(sink);
        sink = sink_nothing_new();
    }
    rc = figures_describe(&figures, query, &err);
    if (rc == 0)
        rc = query_execute(query, &env, sink, &job->answer, &err);
    else
        stages_free(sink);
    figures.wall_ns = clock_mono_ns() - start_ns;
    metric_observe(METRIC_QUERY_PER_BLOCKS, atomic_load(&figures.read));
    metric_observe(METRIC_QUERY_PER_ROWS, atomic_load(&figures.rows));
    log_slow(job, query, &figures);
    if (rc == 0)
        rc = logsql_check_whole(job, query, &err);
    if (rc == 0 && job->is_explained)
        explain(job, query, &figures);
    else if (rc != 0)
        logsql_job_error(job, &err);
    return rc == 0 && !job->is_explained ? 0 : -1;
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
    return field_patterns_have(pipe->names, pipe->nnames, SV("_time"));
}

/*
 * limit=N: the newest N rows where that means something, else any N; offset=M
 * leaves out so many before them.
 */
static int
add_limit(struct query *query, uint64_t limit, uint64_t offset,
    struct err *err)
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
        snprintf(text, sizeof(text), "* | sort by (_time desc) offset %llu "
            "limit %llu | sort by (_time)", (unsigned long long)offset,
            (unsigned long long)limit);
    else if (offset > 0)
        snprintf(text, sizeof(text), "* | offset %llu | limit %llu",
            (unsigned long long)offset, (unsigned long long)limit);
    else
        snprintf(text, sizeof(text), "* | limit %llu",
            (unsigned long long)limit);
    return logsql_add_pipes(query, sv_from(text), err);
}

struct rows_arg {
    struct query *query;
    bool is_csv;
};

static void
query_run(struct job *job)
{
    struct rows_arg *arg = job->arg;

    (void)logsql_execute(job, arg->query,
        arg->is_csv ? sink_csv_new(job, arg->query) : sink_lines_new(job));
}

static int
query_format(struct job *job, struct rows_arg *arg, struct err *err)
{
    struct sv text = http_arg(job->req, "format");

    arg->is_csv = sv_eq(text, SV("csv"));
    if (text.len > 0 && !arg->is_csv && !sv_eq(text, SV("json")))
        return err_set(err, ERR_INVALID, "argument format is neither csv "
            "nor json");
    job->content_type = arg->is_csv ? "text/csv; charset=utf-8"
                                    : "application/stream+json";
    return 0;
}

static int
query_args(struct job *job, struct rows_arg *arg, struct err *err)
{
    uint64_t limit, offset = 0;

    if (query_format(job, arg, err) != 0 ||
        logsql_query_arg(job, &arg->query, err) != 0 ||
        logsql_limit_arg(job, &limit, err) != 0 ||
        logsql_uint_arg(job, "offset", &offset, err) != 0)
        return -1;
    if (offset > 0 && limit == 0)
        return err_set(err, ERR_INVALID, "argument offset needs limit");
    return limit > 0 ? add_limit(arg->query, limit, offset, err) : 0;
}

void
logsql_query(struct http_req *req)
{
    struct job *job = job_new(req);
    struct err err = ERR_INIT;

    if (job == NULL)
        return;
    if (logsql_arg_new(job, sizeof(struct rows_arg), &err) != 0 ||
        query_args(job, job->arg, &err) != 0)
        logsql_refuse(job, &err);
    else
        job_start(job, query_run);
}
