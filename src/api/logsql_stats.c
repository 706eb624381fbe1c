/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * /select/logsql/stats_query and stats_query_range: results of stats as
 * Prometheus' vectors and matrices, which vmalert and Grafana read.
 */

#include "core/base.h"
#include "api/logsql.h"

#include <pthread.h>

#include "api/job.h"
#include "api/logsql_args.h"
#include "api/stats_labels.h"
#include "core/assert.h"
#include "core/intern.h"
#include "core/json_in.h"
#include "core/json_out.h"
#include "core/mem.h"
#include "query/text.h"
#include "query/dict.h"

/* Points of all series: a picture has far fewer. */
#define POINTS_MAX 1000000u
/* Names and labels of one series. */
#define METRIC_BYTES_MAX MIB

struct stats_arg {
    struct query *query;
    struct stats_labels labels;
    int64_t instant;
    bool is_range;
};

struct point {
    uint32_t metric; /* in metrics; when sorted: its rank */
    uint32_t value;  /* in values */
    int64_t time_ns;
};

/* With the entries of its two texts in the tables of these. */
#define POINT_BYTES (sizeof(struct point) + 2 * 40)

struct sink_stats {
    struct stage stage;
    struct job *job;
    struct stats_arg *arg;
    pthread_mutex_t mutex;
    struct intern metrics; /* {"__name__":"n","kind":"2"} */
    struct intern values;
    struct point *points;  /* of xmalloc(), counted as the reply is */
    uint32_t n, cap;
    struct sb metric;
};

/* --- points --- */

static int
points_grow(struct sink_stats *sink, struct err *err)
{
    uint32_t cap = MAX(2 * sink->cap, 256u);

    if (sink->n == POINTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u points; ask for a "
            "larger step or fewer groups", POINTS_MAX);
    if (sink->n < sink->cap)
        return 0;
    if (!mem_share_take(&sink->job->memory,
            (cap - sink->cap) * POINT_BYTES))
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    sink->points = xrealloc(sink->points, cap * sizeof(*sink->points));
    sink->cap = cap;
    return 0;
}

static int
point_add(struct sink_stats *sink, int64_t time_ns, struct sv value,
    struct err *err)
{
    struct point point = {.time_ns = time_ns};

    if (points_grow(sink, err) != 0)
        return -1;
    point.metric = sb_failed(&sink->metric) ? INTERN_NONE
        : intern_add(&sink->metrics, sb_sv(&sink->metric));
    point.value = intern_add(&sink->values, value);
    if (point.metric == INTERN_NONE || point.value == INTERN_NONE)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    sink->points[sink->n++] = point;
    return 0;
}

/* --- rows to points --- */

struct stats_row {
    const struct rows *rows;
    uint32_t row;
    const enum stats_role *roles; /* per column */
    int64_t time_ns;
};

static bool
is_time(const struct sink_stats *sink, struct sv name)
{
    return sink->arg->is_range && sv_eq(name, SV("_time"));
}

static void
metric_make(struct sink_stats *sink, const struct stats_row *in,
    struct sv name, struct sv range)
{
    struct json_out out;

    sb_reset(&sink->metric);
    json_out_init(&out, &sink->metric);
    json_object(&out);
    json_key(&out, "__name__");
    json_string(&out, name);
    for (uint32_t i = 0; i < in->rows->ncolumns; i++) {
        const struct column *column = &in->rows->columns[i];
        char buf[COLUMN_TEXT_MAX];

        if (in->roles[i] != STATS_LABEL || is_time(sink, column->name))
            continue;
        json_key_sv(&out, column->name);
        json_string(&out, column_text(column, in->row, buf));
    }
    if (range.len > 0) {
        json_key(&out, "vmrange");
        json_string(&out, range);
    }
    json_object_end(&out);
}

/* {"vmrange":"...","hits":N} */
static int
bucket_add(struct sink_stats *sink, const struct stats_row *in,
    struct sv name, struct json_in *json, struct err *err)
{
    struct sv key, range = SV_EMPTY, hits = SV_EMPTY;

    if (!json_enter_object(json))
        return 0;
    while (json_next_key(json, &key)) {
        if (sv_eq(key, SV("vmrange")))
            (void)json_read_string(json, &range);
        else if (sv_eq(key, SV("hits")) && json_peek(json) == JSON_NUMBER)
            (void)json_read_number(json, &hits);
        else if (sv_eq(key, SV("hits")))
            (void)json_read_string(json, &hits);
        else
            (void)json_skip(json);
    }
    if (json_in_failed(json) || range.len == 0)
        return 0;
    metric_make(sink, in, name, range);
    return point_add(sink, in->time_ns, hits, err);
}

