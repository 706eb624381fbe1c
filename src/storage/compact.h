/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The merge process: keeps the number of parts small by merging those of one
 * day (compact_choice.h says which, merge.h how).  It is the only writer of
 * parts above level 1 and the only one that removes merged inputs:
 *
 *     merge       to <id>.l2.tmp, sync; rename; sync the directory
 *     REPLACE     one manifest edit {ADD output, DROP inputs}, if the day is
 *                 still open and the same; sync
 *     flip        one catalogue generation {output born, inputs dead}
 *     retire      the inputs' files go behind their last reader (retire.h)
 *
 * What it is about to do stands in shared memory, so that after a kill at any
 * point its successor finishes what has reached the manifest and removes what
 * has not.  When the whole server ends in between, the next boot decides
 * (day.h).
 */

#ifndef SPOOR_STORAGE_COMPACT_H
#define SPOOR_STORAGE_COMPACT_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"
#include "event/module.h"
#include "storage/merge.h"

/* merge_parts(), or what a test puts in its place. */
typedef int (*compact_merge_fn)(const struct merge_task *task,
    struct part_info *info, struct merge_counts *counts, size_t *bad_input,
    struct err *err);

/* --- master --- */

int compact_create(struct err *err) WARN_UNUSED;
void compact_destroy(void);
/* The merge process ended; crashed: by a fault of its own. */
void compact_ended(bool crashed);

/* --- the merge process --- */

/* Clears up behind a predecessor that died, then works on the loop. */
void compact_start(struct process *process, compact_merge_fn merge);
/* Starts no more merges and cancels the one that runs. */
void compact_drain(void);
bool compact_is_drained(void);
/* Waits for the thread; a drain first. */
void compact_stop(void);

/* --- any process --- */

/*
 * True while a merge may touch files of the day.  A merge looks at the state
 * of its day behind the first step that this sees and cancels itself when the
 * day is not open, so whoever closes a day waits for this to turn false.
 */
bool compact_day_is_busy(uint32_t day);

/*
 * Asks for a merge of everything in the days whose names begin with prefix
 * (YYYYMMDD; empty: all).  ERR_INVALID: no such prefix; ERR_BUSY: too many
 * are waiting.
 */
int compact_force(struct sv prefix, struct err *err) WARN_UNUSED;

/* Forced merges that wait or run. */
unsigned compact_forced(void);

/*
 * Back-pressure: how long whoever is about to open a memtable should wait
 * first; INT64_MAX: as long as that stays so.  0 when merges keep up, and
 * when they have made no progress for COMPACT_STUCK_NS: then parts may pile
 * up as far as the catalogue goes.
 */
int64_t compact_ingest_delay_ns(void);

/*
 * Level-1 parts that wait to be merged: above the first, opening a memtable
 * takes longer and longer; above the second, it waits.  A query looks into
 * each of them (some 2 us for a trace id), and a process keeps 4,096 parts
 * open.
 */
#define COMPACT_SLOW_PARTS 1024u
#define COMPACT_WAIT_PARTS 3072u
#define COMPACT_DELAY_MAX_NS (500 * NS_PER_MS)
#define COMPACT_STUCK_NS (60 * NS_PER_SEC)

#endif
