/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Values with hits: field_names, field_values, streams, stream_ids.  The
 * query's pipes are replaced by one that counts.
 */

#include "core/base.h"
#include "api/logsql.h"

#include "api/job.h"
#include "api/logsql_args.h"
#include "api/logsql_sinks.h"
#include "core/json_out.h"
#include "core/num.h"
#include "query/parse.h"
#include "query/text.h"

/* Answers of more values are refused: ask with limit. */
#define VALUES_MAX 1000000u

struct values {
    struct query *query;
    struct sv fields[2]; /* of the value, of the hits */
    struct table table;
};

struct value_hits {
    struct sv value;
    uint64_t hits;
};

static int
hits_cmp(const void *left, const void *right)
{
    const struct value_hits *a = left, *b = right;
    int order;

    if (a->hits != b->hits)
        return a->hits > b->hits ? -1 : 1;
    order = value_order(a->value, b->value);
    return order != 0 ? order : sv_cmp(a->value, b->value);
}

static void
values_print(struct job *job, const struct values *values)
{
    const struct table *table = &values->table;
    struct value_hits *sorted = pool_alloc(job->pool,
        (table->n + 1) * sizeof(*sorted));
    struct json_out out;

    if (sorted == NULL) {
        struct err err = ERR_INIT;

        (void)err_set(&err, ERR_LIMIT, "query needs too much memory");
        logsql_job_error(job, &err);
        return;
    }
    for (uint32_t i = 0; i < table->n; i++) {
        sorted[i] = (struct value_hits){table->texts[2 * i], 0};
        (void)num_parse_u64(table->texts[2 * i + 1], &sorted[i].hits);
    }
    if (table->n > 1)
        qsort(sorted, table->n, sizeof(*sorted), hits_cmp);
    json_out_init(&out, &job->reply);
    json_object(&out);
    json_key(&out, "values");
    json_array(&out);
    for (uint32_t i = 0; i < table->n; i++) {
        json_object(&out);
        json_key(&out, "value");
        json_string(&out, sorted[i].value);
        json_key(&out, "hits");
        json_u64(&out, sorted[i].hits);
        json_object_end(&out);
    }
    json_array_end(&out);
    json_object_end(&out);
}

static void
values_run(struct job *job)
{
    struct values *values = job->arg;

    if (logsql_execute(job, values->query,
            sink_table_new(job, &values->table)) == 0)
        values_print(job, values);
}

/* pipe: "* | ..." that leaves two fields. */
static int
values_prepare(struct job *job, struct sv pipe, struct sv field,
    struct sv hits, struct err *err)
{
    struct values *values = pool_zalloc(job->pool, sizeof(*values));

    if (values == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    if (logsql_query_arg(job, &values->query, err) != 0)
        return -1;
    query_drop_pipes(values->query);
    values->fields[0] = field;
    values->fields[1] = hits;
    values->table = (struct table){.fields = values->fields, .nfields = 2,
        .max = VALUES_MAX};
    job->arg = values;
    return logsql_add_pipes(values->query, pipe, err);
}

void
logsql_field_names(struct http_req *req)
{
    struct job *job = job_new(req);
    struct err err = ERR_INIT;

    if (job == NULL)
        return;
    if (values_prepare(job, SV("* | field_names as name"), SV("name"),
        SV("hits"), &err) != 0)
        logsql_refuse(job, &err);
    else
        job_start(job, values_run);
}

/* Counts the values of one field. */
static void
field_start(struct http_req *req, struct sv field)
{
    struct job *job = job_new(req);
    struct sv hits = sv_eq(field, SV("hits")) ? SV("hitss") : SV("hits");
    struct err err = ERR_INIT;
    uint64_t limit;
    struct sb pipe;
    char *text;
    int rc;

    if (job == NULL)
        return;
    if (logsql_limit_arg(job, &limit, &err) != 0) {
        logsql_refuse(job, &err);
        return;
    }
    sb_init(&pipe, 64 * KIB);
    sb_add_str(&pipe, "* | uniq by (");
    logsql_quote(&pipe, field);
    sb_add_str(&pipe, ") with hits");
    if (limit > 0)
        sb_addf(&pipe, " limit %llu", (unsigned long long)limit);
    text = sb_failed(&pipe) ? NULL : pool_dup(job->pool, pipe.ptr, pipe.len);
    rc = text == NULL
        ? err_set(&err, ERR_INVALID, "the field's name is too long")
        : values_prepare(job, sv_make(text, pipe.len), field, hits, &err);
    sb_release(&pipe);
    if (rc != 0)
        logsql_refuse(job, &err);
    else
        job_start(job, values_run);
}

void
logsql_field_values(struct http_req *req)
{
    struct sv field = http_arg(req, "field");

    if (field.len == 0) {
        http_reply_error(req, 400, "argument field is missing");
        return;
    }
    field_start(req, field);
}

void
logsql_streams(struct http_req *req)
{
    field_start(req, SV("_stream"));
}

void
logsql_stream_ids(struct http_req *req)
{
    field_start(req, SV("_stream_id"));
}
