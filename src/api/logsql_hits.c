/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * /select/logsql/hits: rows over time, in series by fields.  Buckets without
 * rows are there with 0, from the first to the last one of the time range,
 * or of all series where the range has no end.
 */

#include "core/base.h"
#include "api/logsql.h"

#include "api/job.h"
#include "api/logsql_args.h"
#include "api/logsql_sinks.h"
#include "core/json_out.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/parse.h"
#include "query/text.h"
#include "span/flat.h"

/* Points of all series: a picture has far fewer. */
#define POINTS_MAX 1000000u
/* Empty buckets are left out of answers that would have more than this. */
#define FILLED_MAX 200000u
/* A field, its brackets and quotes. */
#define PIPE_BYTES_MAX (256 * KIB)

struct hits {
    struct query *query;
    struct table table; /* _time, fields ..., hits */
    uint64_t fields_limit;
    int64_t step_ns;
    int64_t first_ns; /* starts of the buckets that are shown, if nbuckets */
    uint32_t nbuckets; /* 0: those with rows */
};

struct point {
    struct sv key; /* JSON text of the series' fields */
    int64_t time_ns;
    uint64_t hits;
};

struct series {
    const struct point *points;
    uint32_t n;
    uint64_t total;
};

static int
point_cmp(const void *left, const void *right)
{
    const struct point *a = left, *b = right;
    int order = sv_cmp(a->key, b->key);

    return order != 0 ? order
        : (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
}

static int
total_cmp(const void *left, const void *right)
{
    const struct series *a = left, *b = right;

    if (a->total != b->total)
        return a->total > b->total ? -1 : 1;
    return sv_cmp(a->points[0].key, b->points[0].key);
}

static int
key_cmp(const void *left, const void *right)
{
    const struct series *a = left, *b = right;

    return sv_cmp(a->points[0].key, b->points[0].key);
}

static struct sv
series_key(struct job *job, const struct table *table, uint32_t row)
{
    const struct sv *texts = &table->texts[(size_t)row * table->nfields];
    struct json_out out;
    struct sv key;
    struct sb sb;

    sb_init(&sb, 16 * MIB);
    json_out_init(&out, &sb);
    json_object(&out);
    for (uint32_t i = 1; i + 1 < table->nfields; i++) {
        json_key_sv(&out, table->fields[i]);
        json_string(&out, texts[i]);
    }
    json_object_end(&out);
    key = sv_make(pool_dup(job->pool, sb.ptr, sb.len), sb.len);
    sb_release(&sb);
    return key;
}

/* Sorts the points and unites equal ones. */
static uint32_t
points_sort(struct point *points, uint32_t n)
{
    uint32_t kept = 0;

    if (n == 0)
        return 0;
    qsort(points, n, sizeof(*points), point_cmp);
    for (uint32_t i = 1; i < n; i++) {
        if (point_cmp(&points[kept], &points[i]) == 0)
            points[kept].hits += points[i].hits;
        else
            points[++kept] = points[i];
    }
    return kept + 1;
}

static uint32_t
series_split(const struct point *points, uint32_t n, struct series *series)
{
    uint32_t nseries = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || !sv_eq(points[i].key, points[i - 1].key))
            series[nseries++] = (struct series){&points[i], 0, 0};
        series[nseries - 1].n++;
        series[nseries - 1].total += points[i].hits;
    }
    return nseries;
}

/* Series beyond the limit lose their fields and become one. */
static void
series_limit(struct point *points, uint32_t n, struct series *series,
    uint32_t nseries, uint64_t limit)
{
    qsort(series, nseries, sizeof(*series), total_cmp);
    for (uint32_t s = (uint32_t)limit; s < nseries; s++) {
        uint32_t first = (uint32_t)(series[s].points - points);

        for (uint32_t i = first; i < first + series[s].n && i < n; i++)
            points[i].key = SV("{}");
    }
}

/* --- empty buckets --- */

/* Start of the bucket of a time, where `start` is the start of another. */
static int64_t
bucket_of(int64_t ns, int64_t start, int64_t step)
{
    __int128 steps = ((__int128)ns - start) / step;

    if (((__int128)ns - start) % step < 0)
        steps--;
    return (int64_t)(start + steps * step);
}

