/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Questions over all rows of a memtable (memtable_format.h has the layout).
 * The region may be damaged: see memtable_read.c.
 */

#include "core/base.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"
#include "storage/stream_visit.h"

#include "core/err.h"

/* Smallest and largest end of rows [from, to). */
static void
scan_ends(const struct memtable *mt, uint32_t from, uint32_t to,
    int64_t *min_end, int64_t *max_end)
{
    int64_t low = INT64_MAX, high = INT64_MIN;

    for (uint32_t row = from; row < to; row++) {
        low = MIN(low, mt->end_ns[row]);
        high = MAX(high, mt->end_ns[row]);
    }
    *min_end = low;
    *max_end = high;
}

/* The same of the first `rows` rows of a zone: full ones are known. */
static void
zone_ends(const struct memtable *mt, uint32_t zone, uint32_t rows,
    int64_t *min_end, int64_t *max_end)
{
    uint32_t from = zone * MEMTABLE_ZONE_ROWS;

    if (rows - from < MEMTABLE_ZONE_ROWS) {
        scan_ends(mt, from, rows, min_end, max_end);
        return;
    }
    *min_end = mt->h.zone_min_end[zone];
    *max_end = mt->h.zone_max_end[zone];
}

bool
memtable_end_range(const struct memtable *mt, uint32_t rows, int64_t *min_end,
    int64_t *max_end)
{
    int64_t low, high;

    rows = MIN(rows, MEMTABLE_ROWS_MAX);
    if (rows == 0)
        return false;
    *min_end = INT64_MAX;
    *max_end = INT64_MIN;
    for (uint32_t zone = 0; zone * MEMTABLE_ZONE_ROWS < rows; zone++) {
        zone_ends(mt, zone, rows, &low, &high);
        *min_end = MIN(*min_end, low);
        *max_end = MAX(*max_end, high);
    }
    return true;
}

unsigned
memtable_days(const struct memtable *mt, uint32_t days[MEMTABLE_DAYS_MAX])
{
    uint32_t n = atomic_load_explicit(&mt->h.ndays, memory_order_acquire);

    n = MIN(n, MEMTABLE_DAYS_MAX);
    memcpy(days, mt->h.days, n * sizeof(days[0]));
    return n;
}

/* --- streams --- */

static int
damaged_stream(struct err *err, uint32_t code)
{
    return err_set(err, ERR_CORRUPT, "memtable: stream %u is damaged", code);
}

struct stream {
    struct sv service;
    struct sv name;
    int32_t kind;
};

/*
 * Returns 1 when the stream is the tenant's and one of its rows is among the
 * first `rows`, 0 when not, -1 when it is damaged.
 */
static int
load_stream(const struct memtable *mt, uint32_t code, uint32_t rows,
    const struct tenant *tenant, struct stream *stream)
{
    struct memtable_stream entry = mt->streams[code];
    struct tenant owner;

    if (entry.first_row >= rows)
        return 0;
    if (entry.tenant >= MEMTABLE_TENANTS_MAX)
        return -1;
    owner = mt->tenants[entry.tenant];
    if (owner.account != tenant->account || owner.project != tenant->project)
        return 0;
    stream->service = memtable_string(mt, entry.service);
    stream->name = memtable_string(mt, entry.name);
    stream->kind = entry.kind;
    return stream->service.ptr == NULL || stream->name.ptr == NULL ? -1 : 1;
}

static uint32_t
stream_count(const struct memtable *mt)
{
    uint32_t n = atomic_load_explicit(&mt->h.nstreams, memory_order_acquire);

    return MIN(n, MEMTABLE_STREAMS_MAX);
}

int
memtable_visit_streams(const struct memtable *mt, uint32_t rows,
    const struct tenant *tenant, struct stream_visit *visit, struct err *err)
{
    uint32_t n = stream_count(mt);
    struct stream stream;

    for (uint32_t code = 0; code < n; code++) {
        int found = load_stream(mt, code, rows, tenant, &stream);

        if (found < 0)
            return damaged_stream(err, code);
        if (found > 0 && visit->fn(stream.service, stream.name, stream.kind,
            visit->arg) < 0)
            return 0;
    }
    return 0;
}
