/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What this machine, or the control group around this process, has, and what
 * each part of the server may take of it.  The one place where sizes are
 * derived from CPUs and memory; everybody else asks here.
 */

#ifndef SPOOR_CORE_CONF_BUDGET_H
#define SPOOR_CORE_CONF_BUDGET_H

#include "core/base.h"
#include "core/conf.h"
#include "core/sb.h"

struct conf_budget {
    unsigned cpus;
    uint64_t memory;  /* of the control group, or of the machine */
    uint64_t allowed; /* of it: memory.allowed_percent, allowed_bytes */
    unsigned workers;

    /* of each worker */
    uint64_t bodies;    /* request bodies as they arrive, all together */
    uint64_t decode;    /* inflated bodies and their spans, all together */
    uint64_t body_max;  /* one body, before and after decompression */
    uint64_t parcels_max; /* the same for a request of a front */
    uint64_t queries;   /* all queries that run; one may have 3/4 of it */
    uint64_t query;     /* what one keeps between blocks; its answer */
    unsigned lanes;     /* threads that work on one query at a time */
    uint64_t replies;   /* queued answers: above a worker takes no more */
    uint64_t conns;     /* idle connections, all together */
    uint64_t cache;     /* pieces of parts that were read */
    uint64_t heap_keep; /* freed memory that malloc may keep */
};

/*
 * Of this process; worked out at the first call for a conf and kept, so that
 * a running worker does not change its sizes.
 */
const struct conf_budget *conf_budget(const struct conf *conf);

/* The same for any machine (tests). */
void conf_budget_make(struct conf_budget *out, const struct conf *conf,
    unsigned cpus, uint64_t memory);

/* "1 worker for 1 CPU, 161 of 268 MB of memory: ..." */
void conf_budget_print(const struct conf_budget *budget, struct sb *out);

/*
 * The least memory limit of the control groups of this process in bytes, 0:
 * none; root as in cgroup_least().
 */
uint64_t conf_memory_limit(const char *root);

#endif
