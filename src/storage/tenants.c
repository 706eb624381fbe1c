/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/tenants.h"

#include "storage/memtable.h"
#include "storage/memtable_format.h"
#include "storage/part_read.h"
#include "storage/scan.h"

static int
tenant_cmp(const void *left, const void *right)
{
    const struct tenant *a = left, *b = right;

    if (a->account != b->account)
        return a->account < b->account ? -1 : 1;
    return (a->project > b->project) - (a->project < b->project);
}

void
tenants_unite(struct tenant_list *tenants)
{
    uint32_t kept = 0;

    if (tenants->n == 0)
        return;
    qsort(tenants->v, tenants->n, sizeof(*tenants->v), tenant_cmp);
    for (uint32_t i = 1; i < tenants->n; i++) {
        if (tenant_cmp(&tenants->v[kept], &tenants->v[i]) != 0)
            tenants->v[++kept] = tenants->v[i];
    }
    tenants->n = kept + 1;
}

int
tenants_add(struct tenant_list *tenants, const struct tenant *add, uint32_t n,
    struct err *err)
{
    if (n == 0)
        return 0;
    if (n > tenants->cap - tenants->n) {
        uint32_t cap;
        struct tenant *v;

        tenants_unite(tenants);
        if (n > STORE_TENANTS_MAX || tenants->n > STORE_TENANTS_MAX)
            return err_set(err, ERR_LIMIT, "more than %u tenants",
                STORE_TENANTS_MAX);
        cap = 2 * (tenants->n + n);
        v = pool_alloc(tenants->pool, cap * sizeof(*v));
        if (v == NULL)
            return err_set(err, ERR_LIMIT, "too many tenants");
        if (tenants->n > 0)
            memcpy(v, tenants->v, tenants->n * sizeof(*v));
        tenants->v = v;
        tenants->cap = cap;
    }
    memcpy(tenants->v + tenants->n, add, n * sizeof(*add));
    tenants->n += n;
    return 0;
}

static int
item_add(struct tenant_list *tenants, struct scan *scan, uint32_t item,
    struct err *err)
{
    const struct memtable *mt;
    struct part *part;
    int rc = scan_open_item(scan, item, &mt, &part, err);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (mt != NULL)
        return tenants_add(tenants, mt->tenants, MIN(atomic_load_explicit(
            &mt->h.ntenants, memory_order_acquire),
            (uint32_t)MEMTABLE_TENANTS_MAX), err);
    rc = tenants_add(tenants, part->tenants, part->ntenants, err);
    scan_close_item(part);
    return rc;
}

int
store_tenants(struct tenant_list *list, int64_t min_end, int64_t max_end,
    struct err *err)
{
    struct store_answer answer;
    struct scan scan;
    int rc = 0;

    if (scan_begin(&scan, min_end, max_end, err) != 0)
        return -1;
    for (uint32_t i = 0; rc == 0 && i < scan.snapshot.n; i++)
        rc = item_add(list, &scan, i, err);
    scan_end(&scan, &answer, METRIC_QUERY_SECONDS_SERVICES);
    tenants_unite(list);
    return rc;
}
