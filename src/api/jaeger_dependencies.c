/* SPDX-License-Identifier: BSD-2-Clause */

/* The Jaeger query API: which services call which. */

#include "core/base.h"
#include "api/jaeger.h"

#include <stdlib.h>

#include "api/jaeger_json.h"
#include "api/job.h"
#include "core/intern.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/backend.h"

/* Pairs of services in an answer; a picture has far fewer. */
#define PAIRS_MAX 65536u
/* Of their names. */
#define PAIR_BYTES_MAX (32 * MIB)
/* Jaeger's: a day. */
#define LOOKBACK_NS (24 * 3600 * NS_PER_SEC)

struct dependencies {
    int64_t min_end_ns;
    int64_t max_end_ns;
    struct sv service;   /* only its calls; may be empty */
    struct intern pairs; /* see pair_of() */
    uint64_t *calls;     /* by pair */
    uint32_t cap;
    struct job *job;
};

/* Entry of the table: u32 length of the parent's name, then both. */
static uint32_t
pair_of(struct dependencies *d, const struct edge *edge)
{
    uint32_t len = (uint32_t)edge->parent.len, pair;
    struct sb sb;

    sb_init(&sb, MIB);
    sb_add(&sb, &len, sizeof(len));
    sb_add_sv(&sb, edge->parent);
    sb_add_sv(&sb, edge->child);
    pair = sb_failed(&sb) ? INTERN_NONE : intern_add(&d->pairs, sb_sv(&sb));
    sb_release(&sb);
    return pair;
}

static int
add_edge(const struct edge *edge, void *arg, struct err *err)
{
    struct dependencies *d = arg;
    uint32_t pair;

    if (edge->parent.len == 0 || edge->child.len == 0 ||
        (d->service.len > 0 && !sv_eq(edge->parent, d->service) &&
        !sv_eq(edge->child, d->service)))
        return 0;
    pair = pair_of(d, edge);
    if (pair == INTERN_NONE || pair >= PAIRS_MAX)
        return err_set(err, ERR_LIMIT,
            "more than %u pairs of services call each other", PAIRS_MAX);
    if (pair >= d->cap) {
        uint32_t cap = MAX(2 * d->cap, 256u);
        uint64_t *calls = pool_zalloc(d->job->pool, cap * sizeof(*calls));

        if (calls == NULL)
            return err_set(err, ERR_LIMIT, "query needs too much memory");
        if (d->cap > 0)
            memcpy(calls, d->calls, d->cap * sizeof(*calls));
        d->calls = calls;
        d->cap = cap;
    }
    d->calls[pair] += edge->calls;
    return 0;
}

static struct sv
parent_of(struct sv pair)
{
    uint32_t len;

    memcpy(&len, pair.ptr, sizeof(len));
    return sv_sub(pair, sizeof(len), len);
}

static struct sv
child_of(struct sv pair)
{
    return sv_sub(pair, sizeof(uint32_t) + parent_of(pair).len, SIZE_MAX);
}

static int
compare_pairs(const void *a, const void *b, void *arg)
{
    const struct dependencies *d = arg;
    struct sv x = d->pairs.v[*(const uint32_t *)a];
    struct sv y = d->pairs.v[*(const uint32_t *)b];
    int order = sv_cmp(parent_of(x), parent_of(y));

    return order != 0 ? order : sv_cmp(child_of(x), child_of(y));
}

static void
print_pairs(struct dependencies *d, const struct store_answer *answer)
{
    uint32_t n = d->pairs.n;
    uint32_t *order = pool_alloc(d->job->pool, n * sizeof(*order) + 1);
    struct err err = ERR_INIT;
    struct json_out out;

    if (order == NULL) {
        (void)err_set(&err, ERR_LIMIT, "query needs too much memory");
        jaeger_job_error(d->job, &err);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, n, sizeof(*order), compare_pairs, d);
    json_out_init(&out, &d->job->reply);
    jaeger_begin(&out);
    json_array(&out);
    for (uint32_t i = 0; i < n; i++) {
        struct sv pair = d->pairs.v[order[i]];

        json_object(&out);
        json_key(&out, "parent");
        json_string(&out, parent_of(pair));
        json_key(&out, "child");
        json_string(&out, child_of(pair));
        json_key(&out, "callCount");
        json_u64(&out, d->calls[order[i]]);
        json_object_end(&out);
    }
    json_array_end(&out);
    jaeger_end_answer(&out, n, answer);
}

static void
dependencies_run(struct job *job)
{
    struct dependencies *d = job->arg;
    struct edge_visit visit = {.fn = add_edge, .arg = d,
        .min_end_ns = d->min_end_ns, .max_end_ns = d->max_end_ns,
        .bytes_max = job->bytes_max, .cancel = &job->cancel,
        .deadline_ns = job->deadline_ns};
    struct err err = ERR_INIT;
    struct backend_ask ask;
    uint64_t seed = (uint64_t)clock_mono_ns();

    intern_init(&d->pairs, PAIR_BYTES_MAX, seed);
    job_ask(job, &ask);
    if (backend_get()->visit_edges(&ask, &visit, &err) != 0)
        jaeger_job_error(job, &err);
    else if (!jaeger_must_fail(job, job->answer.is_partial))
        print_pairs(d, &job->answer);
    intern_release(&d->pairs);
}

/* A number of milliseconds, or a duration with units. */
static bool
parse_lookback(struct sv text, int64_t *ns)
{
    int64_t ms;

    if (num_parse_i64(text, &ms))
        return ms >= 0 && !__builtin_mul_overflow(ms, NS_PER_MS, ns);
    return time_parse_duration(text, ns) && *ns >= 0;
}

static const char *
parse_args(struct http_req *req, struct dependencies *d)
{
    struct sv end = http_arg(req, "endTs"), back = http_arg(req, "lookback");
    int64_t lookback_ns = LOOKBACK_NS, ms;

    d->max_end_ns = clock_wall_ns();
    if (end.len != 0) {
        if (!num_parse_i64(end, &ms) ||
            __builtin_mul_overflow(ms, NS_PER_MS, &d->max_end_ns))
            return "endTs: unix milliseconds expected";
        /* To the end of that millisecond. */
        if (__builtin_add_overflow(d->max_end_ns, NS_PER_MS - 1,
                &d->max_end_ns))
            d->max_end_ns = INT64_MAX;
    }
    d->max_end_ns = MIN(d->max_end_ns, job_newest_ns(req->process));
    if (back.len != 0 && !parse_lookback(back, &lookback_ns))
        return "lookback: milliseconds or a duration such as 24h expected";
    if (__builtin_sub_overflow(d->max_end_ns, lookback_ns, &d->min_end_ns))
        d->min_end_ns = INT64_MIN;
    d->service = http_arg(req, "service");
    return NULL;
}

void IMPL(route_fn)
jaeger_dependencies(struct http_req *req)
{
    struct job *job = jaeger_job_new(req);
    struct dependencies *d;
    const char *wrong;

    if (job == NULL)
        return;
    d = pool_zalloc(job->pool, sizeof(*d));
    if (d == NULL) {
        jaeger_refuse(req, job, "no memory");
        return;
    }
    d->job = job;
    wrong = parse_args(req, d);
    if (wrong != NULL) {
        jaeger_refuse(req, job, wrong);
        return;
    }
    job->arg = d;
    job_start(job, dependencies_run);
}
