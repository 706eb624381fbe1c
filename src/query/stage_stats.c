/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * stats: rows are mapped to groups once per chunk (keys.h), then each
 * function takes in the whole chunk (acc.h).
 */

#include "core/base.h"
#include "query/stage_stats.h"

#include "core/mem.h"
#include "query/lanes.h"
#include "query/parser.h"

#define STATS_POOL_MAX (64 * MIB)
/* The text of one result: uniq_values of a group. */
#define RESULT_MAX (256 * MIB)

int
stats_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    if (ngroups <= acc->ngroups)
        return 0;
    if (acc->ops->reserve(acc, ngroups, err) != 0)
        return -1;
    acc->ngroups = ngroups;
    return 0;
}

/* --- lanes --- */

void
stats_lane_free(struct stage_stats *mine, struct stats_lane *lane)
{
    if (lane == NULL)
        return;
    for (uint32_t i = 0; i < mine->spec->nfns; i++) {
        if (lane->accs[i] == NULL)
            continue;
        lane->accs[i]->ops->free(lane->accs[i]);
        xfree(lane->accs[i]);
    }
    keys_drop(&lane->keys);
    hold_free(&lane->hold);
    xfree(lane->accs);
    xfree(lane);
}

static struct acc *
acc_new(struct stage_stats *mine, struct stats_lane *lane,
    const struct stats_fn *fn)
{
    const struct acc_ops *ops = fn->type->acc;
    struct acc *acc = xcalloc(1, ops->size);

    acc->ops = ops;
    acc->fn = fn;
    acc->hold = &lane->hold;
    acc->run = mine->stage.run;
    acc->is_all = fn->nargs == 0;
    acc->rate_step = mine->rate_step;
    for (uint32_t i = 0; i < fn->nargs; i++)
        acc->is_all |= fn->args[i].is_prefix && fn->args[i].name.len == 0;
    return acc;
}

int
stats_lane_get(struct stage_stats *mine, unsigned i, struct stats_lane **out,
    struct err *err)
{
    const struct stats_spec *spec = mine->spec;
    struct stats_lane *lane = mine->lanes[i];

    *out = lane;
    if (lane != NULL)
        return 0;
    lane = mine->lanes[i] = *out = xcalloc(1, sizeof(*lane));
    lane->accs = xcalloc((size_t)spec->nfns + 1, sizeof(struct acc *));
    hold_init(&lane->hold, &mine->stage.run->budget);
    if (keys_init(&lane->keys, &lane->hold, spec->nby, spec->by, err) != 0)
        return -1;
    for (uint32_t k = 0; k < spec->nfns; k++) {
        struct acc *acc = acc_new(mine, lane, &spec->fns[k]);

        lane->accs[k] = acc;
        if (acc->ops->init != NULL && acc->ops->init(acc, err) != 0)
            return -1;
    }
    return 0;
}

/* --- taking rows in --- */

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no memory for stats");
}

static int
load(struct rows *rows, const struct sv *names, uint32_t n,
    struct column **out, struct err *err)
{
    struct column *columns = pool_alloc(rows->pool, n * sizeof(*columns) + 1);
    const struct column *column;

    if (columns == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        if (rows_column(rows, names[i], &column, err) != 0)
            return -1;
        columns[i] = *column;
        columns[i].name = names[i];
    }
    *out = columns;
    return 0;
}

/* The fields of keys in front of those of the arguments. */
static int
add_keys(struct rows *rows, const struct stats_fn *fn,
    struct name_list *names, struct err *err)
{
    uint32_t n = fn->nkeys + names->n;
    struct sv *v;

    if (fn->nkeys == 0)
        return 0;
    v = pool_alloc(rows->pool, n * sizeof(*v));
    if (v == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++)
        v[i] = i < fn->nkeys ? fn->keys[i].name : names->v[i - fn->nkeys];
    *names = (struct name_list){v, n};
    return 0;
}

