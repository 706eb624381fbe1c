/* SPDX-License-Identifier: BSD-2-Clause */

/* The Jaeger query API: services, operations, search, trace by id. */

#include "core/base.h"
#include "api/jaeger.h"

#include "api/error_body.h"
#include "api/jaeger_json.h"
#include "api/jaeger_traces.h"
#include "api/job.h"
#include "api/logsql_args.h"
#include "core/enc.h"
#include "core/timefmt.h"
#include "query/backend.h"

/* Traces asked for by repeated traceID arguments. */
#define IDS_MAX 100u

/* --- errors --- */

void
jaeger_end_answer(struct json_out *out, uint64_t total,
    const struct store_answer *answer)
{
    char text[JAEGER_LACK_MAX];
    struct jaeger_error error = {206, sv_from(jaeger_lack(answer, text)),
        SV_EMPTY};

    jaeger_end(out, total, &error, answer->is_partial ? 1 : 0);
}

void
jaeger_job_error(struct job *job, const struct err *err)
{
    switch (job_error_code(job, err)) {
    case ERR_BUSY:
    case ERR_TIMEOUT:
        job->status = 503;
        break;
    case ERR_LIMIT:
        job->status = 422;
        break;
    case ERR_UNREACHABLE:
        job->status = 502;
        break;
    default:
        job->status = 500;
    }
    sb_reset(&job->reply);
    error_body_jaeger(&job->reply, job->status, err->text);
}

/* An argument is wrong: 400 in Jaeger's envelope. */
void
jaeger_refuse(struct http_req *req, struct job *job, const char *text)
{
    struct sb sb;

    sb_init(&sb, 8 * KIB);
    error_body_jaeger(&sb, 400, text);
    http_reply_sb(req, 400, "application/json", &sb);
    sb_release(&sb);
    job_free(job);
}

struct job *
jaeger_job_new(struct http_req *req)
{
    struct job *job = job_new(req);
    struct err err = ERR_INIT;

    if (job == NULL)
        return NULL;
    if (logsql_partial_arg(job, &err) != 0) {
        jaeger_refuse(req, job, err.text);
        return NULL;
    }
    return job;
}

bool
jaeger_must_fail(struct job *job, bool is_partial)
{
    if (!is_partial || !job->must_be_whole)
        return false;
    job->status = 502;
    sb_reset(&job->reply);
    error_body_jaeger(&job->reply, 502, "damaged data was left out, which "
        "allow_partial_response=0 does not allow");
    return true;
}

/* --- names --- */

struct names {
    struct job *job;
    struct sv service; /* of operations; ptr NULL: collect services */
    struct sv twice;   /* asked for when there is none of service; or NULL */
    struct sv *v;
    uint32_t n;
    uint32_t max; /* the first in order */
    bool no_memory;
};

static void
names_add(struct names *names, struct sv name)
{
    uint32_t low = 0, high = names->n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = sv_cmp(names->v[middle], name);

        if (order == 0)
            return;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == names->max)
        return;
    name.ptr = pool_dup(names->job->pool, name.ptr, name.len);
    if (name.ptr == NULL) {
        names->no_memory = true;
        return;
    }
    if (names->n == names->max)
        names->n--; /* the greatest makes room */
    memmove(names->v + low + 1, names->v + low,
        (names->n - low) * sizeof(*names->v));
    names->v[low] = name;
    names->n++;
}

static int
names_visit(struct sv service, struct sv name, int32_t kind, void *arg)
{
    struct names *names = arg;

    (void)kind;
    if (names->service.ptr == NULL) {
        if (service.len != 0)
            names_add(names, service);
    } else if (sv_eq(service, names->service) && name.len != 0) {
        names_add(names, name);
    }
    return names->no_memory || atomic_load(&names->job->cancel) ? -1 : 0;
}

/* Names of spans that ended before do not count. */
static int64_t
oldest(const struct job *job)
{
    int64_t back_ns = job->process->conf->stream_fields_lookbehind;

    return back_ns == 0 ? INT64_MIN : clock_wall_ns() - back_ns;
}

