/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A query whose answers differ between two forms of the data, made smaller:
 * fewer spans, fewer pipes, fewer filters, as long as they still differ.
 */

#ifndef SPOOR_T_UNIT_EQUALITY_SHRINK_H
#define SPOOR_T_UNIT_EQUALITY_SHRINK_H

#include "core/base.h"

#include "equality_run.h"

struct failure {
    struct world_spec spec;
    struct random_query query;
    enum form_kind form; /* differs from FORM_MEMORY */
};

static struct sv
random_query_text(struct sb *sb, const struct random_query *q)
{
    sb_init(sb, QUERY_TEXT_MAX);
    random_query_print(sb, q);
    return sb_sv(sb);
}

static void
failure_run(const struct failure *failure, const struct world *world,
    struct answer answers[2], bool is_verbose)
{
    const struct random_query *q = &failure->query;
    struct sb sb;
    struct sv text = random_query_text(&sb, q);

    for (unsigned i = 0; i < 2; i++) {
        world_show(world, i == 0 ? FORM_MEMORY : failure->form);
        answer_run(&answers[i], text, &world_tenants[q->tenant], is_verbose);
        if (q->compare[q->npipes] != COMPARE_LIST || is_verbose)
            answer_sort(&answers[i]);
    }
    sb_release(&sb);
}

static bool
failure_holds(const struct failure *failure)
{
    struct world *world = world_new(&failure->spec);
    struct answer answers[2];
    bool is_equal;

    failure_run(failure, world, answers, false);
    is_equal = answer_equal(&answers[0], &answers[1],
        failure->query.compare[failure->query.npipes]);
    answer_free(&answers[0]);
    answer_free(&answers[1]);
    world_free(world);
    return !is_equal;
}

static void
shrink_data(struct failure *failure)
{
    for (;;) {
        struct failure half = *failure;
        uint32_t n = failure->spec.keep_to - failure->spec.keep_from;

        if (n < 2)
            return;
        half.spec.keep_to -= n / 2;
        if (!failure_holds(&half)) {
            half = *failure;
            half.spec.keep_from += n / 2;
            if (!failure_holds(&half))
                return;
        }
        *failure = half;
    }
}

static void
shrink_pipes(struct failure *failure)
{
    uint32_t n = failure->query.npipes;
    struct sv time = failure->query.time;

    for (uint32_t k = 0; k < n; k++) {
        failure->query.npipes = k;
        if (failure->query.compare[k] != COMPARE_NOT &&
            failure_holds(failure))
            break;
        failure->query.npipes = n;
    }
    failure->query.time = SV_EMPTY;
    if (time.len > 0 && !failure_holds(failure))
        failure->query.time = time;
}

static void
shrink_node(struct failure *failure, struct node **slot)
{
    struct node *node = *slot, copy = *node;

    for (uint32_t i = 0; i < node->nkids; i++) {
        *slot = node->kids[i];
        if (failure_holds(failure)) {
            shrink_node(failure, slot);
            return;
        }
        *slot = node;
    }
    for (uint32_t i = 0; node->nkids > 2 && i < node->nkids; i++) {
        node->kids[i] = node->kids[--node->nkids];
        if (!failure_holds(failure))
            *node = copy;
        copy = *node;
    }
    for (uint32_t i = 0; i < node->nkids; i++)
        shrink_node(failure, &node->kids[i]);
}

static void
failure_print(const struct failure *failure)
{
    struct world *world = world_new(&failure->spec);
    const struct world_spec *spec = &failure->spec;
    struct answer answers[2];
    struct sb sb;

    (void)random_query_text(&sb, &failure->query);
    diag("    %.*s", (int)sb.len, sb.ptr);
    sb_release(&sb);
    diag("    tenant %u; %s spans [%u, %u) of %u chunks of seed %llu; "
        "- %s, + %s", failure->query.tenant, spec->is_wild ? "wild" : "real",
        spec->keep_from, spec->keep_to, spec->nchunks,
        (unsigned long long)spec->seed, form_names[FORM_MEMORY],
        form_names[failure->form]);
    failure_run(failure, world, answers, true);
    answer_diff(&answers[0], &answers[1]);
    answer_free(&answers[0]);
    answer_free(&answers[1]);
    world_free(world);
}

/* Prints the failure as it was found and as small as it gets. */
static void
failure_report(struct failure *failure)
{
    failure_print(failure);
    if (!failure_holds(failure)) {
        diag("  it does not happen again with the same data");
        return;
    }
    shrink_data(failure);
    shrink_pipes(failure);
    shrink_node(failure, &failure->query.filter);
    shrink_data(failure);
    diag("  made smaller:");
    failure_print(failure);
}

#endif
