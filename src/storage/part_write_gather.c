/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part from a memtable: the values of its rows, in their order in
 * the part.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/assert.h"
#include "core/enc.h"

/* Words before the values of an event and a link (memtable_format.h). */
#define EVENT_WORDS 4u
#define LINK_WORDS 7u

/* --- one value a row --- */

static void
gather_rows(struct part_writer *w)
{
    const struct memtable *mt = w->mt;

    for (uint32_t i = 0; i < w->nrows; i++) {
        uint32_t row = w->rows[i];

        w->ids[i] = enc_get64(mt->span_id[row].b);
        w->parent_ids[i] = enc_get64(mt->parent_id[row].b);
        w->start_ns[i] = mt->start_ns[row];
        w->end_ns[i] = mt->end_ns[row];
        w->status[i] = mt->status[row] & 3;
    }
}

/* --- events and links --- */

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
add_events(struct part_writer *w, uint32_t row, uint32_t count,
    uint32_t *word)
{
    struct write_rows *table = &w->tables[TABLE_EVENTS];

    if (reserve(w, TABLE_EVENTS, SCRATCH_EVENT_VALUES, SCRATCH_EVENT_RUNS,
            count) != 0)
        return -1;
    w->events = writer_grow(w, SCRATCH_EVENTS,
        ((size_t)table->n + count) * sizeof(*w->events));
    if (w->events == NULL)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *head = w->mt->heap + *word;

        if (*word > MEMTABLE_HEAP_WORDS - EVENT_WORDS)
            return writer_damaged(w, "event at word", *word);
        w->events[table->n] = (struct write_event){
            (int64_t)memtable_word2(head), row, head[2]};
        *word += EVENT_WORDS;
        if (add_sub(w, table, KEY_EVENT, head[3], word) != 0)
            return -1;
    }
    return 0;
}

static int
add_links(struct part_writer *w, uint32_t row, uint32_t count,
    uint32_t *word)
{
    struct write_rows *table = &w->tables[TABLE_LINKS];

    if (reserve(w, TABLE_LINKS, SCRATCH_LINK_VALUES, SCRATCH_LINK_RUNS,
            count) != 0)
        return -1;
    w->links = writer_grow(w, SCRATCH_LINKS,
        ((size_t)table->n + count) * sizeof(*w->links));
    if (w->links == NULL)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *head = w->mt->heap + *word;
        struct write_link *link = &w->links[table->n];

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
gather_subs(struct part_writer *w)
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
        if (add_events(w, row, nevents, &word) != 0 ||
            add_links(w, row, nlinks, &word) != 0)
            return -1;
    }
    return 0;
}

/* --- attributes --- */

/* Values of one key of a run; rows hold word indices that are checked. */
static void
gather_key(struct part_writer *w, struct write_key *key, uint32_t offset,
    const uint32_t *rows, uint32_t n)
{
    const uint32_t *heap = w->mt->heap + offset;

    if (memtable_type_words(key->type) == 2) {
        uint64_t *dst = w->twice + key->first + key->filled;

        for (uint32_t i = 0; i < n; i++)
            dst[i] = memtable_word2(heap + rows[i]);
    } else if (key->type != VALUE_EMPTY) {
        uint32_t *dst = w->single + key->first + key->filled;

        for (uint32_t i = 0; i < n; i++)
            dst[i] = heap[rows[i]];
    }
    key->filled += n;
}

static int
gather_run(struct part_writer *w, const struct write_run *run,
    const uint32_t *rows)
{
    const struct write_shape *shape = &w->shapes[run->shape];
    uint32_t offset = 0;

    if (shape->words > MEMTABLE_HEAP_WORDS)
        return writer_damaged(w, "words of shape", run->shape);
    for (uint32_t i = 0; i < run->rows; i++) {
        if (rows[i] > MEMTABLE_HEAP_WORDS - shape->words)
            return writer_damaged(w, "values at word", rows[i]);
        /* Rows of a run are few: they stay in the cache for its keys. */
        __builtin_prefetch(w->mt->heap + rows[i]);
        __builtin_prefetch(w->mt->heap + rows[i] + shape->words);
    }
    for (uint32_t i = 0; i < shape->n; i++) {
        struct write_key *key = &w->keys[w->shape_keys[shape->first + i]];

        gather_key(w, key, offset, rows, run->rows);
        offset += memtable_type_words(key->type);
    }
    return 0;
}

static int
gather_table(struct part_writer *w, const struct write_rows *table)
{
    const uint32_t *rows = table->values;

    for (uint32_t i = 0; i < table->nruns; i++) {
        if (gather_run(w, &table->runs[i], rows) != 0)
            return -1;
        rows += table->runs[i].rows;
    }
    return 0;
}

int
write_gather(struct part_writer *w)
{
    gather_rows(w);
    if (write_order_resources(w) != 0 || gather_subs(w) != 0 ||
        writer_place_values(w) != 0)
        return -1;
    for (unsigned t = 0; t < TABLES; t++) {
        if (gather_table(w, &w->tables[t]) != 0)
            return -1;
    }
    return 0;
}
