/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/jaeger_read.h"

#include "core/json_in.h"
#include "core/num.h"

struct reader {
    struct json_in in;
    struct pool *pool;
    struct view_span *spans;
    uint32_t n, cap;
    struct { struct sv id, service; } *processes;
    uint32_t nprocesses, cap_processes;
};

/* Twice the room in the region; -1 without memory. */
static int
grow(struct pool *pool, void **array, uint32_t *cap, size_t size)
{
    uint32_t more = *cap == 0 ? 64 : 2 * *cap;
    void *copy = pool_alloc(pool, more * size);

    if (copy == NULL)
        return -1;
    if (*cap != 0)
        memcpy(copy, *array, *cap * size);
    *array = copy;
    *cap = more;
    return 0;
}

/* Nanoseconds in 64 bits reach less far: sums of two cannot overflow. */
#define US_MAX (INT64_C(1) << 54)

static bool
read_us(struct json_in *in, int64_t *out)
{
    struct sv raw;

    if (!json_read_number(in, &raw))
        return false;
    if (!num_parse_i64(raw, out) || *out > US_MAX || *out < -US_MAX)
        return json_fail(in, "microseconds expected");
    return true;
}

/* {"key": K, "value": V}: only error=true matters here. */
static void
read_tags(struct json_in *in, bool *is_error)
{
    struct sv key;

    if (!json_enter_array(in))
        return;
    while (json_next_item(in)) {
        bool is_error_tag = false, value = false;

        if (!json_enter_object(in))
            return;
        while (json_next_key(in, &key)) {
            struct sv text;

            if (sv_eq(key, SV("key")) && json_read_string(in, &text))
                is_error_tag = sv_eq(text, SV("error"));
            else if (sv_eq(key, SV("value")) &&
                (json_peek(in) == JSON_TRUE || json_peek(in) == JSON_FALSE))
                (void)json_read_bool(in, &value);
            else if (!json_in_failed(in) && !sv_eq(key, SV("key")))
                (void)json_skip(in);
        }
        *is_error |= is_error_tag && value;
    }
}

/* The first CHILD_OF or FOLLOWS_FROM of the same trace is the parent. */
static void
read_references(struct json_in *in, struct sv trace_id, struct sv *parent)
{
    struct sv key;

    if (!json_enter_array(in))
        return;
    while (json_next_item(in)) {
        struct sv ref_trace = SV_EMPTY, ref_span = SV_EMPTY;

        if (!json_enter_object(in))
            return;
        while (json_next_key(in, &key)) {
            if (sv_eq(key, SV("traceID")))
                (void)json_read_string(in, &ref_trace);
            else if (sv_eq(key, SV("spanID")))
                (void)json_read_string(in, &ref_span);
            else
                (void)json_skip(in);
        }
        if (parent->len == 0 && sv_eq(ref_trace, trace_id))
            *parent = ref_span;
    }
}

static void
read_span(struct reader *reader, struct view_span *span)
{
    struct json_in *in = &reader->in;
    struct sv key, trace_id = SV_EMPTY;

    memset(span, 0, sizeof(*span));
    if (!json_enter_object(in))
        return;
    while (json_next_key(in, &key)) {
        if (sv_eq(key, SV("traceID")))
            (void)json_read_string(in, &trace_id);
        else if (sv_eq(key, SV("spanID")))
            (void)json_read_string(in, &span->id);
        else if (sv_eq(key, SV("operationName")))
            (void)json_read_string(in, &span->name);
        else if (sv_eq(key, SV("processID")))
            (void)json_read_string(in, &span->process);
        else if (sv_eq(key, SV("startTime")))
            (void)read_us(in, &span->start_us);
        else if (sv_eq(key, SV("duration")))
            (void)read_us(in, &span->duration_us);
        else if (sv_eq(key, SV("references")))
            read_references(in, trace_id, &span->parent);
        else if (sv_eq(key, SV("tags")))
            read_tags(in, &span->is_error);
        else
            (void)json_skip(in);
    }
}

static int
read_spans(struct reader *reader)
{
    struct json_in *in = &reader->in;

    reader->n = 0;
    reader->cap = 0;
    if (!json_enter_array(in))
        return -1;
    while (json_next_item(in)) {
        if (reader->n == reader->cap && grow(reader->pool,
            (void **)&reader->spans, &reader->cap,
            sizeof(*reader->spans)) != 0)
            return -1;
        read_span(reader, &reader->spans[reader->n++]);
    }
    return json_in_failed(in) ? -1 : 0;
}

static int
read_processes(struct reader *reader)
{
    struct json_in *in = &reader->in;
    struct sv id, key;

    reader->nprocesses = 0;
    if (!json_enter_object(in))
        return -1;
    while (json_next_key(in, &id)) {
        struct sv service = SV_EMPTY;

        if (!json_enter_object(in))
            return -1;
        while (json_next_key(in, &key)) {
            if (sv_eq(key, SV("serviceName")))
                (void)json_read_string(in, &service);
            else
                (void)json_skip(in);
        }
        if (reader->nprocesses == reader->cap_processes &&
            grow(reader->pool, (void **)&reader->processes,
                &reader->cap_processes, sizeof(*reader->processes)) != 0)
            return -1;
        reader->processes[reader->nprocesses].id = id;
        reader->processes[reader->nprocesses++].service = service;
    }
    return json_in_failed(in) ? -1 : 0;
}

