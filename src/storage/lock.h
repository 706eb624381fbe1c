/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * LOCK in the data directory: one server at a time.  Every process that
 * inherits the descriptor holds it, so it is free only when the last child of
 * an earlier master is gone.
 */

#ifndef SPOOR_STORAGE_LOCK_H
#define SPOOR_STORAGE_LOCK_H

#include "core/base.h"
#include "core/err.h"

/* Master.  Waits for another server to go, says whose it is, and gives up. */
int lock_take(struct err *err) WARN_UNUSED;
/* Master, when no child is left. */
void lock_release(void);

#endif
