/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "cluster/plan_query.h"

#include "cluster/filter_wire.h"
#include "core/sb.h"
#include "plan.pb-c.h"
#include "query/parse.h"
#include "query/parser.h"
#include "query/pipe_type.h"

/* Escapes make four bytes of one. */
#define PIPES_BYTES_MAX (4 * MIB)

#define PARTIAL(name) [PARTIAL_##name] = SPOOR__PARTIAL__PARTIAL_##name

static const Spoor__Partial partials[] = {
    PARTIAL(NOT_GIVEN), PARTIAL(ALLOWED), PARTIAL(REFUSED),
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

static ProtobufCBinaryData
bytes_of(struct sv text)
{
    return (ProtobufCBinaryData){text.len, (uint8_t *)(uintptr_t)text.ptr};
}

static struct sv
sv_of(ProtobufCBinaryData bytes)
{
    return bytes.len == 0 ? SV_EMPTY : sv_make(bytes.data, bytes.len);
}

/* --- patterns --- */

int
plan_patterns_put(struct pattern_list *out,
    const struct field_pattern *patterns, uint32_t n, struct pool *pool,
    struct err *err)
{
    Spoor__FieldPattern *all;

    *out = (struct pattern_list){NULL, 0};
    if (n == 0)
        return 0;
    all = pool_alloc(pool, n * sizeof(*all));
    out->v = pool_alloc(pool, n * sizeof(*out->v));
    if (all == NULL || out->v == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        spoor__field_pattern__init(&all[i]);
        all[i].name = bytes_of(patterns[i].name);
        all[i].is_prefix = patterns[i].is_prefix;
        out->v[i] = &all[i];
    }
    out->n = n;
    return 0;
}

struct field_pattern *
plan_patterns_take(const struct pattern_list *list, struct pool *pool,
    struct err *err)
{
    struct field_pattern *patterns;

    patterns = list->n > UINT32_MAX ? NULL :
        pool_alloc(pool, list->n * sizeof(*patterns) + 1);
    if (patterns == NULL) {
        no_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < list->n; i++) {
        patterns[i].name = sv_of(list->v[i]->name);
        patterns[i].is_prefix = list->v[i]->is_prefix != 0;
    }
    return patterns;
}

/* --- pipes --- */

/* What is done with each filter of a pipe, in order. */
typedef int (*place_fn)(void *arg, struct filter **place, struct pool *pool,
    struct err *err);

static int
pipe_filters(const struct pipe *pipe, place_fn fn, void *arg,
    struct pool *pool, struct err *err)
{
    if (pipe->filter != NULL &&
        fn(arg, (struct filter **)(uintptr_t)&pipe->filter, pool, err) != 0)
        return -1;
    for (uint32_t i = 0; pipe->stats != NULL && i < pipe->stats->nfns; i++) {
        struct filter **place = &pipe->stats->fns[i].filter;

        if (*place != NULL && fn(arg, place, pool, err) != 0)
            return -1;
    }
    return 0;
}

static int
put_place(void *arg, struct filter **place, struct pool *pool,
    struct err *err)
{
    return filter_wire_put(arg, *place, pool, err);
}

static int
take_place(void *arg, struct filter **place, struct pool *pool,
    struct err *err)
{
    return filter_wire_take(place, arg, pool, err);
}

static int
refuse_subquery(const struct pipe *pipe, struct err *err)
{
    return pipe->subquery == NULL ? 0 : err_set(err, ERR_UNSUPPORTED,
        "position %u: pipe %s asks a query, which cannot be sent to other "
        "servers", pipe->pos + 1, pipe->type->name);
}

/*
 * With "*" for each filter: they travel by themselves, and what is known of
 * the values of a query inside one may be far more than a query's text.
 */
static int
pipe_text(struct sb *out, const struct pipe *pipe, struct pool *pool,
    struct err *err)
{
    static const struct filter all = {.kind = FILTER_ALL};
    struct filter *any = (struct filter *)(uintptr_t)&all;
    struct pipe copy = *pipe;
    struct stats_spec stats;
    struct stats_fn *fns;

    if (pipe->filter != NULL)
        copy.filter = any;
    if (pipe->stats != NULL) {
        fns = pool_alloc(pool, pipe->stats->nfns * sizeof(*fns) + 1);
        if (fns == NULL)
            return no_memory(err);
        for (uint32_t i = 0; i < pipe->stats->nfns; i++) {
            fns[i] = pipe->stats->fns[i];
            fns[i].filter = fns[i].filter == NULL ? NULL : any;
        }
        stats = *pipe->stats;
        stats.fns = fns;
        copy.stats = &stats;
    }
    print_pipe(out, &copy);
    return 0;
}

static int
pipes_put(Spoor__Query *out, const struct query *query, struct pool *pool,
    struct err *err)
{
    struct filter_list filters = {NULL, 0};
    bool is_first = true;
    struct sb text;
    char *copy;

    sb_init(&text, PIPES_BYTES_MAX);
    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        if (pipe != query->pipes)
            sb_add_str(&text, " | ");
        is_first = is_first && pipe->kind == PIPE_FILTER;
        out->filter_pipes += is_first;
        if (refuse_subquery(pipe, err) != 0 ||
            pipe_text(&text, pipe, pool, err) != 0 ||
            pipe_filters(pipe, put_place, &filters, pool, err) != 0) {
            sb_release(&text);
            return -1;
        }
    }
    copy = sb_failed(&text) ? NULL : pool_dup(pool, text.ptr, text.len);
    out->pipes = bytes_of(sv_make(copy, text.len));
    sb_release(&text);
    if (copy == NULL)
        return err_set(err, ERR_LIMIT, "the pipes of the query are too large "
            "to be sent to other servers");
    out->pipe_filters = filters.v;
    out->n_pipe_filters = filters.n;
    return 0;
}

