/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to pipe_type.c: what parse_pipe.c, print_pipe.c and needed.c have
 * for the pipes that share a file.
 */

#ifndef SPOOR_QUERY_PIPE_OLD_H
#define SPOOR_QUERY_PIPE_OLD_H

#include "core/base.h"
#include "core/sb.h"
#include "query/ast.h"
#include "query/stage.h"

/* --- print_pipe.c --- */

void pipe_print_patterns(struct sb *out, const struct pipe *pipe);
void pipe_print_pairs(struct sb *out, const struct pipe *pipe);
void pipe_print_n(struct sb *out, const struct pipe *pipe);
void pipe_print_filter(struct sb *out, const struct pipe *pipe);
void pipe_print_sort(struct sb *out, const struct pipe *pipe);
void pipe_print_stats(struct sb *out, const struct pipe *pipe);
void pipe_print_uniq(struct sb *out, const struct pipe *pipe);
void pipe_print_field_names(struct sb *out, const struct pipe *pipe);

/* --- needed.c --- */

int needed_before_fields(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;
int needed_before_delete(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;
int needed_before_pairs(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;
int needed_before_sort(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;
int needed_before_filter(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;
int needed_before_uniq(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;
int needed_before_stats(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;
/* Everything. */
int needed_before_any(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;

#endif
