/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Turning rows in memory into published parts: the one path for the flush of
 * a worker and for recovery.
 *
 *     for each day: encode, write <id>.tmp, sync, rename, sync directory,
 *                   append {ADD, FLUSHED} to the manifest, sync
 *     then:         one catalogue generation {parts born, memtable dead}
 *
 * The order is kept whatever the fsync mode; `off` only leaves the syncs out.
 * Every step may be repeated after a failure: part ids are chosen once.
 *
 * Rows of a day that is out of retention or was dropped since they were
 * accepted are counted and left out.  Rows of a day that was detached in the
 * meantime stay in its directory as a part that no manifest lists, until the
 * day is attached (design Q6); the order of a detachment makes that an
 * exception.
 */

#ifndef SPOOR_STORAGE_PUBLISH_H
#define SPOOR_STORAGE_PUBLISH_H

#include "core/base.h"
#include "core/err.h"
#include "storage/manifest.h"
#include "storage/memtable.h"

struct publish; /* work on one memtable */

/*
 * rows: how many of the memtable's rows count (the committed ones); last_lsn:
 * position behind the last of them.  All rows of a day go into one part.  The
 * memtable must not change any more.
 */
struct publish *publish_new(const struct memtable *mt, uint32_t rows,
    uint64_t first_lsn, uint64_t last_lsn);
void publish_free(struct publish *publish);

/*
 * Rows of a day before this position are in other parts (recovery left them
 * out): the day's part must not claim to hold them.
 */
void publish_begin_day(struct publish *publish, uint32_t day, uint64_t lsn);

/*
 * Writes parts and manifest edits of all days that are not written yet.  May
 * be called again after a failure.  writer is scratch memory that the caller
 * keeps from one call to the next.
 */
int publish_write(struct publish *publish, struct part_writer *writer,
    bool sync, struct err *err) WARN_UNUSED;

/* The parts, after publish_write() succeeded; none of a day left out. */
const struct manifest_part *publish_parts(const struct publish *publish,
    size_t *n);
/*
 * Between catalog_begin() and catalog_commit(): false when the day of the
 * i-th part was dropped or detached since the manifest lists it.  Then the
 * catalogue must not get it.
 */
bool publish_is_current(const struct publish *publish, size_t i);

#endif
