/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/pipe.h"

#include "core/timefmt.h"
#include "query/figures.h"
#include "query/pipe_type.h"
#include "query/query.h"
#include "query/stage.h"
#include "query/state.h"

/* --- what a query may hold and how long it may run --- */

int
budget_take(struct query_budget *budget, size_t bytes, struct err *err)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);

    do {
        if (used > budget->max || bytes > budget->max - used) {
            return err_set(err, ERR_LIMIT,
                "query needs more than %zu MiB of memory",
                budget->max / MIB);
        }
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used,
        used + bytes, memory_order_relaxed, memory_order_relaxed));
    if (budget->outer != NULL) {
        if (budget_take(budget->outer, bytes, err) == 0)
            return 0;
    } else if (mem_share_take(budget->share, bytes)) {
        return 0;
    } else {
        err_set(err, ERR_LIMIT, "query needs too much memory");
    }
    atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
    return -1;
}

void
budget_give(struct query_budget *budget, size_t bytes)
{
    if (budget->outer != NULL)
        budget_give(budget->outer, bytes);
    else
        mem_share_give(budget->share, bytes);
    atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
}

int
run_poll(const struct query_run *run, struct err *err)
{
    if (run->cancel != NULL &&
        atomic_load_explicit(run->cancel, memory_order_relaxed))
        return err_set(err, ERR_CANCELLED, "query was cancelled");
    if (run->deadline_ns != 0 && clock_mono_ns() >= run->deadline_ns)
        return err_set(err, ERR_TIMEOUT, "query took too long");
    return 0;
}

/* --- making, flushing and freeing --- */

int
stage_new(struct stage **out, const struct pipe *pipe, struct query_run *run,
    struct stage *next, struct err *err)
{
    if (pipe->type->ops->make(out, pipe, run, err) != 0)
        return -1;
    (*out)->run = run;
    (*out)->next = next;
    return 0;
}

int
stage_flush_nothing(UNUSED struct stage *stage, UNUSED struct err *err)
{
    return 0;
}

/* Rows to the next stage, or the state to who wants it. */
static int
stage_end(struct stage *stage, struct err *err)
{
    const struct query_run *run = stage->run;

    if (run == NULL || run->state != stage)
        return stage->ops->flush(stage, err);
    return stage->state->save(stage, run->env->state_fn, run->env->state_arg,
        err);
}

int
stages_flush(struct stage *first, struct err *err)
{
    struct query_figures *figures = figures_of(first->run);
    struct stage *stage, *next;
    uint32_t i = 0;
    int result = 0;

    for (stage = first; stage != NULL; stage = next) {
        int64_t start_ns = figures_clock(figures);
        bool is_counter = figures_counter(stage, &i);

        next = stage->next;
        if (result == 0)
            result = stage_end(stage, err);
        if (!is_counter)
            figures_flushed(figures, i, start_ns);
        stage->ops->free(stage);
    }
    return result;
}

void
stages_free(struct stage *first)
{
    struct stage *next;

    for (; first != NULL; first = next) {
        next = first->next;
        first->ops->free(first);
    }
}
