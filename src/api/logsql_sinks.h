/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Last stages of LogsQL endpoints: rows as JSON lines, or collected.  A sink
 * is freed by query_execute().
 */

#ifndef SPOOR_API_LOGSQL_SINKS_H
#define SPOOR_API_LOGSQL_SINKS_H

#include "core/base.h"
#include "api/job.h"
#include "query/pipe.h"

/* One JSON object a line, streamed to the job. */
struct stage *sink_lines_new(struct job *job);

/*
 * A row as such a line; nothing when all its fields are empty.  names: from
 * sink_line_names(), once for the rows, which are detached; NULL: no memory.
 */
struct sv *sink_line_names(const struct rows *rows);
void sink_line_add(struct sb *sb, const struct rows *rows,
    const struct sv *names, uint32_t row);

/*
 * A line of names, then a line per row.  Streamed when the query names the
 * columns; else all rows are collected to learn them.
 */
struct stage *sink_csv_new(struct job *job, const struct query *query);

/* Takes rows and gives nothing. */
struct stage *sink_nothing_new(void);

/*
 * Collects all rows as texts of the given fields, at most `max` rows (then
 * ERR_LIMIT); they live in the job's pool.
 */
struct table {
    const struct sv *fields;
    uint32_t nfields;
    uint32_t n;
    uint32_t cap;         /* private */
    struct sv *texts;     /* n * nfields */
    uint32_t max;
};
struct stage *sink_table_new(struct job *job, struct table *table);

#endif
