/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/stage_map.h"

#include "core/assert.h"
#include "core/mem.h"
#include "query/map_out.h"
#include "query/pipe_type.h"

/* Names of fields behind, and of those the filter reads, of one query. */
#define MAP_POOL_MAX (16 * MIB)
/*
 * Bytes of inputs between looks at the clock; a call of the mapper counts as
 * some more.  A regular expression may need a long time for one text.
 */
#define POLL_WORK (64 * KIB)
#define CALL_WORK KIB

struct stage_map {
    struct stage stage;
    struct mapper mapper;
    struct pool *pool;
    const struct pipe *pipe;
    struct needed needed; /* of the pipes behind */
    struct needed filter; /* what the filter reads */
    bool is_wanted;       /* somebody reads any of the targets */
};

/* The columns that are read. */
struct sources {
    struct name_list names;
    struct column *columns;
    struct map_field *in;
    char *scratch; /* COLUMN_TEXT_MAX for each */
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* --- which rows, which columns --- */

/*
 * Before the filter selects some of the rows: columns of the others would be
 * anything.
 */
static int
sources_load(struct sources *sources, const struct stage_map *mine,
    struct rows *rows, struct err *err)
{
    const struct mapper *mapper = &mine->mapper;
    const struct column *column;
    uint32_t n;

    sources->names = (struct name_list){mapper->sources, mapper->nsources};
    if (mapper->npatterns > 0 && rows_match_names(rows, mapper->patterns,
            mapper->npatterns, &sources->names, err) != 0)
        return -1;
    n = sources->names.n;
    sources->columns = pool_alloc(rows->pool,
        n * sizeof(*sources->columns) + 1);
    sources->in = pool_zalloc(rows->pool, n * sizeof(*sources->in) + 1);
    sources->scratch = pool_alloc(rows->pool,
        (size_t)n * COLUMN_TEXT_MAX + 1);
    if (sources->columns == NULL || sources->in == NULL ||
        sources->scratch == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        if (rows_column(rows, sources->names.v[i], &column, err) != 0)
            return -1;
        sources->columns[i] = *column;
        sources->in[i] = (struct map_field){sources->names.v[i], SV_EMPTY};
    }
    for (uint32_t i = 0; i < mine->filter.n; i++) {
        if (rows_column(rows, mine->filter.patterns[i].name, &column,
                err) != 0)
            return -1;
    }
    return 0;
}

/* --- calling the mapper --- */

static int
call(struct map_out *out, struct sources *sources, struct err *err)
{
    const struct mapper *mapper = out->mapper;

    out->work += CALL_WORK;
    for (uint32_t i = 0; i < sources->names.n; i++)
        out->work += sources->in[i].text.len;
    if (out->work > POLL_WORK) {
        out->work = 0;
        if (run_poll(out->run, err) != 0)
            return -1;
    }
    out->in = sources->in;
    out->nin = sources->names.n;
    out->cursor = 0;
    return mapper->map(mapper->spec, sources->in, sources->names.n, out, err);
}

static int
map_rows(struct map_out *out, struct sources *sources, struct err *err)
{
    uint32_t n = sources->names.n;

    out->nunits = out->picks.n;
    out->scratch = sv_make(sources->scratch, (size_t)n * COLUMN_TEXT_MAX);
    for (uint32_t i = 0; i < out->picks.n; i++) {
        uint32_t row = picks_row(&out->picks, i);

        for (uint32_t k = 0; k < n; k++)
            sources->in[k].text = column_text(&sources->columns[k], row,
                sources->scratch + (size_t)k * COLUMN_TEXT_MAX);
        out->unit = i;
        if (call(out, sources, err) != 0)
            return -1;
    }
    return 0;
}

/* Every row has the same text: one unit. */
static int
map_const(struct map_out *out, struct sources *sources, struct err *err)
{
    uint32_t *units = pool_zalloc(out->rows->pool,
        out->picks.n * sizeof(*units) + 1);

    if (units == NULL)
        return no_memory(err);
    out->units = units;
    out->nunits = 1;
    out->unit = 0;
    sources->in[0].text = column_text(&sources->columns[0], 0,
        sources->scratch);
    return call(out, sources, err);
}

/* A unit for each text that a picked row has. */
static int
map_codes(struct map_out *out, struct sources *sources, struct err *err)
{
    const struct column *column = &sources->columns[0];
    struct pool *pool = out->rows->pool;
    uint32_t *units = pool_alloc(pool, out->picks.n * sizeof(*units) + 1);
    /* Of each code: 1 + its unit; 0: not seen yet. */
    uint32_t *seen = pool_zalloc(pool, column->nvalues * sizeof(*seen) + 1);
    uint32_t *first = pool_alloc(pool,
        MIN(column->nvalues, out->picks.n) * sizeof(*first) + 1);

    if (units == NULL || seen == NULL || first == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < out->picks.n; i++) {
        uint32_t code = column->codes[picks_row(&out->picks, i)];

        check(code < column->nvalues);
        if (seen[code] == 0) {
            first[out->nunits++] = code;
            seen[code] = out->nunits;
        }
        units[i] = seen[code] - 1;
    }
    out->units = units;
    for (out->unit = 0; out->unit < out->nunits; out->unit++) {
        sources->in[0].text = column->values[first[out->unit]];
        if (call(out, sources, err) != 0)
            return -1;
    }
    return 0;
}

static int
map_all(struct map_out *out, struct sources *sources, struct err *err)
{
    if (!out->mapper->is_pure || sources->names.n > 1 || out->picks.n == 0)
        return map_rows(out, sources, err);
    if (sources->names.n == 0 ||
        sources->columns[0].kind == COLUMN_EMPTY ||
        sources->columns[0].kind == COLUMN_CONST)
        return sources->names.n == 0 ? map_rows(out, sources, err)
            : map_const(out, sources, err);
    if (sources->columns[0].kind == COLUMN_CODES)
        return map_codes(out, sources, err);
    return map_rows(out, sources, err);
}

/* --- the stage --- */

static int
map_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_map *mine = (struct stage_map *)stage;
    struct map_out out = {.mapper = &mine->mapper, .needed = &mine->needed,
        .run = stage->run, .rows = rows};
    struct sources sources;
    int result;