static int
load_function(struct stats_chunk *chunk, const struct acc *acc, uint32_t i,
    struct err *err)
{
    static const struct field_pattern all = {{"", 0}, true};
    const struct stats_fn *fn = acc->fn;
    struct name_list names = {NULL, 0};

    chunk->nargs[i] = 0;
    if (fn->kind == STATS_COUNT && acc->is_all)
        return 0;
    if (fn->kind == STATS_COUNT_UNIQ) {
        /* A tuple: no name may be left out, even if it is there twice. */
        struct sv *args = pool_alloc(chunk->rows->pool,
            fn->nargs * sizeof(*args) + 1);

        if (args == NULL)
            return no_memory(err);
        for (uint32_t k = 0; k < fn->nargs; k++)
            args[k] = fn->args[k].name;
        names = (struct name_list){args, fn->nargs};
    } else if ((!(fn->type->traits & FUNCTION_LATE) &&
            rows_match_names(chunk->rows, fn->nargs == 0 ? &all : fn->args,
                MAX(fn->nargs, 1u), &names, err) != 0) ||
        add_keys(chunk->rows, fn, &names, err) != 0) {
        return -1;
    }
    chunk->nargs[i] = names.n;
    return load(chunk->rows, names.v, names.n, &chunk->args[i], err);
}

static int
load_filters(struct stage_stats *mine, struct rows *rows, struct err *err)
{
    for (uint32_t i = 0; i < mine->spec->nfns; i++) {
        const struct needed *fields = &mine->filter_fields[i];
        const struct column *column;

        for (uint32_t k = 0; k < fields->n; k++) {
            if (rows_column(rows, fields->patterns[k].name, &column,
                    err) != 0)
                return -1;
        }
    }
    return 0;
}

int
stats_load_chunk(struct stage_stats *mine, struct stats_lane *lane,
    struct stats_chunk *chunk, struct err *err)
{
    const struct stats_spec *spec = mine->spec;
    struct pool *pool = chunk->rows->pool;
    struct sv *names = pool_alloc(pool, spec->nby * sizeof(*names) + 1);

    chunk->args = pool_alloc(pool, spec->nfns * sizeof(*chunk->args) + 1);
    chunk->nargs = pool_alloc(pool, spec->nfns * sizeof(*chunk->nargs) + 1);
    if (names == NULL || chunk->args == NULL || chunk->nargs == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < spec->nby; i++)
        names[i] = spec->by[i].name;
    /* Times are cheaper once durations are there, which are arguments. */
    for (uint32_t i = 0; i < spec->nfns; i++) {
        if (load_function(chunk, lane->accs[i], i, err) != 0)
            return -1;
    }
    if (load(chunk->rows, names, spec->nby, &chunk->by, err) != 0)
        return -1;
    return load_filters(mine, chunk->rows, err);
}

/* --- fields that a star stands for --- */

/*
 * min, max, quantile and values count a missing value as "".  But a star
 * stands for the fields that a row has, whatever other rows of the block have.
 */
static bool
has_stars(const struct stats_fn *fn)
{
    bool has_star = fn->nargs == 0;

    for (uint32_t i = 0; i < fn->nargs; i++)
        has_star |= fn->args[i].is_prefix;
    return has_star && (fn->type->traits & FUNCTION_EMPTY) != 0;
}

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
pick_filled(const struct acc_rows *in, const struct column *column,
    struct picks *out, struct err *err)
{
    uint32_t *index = pool_alloc(in->pool, in->picks.n * sizeof(*index) + 1);

    if (index == NULL)
        return no_memory(err);
    *out = (struct picks){0, index, 0};
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);

        index[out->n] = row;
        out->n += column_is_filled(column, row);
    }
    return 0;
}

