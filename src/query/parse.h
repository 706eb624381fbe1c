/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * LogsQL text to struct query.  Errors are complete sentences for people:
 * "position 17: unknown stats function 'cuont'; did you mean 'count'?".
 */

#ifndef SPOOR_QUERY_PARSE_H
#define SPOOR_QUERY_PARSE_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "query/ast.h"

/* Nesting of parentheses, NOTs and subqueries. */
#define QUERY_DEPTH_MAX 100
/* Filters and pipes, and values of all lists, of one query. */
#define QUERY_NODES_MAX 20000
/*
 * Pipes of a query and of those inside it: each one's rows are written in a
 * call in that of the one before, of less than 700 bytes of stack.
 */
#define QUERY_PIPES_MAX 9000

/* Relative times count from now_ns (reference 3.9). */
int query_parse(struct query **out, struct sv text, int64_t now_ns,
    struct pool *pool, struct err *err) WARN_UNUSED;

/*
 * A filter alone ("extra_filters"): no pipes, no options.  JSON objects
 * {"a":"b","c":["d","e"]} are accepted, too.
 */
int filter_parse(struct filter **out, struct sv text, int64_t now_ns,
    struct pool *pool, struct err *err) WARN_UNUSED;
/* The same for extra_stream_filters: "{a=b}" or a JSON object. */
int filter_parse_stream(struct filter **out, struct sv text,
    struct pool *pool, struct err *err) WARN_UNUSED;

/*
 * Puts "filter and" in front of the query's filter and of that of every
 * subquery (not of those that ignore the global time filter, if is_time).
 */
int query_add_filter(struct query *query, struct filter *filter,
    bool is_time, struct err *err) WARN_UNUSED;
/* A filter on _time: [min, max]. */
struct filter *filter_new_time(struct pool *pool, int64_t min, int64_t max);

/*
 * Makes the fields that query->hidden matches look missing to every filter
 * and pipe, those of subqueries, too; what they are part of, as _stream,
 * stays as it is.  Once, when no filter or pipe is added any more.
 */
#define QUERY_HIDDEN_MAX 100u /* a proxy's rule has a few */
int query_hide(struct query *query, struct err *err) WARN_UNUSED;

/* Adds a pipe at the end. */
struct pipe *query_add_pipe(struct query *query, enum pipe_kind kind);
/* Drops all pipes. */
void query_drop_pipes(struct query *query);

/* Canonical text (reference 3.10), for messages and names. */
void query_print(struct sb *out, const struct query *query);
void filter_print(struct sb *out, const struct filter *filter);

/*
 * Recomputes min_time, max_time after filters were added.  query_parse() and
 * query_add_filter() do it.
 */
void query_set_times(struct query *query);

#endif
