/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which columns pipes read: the chain is walked from its end to its front,
 * and each pipe turns what is read behind it into what it reads itself.
 */

#include "core/base.h"
#include "query/pipe_old.h"
#include "query/pipe_type.h"
#include "query/stage.h"

/* Pipes of one query that are looked at; with more all columns are read. */
#define NEEDED_PIPES_MAX 1000u

bool
needed_has(const struct needed *needed, struct sv name)
{
    return needed->is_all ||
        field_patterns_have(needed->patterns, needed->n, name);
}

int
needed_add(struct needed *needed, const struct field_pattern *pattern,
    struct pool *pool)
{
    if (needed->is_all)
        return 0;
    if (pattern->is_prefix && pattern->name.len == 0) {
        *needed = (struct needed){NULL, 0, true};
        return 0;
    }
    for (uint32_t i = 0; i < needed->n; i++) {
        if (needed->patterns[i].is_prefix == pattern->is_prefix &&
            sv_eq(needed->patterns[i].name, pattern->name))
            return 0;
    }
    /* Powers of two are when the array is full. */
    if ((needed->n & (needed->n - 1)) == 0) {
        struct field_pattern *more = pool_alloc(pool,
            2 * ((size_t)needed->n + 1) * sizeof(*more));

        if (more == NULL)
            return -1;
        if (needed->n > 0)
            memcpy(more, needed->patterns, needed->n * sizeof(*more));
        needed->patterns = more;
    }
    needed->patterns[needed->n++] = *pattern;
    return 0;
}

int
needed_add_name(struct needed *needed, struct sv name, struct pool *pool)
{
    return needed_add(needed, &(struct field_pattern){name, false}, pool);
}

int
needed_add_filter(struct needed *needed, const struct filter *filter,
    struct pool *pool)
{
    if (filter == NULL)
        return 0;
    switch (filter->kind) {
    case FILTER_ALL:
    case FILTER_NONE:
        return 0;
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT:
        for (uint32_t i = 0; i < filter->nitems; i++) {
            if (needed_add_filter(needed, filter->items[i], pool) != 0)
                return -1;
        }
        return 0;
    case FILTER_EQ_FIELD:
    case FILTER_LE_FIELD:
    case FILTER_LT_FIELD:
        if (needed_add_name(needed, filter->text, pool) != 0)
            return -1;
        break;
    case FILTER_TIME:
    case FILTER_DAY_RANGE:
    case FILTER_WEEK_RANGE:
        return needed_add_name(needed, SV("_time"), pool);
    case FILTER_STREAM:
        return needed_add_name(needed, SV("_stream"), pool);
    case FILTER_STREAM_ID:
        return needed_add_name(needed, SV("_stream_id"), pool);
    default:
        break;
    }
    return needed_add(needed, &(struct field_pattern){filter->field,
        filter->is_field_prefix}, pool);
}

static int
add_patterns(struct needed *needed, const struct field_pattern *patterns,
    uint32_t n, struct pool *pool)
{
    for (uint32_t i = 0; i < n; i++) {
        if (needed_add(needed, &patterns[i], pool) != 0)
            return -1;
    }
    return 0;
}

/* "fields": what is listed and read behind. */
int
needed_before_fields(struct needed *needed, const struct pipe *pipe,
    struct pool *pool)
{
    struct needed behind = *needed;

    *needed = (struct needed){0};
    if (behind.is_all)
        return add_patterns(needed, pipe->names, pipe->nnames, pool);
    for (uint32_t i = 0; i < pipe->nnames; i++) {
        const struct field_pattern *pattern = &pipe->names[i];

        for (uint32_t k = 0; k < behind.n; k++) {
            const struct field_pattern *other = &behind.patterns[k];
            const struct field_pattern *narrow = NULL;

            if (field_pattern_has(pattern, other->name))
                narrow = other;
            else if (field_pattern_has(other, pattern->name))
                narrow = pattern;
            if (narrow != NULL && needed_add(needed, narrow, pool) != 0)
                return -1;
        }
    }
    return 0;
}

void
needed_remove(struct needed *needed, const struct field_pattern *pattern)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < needed->n; i++) {
        const struct field_pattern *other = &needed->patterns[i];
        bool is_inside = field_pattern_has(pattern, other->name) &&
            (pattern->is_prefix || !other->is_prefix);

        if (!is_inside)
            needed->patterns[n++] = *other;
    }
    needed->n = n;
}

