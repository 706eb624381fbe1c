/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Sites for t/unit/split.c: a store, or a front of other sites, all in this
 * process.  A store is one form of a world, which the catalogue shows while
 * it is asked; what a site answers goes to its front as rows and states.
 */

#ifndef SPOOR_T_UNIT_SPLIT_SITE_H
#define SPOOR_T_UNIT_SPLIT_SITE_H

#include "core/base.h"

#include "equality_data.h"
#include "equality_run.h"
#include "query/parser.h"
#include "query/pipe_type.h"
#include "query/split.h"
#include "query/state.h"

#define SITE_KIDS_MAX 4u

struct site {
    const struct world *world; /* of a store */
    enum form_kind form;
    const struct site *kids[SITE_KIDS_MAX];
    uint32_t nkids;
};

/* Whom queries ask now. */
static const struct site *site_now;

static struct {
    uint64_t asked[3]; /* by enum split_end */
    uint64_t rows;
    uint64_t states;
    uint64_t state_bytes;
} site_counts;

/* --- what a site gives to its front --- */

struct site_out {
    struct stage stage;
    const struct source_plan *plan;
    const struct site *front;
    bool is_enough;
};

static int
site_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct site_out *out = (struct site_out *)stage;
    const struct split *split = out->plan->split;
    const struct site *me = site_now;
    struct pool *pool = pool_new(GIB);
    struct rows given;
    const struct sv *names;
    uint32_t n;
    int rc = -1;

    /* Only what is asked for, and no block. */
    rows_init(&given, rows->n, pool);
    rows_select(&given, rows->selected);
    if (rows_names(rows, &names, &n, err) != 0)
        goto out;
    for (uint32_t i = 0; i < n; i++) {
        const struct column *column;
        struct column copy;

        if (!needed_has(&split->needed, names[i]))
            continue;
        if (rows_column(rows, names[i], &column, err) != 0)
            goto out;
        copy = *column;
        copy.name = names[i];
        if (rows_set_column(&given, &copy, err) != 0)
            goto out;
    }
    site_counts.rows += given.nselected;
    site_now = out->front;
    rc = split_give_rows(out->plan, 0, &given, err);
    site_now = me;
    out->is_enough |= rc > 0;
out:
    pool_free(pool);
    return rc;
}

static int
site_flush(UNUSED struct stage *stage, UNUSED struct err *err)
{
    return 0;
}

static void
site_free(UNUSED struct stage *stage)
{
}

static const struct stage_ops site_ops = {site_write, site_flush, site_free};

static int
site_state(void *arg, struct sv state, struct err *err)
{
    struct site_out *out = arg;
    const struct site *me = site_now;
    int rc;

    site_counts.states++;
    site_counts.state_bytes += state.len;
    site_now = out->front;
    rc = split_give_state(out->plan, 0, state, err);
    site_now = me;
    out->is_enough |= rc > 0;
    return MIN(rc, 0);
}

/* --- asking --- */

/* Pipes travel as text. */
static struct query *
site_travel(const struct query *remote, struct pool *pool, struct err *err)
{
    struct query *parsed, *query = pool_alloc(pool, sizeof(*query));
    struct sb sb;

    sb_init(&sb, 16 * MIB);
    sb_add_char(&sb, '*');
    for (const struct pipe *pipe = remote->pipes; pipe != NULL;
        pipe = pipe->next) {
        sb_add_str(&sb, " | ");
        pipe->type->ops->print(&sb, pipe);
    }
    if (query_parse(&parsed, sv_make(pool_dup(pool, sb.ptr, sb.len), sb.len),
            EQUALITY_NOW, pool, err) != 0) {
        diag("pipes of a node: %s", sb.ptr);
        query = NULL;
    } else {
        *query = *remote;
        query->pool = pool;
        query->pipes = parsed->pipes;
        query->npipes = parsed->npipes;
        /* Filters that came first are in the filter now. */
        if (parsed->filter->kind != FILTER_ALL &&
            query_add_filter(query, parsed->filter, false, err) != 0)
            query = NULL;
    }
    sb_release(&sb);
    return query;
}

static int site_source(const struct source_plan *plan, struct err *err);

static struct query_env
site_env(const struct site *site, const struct tenant *tenant)
{
    return (struct query_env){.tenant = *tenant,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL, .lanes_max = 1,
        .memory_max = GIB, .results_max = 16 * MIB, .results_rows_min = 1,
        .source = site->nkids > 0 ? site_source : NULL,
        .is_remote = site->nkids > 0};
}

static int
site_ask(const struct source_plan *plan, const struct site *front,
    const struct site *site, struct site_out *out, struct err *err)
{
    struct query_env env = site_env(site, &plan->tenant);
    struct pool *pool = pool_new(GIB);
    struct query *query = site_travel(plan->split->remote, pool, err);
    struct store_answer about;
    int rc = -1;

    if (plan->split->end == SPLIT_STATE) {
        env.state_fn = site_state;
        env.state_arg = out;
        /* Mostly in very many pieces. */
        env.state_piece = 1 + site_counts.asked[SPLIT_STATE] % 4 * 700;
    }
    out->front = front;
    site_now = site;
    if (site->nkids == 0)
        world_show(site->world, site->form);
    if (query != NULL)
        rc = query_execute(query, &env, &out->stage, &about, err);
    site_now = front;
    pool_free(pool);
    return rc;
}

