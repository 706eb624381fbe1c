/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Snapshots of days (design Q8): hard links of a day's parts and a manifest
 * of their own, in the directory of the day,
 *
 *     partitions/YYYYMMDD/snapshots/<id>/   id: "20261121095045-0000001a"
 *
 * so that making one costs no space, and copying one to another server's
 * partitions/YYYYMMDD/ restores the day.  The id begins with the time of its
 * making (UTC).  Names with an end (".tmp", ".old") are being made or
 * removed.  A snapshot goes with its day.  Operator thread only.
 */

#ifndef SPOOR_STORAGE_SNAPSHOT_H
#define SPOOR_STORAGE_SNAPSHOT_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/sb.h"
#include "core/sv.h"

/* "20261121095045-0000001a"; *made_ns: its time. */
bool snapshot_parse_id(const char *name, int64_t *made_ns);

/* Of all days whose name begins with prefix; out: JSON array of paths. */
int snapshot_create(struct sv prefix, struct sb *out, struct err *err)
    WARN_UNUSED;
int snapshot_list(struct sb *out, struct err *err) WARN_UNUSED;
/* path: as it was told, or relative to the data directory. */
int snapshot_delete(struct sv path, struct err *err) WARN_UNUSED;
/* age_ns: decimal; older ones go.  out: JSON array of their paths. */
int snapshot_delete_stale(struct sv age_ns, struct sb *out, struct err *err)
    WARN_UNUSED;

/* From time to time: what is too old (0: nothing), and leftovers. */
void snapshot_sweep(int64_t max_age_ns);

#endif
