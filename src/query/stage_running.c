/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * running_stats and total_stats: functions of the rows of a group, on each
 * row.  Rows are sorted by _time first, by the stage of sort, which gives
 * them to a stage behind it: once for running_stats; twice for total_stats,
 * which first takes all rows in and then gives them on.
 */

#include "core/base.h"
#include "query/stage_running.h"

#include "core/mem.h"
#include "query/acc.h"
#include "query/keys.h"
#include "query/parser.h"

/* --- first and last: numbers of the texts of all rows of a group --- */

struct list {
    struct hold_array ids; /* uint32_t */
    uint32_t n;
};

/* One function; either the accumulator or the lists. */
struct running {
    const struct running_fn *spec;
    struct acc *acc;
    struct keys texts;
    struct hold_array lists;   /* struct list, by group */
    bool has_texts;
    struct hold_array results; /* struct sv by group: of total_stats */
    struct column *columns;    /* of the chunk */
    uint32_t ncolumns;
    struct sv *out;            /* texts of the chunk */
};

struct stage_running {
    struct stage stage;
    struct stage behind;       /* gets the rows that are sorted */
    struct stage *sort;
    struct pipe sort_pipe;
    struct sort_spec sort_spec;
    struct sort_field sort_field;
    const struct running_spec *spec;
    struct hold hold;
    struct keys groups;
    bool is_made;
    bool takes;                /* rows are taken in */
    bool gives;                /* rows are given on */
    struct running *fns;
    struct sb text;
    struct rows *rows;         /* the chunk */
};

/* One result, as of stats. */
#define RESULT_MAX (MIB)

static struct stage_running *
of_behind(struct stage *behind)
{
    return (struct stage_running *)(void *)((char *)behind -
        offsetof(struct stage_running, behind));
}

static int
fn_make(struct stage_running *mine, struct running *fn,
    const struct running_fn *spec, struct err *err)
{
    const struct acc_ops *ops;

    fn->spec = spec;
    if (spec->kind != RUNNING_ACC) {
        if (keys_init(&fn->texts, &mine->hold, 1, NULL, err) != 0)
            return -1;
        fn->has_texts = true;
        return 0;
    }
    ops = spec->fn.type->acc;
    fn->acc = xcalloc(1, ops->size);
    fn->acc->ops = ops;
    fn->acc->fn = &spec->fn;
    fn->acc->hold = &mine->hold;
    fn->acc->run = mine->stage.run;
    fn->acc->is_all = spec->fn.nargs == 0;
    return ops->init == NULL ? 0 : ops->init(fn->acc, err);
}

static int
make_all(struct stage_running *mine, struct err *err)
{
    struct stats_by *by = NULL;

    if (mine->is_made)
        return 0;
    mine->is_made = true;
    hold_init(&mine->hold, &mine->stage.run->budget);
    if (keys_init(&mine->groups, &mine->hold, mine->spec->nby, by, err) != 0)
        return -1;
    for (uint32_t i = 0; i < mine->spec->nfns; i++) {
        if (fn_make(mine, &mine->fns[i], &mine->spec->fns[i], err) != 0)
            return -1;
    }
    return 0;
}

static void
fn_free(struct stage_running *mine, struct running *fn)
{
    struct list *lists = fn->lists.items;

    if (fn->acc != NULL) {
        fn->acc->ops->free(fn->acc);
        xfree(fn->acc);
    }
    for (size_t i = 0; i < fn->lists.cap; i++)
        hold_drop(&mine->hold, &lists[i].ids, sizeof(uint32_t));
    hold_drop(&mine->hold, &fn->lists, sizeof(struct list));
    hold_drop(&mine->hold, &fn->results, sizeof(struct sv));
    if (fn->has_texts)
        keys_drop(&fn->texts);
}

/* --- taking a row in --- */

/* Room for the groups that there are. */
static int
reserve(struct stage_running *mine, struct running *fn, struct err *err)
{
    uint32_t n = mine->groups.count;

    if (mine->spec->is_total && hold_grow(&mine->hold, &fn->results, n,
            sizeof(struct sv), err) != 0)
        return -1;
    if (fn->acc == NULL)
        return hold_grow(&mine->hold, &fn->lists, n, sizeof(struct list),
            err);
    if (n <= fn->acc->ngroups)
        return 0;
    if (fn->acc->ops->reserve(fn->acc, n, err) != 0)
        return -1;
    fn->acc->ngroups = n;
    return 0;
}

static int
list_add(struct stage_running *mine, struct running *fn, uint32_t group,
    uint32_t row, struct err *err)
{
    struct list *list = &((struct list *)fn->lists.items)[group];
    char buf[COLUMN_TEXT_MAX];
    struct sv text = column_text(fn->columns, row, buf);
    uint32_t id;

    /* Of first() no more rows are asked for. */
    if (fn->spec->kind == RUNNING_FIRST && list->n > fn->spec->offset)
        return 0;
    if (keys_find(&fn->texts, &text, &id, err) != 0 ||
        hold_grow_raw(&mine->hold, &list->ids, (size_t)list->n + 1,
            sizeof(uint32_t), err) != 0)
        return -1;
    ((uint32_t *)list->ids.items)[list->n++] = id;
    return 0;
}

