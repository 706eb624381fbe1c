/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The thread of the retention process that changes days: drops what is out
 * of retention and serves the requests of ops.h, one after the other.  It
 * may wait for a flush, for queries and for the disk, so it is apart from the
 * loop, which watches the disk.
 */

#ifndef SPOOR_STORAGE_OPERATOR_H
#define SPOOR_STORAGE_OPERATOR_H

#include "core/base.h"
#include "core/conf.h"

/* Once in a process; conf must outlive the thread. */
void operator_start(const struct conf *conf);
/* Ends it at the next point where it waits.  No-op if it was not started. */
void operator_stop(void);
/* True when it is to end: whatever waits gives up. */
bool operator_is_stopping(void);

#endif
