/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Queries inside a query: "in(... | fields x)", join, union, stream_context.
 * They are of the same tenant and share deadline, cancellation, memory and
 * lanes with the query around them, and run on the thread that asks.
 */

#ifndef SPOOR_QUERY_INSIDE_H
#define SPOOR_QUERY_INSIDE_H

#include "core/base.h"
#include "core/err.h"
#include "core/intern.h"
#include "query/ast.h"
#include "query/hold.h"
#include "query/pipe.h"

/* Queries in each other, and inside one: each of them reads the store. */
#define INSIDE_DEPTH_MAX 8u
#define INSIDE_QUERIES_MAX 100u
/* Values of one in(), which are looked up, and of one contains_*(), which
 * are tried one after the other. */
#define INSIDE_VALUES_MAX 2000000u
#define INSIDE_PHRASES_MAX 10000u

/* --- running --- */

/* run->run_inside(), or an error where there is none. */
int inside_run(struct query_run *outer, struct query *query,
    struct stage *sink, struct err *err) WARN_UNUSED;

/*
 * A sink that gives rows to a stage of the query around, which is not freed
 * with it.  *is_done: that stage needs no more rows.
 */
struct stage *inside_sink_new(struct stage *target, _Atomic bool *is_done);

/* --- rows that are kept --- */

struct held_cell {
    const char *ptr;
    uint32_t len;
    uint32_t name; /* held->names.v */
};

/* Cells that are not empty, by rising name. */
struct held_row {
    const struct held_cell *cells;
    uint32_t n;
};

struct held {
    struct hold hold;
    struct intern names;
    struct hold_array rows; /* struct held_row */
    uint32_t nrows;
};

void held_init(struct held *held, struct query_budget *budget);
void held_free(struct held *held);
static inline const struct held_row *
held_row(const struct held *held, uint32_t i)
{
    return (const struct held_row *)held->rows.items + i;
}
/* Empty when the row has none. */
struct sv held_text(const struct held_row *row, uint32_t name);
/* One more row of so many names and texts; empty texts are left out. */
int held_add(struct held *held, const struct sv *names, const struct sv *texts,
    uint32_t n, struct err *err) WARN_UNUSED;
/* All rows of a query, within the budget of the one around it. */
int held_run(struct held *held, struct query_run *outer, struct query *query,
    struct err *err) WARN_UNUSED;

/* --- values of filters --- */

/* What the filters of a query and of those inside it were found to be. */
struct inside {
    struct hold hold;
    struct hold_array filters; /* struct filter *: with values from here */
    uint32_t nfilters;
    struct hold_array lists;   /* struct inside_list */
    uint32_t nlists;
};

void inside_init(struct inside *inside, struct query_budget *budget);
/* The filters have no values then. */
void inside_free(struct inside *inside);
/*
 * Gives all filters of the query (not of those inside it) that ask a query
 * their values, in run->inside; the same query is asked once.
 */
int inside_resolve(struct query_run *run, struct query *query,
    struct err *err) WARN_UNUSED;

#endif