/* As in stats, a star stands for the fields that the row has. */
static bool
is_of_star(const struct stats_fn *fn, struct sv name)
{
    for (uint32_t i = 0; i < fn->nargs; i++) {
        if (!fn->args[i].is_prefix && sv_eq(fn->args[i].name, name))
            return false;
    }
    return true;
}

static int
acc_add(struct running *fn, struct acc_rows *in, uint32_t row,
    struct err *err)
{
    bool is_extreme = fn->spec->fn.kind == STATS_MIN ||
        fn->spec->fn.kind == STATS_MAX;

    in->picks = (struct picks){1, NULL, row};
    in->columns = fn->columns;
    in->ncolumns = fn->ncolumns;
    if (!is_extreme)
        return fn->acc->ops->add(fn->acc, in, err);
    in->ncolumns = 1;
    for (uint32_t i = 0; i < fn->ncolumns; i++) {
        in->columns = &fn->columns[i];
        if (!column_is_filled(in->columns, row) &&
            is_of_star(&fn->spec->fn, in->columns->name))
            continue;
        if (fn->acc->ops->add(fn->acc, in, err) != 0)
            return -1;
    }
    return 0;
}

/* --- the result of a group --- */

static int
get_text(struct stage_running *mine, struct running *fn, uint32_t group,
    struct sv *out, struct err *err)
{
    const struct list *list;
    uint64_t offset = fn->spec->offset;

    *out = SV_EMPTY;
    if (fn->acc != NULL) {
        sb_reset(&mine->text);
        if (fn->acc->ops->print(fn->acc, group, &mine->text, err) != 0)
            return -1;
        if (sb_failed(&mine->text))
            return err_set(err, ERR_LIMIT, "a result is too long");
        *out = sb_sv(&mine->text);
        return 0;
    }
    list = &((struct list *)fn->lists.items)[group];
    if (offset >= list->n)
        return 0;
    if (fn->spec->kind == RUNNING_LAST)
        offset = list->n - 1 - offset;
    keys_texts(&fn->texts, ((uint32_t *)list->ids.items)[offset], out);
    return 0;
}

static int
copy_text(struct rows *rows, struct sv text, struct sv *out,
    struct err *err)
{
    *out = SV_EMPTY;
    if (text.len == 0)
        return 0;
    out->ptr = pool_dup(rows->pool, text.ptr, text.len);
    out->len = text.len;
    return out->ptr != NULL ? 0
        : err_set(err, ERR_LIMIT, "no memory for results");
}

/* Of total_stats it is made once for each group. */
static int
give_result(struct stage_running *mine, struct running *fn, uint32_t group,
    struct sv *out, struct err *err)
{
    struct sv text, *known;

    if (!mine->spec->is_total)
        return get_text(mine, fn, group, &text, err) != 0 ? -1
            : copy_text(mine->rows, text, out, err);
    known = &((struct sv *)fn->results.items)[group];
    if (known->ptr == NULL) {
        if (get_text(mine, fn, group, &text, err) != 0 ||
            hold_text(&mine->hold, text, known, err) != 0)
            return -1;
        if (known->len == 0)
            *known = SV("");
    }
    *out = *known;
    return 0;
}

/* --- chunks of rows in their order --- */

static int
load(struct rows *rows, const struct sv *names, uint32_t n,
    struct column **out, struct err *err)
{
    struct column *columns = pool_alloc(rows->pool, n * sizeof(*columns) + 1);

    if (columns == NULL)
        return err_set(err, ERR_LIMIT, "no memory for columns");
    for (uint32_t i = 0; i < n; i++) {
        const struct column *column;

        if (rows_column(rows, names[i], &column, err) != 0)
            return -1;
        columns[i] = *column;
        columns[i].name = names[i];
    }
    *out = columns;
    return 0;
}

static int
load_fn(struct stage_running *mine, struct running *fn, struct rows *rows,
    struct err *err)
{
    static const struct field_pattern all = {{"", 0}, true};
    const struct stats_fn *args = &fn->spec->fn;
    struct name_list names = {NULL, 0};

    if (reserve(mine, fn, err) != 0)
        return -1;
    fn->out = pool_alloc(rows->pool, rows->n * sizeof(*fn->out) + 1);
    if (fn->out == NULL)
        return err_set(err, ERR_LIMIT, "no memory for results");
    if ((args->kind != STATS_COUNT || args->nargs > 0) &&
        rows_match_names(rows, args->nargs == 0 ? &all : args->args,
            MAX(args->nargs, 1u), &names, err) != 0)
        return -1;
    fn->ncolumns = names.n;
    return load(rows, names.v, names.n, &fn->columns, err);
}

