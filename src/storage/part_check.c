/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Verifying a part: every byte of the file is covered by a checksum that
 * fits or is a gap of zeros, every value decodes, and what the index and the
 * footer say is what the rows say.
 */

#include "core/base.h"
#include "storage/part_check.h"

#include "core/assert.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "storage/part.h"
#include "storage/part_read.h"

/* Rows decoded at a time, and memory for them: a row may be large. */
#define CHECK_ROWS 256u
#define CHECK_POOL (1 * GIB)

/* A stretch of the file that something claims. */
struct extent {
    uint64_t off;
    uint64_t len;
};

struct extents {
    struct extent *v;
    size_t n;
    size_t cap;
};

static int
add_extent(struct extents *extents, uint64_t off, uint64_t len,
    struct err *err)
{
    if (len == 0)
        return 0;
    if (extents->n == extents->cap) {
        size_t cap = MAX(2 * extents->cap, 256u);
        void *v = mem_try_realloc(extents->v, cap * sizeof(*extents->v));

        if (v == NULL)
            return err_set(err, ERR_LIMIT, "no memory to check a part");
        extents->v = v;
        extents->cap = cap;
    }
    extents->v[extents->n++] = (struct extent){off, len};
    return 0;
}

/* --- gaps and overlaps --- */

static int
compare_extents(const void *a, const void *b)
{
    const struct extent *x = a;
    const struct extent *y = b;

    return x->off < y->off ? -1 : x->off > y->off;
}

/* A gap is shorter than the alignment that made it, and zero. */
static int
check_gap(struct part *part, uint64_t from, uint64_t to, struct err *err)
{
    uint8_t bytes[PART_BLOCK_ALIGN];

    if (to - from >= sizeof(bytes))
        return part_corrupt(part, err, "nothing claims bytes %llu to %llu",
            (unsigned long long)from, (unsigned long long)to);
    if (file_pread(part->fd, bytes, to - from, from, err) != 0)
        return -1;
    for (uint64_t i = from; i < to; i++) {
        if (bytes[i - from] != 0)
            return part_corrupt(part, err, "byte %llu in a gap is not zero",
                (unsigned long long)i);
    }
    return 0;
}

static int
check_extents(struct part *part, struct extents *extents, struct err *err)
{
    uint64_t end = 0;

    qsort(extents->v, extents->n, sizeof(*extents->v), compare_extents);
    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->v[i];

        if (extent->off < end)
            return part_corrupt(part, err, "byte %llu is claimed twice",
                (unsigned long long)extent->off);
        if (extent->off > end &&
            check_gap(part, end, extent->off, err) != 0)
            return -1;
        end = extent->off + extent->len;
    }
    return 0;
}

/* Sections that this build does not know are verified too. */
static int
check_unknown_section(struct part *part, const struct part_section *section,
    struct err *err)
{
    uint8_t *bytes = mem_try_alloc(section->len + 1);
    int rc = -1;

    if (bytes == NULL)
        return err_set(err, ERR_LIMIT, "no memory to check a part");
    if (file_pread(part->fd, bytes, section->len, section->off, err) != 0)
        goto out;
    rc = 0;
    if (part_checksum(part->info.id, bytes, section->len) != section->xxh3)
        rc = part_corrupt(part, err, "section %u: wrong checksum",
            section->type);
out:
    xfree(bytes);
    return rc;
}

static int
claim_sections(struct part *part, struct extents *extents, struct err *err)
{
    for (unsigned i = 0; i < part->footer.nsections; i++) {
        const struct part_section *section = &part->footer.sections[i];

        if (section->type >= PART_SECTION_TYPES &&
            check_unknown_section(part, section, err) != 0)
            return -1;
        if (add_extent(extents, section->off, section->len, err) != 0)
            return -1;
    }
    return add_extent(extents, part->info.bytes - PART_FOOTER_BYTES,
        PART_FOOTER_BYTES, err);
}

/* --- chunks and pages --- */

