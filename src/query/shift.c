/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/shift.h"

#include "core/mem.h"
#include "query/rows.h"
#include "query/stage.h"
#include "query/text.h"

int64_t
shift_time(int64_t time_ns, int64_t ns)
{
    int64_t shifted;

    if (time_ns == INT64_MIN || time_ns == INT64_MAX)
        return time_ns;
    if (__builtin_add_overflow(time_ns, ns, &shifted))
        return ns > 0 ? INT64_MAX : INT64_MIN;
    return shifted;
}

/* --- the filter --- */

static bool
has_times(const struct filter *filter)
{
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (has_times(filter->items[i]))
            return true;
    }
    return filter->kind == FILTER_TIME || filter->kind == FILTER_DAY_RANGE ||
        filter->kind == FILTER_WEEK_RANGE;
}

const struct filter *
shift_filter(const struct filter *filter, int64_t ns, struct pool *pool)
{
    struct filter *copy;

    if (!has_times(filter))
        return filter;
    copy = pool_alloc(pool, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *filter;
    if (filter->kind == FILTER_TIME) {
        copy->time_min = shift_time(filter->time_min, -ns);
        copy->time_max = shift_time(filter->time_max, -ns);
    } else {
        copy->offset = shift_time(filter->offset, -ns);
    }
    if (filter->nitems == 0)
        return copy;
    copy->items = pool_alloc(pool, filter->nitems * sizeof(*copy->items));
    if (copy->items == NULL)
        return NULL;
    for (uint32_t i = 0; i < filter->nitems; i++) {
        copy->items[i] = (struct filter *)shift_filter(filter->items[i], ns,
            pool);
        if (copy->items[i] == NULL)
            return NULL;
    }
    return copy;
}

/* --- the stage --- */

/* Patterns of the fields that pipes read. */
#define SHIFT_POOL_MAX (16 * MIB)

struct stage_shift {
    struct stage stage;
    struct pool *pool;
    struct needed needed;
    int64_t ns;
};

static int
shift_column(struct rows *rows, int64_t ns, struct column *out,
    struct err *err)
{
    const struct column *times;
    int64_t *ints;

    if (rows_column(rows, SV("_time"), &times, err) != 0)
        return -1;
    *out = *times;
    if (times->kind == COLUMN_EMPTY)
        return 0;
    ints = pool_zalloc(rows->pool, rows->n * sizeof(*ints));
    if (ints == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        char buf[COLUMN_TEXT_MAX];
        int64_t time_ns;

        if (times->kind == COLUMN_TIMES)
            time_ns = times->ints[row];
        else if (!time_parse_value(column_text(times, row, buf), &time_ns))
            return 0; /* a source gives times only */
        ints[row] = shift_time(time_ns, ns);
    }
    *out = (struct column){.kind = COLUMN_TIMES, .ints = ints};
    return 0;
}

/* Rows of their own, because pipes may ask a block for its times. */
static int
shift_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_shift *mine = (struct stage_shift *)stage;
    const struct sv *names;
    struct column times;
    struct rows shifted;
    uint32_t nnames;

    if (rows_names(rows, &names, &nnames, err) != 0 ||
        shift_column(rows, mine->ns, &times, err) != 0)
        return -1;
    rows_init(&shifted, rows->n, rows->pool);
    if (shifted.selected == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    shifted.run = rows->run;
    rows_select(&shifted, rows->selected);
    for (uint32_t i = 0; i < nnames; i++) {
        bool is_time = sv_eq(names[i], SV("_time"));
        const struct column *column;
        struct column copy;

        if (!needed_has(&mine->needed, names[i]))
            continue;
        if (run_poll(stage->run, err) != 0 ||
            rows_column(rows, names[i], &column, err) != 0)
            return -1;
        copy = is_time ? times : *column;
        copy.name = names[i];
        if (rows_set_column(&shifted, &copy, err) != 0)
            return -1;
    }
    return stage_write(stage->next, lane, &shifted, err);
}

static void
shift_free(struct stage *stage)
{
    struct stage_shift *mine = (struct stage_shift *)stage;

    pool_free(mine->pool);
    xfree(mine);
}

static const struct stage_ops shift_ops = {
    shift_write, stage_flush_nothing, shift_free
};

int
shift_stage(struct stage **first, const struct query *query,
    struct query_run *run, struct err *err)
{
    struct stage_shift *mine = xcalloc(1, sizeof(*mine));

    mine->stage = (struct stage){.ops = &shift_ops, .run = run,
        .next = *first};
    mine->ns = query->time_offset_ns;
    mine->pool = pool_new(SHIFT_POOL_MAX);
    if (needed_find(&mine->needed, query->pipes, mine->pool, err) != 0) {
        shift_free(&mine->stage);
        return -1;
    }
    if (!needed_has(&mine->needed, SV("_time")))
        shift_free(&mine->stage);
    else
        *first = &mine->stage;
    return 0;
}
