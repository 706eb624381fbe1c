/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Sites for t/unit/split.c: a store, or a front of other sites, all in this
 * process.  A store is one form of a world, which the catalogue shows while
 * it is asked; what a site answers goes to its front as rows and states.
 */

#ifndef SPOOR_T_UNIT_SPLIT_SITE_H
#define SPOOR_T_UNIT_SPLIT_SITE_H

#include "core/base.h"

#include "cluster/plan.h"
#include "cluster/rows_wire.h"
#include "equality_data.h"
#include "equality_run.h"
#include "query/parser.h"
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
    struct needed needed;
    bool is_enough;
};

/* The rows as they come at the front. */
static int
site_give(struct site_out *out, struct sv payload, struct err *err)
{
    const struct site *me = site_now;
    struct pool *pool = pool_new(GIB);
    struct rows rows;
    int rc = rows_take(&rows, payload, pool, err);

    if (rc == 0) {
        site_counts.rows += rows.nselected;
        site_now = out->front;
        rc = split_give_rows(out->plan, 0, &rows, err);
        site_now = me;
    }
    pool_free(pool);
    return rc;
}

static int
site_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct site_out *out = (struct site_out *)stage;
    uint32_t row = 0;
    struct sb sb;
    int rc = 0;

    sb_init(&sb, 256 * MIB);
    while (rc == 0 && row < rows->n) {
        sb_reset(&sb);
        rc = rows_put(&sb, rows, &out->needed, &row, 4096, err);
        if (rc == 0 && sb_failed(&sb))
            rc = err_set(err, ERR_LIMIT, "rows are too long");
        if (rc == 0)
            rc = site_give(out, sb_sv(&sb), err);
    }
    out->is_enough |= rc > 0;
    sb_release(&sb);
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

/* What a site is asked, as it comes there. */
static int
site_travel(const struct source_plan *plan, struct pool *pool,
    struct plan *out, struct err *err)
{
    struct plan asked = {.kind = PLAN_QUERY, .tenant = plan->tenant,
        .now_ns = EQUALITY_NOW, .query = plan->split->remote,
        .end = plan->split->end, .needed = plan->split->needed,
        .min_time = plan->min_time, .max_time = plan->max_time};
    struct sb sb;
    int rc;

    sb_init(&sb, PLAN_BYTES_MAX);
    rc = plan_put(&sb, &asked, err);
    if (rc == 0) {
        char *bytes = pool_dup(pool, sb.ptr, sb.len);

        rc = plan_take(out, sv_make(bytes, sb.len), pool, err);
        if (rc != 0)
            diag("a plan is not taken: %s", err->text);
    }
    sb_release(&sb);
    return rc;
}

static int site_source(const struct source_plan *plan, struct err *err);

static struct query_env
site_env(const struct site *site, const struct tenant *tenant)
{
    return (struct query_env){.tenant = *tenant,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL, .lanes_max = 1,
        .memory_max = GIB, .results_rows_min = 1,
        .results_max = site_counts.asked[SPLIT_STATE] % 3 == 0 ? 16 * MIB
            : 0,
        .source = site->nkids > 0 ? site_source : NULL,
        .is_remote = site->nkids > 0};
}

static int
site_ask(const struct source_plan *plan, const struct site *front,
    const struct site *site, struct site_out *out, struct err *err)
{
    struct query_env env = site_env(site, &plan->tenant);
    struct pool *pool = pool_new(GIB);
    struct store_answer about;
    struct plan asked;
    int rc = site_travel(plan, pool, &asked, err);

    if (rc == 0 && asked.end == SPLIT_STATE) {
        env.state_fn = site_state;
        env.state_arg = out;
        /* Mostly in very many pieces. */
        env.state_piece = 1 + site_counts.asked[SPLIT_STATE] % 4 * 700;
    }
    out->front = front;
    site_now = site;
    if (site->nkids == 0)
        world_show(site->world, site->form);
    if (rc == 0) {
        out->needed = asked.needed;
        rc = query_execute(asked.query, &env, &out->stage, &about, err);
    }
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