/* "* | PIPES", because a pipe may look at those before it. */
static int
pipes_parse(struct query **out, struct sv pipes, int64_t now_ns,
    struct pool *pool, struct err *err)
{
    struct sb text;
    int rc;

    sb_init(&text, PIPES_BYTES_MAX);
    sb_add_str(&text, "*");
    if (pipes.len > 0)
        sb_add_str(&text, " | ");
    sb_add_sv(&text, pipes);
    if (sb_failed(&text))
        rc = err_set(err, ERR_LIMIT, "the pipes of the plan are too long");
    else
        rc = query_parse(out, sb_sv(&text), now_ns, pool, err);
    sb_release(&text);
    return rc == 0 ? 0 : err_wrap(err, "pipes of the plan");
}

/* The parser made the first filter pipes a part of the filter "*". */
static int
filter_pipes_take(struct query *query, uint32_t n,
    struct filter_list *filters, struct pool *pool, struct err *err)
{
    struct pipe **end = &query->pipes, *others = query->pipes;

    if (n > QUERY_PIPES_MAX || (n == 0 && query->filter->kind != FILTER_ALL))
        return err_set(err, ERR_INVALID, "the first pipes of the plan are not "
            "those that it says");
    for (uint32_t i = 0; i < n; i++) {
        struct pipe *pipe = pool_zalloc(pool, sizeof(*pipe));

        if (pipe == NULL)
            return no_memory(err);
        pipe->kind = PIPE_FILTER;
        pipe->type = pipe_type_of_kind(PIPE_FILTER);
        pipe->result = pipe->hits = pipe->substring = SV_EMPTY;
        if (filter_wire_take(&pipe->filter, filters, pool, err) != 0)
            return -1;
        *end = pipe;
        end = &pipe->next;
        query->npipes++;
    }
    *end = others;
    return 0;
}

static int
pipes_take(struct query *query, const Spoor__Query *message,
    struct pool *pool, struct err *err)
{
    struct filter_list filters = {message->pipe_filters,
        message->n_pipe_filters};
    struct pipe *parsed = query->pipes;

