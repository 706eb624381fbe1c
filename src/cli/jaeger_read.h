/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Traces out of the server's Jaeger JSON: what the terminal shows of them.
 */

#ifndef SPOOR_CLI_JAEGER_READ_H
#define SPOOR_CLI_JAEGER_READ_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sv.h"

struct view_span {
    struct sv id;
    struct sv parent;     /* empty: root or unknown */
    struct sv name;
    struct sv process;    /* "p1" */
    struct sv service;
    int64_t start_us;
    int64_t duration_us;
    bool is_error;
    /* tree, filled by the waterfall */
    uint32_t first_child; /* index + 1 */
    uint32_t next_sibling;
    uint32_t depth;
};

struct view_trace {
    struct sv id;
    struct view_span *spans;
    uint32_t nspans;
    struct view_trace *next;
};

/* The traces of an answer, in its order; NULL in *first when there is none. */
int jaeger_read_traces(struct sv json, struct pool *pool,
    struct view_trace **first, struct err *err) WARN_UNUSED;
/* A list of names (services, operations). */
int jaeger_read_names(struct sv json, struct pool *pool, struct sv **names,
    uint32_t *n, struct err *err) WARN_UNUSED;

/*
 * The message of an error answer, Jaeger's or OTLP's; the whole body when it
 * has none.
 */
struct sv jaeger_read_error(struct sv body, struct pool *pool);

#endif
