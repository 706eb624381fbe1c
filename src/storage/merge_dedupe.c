/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Merging: copies of a span.  Rows of the same stream, shape and trace with
 * the same start and id stand side by side; those that agree in everything
 * else are one span (design P14).
 */

#include "core/base.h"
#include "storage/merge_state.h"

/*
 * Different spans of one id that a row is compared with.  Somebody who sends
 * more of them keeps some copies.
 */
#define TWINS_MAX 16u

static bool
is_same_attrs(const struct merge *m, enum write_table t, uint32_t a,
    uint32_t b)
{
    const struct part_writer *w = m->w;
    const struct merge_table *table = &m->tables[t];
    uint32_t x = table->run[a], y = table->run[b];
    uint32_t shape = w->tables[t].runs[x].shape;
    const uint32_t *x_base = &table->base[table->base_first[x]];
    const uint32_t *y_base = &table->base[table->base_first[y]];

    if (w->tables[t].runs[y].shape != shape)
        return false;
    for (uint32_t j = 0; j < w->shapes[shape].n; j++) {
        const struct write_key *key =
            &w->keys[w->shape_keys[w->shapes[shape].first + j]];
        size_t i = key->first + x_base[j] + a - table->run_start[x];
        size_t k = key->first + y_base[j] + b - table->run_start[y];
        uint32_t words = memtable_type_words(key->type);

        if ((words == 1 && w->single[i] != w->single[k]) ||
            (words == 2 && w->twice[i] != w->twice[k]))
            return false;
    }
    return true;
}

static bool
is_same_events(const struct merge *m, uint32_t a, uint32_t b)
{
    const uint32_t *first = m->tables[TABLE_EVENTS].first;
    uint32_t n = first[a + 1] - first[a];

    if (first[b + 1] - first[b] != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct write_event *x = &m->w->events[first[a] + i];
        const struct write_event *y = &m->w->events[first[b] + i];

        if (x->time_ns != y->time_ns || x->name != y->name ||
            !is_same_attrs(m, TABLE_EVENTS, first[a] + i, first[b] + i))
            return false;
    }
    return true;
}

static bool
is_same_links(const struct merge *m, uint32_t a, uint32_t b)
{
    const uint32_t *first = m->tables[TABLE_LINKS].first;
    uint32_t n = first[a + 1] - first[a];

    if (first[b + 1] - first[b] != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct write_link *x = &m->w->links[first[a] + i];
        const struct write_link *y = &m->w->links[first[b] + i];

        if (memcmp(x->trace_id, y->trace_id, 16) != 0 ||
            x->span_id != y->span_id ||
            !is_same_attrs(m, TABLE_LINKS, first[a] + i, first[b] + i))
            return false;
    }
    return true;
}

static bool
is_same_span(const struct merge *m, uint32_t a, uint32_t b)
{
    const struct part_writer *w = m->w;

    return w->end_ns[a] == w->end_ns[b] &&
        w->parent_ids[a] == w->parent_ids[b] &&
        w->row_resource[a] == w->row_resource[b] &&
        w->status[a] == w->status[b] &&
        is_same_attrs(m, TABLE_SPANS, a, b) && is_same_events(m, a, b) &&
        is_same_links(m, a, b);
}

/* Same run, trace, start and id? */
static bool
are_twins(const struct merge *m, uint32_t a, uint32_t b)
{
    const struct part_writer *w = m->w;

    return w->ids[a] == w->ids[b] && w->start_ns[a] == w->start_ns[b] &&
        w->row_ordinal[a] == w->row_ordinal[b] &&
        m->tables[TABLE_SPANS].run[a] == m->tables[TABLE_SPANS].run[b];
}

uint32_t
merge_dedupe(struct merge *m)
{
    uint32_t kept[TWINS_MAX], nkept = 0, ndropped = 0;

    for (uint32_t place = 0; place < m->nrows; place++) {
        struct merge_row *row = &m->rows[m->order[place]];

        if (place > 0 && !are_twins(m, place, place - 1))
            nkept = 0;
        for (uint32_t i = 0; i < nkept && !row->is_dropped; i++)
            row->is_dropped = is_same_span(m, kept[i], place);
        if (row->is_dropped)
            ndropped++;
        else if (nkept < TWINS_MAX)
            kept[nkept++] = place;
    }
    return ndropped;
}