/* copy and rename, from the last pair to the first. */
int
needed_before_pairs(struct needed *needed, const struct pipe *pipe,
    struct pool *pool)
{
    for (uint32_t i = pipe->npairs; i-- > 0;) {
        const struct field_pair *pair = &pipe->pairs[i];
        bool is_wanted = needed->is_all;

        for (uint32_t k = 0; k < needed->n && !is_wanted; k++) {
            is_wanted = field_pattern_has(&pair->dst, needed->patterns[k].name) ||
                field_pattern_has(&needed->patterns[k], pair->dst.name);
        }
        /* With stars a target may stay what it was. */
        if (!pair->src.is_prefix && !pair->dst.is_prefix &&
            !sv_eq(pair->src.name, pair->dst.name))
            needed_remove(needed, &pair->dst);
        if (is_wanted && needed_add(needed, &pair->src, pool) != 0)
            return -1;
    }
    return 0;
}

int
needed_before_sort(struct needed *needed, const struct pipe *pipe,
    struct pool *pool)
{
    const struct sort_spec *sort = pipe->sort;

    if (sort->nfields == 0)
        *needed = (struct needed){NULL, 0, true};
    if (sort->rank.len > 0)
        needed_remove(needed, &(struct field_pattern){sort->rank, false});
    for (uint32_t i = 0; i < sort->nfields; i++) {
        if (needed_add_name(needed, sort->fields[i].name, pool) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < sort->npartition; i++) {
        if (needed_add_name(needed, sort->partition[i], pool) != 0)
            return -1;
    }
    return 0;
}

int
needed_before_stats(struct needed *needed, const struct pipe *pipe,
    struct pool *pool)
{
    const struct stats_spec *stats = pipe->stats;

    *needed = (struct needed){0};
    for (uint32_t i = 0; i < stats->nby; i++) {
        if (needed_add_name(needed, stats->by[i].name, pool) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < stats->nfns; i++) {
        const struct stats_fn *fn = &stats->fns[i];
        static const struct field_pattern all = {{"", 0}, true};

        if (needed_add_filter(needed, fn->filter, pool) != 0)
            return -1;
        for (uint32_t k = 0; k < fn->nkeys; k++) {
            if (needed_add_name(needed, fn->keys[k].name, pool) != 0)
                return -1;
        }
        /* count() needs no column at all. */
        for (uint32_t k = 0; k < fn->nargs; k++) {
            if (fn->kind == STATS_COUNT && fn->args[k].is_prefix &&
                fn->args[k].name.len == 0)
                continue;
            if (needed_add(needed, &fn->args[k], pool) != 0)
                return -1;
        }
        if (fn->nargs == 0 && fn->kind != STATS_COUNT &&
            needed_add(needed, &all, pool) != 0)
            return -1;
    }
    return 0;
}

int
needed_before_delete(struct needed *needed, const struct pipe *pipe,
    UNUSED struct pool *pool)
{
    for (uint32_t i = 0; i < pipe->nnames; i++)
        needed_remove(needed, &pipe->names[i]);
    return 0;
}

int
needed_before_filter(struct needed *needed, const struct pipe *pipe,
    struct pool *pool)
{
    return needed_add_filter(needed, pipe->filter, pool);
}

int
needed_before_uniq(struct needed *needed, const struct pipe *pipe,
    struct pool *pool)
{
    *needed = (struct needed){0};
    return add_patterns(needed, pipe->names, pipe->nnames, pool);
}

int
needed_before_any(struct needed *needed, UNUSED const struct pipe *pipe,
    UNUSED struct pool *pool)
{
    *needed = (struct needed){NULL, 0, true};
    return 0;
}

int
needed_find(struct needed *out, const struct pipe *pipe, struct pool *pool,
    struct err *err)
{
    const struct pipe *pipes[NEEDED_PIPES_MAX];
    uint32_t n = 0;

    *out = (struct needed){NULL, 0, true};
    for (; pipe != NULL; pipe = pipe->next) {
        if (n == NEEDED_PIPES_MAX)
            return 0;
        pipes[n++] = pipe;
    }
    while (n-- > 0) {
        const struct pipe_ops *ops = pipes[n]->type->ops;

        if (ops->needed != NULL && ops->needed(out, pipes[n], pool) != 0)
            return err_set(err, ERR_LIMIT, "no memory for the query");
    }
    return 0;
}

int
pipes_needed(const struct pipe *pipe, struct pool *pool,
    struct field_pattern **out, uint32_t *n, bool *all)
{
    struct needed needed;

    if (needed_find(&needed, pipe, pool, NULL) != 0)
        return -1;
    *out = needed.patterns;
    *n = needed.n;
    *all = needed.is_all;
    return 0;
}
