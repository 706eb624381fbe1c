/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Columns from the events and links of the rows of a memtable: each row's
 * words are walked up to the item (memtable_format.h has their layout).
 */

#include "core/base.h"
#include "storage/block_memtable_lists.h"

#define EVENT_WORDS 4u
#define EVENT_SHAPE 3u
#define LINK_WORDS 7u
#define LINK_SHAPE 6u

static int
damaged(const struct block *block, uint32_t at)
{
    return memtable_damage(block, "event or link at word", at);
}

int
memtable_items_count(struct block *block, uint32_t row, uint32_t *nevents,
    uint32_t *nlinks)
{
    uint32_t at = block->mt->subs[row];

    *nevents = *nlinks = 0;
    if (at == 0)
        return 0;
    if (!memtable_has_words(at, 2))
        return damaged(block, at);
    *nevents = block->mt->heap[at];
    *nlinks = block->mt->heap[at + 1];
    /* Each takes words. */
    if (*nevents > MEMTABLE_HEAP_WORDS / EVENT_WORDS ||
        *nlinks > MEMTABLE_HEAP_WORDS / LINK_WORDS)
        return damaged(block, at);
    return 0;
}

/* Moves behind one event or link; *shape is its list's. */
static int
step(struct memtable_lists *lists, uint32_t *at, bool is_link,
    uint32_t *shape)
{
    uint32_t words = is_link ? LINK_WORDS : EVENT_WORDS;
    const struct memtable_plan *plan = NULL;

    if (!memtable_has_words(*at, words))
        return damaged(lists->block, *at);
    *shape = lists->block->mt->heap[*at + words - 1];
    if (memtable_lists_plan(lists, *shape, &plan) != 0)
        return -1;
    if (!memtable_has_words(*at + words, plan->words))
        return damaged(lists->block, *at);
    *at += words + plan->words;
    return 0;
}

int
memtable_items_visit(struct memtable_lists *lists, uint32_t row,
    memtable_item_fn fn, void *arg)
{
    uint32_t at = lists->block->mt->subs[row] + 2;
    uint32_t nevents, nlinks;

    if (memtable_items_count(lists->block, row, &nevents, &nlinks) != 0)
        return -1;
    for (uint32_t i = 0; i < nevents + nlinks; i++) {
        bool is_link = i >= nevents;
        uint32_t values = at + (is_link ? LINK_WORDS : EVENT_WORDS);
        uint32_t shape = 0;

        if (step(lists, &at, is_link, &shape) != 0 ||
            fn(arg, is_link, shape, values) != 0)
            return -1;
    }
    return 0;
}

static int
find_in_row(struct memtable_lists *lists, uint32_t row, uint32_t *out)
{
    bool is_link = lists->field->scope == KEY_LINK;
    uint32_t at = lists->block->mt->subs[row] + 2;
    uint32_t nevents, nlinks, before, shape;

    *out = 0;
    if (memtable_items_count(lists->block, row, &nevents, &nlinks) != 0)
        return -1;
    if (lists->field->item >= (is_link ? nlinks : nevents))
        return 0;
    before = lists->field->item + (is_link ? nevents : 0);
    for (uint32_t i = 0; i < before; i++) {
        if (step(lists, &at, i >= nevents, &shape) != 0)
            return -1;
    }
    if (!memtable_has_words(at, is_link ? LINK_WORDS : EVENT_WORDS))
        return damaged(lists->block, at);
    *out = at;
    return 0;
}

/* Word index of the row's event or link that the field is of, or 0. */
static inline int
find_item(struct memtable_lists *lists, uint32_t row, uint32_t *out)
{
    *out = 0;
    if (LIKELY(lists->block->mt->subs[row] == 0))
        return 0;
    return find_in_row(lists, row, out);
}

/* --- columns --- */

static int
texts_column(struct memtable_lists *lists, struct column *column)
{
    bool is_link = lists->field->scope == KEY_LINK;
    const uint32_t *heap = lists->block->mt->heap;
    uint32_t rows = lists->block->info.rows;
    uint32_t *codes = block_alloc(lists->block, rows, sizeof(*codes));

    if (codes == NULL)
        return -1;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t at;
        int rc;

        if (find_item(lists, row, &at) != 0)
            return -1;
        if (at == 0)
            rc = memtable_lists_absent(lists, &codes[row]);
        else if (lists->field->what == BLOCK_EVENT_NAME)
            rc = memtable_lists_string(lists, heap[at + 2], &codes[row]);
        else if (is_link)
            rc = memtable_lists_code(lists, heap[at + LINK_SHAPE],
                at + LINK_WORDS, &codes[row]);
        else
            rc = memtable_lists_code(lists, heap[at + EVENT_SHAPE],
                at + EVENT_WORDS, &codes[row]);
        if (rc != 0)
            return -1;
    }
    column_set_codes(column, &lists->values, codes);
    return 0;
}

static int
read_number(struct memtable_lists *lists, uint32_t at, int64_t *number)
{
    const uint32_t *heap = lists->block->mt->heap;
    int rc;

    if (lists->field->what == BLOCK_EVENT_TIME) {
        *number = (int64_t)memtable_word2(&heap[at]);
        return 0;
    }
    if (lists->field->scope == KEY_LINK)
        rc = memtable_lists_number(lists, heap[at + LINK_SHAPE],
            at + LINK_WORDS, number);
    else
        rc = memtable_lists_number(lists, heap[at + EVENT_SHAPE],
            at + EVENT_WORDS, number);
    *number = (uint32_t)*number;
    return rc;
}

static int
numbers_column(struct memtable_lists *lists, struct column *column)
{
    uint32_t rows = lists->block->info.rows;
    int64_t *ints = block_alloc(lists->block, rows, sizeof(*ints));
    uint64_t *present = block_zalloc(lists->block, BITMAP_WORDS(rows),
        sizeof(*present));

    if (ints == NULL || present == NULL)
        return -1;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t at;

        if (find_item(lists, row, &at) != 0)
            return -1;
        ints[row] = 0;
        if (at == 0)
            continue;
        if (read_number(lists, at, &ints[row]) != 0)
            return -1;
        bitmap_set(present, row);
    }
    column_set_ints(column, COLUMN_UINTS, ints, present);
    return 0;
}

static int
ids_column(struct memtable_lists *lists, struct column *column)
{
    bool is_trace = lists->field->what == BLOCK_LINK_TRACE;
    uint32_t rows = lists->block->info.rows;
    uint32_t width = is_trace ? 16 : 8;
    uint8_t *ids = block_zalloc(lists->block, rows, width);

    if (ids == NULL)
        return -1;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t at;

        if (find_item(lists, row, &at) != 0)
            return -1;
        if (at != 0)
            memcpy(ids + (size_t)row * width,
                &lists->block->mt->heap[at + (is_trace ? 0 : 4)], width);
    }
    column_set_ids(column, width, ids);
    return 0;
}

int
memtable_sub_column(struct block *block, const struct block_field *field,
    struct column *column)
{
    struct memtable_lists lists;

    if (memtable_lists_init(&lists, block, field) != 0)
        return -1;
    switch (field->what) {
    case BLOCK_ATTR:
    case BLOCK_TEXT:
    case BLOCK_EVENT_NAME:
        return texts_column(&lists, column);
    case BLOCK_LINK_TRACE:
    case BLOCK_LINK_SPAN:
        return ids_column(&lists, column);
    default:
        return numbers_column(&lists, column);
    }
}
