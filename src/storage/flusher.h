/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The flush thread of a worker: turns frozen memtables into parts, in the
 * order they were frozen, then gives their buffers and logs back.  A flush
 * that fails is tried again every second for ever: the rows are safe in the
 * log and stay readable in memory.
 */

#ifndef SPOOR_STORAGE_FLUSHER_H
#define SPOOR_STORAGE_FLUSHER_H

#include "core/base.h"
#include "storage/memtable.h"
#include "storage/wal.h"

struct flusher;

struct flush_job {
    unsigned buffer;      /* of the slot; UINT_MAX: none, only the request */
    uint32_t rows;        /* committed ones */
    uint64_t first_lsn;
    uint64_t last_lsn;
    struct wal *wal;      /* NULL: none was opened yet */
    bool wal_ends;        /* last memtable of this log: remove and close it */
    uint64_t request;     /* of shared->flush_request it serves; 0: none */
    struct flush_job *next;
};

struct flusher *flusher_start(unsigned slot, bool sync);
/* Takes the job, made by xcalloc(). */
void flusher_submit(struct flusher *flusher, struct flush_job *job);
/* Jobs not done yet. */
unsigned flusher_pending(struct flusher *flusher);
/*
 * Waits until fewer than n jobs are left, at most timeout_ns; false if not.
 */
bool flusher_wait(struct flusher *flusher, unsigned n, int64_t timeout_ns);
/* Ends the thread; what is queued after the present job is not done. */
void flusher_stop(struct flusher *flusher);

#endif
