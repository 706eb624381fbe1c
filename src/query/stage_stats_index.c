/* SPDX-License-Identifier: BSD-2-Clause */

/* stats: what it takes from the indexes of parts instead of rows. */

#include "core/base.h"
#include "query/stage_stats.h"

#include "query/index.h"
#include "storage/part_cells.h"

/* --- cells --- */

static bool
is_of_cells(const struct field_pattern *fields, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (fields[i].is_prefix || !part_cells_have(fields[i].name))
            return false;
    }
    return true;
}

static bool
function_takes_cells(const struct stats_fn *fn, bool *needs_durations)
{
    struct acc acc = {.fn = fn};
    bool is_duration = acc_is_of_duration(&acc);

    if (fn->filter != NULL && !filter_is_of_cells(fn->filter))
        return false;
    *needs_durations |= is_duration;
    switch (fn->kind) {
    case STATS_COUNT:
        return fn->nargs == 0 || (fn->nargs == 1 && fn->args[0].is_prefix &&
            fn->args[0].name.len == 0) || is_of_cells(fn->args, fn->nargs);
    case STATS_SUM:
    case STATS_AVG:
        return is_duration;
    case STATS_MIN:
    case STATS_MAX:
        return is_duration || (fn->nargs > 0 &&
            is_of_cells(fn->args, fn->nargs));
    case STATS_COUNT_UNIQ:
    case STATS_UNIQ_VALUES:
        return fn->nargs > 0 && is_of_cells(fn->args, fn->nargs);
    default:
        return false;
    }
}

static bool
want_patterns(struct cells_want *want, const struct field_pattern *fields,
    uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!fields[i].is_prefix && part_cells_have(fields[i].name) &&
            !cells_want_add(want, fields[i].name))
            return false;
    }
    return true;
}

bool
stats_takes_cells(const struct stage *stage, struct cells_want *want)
{
    const struct stage_stats *mine = (const struct stage_stats *)stage;
    const struct stats_spec *spec;

    if (stage->ops != &stats_ops)
        return false;
    spec = mine->spec;
    for (uint32_t i = 0; i < spec->nby; i++) {
        const struct stats_by *by = &spec->by[i];

        if (sv_eq(by->name, SV("_time"))) {
            if (want->by != NULL)
                return false;
            want->by = by;
        } else if (!part_cells_have(by->name) ||
            !cells_want_add(want, by->name)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < spec->nfns; i++) {
        const struct stats_fn *fn = &spec->fns[i];

        if (!function_takes_cells(fn, &want->has_durations) ||
            !want_patterns(want, fn->args, fn->nargs) ||
            !want_patterns(want, mine->filter_fields[i].patterns,
                mine->filter_fields[i].n))
            return false;
    }
    return true;
}

int
stats_add_cells(struct stage *stage, unsigned lane_index,
    const struct cells_chunk *cells, struct err *err)
{
    struct stage_stats *mine = (struct stage_stats *)stage;
    struct acc_cells v = {cells->v};
    struct stats_chunk chunk = {.rows = cells->rows};
    struct acc_rows in = {.nrows = cells->rows->n, .pool = cells->rows->pool};
    struct picks all;
    struct stats_lane *lane;
    struct keys_input input;
    struct key_ids ids;
    int result;

    if (stats_lane_get(mine, lane_index, &lane, err) != 0 ||
        stats_load_chunk(mine, lane, &chunk, err) != 0 ||
        picks_make(&all, chunk.rows, err) != 0)
        return -1;
    input = (struct keys_input){chunk.by, &all, in.nrows, in.pool};
    result = keys_map(&lane->keys, &input, &ids, err);
    in.one = ids.one;
    in.groups = ids.ids;
    in.ngroups = lane->keys.count;
    for (uint32_t i = 0; lane->accs[i] != NULL && result == 0; i++) {
        struct acc *acc = lane->accs[i];

        in.columns = chunk.args[i];
        in.ncolumns = chunk.nargs[i];
        in.picks = all;
        result = stats_reserve(acc, in.ngroups, err);
        if (result == 0 && acc->fn->filter != NULL)
            result = rows_pick(chunk.rows, acc->fn->filter, &in.picks, err);
        if (result != 0 || in.picks.n == 0)
            continue;
        result = acc->ops->add_cells != NULL ?
            acc->ops->add_cells(acc, &in, &v, err) :
            acc->ops->add(acc, &in, err);
    }
    return result;
}

/* --- traces --- */

bool
stats_counts_traces(const struct stage *stage)
{
    const struct stage_stats *mine = (const struct stage_stats *)stage;
    const struct stats_fn *fn;

    /* A trace may be on several nodes, so its id goes with the state. */
    if (stage->ops != &stats_ops || mine->spec->nby != 0 ||
        mine->spec->nfns != 1 || stage->run->state == stage)
        return false;
    fn = mine->spec->fns;
    return fn->kind == STATS_COUNT_UNIQ && fn->filter == NULL &&
        fn->nargs == 1 && !fn->args[0].is_prefix &&
        sv_eq(fn->args[0].name, SV("trace_id"));
}

int
stats_add_traces(struct stage *stage, unsigned lane_number,
    const struct uniq_ids *add, struct err *err)
{
    struct stage_stats *mine = (struct stage_stats *)stage;
    struct stats_lane *lane;
    uint32_t id;

    if (stats_lane_get(mine, lane_number, &lane, err) != 0 ||
        keys_find(&lane->keys, NULL, &id, err) != 0 ||
        stats_reserve(lane->accs[0], lane->keys.count, err) != 0)
        return -1;
    return acc_uniq_add_ids(lane->accs[0], add, err);
}

const struct id_set *
stats_traces(const struct stage *stage, unsigned lane)
{
    const struct stage_stats *mine = (const struct stage_stats *)stage;

    return mine->lanes[lane] == NULL ? NULL :
        acc_uniq_ids(mine->lanes[lane]->accs[0]);
}
