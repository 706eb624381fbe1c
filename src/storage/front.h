/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The data directory of a server that stores nothing itself: LOCK and the
 * queue of spans on their way to storage nodes (cluster/queue.h).
 */

#ifndef SPOOR_STORAGE_FRONT_H
#define SPOOR_STORAGE_FRONT_H

#include "core/base.h"
#include "core/err.h"

#define FRONT_QUEUE "queue"

/* Master: makes the directories. */
int front_create(struct err *err) WARN_UNUSED;
/*
 * A directory whose server has changed its role keeps what is in it, which
 * nobody serves now: these say so in the log.
 */
void front_warn_store(void); /* a front where spans are stored */
void front_warn_queue(void); /* a store where spans wait to be sent */

#endif
