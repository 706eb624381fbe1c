/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * stream_context: each row of the filter with its neighbours in the same
 * stream (5.33).  Rows of the filter are remembered by time and ids; then
 * the rows of each stream around them are asked for, kept, sorted by time,
 * and those that are near enough go on.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "query/parse.h"
#include "query/parser.h"
#include "query/stream_context.h"
#include "query/text.h"

#define CONTEXT_WINDOW_NS (3600 * NS_PER_SEC)

/* --- the pipe --- */

static int
take_window(struct parser *p, struct context_spec *spec)
{
    struct word word;

    if (parse_word(p, &word, STOP_NAME, "a duration") == -1)
        return -1;
    if (!duration_parse(word.text, &spec->window_ns) || spec->window_ns < 0)
        return parse_fail(p, word.pos, "expected a duration, found '%s'",
            parse_show(word.text).text);
    spec->window = word.text;
    return 0;
}

static int
context_options(struct parser *p, struct context_spec *spec)
{
    while (!parse_at_end(p)) {
        int rc;

        if (parse_take(p, "before")) {
            rc = parse_uint(p, &spec->before, false, "a number of rows");
            spec->has_before = true;
        } else if (parse_take(p, "after")) {
            rc = parse_uint(p, &spec->after, false, "a number of rows");
            spec->has_after = true;
        } else if (parse_take(p, "time_window")) {
            rc = take_window(p, spec);
        } else {
            rc = parse_unexpected(p, "'before', 'after', 'time_window' or "
                "'|'");
        }
        if (rc == -1)
            return -1;
    }
    return 0;
}

/*
 * The rows around are asked for by a query of all rows, so that filters that
 * are added to the query reach it, but for those of time.
 */
static int
make_query(struct parser *p, struct pipe *pipe)
{
    struct query *query = pool_zalloc(p->pool, sizeof(*query));

    if (query == NULL)
        return parse_no_memory(p);
    query->pool = p->pool;
    query->filter = filter_new(p->pool, FILTER_ALL, SV("_msg"), pipe->pos);
    if (query->filter == NULL)
        return parse_no_memory(p);
    query->text = query->time_offset = SV_EMPTY;
    query->ignore_global_time_filter = true;
    query->concurrency = p->query->concurrency;
    query->parallel_readers = p->query->parallel_readers;
    query->time_offset_ns = p->query->time_offset_ns;
    query_set_times(query);
    pipe->subquery = query;
    return 0;
}

static int
context_parse(struct parser *p, struct pipe *pipe)
{
    struct context_spec *spec = pool_zalloc(p->pool, sizeof(*spec));

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    spec->window_ns = CONTEXT_WINDOW_NS;
    spec->window = SV_EMPTY;
    for (const struct pipe *before = p->query->pipes; before != NULL;
        before = before->next) {
        if (before->kind != PIPE_FILTER)
            return parse_fail(p, pipe->pos,
                "stream_context must follow the filter");
    }
    if (context_options(p, spec) == -1)
        return -1;
    if (!spec->has_before && !spec->has_after)
        return parse_unexpected(p, "'before' or 'after' and a number");
    return make_query(p, pipe);
}

static void
context_print(struct sb *out, const struct pipe *pipe)
{
    const struct context_spec *spec = pipe->spec;

    sb_add_str(out, "stream_context");
    if (spec->has_before)
        sb_addf(out, " before %llu", (unsigned long long)spec->before);
    if (spec->has_after)
        sb_addf(out, " after %llu", (unsigned long long)spec->after);
    if (spec->window.len > 0) {
        sb_add_str(out, " time_window ");
        print_word(out, spec->window);
    }
}

const struct sv context_fields[CONTEXT_FIELDS] = {
    {"_time", 5}, {"_stream_id", 10}, {"_stream", 7}, {"trace_id", 8},
    {"span_id", 7},
};

static int
context_needed(struct needed *needed, UNUSED const struct pipe *pipe,
    struct pool *pool)
{
    for (size_t i = 0; i < CONTEXT_FIELDS; i++) {
        if (needed_add_name(needed, context_fields[i], pool) != 0)
            return -1;
    }
    return 0;
}

