/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/rows.h"

#include "core/assert.h"
#include "core/num.h"
#include "query/pipe.h"
#include "storage/block.h"

/* Columns of one chunk: a span has at most 1,000 fields, a block more. */
#define ROWS_COLUMNS_MAX 1000000u

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

void
rows_init(struct rows *rows, uint32_t n, struct pool *pool)
{
    uint32_t words = BITMAP_WORDS(n);
    uint64_t *bits = pool_alloc(pool, words * sizeof(*bits) + 8);

    check(n <= ROWS_MAX);
    memset(rows, 0, sizeof(*rows));
    rows->n = n;
    rows->nselected = n;
    rows->pool = pool;
    /* Without memory the first column that is added fails, too. */
    if (bits == NULL) {
        rows->n = rows->nselected = 0;
        return;
    }
    memset(bits, 0xff, words * sizeof(*bits));
    if (n % 64 != 0)
        bits[words - 1] = (UINT64_C(1) << n % 64) - 1;
    rows->selected = bits;
}

void
rows_init_block(struct rows *rows, struct block *block, uint32_t n,
    struct pool *pool)
{
    rows_init(rows, n, pool);
    rows->block = block;
}

static struct column *
find_loaded(const struct rows *rows, struct sv name)
{
    for (uint32_t i = 0; i < rows->ncolumns; i++) {
        if (sv_eq(rows->columns[i].name, name))
            return &rows->columns[i];
    }
    return NULL;
}

static struct column *
column_add(struct rows *rows, struct err *err)
{
    if (rows->ncolumns == rows->columns_cap) {
        uint32_t cap = MAX(2 * rows->columns_cap, 16u);
        struct column *more;

        if (cap > ROWS_COLUMNS_MAX)
            cap = ROWS_COLUMNS_MAX;
        more = cap == rows->columns_cap ? NULL :
            pool_alloc(rows->pool, cap * sizeof(*more));
        if (more == NULL) {
            no_memory(err);
            return NULL;
        }
        if (rows->ncolumns > 0)
            memcpy(more, rows->columns, rows->ncolumns * sizeof(*more));
        rows->columns = more;
        rows->columns_cap = cap;
    }
    return &rows->columns[rows->ncolumns++];
}

static const struct column empty_column = {.kind = COLUMN_EMPTY};

int
rows_column(struct rows *rows, struct sv name, const struct column **out,
    struct err *err)
{
    struct column *column = find_loaded(rows, name);
    const struct column *loaded;

    if (column != NULL || rows->block == NULL) {
        *out = column != NULL ? column : &empty_column;
        return 0;
    }
    if (block_column(rows->block, name,
            rows->nselected == rows->n ? NULL : rows->selected, &loaded,
            err) != 0)
        return -1;
    column = column_add(rows, err);
    if (column == NULL)
        return -1;
    *column = *loaded;
    column->name = name;
    *out = column;
    return 0;
}

int
rows_set_column(struct rows *rows, const struct column *column,
    struct err *err)
{
    struct column *place = find_loaded(rows, column->name);

    if (place == NULL)
        place = column_add(rows, err);
    if (place == NULL)
        return -1;
    *place = *column;
    return 0;
}

static bool
is_made(const struct rows *rows, struct sv name)
{
    for (uint32_t i = 0; i < rows->nmade; i++) {
        if (sv_eq(rows->made[i], name))
            return true;
    }
    return false;
}

struct block *
rows_block_of(const struct rows *rows, struct sv name)
{
    return is_made(rows, name) ? NULL : rows->block;
}

int
rows_make_column(struct rows *rows, const struct column *column,
    struct err *err)
{
    if (rows_set_column(rows, column, err) != 0)
        return -1;
    if (rows->block == NULL || is_made(rows, column->name))
        return 0;
    /* Powers of two are when the array is full. */
    if ((rows->nmade & (rows->nmade - 1)) == 0) {
        struct sv *more = pool_alloc(rows->pool,
            2 * ((size_t)rows->nmade + 1) * sizeof(*more));

        if (more == NULL)
            return no_memory(err);
        if (rows->nmade > 0)
            memcpy(more, rows->made, rows->nmade * sizeof(*more));
        rows->made = more;
    }
    rows->made[rows->nmade++] = column->name;
    return 0;
}

/* Those of the block, and behind them those that pipes made. */
static int
names_of_block(struct rows *rows, const struct sv **out, uint32_t *n,
    struct err *err)
{
    uint32_t nstored;
    struct sv *names;

