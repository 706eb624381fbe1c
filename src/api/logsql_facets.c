/* SPDX-License-Identifier: BSD-2-Clause */

/* /select/logsql/facets: the most frequent values of every field. */

#include "core/base.h"
#include "api/logsql.h"

#include "api/job.h"
#include "api/logsql_args.h"
#include "api/logsql_sinks.h"
#include "core/json_out.h"
#include "core/num.h"
#include "query/text.h"

/* Values of all fields: ten of each of 2000 fields, with room. */
#define FACETS_MAX 1000000u

static const struct sv facet_fields[] = {
    {"field_name", 10}, {"field_value", 11}, {"hits", 4},
};

struct facets {
    struct query *query;
    struct table table;
};

struct facet {
    struct sv name, value;
    uint64_t hits;
};

static int
facet_cmp(const void *left, const void *right)
{
    const struct facet *a = left, *b = right;
    int order = sv_cmp(a->name, b->name);

    if (order != 0)
        return order;
    if (a->hits != b->hits)
        return a->hits > b->hits ? -1 : 1;
    order = value_order(a->value, b->value);
    return order != 0 ? order : sv_cmp(a->value, b->value);
}

static void
facets_print(struct sb *reply, const struct facet *facets, uint32_t n)
{
    struct json_out out;

    json_out_init(&out, reply);
    json_object(&out);
    json_key(&out, "facets");
    json_array(&out);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || !sv_eq(facets[i].name, facets[i - 1].name)) {
            json_object(&out);
            json_key(&out, "field_name");
            json_string(&out, facets[i].name);
            json_key(&out, "values");
            json_array(&out);
        }
        json_object(&out);
        json_key(&out, "field_value");
        json_string(&out, facets[i].value);
        json_key(&out, "hits");
        json_u64(&out, facets[i].hits);
        json_object_end(&out);
        if (i + 1 == n || !sv_eq(facets[i].name, facets[i + 1].name)) {
            json_array_end(&out);
            json_object_end(&out);
        }
    }
    json_array_end(&out);
    json_object_end(&out);
}

static void
facets_run(struct job *job)
{
    struct facets *arg = job->arg;
    struct table *table = &arg->table;
    struct err err = ERR_INIT;
    struct facet *facets;

    if (logsql_execute(job, arg->query, sink_table_new(job, table)) != 0)
        return;
    facets = pool_alloc(job->pool, (table->n + 1) * sizeof(*facets));
    if (facets == NULL) {
        (void)err_set(&err, ERR_LIMIT, "query needs too much memory");
        logsql_job_error(job, &err);
        return;
    }
    for (uint32_t i = 0; i < table->n; i++) {
        facets[i] = (struct facet){table->texts[3 * i],
            table->texts[3 * i + 1], 0};
        (void)num_parse_u64(table->texts[3 * i + 2], &facets[i].hits);
    }
    if (table->n > 1)
        qsort(facets, table->n, sizeof(*facets), facet_cmp);
    facets_print(&job->reply, facets, table->n);
}

static int
facets_args(struct job *job, struct facets *arg, struct err *err)
{
    uint64_t limit = 0, values = 0, len = 0;
    bool keep_const = false;
    char pipe[200];

    if (logsql_rows_query(job, &arg->query, err) != 0 ||
        logsql_limit_arg(job, &limit, err) != 0 ||
        logsql_uint_arg(job, "max_values_per_field", &values, err) != 0 ||
        logsql_uint_arg(job, "max_value_len", &len, err) != 0 ||
        logsql_bool_arg(job, "keep_const_fields", &keep_const, err) != 0)
        return -1;
    snprintf(pipe, sizeof(pipe), "* | facets %llu max_values_per_field %llu "
        "max_value_len %llu%s",
        (unsigned long long)(limit == 0 ? 10 : limit),
        (unsigned long long)(values == 0 ? 1000 : values),
        (unsigned long long)(len == 0 ? 128 : len),
        keep_const ? " keep_const_fields" : "");
    arg->table = (struct table){.fields = facet_fields, .nfields = 3,
        .max = FACETS_MAX};
    return logsql_add_pipes(arg->query, sv_from(pipe), err);
}

void
logsql_facets(struct http_req *req)
{
    struct job *job = job_new(req);
    struct err err = ERR_INIT;

    if (job == NULL)
        return;
    if (logsql_arg_new(job, sizeof(struct facets), &err) != 0 ||
        facets_args(job, job->arg, &err) != 0)
        logsql_refuse(job, &err);
    else
        job_start(job, facets_run);
}