/* --- rows of the filter --- */

static struct stream *
find_stream(struct stage_context *mine, struct sv id, struct sv text,
    struct err *err)
{
    struct stream *stream;

    for (uint32_t i = 0; i < mine->nstreams; i++) {
        if (sv_eq(mine->streams[i].id, id))
            return &mine->streams[i];
    }
    if (mine->nstreams == CONTEXT_STREAMS_MAX) {
        err_set(err, ERR_LIMIT, "stream_context: the rows are of more than "
            "%u streams", CONTEXT_STREAMS_MAX);
        return NULL;
    }
    stream = &mine->streams[mine->nstreams];
    stream->matches = hold_alloc(&mine->hold,
        CONTEXT_MATCHES_MAX * sizeof(*stream->matches), err);
    if (stream->matches == NULL ||
        hold_text(&mine->hold, id, &stream->id, err) != 0 ||
        hold_text(&mine->hold, text, &stream->text, err) != 0)
        return NULL;
    mine->nstreams++;
    return stream;
}

static int
add_match(struct stage_context *mine, const struct sv *texts,
    struct err *err)
{
    struct stream *stream = find_stream(mine, texts[1], texts[2], err);
    struct match *match;

    if (stream == NULL)
        return -1;
    if (stream->n == CONTEXT_MATCHES_MAX)
        return err_set(err, ERR_LIMIT, "stream_context: more than %u rows "
            "of one stream", CONTEXT_MATCHES_MAX);
    match = &stream->matches[stream->n];
    if (!time_parse_value(texts[0], &match->time_ns))
        return 0;
    stream->n++;
    return hold_text(&mine->hold, texts[3], &match->ids[ID_TRACE],
        err) != 0 || hold_text(&mine->hold, texts[4], &match->ids[ID_SPAN],
        err) != 0 ? -1 : 0;
}

static int
context_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_context *mine = (struct stage_context *)stage;
    struct column columns[CONTEXT_FIELDS];
    const struct column *column;
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        if (rows_column(rows, context_fields[i], &column, err) != 0)
            return -1;
        columns[i] = *column;
    }
    pthread_mutex_lock(&mine->mutex);
    for (uint32_t row = rows_first(rows); rc == 0 && row < rows->n;
        row = rows_next(rows, row)) {
        char bufs[ARRAY_LEN(columns)][COLUMN_TEXT_MAX];
        struct sv texts[ARRAY_LEN(columns)];

        for (size_t i = 0; i < ARRAY_LEN(columns); i++)
            texts[i] = column_text(&columns[i], row, bufs[i]);
        rc = add_match(mine, texts, err);
    }
    pthread_mutex_unlock(&mine->mutex);
    return rc;
}

/* --- running --- */

static int
context_flush(struct stage *stage, struct err *err)
{
    struct stage_context *mine = (struct stage_context *)stage;
    bool is_done = false;

    for (uint32_t i = 0; i < mine->nstreams && !is_done; i++) {
        if (mine->streams[i].n > 0 &&
            context_give(mine, &mine->streams[i], &is_done, err) != 0)
            return -1;
    }
    return 0;
}

static void
context_free(struct stage *stage)
{
    struct stage_context *mine = (struct stage_context *)stage;

    hold_free(&mine->hold);
    pthread_mutex_destroy(&mine->mutex);
    pool_free(mine->pool);
    xfree(mine);
}

static const struct stage_ops context_ops = {
    context_write, context_flush, context_free
};

static int
context_make(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err)
{
    struct stage_context *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &context_ops;
    mine->pipe = pipe;
    mine->spec = pipe->spec;
    mine->pool = pool_new(CONTEXT_POOL_MAX);
    check(pthread_mutex_init(&mine->mutex, NULL) == 0);
    hold_init(&mine->hold, &run->budget);
    if (needed_find(&mine->needed, pipe->next, mine->pool, err) != 0 ||
        context_needed(&mine->needed, pipe, mine->pool) != 0) {
        context_free(&mine->stage);
        return -1;
    }
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_stream_context = {
    context_parse, context_print, context_needed, context_make, NULL
};
