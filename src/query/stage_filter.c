/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/stage.h"

#include "core/mem.h"

struct stage_filter {
    struct stage stage;
    const struct filter *filter;
};

static int
filter_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_filter *mine = (struct stage_filter *)stage;

    if (mine->filter->kind == FILTER_NONE)
        return 1;
    if (rows_filter(rows, mine->filter, err) != 0)
        return -1;
    if (rows->nselected == 0)
        return 0;
    return stage_write(stage->next, lane, rows, err);
}

static void
filter_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops filter_ops = {
    filter_write, stage_flush_nothing, filter_free
};

int
stage_new_filter(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_filter *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &filter_ops;
    mine->filter = pipe->filter;
    *out = &mine->stage;
    return 0;
}