static int
check_vector(struct reading *r, const struct part_vector *vector,
    struct extents *extents)
{
    for (uint32_t i = 0; i < vector->nchunks; i++) {
        const struct part_chunk *chunk =
            &r->dir->chunks[vector->first_chunk + i];

        if (chunk_touch(r, vector, i) != 0)
            return -1;
        if (vector->encoding != PART_INLINE &&
            add_extent(extents, r->block->off + chunk->off, chunk->len,
                r->err) != 0)
            return -1;
    }
    return 0;
}

static int
check_pages(struct reading *r, struct extents *extents)
{
    for (uint32_t i = 0; i < r->dir->npages; i++) {
        const struct part_chunk *page = &r->dir->pages[i];
        uint64_t raw = directory_page_bytes(r->dir, i);

        if (page_touch(r, i) != 0 ||
            add_extent(extents, r->block->off + page->off,
                page->len == 0 ? raw : page->len, r->err) != 0)
            return -1;
    }
    return 0;
}

static int
check_data(struct reading *r, struct extents *extents)
{
    for (uint32_t i = 0; i < r->dir->nvectors; i++) {
        if (check_vector(r, &r->dir->vectors[i], extents) != 0)
            return -1;
    }
    if (check_pages(r, extents) != 0)
        return -1;
    return add_extent(extents, r->block->off + r->block->dir_off,
        r->block->dir_len, r->err);
}

/* --- rows --- */

/* What the rows of a block say about it. */
struct summary {
    int64_t min_start, max_start, min_end, max_end;
    uint32_t error_rows;
    uint32_t bins[PART_END_BINS];
    const struct part_runs *runs;
    struct part_check_cells *cells;
    struct part_check_fields *fields;
    struct pool *pool; /* of a batch */
};

static void
summarize(struct summary *sum, const struct part_block *block,
    const struct span *span)
{
    sum->min_start = MIN(sum->min_start, span->start_ns);
    sum->max_start = MAX(sum->max_start, span->start_ns);
    sum->min_end = MIN(sum->min_end, span->end_ns);
    sum->max_end = MAX(sum->max_end, span->end_ns);
    sum->error_rows += span->status_code == 2;
    if (span->end_ns >= block->min_end_ns && span->end_ns <= block->max_end_ns)
        sum->bins[part_end_bin(block->min_end_ns, block->max_end_ns,
            span->end_ns)]++;
}

static int
check_batch(struct reading *r, const struct batch *batch, uint32_t from,
    struct summary *sum)
{
    for (uint32_t i = 0; i < batch->nspans; i++) {
        const struct span *span = &batch->spans[i];
        struct check_row row = {batch, span, sum->pool};
        uint32_t stream;

        if (trace_id_is_zero(&span->trace_id) ||
            span_id_is_zero(&span->span_id))
            return reading_corrupt(r, "row %u has an id of zeros", from + i);
        summarize(sum, r->block, span);
        stream = sum->runs->stream[runs_find(sum->runs, from + i)];
        if (part_check_cells_row(sum->cells, r, stream, span) != 0 ||
            part_check_fields_row(sum->fields, r,
                r->part->streams[stream].tenant, &row) != 0)
            return -1;
    }
    return 0;
}

static int
check_rows(struct reading *r, struct pool *pool, struct summary *sum)
{
    for (uint32_t row = 0; row < r->block->rows; row += CHECK_ROWS) {
        uint32_t n = MIN(CHECK_ROWS, r->block->rows - row);
        struct reading part;
        struct batch batch;
        int rc;

        pool_reset(pool);
        batch_init(&batch, pool);
        rc = reading_open(&part, r->part, r->block_idx, r->err);
        for (uint32_t i = 0; rc == 0 && i < n; i++)
            rc = reading_row(&part, row + i, &batch);
        reading_release(&part);
        if (rc != 0 || check_batch(r, &batch, row, sum) != 0)
            return -1;
    }
    return 0;
}

