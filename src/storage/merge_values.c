/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Merging: the values of the rows of a block of the output.  Each block of
 * an input is looked at once for what stands with the rows, and once more,
 * when the runs of events and links are known, for attributes; its values go
 * straight to their places.
 */

#include "core/base.h"
#include "storage/merge_state.h"

#include "core/assert.h"

/* --- rows by source --- */

/* Rows were collected block by block. */
static void
find_sources(struct merge *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->nrows; i++) {
        struct merge_row *row = &m->rows[i];

        if (i == 0 || row->block != row[-1].block)
            m->sources[n++] = (struct merge_source){row->block, i, i};
        row->source = n - 1;
    }
    m->nsources = n;
}

/* The only walk over the rows in the order of the output: they lie apart. */
static int
make_sources(struct merge *m)
{
    uint32_t *events = m->tables[TABLE_EVENTS].first;
    uint32_t *links = m->tables[TABLE_LINKS].first;
    uint64_t nevents = 0, nlinks = 0;

    m->picks = merge_alloc(m, m->block_pool, m->nrows * sizeof(*m->picks));
    m->sources = merge_alloc(m, m->block_pool,
        m->nrows * sizeof(*m->sources));
    if (m->picks == NULL || m->sources == NULL)
        return -1;
    find_sources(m);
    for (uint32_t place = 0; place < m->nrows; place++) {
        const struct merge_row *row = &m->rows[m->order[place]];
        struct merge_source *source = &m->sources[row->source];

        m->picks[source->end++] = (struct merge_pick){place, row->run,
            row->row};
        events[place] = (uint32_t)nevents;
        links[place] = (uint32_t)nlinks;
        nevents += row->nevents;
        nlinks += row->nlinks;
        if (nevents > PART_SUBS_MAX || nlinks > PART_SUBS_MAX)
            return err_set(m->err, ERR_LIMIT,
                "a block has at most %u events", PART_SUBS_MAX);
    }
    events[m->nrows] = (uint32_t)nevents;
    links[m->nrows] = (uint32_t)nlinks;
    return 0;
}

/* Room for the events, or links. */
static int
make_subs(struct merge *m, enum write_table t)
{
    struct merge_table *table = &m->tables[t];
    uint32_t n = table->first[m->nrows];

    m->w->tables[t].n = n;
    table->shape = merge_alloc(m, m->block_pool, n * sizeof(*table->shape));
    return table->shape == NULL ? -1 : 0;
}

static int
make_rows(struct merge *m)
{
    for (unsigned t = TABLE_EVENTS; t <= TABLE_LINKS; t++) {
        m->tables[t].first = merge_alloc(m, m->block_pool,
            (m->nrows + 1) * sizeof(*m->tables[t].first));
        if (m->tables[t].first == NULL)
            return -1;
    }
    if (make_sources(m) != 0 || make_subs(m, TABLE_EVENTS) != 0)
        return -1;
    return make_subs(m, TABLE_LINKS);
}

/* --- texts --- */

static int
text_add(struct merge *m, struct merge_column *column, uint32_t code,
    uint32_t *text)
{
    uint32_t number = intern_add(&m->texts, column->texts[code]);

    if (number == INTERN_NONE)
        return merge_no_memory(m);
    column->map[code] = (uint64_t)m->stamp << 32 | number;
    *text = number;
    return 0;
}

static inline int
text_get(struct merge *m, struct merge_column *column, uint32_t code,
    uint32_t *text)
{
    uint64_t known = column->map[code];

    if (known >> 32 != m->stamp)
        return text_add(m, column, code, text);
    *text = (uint32_t)known;
    return 0;
}

/* --- what every row has --- */

static int
put_events(struct merge *m, struct merge_block *b, uint32_t row,
    uint32_t place)
{
    const struct merge_subs *subs = &b->subs[PART_TABLE_EVENTS];
    const struct part_runs *runs = b->runs[PART_TABLE_EVENTS];
    uint32_t at = m->tables[TABLE_EVENTS].first[place];

    for (uint32_t i = subs->first[row]; i < subs->first[row + 1]; i++, at++) {
        struct write_event *event = &m->w->events[at];

        event->time_ns = b->event_time[i];
        event->row = place;
        if (text_get(m, &b->event_name, b->event_name.codes[i],
                &event->name) != 0)
            return -1;
        m->tables[TABLE_EVENTS].shape[at] =
            b->input->shapes[runs->shape[subs->run[i]]];
    }
    return 0;
}

