/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The rows of a query from all storage nodes: what the split (query/split.h)
 * leaves to them is sent as a plan, what they answer goes to the first stage
 * here.  One thread takes the frames; while it works on one, no node is read
 * from, so that no more than what has come of one frame of each node is held
 * here.
 */

#include "core/base.h"
#include "cluster/backend_nodes.h"

#include "cluster/answer_wire.h"
#include "cluster/fanout.h"
#include "cluster/rows_wire.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "query/figures.h"
#include "query/query.h"
#include "query/split.h"
#include "query/state.h"

/* Columns of a frame, which are views into it but for codes and the like. */
#define FRAME_POOL_MAX (512 * MIB)
#define FRAME_POOL_KEEP (4 * MIB)

struct reading {
    const struct source_plan *plan;
    struct pool *pool;      /* of one frame */
    struct sb *states;      /* of each node: pieces of one */
    size_t charged;         /* of the budget, for these */
    uint64_t rows[NODES_MAX];
};

/* --- what comes --- */

static int
unexpected(struct err *err)
{
    return err_set(err, ERR_CORRUPT,
        "the answer of the node is malformed: a frame that was not asked for");
}

static int
take_rows(struct reading *reading, unsigned node, struct sv payload,
    struct err *err)
{
    struct rows rows;

    pool_reset(reading->pool);
    if (rows_take(&rows, payload, reading->pool, err) != 0)
        return -1;
    rows.run = reading->plan->run;
    reading->rows[node] += rows.n;
    metric_add(METRIC_QUERY_ROWS, rows.n);
    return rows.n == 0 ? 0 : split_give_rows(reading->plan, 0, &rows, err);
}

/* A piece of a state that is not whole yet. */
static int
keep_piece(struct reading *reading, struct sb *state, struct sv piece,
    struct err *err)
{
    struct query_budget *budget = &reading->plan->run->budget;
    size_t before = state->cap;
    int rc = 0;

    if (state->len + piece.len > STATE_BYTES_MAX)
        return err_set(err, ERR_CORRUPT,
            "the answer of the node is malformed: a state is too large");
    sb_add_sv(state, piece);
    if (state->cap > before) {
        rc = budget_take(budget, state->cap - before, err);
        reading->charged += rc == 0 ? state->cap - before : 0;
    }
    return rc;
}

static int
take_state(struct reading *reading, unsigned node, struct sv payload,
    struct err *err)
{
    struct sb *state = &reading->states[node];
    size_t cap;
    int got;

    if (state->len == 0)
        return split_give_state(reading->plan, 0, payload, err);
    if (keep_piece(reading, state, payload, err) != 0)
        return -1;
    got = split_give_state(reading->plan, 0, sb_sv(state), err);
    cap = state->cap;
    sb_release(state);
    sb_init(state, STATE_BYTES_MAX);
    budget_give(&reading->plan->run->budget, cap);
    reading->charged -= cap;
    return got;
}

/* Damage is told before the first row, where it is known by then. */
static int
take_figures(struct reading *reading, struct sv payload, struct err *err)
{
    struct wire_figures wire = {.figures = figures_of(reading->plan->run)};

    if (wire_figures_add(payload, &wire, err) != 0)
        return -1;
    if (wire.is_partial)
        reading->plan->answer->is_partial = true;
    return 0;
}

static int
take_frame(void *arg, unsigned node, enum frame_type type,
    struct sv payload, struct err *err)
{
    struct reading *reading = arg;
    const struct source_plan *plan = reading->plan;
    bool has_states = plan->split->end == SPLIT_STATE;

    if (run_poll(plan->run, err) != 0)
        return -1;
    switch (type) {
    case FRAME_ROWS:
        return has_states ? unexpected(err)
            : take_rows(reading, node, payload, err);
    case FRAME_STATE:
        return has_states ? keep_piece(reading, &reading->states[node],
            payload, err) : unexpected(err);
    case FRAME_STATE_END:
        return has_states ? take_state(reading, node, payload, err)
            : unexpected(err);
    case FRAME_FIGURES:
        return take_figures(reading, payload, err);
    default:
        return unexpected(err);
    }
}

/* --- what is asked --- */

/* What is left; at least so much that the node can say that it is over. */
static int64_t
time_left(int64_t deadline_ns)
{
    return deadline_ns == 0 ? 0
        : MAX(deadline_ns - clock_mono_ns(), NS_PER_MS);
}

