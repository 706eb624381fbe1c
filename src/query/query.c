/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/query.h"

#include "core/metrics.h"
#include "core/timefmt.h"
#include "query/figures.h"
#include "query/filter.h"
#include "query/inside.h"
#include "query/parse.h"
#include "query/shift.h"
#include "query/source.h"
#include "query/split.h"
#include "query/state.h"

/* Of the last pipe, when its state is wanted instead of rows. */
static int
state_wanted(struct query_run *run, struct stage *stage, struct err *err)
{
    if (run->depth > 0 || run->env->state_fn == NULL)
        return 0;
    if (stage->state == NULL)
        return err_set(err, ERR_INVALID, "this pipe has no partial result");
    run->state = stage;
    return 0;
}

/* Makes the stages from the last pipe to the first; *first is the first. */
static int
stages_make(const struct pipe *pipe, struct query_run *run,
    struct stage **first, struct err *err)
{
    const struct pipe *last = NULL;
    const struct pipe **pipes;
    uint32_t n = 0;

    pipes = pool_alloc(run->query->pool,
        (run->query->npipes + 1) * sizeof(*pipes));
    if (pipes == NULL)
        return err_set(err, ERR_LIMIT, "query has too many pipes");
    for (; pipe != NULL && n < run->query->npipes; pipe = pipe->next)
        pipes[n++] = last = pipe;
    if (n == 0 && run->depth == 0 && run->env->state_fn != NULL)
        return err_set(err, ERR_INVALID, "no pipe has a partial result");
    *first = figures_stage(run, n, NULL, *first);
    while (n-- > 0) {
        struct stage *stage;

        if (stage_new(&stage, pipes[n], run, *first, err) != 0)
            return -1;
        *first = stage;
        if (pipes[n] == last && state_wanted(run, stage, err) != 0)
            return -1;
        *first = figures_stage(run, n, pipes[n], stage);
    }
    return 0;
}

/*
 * What the source gives, and when, after options(time_offset=...).  Nodes
 * that run pipes do both; of others the pipes here see times that are later.
 */
static int
plan_shift(struct source_plan *plan, const struct query *query,
    struct stage **first, struct err *err)
{
    const struct split *split = plan->split;
    int64_t ns = query->time_offset_ns;

    plan->filter = query->filter;
    plan->min_time = query->min_time;
    plan->max_time = query->max_time;
    if (ns == 0)
        return 0;
    plan->filter = shift_filter(query->filter, ns, query->pool);
    if (plan->filter == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    plan->min_time = shift_time(query->min_time, -ns);
    plan->max_time = shift_time(query->max_time, -ns);
    if (split != NULL && split->remote->time_offset_ns != 0)
        return 0;
    return shift_stage(first, query, plan->run, err);
}

/* A range without an end ends now. */
static int
range_check(const struct query *query, const struct query_env *env,
    struct err *err)
{
    char max[32];
    int64_t end = MIN(query->max_time, MAX(clock_wall_ns(), query->min_time));

