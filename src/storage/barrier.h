/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Waiting for all rows that were accepted before a moment to be in parts,
 * and for all queries that began before it to end.
 *
 * A flush request is a number in shared memory; each ingest thread looks at
 * it behind each group it has stored, hands its memtable to the flush thread
 * and that notes the number when everything before is published.  What was
 * stored in shared memory before barrier_begin() is seen by every row that
 * the barrier does not cover.
 */

#ifndef SPOOR_STORAGE_BARRIER_H
#define SPOOR_STORAGE_BARRIER_H

#include "core/base.h"
#include "core/err.h"

/*
 * Begins a flush of every worker's memory.  end_logs: the logs end with it,
 * so that no log file holds a row that was accepted before.
 */
uint64_t barrier_begin(bool end_logs);
/* Everything is flushed, and logs of dead workers are recovered. */
bool barrier_is_reached(uint64_t request);

/* Both for the operator thread: ERR_TIMEOUT, or ERR_CANCELLED at its end. */
int barrier_wait(bool end_logs, int64_t timeout_ns, struct err *err)
    WARN_UNUSED;
/* Until no reader has a generation below gen. */
int barrier_wait_readers(uint64_t gen, int64_t timeout_ns, struct err *err)
    WARN_UNUSED;

#endif
