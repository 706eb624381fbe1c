/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Thread pool for everything too heavy for a loop: decoding large bodies,
 * scans, compression.  run() is called on a pool thread, then done() on the
 * loop's thread.  All signals are blocked in pool threads.
 */

#ifndef SPOOR_EVENT_TASK_H
#define SPOOR_EVENT_TASK_H

#include "core/base.h"
#include "core/err.h"

struct loop;
struct task_pool;

typedef void (*task_fn)(void *arg);

/* queue_max bounds the tasks that wait. */
struct task_pool *task_pool_new(struct loop *loop, const char *name,
    unsigned threads, unsigned queue_max);
/* Waits for running tasks; queued ones are run, too.  done() is not called. */
void task_pool_free(struct task_pool *pool);

/* ERR_BUSY when the queue is full.  done may be NULL. */
int task_post(struct task_pool *pool, task_fn run, task_fn done, void *arg,
    struct err *err) WARN_UNUSED;

#endif
