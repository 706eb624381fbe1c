/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What is computed once per block and kept: where the runs are, the rows of
 * each trace, the rows that events and links belong to.
 */

#include "core/base.h"
#include "storage/part_read.h"

#include "core/assert.h"
#include "core/mem.h"

/* What part_format.h calls the columns of each table. */
static const struct {
    uint32_t shape;
    uint32_t rows;
    uint32_t row;
    enum key_scope scope;
} tables[PART_TABLES] = {
    {PART_RUN_SHAPE, PART_RUN_ROWS, 0, KEY_SPAN},
    {PART_EVENT_RUN_SHAPE, PART_EVENT_RUN_ROWS, PART_EVENT_ROW, KEY_EVENT},
    {PART_LINK_RUN_SHAPE, PART_LINK_RUN_ROWS, PART_LINK_ROW, KEY_LINK},
};

/* --- a reading --- */

int
reading_corrupt(const struct reading *r, const char *fmt, ...)
{
    char text[200];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return part_corrupt(r->part, r->err, "block %u: %s", r->block_idx, text);
}

int
reading_no_memory(const struct reading *r)
{
    return err_set(r->err, ERR_LIMIT,
        "%s: the answer is larger than its limit", r->part->path);
}

static int
pin(struct reading *r, struct data *data)
{
    check(r->npinned < ARRAY_LEN(r->pinned));
    r->pinned[r->npinned++] = data;
    return 0;
}

/* The piece from the cache, or loaded and put there. */
static int
get_piece(struct reading *r, enum data_kind kind, uint32_t index,
    int (*load)(struct reading *r, uint32_t index, struct data **out),
    struct data **out)
{
    struct data_key key = {r->block_idx, kind, index};
    struct data *data = data_find(&r->part->data, &key);

    if (data == NULL) {
        if (load(r, index, &data) != 0)
            return -1;
        data->key = key;
        data = data_add(&r->part->data, data);
    }
    *out = data;
    return pin(r, data);
}

static int
load_directory(struct reading *r, uint32_t index, struct data **out)
{
    (void)index;
    return directory_load(r, out);
}

int
reading_open(struct reading *r, struct part *part, uint32_t block,
    struct err *err)
{
    struct data *data;

    memset(r, 0, sizeof(*r));
    r->part = part;
    r->err = err;
    r->block_idx = block;
    r->block = &part->blocks[block];
    if (get_piece(r, DATA_DIRECTORY, 0, load_directory, &data) != 0)
        return -1;
    r->dir = (const struct part_directory *)data;
    r->chunks = mem_try_alloc(((size_t)r->dir->nchunks + r->dir->npages + 1) *
        sizeof(*r->chunks));
    if (r->chunks == NULL)
        return reading_no_memory(r);
    memset(r->chunks, 0, ((size_t)r->dir->nchunks + r->dir->npages) *
        sizeof(*r->chunks));
    return 0;
}

void
reading_unpin_chunks(struct reading *r)
{
    size_t n = (size_t)r->dir->nchunks + r->dir->npages;

    data_unpin(r->chunks, n);
    memset(r->chunks, 0, n * sizeof(*r->chunks));
}

void
reading_release(struct reading *r)
{
    if (r->chunks != NULL)
        reading_unpin_chunks(r);
    data_unpin(r->pinned, r->npinned);
    xfree(r->chunks);
    xfree(r->memos);
    r->chunks = NULL;
    r->memos = NULL;
    r->npinned = 0;
}

/* --- runs --- */

static void
runs_free(struct data *data)
{
    struct part_runs *runs = (struct part_runs *)data;

    xfree(runs->start);
    xfree(runs->base);
    xfree(runs);
}

/* One array for the four tables of a run. */
static int
runs_alloc(struct reading *r, struct part_runs *runs, uint32_t nruns)
{
    size_t words = 4 * (size_t)nruns + 1;

    runs->nruns = nruns;
    runs->start = mem_try_alloc(words * sizeof(uint32_t));
    if (runs->start == NULL)
        return reading_no_memory(r);
    runs->shape = runs->start + nruns + 1;
    runs->stream = runs->shape + nruns;
    runs->first = runs->stream + nruns;
    runs->data.bytes += sizeof(*runs) + words * sizeof(uint32_t);
    return 0;
}

/* Decodes a column of one value a run, each below limit. */
static int
decode_runs(struct reading *r, uint32_t column, uint32_t nruns,
    uint64_t limit, uint32_t *dst)
{
    const struct part_vector *vector = NULL;
    uint64_t buf[COL_MINI];

    if (vector_need(r, column, PART_ROLE_VALUES, nruns, &vector) != 0)
        return -1;
    for (uint32_t i = 0; i < nruns; i += COL_MINI) {
        uint32_t n = MIN(COL_MINI, nruns - i);

        if (vector_decode(r, vector, i, n, buf) != 0)
            return -1;
        for (uint32_t j = 0; j < n; j++) {
            if (buf[j] >= limit)
                return reading_corrupt(r, "vector %u: value %u is %llu",
                    vector->id, i + j, (unsigned long long)buf[j]);
            dst[i + j] = (uint32_t)buf[j];
        }
    }
    return 0;
}

