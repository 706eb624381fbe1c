/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Filters as messages of proto/plan.proto.  A tree is a list: each filter is
 * followed by the trees of its items.
 */

#ifndef SPOOR_CLUSTER_FILTER_WIRE_H
#define SPOOR_CLUSTER_FILTER_WIRE_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "query/ast.h"

struct Spoor__Filter; /* generated */

/* All trees of one list. */
#define FILTER_WIRE_NODES_MAX 200000u
/* Twice the parser's, and what is put around what users write. */
#define FILTER_WIRE_DEPTH_MAX 400u

struct filter_list {
    struct Spoor__Filter **v;
    size_t n;
};

/*
 * Appends the tree.  Texts are those of the filter; the rest is in the pool.
 * ERR_UNSUPPORTED: a query in it was not resolved; ERR_LIMIT.
 */
int filter_wire_put(struct filter_list *list, const struct filter *filter,
    struct pool *pool, struct err *err) WARN_UNUSED;

/*
 * Takes the first tree off the list.  Texts are those of the messages; the rest
 * is in the pool.  What comes out can be evaluated, whatever went in.
 * ERR_INVALID, ERR_LIMIT, ERR_UNSUPPORTED (what this version does not know).
 */
int filter_wire_take(struct filter **out, struct filter_list *list,
    struct pool *pool, struct err *err) WARN_UNUSED;

#endif
