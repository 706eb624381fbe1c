/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/scan.h"

#include <errno.h>

#include "core/log.h"
#include "core/timefmt.h"
#include "storage/memtable.h"
#include "storage/part_cache.h"
#include "storage/part_cells.h"
#include "storage/shared.h"

/* A snapshot's items: 128 bytes each, and their blocks. */
#define SNAPSHOT_BYTES_MAX (128 * MIB)
/* Cells of one block, with the times of their rows. */
#define CELLS_BYTES_MAX (128 * MIB)

int
scan_begin(struct scan *scan, int64_t min_end, int64_t max_end,
    struct err *err)
{
    memset(scan, 0, sizeof(*scan));
    scan->start_ns = clock_mono_ns();
    scan->pool = pool_new(SNAPSHOT_BYTES_MAX);
    if (catalog_snapshot_take(&scan->snapshot, scan->pool, min_end, max_end,
        err) != 0) {
        pool_free(scan->pool);
        return -1;
    }
    return 0;
}

void
scan_end(struct scan *scan, struct store_answer *answer,
    enum metric_id seconds)
{
    catalog_snapshot_release(&scan->snapshot);
    pool_free(scan->pool);
    if (atomic_load(&scan->is_partial)) {
        answer->is_partial = true;
        metric_add(METRIC_QUERY_PARTIAL, 1);
    }
    metric_observe_ns(seconds, clock_mono_ns() - scan->start_ns);
}

/* --- items --- */

int
scan_open_item(struct scan *scan, uint32_t i, const struct memtable **mt,
    struct part **part, struct err *err)
{
    const struct catalog_item *item = &scan->snapshot.items[i];
    struct err open_err = ERR_INIT;

    *mt = NULL;
    *part = NULL;
    if ((item->flags & (CATALOG_BAD | CATALOG_DOUBT | CATALOG_OFFLINE)) !=
        0) {
        atomic_store(&scan->is_partial, true);
        return 1;
    }
    if (item->kind == CATALOG_MEMTABLE) {
        *mt = shared_buffer(item->slot, item->buffer);
        if ((item->flags & CATALOG_SUSPECT) != 0)
            atomic_store(&scan->is_partial, true);
        return 0;
    }
    if (part_cache_get(part, &item->part, &open_err) == 0)
        return 0;
    return scan_item_failed(scan, i, &open_err, err) == 0 ? 1 : -1;
}

void
scan_close_item(struct part *part)
{
    if (part != NULL)
        part_cache_put(part);
}

/*
 * What the failure says of the item.  Files of a snapshot are not unlinked: a
 * missing one is damage.  0: nothing, the query fails.
 */
static uint32_t
flag_of(const struct catalog_item *item, const struct err *item_err)
{
    if (item->kind == CATALOG_MEMTABLE)
        return item_err->code == ERR_CORRUPT ? CATALOG_SUSPECT : 0;
    if (item_err->code == ERR_CORRUPT || item_err->code == ERR_NOT_FOUND)
        return CATALOG_DOUBT;
    return item_err->sys_errno == EIO ? CATALOG_OFFLINE : 0;
}

int
scan_item_failed(struct scan *scan, uint32_t i, const struct err *item_err,
    struct err *err)
{
    const struct catalog_item *item = &scan->snapshot.items[i];
    uint32_t flag = flag_of(item, item_err);

    if (flag == 0) {
        if (err != NULL)
            *err = *item_err;
        return -1;
    }
    log_error("left out of answers: %s", item_err->text);
    catalog_flag(item->entry, flag);
    atomic_store(&scan->is_partial, true);
    return 0;
}

/* --- blocks --- */

static int
newest_first(const void *left, const void *right)
{
    const struct scan_block *a = left, *b = right;

    if (a->max_end_ns != b->max_end_ns)
        return a->max_end_ns > b->max_end_ns ? -1 : 1;
    if (a->item != b->item)
        return a->item < b->item ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

int
scan_blocks(struct scan *scan, struct err *err)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < scan->snapshot.n; i++)
        n += scan->snapshot.items[i].kind == CATALOG_MEMTABLE ? 1 :
            scan->snapshot.items[i].part.nblocks;
    scan->blocks = pool_alloc(scan->pool, n * sizeof(*scan->blocks) + 1);
    if (scan->blocks == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < scan->snapshot.n; i++) {
        const struct catalog_item *item = &scan->snapshot.items[i];
        bool is_memtable = item->kind == CATALOG_MEMTABLE;
        uint32_t nblocks = is_memtable ? 1 : item->part.nblocks;

        for (uint32_t k = 0; k < nblocks; k++)
            scan->blocks[scan->nblocks++] = (struct scan_block){i, k,
                is_memtable ? INT64_MAX : item->part.max_end_ns, INT64_MAX};
    }
    if (scan->nblocks > 1)
        qsort(scan->blocks, scan->nblocks, sizeof(*scan->blocks),
            newest_first);
    return 0;
}

static int
longest_first(const void *left, const void *right)
{
    const struct scan_block *a = left, *b = right;

    if (a->max_duration != b->max_duration)
        return a->max_duration > b->max_duration ? -1 : 1;
    return newest_first(left, right);
}

int
scan_longest_first(struct scan *scan, struct err *err)
{
    const struct memtable *mt;
    struct part *part = NULL;
    uint32_t open = UINT32_MAX;
    /* The cells of all blocks are far more than the scan may hold. */
    struct pool *pool = pool_new(CELLS_BYTES_MAX);
    int got = 0;

    /* Blocks of a part mostly stand together. */
    for (uint32_t i = 0; i < scan->nblocks && got >= 0; i++) {
        struct scan_block *block = &scan->blocks[i];

        if (block->item != open) {
            scan_close_item(part);
            part = NULL;
            open = block->item;
            got = scan_open_item(scan, open, &mt, &part, err);
        }
        if (part != NULL)
            block->max_duration = part_max_duration(part, block->index,
                pool);
        pool_reset(pool);
    }
    pool_free(pool);
    scan_close_item(part);
    if (got < 0)
        return -1;
    if (scan->nblocks > 1)
        qsort(scan->blocks, scan->nblocks, sizeof(*scan->blocks),
            longest_first);
    return 0;
}

int
scan_open_block(struct scan *scan, uint32_t i, struct pool *pool,
    struct open_block *out, struct err *err)
{
    const struct scan_block *entry = &scan->blocks[i];
    struct err open_err = ERR_INIT;
    const struct memtable *mt;
    int got = scan_open_item(scan, entry->item, &mt, &out->part, err);

    if (got != 0)
        return got;
    if (mt != NULL) {
        got = memtable_check(mt, &open_err);
        if (got == 0)
            got = block_open_memtable(&out->block, mt,
                memtable_committed(mt), pool, &open_err);
    } else {
        got = block_open_part(&out->block, out->part, entry->index, pool,
            &open_err);
    }
    if (got == 0)
        return 0;
    scan_close_item(out->part);
    return scan_item_failed(scan, entry->item, &open_err, err) == 0 ? 1 : -1;
}

void
scan_close_block(struct open_block *open)
{
    block_close(open->block);
    scan_close_item(open->part);
}
