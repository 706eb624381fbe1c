/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which services call which: from the section EDGES of parts where all rows
 * of a block are wanted, else from the rows.  A call is a span whose parent is
 * of another service; it is seen when both are in one block or memtable, so
 * some calls are missed until a trace stands together in a merged part.
 */

#ifndef SPOOR_STORAGE_EDGES_H
#define SPOOR_STORAGE_EDGES_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"
#include "storage/store.h"

struct block;
struct part;

struct edge {
    struct sv parent; /* services */
    struct sv child;
    uint64_t calls;
    uint64_t errors;     /* calls with status code 2 */
    int64_t duration_ns; /* sum over the child's spans */
};

struct edge_visit {
    /* The same pair comes often.  Less than 0: no more; err is set. */
    int (*fn)(const struct edge *edge, void *arg, struct err *err);
    void *arg;
    int64_t min_end_ns; /* of the child's span */
    int64_t max_end_ns;
    size_t bytes_max;   /* memory for one block */
    const _Atomic bool *cancel; /* may be NULL */
    int64_t deadline_ns;        /* monotonic; 0: none */
    bool by_rows;       /* tests: no index */
};

int store_visit_edges(const struct tenant *tenant,
    const struct edge_visit *visit, struct store_answer *answer,
    struct err *err) WARN_UNUSED;

/* --- one block; private to part_check.c and edges.c --- */

/* Of the block's section.  1: all were visited; 0: it has none. */
int part_visit_edges(struct part *part, uint32_t block,
    const struct tenant *tenant, const struct edge_visit *visit,
    struct err *err) WARN_UNUSED;
/* From its rows. */
int block_visit_edges(struct block *block, const struct tenant *tenant,
    const struct edge_visit *visit, struct err *err) WARN_UNUSED;

#endif
