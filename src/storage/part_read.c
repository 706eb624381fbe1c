/* SPDX-License-Identifier: BSD-2-Clause */

/* The questions of part.h: a trace by its id, rows in order, streams. */

#include "core/base.h"
#include "storage/part_read.h"

#include "core/assert.h"

/* --- trace by id --- */

uint32_t
part_find_tenant(const struct part *part, const struct tenant *tenant)
{
    uint32_t low = 0;
    uint32_t high = part->ntenants;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct tenant *t = &part->tenants[middle];

        if (t->account == tenant->account && t->project == tenant->project)
            return middle;
        if (t->account < tenant->account || (t->account == tenant->account &&
            t->project < tenant->project))
            low = middle + 1;
        else
            high = middle;
    }
    return part->ntenants;
}

/* Compares 8 bytes of a trace's id. */
static int
half_matches(struct reading *r, uint32_t column, uint32_t ordinal,
    const uint8_t *half, bool *matches)
{
    const struct part_vector *vector = NULL;
    const uint8_t *bytes;

    if (vector_need(r, column, PART_ROLE_VALUES, r->block->traces,
            &vector) != 0 ||
        vector_get_fixed(r, vector, ordinal, 8, &bytes) != 0)
        return -1;
    *matches = memcmp(bytes, half, 8) == 0;
    return 0;
}

static int
trace_matches(struct reading *r, uint32_t ordinal, uint32_t tenant,
    const struct trace_id *id, bool *matches)
{
    uint64_t owner;

    if (ordinal >= r->block->traces)
        return reading_corrupt(r, "the index names trace %u", ordinal);
    if (half_matches(r, PART_TRACE_HI, ordinal, id->b, matches) != 0)
        return -1;
    if (*matches &&
        half_matches(r, PART_TRACE_LO, ordinal, id->b + 8, matches) != 0)
        return -1;
    if (!*matches)
        return 0;
    if (column_get(r, PART_TRACE_TENANT, r->block->traces, ordinal,
            &owner) != 0)
        return -1;
    *matches = owner == tenant;
    return 0;
}

struct trace_query {
    const struct trace_id *id;
    uint32_t tenant;
    uint32_t spans_max;
    struct batch *out;
    bool *truncated;
};

static int
read_trace_rows(struct reading *r, uint32_t ordinal,
    const struct trace_query *query)
{
    const struct part_families *families = NULL;

    if (reading_families(r, &families) != 0)
        return -1;
    for (uint32_t i = families->first[ordinal];
        i < families->first[ordinal + 1]; i++) {
        if (query->out->nspans >= query->spans_max) {
            *query->truncated = true;
            return 0;
        }
        if (reading_row(r, families->rows[i], query->out) != 0)
            return -1;
    }
    return 0;
}

/* The rows of a trace in one block, if it is the one that is wanted. */
static int
read_candidate(struct part *part, uint32_t block, uint32_t ordinal,
    const struct trace_query *query, struct err *err)
{
    struct reading r;
    bool matches = false;
    int rc = reading_open(&r, part, block, err);

    if (rc == 0)
        rc = trace_matches(&r, ordinal, query->tenant, query->id, &matches);
    if (rc == 0 && matches)
        rc = read_trace_rows(&r, ordinal, query);
    reading_release(&r);
    return rc;
}

int
part_read_trace(struct part *part, const struct tenant *tenant,
    const struct trace_id *id, uint32_t spans_max, struct batch *out,
    bool *truncated, struct err *err)
{
    const struct part_trace_index *index = &part->traces;
    struct trace_query query = {id, part_find_tenant(part, tenant),
        spans_max, out, truncated};
    uint64_t hash;
    uint32_t bucket;
    uint16_t tag;

    OBJ_CHECK(part, PART_OBJECT_MAGIC);
    if (query.tenant == part->ntenants)
        return 0;
    hash = part_trace_hash(index->head.seed, tenant, id);
    /* In two steps: there may be 0 bucket bits. */
    bucket = (uint32_t)(hash >> 32 >> (32 - index->head.log2_buckets));
    tag = (uint16_t)(hash >> (64 - PART_TRACES_TAG_BITS -
        index->head.log2_buckets));
    for (uint32_t i = index->bucket_off[bucket];
        i < index->bucket_off[bucket + 1] && index->tag[i] <= tag; i++) {
        uint32_t block = index->block == NULL ? 0 : index->block[i];

        if (index->tag[i] != tag)
            continue;
        if (block >= part->info.nblocks)
            return part_corrupt(part, err, "the index names block %u", block);
        if (read_candidate(part, block, index->ordinal[i], &query, err) != 0)
            return -1;
    }
    return 0;
}

/* --- rows in order --- */

static int
read_rows(struct reading *r, uint32_t from, uint32_t n, struct batch *out,
    struct tenant *tenants)
{
    const struct part_runs *runs = NULL;

    if (reading_runs(r, PART_TABLE_SPANS, &runs) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (reading_row(r, from + i, out) != 0)
            return -1;
        if (tenants != NULL) {
            uint32_t stream = runs->stream[runs_find(runs, from + i)];

            tenants[i] = r->part->tenants[r->part->streams[stream].tenant];
        }
    }
    return 0;
}

int
part_read_rows(struct part *part, uint64_t from, uint32_t n,
    struct batch *out, struct tenant *tenants, uint32_t *got,
    struct err *err)
{
    OBJ_CHECK(part, PART_OBJECT_MAGIC);
    *got = 0;
    for (uint32_t block = 0; block < part->info.nblocks && n > 0; block++) {
        uint32_t rows = part->blocks[block].rows;
        uint32_t count;
        struct reading r;
        int rc;

        if (from >= rows) {
            from -= rows;
            continue;
        }
        count = MIN(n, rows - (uint32_t)from);
        rc = reading_open(&r, part, block, err);
        if (rc == 0)
            rc = read_rows(&r, (uint32_t)from, count, out,
                tenants == NULL ? NULL : tenants + *got);
        reading_release(&r);
        if (rc != 0)
            return -1;
        *got += count;
        n -= count;
        from = 0;
    }
    return 0;
}

/* --- streams --- */

int
part_visit_streams(struct part *part, const struct tenant *tenant,
    struct stream_visit *visit, struct err *err)
{
    uint32_t owner = part_find_tenant(part, tenant);

    OBJ_CHECK(part, PART_OBJECT_MAGIC);
    (void)err; /* the index was checked when the part was opened */
    if (owner == part->ntenants || part->info.max_end_ns < visit->start_ns)
        return 0;
    for (uint32_t i = 0; i < part->nstreams; i++) {
        const struct part_stream *stream = &part->streams[i];

        if (stream->tenant == owner && visit->fn(stream->service,
                stream->name, stream->kind, visit->arg) < 0)
            return 0;
    }
    return 0;
}
