/* SPDX-License-Identifier: BSD-2-Clause */

/* Filters whose values are the answer of a query, and its sinks. */

#include "core/base.h"
#include "query/inside.h"

#include "core/mem.h"
#include "core/sb.h"
#include "query/filter.h"
#include "query/parse.h"
#include "query/pipe_type.h"
#include "query/rows.h"
#include "query/stage.h"

/* The text of a query, which tells whether two are the same. */
#define INSIDE_TEXT_MAX (4 * MIB)

int
inside_run(struct query_run *outer, struct query *query, struct stage *sink,
    struct err *err)
{
    if (outer->run_inside != NULL && outer->depth < INSIDE_DEPTH_MAX)
        return outer->run_inside(outer, query, sink, err);
    stages_free(sink);
    if (outer->run_inside != NULL)
        return err_set(err, ERR_LIMIT, "more than %u queries in each other",
            INSIDE_DEPTH_MAX);
    return err_set(err, ERR_UNSUPPORTED,
        "a query inside a query cannot be run here");
}

/* --- a sink that gives rows to another query's stage --- */

struct sink_target {
    struct stage stage;
    struct stage *target;
    _Atomic bool *is_done;
};

static int
target_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_target *mine = (struct sink_target *)stage;
    int rc = stage_write(mine->target, lane, rows, err);

    if (rc > 0)
        atomic_store(mine->is_done, true);
    return rc;
}

static void
target_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops target_ops = {
    target_write, stage_flush_nothing, target_free
};

struct stage *
inside_sink_new(struct stage *target, _Atomic bool *is_done)
{
    struct sink_target *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &target_ops;
    mine->target = target;
    mine->is_done = is_done;
    return &mine->stage;
}

/* --- a sink of the values of one field --- */

/* The values of the field `name` that a query gives. */
struct inside_list {
    struct sv text; /* of the query */
    struct hold_array values; /* struct sv */
    uint32_t n;
};

struct sink_values {
    struct stage stage;
    struct hold *hold;
    struct inside_list *list;
    struct sv field;
};

/* Behind uniq: in one lane. */
static int
values_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_values *mine = (struct sink_values *)stage;
    struct inside_list *list = mine->list;
    const struct column *column;
    char buf[COLUMN_TEXT_MAX];

    if (rows_column(rows, mine->field, &column, err) != 0)
        return -1;
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        struct sv *values;

        if (hold_grow_raw(mine->hold, &list->values, list->n + 1u,
                sizeof(*values), err) != 0)
            return -1;
        values = list->values.items;
        if (hold_text(mine->hold, column_text(column, row, buf),
                &values[list->n], err) != 0)
            return -1;
        list->n++;
    }
    return 0;
}

static const struct stage_ops values_ops = {
    values_write, stage_flush_nothing, target_free
};

static struct stage *
sink_values_new(struct hold *hold, struct inside_list *list, struct sv field)
{
    struct sink_values *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &values_ops;
    mine->hold = hold;
    mine->list = list;
    mine->field = field;
    return &mine->stage;
}

/* --- resolving --- */

void
inside_init(struct inside *inside, struct query_budget *budget)
{
    memset(inside, 0, sizeof(*inside));
    hold_init(&inside->hold, budget);
}

void
inside_free(struct inside *inside)
{
    struct filter **filters = inside->filters.items;
    struct inside_list *lists = inside->lists.items;

    for (uint32_t i = 0; i < inside->nfilters; i++) {
        filters[i]->values = NULL;
        filters[i]->nvalues = 0;
        filters[i]->is_resolved = false;
    }
    for (uint32_t i = 0; i < inside->nlists; i++)
        hold_drop(&inside->hold, &lists[i].values, sizeof(struct sv));
    hold_drop(&inside->hold, &inside->lists, sizeof(*lists));
    hold_drop(&inside->hold, &inside->filters, sizeof(struct filter *));
    hold_free(&inside->hold);
}

/*
 * The query with its last pipe, "fields x" or "uniq by (x)", as one that
 * gives every value once, and one more than the limit at most.  In the hold.
 */
static int
distinct(const struct filter *filter, uint32_t max, struct hold *hold,
    struct query *out, struct err *err)
{
    const struct query *query = filter->subquery;
    uint32_t n = 0;
    struct pipe *pipes = hold_alloc(hold, (query->npipes + 1u) *
        sizeof(*pipes), err);
    struct field_pattern *name = hold_alloc(hold, sizeof(*name), err);