static int
ask_nodes(struct reading *reading, struct err *err)
{
    const struct source_plan *plan = reading->plan;
    const struct query_run *run = plan->run;
    const struct conf *conf = backend_nodes_conf();
    const struct plan ask = {.kind = PLAN_QUERY, .tenant = plan->tenant,
        .timeout_ns = time_left(run->deadline_ns),
        .memory_max = run->budget.max,
        .wants_plain = conf->select_no_compression,
        .allow_missing = plan->allow_missing,
        .no_cache = plan->results_max == 0,
        .now_ns = run->query->now_ns,
        .min_time = plan->min_time, .max_time = plan->max_time,
        .query = plan->split->remote, .end = plan->split->end,
        .needed = plan->split->needed};
    const struct fanout fanout = {.plan = &ask, .conf = conf,
        .deadline_ns = run->deadline_ns, .cancel = run->cancel,
        .allow_missing = plan->allow_missing, .share = run->budget.share,
        .fn = take_frame, .arg = reading, .rows = reading->rows,
        .answer = plan->answer};

    return fanout_run(&fanout, err);
}

int
source_nodes(const struct source_plan *plan, struct err *err)
{
    struct reading reading = {.plan = plan, .pool = pool_new(FRAME_POOL_MAX),
        .states = xcalloc(NODES_MAX, sizeof(*reading.states))};
    int64_t start_ns = clock_mono_ns();
    int rc;

    pool_share(reading.pool, plan->run->budget.share);
    pool_keep(reading.pool, FRAME_POOL_KEEP);
    for (unsigned i = 0; i < NODES_MAX; i++)
        sb_init(&reading.states[i], STATE_BYTES_MAX);
    rc = ask_nodes(&reading, err);
    for (unsigned i = 0; i < NODES_MAX; i++)
        sb_release(&reading.states[i]);
    budget_give(&plan->run->budget, reading.charged);
    pool_free(reading.pool);
    xfree(reading.states);
    metric_observe_ns(plan->seconds, clock_mono_ns() - start_ns);
    return rc;
}

/* --- export --- */

/* The last stage of an export gets no rows: requests go past it. */
struct exporting {
    struct stage stage;
    backend_spans_fn fn;
    void *arg;
};

static int
export_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    (void)stage;
    (void)lane;
    (void)rows;
    return unexpected(err);
}

static void
export_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops export_ops = {export_write,
    stage_flush_nothing, export_free};

static int
take_request(void *arg, unsigned node, enum frame_type type,
    struct sv payload, struct err *err)
{
    const struct exporting *exporting = arg;

    (void)node;
    if (type != FRAME_SPANS)
        return unexpected(err);
    return exporting->fn(exporting->arg, payload, err);
}

/* Queries inside the filter are asked for rows, the filter for spans. */
static int IMPL(source_fn)
source_export(const struct source_plan *plan, struct err *err)
{
    const struct query_run *run = plan->run;
    const struct conf *conf = backend_nodes_conf();
    struct plan ask = {.kind = PLAN_EXPORT, .tenant = plan->tenant,
        .timeout_ns = time_left(run->deadline_ns),
        .memory_max = run->budget.max,
        .wants_plain = conf->select_no_compression,
        .allow_missing = plan->allow_missing, .no_cache = true,
        .now_ns = run->query->now_ns};
    const struct fanout fanout = {.plan = &ask, .conf = conf,
        .deadline_ns = run->deadline_ns, .cancel = run->cancel,
        .allow_missing = plan->allow_missing, .share = run->budget.share,
        .fn = take_request, .arg = plan->first, .answer = plan->answer};

    if (run->depth > 0)
        return source_nodes(plan, err);
    ask.query = plan->split->remote;
    return fanout_run(&fanout, err);
}

int
nodes_export_spans(const struct backend_ask *ask, struct query *query,
    backend_spans_fn fn, void *arg, struct err *err)
{
    struct exporting *exporting = xcalloc(1, sizeof(*exporting));
    const struct query_env env = {.tenant = ask->tenant,
        .tasks = ask->tasks, .seconds = METRIC_QUERY_SECONDS_LOGSQL,
        .lanes_max = ask->lanes_max, .memory_max = ask->memory_max,
        .share = ask->share, .cancel = ask->cancel,
        .deadline_ns = ask->deadline_ns,
        .range_max_ns = backend_nodes_conf()->query_range_max,
        .source = source_export, .is_remote = true,
        .allow_missing = ask->allow_missing};

    exporting->stage.ops = &export_ops;
    exporting->fn = fn;
    exporting->arg = arg;
    return query_execute(query, &env, &exporting->stage, ask->answer, err);
}
