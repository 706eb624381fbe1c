/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/split.h"

#include "query/parser.h"
#include "query/pipe_type.h"
#include "query/shift.h"
#include "query/state.h"

/* Pipes that nodes run; they read them as text. */
#define SPLIT_PIPES_MAX 1000u
/* Fields that are named to nodes as a pipe; of more they load all. */
#define SPLIT_FIELDS_MAX 1000u
/* Rows that a node keeps for "sort ... limit N"; with more it sends all. */
#define SPLIT_KEEP_MAX 10000000u

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* --- what can run elsewhere --- */

static bool
filter_asks(const struct filter *filter)
{
    if (filter == NULL)
        return false;
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (filter_asks(filter->items[i]))
            return true;
    }
    return filter->subquery != NULL;
}

/*
 * Pipes travel as text, in which a query in a filter would be asked again, on
 * a node that has some of the rows.
 */
static bool
pipe_asks(const struct pipe *pipe)
{
    if (pipe->subquery != NULL || filter_asks(pipe->filter))
        return true;
    for (uint32_t i = 0; pipe->stats != NULL && i < pipe->stats->nfns; i++) {
        if (filter_asks(pipe->stats->fns[i].filter))
            return true;
    }
    return false;
}

/* Nodes run it, and nothing of it is left to do here. */
static bool
is_for_nodes(const struct pipe *pipe)
{
    unsigned traits = pipe->type->traits;

    return ((traits & PIPE_SUM) != 0 ||
        (traits & (PIPE_ROW | PIPE_PICKS)) == PIPE_ROW) && !pipe_asks(pipe);
}

static bool
has_state(const struct pipe *pipe)
{
    return (pipe->type->traits & PIPE_STATE) != 0 && !pipe_asks(pipe) &&
        (pipe->stats == NULL || stats_spec_can_save(pipe->stats));
}

const char *
split_gives(const struct split *split)
{
    switch (split->end) {
    case SPLIT_STATE:
        return "partial results of the first stage";
    case SPLIT_PARTIAL:
        return "rows that may be in the answer of the first stage";
    default:
        return "rows";
    }
}

const char *
split_where(const struct pipe_type *type)
{
    if ((type->traits & PIPE_STATE) != 0)
        return "nodes give partial results";
    if ((type->traits & PIPE_BEST) != 0)
        return type->kind == PIPE_SORT ? "with `limit` nodes give their best "
            "rows, else all" : "nodes give their best rows";
    if (type->ops == &pipe_generate_sequence)
        return "front; nodes give nothing";
    if ((type->traits & PIPE_SUM) != 0 ||
        (type->traits & (PIPE_ROW | PIPE_PICKS)) == PIPE_ROW)
        return "nodes";
    return "front, of all rows";
}

/* --- the query of the nodes --- */

struct remote {
    struct split *split;
    struct query *query;
    struct pipe **end; /* where the next pipe goes */
    struct err *err;
};

static struct pipe *
add_pipe(struct remote *remote, const struct pipe *pipe)
{
    struct pipe *copy = pool_alloc(remote->query->pool, sizeof(*copy));

    if (copy == NULL) {
        no_memory(remote->err);
        return NULL;
    }
    *copy = *pipe;
    copy->next = NULL;
    *remote->end = copy;
    remote->end = &copy->next;
    remote->query->npipes++;
    return copy;
}

static struct pipe *
add_kind(struct remote *remote, enum pipe_kind kind)
{
    struct pipe pipe = {.kind = kind, .type = pipe_type_of_kind(kind),
        .result = SV_EMPTY, .hits = SV_EMPTY, .substring = SV_EMPTY};

    return add_pipe(remote, &pipe);
}

/* limit: the rows behind it are those that no node needs to give. */
static int
add_limit(struct remote *remote, uint64_t n)
{
    struct pipe *pipe = add_kind(remote, PIPE_LIMIT);

    if (pipe == NULL)
        return -1;
    pipe->n = n;
    return 0;
}

/* The best of a node: offset and rank are of all rows. */
static int
add_sort(struct remote *remote, const struct pipe *pipe)
{
    struct sort_spec *sort = pool_alloc(remote->query->pool, sizeof(*sort));
    struct pipe *copy = add_pipe(remote, pipe);

    if (sort == NULL || copy == NULL)
        return no_memory(remote->err);
    *sort = *pipe->sort;
    sort->limit += sort->offset;
    sort->offset = 0;
    sort->rank = SV_EMPTY;
    copy->sort = sort;
    return 0;
}

