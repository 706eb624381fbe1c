/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Plans from other servers: any bytes are an error, or a plan that is the same
 * when it was put and taken again, and whose filter can be evaluated.
 */

#include "core/base.h"

#include "cluster/plan.h"
#include "core/assert.h"
#include "query/filter.h"
#include "query/parse.h"

#define POOL_MAX (64 * MIB)
#define TEXT_MAX (16 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
print(struct sb *out, const struct plan *plan)
{
    sb_init(out, TEXT_MAX);
    sb_addf(out, "%d %u:%u %lld %zu %d%d%d %lld %lld %lld %u %d %u %u ",
        (int)plan->kind, plan->tenant.account, plan->tenant.project,
        (long long)plan->timeout_ns, plan->memory_max, plan->wants_plain,
        plan->allow_missing, plan->no_cache, (long long)plan->now_ns,
        (long long)plan->min_time, (long long)plan->max_time, plan->limit,
        (int)plan->end, plan->needed.n, plan->nids);
    if (plan->query != NULL)
        query_print(out, plan->query);
}

static void
again(const struct plan *plan, struct pool *pool)
{
    struct err err = ERR_INIT;
    struct sb bytes, first, second;
    struct plan got;

    sb_init(&bytes, PLAN_BYTES_MAX);
    if (plan_put(&bytes, plan, &err) != 0) {
        check(err.code == ERR_LIMIT);
    } else if (plan_take(&got, sb_sv(&bytes), pool, &err) != 0) {
        /* Texts that are printed may be longer than they were. */
        check(err.code == ERR_LIMIT || strstr(err.text, "memory") != NULL);
    } else {
        print(&first, plan);
        print(&second, &got);
        check(sv_eq(sb_sv(&first), sb_sv(&second)) || sb_failed(&first));
        sb_release(&first);
        sb_release(&second);
    }
    sb_release(&bytes);
}

/* A few rows of the fields that the seeds ask for. */
static void
evaluate(struct query *query, struct pool *pool)
{
    static const char *const names[] = {"_msg", "name", "a", "b",
        "resource_attr:service.name", "_stream"};
    static const struct sv texts[] = {{"", 0}, {"GET /cart", 9},
        {"{a=\"b\",c=\"d\"}", 13}, {"10.0.0.7", 8}, {"42", 2},
        {"\xff[1,\"x\"]", 8}};
    struct err err = ERR_INIT;
    struct rows rows;

    rows_init(&rows, ARRAY_LEN(texts), pool);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct column column = {.name = sv_from(names[i]),
            .kind = COLUMN_TEXTS, .texts = texts};

        if (rows_set_column(&rows, &column, &err) != 0)
            return;
    }
    if (query_prepare(query, &err) == 0 && rows.n > 0)
        (void)(rows_filter(&rows, query->filter, &err) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct err err = ERR_INIT;
    struct plan plan;

    if (plan_take(&plan, sv_make(data, size), pool, &err) == 0) {
        again(&plan, pool);
        if (plan.query != NULL)
            evaluate(plan.query, pool);
    } else {
        check(err.text[0] != '\0');
    }
    pool_free(pool);
    return 0;
}
