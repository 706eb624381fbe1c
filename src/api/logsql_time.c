/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * /select/logsql/query_time_range: which times a query reads;
 * /select/tenant_ids: whose spans there are.
 */

#include "core/base.h"
#include "api/logsql.h"

#include "api/job.h"
#include "api/logsql_args.h"
#include "core/json_out.h"
#include "query/backend.h"
#include "query/parse.h"
#include "query/text.h"

/* --- query_time_range --- */

static void
put_time(struct json_out *out, const char *key, int64_t ns)
{
    char text[TIME_TEXT_MAX];

    json_key(out, key);
    json_string(out, sv_make(text, time_print_short(text, ns)));
}

/* The range that the query's own filters on _time leave. */
static int
own_range(struct job *job, const struct logsql_times *times, bool *has_filter,
    struct err *err)
{
    struct query *query;

    if (query_parse(&query, http_arg(job->req, "query"), times->now,
        job->pool, err) != 0)
        return -1;
    *has_filter = query->min_time != INT64_MIN ||
        query->max_time != INT64_MAX;
    return 0;
}

void
logsql_query_time_range(struct http_req *req)
{
    struct job *job = job_new(req);
    struct logsql_times times;
    struct err err = ERR_INIT;
    struct json_out out;
    struct query *query;
    bool has_filter;

    if (job == NULL)
        return;
    if (logsql_times_arg(job, &times, &err) != 0 ||
        logsql_query_in(job, &query, &times, &err) != 0 ||
        own_range(job, &times, &has_filter, &err) != 0) {
        logsql_refuse(job, &err);
        return;
    }
    json_out_init(&out, &job->reply);
    json_object(&out);
    put_time(&out, "start", query->min_time);
    put_time(&out, "end", query->max_time);
    json_key(&out, "hasTimeFilter");
    json_bool(&out, has_filter);
    json_object_end(&out);
    http_reply_sb(req, 200, "application/json", &job->reply);
    job_free(job);
}

/* --- tenant_ids --- */

static void
tenants_run(struct job *job)
{
    const struct logsql_times *times = job->arg;
    struct err err = ERR_INIT;
    struct tenant_list list = {.pool = job->pool};
    struct backend_ask ask;
    struct json_out out;

    /* Who takes the list for whole deletes or copies by it. */
    job_ask(job, &ask);
    ask.allow_missing = false;
    if (backend_get()->list_tenants(&ask, &list, times->start, times->end,
            &err) != 0) {
        logsql_job_error(job, &err);
        return;
    }
    json_out_init(&out, &job->reply);
    json_array(&out);
    for (uint32_t i = 0; i < list.n; i++) {
        json_object(&out);
        json_key(&out, "account_id");
        json_u64(&out, list.v[i].account);
        json_key(&out, "project_id");
        json_u64(&out, list.v[i].project);
        json_object_end(&out);
    }
    json_array_end(&out);
}

void
logsql_tenant_ids(struct http_req *req)
{
    struct err err = ERR_INIT;
    struct job *job;

    /* A proxy that gives its users a tenant keeps them in it. */
    if (http_header_get(req, "accountid").ptr != NULL ||
        http_header_get(req, "projectid").ptr != NULL) {
        http_reply_error(req, 403, "tenants are listed for requests that are "
            "of no tenant: leave out AccountID and ProjectID");
        return;
    }
    job = job_new(req);
    if (job == NULL)
        return;
    if (logsql_arg_new(job, sizeof(struct logsql_times), &err) != 0 ||
        logsql_times_arg(job, job->arg, &err) != 0)
        logsql_refuse(job, &err);
    else
        job_start_lookup(job, tenants_run);
}
