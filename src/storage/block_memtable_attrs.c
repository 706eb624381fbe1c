/* SPDX-License-Identifier: BSD-2-Clause */

/* Columns from the attributes and fields of the rows of a memtable. */

#include "core/base.h"
#include "storage/block_memtable_lists.h"

/* Sees to it that the plans of all rows are made. */
static int
plan_rows(struct memtable_lists *lists)
{
    const struct memtable *mt = lists->block->mt;
    const struct memtable_plan *plan;

    for (uint32_t row = 0; row < lists->block->info.rows; row++) {
        if (memtable_lists_plan(lists, mt->shape[row], &plan) != 0)
            return -1;
    }
    return 0;
}

static int
texts_column(struct memtable_lists *lists, struct column *column)
{
    const struct memtable *mt = lists->block->mt;
    uint32_t rows = lists->block->info.rows;
    uint32_t *codes = block_alloc(lists->block, rows, sizeof(*codes));

    if (codes == NULL)
        return -1;
    for (uint32_t row = 0; row < rows; row++) {
        if (memtable_lists_code(lists, mt->shape[row], mt->values[row],
                &codes[row]) != 0)
            return -1;
    }
    column_set_codes(column, &lists->values, codes);
    return 0;
}

/* Rows whose words are fetched ahead: they stand far apart. */
#define AHEAD 16u

/*
 * Where the value of each row stands that has one, as no shape has two; word
 * 0, which no list has, for the others.  Which rows have one is as good as
 * random, so nothing may branch on it.
 */
static int
value_words(struct memtable_lists *lists, uint32_t *words, bool *is_full)
{
    const struct memtable *mt = lists->block->mt;
    uint32_t rows = lists->block->info.rows, nmissing = 0;

    for (uint32_t row = 0; row < rows; row++) {
        const struct memtable_plan *plan = NULL;
        uint32_t at = mt->values[row];

        if (row + AHEAD < rows)
            __builtin_prefetch((const void *)((uintptr_t)mt->heap +
                4 * (uintptr_t)mt->values[row + AHEAD]));
        if (memtable_lists_plan(lists, mt->shape[row], &plan) != 0)
            return -1;
        if (UNLIKELY(!memtable_has_words(at, plan->words)) && plan->n > 0)
            return memtable_damage(lists->block, "values of row", row);
        words[row] = (at + plan->off) & -plan->n;
        nmissing += 1 - plan->n;
    }
    *is_full = nmissing == 0;
    return 0;
}

/* All values are strings. */
static int
strings_column(struct memtable_lists *lists, struct column *column)
{
    const uint32_t *heap = lists->block->mt->heap;
    uint32_t rows = lists->block->info.rows;
    uint32_t *codes = block_alloc(lists->block, rows, sizeof(*codes));
    uint32_t nstrings = lists->nstrings, absent;
    bool is_full;

    lists->is_plain = true;
    if (codes == NULL || memtable_lists_memo(lists) != 0 ||
        value_words(lists, codes, &is_full) != 0 ||
        (!is_full && memtable_lists_absent(lists, &absent) != 0))
        return -1;
    lists->memo[nstrings] = lists->absent;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t word = codes[row];
        uint32_t string = word == 0 ? nstrings : heap[word];

        if (LIKELY(string <= nstrings && lists->memo[string] != 0))
            codes[row] = lists->memo[string] - 1;
        else if (memtable_lists_string(lists, string, &codes[row]) != 0)
            return -1;
    }
    column_set_codes(column, &lists->values, codes);
    return 0;
}

/* All values are integers. */
static int
ints_column(struct memtable_lists *lists, struct column *column)
{
    const uint32_t *heap = lists->block->mt->heap;
    uint32_t rows = lists->block->info.rows;
    uint32_t *words = block_alloc(lists->block, rows, sizeof(*words));
    int64_t *ints = block_alloc(lists->block, rows, sizeof(*ints));
    uint64_t *present = block_zalloc(lists->block, BITMAP_WORDS(rows),
        sizeof(*present));
    bool is_full;

    if (words == NULL || ints == NULL || present == NULL ||
        value_words(lists, words, &is_full) != 0)
        return -1;
    for (uint32_t row = 0; row < rows; row++) {
        ints[row] = (int64_t)memtable_word2(&heap[words[row]]);
        present[row / 64] |= (uint64_t)(words[row] != 0) << row % 64;
    }
    column_set_ints(column, COLUMN_INTS, ints, is_full ? NULL : present);
    return 0;
}

/* A field whose absence means 0. */
static int
numbers_column(struct memtable_lists *lists, struct column *column)
{
    const struct memtable *mt = lists->block->mt;
    uint32_t rows = lists->block->info.rows;
    int64_t *ints;

    if (lists->types == 0)
        return column_set_text(lists->block, column, SV("0"));
    ints = block_alloc(lists->block, rows, sizeof(*ints));
    if (ints == NULL)
        return -1;
    for (uint32_t row = 0; row < rows; row++) {
        if (memtable_lists_number(lists, mt->shape[row], mt->values[row],
                &ints[row]) != 0)
            return -1;
        ints[row] = (uint32_t)ints[row];
    }
    column_set_ints(column, COLUMN_UINTS, ints, NULL);
    return 0;
}

/* Status codes that are not 0, 1 or 2 are among the fields. */
static int
status_column(struct block *block, struct column *column)
{
    static const struct block_field field = {.what = BLOCK_NUMBER,
        .field = FIELD_STATUS_CODE};
    const struct memtable *mt = block->mt;
    struct memtable_lists lists;
    uint32_t *codes = block_alloc(block, block->info.rows, sizeof(*codes));

    if (codes == NULL || memtable_lists_init(&lists, block, &field) != 0)
        return -1;
    if (block_values_add(&lists.values, SV("0"), &codes[0]) != 0 ||
        block_values_add(&lists.values, SV("1"), &codes[0]) != 0 ||
        block_values_add(&lists.values, SV("2"), &codes[0]) != 0)
        return -1;
    for (uint32_t row = 0; row < block->info.rows; row++) {
        struct sv text;
        int64_t number;

        codes[row] = mt->status[row];
        if (LIKELY(codes[row] <= 2))
            continue;
        if (memtable_lists_number(&lists, mt->shape[row], mt->values[row],
                &number) != 0 ||
            block_number_text(block, (int32_t)number, &text) != 0 ||
            block_values_add(&lists.values, text, &codes[row]) != 0)
            return -1;
    }
    column_set_codes(column, &lists.values, codes);
    return 0;
}

int
memtable_row_column(struct block *block, const struct block_field *field,
    struct column *column)
{
    struct memtable_lists lists;

    if (field->what == BLOCK_STATUS)
        return status_column(block, column);
    if (memtable_lists_init(&lists, block, field) != 0 ||
        plan_rows(&lists) != 0)
        return -1;
    if (field->what == BLOCK_NUMBER)
        return numbers_column(&lists, column);
    if (lists.types == 0)
        return 0;
    if (lists.types == 1u << VALUE_INT && lists.hits_max == 1)
        return ints_column(&lists, column);
    if (lists.types == 1u << VALUE_STRING && lists.hits_max == 1)
        return strings_column(&lists, column);
    return texts_column(&lists, column);
}
