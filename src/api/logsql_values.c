/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Values with hits: field_names, field_values, streams, stream_ids and the
 * labels of streams.  A pipe that counts is added to the query's.
 */

#include "core/base.h"
#include "api/logsql.h"

#include "api/job.h"
#include "api/logsql_args.h"
#include "api/logsql_sinks.h"
#include "core/json_out.h"
#include "core/num.h"
#include "query/filter.h"
#include "query/parse.h"
#include "query/text.h"
#include "span/flat.h"

/* Answers of more values are refused: ask with limit. */
#define VALUES_MAX 1000000u

enum values_kind {
    VALUES_PLAIN,
    VALUES_LABEL_NAMES, /* of the streams that are the values */
    VALUES_LABEL,       /* values of one label of them */
};

struct values {
    struct query *query;
    enum values_kind kind;
    struct sv label;
    struct sv filter;    /* part of each value */
    uint64_t limit;      /* 0: none */
    struct sv fields[2]; /* of the value, of the hits */
    struct table table;
};

struct value_hits {
    struct sv value;
    uint64_t hits;
};

struct list {
    struct value_hits *items;
    uint32_t n, cap;
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

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

static int
value_cmp(const void *left, const void *right)
{
    const struct value_hits *a = left, *b = right;

    return sv_cmp(a->value, b->value);
}

/* --- what the rows say --- */

static int
list_add(struct list *list, struct pool *pool, struct sv value,
    uint64_t hits)
{
    if (list->n == list->cap) {
        uint32_t cap = MAX(2 * list->cap, 64u);
        struct value_hits *items = pool_alloc(pool, cap * sizeof(*items));

        if (items == NULL)
            return -1;
        if (list->n > 0)
            memcpy(items, list->items, list->n * sizeof(*items));
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = (struct value_hits){value, hits};
    return 0;
}

/* Label names, or values of the one label, of a stream. */
static int
add_labels(const struct values *values, struct list *list, struct pool *pool,
    const struct value_hits *stream)
{
    struct sv rest = stream_labels(stream->value), label, value;
    char buf[STREAM_VALUE_MAX];

    while (stream_label_next(&rest, &label, &value, buf)) {
        if (values->kind == VALUES_LABEL_NAMES) {
            value = label;
        } else if (!sv_eq(label, values->label)) {
            continue;
        } else {
            value.ptr = pool_dup(pool, value.ptr, value.len);
            if (value.ptr == NULL)
                return -1;
        }
        if (list_add(list, pool, value, stream->hits) != 0)
            return -1;
    }
    return 0;
}

static bool
has_part(struct sv value, struct sv part)
{
    return part.len == 0 ||
        memmem(value.ptr, value.len, part.ptr, part.len) != NULL;
}

/* Equal values become one; those that the filter does not want go. */
static void
list_unite(struct list *list, struct sv filter)
{
    uint32_t kept = 0;

    if (list->n > 1)
        qsort(list->items, list->n, sizeof(*list->items), value_cmp);
    for (uint32_t i = 0; i < list->n; i++) {
        struct value_hits *item = &list->items[i];

        if (!has_part(item->value, filter))
            continue;
        if (kept > 0 && sv_eq(list->items[kept - 1].value, item->value))
            list->items[kept - 1].hits += item->hits;
        else
            list->items[kept++] = *item;
    }
    list->n = kept;
}

static int
list_make(const struct values *values, struct list *list, struct pool *pool)
{
    const struct table *table = &values->table;

    for (uint32_t i = 0; i < table->n; i++) {
        struct value_hits row = {table->texts[2 * i], 0};

        (void)num_parse_u64(table->texts[2 * i + 1], &row.hits);
        if (values->kind == VALUES_PLAIN
            ? list_add(list, pool, row.value, row.hits) != 0
            : add_labels(values, list, pool, &row) != 0)
            return -1;
    }
    list_unite(list, values->filter);
    if (list->n > 1)
        qsort(list->items, list->n, sizeof(*list->items), hits_cmp);
    if (values->limit > 0 && list->n > values->limit) {
        list->n = (uint32_t)values->limit;
        /* As of "uniq with hits limit N": who is left out is not counted. */
        for (uint32_t i = 0; i < list->n; i++)
            list->items[i].hits = 0;
    }
    return 0;
}

static void
list_print(struct sb *reply, const struct list *list)
{
    struct json_out out;

    json_out_init(&out, reply);
    json_object(&out);
    json_key(&out, "values");
    json_array(&out);
    for (uint32_t i = 0; i < list->n; i++) {
        json_object(&out);
        json_key(&out, "value");
        json_string(&out, list->items[i].value);
        json_key(&out, "hits");
        json_u64(&out, list->items[i].hits);
        json_object_end(&out);
    }
    json_array_end(&out);
    json_object_end(&out);
}

static void
values_run(struct job *job)
{
    struct values *values = job->arg;
    struct list list = {NULL, 0, 0};
    struct err err = ERR_INIT;

    if (logsql_execute(job, values->query,
            sink_table_new(job, &values->table)) != 0)
        return;
    if (list_make(values, &list, job->pool) == 0) {
        list_print(&job->reply, &list);
    } else {
        (void)no_memory(&err);
        logsql_job_error(job, &err);
    }
}

/* --- arguments --- */

/* pipe: "* | ..." that leaves two fields. */
static int
values_prepare(struct job *job, struct sv pipe, struct err *err)
{
    struct values *values = job->arg;

    if (logsql_rows_query(job, &values->query, err) != 0)
        return -1;
    values->table = (struct table){.fields = values->fields, .nfields = 2,
        .max = VALUES_MAX};
    return logsql_add_pipes(values->query, pipe, err);
}

/* Counts the values of one field. */
static int
values_of(struct job *job, struct sv field, struct err *err)
{
    struct values *values = job->arg;
    struct sb pipe;
    char *text;
    int rc;

    if (logsql_limit_arg(job, &values->limit, err) != 0)
        return -1;
    values->fields[0] = flat_name(field, job->pool);
    values->fields[1] = sv_eq(field, SV("hits")) ? SV("hitss") : SV("hits");
    sb_init(&pipe, 64 * KIB);
    sb_add_str(&pipe, "* | uniq by (");
    logsql_quote(&pipe, field);
    sb_add_str(&pipe, ") with hits");
    if (values->limit > 0 && values->filter.len == 0 &&
        values->kind == VALUES_PLAIN)
        sb_addf(&pipe, " limit %llu", (unsigned long long)values->limit);
    text = sb_failed(&pipe) ? NULL : pool_dup(job->pool, pipe.ptr, pipe.len);
    rc = text == NULL
        ? err_set(err, ERR_INVALID, "the field's name is too long")
        : values_prepare(job, sv_make(text, pipe.len), err);
    sb_release(&pipe);
    return rc;
}

/* field: whose values; empty: the names of fields. */
static void
values_start(struct http_req *req, enum values_kind kind, struct sv field)
{
    struct job *job = job_new(req);
    struct err err = ERR_INIT;
    struct values *values;
    int rc;

    if (job == NULL)
        return;
    rc = logsql_arg_new(job, sizeof(*values), &err);
    if (rc == 0) {
        values = job->arg;
        values->kind = kind;
        values->label = kind == VALUES_LABEL ? http_arg(req, "field")
                                             : SV_EMPTY;
        values->filter = http_arg(req, "filter");
        values->fields[0] = SV("name");
        values->fields[1] = SV("hits");
        rc = field.len > 0 ? values_of(job, field, &err)
            : values_prepare(job, SV("* | field_names as name"), &err);
    }
    if (rc != 0)
        logsql_refuse(job, &err);
    else
        job_start(job, values_run);
}

/* False: the request has been answered. */
static bool
has_field_arg(struct http_req *req)
{
    if (http_arg(req, "field").len > 0)
        return true;
    http_reply_error(req, 400, "missing 'field' query arg: whose values");
    return false;
}

/* --- endpoints --- */

void
logsql_field_names(struct http_req *req)
{
    values_start(req, VALUES_PLAIN, SV_EMPTY);
}

void
logsql_field_values(struct http_req *req)
{
    if (has_field_arg(req))
        values_start(req, VALUES_PLAIN, http_arg(req, "field"));
}

void
logsql_streams(struct http_req *req)
{
    values_start(req, VALUES_PLAIN, SV("_stream"));
}

void
logsql_stream_ids(struct http_req *req)
{
    values_start(req, VALUES_PLAIN, SV("_stream_id"));
}

void
logsql_stream_field_names(struct http_req *req)
{
    values_start(req, VALUES_LABEL_NAMES, SV("_stream"));
}

void
logsql_stream_field_values(struct http_req *req)
{
    if (has_field_arg(req))
        values_start(req, VALUES_LABEL, SV("_stream"));
}