static bool
buckets_set(struct hits *hits, int64_t first, int64_t last, uint32_t nseries)
{
    uint64_t steps = ((uint64_t)last - (uint64_t)first) /
        (uint64_t)hits->step_ns;

    if (steps >= FILLED_MAX / nseries)
        return false;
    hits->first_ns = first;
    hits->nbuckets = (uint32_t)steps + 1;
    return true;
}

/* Which buckets are shown. */
static void
buckets_choose(struct hits *hits, const struct point *points, uint32_t n,
    uint32_t nseries)
{
    int64_t first = hits->query->min_time, last = hits->query->max_time;
    int64_t least = INT64_MAX, greatest = INT64_MIN;

    if (n == 0)
        return;
    for (uint32_t i = 0; i < n; i++) {
        least = MIN(least, points[i].time_ns);
        greatest = MAX(greatest, points[i].time_ns);
    }
    first = MIN(first, least);
    last = MAX(last, greatest);
    /* Away from the ends of time there is no overflow. */
    if (first > INT64_MIN / 2 && last < INT64_MAX / 2 &&
        buckets_set(hits, bucket_of(first, least, hits->step_ns), last,
            nseries))
        return;
    (void)buckets_set(hits, least, greatest, nseries);
}

/* One with the series' fields and times, 0 where there are no rows. */
static int
series_fill(const struct hits *hits, struct series *series,
    struct pool *pool)
{
    struct point *points = pool_alloc(pool,
        (hits->nbuckets + 1) * sizeof(*points));
    uint32_t next = 0;

    if (points == NULL)
        return -1;
    for (uint32_t i = 0; i < hits->nbuckets; i++) {
        points[i] = (struct point){series->points[0].key,
            hits->first_ns + (int64_t)i * hits->step_ns, 0};
        while (next < series->n &&
            series->points[next].time_ns <= points[i].time_ns)
            points[i].hits += series->points[next++].hits;
    }
    series->points = points;
    series->n = hits->nbuckets;
    return 0;
}

static void
series_print(struct json_out *out, const struct series *series)
{
    char time[TIME_TEXT_MAX];

    json_object(out);
    json_key(out, "fields");
    json_raw(out, series->points[0].key);
    json_key(out, "timestamps");
    json_array(out);
    for (uint32_t i = 0; i < series->n; i++)
        json_string(out, sv_make(time,
            time_print_short(time, series->points[i].time_ns)));
    json_array_end(out);
    json_key(out, "values");
    json_array(out);
    for (uint32_t i = 0; i < series->n; i++)
        json_u64(out, series->points[i].hits);
    json_array_end(out);
    json_key(out, "total");
    json_u64(out, series->total);
    json_object_end(out);
}

static int
points_make(struct job *job, const struct table *table,
    struct point *points, uint32_t *n)
{
    *n = 0;
    for (uint32_t i = 0; i < table->n; i++) {
        const struct sv *texts = &table->texts[(size_t)i * table->nfields];
        struct point *point = &points[*n];

        *point = (struct point){series_key(job, table, i), 0, 0};
        if (point->key.ptr == NULL)
            return -1;
        /* Rows that a pipe has left without a time are in no bucket. */
        if (!time_parse_value(texts[0], &point->time_ns))
            continue;
        (void)num_parse_u64(texts[table->nfields - 1], &point->hits);
        ++*n;
    }
    return 0;
}

static int
hits_print(struct job *job, struct hits *hits)
{
    const struct table *table = &hits->table;
    uint32_t n, nseries;
    struct point *points = pool_alloc(job->pool,
        (table->n + 1) * sizeof(*points));
    struct series *series = pool_alloc(job->pool,
        (table->n + 1) * sizeof(*series));
    struct json_out out;

    if (points == NULL || series == NULL ||
        points_make(job, table, points, &n) != 0)
        return -1;
    n = points_sort(points, n);
    nseries = series_split(points, n, series);
    if (hits->fields_limit > 0 && nseries > hits->fields_limit) {
        series_limit(points, n, series, nseries, hits->fields_limit);
        n = points_sort(points, n);
        nseries = series_split(points, n, series);
    }
    if (nseries > 1)
        qsort(series, nseries, sizeof(*series), key_cmp);
    json_out_init(&out, &job->reply);
    json_object(&out);
    json_key(&out, "hits");
    json_array(&out);
    buckets_choose(hits, points, n, nseries);
    for (uint32_t i = 0; i < nseries; i++) {
        if (hits->nbuckets > 0 &&
            series_fill(hits, &series[i], job->pool) != 0)
            return -1;
        series_print(&out, &series[i]);
    }
    json_array_end(&out);
    json_object_end(&out);
    return 0;
}

