/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Columns from the events and links of the rows of a block: item i of a row
 * is the i-th entry of the table that belongs to it.
 */

#include "core/base.h"
#include "storage/block_part_lists.h"

#include "core/enc.h"

/* Entries of the table that are the item that is asked for. */
struct items {
    struct block *block;
    struct reading *r;
    const struct block_field *field;
    const struct part_runs *runs;
    uint32_t *entry; /* n of each, ascending */
    uint32_t *row;
    uint32_t n;
};

static uint64_t *
bits_of(struct block *block, const struct block_rows *few)
{
    uint64_t *bits = block_zalloc(block, BITMAP_WORDS(block->info.rows),
        sizeof(*bits));

    for (uint32_t i = 0; bits != NULL && i < few->n; i++)
        bitmap_set(bits, few->v[i]);
    return bits;
}

static int
alloc_items(struct items *items)
{
    uint32_t n = MIN(items->runs->nrows, items->block->info.rows);

    items->entry = block_alloc(items->block, n, sizeof(*items->entry));
    items->row = block_alloc(items->block, n, sizeof(*items->row));
    return items->entry == NULL || items->row == NULL ? -1 : 0;
}

static int
find_items(struct items *items, const struct block_rows *few)
{
    enum part_table table = items->field->scope == KEY_LINK ?
        PART_TABLE_LINKS : PART_TABLE_EVENTS;
    uint32_t first, end, place = 0;
    const uint64_t *bits = NULL;
    const uint32_t *rows;

    if (reading_runs(items->r, table, &items->runs) != 0)
        return -1;
    if (items->runs->nrows == 0)
        return 0;
    /* Loads the table of rows. */
    if (reading_subs(items->r, table, 0, &first, &end) != 0 ||
        alloc_items(items) != 0)
        return -1;
    if (few->v != NULL) {
        bits = bits_of(items->block, few);
        if (bits == NULL)
            return -1;
    }
    rows = items->r->subs[table]->rows;
    for (uint32_t i = 0; i < items->runs->nrows; i++) {
        place = i > 0 && rows[i] == rows[i - 1] ? place + 1 : 0;
        if (place != items->field->item ||
            (bits != NULL && !bitmap_has(bits, rows[i])))
            continue;
        items->entry[items->n] = i;
        items->row[items->n++] = rows[i];
    }
    return 0;
}

/* Is it so few that single values are cheaper? */
static bool
is_sparse(const struct items *items)
{
    return items->n < items->runs->nrows / 32;
}

/* --- texts --- */

/* Codes of all rows: "" but for those of the items. */
static int
set_texts(struct part_lists *lists, const struct items *items,
    const uint32_t *codes, struct column *column)
{
    uint32_t rows = items->block->info.rows;
    uint32_t *all = block_alloc(items->block, rows, sizeof(*all));
    uint32_t absent;

    if (all == NULL || part_lists_absent(lists, &absent) != 0)
        return -1;
    for (uint32_t row = 0; row < rows; row++)
        all[row] = absent;
    for (uint32_t i = 0; i < items->n; i++)
        all[items->row[i]] = codes[i];
    column_set_codes(column, &lists->values, all);
    return 0;
}

static int
texts_column(const struct items *items, struct column *column)
{
    struct part_lists lists;
    uint32_t *codes = block_alloc(items->block, items->n, sizeof(*codes));
    uint32_t run = 0;

    if (codes == NULL || part_lists_init(&lists, items->block, items->field,
            is_sparse(items)) != 0)
        return -1;
    if (lists.nsources == 0)
        return 0;
    for (uint32_t i = 0; i < items->n; i++) {
        while (lists.runs->start[run + 1] <= items->entry[i])
            run++;
        if (part_lists_code(&lists, run, items->entry[i], &codes[i]) != 0)
            return -1;
    }
    return set_texts(&lists, items, codes, column);
}

static int
names_column(const struct items *items, struct column *column)
{
    struct part_lists lists = {.block = items->block, .r = items->r,
        .field = items->field, .is_sparse = is_sparse(items)};
    struct part_source source = {.column = PART_EVENT_NAME};
    const struct part_vector *vector = NULL;
    uint32_t *codes = block_alloc(items->block, items->n, sizeof(*codes));

    block_values_init(&lists.values, items->block);
    if (codes == NULL || vector_need(items->r, PART_EVENT_NAME,
            PART_ROLE_VALUES, items->runs->nrows, &vector) != 0 ||
        part_cursor_init(&source.cursor, items->block, vector,
            lists.is_sparse) != 0)
        return -1;
    for (uint32_t i = 0; i < items->n; i++) {
        uint64_t string;

        if (part_cursor_get(&source.cursor, items->entry[i], &string) != 0 ||
            part_lists_string(&lists, &source, string, &codes[i]) != 0)
            return -1;
    }
    return set_texts(&lists, items, codes, column);
}