static void
names_run(struct job *job)
{
    struct names *names = job->arg;
    struct stream_visit visit = {names_visit, names, oldest(job), INT64_MAX};
    const struct store_answer *answer = &job->answer;
    struct err err = ERR_INIT;
    struct backend_ask ask;
    struct json_out out;

    job_ask(job, &ask);
    if (backend_get()->visit_streams(&ask, &visit, &err) != 0) {
        jaeger_job_error(job, &err);
        return;
    }
    if (names->n == 0 && names->twice.ptr != NULL) {
        names->service = names->twice;
        names->twice = (struct sv){NULL, 0};
        names_run(job);
        return;
    }
    if (jaeger_must_fail(job, answer->is_partial))
        return;
    json_out_init(&out, &job->reply);
    jaeger_begin(&out);
    json_array(&out);
    for (uint32_t i = 0; i < names->n; i++)
        json_string(&out, names->v[i]);
    json_array_end(&out);
    jaeger_end_answer(&out, names->n, answer);
}

static void
names_start(struct http_req *req, struct sv service, struct sv twice)
{
    struct job *job = jaeger_job_new(req);
    struct names *names;

    if (job == NULL)
        return;
    names = pool_zalloc(job->pool, sizeof(*names));
    if (names != NULL) {
        names->max = (uint32_t)job->process->conf->max_tags;
        names->v = pool_alloc(job->pool, (names->max + 1) *
            sizeof(*names->v));
    }
    if (names == NULL || names->v == NULL) {
        jaeger_refuse(req, job, "no memory");
        return;
    }
    names->job = job;
    names->service = service;
    names->twice = twice;
    job->arg = names;
    job_start_lookup(job, names_run);
}

void IMPL(route_fn)
jaeger_services(struct http_req *req)
{
    names_start(req, (struct sv){NULL, 0}, (struct sv){NULL, 0});
}

void IMPL(route_fn)
jaeger_operations(struct http_req *req)
{
    struct sv twice = {NULL, 0};
    struct sv service;
    bool ok, twice_ok;

    service = http_unescape(req->pool, req->path_arg, false, &ok);
    if (!ok || service.len == 0) {
        jaeger_refuse(req, NULL, "the service name is not well-formed");
        return;
    }
    /* Some clients escape twice (Jaeger undoes both levels). */
    if (sv_find_byte(service, '%') < service.len) {
        twice = http_unescape(req->pool, service, false, &twice_ok);
        if (!twice_ok)
            twice = (struct sv){NULL, 0};
    }
    names_start(req, service, twice);
}

/* --- traces --- */

static bool
parse_trace_id(struct sv text, struct trace_id *id)
{
    char padded[32];

    if (text.len == 0 || text.len > sizeof(padded))
        return false;
    memset(padded, '0', sizeof(padded));
    memcpy(padded + sizeof(padded) - text.len, text.ptr, text.len);
    return enc_unhex(sv_make(padded, sizeof(padded)), id->b, sizeof(id->b));
}

/* Where nodes are missing nobody knows, and they may come back. */
static int
missing_status(const struct job *job, enum found_what found)
{
    if (job->answer.missing[0] != '\0')
        return 502;
    return found == FOUND_NONE ? 404 : 500;
}

static const char *
missing_text(const struct job *job, enum found_what found)
{
    if (job->answer.missing[0] != '\0')
        return "trace not found, but storage nodes cannot be reached";
    return found == FOUND_NONE ? "trace not found"
        : "trace not found, but some stored data is damaged";
}

/* The end of answers that say of each trace what is damaged. */
static void
traces_end(struct json_out *out, struct job *job, uint64_t total,
    struct jaeger_error *errors, unsigned nerrors)
{
    char text[JAEGER_LACK_MAX];

