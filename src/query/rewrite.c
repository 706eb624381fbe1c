/* SPDX-License-Identifier: BSD-2-Clause */

/* Making filters, and changes of a query that keep its meaning (3.10). */

#include "core/base.h"

#include "query/parser.h"
#include "query/pipe_type.h"

struct filter *
filter_new(struct pool *pool, enum filter_kind kind, struct sv field,
    uint32_t pos)
{
    struct filter *filter = pool_zalloc(pool, sizeof(*filter));

    if (filter == NULL)
        return NULL;
    filter->kind = kind;
    filter->field = field;
    filter->pos = pos;
    filter->text = filter->text_end = SV_EMPTY;
    filter->subquery_field = filter->written = SV_EMPTY;
    return filter;
}

/* What decides alone (NONE in AND), and what changes nothing (ALL in AND). */
static enum filter_kind
deciding(enum filter_kind list)
{
    return list == FILTER_AND ? FILTER_NONE : FILTER_ALL;
}

static enum filter_kind
neutral(enum filter_kind list)
{
    return list == FILTER_AND ? FILTER_ALL : FILTER_NONE;
}

static uint32_t
flattened(enum filter_kind kind, struct filter **items, uint32_t n)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += items[i]->kind == kind ? items[i]->nitems : 1;
    return sum;
}

struct filter *
filter_new_list(struct pool *pool, enum filter_kind kind,
    struct filter **items, uint32_t n)
{
    uint32_t most = flattened(kind, items, n);
    struct filter *list;

    if (n == 1)
        return items[0];
    list = filter_new(pool, kind, SV_EMPTY, n == 0 ? 0 : items[0]->pos);
    if (list == NULL)
        return NULL;
    list->items = pool_alloc(pool, MAX(most, 1u) * sizeof(*list->items));
    if (list->items == NULL)
        return NULL;
    for (uint32_t i = 0; i < n; i++) {
        struct filter *item = items[i];

        if (item->kind == deciding(kind))
            return item;
        if (item->kind == kind) {
            memcpy(list->items + list->nitems, item->items,
                item->nitems * sizeof(*item->items));
            list->nitems += item->nitems;
        } else if (item->kind != neutral(kind)) {
            list->items[list->nitems++] = item;
        }
    }
    if (list->nitems == 1)
        return list->items[0];
    if (list->nitems == 0)
        list->kind = neutral(kind);
    return list;
}

struct filter *
filter_new_not(struct pool *pool, struct filter *inner, uint32_t pos)
{
    struct filter *filter;

    if (inner->kind == FILTER_NOT)
        return inner->items[0];
    filter = filter_new(pool, FILTER_NOT, SV_EMPTY, pos);
    if (filter == NULL)
        return NULL;
    if (inner->kind == FILTER_ALL || inner->kind == FILTER_NONE) {
        filter->kind = inner->kind == FILTER_ALL ? FILTER_NONE : FILTER_ALL;
        return filter;
    }
    filter->items = pool_alloc(pool, sizeof(*filter->items));
    if (filter->items == NULL)
        return NULL;
    filter->items[0] = inner;
    filter->nitems = 1;
    return filter;
}

/* --- pipes --- */

/* "sort | offset M" is "sort offset M", as long as no limit stood before. */
static bool
sort_takes(struct sort_spec *sort, const struct pipe *next)
{
    uint64_t offset;

    if (sort->npartition > 0)
        return false;
    if (next->kind == PIPE_LIMIT && next->n > 0) {
        sort->limit = sort->limit == 0 ? next->n : MIN(sort->limit, next->n);
        return true;
    }
    if (next->kind == PIPE_OFFSET && sort->limit == 0 &&
        !__builtin_add_overflow(sort->offset, next->n, &offset)) {
        sort->offset = offset;
        return true;
    }
    return false;
}

/* Hits of a limited uniq are no hits, so those of "| limit" stay apart. */
static bool
uniq_takes(struct pipe *uniq, const struct pipe *next)
{
    if (next->kind != PIPE_LIMIT || next->n == 0 || uniq->hits.len > 0)
        return false;
    uniq->n = uniq->n == 0 ? next->n : MIN(uniq->n, next->n);
    return true;
}

