/* SPDX-License-Identifier: BSD-2-Clause */

/* Merging: a block of an input, decoded into plain arrays. */

#include "core/base.h"
#include "storage/merge_state.h"

#include "core/enc.h"
#include "core/mem.h"

/* What a usual block takes is not given back to the system in between. */
#define BLOCK_KEEP_BYTES (12 * MIB)

/* --- vectors --- */

static void *
block_alloc(struct reading *r, struct pool *pool, size_t bytes)
{
    void *memory = pool_alloc(pool, bytes + 1);

    if (memory == NULL)
        (void)reading_no_memory(r);
    return memory;
}

/* The n values of a column of numbers. */
static int
get_numbers(struct reading *r, struct pool *pool, uint32_t column,
    uint32_t n, uint64_t **out)
{
    const struct part_vector *vector = NULL;

    *out = block_alloc(r, pool, n * sizeof(**out));
    if (*out == NULL)
        return -1;
    if (n == 0)
        return 0;
    if (vector_need(r, column, PART_ROLE_VALUES, n, &vector) != 0)
        return -1;
    return vector_decode(r, vector, 0, n, *out);
}

/* The same as numbers of 32 bits that are below limit. */
static int
get_codes(struct reading *r, struct pool *pool,
    const struct part_vector *vector, uint64_t limit, uint32_t **out)
{
    uint64_t buf[COL_MINI];
    uint32_t n = vector->count;

    *out = block_alloc(r, pool, n * sizeof(**out));
    if (*out == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i += COL_MINI) {
        uint32_t count = MIN(COL_MINI, n - i);
        uint64_t max = 0;

        if (vector_decode(r, vector, i, count, buf) != 0)
            return -1;
        for (uint32_t j = 0; j < count; j++) {
            max = MAX(max, buf[j]);
            (*out)[i + j] = (uint32_t)buf[j];
        }
        if (max >= limit)
            return reading_corrupt(r, "vector %u: a value near %u is %llu",
                vector->id, i, (unsigned long long)max);
    }
    return 0;
}

/* Fixed-width values, one after the other. */
static int
copy_fixed(struct reading *r, const struct part_vector *vector,
    uint32_t width, void *out)
{
    uint8_t *dst = out;

    for (uint32_t i = 0; i < vector->count;) {
        uint32_t n = MIN(part_raw_chunk(width), vector->count - i);
        const uint8_t *src;

        if (vector_get_fixed(r, vector, i, width, &src) != 0)
            return -1;
        memcpy(dst, src, (size_t)n * width);
        dst += (size_t)n * width;
        i += n;
    }
    return 0;
}

/* The n values of a column of ids. */
static int
get_ids(struct reading *r, struct pool *pool, uint32_t column, uint32_t n,
    uint64_t **out)
{
    const struct part_vector *vector = NULL;

    *out = block_alloc(r, pool, (size_t)n * 8);
    if (*out == NULL)
        return -1;
    if (n == 0)
        return 0;
    if (vector_need(r, column, PART_ROLE_VALUES, n, &vector) != 0)
        return -1;
    return copy_fixed(r, vector, 8, *out);
}

/* --- what a plan needs --- */

