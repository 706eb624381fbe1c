/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/stats_labels.h"

#include "query/parse.h"
#include "query/pipe_type.h"
#include "query/stage.h"

#define TIME_FIELD SV("_time")
/*
 * Labels of the results: a series has few.  "copy a* as ab*" makes twice as
 * many each time it is said, and they are looked for one by one.
 */
#define LABELS_MAX 256u

struct finder {
    struct stats_labels *labels;
    struct pool *pool;
    struct err *err;
};

static int
no_memory(struct finder *f)
{
    return err_set(f->err, ERR_LIMIT, "query needs too much memory");
}

static struct stats_column *
column_find(const struct stats_labels *labels, struct sv name)
{
    for (uint32_t i = 0; i < labels->n; i++) {
        if (sv_eq(labels->columns[i].name, name))
            return &labels->columns[i];
    }
    return NULL;
}

enum stats_role
stats_labels_role(const struct stats_labels *labels, struct sv name)
{
    const struct stats_column *column = column_find(labels, name);

    return column == NULL ? STATS_VALUE : column->role;
}

static int
column_add(struct finder *f, struct sv name, enum stats_role role)
{
    struct stats_labels *labels = f->labels;

    if (labels->n == LABELS_MAX)
        return err_set(f->err, ERR_INVALID, "more than %u labels",
            LABELS_MAX);
    if (labels->n == labels->cap) {
        uint32_t cap = MAX(2 * labels->cap, 16u);
        struct stats_column *columns = pool_alloc(f->pool,
            cap * sizeof(*columns));

        if (columns == NULL)
            return no_memory(f);
        if (labels->n > 0)
            memcpy(columns, labels->columns, labels->n * sizeof(*columns));
        labels->columns = columns;
        labels->cap = cap;
    }
    labels->columns[labels->n++] = (struct stats_column){name, role};
    return 0;
}

/* --- stats --- */

/* Functions whose results are rows, not numbers. */
static bool
is_row_function(struct sv name)
{
    return sv_starts_with(name, SV("row_"));
}

