/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The event loop of a process: descriptors, timers, posted calls and signals
 * over libevent.  One loop per process, used by its main thread only, except
 * loop_post(), which any thread may call.  A callback that runs longer than
 * LOOP_SLOW_NS is counted and logged (rate-limited).
 */

#ifndef SPOOR_EVENT_LOOP_H
#define SPOOR_EVENT_LOOP_H

#include "core/base.h"
#include "core/err.h"

#define LOOP_SLOW_NS (20 * NS_PER_MS)
/* Posted calls that wait: every poster bounds its own, this finds a leak. */
#define LOOP_POSTED_MAX (1u << 20)

struct loop;
struct loop_fd;
struct loop_timer;

struct loop *loop_new(void);
/* Accepts NULL.  Call it last: what was not freed before becomes inert. */
void loop_free(struct loop *loop);
void loop_run(struct loop *loop);  /* until loop_stop() */
void loop_stop(struct loop *loop);
/* Monotonic time at which the current callback began, cached. */
int64_t loop_now_ns(const struct loop *loop);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void (*loop_fd_fn)(int fd, int ready, void *arg);
/* Watches nothing until loop_fd_watch().  Free before closing the fd. */
struct loop_fd *loop_fd_new(struct loop *loop, int fd, loop_fd_fn fn,
    void *arg);
void loop_fd_watch(struct loop_fd *lfd, int what); /* LOOP_READ|LOOP_WRITE|0 */
void loop_fd_free(struct loop_fd *lfd);            /* accepts NULL */

typedef void (*loop_timer_fn)(void *arg);
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn fn,
    void *arg);
/* One shot; never early, about 5 ms late; moving it forward costs nothing. */
void loop_timer_set(struct loop_timer *timer, int64_t after_ns);
void loop_timer_cancel(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* accepts NULL */

/* fn(arg) runs on the loop's thread, in order; thread-safe; never inline. */
typedef void (*loop_post_fn)(void *arg);
void loop_post(struct loop *loop, loop_post_fn fn, void *arg);

typedef void (*loop_signal_fn)(int signo, void *arg);
void loop_signal(struct loop *loop, int signo, loop_signal_fn fn, void *arg);

/*
 * Forgets posted calls of this fn and arg that have not run yet.  Loop's
 * thread only: the owner of arg is about to free it.
 */
void loop_post_cancel(struct loop *loop, loop_post_fn fn, void *arg);

/*
 * Work put off to the end of the callback that runs now (or to the next turn
 * outside of one): many small writes of one callback become one.  The node is
 * the owner's; queueing a queued node does nothing.  Loop's thread only.
 */
struct loop_later {
    struct loop_later *next; /* private */
    bool queued;             /* private */
    loop_post_fn fn;
    void *arg;
};
void loop_later_add(struct loop *loop, struct loop_later *later);
void loop_later_remove(struct loop *loop, struct loop_later *later);

/*
 * After fork in the child, before a new loop is made: drops the parent's
 * without disturbing the parent.  Signals must be blocked.  As after
 * loop_free(), descriptors and timers left behind are inert: they can only be
 * freed.
 */
void loop_abandon(struct loop *loop);

#endif