static void
name_services(struct reader *reader)
{
    for (uint32_t i = 0; i < reader->n; i++) {
        for (uint32_t k = 0; k < reader->nprocesses; k++) {
            if (sv_eq(reader->spans[i].process, reader->processes[k].id))
                reader->spans[i].service = reader->processes[k].service;
        }
    }
}

static struct view_trace *
read_trace(struct reader *reader)
{
    struct view_trace *trace = pool_zalloc(reader->pool, sizeof(*trace));
    struct json_in *in = &reader->in;
    struct sv key;

    if (trace == NULL || !json_enter_object(in))
        return NULL;
    while (json_next_key(in, &key)) {
        if (sv_eq(key, SV("traceID"))) {
            (void)json_read_string(in, &trace->id);
        } else if (sv_eq(key, SV("spans"))) {
            if (read_spans(reader) != 0)
                return NULL;
        } else if (sv_eq(key, SV("processes"))) {
            if (read_processes(reader) != 0)
                return NULL;
        } else {
            (void)json_skip(in);
        }
    }
    name_services(reader);
    trace->spans = reader->spans;
    trace->nspans = reader->n;
    reader->spans = NULL;
    return trace;
}

static int
read_failed(const struct reader *reader, struct err *err)
{
    if (json_in_failed(&reader->in))
        return err_set(err, ERR_INVALID, "the answer is not what a Jaeger "
            "API sends: %s", reader->in.err.text);
    return err_set(err, ERR_LIMIT, "the answer needs too much memory");
}

int
jaeger_read_traces(struct sv json, struct pool *pool,
    struct view_trace **first, struct err *err)
{
    struct reader reader = {.pool = pool};
    struct view_trace **tail = first;
    struct sv key;

    *first = NULL;
    json_in_init(&reader.in, json, pool);
    if (!json_enter_object(&reader.in))
        return read_failed(&reader, err);
    while (json_next_key(&reader.in, &key)) {
        if (!sv_eq(key, SV("data")) || json_peek(&reader.in) != JSON_ARRAY) {
            (void)json_skip(&reader.in);
            continue;
        }
        (void)json_enter_array(&reader.in);
        while (json_next_item(&reader.in)) {
            struct view_trace *trace = read_trace(&reader);

            if (trace == NULL)
                return read_failed(&reader, err);
            *tail = trace;
            tail = &trace->next;
        }
    }
    return json_in_failed(&reader.in) ? read_failed(&reader, err) : 0;
}

int
jaeger_read_names(struct sv json, struct pool *pool, struct sv **names,
    uint32_t *n, struct err *err)
{
    struct reader reader = {.pool = pool};
    uint32_t cap = 0;
    struct sv key;

    *names = NULL;
    *n = 0;
    json_in_init(&reader.in, json, pool);
    if (!json_enter_object(&reader.in))
        return read_failed(&reader, err);
    while (json_next_key(&reader.in, &key)) {
        if (!sv_eq(key, SV("data")) || json_peek(&reader.in) != JSON_ARRAY) {
            (void)json_skip(&reader.in);
            continue;
        }
        (void)json_enter_array(&reader.in);
        while (json_next_item(&reader.in)) {
            if (*n == cap && grow(pool, (void **)names, &cap,
                sizeof(**names)) != 0)
                return read_failed(&reader, err);
            if (!json_read_string(&reader.in, &(*names)[*n]))
                return read_failed(&reader, err);
            ++*n;
        }
    }
    return json_in_failed(&reader.in) ? read_failed(&reader, err) : 0;
}

/* The first "msg" of a list of errors. */
static struct sv
read_errors(struct json_in *in)
{
    struct sv key, text = SV_EMPTY;

    if (json_peek(in) != JSON_ARRAY) {
        (void)json_skip(in);
        return text;
    }
    (void)json_enter_array(in);
    while (json_next_item(in)) {
        if (!json_enter_object(in))
            break;
        while (json_next_key(in, &key)) {
            if (text.len == 0 && sv_eq(key, SV("msg")))
                (void)json_read_string(in, &text);
            else
                (void)json_skip(in);
        }
    }
    return text;
}

struct sv
jaeger_read_error(struct sv body, struct pool *pool)
{
    struct sv key, text = SV_EMPTY;
    struct json_in in;

    json_in_init(&in, body, pool);
    if (!json_enter_object(&in))
        return body;
    while (json_next_key(&in, &key)) {
        if (sv_eq(key, SV("errors")))
            text = read_errors(&in);
        else if (sv_eq(key, SV("message")))
            (void)json_read_string(&in, &text);
        else
            (void)json_skip(&in);
    }
    return json_in_failed(&in) || text.len == 0 ? body : text;
}