static int
take_stats(struct finder *f, const struct stats_spec *stats)
{
    f->labels->n = 0;
    for (uint32_t i = 0; i < stats->nby; i++) {
        if (column_add(f, stats->by[i].name, STATS_LABEL) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < stats->nfns; i++) {
        const struct stats_fn *fn = &stats->fns[i];
        enum stats_role role = is_row_function(fn->name) ? STATS_LABEL
            : sv_eq(fn->name, SV("histogram")) ? STATS_HISTOGRAM
            : STATS_VALUE;

        if (role != STATS_VALUE && column_add(f, fn->result, role) != 0)
            return -1;
    }
    return 0;
}

/* _time:step instead of whatever buckets of time there are. */
static int
set_step(struct finder *f, struct stats_spec *stats, int64_t step_ns,
    int64_t offset_ns)
{
    struct stats_by *by = NULL;
    char text[2][32];

    for (uint32_t i = 0; i < stats->nby && by == NULL; i++) {
        if (sv_eq(stats->by[i].name, TIME_FIELD))
            by = &stats->by[i];
    }
    if (by == NULL) {
        by = pool_alloc(f->pool, (stats->nby + 1) * sizeof(*by));
        if (by == NULL)
            return no_memory(f);
        if (stats->nby > 0)
            memcpy(by, stats->by, stats->nby * sizeof(*by));
        stats->by = by;
        by = &stats->by[stats->nby++];
    }
    snprintf(text[0], sizeof(text[0]), "%lldns", (long long)step_ns);
    snprintf(text[1], sizeof(text[1]), "%lldns", (long long)offset_ns);
    *by = (struct stats_by){.name = TIME_FIELD, .bucket = BUCKET_STEP,
        .step = (double)step_ns, .step_ns = step_ns,
        .offset = (double)offset_ns, .offset_ns = offset_ns};
    by->step_text = sv_make(pool_dup(f->pool, text[0], strlen(text[0])),
        strlen(text[0]));
    by->offset_text = offset_ns == 0 ? SV_EMPTY
        : sv_make(pool_dup(f->pool, text[1], strlen(text[1])),
            strlen(text[1]));
    return by->step_text.ptr == NULL || by->offset_text.ptr == NULL
        ? no_memory(f) : 0;
}

/* --- pipes behind it --- */

static int
refuse_label(struct finder *f, const struct pipe *pipe, struct sv label,
    const char *what)
{
    return err_set(f->err, ERR_INVALID, "'%s' %s '%.*s', which is a label of "
        "the results; only values may be changed behind 'stats'",
        pipe->type->name, what, (int)MIN(label.len, (size_t)100), label.ptr);
}

/* fields must keep all labels, delete none of them. */
static int
check_names(struct finder *f, const struct pipe *pipe)
{
    for (uint32_t i = 0; i < f->labels->n; i++) {
        const struct stats_column *column = &f->labels->columns[i];

        bool is_named = field_patterns_have(pipe->names, pipe->nnames,
            column->name);

        if (column->role == STATS_LABEL &&
            is_named != (pipe->kind == PIPE_FIELDS))
            return refuse_label(f, pipe, column->name, "drops");
    }
    return 0;
}

/* What the pair makes of the name. */
static int
pair_name(struct finder *f, const struct field_pair *pair, struct sv name,
    struct sv *out)
{
    struct sv head = pair->dst.name, tail;
    char *text;

    if (!pair->dst.is_prefix) {
        *out = head;
        return 0;
    }
    tail = sv_sub(name, pair->src.name.len, name.len);
    text = pool_alloc(f->pool, head.len + tail.len + 1);
    if (text == NULL)
        return no_memory(f);
    memcpy(text, head.ptr, head.len);
    memcpy(text + head.len, tail.ptr, tail.len);
    *out = sv_make(text, head.len + tail.len);
    return 0;
}

static int
take_pair(struct finder *f, const struct pipe *pipe,
    const struct field_pair *pair)
{
    struct stats_column *old;
    uint32_t n = f->labels->n;
    struct sv name;

    old = column_find(f->labels, pair->dst.name);
    if (!pair->dst.is_prefix && old != NULL &&
        !(sv_eq(pair->src.name, pair->dst.name) && !pair->src.is_prefix)) {
        if (old->role == STATS_LABEL)
            return refuse_label(f, pipe, old->name, "overwrites");
        old->role = STATS_VALUE;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct stats_column column = f->labels->columns[i];

        if (!field_pattern_has(&pair->src, column.name))
            continue;
        if (pair_name(f, pair, column.name, &name) != 0)
            return -1;
        if (pipe->kind == PIPE_RENAME) {
            if (sv_eq(column.name, TIME_FIELD))
                return refuse_label(f, pipe, column.name, "renames");
            f->labels->columns[i].name = name;
        } else if (column_find(f->labels, name) == NULL &&
            column_add(f, name, column.role) != 0) {
            return -1;
        }
    }
    return 0;
}

/*
 * Pipes that make fields: a label that nobody in front of the pipe needs when
 * it is all that is needed behind it was made by the pipe.
 */
static int
check_made(struct finder *f, const struct pipe *pipe)
{
    for (uint32_t i = 0; i < f->labels->n; i++) {
        const struct stats_column *column = &f->labels->columns[i];
        struct needed needed = {NULL, 0, false};

        if (column->role != STATS_LABEL || pipe->type->ops->needed == NULL)
            continue;
        if (needed_add_name(&needed, column->name, f->pool) != 0 ||
            pipe->type->ops->needed(&needed, pipe, f->pool) != 0)
            return no_memory(f);
        if (!needed_has(&needed, column->name))
            return refuse_label(f, pipe, column->name, "overwrites");
    }
    return 0;
}

/* The best rows of each point, not of all. */
static int
add_partition(struct finder *f, struct sort_spec *sort)
{
    struct sv *names;

    if (sort == NULL || sort->limit == 0)
        return 0;
    for (uint32_t i = 0; i < sort->npartition; i++) {
        if (sv_eq(sort->partition[i], TIME_FIELD))
            return 0;
    }
    names = pool_alloc(f->pool, (sort->npartition + 1) * sizeof(*names));
    if (names == NULL)
        return no_memory(f);
    names[0] = TIME_FIELD;
    if (sort->npartition > 0)
        memcpy(names + 1, sort->partition,
            sort->npartition * sizeof(*names));
    sort->partition = names;
    sort->npartition++;
    return 0;
}

static int
take_pipe(struct finder *f, const struct pipe *pipe)
{
    int rc = 0;

    if ((pipe->type->traits & PIPE_AFTER_STATS) == 0)
        return err_set(f->err, ERR_INVALID, "'%s' may not stand behind "
            "'stats' here; filter, sort, first, last, math, fields, delete, "
            "copy, rename and format may", pipe->type->name);
    switch (pipe->kind) {
    case PIPE_FIELDS:
    case PIPE_DELETE:
        return check_names(f, pipe);
    case PIPE_COPY:
    case PIPE_RENAME:
        for (uint32_t i = 0; rc == 0 && i < pipe->npairs; i++)
            rc = take_pair(f, pipe, &pipe->pairs[i]);
        return rc;
    default:
        return check_made(f, pipe);
    }
}

int
stats_labels_find(struct stats_labels *out, struct query *query,
    int64_t step_ns, int64_t offset_ns, struct err *err)
{
    struct finder f = {out, query->pool, err};
    struct pipe *last = NULL;

    *out = (struct stats_labels){NULL, 0, 0};
    for (struct pipe *pipe = query->pipes; pipe != NULL; pipe = pipe->next) {
        if (last != NULL && step_ns > 0 && add_partition(&f, pipe->sort) != 0)
            return -1;
        if (pipe->kind != PIPE_STATS)
            continue;
        last = pipe;
        if (step_ns > 0 && set_step(&f, pipe->stats, step_ns, offset_ns) != 0)
            return -1;
    }
    if (last == NULL)
        return err_set(err, ERR_INVALID, "missing '| stats ...' pipe: the "
            "query gives no numbers");
    if (take_stats(&f, last->stats) != 0)
        return -1;
    for (struct pipe *pipe = last->next; pipe != NULL; pipe = pipe->next) {
        if (take_pipe(&f, pipe) != 0)
            return -1;
    }
    return 0;
}
