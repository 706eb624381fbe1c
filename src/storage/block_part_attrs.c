/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Columns from the attributes and fields of the rows of a block.  One key
 * with strings becomes codes of its dictionary, integers stay integers; all
 * else goes by the texts.
 */

#include "core/base.h"
#include "storage/block_part_lists.h"

#include "core/assert.h"
#include "storage/memtable_format.h"

/* Bits [from, end). */
static void
set_bits(uint64_t *bits, uint32_t from, uint32_t end)
{
    for (; from < end && from % 64 != 0; from++)
        bitmap_set(bits, from);
    for (; from + 64 <= end; from += 64)
        bits[from / 64] = UINT64_MAX;
    for (; from < end; from++)
        bitmap_set(bits, from);
}

/* Rows of runs that have the field. */
static uint32_t
count_rows(const struct part_lists *lists)
{
    uint32_t n = 0;

    for (uint32_t run = 0; run < lists->runs->nruns; run++) {
        if (part_lists_plan(lists, run)->n > 0)
            n += lists->runs->start[run + 1] - lists->runs->start[run];
    }
    return n;
}

/* --- texts of any kind --- */

static int
texts_column(struct part_lists *lists, struct column *column)
{
    const struct part_runs *runs = lists->runs;
    uint32_t rows = lists->block->info.rows;
    uint32_t *codes = block_alloc(lists->block, rows, sizeof(*codes));

    if (codes == NULL)
        return -1;
    for (uint32_t run = 0; run < runs->nruns; run++) {
        for (uint32_t row = runs->start[run]; row < runs->start[run + 1];
            row++) {
            if (part_lists_code(lists, run, row, &codes[row]) != 0)
                return -1;
        }
    }
    column_set_codes(column, &lists->values, codes);
    return 0;
}

/* Of many keys of a block these rows, or their tenant, have only some. */
static bool
few_have(const struct part_lists *lists, const struct block_rows *few)
{
    for (uint32_t i = 0; i < few->n; i++) {
        if (part_lists_plan(lists, runs_find(lists->runs, few->v[i]))->n > 0)
            return true;
    }
    return false;
}

static int
few_texts(struct part_lists *lists, const struct block_rows *few,
    struct column *column)
{
    uint32_t *codes = block_alloc(lists->block, lists->block->info.rows,
        sizeof(*codes));

    if (codes == NULL)
        return -1;
    for (uint32_t i = 0; i < few->n; i++) {
        uint32_t row = few->v[i];

        if (part_lists_code(lists, runs_find(lists->runs, row), row,
                &codes[row]) != 0)
            return -1;
    }
    column_set_codes(column, &lists->values, codes);
    return 0;
}

/* --- integers --- */

/* Decodes the values of each run into its rows. */
static int
spread_ints(struct part_lists *lists, int64_t *ints, uint64_t *present)
{
    const struct part_runs *runs = lists->runs;

    for (uint32_t run = 0; run < runs->nruns; run++) {
        const struct part_plan *plan = part_lists_plan(lists, run);
        const struct part_hit *hit = &lists->hits[plan->first];
        uint32_t start = runs->start[run], end = runs->start[run + 1];

        if (plan->n == 0)
            continue;
        if (part_cursor_copy(&lists->sources[hit->source].cursor,
                part_lists_base(lists, run, hit), end - start,
                (uint64_t *)ints + start) != 0)
            return -1;
        if (present != NULL)
            set_bits(present, start, end);
    }
    return 0;
}

static int
ints_column(struct part_lists *lists, struct column *column)
{
    uint32_t rows = lists->block->info.rows;
    bool is_full = count_rows(lists) == rows;
    int64_t *ints = block_alloc(lists->block, rows, sizeof(*ints));
    uint64_t *present = NULL;

    if (ints == NULL)
        return -1;
    if (!is_full) {
        present = block_zalloc(lists->block, BITMAP_WORDS(rows),
            sizeof(*present));
        if (present == NULL)
            return -1;
    }
    column_set_ints(column, COLUMN_INTS, ints, present);
    return spread_ints(lists, ints, present);
}

/* --- fields that are numbers --- */

static int
numbers_of(struct part_lists *lists, int64_t **out)
{
    int64_t *ints;

    *out = NULL;
    if (lists->nsources == 0 || lists->hits_max == 0)
        return 0;
    ints = block_zalloc(lists->block, lists->block->info.rows,
        sizeof(*ints));
    *out = ints;
    return ints == NULL ? -1 : spread_ints(lists, ints, NULL);
}

int
part_row_numbers(struct block *block, const struct block_field *field,
    const int64_t **out)
{
    struct part_lists lists;
    int64_t *ints = NULL;
    int rc;

    if (part_lists_init(&lists, block, field, false) != 0)
        return -1;
    rc = numbers_of(&lists, &ints);
    *out = ints;
    return rc;
}

/* All rows have the same number. */
static bool
is_const(const struct part_lists *lists)
{
    return lists->nsources == 1 && lists->sources[0].cursor.vector->encoding
        == PART_CONST && count_rows(lists) == lists->block->info.rows;
}