    if (rows->nselected == 0)
        return 0;
    if (!mine->is_wanted)
        return stage_write(stage->next, lane, rows, err);
    if (sources_load(&sources, mine, rows, err) != 0 ||
        map_out_init(&out, err) != 0)
        return -1;
    result = rows_pick(rows, mine->pipe->filter, &out.picks, err);
    if (result == 0)
        result = map_all(&out, &sources, err);
    if (result == 0)
        result = map_out_finish(&out, err);
    map_out_release(&out);
    return result != 0 ? -1 : stage_write(stage->next, lane, rows, err);
}

static void
map_free(struct stage *stage)
{
    struct stage_map *mine = (struct stage_map *)stage;

    pool_free(mine->pool);
    xfree(mine);
}

static const struct stage_ops map_ops = {
    map_write, stage_flush_nothing, map_free
};

static bool
any_wanted(const struct needed *needed, const struct mapper *mapper)
{
    bool is_wanted = needed->is_all || (mapper->is_open && needed->n > 0);

    for (uint32_t i = 0; i < mapper->ntargets && !is_wanted; i++)
        is_wanted = needed_has(needed, mapper->targets[i]);
    return is_wanted;
}

int
map_make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, struct err *err)
{
    struct stage_map *mine = xcalloc(1, sizeof(*mine));
    const struct mapper *mapper = &mine->mapper;

    mine->stage.ops = &map_ops;
    mine->pipe = pipe;
    mine->mapper = pipe->type->ops->mapper(pipe);
    mine->pool = pool_new(MAP_POOL_MAX);
    mine->needed.is_all = true;
    if (needed_find(&mine->needed, pipe->next, mine->pool, err) != 0 ||
        (needed_add_filter(&mine->filter, pipe->filter, mine->pool) != 0 &&
            err_set(err, ERR_LIMIT, "no memory for the query") != 0)) {
        map_free(&mine->stage);
        return -1;
    }
    mine->is_wanted = any_wanted(&mine->needed, mapper);
    *out = &mine->stage;
    return 0;
}

int
map_needed(struct needed *needed, const struct pipe *pipe, struct pool *pool)
{
    struct mapper mapper = pipe->type->ops->mapper(pipe);

    if (!any_wanted(needed, &mapper))
        return 0;
    if (pipe->filter == NULL && mapper.keep == MAP_REPLACE) {
        for (uint32_t i = 0; i < mapper.ntargets; i++)
            needed_remove(needed,
                &(struct field_pattern){mapper.targets[i], false});
    }
    for (uint32_t i = 0; i < mapper.nsources; i++) {
        if (needed_add_name(needed, mapper.sources[i], pool) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < mapper.npatterns; i++) {
        if (needed_add(needed, &mapper.patterns[i], pool) != 0)
            return -1;
    }
    return needed_add_filter(needed, pipe->filter, pool);
}
