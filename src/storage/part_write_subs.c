/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: events and links become tables of their own, in the order
 * of the rows they belong to, then as they were sent.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/enc.h"

/* Words before the values (memtable_format.h). */
#define EVENT_WORDS 4u
#define LINK_WORDS 7u

struct write_event {
    uint64_t time; /* as stored */
    uint32_t row;
    uint32_t name;
};

struct write_link {
    uint8_t trace_id[16];
    uint64_t span_id;
    uint32_t row;
};

struct subs {
    struct write_event *events;
    struct write_link *links;
};

/* Room for n more rows of a table, in steps that double. */
static int
reserve(struct part_writer *w, enum write_table t, enum scratch_id values,
    enum scratch_id runs, size_t n)
{
    struct write_rows *table = &w->tables[t];

    n += table->n;
    if (n > PART_SUBS_MAX)
        return err_set(w->err, ERR_LIMIT, "a part has at most %u events",
            PART_SUBS_MAX);
    table->values = writer_grow(w, values, n * sizeof(*table->values));
    table->runs = writer_grow(w, runs, n * sizeof(*table->runs));
    return table->values == NULL || table->runs == NULL ? -1 : 0;
}

/* A row of the table with its values at the word, which moves behind them. */
static int
add_sub(struct part_writer *w, struct write_rows *table,
    enum key_scope scope, uint32_t shape_code, uint32_t *word)
{
    struct write_run *run = &table->runs[table->nruns];
    uint32_t shape, words;

    if (writer_shape(w, scope, shape_code, &shape) != 0)
        return -1;
    words = w->shapes[shape].words;
    if (words > MEMTABLE_HEAP_WORDS - *word)
        return writer_damaged(w, "values at word", *word);
    table->values[table->n++] = *word;
    *word += words;
    if (table->nruns > 0 && run[-1].shape == shape) {
        run[-1].rows++;
        return 0;
    }
    *run = (struct write_run){.shape = shape, .rows = 1};
    table->nruns++;
    return 0;
}

static int
add_events(struct part_writer *w, struct subs *subs, uint32_t row,
    uint32_t count, uint32_t *word)
{
    struct write_rows *table = &w->tables[TABLE_EVENTS];
    uint64_t start = (uint64_t)w->mt->start_ns[w->rows[row]];

    if (reserve(w, TABLE_EVENTS, SCRATCH_EVENT_VALUES, SCRATCH_EVENT_RUNS,
            count) != 0)
        return -1;
    subs->events = writer_grow(w, SCRATCH_EVENTS,
        ((size_t)table->n + count) * sizeof(*subs->events));
    if (subs->events == NULL)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *head = w->mt->heap + *word;

        if (*word > MEMTABLE_HEAP_WORDS - EVENT_WORDS)
            return writer_damaged(w, "event at word", *word);
        subs->events[table->n] = (struct write_event){
            enc_zigzag((int64_t)(memtable_word2(head) - start)), row, head[2]};
        *word += EVENT_WORDS;
        if (add_sub(w, table, KEY_EVENT, head[3], word) != 0)
            return -1;
    }
    return 0;
}

static int
add_links(struct part_writer *w, struct subs *subs, uint32_t row,
    uint32_t count, uint32_t *word)
{
    struct write_rows *table = &w->tables[TABLE_LINKS];

    if (reserve(w, TABLE_LINKS, SCRATCH_LINK_VALUES, SCRATCH_LINK_RUNS,
            count) != 0)
        return -1;
    subs->links = writer_grow(w, SCRATCH_LINKS,
        ((size_t)table->n + count) * sizeof(*subs->links));
    if (subs->links == NULL)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *head = w->mt->heap + *word;
        struct write_link *link = &subs->links[table->n];

        if (*word > MEMTABLE_HEAP_WORDS - LINK_WORDS)
            return writer_damaged(w, "link at word", *word);
        memcpy(link->trace_id, head, sizeof(link->trace_id));
        link->span_id = memtable_word2(head + 4);
        link->row = row;
        *word += LINK_WORDS;
        if (add_sub(w, table, KEY_LINK, head[6], word) != 0)
            return -1;
    }
    return 0;
}

static int
collect_subs(struct part_writer *w, struct subs *subs)
{
    const struct memtable *mt = w->mt;

    for (uint32_t row = 0; row < w->nrows; row++) {
        uint32_t word = mt->subs[w->rows[row]];
        uint32_t nevents, nlinks;

        if (word == 0)
            continue;
        if (word > MEMTABLE_HEAP_WORDS - 2)
            return writer_damaged(w, "events at word", word);
        nevents = mt->heap[word];
        nlinks = mt->heap[word + 1];
        if (nevents > MEMTABLE_HEAP_WORDS / EVENT_WORDS ||
            nlinks > MEMTABLE_HEAP_WORDS / LINK_WORDS)
            return writer_damaged(w, "number of events at word", word);
        word += 2;
        if (add_events(w, subs, row, nevents, &word) != 0 ||
            add_links(w, subs, row, nlinks, &word) != 0)
            return -1;
    }
    return 0;
}

static int
write_events(struct part_writer *w, const struct write_event *events)
{
    uint32_t n = w->tables[TABLE_EVENTS].n;
    uint64_t *wide = writer_alloc(w, SCRATCH_WIDE, n * sizeof(*wide));
    uint32_t *names = (uint32_t *)wide;

    if (wide == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        wide[i] = events[i].row;
    if (vector_u64(w, vector_id(PART_EVENT_ROW, 0), wide, n,
            COL_TRY_DELTA) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        wide[i] = events[i].time;
    if (vector_u64(w, vector_id(PART_EVENT_TIME, 0), wide, n,
            COL_TRY_SCALE) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        names[i] = events[i].name;
    return writer_strings(w, PART_EVENT_NAME, names, n);
}

static int
write_links(struct part_writer *w, const struct write_link *links)
{
    uint32_t n = w->tables[TABLE_LINKS].n;
    uint64_t *wide = writer_alloc(w, SCRATCH_WIDE, 2 * (size_t)n *
        sizeof(*wide));
    struct fixed traces = {PART_RAW, 16, wide, n};

    if (wide == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        wide[i] = links[i].row;
    if (vector_u64(w, vector_id(PART_LINK_ROW, 0), wide, n,
            COL_TRY_DELTA) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        wide[i] = links[i].span_id;
    if (vector_raw8(w, vector_id(PART_LINK_SPAN, 0), wide, n) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        memcpy(wide + 2 * (size_t)i, links[i].trace_id, 16);
    return vector_fixed(w, vector_id(PART_LINK_TRACE, 0), &traces);
}

int
write_subs(struct part_writer *w)
{
    struct subs subs = {NULL, NULL};

    if (collect_subs(w, &subs) != 0 || write_events(w, subs.events) != 0)
        return -1;
    return write_links(w, subs.links);
}
