/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * fields, delete, copy, rename: other names for columns, so that values are
 * never touched.  First the names are worked out, then the columns that a
 * later pipe reads are taken over under their new names.
 */

#include "core/base.h"
#include "query/stage.h"

#include "core/mem.h"

#define FIELDS_POOL_MAX (16 * MIB) /* patterns of one query */

struct stage_fields {
    struct stage stage;
    const struct pipe *pipe;
    struct pool *pool;
    struct needed needed; /* of the pipes behind */
};

/* A column of the output and where it comes from. */
struct place {
    struct sv name;
    struct sv src;
    bool is_empty; /* there is no source */
};

struct places {
    struct place *v;
    uint32_t n;
    uint32_t cap;
    struct pool *pool;
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no memory for the fields of a block");
}

static struct place *
place_find(struct places *places, struct sv name)
{
    for (uint32_t i = 0; i < places->n; i++) {
        if (sv_eq(places->v[i].name, name))
            return &places->v[i];
    }
    return NULL;
}

/* Replaces the column of that name or adds one. */
static int
place_set(struct places *places, const struct place *place, struct err *err)
{
    struct place *old = place_find(places, place->name);

    if (old != NULL) {
        *old = *place;
        return 0;
    }
    if (places->n == places->cap) {
        uint32_t cap = MAX(2 * places->cap, 64u);
        struct place *more = pool_alloc(places->pool, cap * sizeof(*more));

        if (more == NULL)
            return no_memory(err);
        if (places->n > 0)
            memcpy(more, places->v, places->n * sizeof(*more));
        places->v = more;
        places->cap = cap;
    }
    places->v[places->n++] = *place;
    return 0;
}

static void
place_remove(struct places *places, const struct field_pattern *pattern)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < places->n; i++) {
        if (!field_pattern_has(pattern, places->v[i].name))
            places->v[n++] = places->v[i];
    }
    places->n = n;
}

/* --- names of the output --- */

static int
from_list(struct places *places, struct name_list names)
{
    places->v = pool_alloc(places->pool, names.n * sizeof(*places->v) + 1);
    if (places->v == NULL)
        return -1;
    for (uint32_t i = 0; i < names.n; i++)
        places->v[i] = (struct place){names.v[i], names.v[i], false};
    places->n = places->cap = names.n;
    return 0;
}

/* One step of copy or rename: the place `from` also, or only, at dst. */
static int
move_one(struct places *places, bool is_copy, struct sv src, struct sv dst,
    struct err *err)
{
    const struct place *from = place_find(places, src);
    struct place to = {dst, SV_EMPTY, true};

    if (sv_eq(src, dst))
        return 0;
    if (from != NULL) {
        to.src = from->src;
        to.is_empty = from->is_empty;
    }
    if (!is_copy && from != NULL && place_find(places, dst) == NULL) {
        /* In its place, so that the order stays. */
        *place_find(places, src) = to;
        return 0;
    }
    if (place_set(places, &to, err) != 0)
        return -1;
    if (!is_copy)
        place_remove(places, &(struct field_pattern){src, false});
    return 0;
}

static int
move_prefix(struct places *places, bool is_copy,
    const struct field_pair *pair, struct err *err)
{
    struct field_pattern src = pair->src, dst = pair->dst;
    uint32_t nold = places->n, n = 0;
    struct sv *names = pool_alloc(places->pool, nold * sizeof(*names) + 1);

    if (names == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < nold; i++) {
        if (sv_starts_with(places->v[i].name, src.name))
            names[n++] = places->v[i].name;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct sv rest = sv_sub(names[i], src.name.len, SIZE_MAX);
        struct sv name = dst.name;

        if (dst.is_prefix) {
            char *text = pool_alloc(places->pool, dst.name.len + rest.len + 1);

            if (text == NULL)
                return no_memory(err);
            if (dst.name.len > 0)
                memcpy(text, dst.name.ptr, dst.name.len);
            if (rest.len > 0)
                memcpy(text + dst.name.len, rest.ptr, rest.len);
            name = sv_make(text, dst.name.len + rest.len);
        }
        if (move_one(places, is_copy, names[i], name, err) != 0)
            return -1;
    }
    return 0;
}