static int
site_source(const struct source_plan *plan, struct err *err)
{
    const struct site *front = site_now;
    struct site_out out = {.stage = {.ops = &site_ops}, .plan = plan};

    site_counts.asked[plan->split->end]++;
    for (uint32_t i = 0; i < front->nkids && !out.is_enough; i++) {
        if (site_ask(plan, front, front->kids[i], &out, err) != 0)
            return -1;
    }
    return 0;
}

/* --- questions --- */

struct question {
    struct sv text;
    const struct tenant *tenant;
    bool is_of_all;   /* without its filter */
    bool has_front;   /* somebody looks at rows in front of the pipes */
    struct sv hidden; /* a field; empty: none */
};

struct site_front {
    struct stage stage;
    uint64_t *rows;
};

static int
front_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct site_front *front = (struct site_front *)stage;

    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        const struct column *times;
        char buf[COLUMN_TEXT_MAX];
        struct sv text;

        if (rows_column(rows, SV("_time"), &times, err) != 0)
            return -1;
        text = column_text(times, row, buf);
        *front->rows += XXH3_64bits(text.ptr, text.len);
    }
    return stage_write(stage->next, lane, rows, err);
}

static const struct stage_ops front_ops = {
    front_write, site_flush, site_free
};

static int
site_execute(struct query *query, const struct question *question,
    const struct site *site, struct answer_sink *sink, struct err *err)
{
    struct query_env env = site_env(site, question->tenant);
    struct site_front front = {.stage = {.ops = &front_ops},
        .rows = &sink->answer->seen};
    struct field_pattern hidden = {question->hidden, false};
    struct store_answer about = {.is_partial = false};
    int rc;

    if (question->is_of_all) {
        query->filter = filter_new(query->pool, FILTER_ALL, SV_EMPTY, 0);
        query_set_times(query);
    }
    if (question->hidden.len > 0) {
        query->hidden = &hidden;
        query->nhidden = 1;
    }
    if (question->has_front)
        env.front = &front.stage;
    site_now = site;
    if (site->nkids == 0)
        world_show(site->world, site->form);
    rc = query_execute(query, &env, &sink->stage, &about, err);
    sink->answer->is_partial = about.is_partial;
    return rc;
}

/* The answer of a site as those of equality_run.h are. */
static void
site_answer(struct answer *answer, const struct question *question,
    const struct site *site)
{
    struct pool *pool = pool_new(64 * MIB);
    struct answer_sink sink = {.stage = {.ops = &answer_ops},
        .answer = answer};
    struct err err = ERR_INIT;
    struct query *query;

    memset(answer, 0, sizeof(*answer));
    answer->pool = pool_new(GIB);
    answer->is_verbose = true;
    sb_init(&sink.loose, 16 * MIB);
    sb_init(&sink.text, 16 * MIB);
    if (query_parse(&query, question->text, EQUALITY_NOW, pool, &err) != 0 ||
        site_execute(query, question, site, &sink, &err) != 0) {
        answer->code = err.code;
        snprintf(answer->why, sizeof(answer->why), "%s", err.text);
    }
    sb_release(&sink.loose);
    sb_release(&sink.text);
    pool_free(pool);
}

/* --- traces divided among some stores, and fronts of these --- */

#define SHARES_MAX 3u
#define FRONTS 2u

struct cluster {
    struct world *worlds[SHARES_MAX];
    struct site stores[SHARES_MAX];
    uint32_t n;
    /* Of all stores; of a front of the first ones and of the last. */
    struct site fronts[FRONTS];
    struct site inner;
};

static void
fronts_make(struct cluster *cluster)
{
    struct site *all = &cluster->fronts[0], *two = &cluster->fronts[1];
    uint32_t n = cluster->n;

    for (uint32_t i = 0; i < n; i++)
        all->kids[all->nkids++] = &cluster->stores[i];
    two->kids[two->nkids++] = &cluster->inner;
    for (uint32_t i = 0; i + 1 < n || i == 0; i++)
        cluster->inner.kids[cluster->inner.nkids++] = &cluster->stores[i];
    if (n > 1)
        two->kids[two->nkids++] = &cluster->stores[n - 1];
}

/* Memtables are those of the newest world. */
static void
cluster_make(struct cluster *cluster, const struct world_spec *whole,
    uint32_t n)
{
    struct world_spec spec = *whole;

    memset(cluster, 0, sizeof(*cluster));
    cluster->n = spec.nshares = n;
    for (uint32_t i = 0; i < n; i++) {
        enum form_kind form = (enum form_kind)((whole->seed + i) % FORMS);

        spec.share = i;
        cluster->worlds[i] = world_new(&spec);
        if (i + 1 < n && (form == FORM_MEMORY || form == FORM_MIXED))
            form = FORM_LEVEL2;
        cluster->stores[i] = (struct site){
            .world = cluster->worlds[i], .form = form};
    }
    fronts_make(cluster);
}

static void
cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->n; i++)
        world_free(cluster->worlds[i]);
}

#endif
