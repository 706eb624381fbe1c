/* SPDX-License-Identifier: BSD-2-Clause */

/* Rows that a query keeps as long as it runs. */

#include "core/base.h"
#include "query/inside.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "query/dict.h"
#include "query/rows.h"
#include "query/stage.h"

/* Names of all fields of the rows: a block has some thousand at most. */
#define HELD_NAMES_BYTES_MAX (64 * MIB)
#define HELD_ROWS_MAX (UINT32_MAX - 1)

void
held_init(struct held *held, struct query_budget *budget)
{
    memset(held, 0, sizeof(*held));
    hold_init(&held->hold, budget);
    intern_init(&held->names, HELD_NAMES_BYTES_MAX, dict_secret());
}

void
held_free(struct held *held)
{
    if (held->hold.budget == NULL)
        return;
    hold_drop(&held->hold, &held->rows, sizeof(struct held_row));
    intern_release(&held->names);
    hold_free(&held->hold);
}

struct sv
held_text(const struct held_row *row, uint32_t name)
{
    uint32_t low = 0, high = row->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (row->cells[middle].name == name)
            return sv_make(row->cells[middle].ptr, row->cells[middle].len);
        if (row->cells[middle].name < name)
            low = middle + 1;
        else
            high = middle;
    }
    return SV_EMPTY;
}

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no memory for the rows of a query "
        "inside the query");
}

/* What a name takes besides its bytes. */
#define NAME_COST 64u

/* New names are charged as the hold's. */
static int
name_add(struct held *held, struct sv name, uint32_t *out, struct err *err)
{
    uint32_t n = held->names.n;
    size_t bytes = name.len + NAME_COST;

    *out = intern_add(&held->names, name);
    if (*out == INTERN_NONE)
        return no_memory(err);
    if (held->names.n == n)
        return 0;
    if (budget_take(held->hold.budget, bytes, err) != 0)
        return -1;
    held->hold.taken += bytes;
    return 0;
}

/* A column, and the number of its name. */
struct source {
    uint32_t name;
    struct column column;
};

static int
source_cmp(const void *left, const void *right)
{
    const struct source *a = left, *b = right;

    return (a->name > b->name) - (a->name < b->name);
}

static int
row_add(struct held *held, const struct source *sources, uint32_t n,
    uint32_t row, struct err *err)
{
    struct held_row *out;
    struct held_cell *cells;
    uint32_t used = 0;
    char buf[COLUMN_TEXT_MAX];

    for (uint32_t i = 0; i < n; i++)
        used += column_is_filled(&sources[i].column, row);
    cells = hold_alloc(&held->hold, used * sizeof(*cells), err);
    if (cells == NULL || held->nrows == HELD_ROWS_MAX ||
        hold_grow_raw(&held->hold, &held->rows, held->nrows + 1u,
            sizeof(*out), err) != 0)
        return cells == NULL ? -1 : no_memory(err);
    out = (struct held_row *)held->rows.items + held->nrows;
    *out = (struct held_row){cells, 0};
    for (uint32_t i = 0; i < n; i++) {
        struct sv text = column_text(&sources[i].column, row, buf);

        if (text.len == 0)
            continue;
        if (hold_text(&held->hold, text, &text, err) != 0)
            return -1;
        check(out->n < used && text.len <= UINT32_MAX);
        cells[out->n++] = (struct held_cell){text.ptr, (uint32_t)text.len,
            sources[i].name};
    }
    held->nrows++;
    return 0;
}

int
held_add(struct held *held, const struct sv *names, const struct sv *texts,
    uint32_t n, struct err *err)
{
    struct source *sources = mem_try_alloc((n + 1) * sizeof(*sources));
    int rc = sources == NULL ? no_memory(err) : 0;

    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc = name_add(held, names[i], &sources[i].name, err);
        sources[i].column = (struct column){.kind = COLUMN_TEXTS,
            .texts = &texts[i]};
    }
    if (rc == 0) {
        qsort(sources, n, sizeof(*sources), source_cmp);
        rc = row_add(held, sources, n, 0, err);
    }
    xfree(sources);
    return rc;
}

/* --- the sink --- */

struct sink_held {
    struct stage stage;
    struct held *held;
    pthread_mutex_t mutex;
};

/* Loads all columns that have something. */
static int
sources_make(struct rows *rows, struct source **out, uint32_t *n,
    struct err *err)
{
    const struct sv *names;
    struct source *sources;
    uint32_t nnames;

    if (rows_names(rows, &names, &nnames, err) != 0)
        return -1;
    sources = pool_alloc(rows->pool, nnames * sizeof(*sources) + 1);
    if (sources == NULL)
        return no_memory(err);
    *n = 0;
    for (uint32_t i = 0; i < nnames; i++) {
        const struct column *column;

        if ((rows->run != NULL && run_poll(rows->run, err) != 0) ||
            rows_column(rows, names[i], &column, err) != 0)
            return -1;
        if (column->kind == COLUMN_EMPTY)
            continue;
        sources[*n].column = *column;
        sources[(*n)++].column.name = names[i];
    }
    *out = sources;
    return 0;
}

static int
rows_add(struct sink_held *mine, struct rows *rows, struct source *sources,
    uint32_t n, struct err *err)
{
    struct held *held = mine->held;
    uint32_t seen = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (name_add(held, sources[i].column.name, &sources[i].name,
                err) != 0)
            return -1;
    }
    qsort(sources, n, sizeof(*sources), source_cmp);
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        if (seen++ % STAGE_POLL_ROWS == 0 &&
            run_poll(mine->stage.run, err) != 0)
            return -1;
        if (row_add(held, sources, n, row, err) != 0)
            return -1;
    }
    return 0;
}

static int
sink_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_held *mine = (struct sink_held *)stage;
    struct source *sources = NULL;
    uint32_t n = 0;
    int rc;

    if (sources_make(rows, &sources, &n, err) != 0)
        return -1;
    pthread_mutex_lock(&mine->mutex);
    rc = rows_add(mine, rows, sources, n, err);
    pthread_mutex_unlock(&mine->mutex);
    return rc;
}

static void
sink_free(struct stage *stage)
{
    struct sink_held *mine = (struct sink_held *)stage;

    pthread_mutex_destroy(&mine->mutex);
    xfree(mine);
}

static const struct stage_ops sink_ops = {
    sink_write, stage_flush_nothing, sink_free
};

int
held_run(struct held *held, struct query_run *outer, struct query *query,
    struct err *err)
{
    struct sink_held *sink = xcalloc(1, sizeof(*sink));

    sink->stage.ops = &sink_ops;
    sink->held = held;
    check(pthread_mutex_init(&sink->mutex, NULL) == 0);
    return inside_run(outer, query, &sink->stage, err);
}
