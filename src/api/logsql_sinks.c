/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/logsql_sinks.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/json_out.h"
#include "core/mem.h"

/* --- JSON lines --- */

/* Lanes collect this much before they take the lock and send. */
#define LINES_BYTES (64 * KIB)

struct sink_lines {
    struct stage stage;
    struct job *job;
    pthread_mutex_t mutex;
    struct sb lanes[QUERY_LANES_MAX];
};

/* `"name":` for each column, so that names are escaped once. */
struct sv *
sink_line_names(const struct rows *rows)
{
    struct sv *names = pool_alloc(rows->pool,
        (rows->ncolumns + 1) * sizeof(*names));
    struct sb sb;

    if (names == NULL)
        return NULL;
    sb_init(&sb, MIB);
    for (uint32_t i = 0; i < rows->ncolumns; i++) {
        struct json_out out;

        sb_reset(&sb);
        json_out_init(&out, &sb);
        json_string(&out, rows->columns[i].name);
        sb_add_char(&sb, ':');
        names[i] = sv_make(pool_dup(rows->pool, sb.ptr, sb.len), sb.len);
        if (sb_failed(&sb) || names[i].ptr == NULL) {
            names = NULL;
            break;
        }
    }
    sb_release(&sb);
    return names;
}

void
sink_line_add(struct sb *sb, const struct rows *rows, const struct sv *names,
    uint32_t row)
{
    size_t before = sb->len;
    char buf[COLUMN_TEXT_MAX];

    for (uint32_t i = 0; i < rows->ncolumns; i++) {
        struct sv text = column_text(&rows->columns[i], row, buf);
        struct json_out out;

        if (text.len == 0)
            continue;
        sb_add_char(sb, sb->len == before ? '{' : ',');
        sb_add_sv(sb, names[i]);
        json_out_init(&out, sb);
        json_string(&out, text);
    }
    if (sb->len > before)
        sb_add(sb, "}\n", 2);
}

static int
lines_send(struct sink_lines *sink, struct sb *sb, struct err *err)
{
    int rc;

    pthread_mutex_lock(&sink->mutex);
    rc = job_write(sink->job, sb, err);
    pthread_mutex_unlock(&sink->mutex);
    return rc;
}

static int
lines_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_lines *sink = (struct sink_lines *)stage;
    struct sb *sb = &sink->lanes[lane];
    struct sv *names;

    check(lane < QUERY_LANES_MAX);
    if (rows_detach(rows, err) != 0)
        return -1;
    names = sink_line_names(rows);
    if (names == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        sink_line_add(sb, rows, names, row);
        if (sb->len >= LINES_BYTES && lines_send(sink, sb, err) != 0)
            return -1;
    }
    if (sb_failed(sb))
        return err_set(err, ERR_LIMIT, "a row is too large");
    return 0;
}

static int
lines_flush(struct stage *stage, struct err *err)
{
    struct sink_lines *sink = (struct sink_lines *)stage;

    (void)err;
    for (unsigned lane = 0; lane < QUERY_LANES_MAX; lane++)
        sb_add(&sink->job->reply, sink->lanes[lane].ptr,
            sink->lanes[lane].len);
    return 0;
}

static void
lines_free(struct stage *stage)
{
    struct sink_lines *sink = (struct sink_lines *)stage;

    for (unsigned lane = 0; lane < QUERY_LANES_MAX; lane++)
        sb_release(&sink->lanes[lane]);
    pthread_mutex_destroy(&sink->mutex);
    xfree(sink);
}

static const struct stage_ops lines_ops = {lines_write, lines_flush,
    lines_free};

struct stage *
sink_lines_new(struct job *job)
{
    struct sink_lines *sink = xcalloc(1, sizeof(*sink));

    sink->stage.ops = &lines_ops;
    sink->job = job;
    check(pthread_mutex_init(&sink->mutex, NULL) == 0);
    for (unsigned lane = 0; lane < QUERY_LANES_MAX; lane++)
        sb_init(&sink->lanes[lane], job->bytes_max);
    return &sink->stage;
}

/* --- a table --- */

struct sink_table {
    struct stage stage;
    struct job *job;
    struct table *table;
    pthread_mutex_t mutex;
};

static int
table_grow(struct sink_table *sink, struct err *err)
{
    struct table *table = sink->table;
    uint32_t cap = MAX(2 * table->cap, 64u);
    struct sv *texts;

    if (table->n == table->max)
        return err_set(err, ERR_LIMIT, "more than %u results", table->max);
    if (table->n < table->cap)
        return 0;
    texts = pool_alloc(sink->job->pool,
        (size_t)cap * table->nfields * sizeof(*texts));
    if (texts == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    if (table->n > 0)
        memcpy(texts, table->texts,
            (size_t)table->n * table->nfields * sizeof(*texts));
    table->texts = texts;
    table->cap = cap;
    return 0;
}

static int
table_add(struct sink_table *sink, const struct column *columns,
    uint32_t row, struct err *err)
{
    struct table *table = sink->table;

    if (table_grow(sink, err) != 0)
        return -1;
    for (uint32_t i = 0; i < table->nfields; i++) {
        char buf[COLUMN_TEXT_MAX];
        struct sv text = column_text(&columns[i], row, buf);

        text.ptr = pool_dup(sink->job->pool, text.ptr, text.len);
        if (text.ptr == NULL)
            return err_set(err, ERR_LIMIT, "query needs too much memory");
        table->texts[(size_t)table->n * table->nfields + i] = text;
    }
    table->n++;
    return 0;
}

static int
table_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_table *sink = (struct sink_table *)stage;
    struct column *columns = pool_alloc(rows->pool,
        (sink->table->nfields + 1) * sizeof(*columns));
    const struct column *column;
    int rc = 0;

    (void)lane;
    if (columns == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < sink->table->nfields; i++) {
        if (rows_column(rows, sink->table->fields[i], &column, err) != 0)
            return -1;
        columns[i] = *column;
    }
    pthread_mutex_lock(&sink->mutex);
    for (uint32_t row = rows_first(rows); rc == 0 && row < rows->n;
        row = rows_next(rows, row))
        rc = table_add(sink, columns, row, err);
    pthread_mutex_unlock(&sink->mutex);
    return rc;
}

static int
table_flush(struct stage *stage, struct err *err)
{
    (void)stage;
    (void)err;
    return 0;
}

static void
table_free(struct stage *stage)
{
    struct sink_table *sink = (struct sink_table *)stage;

    pthread_mutex_destroy(&sink->mutex);
    xfree(sink);
}

static const struct stage_ops table_ops = {table_write, table_flush,
    table_free};

struct stage *
sink_table_new(struct job *job, struct table *table)
{
    struct sink_table *sink = xcalloc(1, sizeof(*sink));

    sink->stage.ops = &table_ops;
    sink->job = job;
    sink->table = table;
    check(pthread_mutex_init(&sink->mutex, NULL) == 0);
    return &sink->stage;
}

/* --- nothing --- */

static int
nothing_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    (void)stage;
    (void)lane;
    /* As those do that print. */
    return rows_detach(rows, err);
}

static void
nothing_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops nothing_ops = {nothing_write, table_flush,
    nothing_free};

struct stage *
sink_nothing_new(void)
{
    struct stage *stage = xcalloc(1, sizeof(*stage));

    stage->ops = &nothing_ops;
    return stage;
}