/* start holds rows of each run: makes it the first row of each. */
static int
sum_rows(struct reading *r, struct part_runs *runs)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < runs->nruns; i++) {
        uint32_t rows = runs->start[i];

        if (rows == 0 || sum + rows > PART_SUBS_MAX)
            return reading_corrupt(r, "run %u has %u rows", i, rows);
        runs->start[i] = (uint32_t)sum;
        sum += rows;
    }
    runs->start[runs->nruns] = (uint32_t)sum;
    runs->nrows = (uint32_t)sum;
    return 0;
}

/* Room for a number per run and key of its shape. */
static int
alloc_base(struct reading *r, struct part_runs *runs, uint32_t table)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < runs->nruns; i++) {
        const struct part_shape *shape = &r->part->shapes[runs->shape[i]];

        if (shape->scope != tables[table].scope)
            return reading_corrupt(r, "run %u has a shape of another table",
                i);
        runs->first[i] = (uint32_t)n;
        n += shape->n;
        if (n > PART_VALUES_MAX)
            return reading_corrupt(r, "more than %u keys in all runs",
                PART_VALUES_MAX);
    }
    runs->base = mem_try_alloc(n * sizeof(uint32_t) + 1);
    if (runs->base == NULL)
        return reading_no_memory(r);
    runs->data.bytes += n * sizeof(uint32_t);
    return 0;
}

/* Every key has exactly the values that the runs say. */
static int
check_counts(struct reading *r, uint32_t table, const uint64_t *counts)
{
    const struct part *part = r->part;

    for (uint32_t key = 0; key < part->nkeys; key++) {
        const struct part_vector *vector = NULL;

        if (part->keys[key].scope != tables[table].scope ||
            part->keys[key].type == VALUE_EMPTY)
            continue;
        vector = directory_find(r->dir, PART_COLUMNS_CORE + key,
            PART_ROLE_VALUES);
        if ((vector == NULL ? 0 : vector->count) != counts[key])
            return reading_corrupt(r, "key %u has %u values, not %llu", key,
                vector == NULL ? 0 : vector->count,
                (unsigned long long)counts[key]);
    }
    return 0;
}

static int
number_values(struct reading *r, struct part_runs *runs, uint32_t table)
{
    const struct part *part = r->part;
    uint64_t *counts = mem_try_alloc(part->nkeys * sizeof(*counts) + 1);
    int rc;

    if (counts == NULL)
        return reading_no_memory(r);
    memset(counts, 0, part->nkeys * sizeof(*counts));
    for (uint32_t i = 0; i < runs->nruns; i++) {
        const struct part_shape *shape = &part->shapes[runs->shape[i]];
        const uint32_t *keys = &part->shape_keys[shape->first];
        uint32_t rows = runs->start[i + 1] - runs->start[i];
        uint32_t *base = &runs->base[runs->first[i]];

        for (uint32_t j = 0; j < shape->n; j++) {
            base[j] = (uint32_t)counts[keys[j]];
            counts[keys[j]] += rows;
        }
    }
    rc = check_counts(r, table, counts);
    xfree(counts);
    return rc;
}

static int
fill_runs(struct reading *r, struct part_runs *runs, uint32_t table)
{
    const struct part *part = r->part;
    const struct part_vector *vector = directory_find(r->dir,
        tables[table].shape, PART_ROLE_VALUES);
    uint32_t nruns = vector == NULL ? 0 : vector->count;

    if (table == PART_TABLE_SPANS && nruns != r->block->runs)
        return reading_corrupt(r, "%u runs, not %u", nruns, r->block->runs);
    if (nruns > PART_SUBS_MAX)
        return reading_corrupt(r, "%u runs", nruns);
    if (runs_alloc(r, runs, nruns) != 0)
        return -1;
    if (nruns > 0 &&
        (decode_runs(r, tables[table].shape, nruns, part->nshapes,
            runs->shape) != 0 ||
        decode_runs(r, tables[table].rows, nruns, PART_SUBS_MAX + 1,
            runs->start) != 0))
        return -1;
    if (table == PART_TABLE_SPANS && decode_runs(r, PART_RUN_STREAM, nruns,
            part->nstreams, runs->stream) != 0)
        return -1;
    if (sum_rows(r, runs) != 0)
        return -1;
    if (table == PART_TABLE_SPANS && runs->nrows != r->block->rows)
        return reading_corrupt(r, "runs of %u rows, not %u", runs->nrows,
            r->block->rows);
    if (alloc_base(r, runs, table) != 0)
        return -1;
    return number_values(r, runs, table);
}

static int
load_runs(struct reading *r, uint32_t table, struct data **out)
{
    struct part_runs *runs = xcalloc(1, sizeof(*runs));

    runs->data.free = runs_free;
    if (fill_runs(r, runs, table) != 0) {
        runs_free(&runs->data);
        return -1;
    }
    *out = &runs->data;
    return 0;
}

