/* SPDX-License-Identifier: BSD-2-Clause */

/* Encoding a part: the trace table and the core columns of the spans. */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/enc.h"

/* --- tables --- */

static int
write_runs(struct part_writer *w, const struct write_rows *table,
    uint32_t stream_column, uint32_t shape_column, uint32_t rows_column)
{
    uint64_t *v = writer_alloc(w, SCRATCH_WIDE, table->nruns * sizeof(*v));

    if (v == NULL)
        return -1;
    for (uint32_t i = 0; i < table->nruns; i++)
        v[i] = table->runs[i].shape;
    if (vector_u64(w, vector_id(shape_column, PART_ROLE_VALUES), v,
            table->nruns, COL_TRY_DELTA) != 0)
        return -1;
    for (uint32_t i = 0; i < table->nruns; i++)
        v[i] = table->runs[i].rows;
    if (vector_u64(w, vector_id(rows_column, PART_ROLE_VALUES), v,
            table->nruns, 0) != 0)
        return -1;
    if (stream_column == NO_ORDINAL)
        return 0;
    for (uint32_t i = 0; i < table->nruns; i++)
        v[i] = table->runs[i].stream;
    return vector_u64(w, vector_id(stream_column, PART_ROLE_VALUES), v,
        table->nruns, COL_TRY_DELTA);
}

int
write_all_runs(struct part_writer *w)
{
    if (write_runs(w, &w->tables[TABLE_SPANS], PART_RUN_STREAM,
            PART_RUN_SHAPE, PART_RUN_ROWS) != 0 ||
        write_runs(w, &w->tables[TABLE_EVENTS], NO_ORDINAL,
            PART_EVENT_RUN_SHAPE, PART_EVENT_RUN_ROWS) != 0)
        return -1;
    return write_runs(w, &w->tables[TABLE_LINKS], NO_ORDINAL,
        PART_LINK_RUN_SHAPE, PART_LINK_RUN_ROWS);
}

/* --- traces --- */

static int
write_trace_ids(struct part_writer *w, uint64_t *v)
{
    uint32_t n = w->ntraces;

    for (uint32_t i = 0; i < n; i++)
        v[i] = w->traces[w->trace_order[i]].hi;
    if (vector_raw8(w, vector_id(PART_TRACE_HI, 0), v, n) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        v[i] = w->traces[w->trace_order[i]].lo;
    return vector_raw8(w, vector_id(PART_TRACE_LO, 0), v, n);
}

static int
write_traces(struct part_writer *w, uint64_t *v)
{
    uint32_t n = w->ntraces;

    if (write_trace_ids(w, v) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        v[i] = w->traces[w->trace_order[i]].tenant;
    if (vector_u64(w, vector_id(PART_TRACE_TENANT, 0), v, n,
            COL_TRY_DELTA) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        v[i] = (uint64_t)w->traces[w->trace_order[i]].start_ns;
    return vector_u64(w, vector_id(PART_TRACE_START, 0), v, n,
        COL_TRY_DELTA);
}

/* --- columns of one value a row --- */

static int
write_times(struct part_writer *w, uint64_t *v)
{
    uint32_t n = w->nrows;

    for (uint32_t i = 0; i < n; i++) {
        const struct write_trace *trace =
            &w->traces[w->trace_order[w->row_ordinal[i]]];

        v[i] = (uint64_t)w->start_ns[i] - (uint64_t)trace->start_ns;
    }
    if (vector_u64(w, vector_id(PART_ROW_START, 0), v, n,
            COL_TRY_SCALE) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        v[i] = enc_zigzag((int64_t)((uint64_t)w->end_ns[i] -
            (uint64_t)w->start_ns[i]));
    return vector_u64(w, vector_id(PART_ROW_DURATION, 0), v, n,
        COL_TRY_SCALE);
}

static int
write_status(struct part_writer *w, uint64_t *v)
{
    for (uint32_t i = 0; i < w->nrows; i++) {
        v[i] = w->status[i];
        w->block.error_rows += v[i] == 2;
    }
    return vector_u64(w, vector_id(PART_ROW_STATUS, 0), v, w->nrows, 0);
}

/* --- what the index says of the block --- */

/* Most rows end in the bin of the one before, which saves a division. */
static void
count_ends(struct part_writer *w)
{
    struct part_block *block = &w->block;
    uint64_t width = part_end_bin_width(block->min_end_ns,
        block->max_end_ns);
    uint64_t from = (uint64_t)block->min_end_ns;
    uint32_t bin = 0, rows = 0;

    for (uint32_t i = 0; i < w->nrows; i++) {
        uint64_t end = (uint64_t)w->end_ns[i];

        if (end - from >= width) {
            block->end_bins[bin] += rows;
            rows = 0;
            bin = part_end_bin(block->min_end_ns, block->max_end_ns,
                w->end_ns[i]);
            from = (uint64_t)block->min_end_ns + bin * width;
        }
        rows++;
    }
    block->end_bins[bin] += rows;
}

static void
summarize(struct part_writer *w)
{
    struct part_block *block = &w->block;

    block->min_start_ns = block->min_end_ns = INT64_MAX;
    block->max_start_ns = block->max_end_ns = INT64_MIN;
    for (uint32_t i = 0; i < w->nrows; i++) {
        int64_t start = w->start_ns[i], end = w->end_ns[i];

        block->min_start_ns = MIN(block->min_start_ns, start);
        block->max_start_ns = MAX(block->max_start_ns, start);
        block->min_end_ns = MIN(block->min_end_ns, end);
        block->max_end_ns = MAX(block->max_end_ns, end);
    }
    count_ends(w);
    block->rows = w->nrows;
    block->traces = w->ntraces;
    block->runs = w->tables[TABLE_SPANS].nruns;
}

int
write_rows(struct part_writer *w)
{
    uint64_t *v;

    summarize(w);
    if (write_parents(w) != 0)
        return -1;
    v = writer_alloc(w, SCRATCH_WIDE, w->nrows * sizeof(*v));
    if (v == NULL || write_traces(w, v) != 0)
        return -1;
    if (vector_u32(w, vector_id(PART_ROW_TRACE, 0), w->row_ordinal, w->nrows,
            COL_TRY_DELTA) != 0)
        return -1;
    if (vector_raw8(w, vector_id(PART_ROW_ID, 0), w->ids, w->nrows) != 0 ||
        write_times(w, v) != 0 ||
        vector_u32(w, vector_id(PART_ROW_RESOURCE, 0), w->row_resource,
            w->nrows, COL_TRY_DELTA) != 0)
        return -1;
    return write_status(w, v);
}
