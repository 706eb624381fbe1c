/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to join and union: where their other rows come from, a query in
 * parentheses (pipe->subquery) or rows that stand in the query itself.
 */

#ifndef SPOOR_QUERY_PIPE_INNER_H
#define SPOOR_QUERY_PIPE_INNER_H

#include "core/base.h"
#include "query/inside.h"
#include "query/parser.h"

struct inner_row {
    struct sv *names;
    struct sv *texts;
    uint32_t n;
};

struct inner {
    struct inner_row *rows; /* without a subquery */
    uint32_t nrows;
};

/* "(QUERY)" or "rows({a=x, b=y} {...})"; name: of the pipe, for messages. */
int inner_parse(struct parser *p, struct pipe *pipe, struct inner *inner,
    const char *name) WARN_UNUSED;
void inner_print(struct sb *out, const struct pipe *pipe,
    const struct inner *inner);
/* All of the rows. */
int inner_hold(const struct inner *inner, const struct pipe *pipe,
    struct query_run *run, struct held *held, struct err *err) WARN_UNUSED;

#endif
