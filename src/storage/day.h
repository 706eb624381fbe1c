/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One partition at boot: what a crash or a person left in its directory.
 */

#ifndef SPOOR_STORAGE_DAY_H
#define SPOOR_STORAGE_DAY_H

#include "core/base.h"
#include "core/err.h"
#include "storage/wal.h"

/* Highest boot number in the ids of part files and manifest entries. */
int day_highest_boot(uint32_t day, uint32_t *boot, struct err *err)
    WARN_UNUSED;

/*
 * Makes directory and manifest agree (design Q1, Q2); flushed positions in a
 * manifest of another server have no meaning here and go:
 *
 *   *.tmp                         removed: never published
 *   damaged manifest              kept aside, rebuilt from the parts' footers
 *   listed part, file missing     BAD: answers that need it are partial;
 *                                 dropped when an adopted part has its rows
 *   unlisted part, rows covered by listed parts, or an input of one of them
 *                                 .trash/: a merge's input, or its output
 *                                 that was not listed yet, or rows that were
 *                                 replayed
 *   unlisted part, level 1, rows in a log that is still there
 *                                 .trash/, replay writes them again
 *   unlisted part otherwise       adopted; what it was merged from is dead
 *   unlisted file that is no valid part                quarantine/
 *
 * logs: the files in wal/.
 */
int day_tidy(uint32_t day, const struct wal_file_name *logs, size_t nlogs,
    struct err *err) WARN_UNUSED;

/*
 * Moves the parts of these logs that no manifest lists to .trash/: a process
 * died before it could list them, and the replay that follows writes their
 * rows again.  Files of living writers have other logs.
 */
int day_discard_unlisted(uint32_t day, const uint64_t *log_ids, size_t nlogs,
    struct err *err) WARN_UNUSED;

/* Rewrites the manifest without flushed positions, if it has any. */
int day_checkpoint(uint32_t day, struct err *err) WARN_UNUSED;

#endif
