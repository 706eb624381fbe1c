/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Things on disk that left the catalogue and wait for their last reader.  A
 * query may use what its snapshot names as long as it runs (design 15.1), so
 * a file that left in generation g is removed only when no reader is
 * registered with a generation below g.
 *
 * One queue for each process that removes, in shared memory: a process that
 * was killed finds what it still had to remove when it is started again.
 * What waits when the server ends stays on disk and is a leftover for the
 * next boot (day.h).  Only the process that owns a queue calls the functions
 * for it, and only one of its threads at a time.
 */

#ifndef SPOOR_STORAGE_RETIRE_H
#define SPOOR_STORAGE_RETIRE_H

#include "core/base.h"
#include "core/err.h"

enum retire_queue {
    RETIRE_MERGE,
    RETIRE_RETENTION,
    RETIRE_QUEUES,
};

/*
 * Two dozen merges of as many inputs as there can be, while the slowest query
 * runs; whoever fills a queue asks for room before.
 */
#define RETIRE_MAX 8192u
/* Of a name with its end: "partitions/20261121/0000010000000001.l1". */
#define RETIRE_NAME_MAX 64u

/* Master, once. */
int retire_create(struct err *err) WARN_UNUSED;
void retire_destroy(void);

/* True when n more will be taken. */
bool retire_has_room(enum retire_queue queue, size_t n);
/*
 * name, relative to the data directory, left the catalogue in generation gen
 * (as catalog_commit() returned it).  When the queue is full nothing is
 * queued: the file stays until the next boot.
 */
void retire_add(enum retire_queue queue, uint64_t gen, const char *name);

/* Removes a path; a missing one is no error. */
typedef int (*retire_fn)(const char *path, struct err *err);

/*
 * Removes at most max of those that nobody needs any more; returns how many.
 * What cannot be removed is logged and forgotten.
 */
unsigned retire_poll(enum retire_queue queue, retire_fn remove, unsigned max);
/* True when something whose name begins with prefix waits; any process. */
bool retire_waits_for(enum retire_queue queue, const char *prefix);
/* How many wait. */
uint32_t retire_waiting(enum retire_queue queue);
/*
 * At the end of a process: polls until nothing waits or timeout_ns has
 * passed; false if something still waits.
 */
bool retire_drain(enum retire_queue queue, retire_fn remove,
    int64_t timeout_ns);

#endif