/* Column by column. */
static int
add_stars(struct acc *acc, const struct acc_rows *all, struct err *err)
{
    struct acc_rows in = *all;

    in.ncolumns = 1;
    for (uint32_t i = 0; i < all->ncolumns; i++) {
        in.columns = &all->columns[i];
        in.picks = all->picks;
        if (is_of_star(acc->fn, in.columns->name) &&
            pick_filled(all, in.columns, &in.picks, err) != 0)
            return -1;
        if (in.picks.n > 0 && acc->ops->add(acc, &in, err) != 0)
            return -1;
    }
    return 0;
}

/* --- adding --- */

static bool
takes_runs(const struct acc *acc, const struct acc_rows *in)
{
    bool is_plain = true;

    for (uint32_t i = 0; i < in->ncolumns; i++)
        is_plain &= in->columns[i].kind != COLUMN_CODES &&
            in->columns[i].kind != COLUMN_TEXTS;
    return !has_stars(acc->fn) && (acc->ops->runs == ACC_RUNS_ALWAYS ||
        (acc->ops->runs == ACC_RUNS_PLAIN && is_plain));
}

/* Run by run: each is of one group. */
static int
add_runs(struct acc *acc, const struct acc_rows *all,
    const struct key_ids *ids, struct err *err)
{
    struct acc_rows in = *all;
    const uint32_t *index = all->picks.index;
    uint32_t at = 0;

    in.groups = NULL;
    for (uint32_t i = 0; i < ids->nruns; i++) {
        const struct key_run *run = &ids->runs[i];

        in.one = run->id;
        in.picks = (struct picks){
            run->n, index == NULL ? NULL : index + at, at
        };
        if (acc->ops->add(acc, &in, err) != 0)
            return -1;
        at += run->n;
    }
    return 0;
}

static int
add_rows(struct stats_lane *lane, const struct stats_chunk *chunk,
    struct acc_rows *in, struct key_ids *ids, struct err *err)
{
    struct keys_input input = {
        chunk->by, &in->picks, in->nrows, in->pool
    };
    struct picks all = in->picks;
    int result = 0;

    for (uint32_t i = 0; lane->accs[i] != NULL && result == 0; i++) {
        struct acc *acc = lane->accs[i];
        const struct filter *filter = acc->fn->filter;
        bool has_filter = filter != NULL && filter->kind != FILTER_ALL;

        in->picks = all;
        in->columns = chunk->args[i];
        in->ncolumns = chunk->nargs[i];
        if (stats_reserve(acc, in->ngroups, err) != 0)
            return -1;
        if (ids->nruns > 0 && !has_filter && takes_runs(acc, in)) {
            result = add_runs(acc, in, ids, err);
            continue;
        }
        if (keys_expand(&lane->keys, &input, ids, err) != 0 || (has_filter &&
            rows_pick(chunk->rows, filter, &in->picks, err) != 0))
            return -1;
        in->groups = ids->ids;
        if (in->picks.n > 0)
            result = has_stars(acc->fn) ? add_stars(acc, in, err)
                : acc->ops->add(acc, in, err);
    }
    return result;
}

static int
stats_write(struct stage *stage, unsigned lane_index, struct rows *rows,
    struct err *err)
{
    struct stage_stats *mine = (struct stage_stats *)stage;
    struct stats_chunk chunk = {.rows = rows};
    struct acc_rows in = {.nrows = rows->n, .pool = rows->pool, .rows = rows};
    struct stats_lane *lane;
    struct keys_input input;
    struct key_ids ids;

    if (rows->nselected == 0)
        return 0;
    if (stats_lane_get(mine, lane_index, &lane, err) != 0 ||
        stats_load_chunk(mine, lane, &chunk, err) != 0 ||
        picks_make(&in.picks, rows, err) != 0)
        return -1;
    input = (struct keys_input){chunk.by, &in.picks, rows->n, rows->pool};
    if (keys_map_runs(&lane->keys, &input, &ids, err) != 0)
        return -1;
    in.one = ids.one;
    in.ngroups = lane->keys.count;
    return add_rows(lane, &chunk, &in, &ids, err);
}

