/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Newest traces of a service: only the runs of matching streams are decoded,
 * and of those only trace, start and duration.
 */

#include "core/base.h"
#include "storage/part.h"
#include "storage/part_read.h"

#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"

struct scan {
    struct reading *r;
    struct search *search;
    uint64_t *trace_start;
    const struct part_vector *traces;
    const struct part_vector *starts;
    const struct part_vector *durations;
};

static bool
stream_matches(const struct part_stream *stream, uint32_t tenant,
    const struct search *search)
{
    return stream->tenant == tenant &&
        sv_eq(stream->service, search->service) &&
        (search->name.ptr == NULL || sv_eq(stream->name, search->name));
}

static int
offer(struct scan *scan, uint64_t ordinal, int64_t end_ns)
{
    const struct part_vector *vector = NULL;
    uint32_t ntraces = scan->r->block->traces;
    struct trace_id id;
    const uint8_t *bytes;

    if (vector_need(scan->r, PART_TRACE_HI, PART_ROLE_VALUES, ntraces,
            &vector) != 0 || vector_get_fixed(scan->r, vector,
            (uint32_t)ordinal, 8, &bytes) != 0)
        return -1;
    memcpy(id.b, bytes, 8);
    if (vector_need(scan->r, PART_TRACE_LO, PART_ROLE_VALUES, ntraces,
            &vector) != 0 || vector_get_fixed(scan->r, vector,
            (uint32_t)ordinal, 8, &bytes) != 0)
        return -1;
    memcpy(id.b + 8, bytes, 8);
    search_offer(scan->search, &id, end_ns);
    return 0;
}

static int
scan_rows(struct scan *scan, uint32_t from, uint32_t n)
{
    uint64_t ordinal[COL_MINI], start[COL_MINI], duration[COL_MINI];
    const struct search *search = scan->search;

    if (vector_decode(scan->r, scan->traces, from, n, ordinal) != 0 ||
        vector_decode(scan->r, scan->starts, from, n, start) != 0 ||
        vector_decode(scan->r, scan->durations, from, n, duration) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        int64_t end;

        if (ordinal[i] >= scan->r->block->traces)
            return reading_corrupt(scan->r, "row %u: trace %llu", from + i,
                (unsigned long long)ordinal[i]);
        end = (int64_t)(scan->trace_start[ordinal[i]] + start[i] +
            (uint64_t)enc_unzigzag(duration[i]));
        if (end < search->start_ns || end > search->end_ns ||
            search_is_settled(search, end))
            continue;
        if (offer(scan, ordinal[i], end) != 0)
            return -1;
    }
    return search_poll(search, scan->r->err);
}

static int
scan_runs(struct scan *scan, uint32_t tenant)
{
    const struct part_runs *runs = NULL;

    if (reading_runs(scan->r, PART_TABLE_SPANS, &runs) != 0)
        return -1;
    for (uint32_t run = 0; run < runs->nruns; run++) {
        const struct part_stream *stream =
            &scan->r->part->streams[runs->stream[run]];
        uint32_t end = runs->start[run + 1];

        if (!stream_matches(stream, tenant, scan->search))
            continue;
        for (uint32_t row = runs->start[run]; row < end; row += COL_MINI) {
            if (scan_rows(scan, row, MIN(COL_MINI, end - row)) != 0)
                return -1;
        }
    }
    return 0;
}

static int
scan_block(struct reading *r, struct search *search, uint32_t tenant)
{
    uint32_t ntraces = r->block->traces;
    struct scan scan = {.r = r, .search = search};
    const struct part_vector *vector = NULL;
    int rc = -1;

    if (vector_need(r, PART_ROW_TRACE, PART_ROLE_VALUES, r->block->rows,
            &scan.traces) != 0 ||
        vector_need(r, PART_ROW_START, PART_ROLE_VALUES, r->block->rows,
            &scan.starts) != 0 ||
        vector_need(r, PART_ROW_DURATION, PART_ROLE_VALUES, r->block->rows,
            &scan.durations) != 0 ||
        vector_need(r, PART_TRACE_START, PART_ROLE_VALUES, ntraces,
            &vector) != 0)
        return -1;
    scan.trace_start = mem_try_alloc(ntraces * sizeof(uint64_t));
    if (scan.trace_start == NULL)
        return reading_no_memory(r);
    if (vector_decode(r, vector, 0, ntraces, scan.trace_start) == 0)
        rc = scan_runs(&scan, tenant);
    xfree(scan.trace_start);
    return rc;
}

static bool
has_stream(const struct part *part, uint32_t tenant,
    const struct search *search)
{
    for (uint32_t i = 0; i < part->nstreams; i++) {
        if (stream_matches(&part->streams[i], tenant, search))
            return true;
    }
    return false;
}

int
part_search(struct part *part, struct search *search, struct err *err)
{
    uint32_t tenant = part_find_tenant(part, &search->tenant);

    OBJ_CHECK(part, PART_OBJECT_MAGIC);
    if (part->info.max_end_ns < search->start_ns ||
        part->info.min_end_ns > search->end_ns ||
        search_is_settled(search, part->info.max_end_ns) ||
        !has_stream(part, tenant, search))
        return 0;
    for (uint32_t i = 0; i < part->info.nblocks; i++) {
        const struct part_block *block = &part->blocks[i];
        struct reading r;
        int rc;

        if (block->max_end_ns < search->start_ns ||
            block->min_end_ns > search->end_ns ||
            search_is_settled(search, block->max_end_ns))
            continue;
        rc = reading_open(&r, part, i, err);
        if (rc == 0)
            rc = scan_block(&r, search, tenant);
        reading_release(&r);
        if (rc != 0)
            return -1;
    }
    return 0;
}