    if (block_fields_of(rows->block, rows->nselected == rows->n ? NULL :
            rows->selected, out, n, err) != 0)
        return -1;
    if (rows->nmade == 0)
        return 0;
    nstored = *n;
    names = pool_alloc(rows->pool,
        ((size_t)nstored + rows->nmade) * sizeof(*names));
    if (names == NULL)
        return no_memory(err);
    if (nstored > 0)
        memcpy(names, *out, nstored * sizeof(*names));
    for (uint32_t i = 0; i < rows->nmade; i++) {
        uint32_t k = 0;

        while (k < nstored && !sv_eq(names[k], rows->made[i]))
            k++;
        if (k == nstored)
            names[(*n)++] = rows->made[i];
    }
    *out = names;
    return 0;
}

int
rows_names(struct rows *rows, const struct sv **out, uint32_t *n,
    struct err *err)
{
    struct sv *names;

    if (rows->block != NULL)
        return names_of_block(rows, out, n, err);
    names = pool_alloc(rows->pool, (rows->ncolumns + 1) * sizeof(*names));
    if (names == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < rows->ncolumns; i++)
        names[i] = rows->columns[i].name;
    *out = names;
    *n = rows->ncolumns;
    return 0;
}

static int
compare_names(const void *a, const void *b)
{
    return sv_cmp(*(const struct sv *)a, *(const struct sv *)b);
}

int
rows_match_names(struct rows *rows, const struct field_pattern *patterns,
    uint32_t npatterns, struct name_list *out, struct err *err)
{
    const struct sv *names = NULL;
    uint32_t nnames = 0, used = 0;
    bool has_prefix = false;
    struct sv *matched;

    for (uint32_t p = 0; p < npatterns; p++)
        has_prefix |= patterns[p].is_prefix;
    if (has_prefix && rows_names(rows, &names, &nnames, err) != 0)
        return -1;
    matched = pool_alloc(rows->pool,
        (nnames + npatterns) * sizeof(*matched) + 1);
    if (matched == NULL)
        return no_memory(err);
    for (uint32_t p = 0; p < npatterns; p++) {
        uint32_t first = used;

        if (!patterns[p].is_prefix) {
            if (!field_patterns_have(patterns, p, patterns[p].name))
                matched[used++] = patterns[p].name;
            continue;
        }
        for (uint32_t i = 0; i < nnames; i++) {
            if (field_pattern_has(&patterns[p], names[i]) &&
                !field_patterns_have(patterns, p, names[i]))
                matched[used++] = names[i];
        }
        /* A memtable and a part do not list them in the same order. */
        if (rows->block != NULL || rows->had_block)
            qsort(matched + first, used - first, sizeof(*matched),
                compare_names);
    }
    *out = (struct name_list){matched, used};
    return 0;
}

int
rows_detach(struct rows *rows, struct err *err)
{
    const struct sv *names;
    const struct column *column;
    struct column *columns;
    uint32_t n;

    rows->had_block = false;
    if (rows->block == NULL)
        return 0;
    if (rows_names(rows, &names, &n, err) != 0)
        return -1;
    columns = pool_alloc(rows->pool, (n + 1) * sizeof(*columns));
    if (columns == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        if ((rows->run != NULL && run_poll(rows->run, err) != 0) ||
            rows_column(rows, names[i], &column, err) != 0)
            return -1;
        columns[i] = *column;
        columns[i].name = names[i];
    }
    rows->columns = columns;
    rows->ncolumns = rows->columns_cap = n;
    rows->block = NULL;
    rows->nmade = 0;
    return 0;
}

void
rows_select(struct rows *rows, const uint64_t *bits)
{
    rows->selected = bits;
    rows->nselected = bitmap_count(bits, rows->n);
}

/* First selected row at or behind `row`. */
static uint32_t
next_from(const struct rows *rows, uint32_t row)
{
    uint32_t words = BITMAP_WORDS(rows->n), word = row / 64;
    uint64_t bits;

    if (row >= rows->n)
        return rows->n;
    bits = rows->selected[word] & ~UINT64_C(0) << row % 64;
    while (bits == 0 && ++word < words)
        bits = rows->selected[word];
    return bits == 0 ? rows->n
        : word * 64 + (uint32_t)__builtin_ctzll(bits);
}

uint32_t
rows_first(const struct rows *rows)
{
    return next_from(rows, 0);
}

uint32_t
rows_next(const struct rows *rows, uint32_t row)
{
    return next_from(rows, row + 1);
}