static void
put_links(struct merge *m, const struct merge_block *b, uint32_t row,
    uint32_t place)
{
    const struct merge_subs *subs = &b->subs[PART_TABLE_LINKS];
    const struct part_runs *runs = b->runs[PART_TABLE_LINKS];
    uint32_t at = m->tables[TABLE_LINKS].first[place];

    for (uint32_t i = subs->first[row]; i < subs->first[row + 1]; i++, at++) {
        struct write_link *link = &m->w->links[at];

        memcpy(link->trace_id, b->link_trace + (size_t)i * 16, 16);
        link->span_id = b->link_span[i];
        link->row = place;
        m->tables[TABLE_LINKS].shape[at] =
            b->input->shapes[runs->shape[subs->run[i]]];
    }
}

static int
put_rows(struct merge *m, const struct merge_source *source)
{
    struct part_writer *w = m->w;
    struct merge_block *b;

    if (merge_open(m, source->block, &b) != 0)
        return -1;
    for (uint32_t i = source->first; i < source->end; i++) {
        uint32_t place = m->picks[i].place, row = m->picks[i].row;

        w->ids[place] = b->ids[row];
        w->parent_ids[place] = b->parent_ids[row];
        w->start_ns[place] = b->start_ns[row];
        w->end_ns[place] = b->end_ns[row];
        w->row_resource[place] = b->input->resources[b->resource[row]];
        w->status[place] = (uint8_t)b->status[row];
        if (b->event_time != NULL && put_events(m, b, row, place) != 0)
            return -1;
        if (b->link_trace != NULL)
            put_links(m, b, row, place);
    }
    return 0;
}

/* --- runs --- */

/* Events (links) of one shape that follow one another are a run. */
static int
make_sub_runs(struct merge *m, enum write_table t, enum scratch_id id)
{
    struct write_rows *rows = &m->w->tables[t];
    const uint32_t *shape = m->tables[t].shape;

    rows->runs = writer_alloc(m->w, id, rows->n * sizeof(*rows->runs));
    if (rows->runs == NULL)
        return -1;
    for (uint32_t i = 0; i < rows->n; i++) {
        if (i == 0 || shape[i] != shape[i - 1])
            rows->runs[rows->nruns++] = (struct write_run){shape[i], 0, 0};
        rows->runs[rows->nruns - 1].rows++;
    }
    return 0;
}

/* Where the values of each run and key begin. */
static int
make_bases(struct merge *m, enum write_table t)
{
    struct part_writer *w = m->w;
    const struct write_rows *rows = &w->tables[t];
    struct merge_table *table = &m->tables[t];
    size_t n = 0, at = 0;

    for (uint32_t i = 0; i < rows->nruns; i++)
        n += w->shapes[rows->runs[i].shape].n;
    table->base = merge_alloc(m, m->block_pool, n * sizeof(uint32_t));
    table->base_first = merge_alloc(m, m->block_pool,
        rows->nruns * sizeof(uint32_t));
    table->run_start = merge_alloc(m, m->block_pool,
        (rows->nruns + 1) * sizeof(uint32_t));
    table->run = merge_alloc(m, m->block_pool, rows->n * sizeof(uint32_t));
    if (table->base == NULL || table->base_first == NULL ||
        table->run_start == NULL || table->run == NULL)
        return -1;
    table->run_start[0] = 0;
    for (uint32_t i = 0; i < rows->nruns; i++) {
        const struct write_run *run = &rows->runs[i];
        const struct write_shape *shape = &w->shapes[run->shape];
        uint32_t start = table->run_start[i];

        table->base_first[i] = (uint32_t)at;
        table->run_start[i + 1] = start + run->rows;
        for (uint32_t j = 0; j < run->rows; j++)
            table->run[start + j] = i;
        for (uint32_t j = 0; j < shape->n; j++) {
            struct write_key *key = &w->keys[w->shape_keys[shape->first + j]];

            table->base[at++] = key->filled;
            key->filled += run->rows;
        }
    }
    return 0;
}

static int
make_runs(struct merge *m)
{
    if (make_sub_runs(m, TABLE_EVENTS, SCRATCH_EVENT_RUNS) != 0 ||
        make_sub_runs(m, TABLE_LINKS, SCRATCH_LINK_RUNS) != 0 ||
        writer_place_values(m->w) != 0)
        return -1;
    for (unsigned t = 0; t < TABLES; t++) {
        if (make_bases(m, t) != 0)
            return -1;
    }
    return 0;
}

/* --- attributes --- */

/* n rows of one run of the input that follow one another in the output. */
struct stretch {
    enum write_table table;
    uint32_t number; /* first row, event or link of the output */
    uint32_t run;    /* of the input block */
    uint32_t source; /* first row, event or link of the input block */
    uint32_t n;
};