static int
histogram_add(struct sink_stats *sink, const struct stats_row *in,
    const struct column *column, struct err *err)
{
    char buf[COLUMN_TEXT_MAX];
    struct pool *pool = in->rows->pool;
    static const struct sv suffix = {"_bucket", 7};
    size_t len = column->name.len + suffix.len;
    char *name = pool_alloc(pool, len);
    struct json_in json;

    if (name == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    /* A name may hold a NUL. */
    memcpy(name, column->name.ptr, column->name.len);
    memcpy(name + column->name.len, suffix.ptr, suffix.len);
    json_in_init(&json, column_text(column, in->row, buf), pool);
    if (json_peek(&json) != JSON_ARRAY || !json_enter_array(&json))
        return 0;
    while (json_next_item(&json)) {
        if (bucket_add(sink, in, sv_make(name, len), &json, err) != 0)
            return -1;
    }
    return 0;
}

static int
row_add(struct sink_stats *sink, struct stats_row *in, struct err *err)
{
    char buf[COLUMN_TEXT_MAX];

    in->time_ns = sink->arg->instant;
    for (uint32_t i = 0; i < in->rows->ncolumns; i++) {
        const struct column *column = &in->rows->columns[i];

        if (is_time(sink, column->name) && !time_parse_value(
                column_text(column, in->row, buf), &in->time_ns))
            return 0;
    }
    for (uint32_t i = 0; i < in->rows->ncolumns; i++) {
        const struct column *column = &in->rows->columns[i];

        if (in->roles[i] == STATS_LABEL || is_time(sink, column->name))
            continue;
        if (in->roles[i] == STATS_HISTOGRAM) {
            if (histogram_add(sink, in, column, err) != 0)
                return -1;
            continue;
        }
        metric_make(sink, in, column->name, SV_EMPTY);
        if (point_add(sink, in->time_ns, column_text(column, in->row, buf),
            err) != 0)
            return -1;
    }
    return 0;
}

static int
stats_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_stats *sink = (struct sink_stats *)stage;
    enum stats_role *roles;
    struct stats_row in;
    int rc = 0;

    (void)lane;
    if (rows_detach(rows, err) != 0)
        return -1;
    roles = pool_alloc(rows->pool, (rows->ncolumns + 1) * sizeof(*roles));
    if (roles == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < rows->ncolumns; i++)
        roles[i] = stats_labels_role(&sink->arg->labels,
            rows->columns[i].name);
    in = (struct stats_row){rows, 0, roles, 0};
    pthread_mutex_lock(&sink->mutex);
    for (in.row = rows_first(rows); rc == 0 && in.row < rows->n;
        in.row = rows_next(rows, in.row))
        rc = row_add(sink, &in, err);
    pthread_mutex_unlock(&sink->mutex);
    return rc;
}

/* --- the answer --- */

/* Seconds, with as many digits as there are. */
static void
put_time(struct json_out *out, int64_t ns)
{
    int64_t whole = ns / NS_PER_SEC, rest = ns % NS_PER_SEC;
    char text[48];
    int len;

    if (rest < 0)
        rest = -rest;
    len = snprintf(text, sizeof(text), "%s%lld.%09lld",
        ns < 0 && whole == 0 ? "-" : "", (long long)whole, (long long)rest);
    while (text[len - 1] == '0')
        len--;
    if (text[len - 1] == '.')
        len--;
    json_raw(out, sv_make(text, (size_t)len));
}

static void
put_value(struct json_out *out, const struct sink_stats *sink,
    const struct point *point)
{
    json_array(out);
    put_time(out, point->time_ns);
    json_string(out, sink->values.v[point->value]);
    json_array_end(out);
}

static void
print_vector(struct sink_stats *sink, struct json_out *out)
{
    for (uint32_t i = 0; i < sink->n; i++) {
        const struct point *point = &sink->points[i];

        json_object(out);
        json_key(out, "metric");
        json_raw(out, sink->metrics.v[point->metric]);
        json_key(out, "value");
        put_value(out, sink, point);
        json_object_end(out);
    }
}

struct ranked {
    struct sv metric;
    uint32_t number;
};

static int
ranked_cmp(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    return sv_cmp(a->metric, b->metric);
}

