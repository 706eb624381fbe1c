/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A front asks with POST; this server does what the plan says as for a client
 * of its own: by its own backend, so that it may be a front as well, in the
 * limits of time and memory that are the smaller ones of both.
 *
 * What fails before the plan is understood is answered with a status and text,
 * as to everybody.  From then on the answer is 200 and made of frames, and the
 * last one is an END, or an ERROR that says why there is none.  While there
 * is nothing to send, ALIVE is sent, from the moment the request is there, so
 * that the front can tell a slow query from a server that hangs.
 */

#include "core/base.h"
#include "api/internal_select.h"

#include "api/job.h"
#include "cluster/nodes.h"
#include "core/timefmt.h"

/* A day: nobody waits longer, and it adds up without an overflow. */
#define TIMEOUT_MAX_NS (24 * 3600 * NS_PER_SEC)

static const struct {
    internal_fn run;
    bool is_lookup; /* job_start_lookup(), if it asks for one thing only */
} kinds[] = {
    [PLAN_QUERY] = {internal_run_query, false},
    [PLAN_SEARCH] = {internal_run_search, false},
    [PLAN_TRACES] = {internal_run_traces, true},
    [PLAN_NAMES] = {internal_run_names, true},
    [PLAN_EDGES] = {internal_run_edges, false},
    [PLAN_TENANTS] = {internal_run_tenants, true},
    [PLAN_EXPORT] = {internal_run_export, false},
};

/* --- answering --- */

int
internal_send(const struct internal *internal, enum frame_type type,
    struct sv payload, struct err *err)
{
    struct sb sb;
    int rc;

    sb_init(&sb, 2 * FRAME_BYTES_MAX);
    frame_put(&sb, type, payload, !internal->plan.wants_plain);
    rc = job_write(internal->job, &sb, err);
    sb_release(&sb);
    return rc;
}

void
internal_ask(const struct internal *internal, struct backend_ask *ask)
{
    job_ask(internal->job, ask);
    ask->allow_missing = internal->plan.allow_missing;
}

static void
put_end(struct job *job)
{
    frame_put_end(&job->reply,
        (job->answer.is_partial ? FRAME_IS_PARTIAL : 0) |
        (job->answer.missing[0] != '\0' ? FRAME_LACKS_NODES : 0) |
        (job->answer.is_truncated ? FRAME_IS_TRUNCATED : 0));
}

static void
run(struct job *job)
{
    const struct internal *internal = job->arg;
    struct err err = ERR_INIT;

    if (kinds[internal->plan.kind].run(internal, &err) == 0) {
        put_end(job);
        return;
    }
    err.code = job_error_code(job, &err);
    frame_put_error(&job->reply, &err);
}

/* --- the request --- */

static int
check_version(struct http_req *req, struct err *err)
{
    struct sv version = http_arg(req, "version");

    if (nodes_is_own_id(http_header_get(req, "spoor-front")))
        return err_set(err, ERR_INVALID, "this front has reached itself: one "
            "of its storage_nodes leads back to it");
    if (sv_eq(version, SV(SELECT_PROTOCOL)))
        return 0;
    return err_set(err, ERR_INVALID, "this server speaks version "
        SELECT_PROTOCOL " of /internal/select, the request is of version "
        "'%.*s': update the older of the two servers",
        (int)MIN(version.len, (size_t)40),
        version.len > 0 ? version.ptr : "");
}

static int
take_plan(struct internal *internal, struct http_req *req, struct err *err)
{
    struct job *job = internal->job;
    struct plan *plan = &internal->plan;
    struct sv encoding = http_header_get(req, "content-encoding");

    if (check_version(req, err) != 0)
        return -1;
    if (encoding.len > 0)
        return err_set(err, ERR_UNSUPPORTED, "plans are not compressed");
    if (plan_take(plan, req->body, job->pool, err) != 0)
        return -1;
    if (!sv_eq(req->path, sv_from(plan_path(plan->kind))))
        return err_set(err, ERR_INVALID, "the plan is for %s",
            plan_path(plan->kind));
    job->tenant = plan->tenant;
    job->no_cache = plan->no_cache;
    if (plan->memory_max > 0)
        job->bytes_max = MIN(job->bytes_max, plan->memory_max);
    if (plan->timeout_ns > 0)
        job->deadline_ns = MIN(job->deadline_ns,
            clock_mono_ns() + MIN(plan->timeout_ns, TIMEOUT_MAX_NS));
    return 0;
}

/* ALIVE, the same for all. */
static struct sv
alive_frame(void)
{
    static struct sb sb;

    if (sb.len == 0) {
        sb_init(&sb, KIB);
        frame_put(&sb, FRAME_ALIVE, SV_EMPTY, false);
    }
    return sb_sv(&sb);
}

static bool
is_lookup(const struct plan *plan)
{
    return kinds[plan->kind].is_lookup && plan->nids <= 1;
}

void IMPL(route_fn)
internal_select(struct http_req *req)
{
    struct job *job = job_new(req);
    struct internal *internal;
    struct err err = ERR_INIT;
    int rc;

    if (job == NULL)
        return;
    internal = pool_zalloc(job->pool, sizeof(*internal));
    if (internal == NULL) {
        rc = err_set(&err, ERR_LIMIT, "no memory");
    } else {
        internal->job = job;
        rc = take_plan(internal, req, &err);
    }
    if (rc != 0) {
        http_reply_error(req, 400, "%s", err.text);
        job_free(job);
        return;
    }
    job->arg = internal;
    job->content_type = "application/octet-stream";
    job->is_internal = true;
    job->alive = alive_frame();
    job->put_refusal = frame_put_error;
    (is_lookup(&internal->plan) ? job_start_lookup : job_start)(job, run);
}