static int
get_traces(struct reading *r, struct pool *pool,
    const struct merge_input *input, struct merge_traces *traces)
{
    const struct part_vector *vector = NULL;
    uint32_t n = r->block->traces;

    traces->n = n;
    if (get_ids(r, pool, PART_TRACE_HI, n, &traces->hi) != 0 ||
        get_ids(r, pool, PART_TRACE_LO, n, &traces->lo) != 0 ||
        vector_need(r, PART_TRACE_TENANT, PART_ROLE_VALUES, n,
            &vector) != 0 ||
        get_codes(r, pool, vector, input->part->ntenants,
            &traces->tenant) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        traces->tenant[i] = input->tenants[traces->tenant[i]];
    return 0;
}

/* Starts and ends of all rows; modulo 2^64 as they are stored. */
static int
get_times(struct reading *r, struct pool *pool,
    const struct part_families *families, int64_t **start_ns,
    int64_t **end_ns)
{
    uint32_t ntraces = r->block->traces, nrows = r->block->rows;
    uint64_t *trace_start, *start, *end;

    if (get_numbers(r, pool, PART_TRACE_START, ntraces, &trace_start) != 0 ||
        get_numbers(r, pool, PART_ROW_START, nrows, &start) != 0 ||
        get_numbers(r, pool, PART_ROW_DURATION, nrows, &end) != 0)
        return -1;
    for (uint32_t i = 0; i < ntraces; i++) {
        for (uint32_t j = families->first[i]; j < families->first[i + 1]; j++)
            start[families->rows[j]] += trace_start[i];
    }
    for (uint32_t i = 0; i < nrows; i++)
        end[i] = start[i] + (uint64_t)enc_unzigzag(end[i]);
    *start_ns = (int64_t *)start;
    *end_ns = (int64_t *)end;
    return 0;
}

/* The input that has a block, and the block's number in it. */
static struct merge_input *
find_input(struct merge *m, uint32_t number, uint32_t *block)
{
    struct merge_input *input = m->inputs;

    while (number - input->first_block >= input->part->footer.nblocks)
        input++;
    *block = number - input->first_block;
    m->reading_input = (uint32_t)(input - m->inputs);
    return input;
}

int
merge_outline(struct merge *m, uint32_t number, struct reading *r,
    struct pool *pool, struct merge_outline *outline)
{
    uint32_t block;
    struct merge_input *input = find_input(m, number, &block);
    int64_t *start_ns;

    if (reading_open(r, input->part, block, m->err) != 0 ||
        reading_families(r, &outline->families) != 0 ||
        get_traces(r, pool, input, &outline->traces) != 0)
        return -1;
    outline->nrows = r->block->rows;
    outline->heap_bytes = (uint32_t)r->dir->heap_bytes;
    return get_times(r, pool, outline->families, &start_ns,
        &outline->end_ns);
}

/* --- parents --- */

static int
get_parents(struct merge_block *b)
{
    const struct part_families *families = b->families;
    const struct part_vector *vector = directory_find(b->r.dir,
        PART_PARENT_RAW, PART_ROLE_VALUES);
    uint32_t nraw = vector == NULL ? 0 : vector->count, raw = 0;
    uint64_t *raws;

    b->trace = block_alloc(&b->r, b->pool, b->nrows * sizeof(*b->trace));
    if (b->trace == NULL || get_ids(&b->r, b->pool, PART_PARENT_RAW, nraw,
            &raws) != 0 || get_numbers(&b->r, b->pool, PART_ROW_PARENT,
            b->nrows, &b->parent_ids) != 0)
        return -1;
    for (uint32_t i = 0; i < b->traces.n; i++) {
        for (uint32_t j = families->first[i]; j < families->first[i + 1]; j++)
            b->trace[families->rows[j]] = i;
    }
    for (uint32_t row = 0; row < b->nrows; row++) {
        uint64_t code = b->parent_ids[row];
        uint32_t first = families->first[b->trace[row]];

        if (code == PARENT_NONE)
            continue;
        if (code == PARENT_RAW) {
            if (raw == nraw)
                return reading_corrupt(&b->r, "row %u: raw parent %u", row,
                    raw);
            b->parent_ids[row] = raws[raw++];
            continue;
        }
        if (code - PARENT_FIRST >= b->nrows - first)
            return reading_corrupt(&b->r, "row %u: parent %llu", row,
                (unsigned long long)code);
        b->parent_ids[row] =
            b->ids[families->rows[first + code - PARENT_FIRST]];
    }
    return 0;
}

/* --- dictionaries --- */

static int
get_fixed_texts(struct merge_block *b, const struct part_vector *vector,
    struct merge_column *column)
{
    size_t len = fixed_text_len(vector), width = vector->width;
    uint8_t *bytes;
    char *texts;

    if (vector->encoding != PART_RAW && vector->encoding != PART_UUID &&
        vector->encoding != PART_HEX)
        return reading_corrupt(&b->r, "vector %u has no strings", vector->id);
    bytes = block_alloc(&b->r, b->pool, vector->count * width);
    texts = block_alloc(&b->r, b->pool, vector->count * len);
    if (bytes == NULL || texts == NULL ||
        copy_fixed(&b->r, vector, (uint32_t)width, bytes) != 0)
        return -1;
    for (uint32_t i = 0; i < vector->count; i++) {
        fixed_put_text(texts + i * len, vector, bytes + i * width);
        column->texts[i] = sv_make(texts + i * len, len);
    }
    return 0;
}

static int
get_heap(struct merge_block *b)
{
    if (b->heap != NULL)
        return 0;
    b->heap = block_alloc(&b->r, b->pool, b->r.dir->heap_bytes);
    return b->heap == NULL ? -1 :
        heap_read(&b->r, 0, b->r.dir->heap_bytes, b->heap);
}

static int
get_heap_texts(struct merge_block *b, const struct part_vector *lengths,
    struct merge_column *column)
{
    uint32_t n = lengths->count, step = 1;
    uint64_t heap = b->r.dir->heap_bytes, at = 0;
    const struct part_vector *marks = directory_find(b->r.dir,
        lengths->id / PART_ROLES, PART_ROLE_MARK);
    uint64_t *len, *mark;

    if (marks != NULL && marks->count != n)
        step = PART_MARK;
    if (marks == NULL || marks->count != (n + step - 1) / step)
        return reading_corrupt(&b->r, "vector %u: marks", lengths->id + 1);
    len = block_alloc(&b->r, b->pool, n * sizeof(*len));
    mark = block_alloc(&b->r, b->pool, marks->count * sizeof(*mark));
    if (len == NULL || mark == NULL || get_heap(b) != 0 ||
        vector_decode(&b->r, lengths, 0, n, len) != 0 ||
        vector_decode(&b->r, marks, 0, marks->count, mark) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (i % step == 0)
            at = mark[i / step];
        if (at > heap || len[i] > heap - at)
            return reading_corrupt(&b->r, "vector %u: string %u",
                lengths->id, i);
        column->texts[i] = sv_make(b->heap + at, len[i]);
        at += len[i];
    }
    return 0;
}

/* Codes and texts of a column of strings. */
static int
get_strings(struct merge_block *b, uint32_t id,
    const struct part_vector *codes, struct merge_column *column)
{
    const struct part_vector *fixed = directory_find(b->r.dir, id,
        PART_ROLE_FIXED);
    uint32_t n = dictionary_count(&b->r, id);

    if (n == 0)
        return reading_corrupt(&b->r, "column %u has no dictionary", id);
    column->n = codes->count;
    column->ntexts = n;
    column->texts = block_alloc(&b->r, b->pool, n * sizeof(*column->texts));
    column->map = block_alloc(&b->r, b->pool, n * sizeof(*column->map));
    if (column->texts == NULL || column->map == NULL)
        return -1;
    memset(column->map, 0, n * sizeof(*column->map));
    if (get_codes(&b->r, b->pool, codes, n, &column->codes) != 0)
        return -1;
    if (fixed != NULL)
        return get_fixed_texts(b, fixed, column);
    if (dictionary_has_templates(&b->r, id))
        return template_all(&b->r, id, b->pool, column->texts);
    return get_heap_texts(b, directory_find(b->r.dir, id, PART_ROLE_LENGTH),
        column);
}

static int
get_columns(struct merge_block *b)
{
    const struct part *part = b->input->part;

    b->columns = block_alloc(&b->r, b->pool,
        part->nkeys * sizeof(*b->columns));
    if (b->columns == NULL)
        return -1;
    memset(b->columns, 0, part->nkeys * sizeof(*b->columns));
    for (uint32_t i = 0; i < part->nkeys; i++) {
        struct merge_column *column = &b->columns[i];
        const struct part_vector *vector = directory_find(b->r.dir,
            PART_COLUMNS_CORE + i, PART_ROLE_VALUES);
        uint32_t words = memtable_type_words(part->keys[i].type);

        if (vector == NULL || words == 0)
            continue;
        column->n = vector->count;
        if (part->keys[i].type == VALUE_BOOL) {
            if (get_codes(&b->r, b->pool, vector, UINT64_C(1) << 32,
                    &column->codes) != 0)
                return -1;
        } else if (words == 2) {
            if (get_numbers(&b->r, b->pool, PART_COLUMNS_CORE + i,
                    vector->count, &column->numbers) != 0)
                return -1;
        } else if (get_strings(b, PART_COLUMNS_CORE + i, vector,
                column) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- runs, events, links --- */

/* By row of a table: its run. */
static int
get_row_runs(struct merge_block *b, const struct part_runs *runs,
    uint32_t **out)
{
    uint32_t *run = block_alloc(&b->r, b->pool, runs->nrows * sizeof(*run));

    if (run == NULL)
        return -1;
    for (uint32_t i = 0; i < runs->nruns; i++) {
        for (uint32_t j = runs->start[i]; j < runs->start[i + 1]; j++)
            run[j] = i;
    }
    *out = run;
    return 0;
}

static int
get_subs(struct merge_block *b, enum part_table table, uint32_t column)
{
    struct merge_subs *subs = &b->subs[table];
    const struct part_vector *vector = directory_find(b->r.dir, column,
        PART_ROLE_VALUES);
    uint32_t *rows = NULL, row = 0;

    if (reading_runs(&b->r, table, &b->runs[table]) != 0 ||
        get_row_runs(b, b->runs[table], &subs->run) != 0)
        return -1;
    subs->n = b->runs[table]->nrows;
    if ((vector == NULL ? 0 : vector->count) != subs->n)
        return reading_corrupt(&b->r, "table %u has %u rows, not %u", table,
            vector == NULL ? 0 : vector->count, subs->n);
    subs->first = block_alloc(&b->r, b->pool,
        (b->nrows + 1) * sizeof(*subs->first));
    if (subs->first == NULL || (vector != NULL &&
        get_codes(&b->r, b->pool, vector, b->nrows, &rows) != 0))
        return -1;
    for (uint32_t i = 0; i < subs->n; i++) {
        if (i > 0 && rows[i] < rows[i - 1])
            return reading_corrupt(&b->r, "table %u: order of row %u", table,
                i);
        while (row <= rows[i])
            subs->first[row++] = i;
    }
    while (row <= b->nrows)
        subs->first[row++] = subs->n;
    return 0;
}

static int
get_events(struct merge_block *b)
{
    const struct part_vector *names = NULL;
    uint64_t *times;
    uint32_t n;

    if (get_subs(b, PART_TABLE_EVENTS, PART_EVENT_ROW) != 0)
        return -1;
    n = b->subs[PART_TABLE_EVENTS].n;
    if (n == 0)
        return 0;
    if (get_numbers(&b->r, b->pool, PART_EVENT_TIME, n, &times) != 0)
        return -1;
    for (uint32_t row = 0; row < b->nrows; row++) {
        const uint32_t *first = &b->subs[PART_TABLE_EVENTS].first[row];

        for (uint32_t i = first[0]; i < first[1]; i++)
            times[i] = (uint64_t)enc_unzigzag(times[i]) +
                (uint64_t)b->start_ns[row];
    }
    b->event_time = (int64_t *)times;
    if (vector_need(&b->r, PART_EVENT_NAME, PART_ROLE_VALUES, n,
            &names) != 0)
        return -1;
    return get_strings(b, PART_EVENT_NAME, names, &b->event_name);
}

/* NULL: all ids are raw. */
struct link_codes {
    uint64_t *trace;
    uint64_t *span;
    uint32_t n;
};

static int
get_link_codes(struct merge_block *b, uint32_t column, uint32_t n,
    uint64_t **codes)
{
    *codes = NULL;
    if (directory_find(b->r.dir, column, PART_ROLE_VALUES) == NULL)
        return 0;
    return get_numbers(&b->r, b->pool, column, n, codes);
}

/* Most links are to the parent in the own trace: all is decoded already. */
static int
get_link(struct merge_block *b, const struct link_codes *codes, uint32_t i,
    uint32_t row)
{
    struct span_link link;

    if (codes->trace != NULL && codes->span != NULL &&
        codes->trace[i] == PART_LINK_OWN && codes->span[i] == PART_LINK_OWN) {
        uint32_t trace = b->trace[row];

        memcpy(b->link_trace + (size_t)i * 16, &b->traces.hi[trace], 8);
        memcpy(b->link_trace + (size_t)i * 16 + 8, &b->traces.lo[trace], 8);
        b->link_span[i] = b->parent_ids[row];
        return 0;
    }
    if (reading_link_ids(&b->r, codes->n, i, row, &link) != 0)
        return -1;
    memcpy(b->link_trace + (size_t)i * 16, link.trace_id.b, 16);
    b->link_span[i] = enc_get64(link.span_id.b);
    return 0;
}

static int
get_links(struct merge_block *b)
{
    struct link_codes codes;
    const uint32_t *first;

    if (get_subs(b, PART_TABLE_LINKS, PART_LINK_ROW) != 0)
        return -1;
    codes.n = b->subs[PART_TABLE_LINKS].n;
    if (codes.n == 0)
        return 0;
    b->link_trace = block_alloc(&b->r, b->pool, (size_t)codes.n * 16);
    b->link_span = block_alloc(&b->r, b->pool,
        codes.n * sizeof(*b->link_span));
    if (b->link_trace == NULL || b->link_span == NULL ||
        get_link_codes(b, PART_LINK_TRACE_CODE, codes.n, &codes.trace) != 0 ||
        get_link_codes(b, PART_LINK_SPAN_CODE, codes.n, &codes.span) != 0)
        return -1;
    first = b->subs[PART_TABLE_LINKS].first;
    for (uint32_t row = 0; row < b->nrows; row++) {
        for (uint32_t i = first[row]; i < first[row + 1]; i++) {
            if (get_link(b, &codes, i, row) != 0)
                return -1;
        }
    }
    return 0;
}

/* --- the block --- */

/* A column of one number below limit a row. */
static int
get_row_codes(struct merge_block *b, uint32_t column, uint64_t limit,
    uint32_t **out)
{
    const struct part_vector *vector = NULL;

    if (vector_need(&b->r, column, PART_ROLE_VALUES, b->nrows, &vector) != 0)
        return -1;
    return get_codes(&b->r, b->pool, vector, limit, out);
}

static int
get_rows(struct merge_block *b)
{
    struct reading *r = &b->r;

    if (reading_families(r, &b->families) != 0 ||
        reading_runs(r, PART_TABLE_SPANS, &b->runs[0]) != 0 ||
        get_row_runs(b, b->runs[0], &b->run) != 0 ||
        get_traces(r, b->pool, b->input, &b->traces) != 0 ||
        get_ids(r, b->pool, PART_ROW_ID, b->nrows, &b->ids) != 0 ||
        get_times(r, b->pool, b->families, &b->start_ns, &b->end_ns) != 0 ||
        get_parents(b) != 0)
        return -1;
    if (get_row_codes(b, PART_ROW_RESOURCE, b->input->part->nresources,
            &b->resource) != 0)
        return -1;
    return get_row_codes(b, PART_ROW_STATUS, 4, &b->status);
}

static void
block_close(struct merge_block *b)
{
    if (b->is_reading)
        reading_release(&b->r);
    b->is_reading = false;
    b->number = UINT32_MAX;
}

static int
block_fill(struct merge *m, struct merge_block *b, uint32_t number)
{
    struct pool *pool = b->pool != NULL ? b->pool :
        pool_new(MERGE_BLOCK_BYTES_MAX);
    uint32_t block;

    pool_keep(pool, BLOCK_KEEP_BYTES);
    block_close(b);
    memset(b, 0, sizeof(*b));
    b->number = UINT32_MAX;
    b->pool = pool;
    pool_reset(pool);
    b->input = find_input(m, number, &block);
    b->is_reading = true;
    if (reading_open(&b->r, b->input->part, block, m->err) != 0)
        return -1;
    b->nrows = b->r.block->rows;
    if (get_rows(b) != 0 || get_events(b) != 0 || get_links(b) != 0 ||
        get_columns(b) != 0)
        return -1;
    /* All is decoded; only the tables of the reading stay in use. */
    reading_unpin_chunks(&b->r);
    b->r.err = NULL;
    b->number = number;
    return 0;
}

/*
 * A place for another block: best one whose rows are all written, then one
 * that was never used, then the one that was not used for longest.
 */
static struct merge_block *
find_place(struct merge *m)
{
    struct merge_block *oldest = &m->blocks[0];

    for (uint32_t i = 0; i < MERGE_BLOCKS_OPEN; i++) {
        struct merge_block *b = &m->blocks[i];

        if (b->pool == NULL || b->number == UINT32_MAX ||
            m->rows_left[b->number] == 0)
            return b;
        if (b->used < oldest->used)
            oldest = b;
    }
    return oldest;
}

int
merge_open(struct merge *m, uint32_t number, struct merge_block **out)
{
    struct merge_block *b = NULL;

    for (uint32_t i = 0; i < MERGE_BLOCKS_OPEN; i++) {
        if (m->blocks[i].pool != NULL && m->blocks[i].number == number)
            b = &m->blocks[i];
    }
    if (b == NULL) {
        b = find_place(m);
        if (block_fill(m, b, number) != 0)
            return -1;
    }
    b->used = ++m->clock;
    *out = b;
    return 0;
}

void
merge_close_all(struct merge *m)
{
    for (uint32_t i = 0; i < MERGE_BLOCKS_OPEN; i++) {
        block_close(&m->blocks[i]);
        pool_free(m->blocks[i].pool);
        m->blocks[i].pool = NULL;
    }
}