/* --- numbers --- */

static int
read_times(const struct items *items, int64_t *ints)
{
    const struct part_vector *vector = NULL;
    const int64_t *starts = NULL;
    struct part_cursor cursor;

    if (vector_need(items->r, PART_EVENT_TIME, PART_ROLE_VALUES,
            items->runs->nrows, &vector) != 0 ||
        part_cursor_init(&cursor, items->block, vector,
            is_sparse(items)) != 0 ||
        part_starts(items->block, &starts) != 0)
        return -1;
    for (uint32_t i = 0; i < items->n; i++) {
        uint32_t row = items->row[i];
        uint64_t time;

        if (part_cursor_get(&cursor, items->entry[i], &time) != 0)
            return -1;
        ints[row] = (int64_t)((uint64_t)starts[row] +
            (uint64_t)enc_unzigzag(time));
    }
    return 0;
}

static int
read_numbers(const struct items *items, int64_t *ints)
{
    struct part_lists lists;
    uint32_t run = 0;

    if (part_lists_init(&lists, items->block, items->field,
            is_sparse(items)) != 0)
        return -1;
    for (uint32_t i = 0; i < items->n; i++) {
        uint32_t entry = items->entry[i];
        const struct part_hit *hit;
        uint64_t number;

        ints[items->row[i]] = 0;
        if (lists.nsources == 0)
            continue;
        while (lists.runs->start[run + 1] <= entry)
            run++;
        if (part_lists_plan(&lists, run)->n == 0)
            continue;
        hit = &lists.hits[part_lists_plan(&lists, run)->first];
        if (part_cursor_get(&lists.sources[hit->source].cursor,
                part_lists_base(&lists, run, hit) + entry -
                lists.runs->start[run], &number) != 0)
            return -1;
        ints[items->row[i]] = (uint32_t)number;
    }
    return 0;
}

static int
numbers_column(const struct items *items, struct column *column)
{
    uint32_t rows = items->block->info.rows;
    int64_t *ints = block_zalloc(items->block, rows, sizeof(*ints));
    uint64_t *present = block_zalloc(items->block, BITMAP_WORDS(rows),
        sizeof(*present));

    if (ints == NULL || present == NULL)
        return -1;
    for (uint32_t i = 0; i < items->n; i++)
        bitmap_set(present, items->row[i]);
    column_set_ints(column, COLUMN_UINTS, ints, present);
    return items->field->what == BLOCK_EVENT_TIME ?
        read_times(items, ints) : read_numbers(items, ints);
}

/* --- ids --- */

static int
ids_column(const struct items *items, struct column *column)
{
    bool is_trace = items->field->what == BLOCK_LINK_TRACE;
    uint32_t width = is_trace ? 16 : 8;
    uint8_t *ids = block_zalloc(items->block, items->block->info.rows,
        width);

    if (ids == NULL)
        return -1;
    for (uint32_t i = 0; i < items->n; i++) {
        struct span_link link;

        if (reading_link_ids(items->r, items->runs->nrows, items->entry[i],
                items->row[i], &link) != 0)
            return -1;
        memcpy(ids + (size_t)items->row[i] * width,
            is_trace ? link.trace_id.b : link.span_id.b, width);
    }
    column_set_ids(column, width, ids);
    return 0;
}

int
part_sub_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column)
{
    struct items items = {.block = block, .r = &block->reading,
        .field = field};

    if (find_items(&items, few) != 0)
        return -1;
    if (items.n == 0)
        return 0;
    switch (field->what) {
    case BLOCK_ATTR:
    case BLOCK_TEXT:
        return texts_column(&items, column);
    case BLOCK_EVENT_NAME:
        return names_column(&items, column);
    case BLOCK_LINK_TRACE:
    case BLOCK_LINK_SPAN:
        return ids_column(&items, column);
    default:
        return numbers_column(&items, column);
    }
}