static int
put_column(struct merge *m, struct merge_column *column,
    const struct write_key *key, uint32_t to, const struct stretch *s)
{
    uint32_t *dst = m->w->single + key->first + s->number;

    switch (key->type) {
    case VALUE_EMPTY:
        return 0;
    case VALUE_INT:
    case VALUE_DOUBLE:
        memcpy(m->w->twice + key->first + s->number, column->numbers + to,
            s->n * sizeof(uint64_t));
        return 0;
    case VALUE_BOOL:
        memcpy(dst, column->codes + to, s->n * sizeof(uint32_t));
        return 0;
    default:
        for (uint32_t i = 0; i < s->n; i++) {
            if (text_get(m, column, column->codes[to + i], &dst[i]) != 0)
                return -1;
        }
        return 0;
    }
}

static int
put_stretch(struct merge *m, struct merge_block *b, const struct stretch *s)
{
    const struct part *part = b->input->part;
    const struct part_runs *runs = b->runs[s->table];
    const struct part_shape *from = &part->shapes[runs->shape[s->run]];
    const uint32_t *from_base = &runs->base[runs->first[s->run]];
    uint32_t from_offset = s->source - runs->start[s->run];
    const struct merge_table *table = &m->tables[s->table];
    uint32_t run = table->run[s->number];
    const struct write_shape *to =
        &m->w->shapes[m->w->tables[s->table].runs[run].shape];
    const uint32_t *to_base = &table->base[table->base_first[run]];
    uint32_t to_offset = s->number - table->run_start[run];
    struct stretch values = *s;

    check(from->n == to->n);
    for (uint32_t j = 0; j < from->n; j++) {
        uint32_t column = part->shape_keys[from->first + j];
        const struct write_key *key =
            &m->w->keys[m->w->shape_keys[to->first + j]];

        values.number = to_base[j] + to_offset;
        if (put_column(m, &b->columns[column], key,
                from_base[j] + from_offset, &values) != 0)
            return -1;
    }
    return 0;
}

/* Attributes of the events or links of a row. */
static int
put_sub_attrs(struct merge *m, struct merge_block *b, enum write_table t,
    const struct merge_pick *pick)
{
    const struct merge_subs *subs = &b->subs[t];
    uint32_t first = subs->first[pick->row], end = subs->first[pick->row + 1];
    struct stretch s;

    if (first == end)
        return 0;
    s = (struct stretch){.table = t,
        .number = m->tables[t].first[pick->place], .n = 1};
    for (uint32_t i = first; i < end; i++) {
        s.run = subs->run[i];
        s.source = i;
        if (put_stretch(m, b, &s) != 0)
            return -1;
        s.number++;
    }
    return 0;
}

static int
put_attrs(struct merge *m, const struct merge_source *source)
{
    struct stretch s = {.table = TABLE_SPANS};
    const uint32_t *out_run = m->tables[TABLE_SPANS].run;
    struct merge_block *b;
    bool has_subs;

    if (merge_open(m, source->block, &b) != 0)
        return -1;
    has_subs = b->subs[TABLE_EVENTS].n + b->subs[TABLE_LINKS].n > 0;
    for (uint32_t i = source->first; i < source->end; i++) {
        struct merge_pick pick = m->picks[i];

        if (s.n > 0 && pick.place == s.number + s.n &&
            pick.row == s.source + s.n && pick.run == s.run &&
            out_run[pick.place] == out_run[s.number]) {
            s.n++;
        } else {
            if (s.n > 0 && put_stretch(m, b, &s) != 0)
                return -1;
            s = (struct stretch){TABLE_SPANS, pick.place, pick.run, pick.row,
                1};
        }
        if (has_subs && (put_sub_attrs(m, b, TABLE_EVENTS, &pick) != 0 ||
            put_sub_attrs(m, b, TABLE_LINKS, &pick) != 0))
            return -1;
    }
    return s.n == 0 ? 0 : put_stretch(m, b, &s);
}

int
merge_values(struct merge *m)
{
    struct part_writer *w = m->w;

    intern_reset(&m->texts);
    m->stamp++;
    if (make_rows(m) != 0)
        return -1;
    w->events = writer_alloc(w, SCRATCH_EVENTS,
        w->tables[TABLE_EVENTS].n * sizeof(*w->events));
    w->links = writer_alloc(w, SCRATCH_LINKS,
        w->tables[TABLE_LINKS].n * sizeof(*w->links));
    if (w->events == NULL || w->links == NULL)
        return -1;
    for (uint32_t i = 0; i < m->nsources; i++) {
        if (put_rows(m, &m->sources[i]) != 0)
            return -1;
    }
    if (make_runs(m) != 0)
        return -1;
    for (uint32_t i = 0; i < m->nsources; i++) {
        if (put_attrs(m, &m->sources[i]) != 0)
            return -1;
    }
    w->texts = m->texts.v;
    w->ntexts = m->texts.n;
    return 0;
}
