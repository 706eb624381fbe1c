/* SPDX-License-Identifier: BSD-2-Clause */

/* Merging: the rows of one block of the output and their order. */

#include "core/base.h"
#include "storage/merge_state.h"

#include "core/assert.h"

/* Up to here insertion is the cheapest way to sort. */
#define SORT_FEW_MAX 12u

/* --- collecting --- */

static void
collect_row(struct merge *m, const struct merge_block *b, uint16_t row,
    uint32_t entry)
{
    uint32_t run = b->run[row];
    const struct part_runs *runs = b->runs[PART_TABLE_SPANS];
    const uint32_t *events = &b->subs[PART_TABLE_EVENTS].first[row];
    const uint32_t *links = &b->subs[PART_TABLE_LINKS].first[row];

    m->rows[m->nrows++] = (struct merge_row){
        .start_ns = b->start_ns[row],
        .id = b->ids[row],
        .entry = entry,
        .block = b->number,
        .run = run,
        .stream = b->input->streams[runs->stream[run]],
        .shape = b->input->shapes[runs->shape[run]],
        .nevents = events[1] - events[0],
        .nlinks = links[1] - links[0],
        .row = row,
    };
}

static int
collect_entry(struct merge *m, const struct merge_entry *entry,
    struct merge_owner *owner)
{
    struct merge_block *b;
    uint32_t before = m->nrows, first;

    if (merge_open(m, entry->block, &b) != 0)
        return -1;
    owner->tenant = b->traces.tenant[entry->ordinal];
    memcpy(owner->id.b, &b->traces.hi[entry->ordinal], 8);
    memcpy(owner->id.b + 8, &b->traces.lo[entry->ordinal], 8);
    first = b->families->first[entry->ordinal];
    for (uint32_t i = first; i < b->families->first[entry->ordinal + 1];
        i++) {
        uint16_t row = b->families->rows[i];

        if (!entry->is_slice || merge_slice(b->end_ns[row]) == entry->slice)
            collect_row(m, b, row, m->nowners);
    }
    /* The plan has counted the same rows. */
    check(m->nrows - before == entry->rows);
    m->nowners++;
    return 0;
}

int
merge_collect(struct merge *m, const struct merge_out *out)
{
    uint32_t nrows = 0, nentries = out->end - out->first;

    for (uint32_t i = out->first; i < out->end; i++)
        nrows += m->entries[i].rows;
    check(nrows <= PART_BLOCK_ROWS);
    pool_reset(m->block_pool);
    m->nrows = m->nowners = 0;
    m->rows = merge_alloc(m, m->block_pool, nrows * sizeof(*m->rows));
    m->owners = merge_alloc(m, m->block_pool,
        nentries * sizeof(*m->owners));
    if (m->rows == NULL || m->owners == NULL)
        return -1;
    for (uint32_t i = out->first; i < out->end; i++) {
        if (collect_entry(m, &m->entries[i], &m->owners[m->nowners]) != 0)
            return -1;
    }
    return 0;
}

/* --- order --- */

static int
number_traces(struct merge *m, struct sort_item *a, struct sort_item *b)
{
    struct part_writer *w = m->w;

    if (writer_start_traces(w, m->nowners) != 0)
        return -1;
    for (uint32_t i = 0; i < m->nowners; i++)
        m->owners[i].trace = NO_ORDINAL;
    for (uint32_t i = 0; i < m->nrows; i++) {
        struct merge_owner *owner = &m->owners[m->rows[i].entry];

        if (owner->trace == NO_ORDINAL) {
            owner->trace = writer_trace(w, owner->tenant, &owner->id,
                m->rows[i].start_ns, 1);
            continue;
        }
        w->traces[owner->trace].rows++;
        w->traces[owner->trace].start_ns = MIN(
            w->traces[owner->trace].start_ns, m->rows[i].start_ns);
    }
    writer_number_traces(w, a, b);
    return 0;
}