static int
check_summary(struct reading *r, struct part_check_fields *fields,
    struct pool *pool)
{
    const struct part_block *block = r->block;
    struct summary sum = {INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, 0,
        {0}, NULL, NULL, fields, pool};
    int rc = reading_runs(r, PART_TABLE_SPANS, &sum.runs);

    if (rc == 0)
        rc = part_check_cells_begin(&sum.cells, r);
    if (rc == 0)
        rc = check_rows(r, pool, &sum);
    if (rc == 0)
        rc = part_check_cells_end(sum.cells, r);
    part_check_cells_free(sum.cells);
    if (rc != 0)
        return -1;
    if (sum.min_start != block->min_start_ns ||
        sum.max_start != block->max_start_ns ||
        sum.min_end != block->min_end_ns ||
        sum.max_end != block->max_end_ns ||
        sum.error_rows != block->error_rows ||
        memcmp(sum.bins, block->end_bins, sizeof(sum.bins)) != 0)
        return reading_corrupt(r, "its entry in BLOCKS is not what the rows "
            "say");
    return 0;
}

/* --- the trace index --- */

static int
find_entry(const struct part *part, uint32_t block, uint32_t ordinal,
    uint64_t hash)
{
    const struct part_trace_index *index = &part->traces;
    uint32_t log2 = index->head.log2_buckets;
    uint32_t bucket = (uint32_t)(hash >> 32 >> (32 - log2));
    uint16_t tag = (uint16_t)(hash >> (64 - PART_TRACES_TAG_BITS - log2));

    for (uint32_t i = index->bucket_off[bucket];
        i < index->bucket_off[bucket + 1]; i++) {
        if (index->tag[i] == tag && index->ordinal[i] == ordinal &&
            (index->block == NULL || index->block[i] == block))
            return 0;
    }
    return -1;
}

static int
check_trace(struct reading *r, uint32_t ordinal)
{
    const struct part *part = r->part;
    const struct part_vector *vector = NULL;
    struct trace_id id;
    const uint8_t *bytes;
    uint64_t tenant;

    for (uint32_t half = 0; half < 2; half++) {
        if (vector_need(r, half == 0 ? PART_TRACE_HI : PART_TRACE_LO,
                PART_ROLE_VALUES, r->block->traces, &vector) != 0 ||
            vector_get_fixed(r, vector, ordinal, 8, &bytes) != 0)
            return -1;
        memcpy(id.b + 8 * (size_t)half, bytes, 8);
    }
    if (column_get(r, PART_TRACE_TENANT, r->block->traces, ordinal,
            &tenant) != 0)
        return -1;
    if (tenant >= part->ntenants)
        return reading_corrupt(r, "trace %u: tenant", ordinal);
    if (find_entry(part, r->block_idx, ordinal,
            part_trace_hash(part->traces.head.seed, &part->tenants[tenant],
                &id)) != 0)
        return reading_corrupt(r, "trace %u is not in the index", ordinal);
    return 0;
}

/* Tags rise in each bucket: who looks for one stops at a greater one. */
static int
check_tags(const struct part *part, struct err *err)
{
    const struct part_trace_index *index = &part->traces;

    for (uint32_t i = 0; i < 1u << index->head.log2_buckets; i++) {
        for (uint32_t k = index->bucket_off[i] + 1;
            k < index->bucket_off[i + 1]; k++) {
            if (index->tag[k] < index->tag[k - 1])
                return part_corrupt(part, err, "section TRACES: the tags of "
                    "bucket %u do not rise", i);
        }
    }
    return 0;
}