    if (job->answer.missing[0] != '\0')
        errors[nerrors++] = (struct jaeger_error){206,
            sv_from(jaeger_lack(&job->answer, text)), SV_EMPTY};
    jaeger_end(out, total, errors, nerrors);
}

static void
trace_run(struct job *job)
{
    const struct trace_id *id = job->arg;
    struct json_out out;
    struct err err = ERR_INIT;
    struct found found; /* the trace itself says if it is partial */
    struct jaeger_error error;

    json_out_init(&out, &job->reply);
    jaeger_begin(&out);
    json_array(&out);
    if (jaeger_trace_write(job, &out, id, &found, &err) != 0) {
        jaeger_job_error(job, &err);
        return;
    }
    if (jaeger_must_fail(job, found.is_partial))
        return;
    if (found.what != FOUND_TRACE) {
        job->status = missing_status(job, found.what);
        sb_reset(&job->reply);
        error_body_jaeger(&job->reply, job->status,
            missing_text(job, found.what));
        return;
    }
    json_array_end(&out);
    traces_end(&out, job, 1, &error, 0);
}

void IMPL(route_fn)
jaeger_trace_by_id(struct http_req *req)
{
    struct job *job = jaeger_job_new(req);
    struct trace_id *id;

    if (job == NULL)
        return;
    id = pool_zalloc(job->pool, sizeof(*id));
    if (id == NULL || !parse_trace_id(req->path_arg, id)) {
        jaeger_refuse(req, job, "a trace id has 1 to 32 hex digits");
        return;
    }
    job->arg = id;
    job_start_lookup(job, trace_run);
}

/* --- several traces by id --- */

struct multi {
    struct trace_id ids[IDS_MAX];
    unsigned n;
};

static void
multi_run(struct job *job)
{
    const struct multi *multi = job->arg;
    struct found found[IDS_MAX];
    struct jaeger_traces traces = {.ids = multi->ids, .n = multi->n,
        .found = found}; /* each says whether it is partial */
    struct jaeger_error errors[IDS_MAX + 1];
    char hex[IDS_MAX][32];
    struct err err = ERR_INIT;
    struct json_out out;
    unsigned nerrors = 0;
    bool is_partial = false;

    json_out_init(&out, &job->reply);
    jaeger_begin(&out);
    json_array(&out);
    if (jaeger_traces_write(job, &out, &traces, &err) != 0) {
        jaeger_job_error(job, &err);
        return;
    }
    for (unsigned i = 0; i < multi->n; i++) {
        is_partial |= found[i].is_partial;
        if (found[i].what != FOUND_TRACE)
            errors[nerrors++] = (struct jaeger_error){
                missing_status(job, found[i].what),
                sv_from(missing_text(job, found[i].what)),
                jaeger_trace_id(&multi->ids[i], hex[i])};
    }
    if (jaeger_must_fail(job, is_partial))
        return;
    json_array_end(&out);
    traces_end(&out, job, multi->n - nerrors, errors, nerrors);
}

static void
multi_start(struct http_req *req, struct job *job)
{
    struct multi *multi = pool_zalloc(job->pool, sizeof(*multi));
    struct sv text;

    if (multi == NULL) {
        jaeger_refuse(req, job, "no memory");
        return;
    }
    while ((text = http_arg_n(req, "traceID", multi->n)).ptr != NULL) {
        if (multi->n == IDS_MAX) {
            jaeger_refuse(req, job, "more than 100 traceID arguments");
            return;
        }
        if (!parse_trace_id(text, &multi->ids[multi->n])) {
            jaeger_refuse(req, job, "traceID: a trace id has 1 to 32 hex digits");
            return;
        }
        multi->n++;
    }
    job->arg = multi;
    job_start(job, multi_run);
}

/* --- search --- */

void IMPL(route_fn)
jaeger_traces(struct http_req *req)
{
    struct job *job = jaeger_job_new(req);

    if (job == NULL)
        return;
    if (http_arg(req, "traceID").len != 0)
        multi_start(req, job);
    else
        jaeger_search_start(job);
}