static int
compare_rows(const void *a, const void *b, void *arg)
{
    const struct merge *m = arg;
    uint32_t i = ((const struct sort_item *)a)->index;
    uint32_t j = ((const struct sort_item *)b)->index;
    const struct merge_row *x = &m->rows[i], *y = &m->rows[j];

    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return i < j ? -1 : i > j;
}

/* Few, and mostly in order. */
static void
sort_few(const struct merge *m, struct sort_item *items, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct sort_item item = items[i];
        uint32_t j = i;

        while (j > 0 && compare_rows(&items[j - 1], &item, (void *)m) > 0) {
            items[j] = items[j - 1];
            j--;
        }
        items[j] = item;
    }
}

/* Rows of one run and trace: by start, then id. */
static void
sort_group(struct merge *m, struct sort_item *items, uint32_t n)
{
    if (n <= SORT_FEW_MAX)
        sort_few(m, items, n);
    else
        qsort_r(items, n, sizeof(*items), compare_rows, m);
    for (uint32_t i = 1; i < n && !m->has_twins; i++) {
        const struct merge_row *x = &m->rows[items[i - 1].index];
        const struct merge_row *y = &m->rows[items[i].index];

        m->has_twins = x->start_ns == y->start_ns && x->id == y->id;
    }
}

static void
take_order(struct merge *m, struct sort_item *items, uint32_t trace_bits)
{
    struct part_writer *w = m->w;
    struct write_rows *table = &w->tables[TABLE_SPANS];
    uint64_t trace_mask = (UINT64_C(1) << trace_bits) - 1;
    uint32_t group = 0;

    for (uint32_t i = 0; i < m->nrows; i++) {
        const struct merge_row *row = &m->rows[items[i].index];
        bool is_new = i == 0 ||
            items[i].key >> trace_bits != items[i - 1].key >> trace_bits;

        if (i > 0 && items[i].key != items[i - 1].key) {
            if (i - group > 1)
                sort_group(m, items + group, i - group);
            group = i;
        }
        if (is_new)
            table->runs[table->nruns++] = (struct write_run){row->shape,
                row->stream, 0};
        table->runs[table->nruns - 1].rows++;
        w->row_ordinal[i] = (uint32_t)(items[i].key & trace_mask);
    }
    if (m->nrows - group > 1)
        sort_group(m, items + group, m->nrows - group);
    for (uint32_t i = 0; i < m->nrows; i++)
        m->order[i] = items[i].index;
}

/* Forgets rows that are dropped. */
static void
compact_rows(struct merge *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->nrows; i++) {
        if (!m->rows[i].is_dropped)
            m->rows[n++] = m->rows[i];
    }
    m->nrows = n;
}

int
merge_order(struct merge *m)
{
    struct part_writer *w = m->w;
    uint32_t shape_bits = bits_for(w->nshapes), trace_bits;
    struct sort_item *a, *b, *sorted;

    compact_rows(m);
    if (writer_start_block(w, m->nrows) != 0)
        return -1;
    m->has_twins = false;
    m->order = merge_alloc(m, m->block_pool, m->nrows * sizeof(*m->order));
    a = writer_alloc(w, SCRATCH_SORT_A, m->nrows * sizeof(*a));
    b = writer_alloc(w, SCRATCH_SORT_B, m->nrows * sizeof(*b));
    if (m->order == NULL || a == NULL || b == NULL ||
        number_traces(m, a, b) != 0)
        return -1;
    trace_bits = bits_for(w->ntraces);
    for (uint32_t i = 0; i < m->nrows; i++) {
        const struct merge_row *row = &m->rows[i];
        uint64_t run = (uint64_t)row->stream << shape_bits | row->shape;

        a[i].key = run << trace_bits |
            w->traces[m->owners[row->entry].trace].ordinal;
        a[i].index = i;
    }
    sorted = sort_items(a, b, m->nrows,
        bits_for(w->nstreams) + shape_bits + trace_bits);
    take_order(m, sorted, trace_bits);
    return 0;
}
