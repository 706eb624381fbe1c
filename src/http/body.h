/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Memory of request bodies.  A body's buffer grows with the bytes that
 * arrived, never by the length that was promised, and all bodies of the
 * process share one budget.  Who finds the budget used up waits in order.
 * Used by the loop's thread only.
 */

#ifndef SPOOR_HTTP_BODY_H
#define SPOOR_HTTP_BODY_H

#include <sys/queue.h>

#include "core/base.h"

/* First step of a buffer; then it doubles. */
#define BODY_STEP (64 * KIB)

/* Until body_budget_set(): core/conf_budget.h says how much it is. */
#define BODY_BUDGET_DEFAULT (64 * MIB)

/*
 * Buffers kept for the next body, so that a stream of similar bodies does
 * not return its pages and fault them in again for each.
 */
#define BODY_CACHE_BUFS 4
#define BODY_CACHE_BYTES_MAX (2 * MIB)

typedef void (*body_wake_fn)(void *arg);

struct body {
    char *ptr;
    size_t len;
    size_t cap;
    bool is_waiting; /* private */
    body_wake_fn wake;
    void *arg;
    TAILQ_ENTRY(body) link;
};

/* All bodies of the process; the largest one must fit. */
void body_budget_set(size_t bytes);
size_t body_budget_used(void);

void body_init(struct body *body, body_wake_fn wake, void *arg);

enum body_room {
    BODY_ROOM,      /* cap > len */
    BODY_NO_BUDGET, /* others hold the memory: wait */
    BODY_NO_MEMORY, /* the system refused */
};

/*
 * Makes room for at least one more byte.  total is what the body will hold
 * in the end if it keeps its promise, and never exceeded by more than the
 * rounding to BODY_STEP.
 */
enum body_room body_grow(struct body *body, uint64_t total) WARN_UNUSED;

/* wake(arg) is called once when memory came back; it only takes a note. */
void body_wait(struct body *body);

void body_release(struct body *body); /* any state; stops waiting */

/* Frees what is kept for later. */
void body_cache_clear(void);

#endif
