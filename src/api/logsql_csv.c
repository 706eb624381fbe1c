/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows as CSV (RFC 4180, lines end with \n).  The first line has the names of
 * the columns, so they must be known before the first row: when the query
 * ends by naming them, rows are streamed; else they are collected first.
 */

#include "core/base.h"
#include "api/logsql_sinks.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "query/stage.h"

/* Written to the client at a time. */
#define CSV_BYTES (64 * KIB)
/* Columns of an answer: a span has at most 2000 fields (insert.*). */
#define CSV_COLUMNS_MAX 10000u

struct csv_cell {
    uint32_t column;
    struct sv text;
};

struct csv_row {
    struct csv_row *next;
    uint32_t n;
    struct csv_cell cells[];
};

struct sink_csv {
    struct stage stage;
    struct job *job;
    pthread_mutex_t mutex;
    struct sv *names;  /* of the columns */
    uint32_t n, cap;
    bool is_fixed;     /* nothing but names */
    bool has_header;
    struct csv_row *first, **end; /* collected */
    struct sb sb;
};

/* --- text --- */

static bool
must_quote(struct sv text)
{
    if (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' '))
        return true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == ',' || c == '"' || c == '\n' || c == '\r')
            return true;
    }
    return false;
}

/* Text number `number` of n in a line. */
static void
put_text(struct sb *sb, struct sv text, uint32_t number, uint32_t n)
{
    if (number > 0)
        sb_add_char(sb, ',');
    /* Readers skip a line that is empty. */
    if (n == 1 && text.len == 0) {
        sb_add_str(sb, "\"\"");
        return;
    }
    if (!must_quote(text)) {
        sb_add_sv(sb, text);
        return;
    }
    sb_add_char(sb, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            sb_add_char(sb, '"');
        sb_add_char(sb, text.ptr[i]);
    }
    sb_add_char(sb, '"');
}

static void
put_header(struct sink_csv *sink)
{
    sink->has_header = true;
    for (uint32_t i = 0; i < sink->n; i++) {
        put_text(&sink->sb, sink->names[i], i, sink->n);
    }
    if (sink->n > 0)
        sb_add_char(&sink->sb, '\n');
}

static int
send_full(struct sink_csv *sink, struct err *err)
{
    return sink->sb.len < CSV_BYTES ? 0
        : job_write(sink->job, &sink->sb, err);
}

/* --- columns that are known --- */

static int
write_fixed(struct sink_csv *sink, struct rows *rows, struct err *err)
{
    struct column *columns = pool_alloc(rows->pool,
        (sink->n + 1) * sizeof(*columns));
    const struct column *column;
    int rc = 0;

    if (columns == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < sink->n; i++) {
        if (rows_column(rows, sink->names[i], &column, err) != 0)
            return -1;
        columns[i] = *column;
    }
    pthread_mutex_lock(&sink->mutex);
    if (!sink->has_header)
        put_header(sink);
    for (uint32_t row = rows_first(rows); rc == 0 && row < rows->n;
        row = rows_next(rows, row)) {
        for (uint32_t i = 0; i < sink->n; i++) {
            char buf[COLUMN_TEXT_MAX];

            put_text(&sink->sb, column_text(&columns[i], row, buf), i,
                sink->n);
        }
        sb_add_char(&sink->sb, '\n');
        rc = send_full(sink, err);
    }
    pthread_mutex_unlock(&sink->mutex);
    return rc;
}

/* --- columns that are not --- */

/* The number of a column, a new one for a new name. */
static int
column_find(struct sink_csv *sink, struct sv name, uint32_t *out,
    struct err *err)
{
    struct pool *pool = sink->job->pool;

