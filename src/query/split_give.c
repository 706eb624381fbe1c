/* SPDX-License-Identifier: BSD-2-Clause */

/* What nodes answer, on its way into the first stage here. */

#include "core/base.h"
#include "query/split.h"

#include "core/timefmt.h"
#include "query/figures.h"
#include "query/state.h"

static void
count(const struct source_plan *plan, uint64_t rows, int64_t start_ns)
{
    if (start_ns != 0)
        figures_stage_add(figures_of(plan->run), 0, rows,
            clock_mono_ns() - start_ns);
}

int
split_give_rows(const struct source_plan *plan, unsigned lane,
    struct rows *rows, struct err *err)
{
    int64_t start_ns = figures_clock(figures_of(plan->run));
    uint32_t n = rows->nselected;
    int rc;

    if (plan->split->end == SPLIT_STATE)
        return err_set(err, ERR_CORRUPT,
            "rows came where a partial result was asked for");
    if (n == 0)
        return 0;
    rows->run = plan->run;
    rc = stage_write(plan->first, lane, rows, err);
    count(plan, n, start_ns);
    return rc;
}

int
split_give_state(const struct source_plan *plan, unsigned lane,
    struct sv state, struct err *err)
{
    int64_t start_ns = figures_clock(figures_of(plan->run));
    int rc;

    if (plan->split->end != SPLIT_STATE || plan->first->state == NULL)
        return err_set(err, ERR_CORRUPT,
            "a partial result came where rows were asked for");
    rc = plan->first->state->load(plan->first, lane, state, err);
    count(plan, 0, start_ns);
    return rc;
}
