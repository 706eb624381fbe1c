/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The ingest thread of a worker: takes decoded requests from the loop, adds
 * their rows to the memtable, writes them to the log as one group, makes them
 * visible and hands the answers back to the loop.
 *
 *     claim digest -> append -> write group -> sync -> commit -> settle
 *                 -> answer
 *
 * Requests that arrive while a group is written make up the next one, so
 * there is no timer and a lone request never waits.  It runs on a thread of
 * its own, because a sync may take a second and appending a large body
 * several milliseconds: both too long for the loop.
 *
 * There is no rollback (design 15.1): when a group cannot be stored its
 * memtables are frozen at what was committed before, every request of it is
 * answered 503, and a new memtable (and after a log error a new log) is used.
 */

#ifndef SPOOR_STORAGE_INGESTER_H
#define SPOOR_STORAGE_INGESTER_H

#include "core/base.h"
#include "event/module.h"
#include "span/ingest.h"

struct ingester;

/* Starts the thread for process->slot (which must be free of rows). */
struct ingester *ingester_start(struct process *process);
/* Loop thread: queues the request; done() follows on the loop. */
void ingester_submit(struct ingester *ingester, struct ingest *ingest);
/* Requests queued or in the making. */
bool ingester_is_idle(struct ingester *ingester);
/*
 * Flushes everything and ends the thread.  False: not all rows could be
 * written into parts within timeout_ns; they stay in the log.
 */
bool ingester_stop(struct ingester *ingester, int64_t timeout_ns);

#endif