/* Behind the pipes that nodes run alone: one that both may run. */
static int
add_both(struct remote *remote, const struct pipe *pipe)
{
    const struct sort_spec *sort = pipe->sort;
    const struct pipe *next = pipe->next;

    if (has_state(pipe)) {
        remote->split->end = SPLIT_STATE;
        return add_pipe(remote, pipe) == NULL ? -1 : 0;
    }
    if (pipe->kind == PIPE_LIMIT) {
        remote->split->end = SPLIT_PARTIAL;
        return add_limit(remote, pipe->n);
    }
    if ((pipe->type->traits & PIPE_BEST) != 0 && sort->limit != 0 &&
        sort->limit <= SPLIT_KEEP_MAX && sort->offset <= SPLIT_KEEP_MAX) {
        remote->split->end = SPLIT_PARTIAL;
        return add_sort(remote, pipe);
    }
    /* Here, but not of all rows. */
    if (pipe->kind == PIPE_OFFSET && next != NULL &&
        next->kind == PIPE_LIMIT && pipe->n <= UINT64_MAX - next->n)
        return add_limit(remote, pipe->n + next->n);
    if (pipe->type->ops == &pipe_generate_sequence)
        return add_limit(remote, 0);
    return 0;
}

/* So that pipes of a node do not make what nobody reads. */
static int
add_fields(struct remote *remote)
{
    static struct field_pattern all = {{"", 0}, true};
    const struct needed *needed = &remote->split->needed;
    bool is_none = needed->n == 0;
    struct pipe *pipe;

    if (needed->is_all || needed->n > SPLIT_FIELDS_MAX ||
        remote->query->npipes == 0)
        return 0;
    pipe = add_kind(remote, is_none ? PIPE_DELETE : PIPE_FIELDS);
    if (pipe == NULL)
        return -1;
    pipe->names = is_none ? &all : needed->patterns;
    pipe->nnames = is_none ? 1 : needed->n;
    return 0;
}

static int
add_pipes(struct remote *remote, const struct pipe *pipe)
{
    struct split *split = remote->split;

    while (pipe != NULL && remote->query->npipes < SPLIT_PIPES_MAX &&
        is_for_nodes(pipe)) {
        if (add_pipe(remote, pipe) == NULL)
            return -1;
        pipe = pipe->next;
    }
    split->local = pipe;
    if (pipe != NULL && add_both(remote, pipe) != 0)
        return -1;
    if (split->end == SPLIT_STATE)
        return 0;
    if (needed_find(&split->needed, pipe, remote->query->pool,
            remote->err) != 0)
        return -1;
    return add_fields(remote);
}

/* Somebody here sees the rows in front of the pipes, with their own times. */
static int
take_whole(struct remote *remote)
{
    struct query *query = remote->query;

    remote->split->needed.is_all = true;
    if (query->time_offset_ns == 0)
        return 0;
    query->filter = (struct filter *)(uintptr_t)shift_filter(query->filter,
        query->time_offset_ns, query->pool);
    if (query->filter == NULL)
        return no_memory(remote->err);
    query->min_time = shift_time(query->min_time, -query->time_offset_ns);
    query->max_time = shift_time(query->max_time, -query->time_offset_ns);
    query->time_offset_ns = 0;
    query->time_offset = SV_EMPTY;
    return 0;
}

int
query_split(struct split *out, struct query *query, bool whole,
    struct err *err)
{
    struct query *copy = pool_alloc(query->pool, sizeof(*copy));
    struct remote remote = {out, copy, NULL, err};

    if (copy == NULL)
        return no_memory(err);
    *copy = *query;
    copy->outer = NULL;
    copy->pipes = NULL;
    copy->npipes = 0;
    /* The pipes and the filter hide them already. */
    copy->hidden = NULL;
    copy->nhidden = 0;
    copy->is_hiding = false;
    copy->added = NULL;
    remote.end = &copy->pipes;
    *out = (struct split){.remote = copy, .end = SPLIT_ROWS,
        .local = query->pipes};
    return whole ? take_whole(&remote) : add_pipes(&remote, query->pipes);
}
