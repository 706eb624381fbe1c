/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * All fields of few rows of a memtable.  A column costs at least four bytes
 * for each row of the memtable, and where rows are wide there are tens of
 * thousands of columns, of which a few rows have few.  So who asks for the
 * names of their fields gets theirs alone, from their flat view, and columns
 * that share what they can: rows that say the same are CONST, and columns
 * whose texts change at the same rows have the same codes.
 */

#include "core/base.h"
#include "storage/block_read.h"

#include "span/flat.h"
#include "storage/memtable_format.h"

/* Rows whose flat views are held; more rows take whole columns. */
#define ROWS_MAX 256u

/* A text of one row. */
struct entry {
    struct sv text;
    uint32_t row;  /* of the few */
    uint32_t next; /* of the same name, at a later row: + 1 */
};

struct block_few {
    uint64_t *bits;
    uint32_t rows[ROWS_MAX];
    uint32_t n;
    struct flat flat[ROWS_MAX];
    struct block_values names;
    struct entry *entries;
    uint32_t nentries;
    uint32_t *heads;               /* by name: first entry + 1 */
    const struct column **columns; /* by name, once asked for */
    struct block_values patterns;  /* codes of the few rows */
    const uint32_t **codes;        /* by pattern */
    uint32_t codes_cap;
};

static size_t
bits_bytes(const struct block *block)
{
    return BITMAP_WORDS(block->info.rows) * sizeof(uint64_t);
}

static bool
is_few(const struct block *block, const uint64_t *wanted)
{
    uint32_t n;

    if (block->mt == NULL || wanted == NULL)
        return false;
    n = bitmap_count(wanted, block->info.rows);
    return n > 0 && n <= ROWS_MAX &&
        (n == 1 || n <= block->info.rows / BLOCK_FEW_ROWS);
}

uint64_t
block_wide_bytes(const struct block *block)
{
    return block->mt == NULL ? 0 : (uint64_t)block->info.rows *
        MIN(block->mt->h.nkeys, MEMTABLE_KEYS_MAX) * sizeof(uint32_t);
}

uint32_t
block_few_rows(const struct block *block)
{
    return MAX(1u, MIN(ROWS_MAX, block->info.rows / BLOCK_FEW_ROWS));
}

static int
read_rows(struct block *block, struct block_few *few)
{
    struct batch batch;

    batch_init(&batch, block->pool);
    if (memtable_read_rows(block->mt, few->rows, few->n, &batch,
            block->err) != 0)
        return -1;
    for (uint32_t i = 0; i < few->n; i++) {
        if (!flat_span(&few->flat[i], &batch, &batch.spans[i], block->pool))
            return block_no_memory(block);
        few->nentries += few->flat[i].n;
    }
    return 0;
}

/* From the last row to the first, so that lists ascend. */
static int
add_entries(struct block *block, struct block_few *few)
{
    uint32_t at = 0, code;

    few->entries = block_alloc(block, few->nentries + 1u,
        sizeof(*few->entries));
    few->heads = block_zalloc(block, few->nentries + 2u,
        sizeof(*few->heads));
    /* These two have no entries: block_column() makes them. */
    if (few->entries == NULL || few->heads == NULL ||
        block_values_add(&few->names, SV("_stream"), &code) != 0 ||
        block_values_add(&few->names, SV("_stream_id"), &code) != 0)
        return -1;
    for (uint32_t row = few->n; row-- > 0;) {
        for (uint32_t i = 0; i < few->flat[row].n; i++) {
            const struct flat_field *field = &few->flat[row].fields[i];
            uint32_t name;

            if (block_values_add(&few->names, field->name, &name) != 0)
                return -1;
            few->entries[at] = (struct entry){field->text, row,
                few->heads[name]};
            few->heads[name] = ++at;
        }
    }
    few->columns = block_zalloc(block, few->names.n + 1u,
        sizeof(*few->columns));
    return few->columns == NULL ? -1 : 0;
}

