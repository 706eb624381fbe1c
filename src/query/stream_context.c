/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/stream_context.h"

#include "core/mem.h"
#include "query/inside.h"
#include "query/parse.h"
#include "query/parser.h"
#include "query/pipe_type.h"
#include "query/text.h"

/* --- the rows of one stream --- */

struct candidate {
    int64_t time_ns;
    uint32_t row; /* held */
    bool is_match;
    bool is_wanted;
};

struct around {
    struct stage_context *mine;
    struct stream *stream;
    struct held held;
    struct candidate *rows;
    struct filter **windows; /* of time, rising; they do not meet */
    uint32_t nwindows;
    uint32_t names[CONTEXT_FIELDS]; /* held, or INTERN_NONE */
};

static int
match_cmp(const void *left, const void *right)
{
    const struct match *a = left, *b = right;

    return (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
}

static int
candidate_cmp(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static int64_t
add_ns(int64_t time_ns, int64_t ns)
{
    int64_t sum;

    if (__builtin_add_overflow(time_ns, ns, &sum))
        return ns < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

/* The time of one match and what is around it. */
static void
window_of(const struct context_spec *spec, int64_t time_ns, int64_t *min,
    int64_t *max)
{
    *min = spec->before > 0 ? add_ns(time_ns, -spec->window_ns) : time_ns;
    *max = spec->after > 0 ? add_ns(time_ns, spec->window_ns) : time_ns;
}

/* Windows that meet are one. */
static struct filter *
times_filter(struct around *around, struct pool *pool)
{
    const struct context_spec *spec = around->mine->spec;
    const struct stream *stream = around->stream;
    struct filter **items = pool_alloc(pool, stream->n * sizeof(*items));
    uint32_t n = 0;

    for (uint32_t i = 0; items != NULL && i < stream->n; i++) {
        int64_t min, max;

        window_of(spec, stream->matches[i].time_ns, &min, &max);
        if (n > 0 && min <= items[n - 1]->time_max) {
            items[n - 1]->time_max = MAX(max, items[n - 1]->time_max);
            continue;
        }
        items[n] = filter_new_time(pool, min, max);
        if (items[n++] == NULL)
            return NULL;
    }
    around->windows = items;
    around->nwindows = n;
    return items == NULL ? NULL : filter_new_list(pool, FILTER_OR, items, n);
}

/* "fields" of what is needed, in front of which others may stand. */
static struct pipe *
fields_pipe(const struct stage_context *mine, struct pool *pool)
{
    struct pipe *pipe = pool_zalloc(pool, sizeof(*pipe));

    if (pipe == NULL)
        return NULL;
    pipe->kind = PIPE_FIELDS;
    pipe->type = pipe_type_of_kind(PIPE_FIELDS);
    pipe->names = mine->needed.patterns;
    pipe->nnames = mine->needed.n;
    pipe->result = pipe->hits = SV_EMPTY;
    return pipe;
}

/* The query of the pipe, for this stream and these times. */
static int
ask(struct around *around, struct pool *pool, struct err *err)
{
    struct stage_context *mine = around->mine;
    struct query query = *mine->pipe->subquery;
    struct filter *id = filter_new(pool, FILTER_STREAM_ID, SV("_stream_id"),
        0);
    struct filter *times = times_filter(around, pool), *all[3];
    struct pipe *pipe, **end = &query.pipes;

    if (id == NULL || times == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    id->values = &around->stream->id;
    id->nvalues = 1;
    all[0] = times;
    all[1] = id;
    all[2] = query.filter;
    query.pool = pool;
    query.filter = filter_new_list(pool, FILTER_AND, all, 3);
    /* What query_hide() put there stays; it is at most a few pipes. */
    for (pipe = mine->pipe->subquery->pipes; pipe != NULL;
        pipe = pipe->next) {
        *end = pool_alloc(pool, sizeof(**end));
        if (*end == NULL)
            return err_set(err, ERR_LIMIT, "query needs too much memory");
        **end = *pipe;
        end = &(*end)->next;
    }
    if (!mine->needed.is_all) {
        *end = fields_pipe(mine, pool);
        query.npipes++;
    }
    if (query.filter == NULL || (!mine->needed.is_all && *end == NULL))
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    query_set_times(&query);
    /* All windows are within these times. */
    query.min_time = MAX(query.min_time, around->windows[0]->time_min);
    query.max_time = MIN(query.max_time,
        around->windows[around->nwindows - 1]->time_max);
    return held_run(&around->held, mine->stage.run, &query, err);
}

static struct sv
cell_of(const struct around *around, uint32_t row, size_t field)
{
    uint32_t name = around->names[field];

    return name == INTERN_NONE ? SV_EMPTY :
        held_text(held_row(&around->held, row), name);
}

/* Both are sorted by time.  Very many may be of the same. */
static int
mark_matches(struct around *around, struct err *err)
{
    const struct stream *stream = around->stream;
    uint32_t first = 0;

    for (uint32_t i = 0; i < around->held.nrows; i++) {
        struct candidate *c = &around->rows[i];
        struct sv trace = cell_of(around, c->row, 3);
        struct sv span = cell_of(around, c->row, 4);

        if (i % STAGE_POLL_ROWS == 0 &&
            run_poll(around->mine->stage.run, err) != 0)
            return -1;
        while (first < stream->n &&
            stream->matches[first].time_ns < c->time_ns)
            first++;
        for (uint32_t k = first; !c->is_match && k < stream->n &&
            stream->matches[k].time_ns == c->time_ns; k++)
            c->is_match = sv_eq(stream->matches[k].ids[ID_TRACE], trace) &&
                sv_eq(stream->matches[k].ids[ID_SPAN], span);
    }
    return 0;
}

/*
 * Row i is a match.  Those before it are looked at down to *end only: behind
 * the match before all up to there are marked that its window has, and this
 * one's begins no earlier.
 */
static void
mark_around(struct around *around, uint32_t i, uint32_t *end)
{
    const struct context_spec *spec = around->mine->spec;
    struct candidate *rows = around->rows;
    uint32_t k = i;
    int64_t min, max;

    window_of(spec, rows[i].time_ns, &min, &max);
    rows[i].is_wanted = true;
    while (k > *end && i - k < spec->before && rows[k - 1].time_ns >= min)
        rows[--k].is_wanted = true;
    for (k = MAX(i + 1, *end); k < around->held.nrows &&
        k - i <= spec->after && rows[k].time_ns <= max; k++)
        rows[k].is_wanted = true;
    *end = k;
}

static int
find_wanted(struct around *around, struct err *err)
{
    const struct held *held = &around->held;
    uint32_t end = 0;

    around->rows = hold_alloc(&around->mine->hold,
        (held->nrows + 1u) * sizeof(*around->rows), err);
    if (around->rows == NULL)
        return -1;
    for (size_t f = 0; f < CONTEXT_FIELDS; f++) {
        around->names[f] = INTERN_NONE;
        for (uint32_t k = 0; k < held->names.n; k++) {
            if (sv_eq(held->names.v[k], context_fields[f]))
                around->names[f] = k;
        }
    }
    for (uint32_t i = 0; i < held->nrows; i++) {
        around->rows[i] = (struct candidate){0, i, false, false};
        (void)time_parse_value(cell_of(around, i, 0),
            &around->rows[i].time_ns);
    }
    qsort(around->rows, held->nrows, sizeof(*around->rows), candidate_cmp);
    if (mark_matches(around, err) != 0)
        return -1;
    for (uint32_t i = 0; i < held->nrows; i++) {
        if (i % STAGE_POLL_ROWS == 0 &&
            run_poll(around->mine->stage.run, err) != 0)
            return -1;
        if (around->rows[i].is_match)
            mark_around(around, i, &end);
    }
    return 0;
}

/* --- what goes on --- */

/*
 * Does a chunk end behind this row?  Rows between it and the next wanted one
 * are there, or were not asked for.
 */
static bool
ends_chunk(const struct around *around, uint32_t i, uint32_t *window)
{
    const struct candidate *rows = around->rows;

    while (*window < around->nwindows &&
        around->windows[*window]->time_max < rows[i].time_ns)
        ++*window;
    return i + 1 == around->held.nrows || !rows[i + 1].is_wanted ||
        (*window < around->nwindows &&
        rows[i + 1].time_ns > around->windows[*window]->time_max);
}

static uint32_t
count_chunks(const struct around *around)
{
    uint32_t n = 0, window = 0;

    for (uint32_t i = 0; i < around->held.nrows; i++) {
        if (around->rows[i].is_wanted)
            n += ends_chunk(around, i, &window);
    }
    return n;
}

/* The columns of rows and of what stands between chunks. */
struct out {
    struct sv *names;
    struct sv *texts;
    uint32_t n;
    uint32_t places[4]; /* _time, _stream_id, _stream, _msg */
};

static void
out_make(struct out *out, const struct around *around)
{
    static const struct sv fixed[] = {
        {"_time", 5}, {"_stream_id", 10}, {"_stream", 7}, {"_msg", 4},
    };
    uint32_t nheld = around->held.names.n;

    out->names = xcalloc(2 * ((size_t)nheld + ARRAY_LEN(fixed)),
        sizeof(*out->names));
    out->texts = out->names + nheld + ARRAY_LEN(fixed);
    if (nheld > 0)
        memcpy(out->names, around->held.names.v, nheld *
            sizeof(*out->names));
    out->n = nheld;
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        uint32_t place = 0;

        while (place < out->n && !sv_eq(out->names[place], fixed[i]))
            place++;
        if (place == out->n)
            out->names[out->n++] = fixed[i];
        out->places[i] = place;
    }
}

static int
emit_one(const struct around *around, const struct out *out, uint32_t i,
    struct emit *emit, struct err *err)
{
    const struct held_row *row = held_row(&around->held,
        around->rows[i].row);

    memset(out->texts, 0, out->n * sizeof(*out->texts));
    for (uint32_t k = 0; k < row->n; k++)
        out->texts[row->cells[k].name] = sv_make(row->cells[k].ptr,
            row->cells[k].len);
    return emit_row(emit, out->texts, err);
}

static int
emit_delimiter(const struct around *around, const struct out *out,
    uint32_t i, struct emit *emit, struct err *err)
{
    char text[TIME_TEXT_MAX];
    int64_t time_ns = add_ns(around->rows[i].time_ns, 1);

    memset(out->texts, 0, out->n * sizeof(*out->texts));
    out->texts[out->places[0]] = sv_make(text,
        time_print_short(text, time_ns));
    out->texts[out->places[1]] = around->stream->id;
    out->texts[out->places[2]] = around->stream->text;
    out->texts[out->places[3]] = SV("---");
    return emit_row(emit, out->texts, err);
}

static int
emit_wanted(const struct around *around, bool has_delimiters,
    bool *is_done, struct err *err)
{
    struct emit emit;
    struct out out;
    uint32_t window = 0;
    int rc = 0;

    out_make(&out, around);
    emit_begin(&emit, around->mine->stage.next, out.names, out.n);
    for (uint32_t i = 0; rc == 0 && i < around->held.nrows && !emit.is_done;
        i++) {
        if (i % STAGE_POLL_ROWS == 0)
            rc = run_poll(around->mine->stage.run, err);
        if (rc != 0 || !around->rows[i].is_wanted)
            continue;
        rc = emit_one(around, &out, i, &emit, err);
        if (rc == 0 && ends_chunk(around, i, &window) && has_delimiters)
            rc = emit_delimiter(around, &out, i, &emit, err);
    }
    if (rc == 0)
        rc = emit_end(&emit, err);
    *is_done = emit.is_done;
    emit_free(&emit);
    xfree(out.names);
    return rc;
}

int
context_give(struct stage_context *mine, struct stream *stream,
    bool *is_done, struct err *err)
{
    struct around around = {.mine = mine, .stream = stream};
    struct pool *pool = pool_new(CONTEXT_POOL_MAX);
    int rc;

    pool_share(pool, mine->stage.run->budget.share);
    qsort(stream->matches, stream->n, sizeof(*stream->matches), match_cmp);
    held_init(&around.held, &mine->stage.run->budget);
    rc = ask(&around, pool, err);
    if (rc == 0)
        rc = find_wanted(&around, err);
    if (rc == 0)
        rc = emit_wanted(&around, mine->nstreams > 1 ||
            count_chunks(&around) > 1, is_done, err);
    held_free(&around.held);
    pool_free(pool);
    return rc;
}
