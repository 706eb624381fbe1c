/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One consistent view of the local store: a registered snapshot of the
 * catalogue, memtables first, then parts from the newest to the oldest.
 * Nothing of it is deleted or reused before scan_end().  Opening and reading
 * its items may be done by several threads at a time.
 *
 * A damaged part or memtable does not end a query: it is flagged in the
 * catalogue, left out, and the answer says that it is partial.
 */

#ifndef SPOOR_STORAGE_SCAN_H
#define SPOOR_STORAGE_SCAN_H

#include "core/base.h"
#include "core/err.h"
#include "core/metrics.h"
#include "storage/block.h"
#include "storage/catalog.h"
#include "storage/store.h"

struct scan_block {
    uint32_t item;  /* in scan->snapshot */
    uint32_t index; /* block of a part */
    int64_t max_end_ns; /* INT64_MAX for a memtable */
    int64_t max_duration; /* INT64_MAX: not known */
};

struct scan {
    struct pool *pool;
    struct catalog_snapshot snapshot;
    _Atomic bool is_partial;
    int64_t start_ns; /* monotonic */
    struct scan_block *blocks;
    uint32_t nblocks;
};

/* Of what meets [min_end, max_end].  End it in any case but failure. */
int scan_begin(struct scan *scan, int64_t min_end, int64_t max_end,
    struct err *err) WARN_UNUSED;
/* answer->is_partial is set; seconds: the histogram of such queries. */
void scan_end(struct scan *scan, struct store_answer *answer,
    enum metric_id seconds);

/* --- items: memtables and parts --- */

/*
 * 0: go on with *mt or *part, the other is NULL; give it back with
 * scan_close_item().  1: left out.  -1: the query fails.
 */
int scan_open_item(struct scan *scan, uint32_t item,
    const struct memtable **mt, struct part **part, struct err *err)
    WARN_UNUSED;
void scan_close_item(struct part *part);
/*
 * What reading the item has failed with.  0: damage, it is left out from
 * here on; -1: the query fails with *err.
 */
int scan_item_failed(struct scan *scan, uint32_t item,
    const struct err *item_err, struct err *err) WARN_UNUSED;

/* --- blocks: nblocks of them, newest first --- */

int scan_blocks(struct scan *scan, struct err *err) WARN_UNUSED;
/* Finds out max_duration, as far as indexes tell it: longest first. */
int scan_longest_first(struct scan *scan, struct err *err) WARN_UNUSED;
/* As scan_open_item(); the block's columns live in the pool. */
struct open_block {
    struct block *block;
    struct part *part;
};
int scan_open_block(struct scan *scan, uint32_t i, struct pool *pool,
    struct open_block *out, struct err *err) WARN_UNUSED;
void scan_close_block(struct open_block *open);

#endif