static int
few_new(struct block *block, const uint64_t *wanted)
{
    struct block_few *few = block_zalloc(block, 1, sizeof(*few));

    block->few_of_memtable = NULL;
    if (few == NULL)
        return -1;
    few->bits = block_alloc(block, 1, bits_bytes(block));
    if (few->bits == NULL)
        return -1;
    memcpy(few->bits, wanted, bits_bytes(block));
    for (uint32_t row = 0; row < block->info.rows; row++) {
        if (bitmap_has(wanted, row))
            few->rows[few->n++] = row;
    }
    block_values_init(&few->names, block);
    block_values_init(&few->patterns, block);
    if (read_rows(block, few) != 0 || add_entries(block, few) != 0)
        return -1;
    block->few_of_memtable = few;
    return 0;
}

static bool
is_made_for(const struct block *block, const uint64_t *wanted)
{
    return block->few_of_memtable != NULL && wanted != NULL &&
        memcmp(block->few_of_memtable->bits, wanted, bits_bytes(block)) == 0;
}

int
block_few_names(struct block *block, const uint64_t *wanted,
    const struct sv **out, uint32_t *n)
{
    *n = 0;
    if (!is_few(block, wanted))
        return 0;
    if (!is_made_for(block, wanted) && few_new(block, wanted) != 0)
        return -1;
    *out = block->few_of_memtable->names.v;
    *n = block->few_of_memtable->names.n;
    return 0;
}

/* --- columns --- */

/* Codes by row of the block, the same for the same pattern. */
static int
share_codes(struct block *block, struct block_few *few,
    const uint32_t *pattern, const uint32_t **out)
{
    struct sv key = sv_make((const char *)pattern,
        few->n * sizeof(*pattern));
    uint32_t code, before = few->patterns.n;
    uint32_t *codes;

    if (block_values_add(&few->patterns, key, &code) != 0)
        return -1;
    if (few->patterns.n == before) {
        *out = few->codes[code];
        return 0;
    }
    if (code >= few->codes_cap) {
        uint32_t cap = MAX(16u, 2 * few->codes_cap);
        const uint32_t **more = block_alloc(block, cap, sizeof(*more));

        if (more == NULL)
            return -1;
        if (few->codes_cap > 0)
            memcpy(more, few->codes, few->codes_cap * sizeof(*more));
        few->codes = more;
        few->codes_cap = cap;
    }
    codes = block_alloc(block, block->info.rows, sizeof(*codes));
    few->patterns.v[code].ptr = pool_dup(block->pool, key.ptr, key.len);
    if (codes == NULL || few->patterns.v[code].ptr == NULL)
        return block_no_memory(block);
    for (uint32_t i = 0; i < few->n; i++)
        codes[few->rows[i]] = pattern[i];
    few->codes[code] = codes;
    *out = codes;
    return 0;
}

/* Distinct texts are numbered as they come; few are compared. */
static int
set_column(struct block *block, struct block_few *few, uint32_t name,
    struct column *column)
{
    struct sv texts[ROWS_MAX];
    uint32_t pattern[ROWS_MAX];
    struct block_values values;
    const uint32_t *codes = NULL;

    memset(texts, 0, few->n * sizeof(*texts));
    for (uint32_t at = few->heads[name]; at != 0;
        at = few->entries[at - 1].next)
        texts[few->entries[at - 1].row] = few->entries[at - 1].text;
    block_values_init(&values, block);
    for (uint32_t i = 0; i < few->n; i++) {
        if (i > 0 && sv_eq(texts[i], texts[i - 1]))
            pattern[i] = pattern[i - 1];
        else if (block_values_add(&values, texts[i], &pattern[i]) != 0)
            return -1;
    }
    if (values.n > 1 && share_codes(block, few, pattern, &codes) != 0)
        return -1;
    column_set_codes(column, &values, codes);
    return 0;
}

int
block_few_column(struct block *block, struct sv field,
    const uint64_t *wanted, const struct column **out)
{
    struct block_few *few = block->few_of_memtable;
    struct column *column;
    uint32_t name;

    *out = NULL;
    if (!is_made_for(block, wanted) || sv_eq(field, SV("_stream")) ||
        sv_eq(field, SV("_stream_id")) ||
        !block_values_find(&few->names, field, &name))
        return 0;
    if (few->columns[name] == NULL) {
        column = block_zalloc(block, 1, sizeof(*column));
        if (column == NULL)
            return -1;
        column->name = few->names.v[name];
        if (set_column(block, few, name, column) != 0)
            return -1;
        few->columns[name] = column;
    }
    *out = few->columns[name];
    return 0;
}