    if (filter_pipes_take(query, message->filter_pipes, &filters, pool,
            err) != 0)
        return -1;
    for (struct pipe *pipe = parsed; pipe != NULL; pipe = pipe->next) {
        if (refuse_subquery(pipe, err) != 0 ||
            pipe_filters(pipe, take_place, &filters, pool, err) != 0)
            return -1;
    }
    return filters.n == 0 ? 0 : err_set(err, ERR_INVALID, "the plan has more "
        "filters than its pipes");
}

/* --- a query --- */

int
plan_query_put(struct Spoor__Query *out, const struct query *query,
    struct pool *pool, struct err *err)
{
    struct filter_list filter = {NULL, 0};
    struct pattern_list hidden;

    spoor__query__init(out);
    if (filter_wire_put(&filter, query->filter, pool, err) != 0 ||
        pipes_put(out, query, pool, err) != 0 ||
        plan_patterns_put(&hidden, query->hidden, query->nhidden, pool,
            err) != 0)
        return -1;
    out->filter = filter.v;
    out->n_filter = filter.n;
    out->text = bytes_of(query->text);
    out->concurrency = query->concurrency;
    out->parallel_readers = query->parallel_readers;
    out->ignore_global_time_filter = query->ignore_global_time_filter;
    out->allow_partial = partials[query->allow_partial];
    out->time_offset_ns = query->time_offset_ns;
    out->time_offset = bytes_of(query->time_offset);
    out->hidden = hidden.v;
    out->n_hidden = hidden.n;
    out->is_hiding = query->is_hiding;
    out->min_time = query->min_time;
    out->max_time = query->max_time;
    out->rate_step = query->rate_step;
    return 0;
}

static int
options_take(struct query *query, const Spoor__Query *message,
    struct pool *pool, struct err *err)
{
    struct pattern_list hidden = {message->hidden, message->n_hidden};
    size_t partial = 0;

    while (partial < ARRAY_LEN(partials) &&
        partials[partial] != message->allow_partial)
        partial++;
    if (partial == ARRAY_LEN(partials))
        return err_set(err, ERR_UNSUPPORTED, "the plan allows parts of "
            "answers in a way (%d) that this version does not know",
            (int)message->allow_partial);
    if (hidden.n > QUERY_HIDDEN_MAX)
        return err_set(err, ERR_LIMIT, "the plan hides more than %u fields",
            QUERY_HIDDEN_MAX);
    query->text = sv_of(message->text);
    query->concurrency = message->concurrency;
    query->parallel_readers = message->parallel_readers;
    query->ignore_global_time_filter = message->ignore_global_time_filter;
    query->allow_partial = (enum partial_option)partial;
    query->time_offset_ns = message->time_offset_ns;
    query->time_offset = sv_of(message->time_offset);
    query->hidden = plan_patterns_take(&hidden, pool, err);
    query->nhidden = (uint32_t)hidden.n;
    query->is_hiding = message->is_hiding != 0;
    query->min_time = message->min_time;
    query->max_time = message->max_time;
    query->rate_step = message->rate_step;
    return query->hidden == NULL ? -1 : 0;
}

int
plan_query_take(struct query **out, const struct Spoor__Query *message,
    int64_t now_ns, struct pool *pool, struct err *err)
{
    struct filter_list filter = {message->filter, message->n_filter};
    struct query *query;

    if (pipes_parse(&query, sv_of(message->pipes), now_ns, pool, err) != 0 ||
        pipes_take(query, message, pool, err) != 0 ||
        filter_wire_take(&query->filter, &filter, pool, err) != 0 ||
        options_take(query, message, pool, err) != 0)
        return -1;
    if (filter.n > 0)
        return err_set(err, ERR_INVALID, "the plan has more than one filter "
            "in front of its pipes");
    *out = query;
    return 0;
}