static int
pass_row(struct stage_running *mine, struct acc_rows *in, uint32_t row,
    struct err *err)
{
    for (uint32_t i = 0; i < mine->spec->nfns; i++) {
        struct running *fn = &mine->fns[i];

        if (mine->takes && (fn->acc != NULL ? acc_add(fn, in, row, err)
            : list_add(mine, fn, in->one, row, err)) != 0)
            return -1;
        if (mine->gives && give_result(mine, fn, in->one, &fn->out[row],
                err) != 0)
            return -1;
    }
    return 0;
}

static int
pass_rows(struct stage_running *mine, struct rows *rows, struct err *err)
{
    struct picks all = {rows->n, NULL, 0};
    struct acc_rows in = {.nrows = rows->n, .pool = rows->pool};
    struct keys_input input = {NULL, &all, rows->n, rows->pool};
    struct column *by;
    struct key_ids ids;

    mine->rows = rows;
    if (load(rows, mine->spec->by, mine->spec->nby, &by, err) != 0)
        return -1;
    input.columns = by;
    if (keys_map(&mine->groups, &input, &ids, err) != 0)
        return -1;
    in.ngroups = mine->groups.count;
    for (uint32_t i = 0; i < mine->spec->nfns; i++) {
        if (load_fn(mine, &mine->fns[i], rows, err) != 0)
            return -1;
    }
    for (uint32_t row = 0; row < rows->n; row++) {
        in.one = ids.ids == NULL ? ids.one : ids.ids[row];
        if (pass_row(mine, &in, row, err) != 0)
            return -1;
    }
    return 0;
}

/* What the stage of sort gives: all rows of a chunk are selected. */
static int
behind_write(struct stage *behind, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_running *mine = of_behind(behind);

    if (rows->n == 0)
        return 0;
    if (run_poll(mine->stage.run, err) != 0 ||
        make_all(mine, err) != 0 || pass_rows(mine, rows, err) != 0)
        return -1;
    if (!mine->gives)
        return 0;
    for (uint32_t i = 0; i < mine->spec->nfns; i++) {
        struct column column = {
            .name = mine->spec->fns[i].fn.result,
            .kind = COLUMN_TEXTS,
            .texts = mine->fns[i].out,
        };

        if (rows_set_column(rows, &column, err) != 0)
            return -1;
    }
    return stage_write(mine->stage.next, 0, rows, err);
}

static const struct stage_ops behind_ops = {
    behind_write, stage_flush_nothing, NULL
};

/* --- the stage --- */

static int
running_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_running *mine = (struct stage_running *)stage;

    return stage_write(mine->sort, lane, rows, err);
}

static int
running_flush(struct stage *stage, struct err *err)
{
    struct stage_running *mine = (struct stage_running *)stage;

    mine->takes = true;
    mine->gives = !mine->spec->is_total;
    if (mine->sort->ops->flush(mine->sort, err) != 0)
        return -1;
    if (!mine->spec->is_total)
        return 0;
    mine->takes = false;
    mine->gives = true;
    return mine->sort->ops->flush(mine->sort, err);
}

static void
running_free(struct stage *stage)
{
    struct stage_running *mine = (struct stage_running *)stage;

    if (mine->sort != NULL)
        mine->sort->ops->free(mine->sort);
    if (mine->is_made) {
        for (uint32_t i = 0; i < mine->spec->nfns; i++)
            fn_free(mine, &mine->fns[i]);
        keys_drop(&mine->groups);
        hold_free(&mine->hold);
    }
    sb_release(&mine->text);
    xfree(mine->fns);
    xfree(mine);
}

static const struct stage_ops running_ops = {
    running_write, running_flush, running_free
};

int
stage_new_running(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err)
{
    struct stage_running *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &running_ops;
    mine->stage.run = run;
    mine->spec = pipe->spec;
    mine->fns = xcalloc((size_t)mine->spec->nfns + 1, sizeof(*mine->fns));
    sb_init(&mine->text, RESULT_MAX);
    mine->behind.ops = &behind_ops;
    mine->behind.run = run;
    mine->sort_field.name = SV("_time");
    mine->sort_spec.fields = &mine->sort_field;
    mine->sort_spec.nfields = 1;
    mine->sort_spec.rank = SV_EMPTY;
    /* Behind that sort is this pipe: it tells what is read of the rows. */
    mine->sort_pipe.sort = &mine->sort_spec;
    mine->sort_pipe.next = (struct pipe *)(uintptr_t)pipe;
    if (stage_new_sort(&mine->sort, &mine->sort_pipe, run, err) != 0) {
        running_free(&mine->stage);
        return -1;
    }
    mine->sort->run = run;
    mine->sort->next = &mine->behind;
    *out = &mine->stage;
    return 0;
}