static void
hits_run(struct job *job)
{
    struct hits *hits = job->arg;
    struct err err = ERR_INIT;

    if (logsql_execute(job, hits->query,
            sink_table_new(job, &hits->table)) != 0)
        return;
    if (hits_print(job, hits) != 0) {
        (void)err_set(&err, ERR_LIMIT, "query needs too much memory");
        logsql_job_error(job, &err);
    }
}

/* --- arguments --- */

/* "* | stats by (_time:STEP offset O, "a", "b") count() as N". */
static int
hits_pipe(struct job *job, struct sb *pipe, struct hits *hits,
    struct err *err)
{
    struct sv counter = hits->table.fields[hits->table.nfields - 1];
    struct sv offset = http_arg(job->req, "offset");
    int64_t offset_ns = 0;

    hits->step_ns = NS_PER_DAY;
    if (logsql_step_arg(job, "step", &hits->step_ns, err) != 0)
        return -1;
    if (offset.len > 0 && !logsql_parse_duration(offset, &offset_ns))
        return err_set(err, ERR_INVALID, "argument offset is no duration");
    sb_addf(pipe, "* | stats by (_time:%lldns offset %lldns",
        (long long)hits->step_ns, (long long)offset_ns);
    for (unsigned i = 0; i < LOGSQL_REPEATS_MAX; i++) {
        struct sv field = http_arg_n(job->req, "field", i);

        if (field.ptr == NULL)
            break;
        sb_add_char(pipe, ',');
        logsql_quote(pipe, field);
    }
    sb_add_str(pipe, ") count() as ");
    logsql_quote(pipe, counter);
    return 0;
}

/* Fields of the table: _time, those asked for, the counter. */
static int
hits_fields(struct job *job, struct hits *hits, struct sv counter,
    struct err *err)
{
    struct sv *fields = pool_alloc(job->pool,
        (LOGSQL_REPEATS_MAX + 2) * sizeof(*fields));
    uint32_t n = 0;

    if (fields == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    fields[n++] = SV("_time");
    for (unsigned i = 0; i < LOGSQL_REPEATS_MAX; i++) {
        struct sv field = http_arg_n(job->req, "field", i);

        if (field.ptr == NULL)
            break;
        fields[n++] = flat_name(field, job->pool);
    }
    fields[n++] = counter;
    hits->table = (struct table){.fields = fields, .nfields = n,
        .max = POINTS_MAX};
    return 0;
}

static int
hits_args(struct job *job, struct hits *hits, struct err *err)
{
    /* No field of a span has this name. */
    struct sv counter = SV("hits of the bucket"), text;
    struct sb pipe;
    int rc;

    if (logsql_uint_arg(job, "fields_limit", &hits->fields_limit, err) != 0)
        return -1;
    if (logsql_rows_query(job, &hits->query, err) != 0 ||
        hits_fields(job, hits, counter, err) != 0)
        return -1;
    sb_init(&pipe, PIPE_BYTES_MAX);
    rc = hits_pipe(job, &pipe, hits, err);
    if (rc == 0) {
        text = sv_make(pool_dup(job->pool, pipe.ptr, pipe.len), pipe.len);
        rc = text.ptr == NULL || sb_failed(&pipe)
            ? err_set(err, ERR_INVALID, "too many fields")
            : logsql_add_pipes(hits->query, text, err);
    }
    sb_release(&pipe);
    return rc;
}

void
logsql_hits(struct http_req *req)
{
    struct job *job = job_new(req);
    struct err err = ERR_INIT;

    if (job == NULL)
        return;
    if (logsql_arg_new(job, sizeof(struct hits), &err) != 0 ||
        hits_args(job, job->arg, &err) != 0) {
        logsql_refuse(job, &err);
        return;
    }
    job->tells_range = true;
    job_start(job, hits_run);
}
