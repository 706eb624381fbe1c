/* SPDX-License-Identifier: BSD-2-Clause */

/* What /metrics says of the store: counted when it is asked for. */

#include "core/base.h"
#include "storage/store_metrics.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "storage/catalog.h"
#include "storage/compact.h"
#include "storage/layout.h"
#include "storage/memtable.h"
#include "storage/part_read_cache.h"
#include "storage/retire.h"
#include "storage/shared.h"

struct memtable_totals {
    uint64_t n;
    uint64_t rows;
    uint64_t bytes;
    int64_t max_end_ns;
};

/* A buffer may be given back meanwhile: its head stays readable. */
static void
sum_memtables(struct memtable_totals *totals)
{
    *totals = (struct memtable_totals){.max_end_ns = INT64_MIN};
    for (unsigned slot = 0; slot < shared->nslots; slot++) {
        for (unsigned i = 0; i < SLOT_BUFFERS; i++) {
            const struct memtable *mt = shared_buffer(slot, i);
            int64_t min_end_ns, max_end_ns;
            uint32_t rows;

            if (atomic_load(&shared->slots[slot].buffers[i].state) ==
                BUFFER_FREE)
                continue;
            rows = memtable_committed(mt);
            totals->n++;
            totals->rows += rows;
            totals->bytes += memtable_used(mt);
            if (rows > 0 && rows <= MEMTABLE_ROWS_MAX &&
                memtable_end_range(mt, rows, &min_end_ns, &max_end_ns))
                totals->max_end_ns = MAX(totals->max_end_ns, max_end_ns);
        }
    }
}

static void
sample_disk(struct metrics_scrape *scrape, const struct conf *conf)
{
    uint64_t free_bytes, total_bytes;
    struct sb path;

    sb_init(&path, 64 * KIB);
    metric_add_label(&path, "path", sv_from(layout_root()));
    metric_sample(scrape, METRIC_STORAGE_IS_READ_ONLY, path.ptr,
        atomic_load(&shared->is_read_only) != READ_ONLY_NO);
    if (file_free_bytes(layout_root(), &free_bytes, NULL) == 0)
        metric_sample(scrape, METRIC_FREE_DISK_SPACE, path.ptr,
            (double)free_bytes);
    if (file_total_bytes(layout_root(), &total_bytes, NULL) == 0)
        metric_sample(scrape, METRIC_TOTAL_DISK_SPACE, path.ptr,
            (double)total_bytes);
    metric_sample(scrape, METRIC_MAX_DISK_SPACE_USAGE, path.ptr,
        (double)conf->retention_bytes);
    sb_release(&path);
}

/* What the rows took when they were sent, by the mean of this run. */
static void
sample_uncompressed(struct metrics_scrape *scrape,
    const struct catalog_totals *parts,
    const struct memtable_totals *memtables)
{
    uint64_t rows = metric_get(METRIC_SPANS_PROTOBUF) +
        metric_get(METRIC_SPANS_JSON) + metric_get(METRIC_SPANS_GRPC);
    uint64_t bytes = metric_get(METRIC_BYTES_PROTOBUF) +
        metric_get(METRIC_BYTES_JSON) + metric_get(METRIC_BYTES_GRPC);
    double mean = rows == 0 ? 0 : (double)bytes / (double)rows;

    if (rows == 0)
        return;
    metric_sample(scrape, METRIC_UNCOMPRESSED, "type=\"storage/inmemory\"",
        (double)(uint64_t)((double)memtables->rows * mean));
    metric_sample(scrape, METRIC_UNCOMPRESSED, "type=\"storage/small\"",
        (double)(uint64_t)((double)(parts->rows - parts->merged_rows) *
            mean));
    metric_sample(scrape, METRIC_UNCOMPRESSED, "type=\"storage/big\"",
        (double)(uint64_t)((double)parts->merged_rows * mean));
}

static void
sample_rows(struct metrics_scrape *scrape,
    const struct catalog_totals *parts,
    const struct memtable_totals *memtables)
{
    const struct {
        enum metric_id id;
        uint64_t n;
    } rows[] = {
        {METRIC_STORAGE_MEMTABLE_ROWS, memtables->rows},
        {METRIC_STORAGE_ROWS, parts->rows - parts->merged_rows},
        {METRIC_STORAGE_MERGED_ROWS, parts->merged_rows},
        {METRIC_STORAGE_MEMTABLES, parts->memtables},
        {METRIC_STORAGE_PARTS, parts->parts - parts->merged_parts},
        {METRIC_STORAGE_MERGED_PARTS, parts->merged_parts},
        {METRIC_STORAGE_MEMTABLE_BLOCKS, parts->memtables},
        {METRIC_STORAGE_BLOCKS, parts->blocks - parts->merged_blocks},
        {METRIC_STORAGE_MERGED_BLOCKS, parts->merged_blocks},
        {METRIC_COMPRESSED_MEMTABLES, memtables->bytes},
        {METRIC_COMPRESSED_SMALL, parts->bytes - parts->merged_bytes},
        {METRIC_COMPRESSED_BIG, parts->merged_bytes},
        {METRIC_DATA_SIZE, parts->bytes},
        {METRIC_INDEX_SIZE, 0},
        {METRIC_PARTS_BAD, parts->bad},
        {METRIC_PARTS_OFFLINE, parts->offline},
        {METRIC_PARTS_UNMERGED, parts->unmerged},
        {METRIC_FORCED_MERGES, (uint64_t)compact_forced()},
        {METRIC_RETIRED_FILES, retire_waiting(RETIRE_MERGE)},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        metric_sample(scrape, rows[i].id, NULL, (double)rows[i].n);
}

void
store_collect_metrics(struct metrics_scrape *scrape, void *arg)
{
    const struct conf *conf = arg;
    struct memtable_totals memtables;
    struct catalog_totals parts;
    struct catalog_day *days = NULL;
    int64_t newest_ns;

    /* Its own share of the gauge is as old as this scrape. */
    metric_set(METRIC_DATA_CACHE_BYTES, (int64_t)data_cache_held());
    sum_memtables(&memtables);
    catalog_totals(&parts);
    metric_sample(scrape, METRIC_PARTITIONS, NULL,
        (double)catalog_sum_days(&days));
    xfree(days);
    sample_rows(scrape, &parts, &memtables);
    sample_uncompressed(scrape, &parts, &memtables);
    sample_disk(scrape, conf);
    newest_ns = MAX(parts.max_end_ns, memtables.max_end_ns);
    if (newest_ns > 0)
        metric_sample(scrape, METRIC_NEWEST_SPAN, NULL,
            (double)(newest_ns / NS_PER_MS) / 1e3);
}