/* --- results --- */

int
stats_lane_merge(struct stage_stats *mine, struct stats_lane *to,
    struct stats_lane *from, struct err *err)
{
    struct hold_array map = {NULL, 0};
    bool keeps_hold = false;
    int result = keys_merge(&to->keys, &from->keys, &map, mine->stage.run,
        err);

    for (uint32_t i = 0; i < mine->spec->nfns && result == 0; i++) {
        struct acc *acc = to->accs[i];

        result = run_poll(mine->stage.run, err);
        if (result == 0)
            result = stats_reserve(acc, to->keys.count, err);
        if (result == 0)
            result = acc->ops->merge(acc, from->accs[i], map.items, err);
        keeps_hold |= acc->ops->keeps_hold;
    }
    if (keeps_hold)
        hold_adopt(&to->hold, &from->hold);
    hold_drop(&to->hold, &map, sizeof(uint32_t));
    return result;
}

/* Results of one group behind its keys; they are views into *buf. */
static int
print_group(struct stats_lane *lane, uint32_t group, struct sv *texts,
    struct sb *buf, struct err *err)
{
    uint32_t nby = lane->keys.ncolumns, n = 0;
    size_t start = 0;

    sb_reset(buf);
    keys_texts(&lane->keys, group, texts);
    for (; lane->accs[n] != NULL; n++) {
        struct acc *acc = lane->accs[n];

        if (acc->ops->print(acc, group, buf, err) != 0)
            return -1;
        texts[nby + n].len = buf->len - start;
        start = buf->len;
    }
    if (sb_failed(buf))
        return err_set(err, ERR_LIMIT, "the result of a group is too long");
    start = 0;
    for (uint32_t i = 0; i < n; i++) {
        texts[nby + i].ptr = buf->ptr + start;
        start += texts[nby + i].len;
    }
    return 0;
}

/* Groups that one thread finishes at a time. */
#define FINISH_GROUPS 8u

static int IMPL(lane_fn)
finish_piece(void *arg, UNUSED unsigned lane, uint32_t piece,
    struct pool *pool, UNUSED struct err *err)
{
    struct stats_lane *all = arg;
    uint32_t end = MIN((piece + 1) * FINISH_GROUPS, all->keys.count);

    for (uint32_t i = 0; all->accs[i] != NULL; i++) {
        const struct acc_ops *ops = all->accs[i]->ops;

        for (uint32_t group = piece * FINISH_GROUPS;
            ops->finish != NULL && group < end; group++)
            ops->finish(all->accs[i], group, pool);
    }
    return 0;
}

/* What takes long of the results, by all threads that help. */
static int
finish_groups(struct stage_stats *mine, struct stats_lane *all,
    struct err *err)
{
    struct query_run *run = mine->stage.run;
    struct lanes lanes = {run, run->tasks,
        (all->keys.count + FINISH_GROUPS - 1) / FINISH_GROUPS, finish_piece,
        all};

    for (uint32_t i = 0; all->accs[i] != NULL; i++) {
        if (all->accs[i]->ops->finish != NULL)
            return lanes_run(&lanes, err);
    }
    return 0;
}

static int
emit_groups(struct stage_stats *mine, struct stats_lane *lane,
    struct emit *emit, struct err *err)
{
    struct sv *texts = xcalloc((size_t)emit->ncolumns + 1, sizeof(*texts));
    struct sb buf;
    int result = 0;

    sb_init(&buf, RESULT_MAX);
    for (uint32_t i = 0; i < mine->spec->nfns && result == 0; i++)
        result = stats_reserve(lane->accs[i], lane->keys.count, err);
    if (result == 0)
        result = finish_groups(mine, lane, err);
    for (uint32_t i = 0; i < lane->keys.count && result == 0 &&
        !emit->is_done; i++) {
        if (i % 256 == 0)
            result = run_poll(mine->stage.run, err);
        if (result == 0)
            result = print_group(lane, i, texts, &buf, err);
        if (result == 0)
            result = emit_row(emit, texts, err);
    }
    if (result == 0)
        result = emit_end(emit, err);
    sb_release(&buf);
    xfree(texts);
    return result;
}

