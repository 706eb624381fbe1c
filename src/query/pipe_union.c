/* SPDX-License-Identifier: BSD-2-Clause */

/* union: the rows before it, then those of another query (5.35). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/mem.h"
#include "query/pipe_inner.h"

struct stage_union {
    struct stage stage;
    const struct pipe *pipe;
    _Atomic bool is_done; /* the next stage needs no more */
};

static int
union_parse(struct parser *p, struct pipe *pipe)
{
    pipe->spec = pool_zalloc(p->pool, sizeof(struct inner));
    if (pipe->spec == NULL)
        return parse_no_memory(p);
    return inner_parse(p, pipe, pipe->spec, "union");
}

static void
union_print(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "union ");
    inner_print(out, pipe, pipe->spec);
}

/* --- running --- */

/* The rows before are not all when the next stage needs no more. */
static int
union_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_union *mine = (struct stage_union *)stage;
    int rc = stage_write(stage->next, lane, rows, err);

    if (rc > 0)
        atomic_store(&mine->is_done, true);
    return rc;
}

/* Texts of one row in the order of all names. */
static void
texts_of(const struct held *held, uint32_t row, struct sv *texts)
{
    const struct held_row *from = held_row(held, row);

    for (uint32_t i = 0; i < held->names.n; i++)
        texts[i] = SV_EMPTY;
    for (uint32_t i = 0; i < from->n; i++)
        texts[from->cells[i].name] = sv_make(from->cells[i].ptr,
            from->cells[i].len);
}

static int
emit_literals(struct stage_union *mine, const struct held *held,
    struct err *err)
{
    struct sv *texts = xcalloc(held->names.n + 1u, sizeof(*texts));
    struct emit emit;
    int rc = 0;

    emit_begin(&emit, mine->stage.next, held->names.v, held->names.n);
    for (uint32_t i = 0; rc == 0 && i < held->nrows && !emit.is_done; i++) {
        texts_of(held, i, texts);
        rc = emit_row(&emit, texts, err);
    }
    if (rc == 0)
        rc = emit_end(&emit, err);
    emit_free(&emit);
    xfree(texts);
    return rc;
}

static int
union_flush(struct stage *stage, struct err *err)
{
    struct stage_union *mine = (struct stage_union *)stage;
    const struct pipe *pipe = mine->pipe;
    struct held held;
    int rc;

    if (atomic_load(&mine->is_done))
        return 0;
    if (pipe->subquery != NULL)
        return inside_run(stage->run, pipe->subquery,
            inside_sink_new(stage->next, &mine->is_done), err);
    held_init(&held, &stage->run->budget);
    rc = inner_hold(pipe->spec, pipe, stage->run, &held, err);
    if (rc == 0)
        rc = emit_literals(mine, &held, err);
    held_free(&held);
    return rc;
}

static void
union_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops union_ops = {
    union_write, union_flush, union_free
};

static int
union_make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_union *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &union_ops;
    mine->pipe = pipe;
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_union = {
    union_parse, union_print, NULL, union_make, NULL
};