    if (pipes == NULL || name == NULL)
        return -1;
    *out = *query;
    out->pipes = pipes;
    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        pipes[n] = *pipe;
        pipes[n].next = &pipes[n + 1];
        n++;
    }
    if (n > 0 && pipes[n - 1].kind == PIPE_FIELDS)
        n--;
    *name = (struct field_pattern){filter->subquery_field, false};
    pipes[n] = (struct pipe){.kind = PIPE_UNIQ,
        .type = pipe_type_of_kind(PIPE_UNIQ), .names = name, .nnames = 1,
        .n = max + 1u, .result = SV_EMPTY, .hits = SV_EMPTY};
    out->npipes = n + 1;
    return 0;
}

static const char *
name_of(const struct filter *filter)
{
    return filter->kind == FILTER_CONTAINS_ALL ? "contains_all" :
        filter->kind == FILTER_CONTAINS_ANY ? "contains_any" : "in";
}

static struct inside_list *
find_list(const struct inside *inside, struct sv text)
{
    struct inside_list *lists = inside->lists.items;

    for (uint32_t i = 0; i < inside->nlists; i++) {
        if (sv_eq(lists[i].text, text))
            return &lists[i];
    }
    return NULL;
}

/* Asks the query; *out is good until the next list. */
static int
ask(struct query_run *run, const struct filter *filter, struct sv text,
    struct inside_list **out, struct err *err)
{
    struct inside *inside = run->inside;
    struct inside_list list = {0};
    struct query query;
    int rc = 0;

    if (inside->nlists == INSIDE_QUERIES_MAX)
        return err_set(err, ERR_LIMIT, "more than %u queries inside the "
            "query", INSIDE_QUERIES_MAX);
    if (distinct(filter, INSIDE_VALUES_MAX, &inside->hold, &query,
            err) != 0 ||
        hold_text(&inside->hold, text, &list.text, err) != 0)
        return -1;
    rc = inside_run(run, &query, sink_values_new(&inside->hold, &list,
        filter->subquery_field), err);
    /* Queries inside that one may have added lists. */
    if (rc == 0)
        rc = hold_grow(&inside->hold, &inside->lists, inside->nlists + 1u,
            sizeof(list), err);
    if (rc != 0) {
        hold_drop(&inside->hold, &list.values, sizeof(struct sv));
        return -1;
    }
    *out = (struct inside_list *)inside->lists.items + inside->nlists++;
    **out = list;
    return 0;
}

static int
set_values(struct inside *inside, struct filter *filter,
    const struct inside_list *list, struct err *err)
{
    uint32_t max = filter->kind == FILTER_CONTAINS_ALL ||
        filter->kind == FILTER_CONTAINS_ANY ? INSIDE_PHRASES_MAX :
        INSIDE_VALUES_MAX;
    struct filter **filters;

    if (list->n > max)
        return err_set(err, ERR_LIMIT, "position %u: the query in %s() "
            "gives more than %u values", filter->pos + 1, name_of(filter),
            max);
    if (hold_grow(&inside->hold, &inside->filters, inside->nfilters + 1u,
            sizeof(*filters), err) != 0)
        return -1;
    filters = inside->filters.items;
    filters[inside->nfilters++] = filter;
    filter->values = list->values.items;
    filter->nvalues = list->n;
    filter->is_resolved = true;
    return 0;
}

static int
resolve_one(struct query_run *run, struct filter *filter, struct err *err)
{
    struct inside_list *list;
    struct sb text;
    int rc = 0;

    sb_init(&text, INSIDE_TEXT_MAX);
    query_print(&text, filter->subquery);
    if (sb_failed(&text))
        rc = err_set(err, ERR_LIMIT, "query needs too much memory");
    list = rc == 0 ? find_list(run->inside, sb_sv(&text)) : NULL;
    if (rc == 0 && list == NULL)
        rc = ask(run, filter, sb_sv(&text), &list, err);
    sb_release(&text);
    return rc == 0 ? set_values(run->inside, filter, list, err) : -1;
}

static int
resolve(struct filter *filter, void *arg, struct err *err)
{
    struct query_run *run = arg;

    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (resolve(filter->items[i], arg, err) != 0)
            return -1;
    }
    if (filter->subquery == NULL || filter->is_resolved)
        return 0;
    if (run->inside == NULL)
        return err_set(err, ERR_UNSUPPORTED, "position %u: a query inside a "
            "filter cannot be run here", filter->pos + 1);
    return resolve_one(run, filter, err);
}

int
inside_resolve(struct query_run *run, struct query *query, struct err *err)
{
    return query_visit_filters(query, resolve, run, err);
}