static int
move_all(struct places *places, const struct pipe *pipe, struct err *err)
{
    bool is_copy = pipe->kind == PIPE_COPY;

    for (uint32_t i = 0; i < pipe->npairs; i++) {
        const struct field_pair *pair = &pipe->pairs[i];
        int result = pair->src.is_prefix
            ? move_prefix(places, is_copy, pair, err)
            : move_one(places, is_copy, pair->src.name, pair->dst.name, err);

        if (result != 0)
            return -1;
    }
    return 0;
}

static int
work_out(struct places *places, const struct pipe *pipe, struct rows *rows,
    struct err *err)
{
    struct name_list names;

    if (pipe->kind == PIPE_FIELDS) {
        if (rows_match_names(rows, pipe->names, pipe->nnames, &names,
                err) != 0)
            return -1;
        return from_list(places, names) == 0 ? 0 : no_memory(err);
    }
    if (rows_names(rows, &names.v, &names.n, err) != 0)
        return -1;
    if (from_list(places, names) != 0)
        return no_memory(err);
    if (pipe->kind != PIPE_DELETE)
        return move_all(places, pipe, err);
    for (uint32_t i = 0; i < pipe->nnames; i++)
        place_remove(places, &pipe->names[i]);
    return 0;
}

/* --- the stage --- */

static int
take_over(const struct stage_fields *mine, struct rows *rows,
    const struct places *places, struct rows *out, struct err *err)
{
    rows_init(out, rows->n, rows->pool);
    out->run = rows->run;
    if (out->n != rows->n)
        return no_memory(err);
    out->selected = rows->selected;
    out->nselected = rows->nselected;
    for (uint32_t i = 0; i < places->n; i++) {
        const struct place *place = &places->v[i];
        const struct column *src;
        struct column column = {.kind = COLUMN_EMPTY};

        if (!needed_has(&mine->needed, place->name))
            continue;
        if (!place->is_empty) {
            if (rows_column(rows, place->src, &src, err) != 0)
                return -1;
            column = *src;
        }
        column.name = place->name;
        if (rows_set_column(out, &column, err) != 0)
            return -1;
    }
    return 0;
}

static bool
is_everything(const struct pipe *pipe)
{
    if (pipe->kind != PIPE_FIELDS)
        return false;
    for (uint32_t i = 0; i < pipe->nnames; i++) {
        if (pipe->names[i].is_prefix && pipe->names[i].name.len == 0)
            return true;
    }
    return false;
}

static int
fields_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_fields *mine = (struct stage_fields *)stage;
    struct places places = {.pool = rows->pool};
    struct rows out;

    if (is_everything(mine->pipe))
        return stage_write(stage->next, lane, rows, err);
    if (work_out(&places, mine->pipe, rows, err) != 0 ||
        take_over(mine, rows, &places, &out, err) != 0)
        return -1;
    return stage_write(stage->next, lane, &out, err);
}

static void
fields_free(struct stage *stage)
{
    struct stage_fields *mine = (struct stage_fields *)stage;

    pool_free(mine->pool);
    xfree(mine);
}

static const struct stage_ops fields_ops = {
    fields_write, stage_flush_nothing, fields_free
};

int
stage_new_fields(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, struct err *err)
{
    struct stage_fields *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &fields_ops;
    mine->pipe = pipe;
    mine->pool = pool_new(FIELDS_POOL_MAX);
    if (needed_find(&mine->needed, pipe->next, mine->pool, err) != 0) {
        fields_free(&mine->stage);
        return -1;
    }
    *out = &mine->stage;
    return 0;
}
