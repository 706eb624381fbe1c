/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * drop_empty_fields: fields that no row of a chunk has go, and rows that have
 * no field (reference 5.7).  A field that a row has not is empty anyway.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/mem.h"
#include "query/pipe_old.h"
#include "query/stage_map.h"

static int
drop_parse(struct parser *p, struct pipe *pipe)
{
    pipe->keeps_time = true;
    return parse_pipe_end(p, "'|' or the end");
}

static void
drop_print(struct sb *out, UNUSED const struct pipe *pipe)
{
    sb_add_str(out, "drop_empty_fields");
}

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* Selects the rows that have any of the columns. */
static int
select_filled(struct rows *rows, const struct query_run *run,
    struct err *err)
{
    uint64_t *bits = pool_zalloc(rows->pool,
        BITMAP_WORDS(rows->n) * sizeof(*bits) + 1);
    uint32_t left = rows->nselected;

    if (bits == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < rows->ncolumns && left > 0; i++) {
        const struct column *column = &rows->columns[i];

        if (column->kind == COLUMN_EMPTY)
            continue;
        if (run_poll(run, err) != 0)
            return -1;
        for (uint32_t row = rows_first(rows); row < rows->n;
            row = rows_next(rows, row)) {
            if (!bitmap_has(bits, row) && column_is_filled(column, row)) {
                bitmap_set(bits, row);
                left--;
            }
        }
    }
    rows_select(rows, bits);
    return 0;
}

/* The same rows without the columns that none of them has. */
static int
leave_columns(struct rows *rows, struct rows *out, struct err *err)
{
    struct picks picks;

    rows_init(out, rows->n, rows->pool);
    out->run = rows->run;
    if (out->n != rows->n)
        return no_memory(err);
    out->selected = rows->selected;
    out->nselected = rows->nselected;
    if (picks_make(&picks, rows, err) != 0)
        return -1;
    for (uint32_t i = 0; i < rows->ncolumns; i++) {
        if (column_count_filled(&rows->columns[i], &picks) > 0 &&
            rows_set_column(out, &rows->columns[i], err) != 0)
            return -1;
    }
    return 0;
}

static int
drop_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct rows out;

    /* Rows as they are stored have at least a time. */
    if (rows_block_of(rows, SV("_time")) != NULL)
        return stage_write(stage->next, lane, rows, err);
    if (rows_detach(rows, err) != 0 ||
        select_filled(rows, stage->run, err) != 0)
        return -1;
    if (rows->nselected == 0)
        return 0;
    if (leave_columns(rows, &out, err) != 0)
        return -1;
    return stage_write(stage->next, lane, &out, err);
}

static void
drop_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops drop_ops = {
    drop_write, stage_flush_nothing, drop_free
};

static int
drop_make(struct stage **out, UNUSED const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    *out = xcalloc(1, sizeof(**out));
    (*out)->ops = &drop_ops;
    return 0;
}

const struct pipe_ops pipe_drop_empty_fields = {
    drop_parse, drop_print, needed_before_any, drop_make, NULL
};