/* Every trace is in the index, has rows, and they are its tenant's. */
static int
check_traces(struct reading *r)
{
    const struct part_families *families = NULL;
    const struct part_runs *runs = NULL;

    if (reading_families(r, &families) != 0 ||
        reading_runs(r, PART_TABLE_SPANS, &runs) != 0)
        return -1;
    for (uint32_t i = 0; i < r->block->traces; i++) {
        uint64_t tenant;

        if (check_trace(r, i) != 0)
            return -1;
        if (families->first[i] == families->first[i + 1])
            return reading_corrupt(r, "trace %u has no row", i);
        if (column_get(r, PART_TRACE_TENANT, r->block->traces, i,
                &tenant) != 0)
            return -1;
        for (uint32_t j = families->first[i]; j < families->first[i + 1];
            j++) {
            uint32_t run = runs_find(runs, families->rows[j]);

            if (r->part->streams[runs->stream[run]].tenant != tenant)
                return reading_corrupt(r, "trace %u: tenant of row %u", i,
                    families->rows[j]);
        }
    }
    return 0;
}

/* --- dictionaries --- */

static int
check_templates(struct reading *r)
{
    for (uint32_t i = 0; i < r->dir->ncolumns; i++) {
        if (dictionary_has_templates(r, i) && template_check(r, i) != 0)
            return -1;
    }
    return 0;
}

/* --- all --- */

/* A part belongs to one partition: the day its spans end on. */
static int
check_day(const struct part *part, struct err *err)
{
    if (time_day(part->info.min_end_ns) != part->info.day ||
        time_day(part->info.max_end_ns) != part->info.day)
        return part_corrupt(part, err, "has rows of another day than %u",
            part->info.day);
    return 0;
}

struct whole {
    bool is_deep; /* else checksums only */
    part_pace_fn pace;
    struct extents extents;
    struct pool *pool;   /* of a block */
    struct pool *counts; /* of the part */
    struct part_check_values *values;
    struct part_check_fields *fields;
};

static int
check_meaning(struct reading *r, struct whole *whole)
{
    if (check_traces(r) != 0 || check_templates(r) != 0 ||
        filter_check(r) != 0 || check_summary(r, whole->fields, whole->pool) != 0)
        return -1;
    return part_check_values_block(whole->values, r, whole->pool);
}

static int
check_block(struct part *part, uint32_t block, struct whole *whole,
    struct err *err)
{
    struct reading r;
    int rc = reading_open(&r, part, block, err);

    if (rc == 0)
        rc = check_data(&r, &whole->extents);
    if (rc == 0 && whole->is_deep)
        rc = check_meaning(&r, whole);
    reading_release(&r);
    return rc;
}

int
part_check(const char *path, struct err *err)
{
    return part_check_paced(path, true, NULL, err);
}

static int
keep_pace(part_pace_fn pace, uint64_t bytes, struct err *err)
{
    if (pace != NULL && !pace(bytes))
        return err_set(err, ERR_CANCELLED, "the check was cancelled");
    return 0;
}

static int
check_whole(struct part *part, struct whole *whole, struct err *err)
{
    if (check_day(part, err) != 0 ||
        claim_sections(part, &whole->extents, err) != 0 ||
        check_tags(part, err) != 0)
        return -1;
    if (whole->is_deep && part_check_values_begin(&whole->values, part,
            whole->counts, err) != 0)
        return -1;
    if (whole->is_deep && part_check_fields_begin(&whole->fields, part,
            whole->counts, err) != 0)
        return -1;
    for (uint32_t i = 0; i < part->info.nblocks; i++) {
        if (check_block(part, i, whole, err) != 0 ||
            keep_pace(whole->pace, part->blocks[i].len, err) != 0)
            return -1;
    }
    if (part_check_values_end(whole->values, err) != 0 ||
        part_check_fields_end(whole->fields, err) != 0)
        return -1;
    return check_extents(part, &whole->extents, err);
}

int
part_check_paced(const char *path, bool deep, part_pace_fn pace,
    struct err *err)
{
    struct whole whole = {.is_deep = deep, .pace = pace};
    struct part *part;
    int rc;

    if (part_open(&part, path, err) != 0)
        return -1;
    whole.pool = pool_new(CHECK_POOL);
    whole.counts = pool_new(CHECK_POOL);
    rc = check_whole(part, &whole, err);
    xfree(whole.extents.v);
    pool_free(whole.pool);
    pool_free(whole.counts);
    part_close(part);
    return rc;
}
