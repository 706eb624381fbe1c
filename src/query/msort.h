/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Merge sort of pointers: stable, bounded in time whatever the comparison
 * says (the order of mixed values is not transitive), and it looks at
 * cancellation and deadline.
 */

#ifndef SPOOR_QUERY_MSORT_H
#define SPOOR_QUERY_MSORT_H

#include "core/base.h"
#include "core/err.h"
#include "query/hold.h"

struct msort {
    int (*compare)(const void *a, const void *b, const void *arg);
    const void *arg;
    struct hold *hold; /* for the second array, while it runs */
    const struct query_run *run;
};

int msort(const struct msort *how, const void **items, size_t n,
    struct err *err) WARN_UNUSED;

#endif
