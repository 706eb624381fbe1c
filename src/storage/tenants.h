/* SPDX-License-Identifier: BSD-2-Clause */

/* Whose rows the local store has. */

#ifndef SPOOR_STORAGE_TENANTS_H
#define SPOOR_STORAGE_TENANTS_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"
#include "storage/store.h"

/* A list of more is refused. */
#define STORE_TENANTS_MAX 1000000u

struct tenant_list {
    struct tenant *v; /* ascending */
    uint32_t n;
    uint32_t cap;      /* private */
    struct pool *pool; /* where they are put; set by the caller */
};

/* Adds some; tenants_unite() at last makes it a list. */
int tenants_add(struct tenant_list *list, const struct tenant *add,
    uint32_t n, struct err *err) WARN_UNUSED;
/* Sorts them, each once. */
void tenants_unite(struct tenant_list *list);

/*
 * Tenants with rows in a memtable or in a part whose rows' ends meet
 * [min_end, max_end]: some may have no row in just this range.
 */
int store_tenants(struct tenant_list *list, int64_t min_end, int64_t max_end,
    struct err *err) WARN_UNUSED;

#endif