static int
emit_lane(struct stage_stats *mine, struct stats_lane *lane, struct err *err)
{
    const struct stats_spec *spec = mine->spec;
    uint32_t n = spec->nby + spec->nfns;
    struct sv *names = xcalloc((size_t)n + 1, sizeof(*names));
    struct emit emit;
    int result;

    for (uint32_t i = 0; i < spec->nby; i++)
        names[i] = spec->by[i].name;
    for (uint32_t i = 0; i < spec->nfns; i++)
        names[spec->nby + i] = spec->fns[i].result;
    emit_begin(&emit, mine->stage.next, names, n);
    result = emit_groups(mine, lane, &emit, err);
    emit_free(&emit);
    xfree(names);
    return result;
}

static int
stats_flush(struct stage *stage, struct err *err)
{
    struct stage_stats *mine = (struct stage_stats *)stage;
    struct stats_lane *all = NULL;
    uint32_t id;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        struct stats_lane *lane = mine->lanes[i];

        if (lane == NULL)
            continue;
        if (all == NULL) {
            all = lane;
            continue;
        }
        if (stats_lane_merge(mine, all, lane, err) != 0)
            return -1;
        stats_lane_free(mine, lane);
        mine->lanes[i] = NULL;
    }
    if (mine->spec->nby == 0) {
        /* One row even of nothing. */
        if (all == NULL && stats_lane_get(mine, 0, &all, err) != 0)
            return -1;
        if (keys_find(&all->keys, NULL, &id, err) != 0)
            return -1;
    }
    return all == NULL ? 0 : emit_lane(mine, all, err);
}

static void
stats_free(struct stage *stage)
{
    struct stage_stats *mine = (struct stage_stats *)stage;

    /*
     * The other way round than they are merged: behind a merge that failed
     * an earlier lane may own what a later one still uses.
     */
    for (unsigned i = QUERY_LANES_MAX; i-- > 0;)
        stats_lane_free(mine, mine->lanes[i]);
    pool_free(mine->pool);
    xfree(mine);
}

const struct stage_ops stats_ops = {
    stats_write, stats_flush, stats_free
};

/* A bucket of time is the step of its rates; else the query tells it. */
static double
rate_step(const struct stats_spec *spec, const struct query_run *run)
{
    for (uint32_t i = 0; i < spec->nby; i++) {
        const struct stats_by *by = &spec->by[i];

        if (sv_eq(by->name, SV("_time")) && by->step_ns > 0 &&
            (by->bucket == BUCKET_STEP || by->bucket == BUCKET_WEEK))
            return (double)by->step_ns / 1e9;
    }
    return run->query == NULL ? 0 : run->query->rate_step;
}

int
stage_new_stats(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err)
{
    const struct stats_spec *spec = pipe->stats;
    struct stage_stats *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &stats_ops;
    mine->stage.state = &stats_state;
    mine->spec = spec;
    mine->rate_step = rate_step(spec, run);
    mine->pipe = pipe;
    mine->pool = pool_new(STATS_POOL_MAX);
    mine->filter_fields = pool_zalloc(mine->pool,
        (spec->nfns + 1) * sizeof(*mine->filter_fields));
    if (mine->filter_fields == NULL)
        goto failed;
    for (uint32_t i = 0; i < spec->nfns; i++) {
        if (needed_add_filter(&mine->filter_fields[i], spec->fns[i].filter,
                mine->pool) != 0)
            goto failed;
    }
    *out = &mine->stage;
    return 0;
failed:
    stats_free(&mine->stage);
    return no_memory(err);
}
