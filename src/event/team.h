/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Several threads on one piece of work: the caller's and as many of a pool as
 * get a thread in time.  Nobody waits for one that has not started, so that
 * callers on the pool's own threads cannot lock each other out when it is
 * full.
 */

#ifndef SPOOR_EVENT_TEAM_H
#define SPOOR_EVENT_TEAM_H

#include "core/base.h"
#include "event/task.h"

/* Lane 0 is the caller's thread; returns when nothing is left to take. */
typedef void (*team_fn)(void *arg, unsigned lane);

/*
 * Calls fn on this thread, and on up to nlanes - 1 of the pool (NULL: none)
 * with a lane each, rising from 1; returns when all calls that began have
 * returned.
 */
void team_run(struct task_pool *pool, unsigned nlanes, team_fn fn, void *arg);

#endif