static int
numbers_column(struct part_lists *lists, struct column *column)
{
    int64_t *ints = NULL;
    struct sv text = SV("0");

    if (lists->nsources > 0 && is_const(lists)) {
        if (block_number_text(lists->block, (uint32_t)
                lists->sources[0].cursor.vector->value, &text) != 0)
            return -1;
        return column_set_text(lists->block, column, text);
    }
    if (numbers_of(lists, &ints) != 0)
        return -1;
    if (ints == NULL)
        return column_set_text(lists->block, column, text);
    for (uint32_t row = 0; row < lists->block->info.rows; row++)
        ints[row] = (uint32_t)ints[row];
    column_set_ints(column, COLUMN_UINTS, ints, NULL);
    return 0;
}

/* --- strings of one key --- */

/* Codes of the dictionary + shift; 0 where a row has none. */
static int
spread_codes(struct part_lists *lists, uint32_t shift, uint32_t *codes)
{
    const struct part_runs *runs = lists->runs;
    struct part_source *source = &lists->sources[0];
    uint64_t limit = dictionary_count(lists->r, source->column);

    for (uint32_t run = 0; run < runs->nruns; run++) {
        const struct part_plan *plan = part_lists_plan(lists, run);
        uint32_t start = runs->start[run], n = runs->start[run + 1] - start;

        if (plan->n == 0)
            memset(codes + start, 0, n * sizeof(*codes));
        else if (part_cursor_codes(&source->cursor, part_lists_base(lists,
                run, &lists->hits[plan->first]), n, shift,
                codes + start) != 0)
            return -1;
    }
    if (source->cursor.largest >= limit)
        return reading_corrupt(lists->r, "column %u has no string %llu",
            source->column, (unsigned long long)source->cursor.largest);
    return 0;
}

/*
 * Strings of a dictionary are distinct, but for very long ones, and as long
 * as "" and "-" are not both there.  True: they are not.
 */
static bool
has_twins(struct part_dict *dict, bool is_attr)
{
    uint32_t empty = 0, nlong = 0;
    bool has_dash = false;

    for (uint32_t i = 1; i <= dict->n; i++) {
        if (dict->v[i].len == 0)
            empty = i;
        nlong += dict->v[i].len > MEMTABLE_INTERN_MAX;
        has_dash |= dict->v[i].len == 1 && dict->v[i].ptr[0] == '-';
    }
    if (nlong > 1 || (empty != 0 && (has_dash || !is_attr)))
        return true;
    if (empty != 0)
        dict->v[empty] = SV("-");
    return false;
}

/* Makes equal texts one value. */
static int
unite(struct part_lists *lists, const struct part_dict *dict, bool is_full,
    uint32_t *codes)
{
    uint32_t *map = block_alloc(lists->block, (size_t)dict->n + 1,
        sizeof(*map));
    uint32_t shift = is_full ? 1 : 0;

    if (map == NULL)
        return -1;
    for (uint32_t i = shift; i <= dict->n; i++) {
        struct sv text = dict->v[i];

        if (i > 0 && text.len == 0 && lists->field->what == BLOCK_ATTR)
            text = SV("-");
        if (block_values_add(&lists->values, text, &map[i]) != 0)
            return -1;
    }
    for (uint32_t row = 0; row < lists->block->info.rows; row++)
        codes[row] = map[codes[row] + shift];
    return 0;
}

static int
strings_column(struct part_lists *lists, struct column *column)
{
    bool is_full = count_rows(lists) == lists->block->info.rows;
    uint32_t shift = is_full ? 0 : 1;
    uint32_t rows = lists->block->info.rows;
    uint32_t *codes = block_alloc(lists->block, rows, sizeof(*codes));
    struct part_dict dict;

    if (codes == NULL || spread_codes(lists, shift, codes) != 0 ||
        part_dict_load(lists->block, lists->sources[0].column, &dict) != 0)
        return -1;
    if (has_twins(&dict, lists->field->what == BLOCK_ATTR)) {
        if (unite(lists, &dict, is_full, codes) != 0)
            return -1;
    } else {
        lists->values.v = dict.v + 1 - shift;
        lists->values.n = dict.n + shift;
    }
    column_set_codes(column, &lists->values, codes);
    return 0;
}

/* --- which --- */

int
part_row_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column)
{
    struct part_lists lists;

    if (part_lists_init(&lists, block, field, few->v != NULL) != 0)
        return -1;
    if (field->what == BLOCK_NUMBER)
        return numbers_column(&lists, column);
    if (lists.nsources == 0 || lists.hits_max == 0)
        return 0;
    if (few->v != NULL)
        return few_have(&lists, few) ? few_texts(&lists, few, column) : 0;
    if (lists.hits_max == 1 && lists.types == 1u << VALUE_INT)
        return ints_column(&lists, column);
    if (lists.nsources == 1 && lists.types == 1u << VALUE_STRING)
        return strings_column(&lists, column);
    return texts_column(&lists, column);
}

/* The text "" of an attribute is "-", so of these types every value counts. */
#define ALWAYS_TEXT (1u << VALUE_STRING | 1u << VALUE_BOOL | \
    1u << VALUE_INT | 1u << VALUE_DOUBLE)

int
part_count_filled(struct block *block, const struct block_field *field,
    uint32_t *n)
{
    struct part_lists lists;

    *n = UINT32_MAX;
    if (field->scope != KEY_SPAN || field->what != BLOCK_ATTR ||
        block_is_of_stream(field))
        return 0;
    if (part_lists_init(&lists, block, field, true) != 0)
        return -1;
    if (lists.nsources == 0 || lists.hits_max == 0)
        *n = 0;
    else if ((lists.types & ~ALWAYS_TEXT) == 0)
        *n = count_rows(&lists);
    return 0;
}
