/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Search: the newest traces with a span that has all that is asked for, as a
 * filter over the query engine and a sink that keeps the newest.
 */

#include "core/base.h"
#include "api/jaeger.h"

#include "api/jaeger_filter.h"
#include "api/jaeger_json.h"
#include "api/jaeger_traces.h"
#include "api/job.h"
#include "api/search_find.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/ast.h"

#define LIMIT_DEFAULT 20u

struct jaeger_search {
    struct search search;
    struct query query;
};

static int
search_write(struct job *job, const struct search *search,
    struct store_answer *answer, struct err *err)
{
    struct trace_id *ids = pool_alloc(job->pool,
        MAX(search->nhits, 1u) * sizeof(*ids));
    struct jaeger_traces traces = {.ids = ids, .n = search->nhits,
        .found = pool_alloc(job->pool,
            MAX(search->nhits, 1u) * sizeof(*traces.found))};
    struct json_out out;
    uint32_t total = 0;

    if (ids == NULL || traces.found == NULL)
        return err_set(err, ERR_LIMIT, "the search needs too much memory");
    for (uint32_t i = 0; i < search->nhits; i++)
        ids[i] = search->hits[i].id;
    json_out_init(&out, &job->reply);
    jaeger_begin(&out);
    json_array(&out);
    if (jaeger_traces_write(job, &out, &traces, err) != 0)
        return -1;
    for (uint32_t i = 0; i < search->nhits; i++) {
        total += traces.found[i].what == FOUND_TRACE;
        answer->is_partial |= traces.found[i].is_partial;
    }
    if (jaeger_must_fail(job, answer->is_partial))
        return 0;
    json_array_end(&out);
    jaeger_end_answer(&out, total, answer);
    return 0;
}

static void
search_run(struct job *job)
{
    struct jaeger_search *jaeger = job->arg;
    struct err err = ERR_INIT;

    if (search_find(job, &jaeger->search, &jaeger->query, &err) != 0 ||
        search_write(job, &jaeger->search, &job->answer, &err) != 0)
        jaeger_job_error(job, &err);
}

/* Unix microseconds; absent or empty: *ns stays. */
static bool
arg_time(struct http_req *req, const char *name, int64_t *ns)
{
    struct sv text = http_arg(req, name);
    int64_t us;

    if (text.len == 0)
        return true;
    return num_parse_i64(text, &us) &&
        !__builtin_mul_overflow(us, (int64_t)1000, ns);
}

static const char *
search_args(struct http_req *req, struct search *search)
{
    struct sv limit = http_arg(req, "limit");
    uint64_t n = LIMIT_DEFAULT;

    search->start_ns = 0;
    search->end_ns = clock_wall_ns();
    if (!arg_time(req, "start", &search->start_ns))
        return "start: unix microseconds expected";
    if (!arg_time(req, "end", &search->end_ns))
        return "end: unix microseconds expected";
    search->end_ns = MIN(search->end_ns, job_newest_ns(req->process));
    if (limit.len != 0 && !num_parse_u64(limit, &n))
        return "limit: a number expected";
    if (n > req->process->conf->search_max_traces)
        return "limit: above search.max_traces";
    /* 0 means the default, as for Jaeger UI. */
    search->limit = n == 0 ? LIMIT_DEFAULT : (uint32_t)n;
    return NULL;
}

void
jaeger_search_start(struct job *job)
{
    struct jaeger_search *jaeger = pool_zalloc(job->pool, sizeof(*jaeger));
    struct err err = ERR_INIT;
    const char *wrong;

    if (jaeger == NULL) {
        jaeger_refuse(job->req, job, "no memory");
        return;
    }
    wrong = search_args(job->req, &jaeger->search);
    if (wrong == NULL) {
        jaeger->query = (struct query){.pool = job->pool,
            .min_time = jaeger->search.start_ns,
            .max_time = jaeger->search.end_ns};
        if (jaeger_filter(job->req, &jaeger->query, &err) != 0)
            wrong = err.text;
    }
    if (wrong != NULL) {
        jaeger_refuse(job->req, job, wrong);
        return;
    }
    jaeger->search.pool = job->pool;
    jaeger->search.cancel = &job->cancel;
    jaeger->search.deadline_ns = job->deadline_ns;
    job->arg = jaeger;
    job_start(job, search_run);
}
