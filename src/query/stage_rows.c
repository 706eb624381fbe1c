/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/stage.h"

#include "core/assert.h"

/* --- which rows --- */

int
picks_make(struct picks *out, const struct rows *rows, struct err *err)
{
    uint32_t *index;
    uint32_t n = 0;

    *out = (struct picks){rows->nselected, NULL, 0};
    if (rows->nselected == rows->n)
        return 0;
    index = pool_alloc(rows->pool, rows->nselected * sizeof(*index) + 1);
    if (index == NULL)
        return err_set(err, ERR_LIMIT, "no memory for a block of rows");
    for (uint32_t word = 0; word < BITMAP_WORDS(rows->n); word++) {
        uint64_t bits = rows->selected[word];

        for (; bits != 0; bits &= bits - 1)
            index[n++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    check(n == rows->nselected);
    out->index = index;
    return 0;
}

int
rows_pick(struct rows *rows, const struct filter *filter, struct picks *out,
    struct err *err)
{
    size_t size = BITMAP_WORDS(rows->n) * sizeof(uint64_t);
    uint32_t nselected = rows->nselected, ncolumns = rows->ncolumns;
    uint64_t *copy;
    int result;

    if (filter == NULL)
        return picks_make(out, rows, err);
    copy = pool_alloc(rows->pool, size + 1);
    if (copy == NULL)
        return err_set(err, ERR_LIMIT, "no memory for a block of rows");
    memcpy(copy, rows->selected, size);
    result = rows_filter(rows, filter, err);
    if (result == 0)
        result = picks_make(out, rows, err);
    rows->selected = copy;
    rows->nselected = nselected;
    /* Columns that the filter loaded are those of fewer rows. */
    rows->ncolumns = ncolumns;
    return result;
}

static bool
id_is_filled(const struct column *column, uint32_t row)
{
    const uint8_t *id = column_id(column, row);
    uint64_t low, high = 0;

    memcpy(&low, id, sizeof(low));
    if (column->width == 16)
        memcpy(&high, id + 8, sizeof(high));
    return (low | high) != 0;
}

bool
column_is_filled(const struct column *column, uint32_t row)
{
    switch (column->kind) {
    case COLUMN_EMPTY:
        return false;
    case COLUMN_CONST:
        return column->values[0].len > 0;
    case COLUMN_CODES:
        return column->values[column->codes[row]].len > 0;
    case COLUMN_INTS:
    case COLUMN_UINTS:
        return column->present == NULL || bitmap_has(column->present, row);
    case COLUMN_TIMES:
        return true;
    case COLUMN_IDS:
        return id_is_filled(column, row);
    case COLUMN_TEXTS:
        return column->texts[row].len > 0;
    }
    panic("column kind %d", column->kind);
}

/* The values are distinct, so one of them is empty at most. */
static uint32_t
count_filled_codes(const struct column *column, const struct picks *picks)
{
    uint32_t empty = 0, n = 0;

    while (empty < column->nvalues && column->values[empty].len > 0)
        empty++;
    if (empty == column->nvalues)
        return picks->n;
    if (picks->index == NULL) {
        const uint32_t *codes = column->codes + picks->first;

        for (uint32_t i = 0; i < picks->n; i++)
            n += codes[i] != empty;
        return n;
    }
    for (uint32_t i = 0; i < picks->n; i++)
        n += column->codes[picks->index[i]] != empty;
    return n;
}

static uint32_t
count_present(const uint64_t *present, const struct picks *picks)
{
    uint32_t i = 0, n = 0;

    if (picks->index == NULL && picks->first % 64 == 0) {
        i = picks->n - picks->n % 64;
        n = bitmap_count(present + picks->first / 64, i);
    }
    for (; i < picks->n; i++)
        n += bitmap_has(present, picks_row(picks, i));
    return n;
}

uint32_t
column_count_filled(const struct column *column, const struct picks *picks)
{
    uint32_t n = 0;

    if (picks->n == 0)
        return 0;
    switch (column->kind) {
    case COLUMN_EMPTY:
        return 0;
    case COLUMN_CONST:
    case COLUMN_TIMES:
        return column_is_filled(column, 0) ? picks->n : 0;
    case COLUMN_CODES:
        return count_filled_codes(column, picks);
    case COLUMN_INTS:
    case COLUMN_UINTS:
        return column->present == NULL ? picks->n
            : count_present(column->present, picks);
    case COLUMN_IDS:
    case COLUMN_TEXTS:
        for (uint32_t i = 0; i < picks->n; i++)
            n += column_is_filled(column, picks_row(picks, i));
        return n;
    }
    panic("column kind %d", column->kind);
}

/* --- rows of texts for the next stage --- */

/* Texts of one chunk: 1,024 rows of 64 KiB each would be 64 MiB. */
#define EMIT_POOL_MAX (256 * MIB)
/* A chunk ends early when its texts are longer than this. */
#define EMIT_TEXTS_MAX (8 * MIB)

void
emit_begin(struct emit *emit, struct stage *next, const struct sv *names,
    uint32_t ncolumns)
{
    memset(emit, 0, sizeof(*emit));
    emit->next = next;
    emit->names = names;
    emit->ncolumns = ncolumns;
}

static int
chunk_begin(struct emit *emit, struct err *err)
{
    if (emit->pool == NULL) {
        emit->pool = pool_new(EMIT_POOL_MAX);
        pool_share(emit->pool, emit->next->run->budget.share);
    }
    emit->texts = pool_alloc(emit->pool,
        emit->ncolumns * sizeof(*emit->texts) + 1);
    if (emit->texts == NULL)
        return err_set(err, ERR_LIMIT, "no memory for rows");
    for (uint32_t i = 0; i < emit->ncolumns; i++) {
        emit->texts[i] = pool_alloc(emit->pool,
            ROWS_CHUNK * sizeof(**emit->texts));
        if (emit->texts[i] == NULL)
            return err_set(err, ERR_LIMIT, "no memory for rows");
    }
    return 0;
}

int
emit_end(struct emit *emit, struct err *err)
{
    struct rows rows;
    int result;

    if (emit->n == 0 || emit->is_done)
        return 0;
    rows_init(&rows, emit->n, emit->pool);
    rows.run = emit->next->run;
    for (uint32_t i = 0; i < emit->ncolumns; i++) {
        struct column column = {
            .name = emit->names[i],
            .kind = COLUMN_TEXTS,
            .texts = emit->texts[i],
        };

        if (rows_set_column(&rows, &column, err) != 0)
            return -1;
    }
    result = stage_write(emit->next, emit->lane, &rows, err);
    emit->is_done = result != 0;
    emit->n = 0;
    pool_reset(emit->pool);
    return result < 0 ? -1 : 0;
}

int
emit_row(struct emit *emit, const struct sv *texts, struct err *err)
{
    if (emit->n == 0 && chunk_begin(emit, err) != 0)
        return -1;
    for (uint32_t i = 0; i < emit->ncolumns; i++) {
        struct sv *cell = &emit->texts[i][emit->n];

        *cell = SV_EMPTY;
        if (texts[i].len == 0)
            continue;
        cell->ptr = pool_dup(emit->pool, texts[i].ptr, texts[i].len);
        cell->len = texts[i].len;
        if (cell->ptr == NULL)
            return err_set(err, ERR_LIMIT, "no memory for rows");
    }
    emit->n++;
    if (emit->n == ROWS_CHUNK || pool_used(emit->pool) > EMIT_TEXTS_MAX +
        emit->ncolumns * ROWS_CHUNK * sizeof(struct sv))
        return emit_end(emit, err);
    return 0;
}

void
emit_free(struct emit *emit)
{
    pool_free(emit->pool);
    emit->pool = NULL;
}