static int
point_cmp(const void *left, const void *right)
{
    const struct point *a = left, *b = right;

    if (a->metric != b->metric)
        return a->metric < b->metric ? -1 : 1;
    return (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
}

/* Series by name and labels, points by time. */
static int
points_sort(struct sink_stats *sink, struct sv **metrics, struct err *err)
{
    struct pool *pool = sink->job->pool;
    uint32_t n = sink->metrics.n;
    struct ranked *ranked = pool_alloc(pool, (n + 1) * sizeof(*ranked));
    uint32_t *ranks = pool_alloc(pool, (n + 1) * sizeof(*ranks));

    *metrics = pool_alloc(pool, (n + 1) * sizeof(**metrics));
    if (ranked == NULL || ranks == NULL || *metrics == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < n; i++)
        ranked[i] = (struct ranked){sink->metrics.v[i], i};
    if (n > 1)
        qsort(ranked, n, sizeof(*ranked), ranked_cmp);
    for (uint32_t i = 0; i < n; i++) {
        ranks[ranked[i].number] = i;
        (*metrics)[i] = ranked[i].metric;
    }
    for (uint32_t i = 0; i < sink->n; i++)
        sink->points[i].metric = ranks[sink->points[i].metric];
    if (sink->n > 1)
        qsort(sink->points, sink->n, sizeof(*sink->points), point_cmp);
    return 0;
}

static int
print_matrix(struct sink_stats *sink, struct json_out *out, struct err *err)
{
    struct sv *metrics;

    if (points_sort(sink, &metrics, err) != 0)
        return -1;
    for (uint32_t i = 0; i < sink->n; i++) {
        const struct point *point = &sink->points[i];

        if (i == 0 || point->metric != point[-1].metric) {
            json_object(out);
            json_key(out, "metric");
            json_raw(out, metrics[point->metric]);
            json_key(out, "values");
            json_array(out);
        }
        put_value(out, sink, point);
        if (i + 1 == sink->n || point->metric != point[1].metric) {
            json_array_end(out);
            json_object_end(out);
        }
    }
    return 0;
}

static int
stats_flush(struct stage *stage, struct err *err)
{
    struct sink_stats *sink = (struct sink_stats *)stage;
    bool is_range = sink->arg->is_range;
    struct json_out out;
    int rc = 0;

    json_out_init(&out, &sink->job->reply);
    json_object(&out);
    json_key(&out, "status");
    json_string(&out, SV("success"));
    json_key(&out, "data");
    json_object(&out);
    json_key(&out, "resultType");
    json_string(&out, is_range ? SV("matrix") : SV("vector"));
    json_key(&out, "result");
    json_array(&out);
    if (is_range)
        rc = print_matrix(sink, &out, err);
    else
        print_vector(sink, &out);
    if (rc != 0)
        return -1;
    json_array_end(&out);
    json_object_end(&out);
    json_object_end(&out);
    return job_charge_reply(sink->job, err);
}

static void
stats_free(struct stage *stage)
{
    struct sink_stats *sink = (struct sink_stats *)stage;

    mem_share_give(&sink->job->memory, sink->cap * POINT_BYTES);
    xfree(sink->points);
    intern_release(&sink->metrics);
    intern_release(&sink->values);
    sb_release(&sink->metric);
    pthread_mutex_destroy(&sink->mutex);
    xfree(sink);
}

static const struct stage_ops sink_ops = {stats_write, stats_flush,
    stats_free};

static struct stage *
sink_stats_new(struct job *job)
{
    struct sink_stats *sink = xcalloc(1, sizeof(*sink));

    sink->stage.ops = &sink_ops;
    sink->job = job;
    sink->arg = job->arg;
    check(pthread_mutex_init(&sink->mutex, NULL) == 0);
    intern_init(&sink->metrics, job->bytes_max / 4, dict_secret());
    intern_init(&sink->values, job->bytes_max / 4, dict_secret());
    intern_share(&sink->metrics, &job->memory);
    intern_share(&sink->values, &job->memory);
    sb_init(&sink->metric, METRIC_BYTES_MAX);
    return &sink->stage;
}

/* --- the endpoints --- */

static void
stats_run(struct job *job)
{
    struct stats_arg *arg = job->arg;

    (void)logsql_execute(job, arg->query, sink_stats_new(job));
}

static int
stats_args(struct job *job, struct stats_arg *arg, struct err *err)
{
    int64_t step_ns = NS_PER_DAY, offset_ns = 0;
    struct sv offset = http_arg(job->req, "offset");
    struct logsql_times times;

    if (logsql_query_times(job, &arg->query, &times, err) != 0)
        return -1;
    arg->instant = times.instant;
    if (!arg->is_range)
        return stats_labels_find(&arg->labels, arg->query, 0, 0, err);
    if (logsql_step_arg(job, "step", &step_ns, err) != 0)
        return -1;
    if (offset.len > 0 && !logsql_parse_duration(offset, &offset_ns))
        return err_set(err, ERR_INVALID, "argument offset is no duration");
    if (stats_labels_find(&arg->labels, arg->query, step_ns, offset_ns,
        err) != 0)
        return -1;
    arg->query->rate_step = (double)step_ns / 1e9;
    return 0;
}

static void
stats_start(struct http_req *req, bool is_range)
{
    struct job *job = job_new(req);
    struct err err = ERR_INIT;
    struct stats_arg *arg;
    int rc;

    if (job == NULL)
        return;
    job->is_stats = true;
    job->tells_range = is_range;
    rc = logsql_arg_new(job, sizeof(*arg), &err);
    if (rc == 0) {
        arg = job->arg;
        arg->is_range = is_range;
        rc = stats_args(job, arg, &err);
    }
    if (rc != 0)
        logsql_refuse_stats(job, &err);
    else
        job_start(job, stats_run);
}

void
logsql_stats_query(struct http_req *req)
{
    stats_start(req, false);
}

void
logsql_stats_query_range(struct http_req *req)
{
    stats_start(req, true);
}
