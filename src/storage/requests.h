/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The request table: the digests of the bodies that were stored in the last
 * 15 minutes, over all workers, so that a client's retry is answered as the
 * first time and stored once (design P12).  In shared memory, under one
 * robust mutex that only ingest threads and recovery take.
 *
 * A digest is IN_FLIGHT from before its rows are appended until its group is
 * stored; whoever meets such an entry waits for the outcome.  Recovery of a
 * dead worker's log settles the entries of that log.
 */

#ifndef SPOOR_STORAGE_REQUESTS_H
#define SPOOR_STORAGE_REQUESTS_H

#include "core/base.h"
#include "core/err.h"

/*
 * 16 MiB.  When a set of the table is full, the oldest digest of it gives
 * way: above some 500 requests a second the 15 minutes become fewer.
 */
#define REQUESTS_MAX 524288u
#define REQUESTS_HORIZON_NS (900 * NS_PER_SEC)

struct request_outcome {
    uint32_t rejected;
    uint32_t reject_mask;
};

enum request_state {
    REQUEST_NEW,       /* now IN_FLIGHT for the caller's log */
    REQUEST_IN_FLIGHT, /* another one stores it: ask again */
    REQUEST_STORED,    /* *outcome is the first answer */
};

int requests_create(struct err *err) WARN_UNUSED;
void requests_destroy(void);

enum request_state requests_claim(const uint8_t digest[16], uint64_t log_id,
    struct request_outcome *outcome);
/* Nothing is claimed: whether it was stored in the last 15 minutes. */
bool requests_is_stored(const uint8_t digest[16]);
/* The group is stored (stored_ns = wall time) or failed. */
void requests_settle(const uint8_t digest[16], uint64_t log_id, bool stored,
    const struct request_outcome *outcome);

/*
 * Recovery: notes a digest found in a log or digest file.
 *
 *   REQUEST_NEW        new, or of this log: its rows are to be replayed.  It
 *                      stays in flight for others until the recovery ended.
 *   REQUEST_STORED     the same body is stored by another log: this copy was
 *                      refused and its rows must be skipped
 *   REQUEST_IN_FLIGHT  a living worker is about to store it: ask again
 */
enum request_state requests_replay(const uint8_t digest[16], uint64_t log_id,
    int64_t stored_ns, const struct request_outcome *outcome);
/*
 * Recovery of a log (0: of all, at boot) ended: what was replayed is stored;
 * what is still in flight for it never was and is forgotten.
 */
void requests_recovered(uint64_t log_id);

#endif