int
query_rewrite(struct query *query)
{
    while (query->pipes != NULL && query->pipes->kind == PIPE_FILTER) {
        struct filter *both[] = {query->filter, query->pipes->filter};

        query->filter = filter_new_list(query->pool, FILTER_AND, both, 2);
        if (query->filter == NULL)
            return -1;
        query->pipes = query->pipes->next;
        query->npipes--;
    }
    for (struct pipe *pipe = query->pipes; pipe != NULL; pipe = pipe->next) {
        while (pipe->next != NULL && ((pipe->kind == PIPE_SORT &&
            sort_takes(pipe->sort, pipe->next)) ||
            (pipe->kind == PIPE_UNIQ && uniq_takes(pipe, pipe->next)))) {
            pipe->next = pipe->next->next;
            query->npipes--;
        }
    }
    return 0;
}

struct pipe *
query_add_pipe(struct query *query, enum pipe_kind kind)
{
    struct pipe *pipe = pool_zalloc(query->pool, sizeof(*pipe));
    struct pipe **end = &query->pipes;

    if (pipe == NULL)
        return NULL;
    pipe->kind = kind;
    pipe->type = pipe_type_of_kind(kind);
    pipe->pos = (uint32_t)query->text.len;
    pipe->result = pipe->hits = pipe->substring = SV_EMPTY;
    while (*end != NULL)
        end = &(*end)->next;
    *end = pipe;
    query->npipes++;
    return pipe;
}

void
query_drop_pipes(struct query *query)
{
    query->pipes = NULL;
    query->npipes = 0;
}

/* --- filters that are added --- */

struct filter *
filter_new_time(struct pool *pool, int64_t min, int64_t max)
{
    struct filter *filter = filter_new(pool, FILTER_TIME, SV("_time"), 0);

    if (filter != NULL) {
        filter->time_min = min;
        filter->time_max = max;
    }
    return filter;
}

static int add_to_query(struct query *query, struct filter *added,
    bool is_time);

/* The subqueries below a filter. */
static int
add_below(struct filter *filter, struct filter *added, bool is_time)
{
    if (filter == NULL)
        return 0;
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (add_below(filter->items[i], added, is_time) == -1)
            return -1;
    }
    return filter->subquery == NULL ? 0 :
        add_to_query(filter->subquery, added, is_time);
}

static int
add_to_pipe(struct pipe *pipe, struct filter *added, bool is_time)
{
    if (add_below(pipe->filter, added, is_time) == -1 ||
        (pipe->subquery != NULL &&
        add_to_query(pipe->subquery, added, is_time) == -1))
        return -1;
    for (uint32_t i = 0; pipe->stats != NULL && i < pipe->stats->nfns; i++) {
        if (add_below(pipe->stats->fns[i].filter, added, is_time) == -1)
            return -1;
    }
    return 0;
}

static int
add_to_query(struct query *query, struct filter *added, bool is_time)
{
    /* Filters that were added before are in several queries. */
    if (query->added == added)
        return 0;
    query->added = added;
    if (add_below(query->filter, added, is_time) == -1)
        return -1;
    for (struct pipe *pipe = query->pipes; pipe != NULL; pipe = pipe->next) {
        if (add_to_pipe(pipe, added, is_time) == -1)
            return -1;
    }
    if (!is_time || !query->ignore_global_time_filter) {
        struct filter *both[] = {added, query->filter};

        query->filter = filter_new_list(query->pool, FILTER_AND, both, 2);
        if (query->filter == NULL)
            return -1;
    }
    query_set_times(query);
    return 0;
}

int
query_add_filter(struct query *query, struct filter *filter, bool is_time,
    struct err *err)
{
    if (add_to_query(query, filter, is_time) == -1)
        return err_set(err, ERR_LIMIT, "the query needs too much memory");
    return 0;
}

static void
narrow(struct query *query, const struct filter *filter)
{
    if (filter->kind != FILTER_TIME)
        return;
    query->min_time = MAX(query->min_time, filter->time_min);
    query->max_time = MIN(query->max_time, filter->time_max);
}

void
query_set_times(struct query *query)
{
    const struct filter *filter = query->filter;

    query->min_time = INT64_MIN;
    query->max_time = INT64_MAX;
    query->rate_step = 0;
    narrow(query, filter);
    for (uint32_t i = 0; filter->kind == FILTER_AND && i < filter->nitems; i++)
        narrow(query, filter->items[i]);
    if (query->min_time != INT64_MIN && query->max_time != INT64_MAX &&
        query->min_time <= query->max_time)
        query->rate_step = ((double)((uint64_t)query->max_time -
            (uint64_t)query->min_time) + 1) / 1e9;
}