    for (*out = 0; *out < sink->n; ++*out) {
        if (sv_eq(sink->names[*out], name))
            return 0;
    }
    if (sink->n == CSV_COLUMNS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u columns; name some with "
            "'fields'", CSV_COLUMNS_MAX);
    if (sink->n == sink->cap) {
        uint32_t cap = MAX(2 * sink->cap, 64u);
        struct sv *names = pool_alloc(pool, cap * sizeof(*names));

        if (names == NULL)
            return err_set(err, ERR_LIMIT, "query needs too much memory");
        if (sink->n > 0)
            memcpy(names, sink->names, sink->n * sizeof(*names));
        sink->names = names;
        sink->cap = cap;
    }
    name.ptr = pool_dup(pool, name.ptr, name.len);
    if (name.ptr == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    sink->names[sink->n++] = name;
    return 0;
}

static int
keep_row(struct sink_csv *sink, const struct rows *rows,
    const uint32_t *numbers, uint32_t row, struct err *err)
{
    struct pool *pool = sink->job->pool;
    struct csv_row *kept = pool_alloc(pool, sizeof(*kept) +
        rows->ncolumns * sizeof(kept->cells[0]));

    if (kept == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    kept->next = NULL;
    kept->n = 0;
    for (uint32_t i = 0; i < rows->ncolumns; i++) {
        char buf[COLUMN_TEXT_MAX];
        struct sv text = column_text(&rows->columns[i], row, buf);

        if (text.len == 0)
            continue;
        text.ptr = pool_dup(pool, text.ptr, text.len);
        if (text.ptr == NULL)
            return err_set(err, ERR_LIMIT, "query needs too much memory");
        kept->cells[kept->n++] = (struct csv_cell){numbers[i], text};
    }
    if (kept->n == 0)
        return 0;
    *sink->end = kept;
    sink->end = &kept->next;
    return 0;
}

/* Of a field that only rows of others have, perhaps of another tenant. */
static bool
is_empty(const struct rows *rows, const struct column *column)
{
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        if (column_is_filled(column, row))
            return false;
    }
    return true;
}

static int
write_any(struct sink_csv *sink, struct rows *rows, struct err *err)
{
    uint32_t *numbers;
    int rc = 0;

    if (rows_detach(rows, err) != 0)
        return -1;
    numbers = pool_alloc(rows->pool, (rows->ncolumns + 1) * sizeof(*numbers));
    if (numbers == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    pthread_mutex_lock(&sink->mutex);
    for (uint32_t i = 0; rc == 0 && i < rows->ncolumns; i++) {
        if (!is_empty(rows, &rows->columns[i]))
            rc = column_find(sink, rows->columns[i].name, &numbers[i], err);
    }
    for (uint32_t row = rows_first(rows); rc == 0 && row < rows->n;
        row = rows_next(rows, row))
        rc = keep_row(sink, rows, numbers, row, err);
    pthread_mutex_unlock(&sink->mutex);
    return rc;
}

static int
print_kept(struct sink_csv *sink, struct err *err)
{
    struct sv *cells = pool_alloc(sink->job->pool,
        (sink->n + 1) * sizeof(*cells));

    if (cells == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (const struct csv_row *row = sink->first; row != NULL;
        row = row->next) {
        for (uint32_t i = 0; i < sink->n; i++)
            cells[i] = SV_EMPTY;
        for (uint32_t i = 0; i < row->n; i++)
            cells[row->cells[i].column] = row->cells[i].text;
        for (uint32_t i = 0; i < sink->n; i++)
            put_text(&sink->sb, cells[i], i, sink->n);
        sb_add_char(&sink->sb, '\n');
        if (send_full(sink, err) != 0)
            return -1;
    }
    return 0;
}

/* --- the stage --- */

static int
csv_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_csv *sink = (struct sink_csv *)stage;

    (void)lane;
    return sink->is_fixed ? write_fixed(sink, rows, err)
                          : write_any(sink, rows, err);
}

static int
csv_flush(struct stage *stage, struct err *err)
{
    struct sink_csv *sink = (struct sink_csv *)stage;

    if (!sink->has_header)
        put_header(sink);
    if (!sink->is_fixed && print_kept(sink, err) != 0)
        return -1;
    if (sb_failed(&sink->sb))
        return err_set(err, ERR_LIMIT, "a row is too large");
    sb_add_sv(&sink->job->reply, sb_sv(&sink->sb));
    return 0;
}

static void
csv_free(struct stage *stage)
{
    struct sink_csv *sink = (struct sink_csv *)stage;

    pthread_mutex_destroy(&sink->mutex);
    sb_release(&sink->sb);
    xfree(sink);
}

static const struct stage_ops csv_ops = {csv_write, csv_flush, csv_free};

/* Leaves the columns as they were. */
static bool
keeps_columns(const struct pipe *pipe)
{
    return pipe->kind == PIPE_FILTER || pipe->kind == PIPE_LIMIT ||
        pipe->kind == PIPE_OFFSET ||
        (pipe->kind == PIPE_SORT && pipe->sort->rank.len == 0);
}

/* The last pipe that says what columns there are; NULL: none does. */
static const struct pipe *
find_names(const struct query *query)
{
    const struct pipe *found = NULL;

    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        if (!keeps_columns(pipe))
            found = pipe->kind == PIPE_FIELDS ? pipe : NULL;
    }
    for (uint32_t i = 0; found != NULL && i < found->nnames; i++) {
        if (found->names[i].is_prefix)
            return NULL;
    }
    return found;
}

struct stage *
sink_csv_new(struct job *job, const struct query *query)
{
    struct sink_csv *sink = xcalloc(1, sizeof(*sink));
    const struct pipe *names = find_names(query);

    sink->stage.ops = &csv_ops;
    sink->job = job;
    sink->end = &sink->first;
    check(pthread_mutex_init(&sink->mutex, NULL) == 0);
    sb_init(&sink->sb, job->bytes_max);
    if (names == NULL)
        return &sink->stage;
    sink->names = pool_alloc(job->pool,
        (names->nnames + 1) * sizeof(*sink->names));
    sink->is_fixed = sink->names != NULL;
    for (uint32_t i = 0; sink->is_fixed && i < names->nnames; i++)
        sink->names[sink->n++] = names->names[i].name;
    return &sink->stage;
}