int
reading_runs(struct reading *r, enum part_table table,
    const struct part_runs **out)
{
    struct data *data;

    if (r->runs[table] == NULL) {
        if (get_piece(r, DATA_RUNS, table, load_runs, &data) != 0)
            return -1;
        r->runs[table] = (const struct part_runs *)data;
    }
    *out = r->runs[table];
    return 0;
}

uint32_t
runs_find(const struct part_runs *runs, uint32_t row)
{
    uint32_t low = 0;
    uint32_t high = runs->nruns;

    check(row < runs->nrows);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (runs->start[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* --- rows of each trace --- */

static void
families_free(struct data *data)
{
    struct part_families *families = (struct part_families *)data;

    xfree(families->first);
    xfree(families);
}

/* Counting sort of the rows by their trace. */
static int
fill_families(struct reading *r, struct part_families *families)
{
    uint32_t ntraces = r->block->traces;
    uint32_t nrows = r->block->rows;
    size_t first_bytes = ((size_t)ntraces + 2) * sizeof(uint32_t);
    uint32_t *ordinals, *first;
    int rc = -1;

    families->first = mem_try_alloc(first_bytes + nrows * sizeof(uint16_t));
    ordinals = mem_try_alloc(nrows * sizeof(*ordinals));
    if (families->first == NULL || ordinals == NULL) {
        rc = reading_no_memory(r);
        goto out;
    }
    families->rows = (uint16_t *)(families->first + ntraces + 2);
    families->data.bytes = sizeof(*families) + first_bytes +
        nrows * sizeof(uint16_t);
    if (decode_runs(r, PART_ROW_TRACE, nrows, ntraces, ordinals) != 0)
        goto out;
    /* Counted two places on, summed one on, so that filling ends right. */
    memset(families->first, 0, first_bytes);
    first = families->first + 1;
    for (uint32_t i = 0; i < nrows; i++)
        first[ordinals[i] + 1]++;
    for (uint32_t i = 1; i <= ntraces; i++)
        first[i] += first[i - 1];
    for (uint32_t i = 0; i < nrows; i++)
        families->rows[first[ordinals[i]]++] = (uint16_t)i;
    rc = 0;
out:
    xfree(ordinals);
    return rc;
}

static int
load_families(struct reading *r, uint32_t index, struct data **out)
{
    struct part_families *families = xcalloc(1, sizeof(*families));

    (void)index;
    families->data.free = families_free;
    if (fill_families(r, families) != 0) {
        families_free(&families->data);
        return -1;
    }
    *out = &families->data;
    return 0;
}

int
reading_families(struct reading *r, const struct part_families **out)
{
    struct data *data;

    if (r->families == NULL) {
        if (get_piece(r, DATA_FAMILIES, 0, load_families, &data) != 0)
            return -1;
        r->families = (const struct part_families *)data;
    }
    *out = r->families;
    return 0;
}

/* --- rows of events and links --- */

static void
subs_free(struct data *data)
{
    struct part_subs *subs = (struct part_subs *)data;

    xfree(subs->rows);
    xfree(subs);
}

static int
fill_subs(struct reading *r, struct part_subs *subs, uint32_t table)
{
    const struct part_vector *vector = directory_find(r->dir,
        tables[table].row, PART_ROLE_VALUES);
    const struct part_runs *runs;

    subs->n = vector == NULL ? 0 : vector->count;
    if (reading_runs(r, table, &runs) != 0)
        return -1;
    if (subs->n != runs->nrows)
        return reading_corrupt(r, "table %u has %u rows, not %u", table,
            subs->n, runs->nrows);
    subs->rows = mem_try_alloc(subs->n * sizeof(uint32_t) + 1);
    if (subs->rows == NULL)
        return reading_no_memory(r);
    subs->data.bytes = sizeof(*subs) + subs->n * sizeof(uint32_t);
    if (subs->n > 0 && decode_runs(r, tables[table].row, subs->n,
            r->block->rows, subs->rows) != 0)
        return -1;
    for (uint32_t i = 1; i < subs->n; i++) {
        if (subs->rows[i] < subs->rows[i - 1])
            return reading_corrupt(r, "table %u: order of row %u", table, i);
    }
    return 0;
}

static int
load_subs(struct reading *r, uint32_t table, struct data **out)
{
    struct part_subs *subs = xcalloc(1, sizeof(*subs));

    subs->data.free = subs_free;
    if (fill_subs(r, subs, table) != 0) {
        subs_free(&subs->data);
        return -1;
    }
    *out = &subs->data;
    return 0;
}

static uint32_t
lower_bound(const struct part_subs *subs, uint32_t row)
{
    uint32_t low = 0;
    uint32_t high = subs->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (subs->rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int
reading_subs(struct reading *r, enum part_table table, uint32_t row,
    uint32_t *first, uint32_t *end)
{
    struct data *data;

    if (r->subs[table] == NULL) {
        if (get_piece(r, DATA_SUBS, table, load_subs, &data) != 0)
            return -1;
        r->subs[table] = (const struct part_subs *)data;
    }
    *first = lower_bound(r->subs[table], row);
    *end = lower_bound(r->subs[table], row + 1);
    return 0;
}