    if (env->range_max_ns == 0 || query->min_time >= end ||
        (uint64_t)end - (uint64_t)query->min_time <=
            (uint64_t)env->range_max_ns)
        return 0;
    max[time_print_duration(max, env->range_max_ns)] = '\0';
    return err_set(err, ERR_INVALID, "the query reads more time than "
        "search.max_query_time_range (%s) allows; narrow it by start and "
        "end, or by a filter on _time", max);
}

/* options(allow_partial_response=false) */
static int
answer_check(const struct query *query, const struct store_answer *answer,
    struct err *err)
{
    if (query->allow_partial != PARTIAL_REFUSED || !answer->is_partial)
        return 0;
    return err_set(err, ERR_CORRUPT, "damaged data was left out, which "
        "allow_partial_response=false does not allow");
}

/* Which pipes run here; *split is for the others. */
static int
plan_split(struct source_plan *plan, struct split *split, struct query *query,
    const struct pipe **pipes, struct err *err)
{
    const struct query_run *run = plan->run;
    bool whole = run->depth == 0 && run->env->front != NULL;

    *pipes = query->pipes;
    plan->allow_missing = query->allow_partial == PARTIAL_NOT_GIVEN
        ? run->env->allow_missing : query->allow_partial == PARTIAL_ALLOWED;
    if (!run->env->is_remote)
        return 0;
    if (query_split(split, query, whole, err) != 0)
        return -1;
    *pipes = split->local;
    plan->split = split;
    if (run->depth == 0) {
        figures_of(run)->nodes_give = split_gives(split);
        figures_of(run)->local = split->local;
    }
    return 0;
}

/* run has all but what follows from the query; the sink is freed. */
static int
execute(struct query *query, struct query_run *run, struct stage *sink,
    struct err *err)
{
    const struct query_env *env = run->env;
    struct source_plan plan = {.tenant = env->tenant,
        .run = run, .tasks = env->tasks, .answer = run->answer,
        .seconds = env->seconds, .results_max = env->results_max,
        .results_rows_min = env->results_rows_min};
    source_fn source = env->source == NULL ? source_local : env->source;
    struct stage *front = run->depth == 0 ? env->front : NULL;
    struct stage *first = sink;
    const struct pipe *pipes;
    struct split split;
    int64_t start_ns = clock_mono_ns();

    run->query = query;
    run->time_bound = INT64_MIN;
    run->duration_bound = INT64_MIN;
    sink->run = run;
    if (query->concurrency > 0)
        run->nlanes = MIN(run->nlanes, query->concurrency);
    if (query->parallel_readers > 0)
        run->nlanes = MIN(run->nlanes, query->parallel_readers);
    if (range_check(query, env, err) != 0 ||
        inside_resolve(run, query, err) != 0 ||
        query_prepare(query, err) != 0 ||
        plan_split(&plan, &split, query, &pipes, err) != 0 ||
        stages_make(pipes, run, &first, err) != 0 ||
        plan_shift(&plan, query, &first, err) != 0)
        goto out;
    if (front != NULL) {
        front->run = run;
        front->next = first;
        first = front;
    }
    plan.first = first;
    if (run->depth == 0)
        metric_observe_ns(METRIC_QUERY_PLAN_SECONDS,
            clock_mono_ns() - start_ns);
    if (source(&plan, err) != 0 ||
        answer_check(query, run->answer, err) != 0)
        goto out;
    return stages_flush(first, err);
out:
    if (first != front)
        stages_free(front);
    stages_free(first);
    return -1;
}

static int
execute_inside(struct query_run *outer, struct query *query,
    struct stage *sink, struct err *err)
{
    struct query_run run = {
        .budget = {0, outer->budget.max, outer->budget.share,
            &outer->budget},
        .nlanes = outer->nlanes, .tasks = outer->tasks,
        .cancel = outer->cancel, .deadline_ns = outer->deadline_ns,
        .inside = outer->inside, .depth = outer->depth + 1,
        .env = outer->env, .answer = outer->answer,
        .run_inside = execute_inside};

    return execute(query, &run, sink, err);
}

int
query_execute(struct query *query, const struct query_env *env,
    struct stage *sink, struct store_answer *answer, struct err *err)
{
    struct query_figures own = {.is_explained = false};
    struct query_env with_figures = *env;
    struct inside inside;
    struct figures_lap lap;
    struct query_run run = {
        .budget = {0, env->memory_max, env->share, NULL},
        .nlanes = MIN(env->lanes_max, QUERY_LANES_MAX),
        .tasks = env->tasks,
        .cancel = env->cancel, .deadline_ns = env->deadline_ns,
        .inside = &inside, .env = &with_figures, .answer = answer,
        .run_inside = execute_inside};
    int rc;

    /* A pipe may tell them: those of this query alone. */
    if (env->figures == NULL)
        with_figures.figures = &own;
    memset(answer, 0, sizeof(*answer));
    inside_init(&inside, &run.budget);
    figures_lap_begin(&lap);
    if (query_hide(query, err) == 0) {
        rc = execute(query, &run, sink, err);
    } else {
        stages_free(env->front);
        stages_free(sink);
        rc = -1;
    }
    inside_free(&inside);
    figures_lap_end(figures_of(&run), &lap);
    return rc;
}
