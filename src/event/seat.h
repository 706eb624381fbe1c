/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A seat is a place that should have a process: worker 0, worker 1, merge,
 * the recovery of slot 3.  It remembers how often it was lost lately, so that
 * what keeps dying is started ever more slowly.
 */

#ifndef SPOOR_EVENT_SEAT_H
#define SPOOR_EVENT_SEAT_H

#include "core/base.h"
#include "event/module.h"

struct proc;
struct proc_end;

/* The first restart is at once, then this, doubling up to the maximum. */
#define SEAT_BACK_OFF_MIN_NS (100 * NS_PER_MS)
#define SEAT_BACK_OFF_MAX_NS (5 * NS_PER_SEC)
/* A process that lived this long was well: its seat starts from zero. */
#define SEAT_RESET_NS (10 * NS_PER_SEC)

struct seat {
    enum role role;
    unsigned index;
    unsigned slot;     /* RECOVER: what to recover */
    bool is_wanted;    /* RECOVER: the work is not done yet */
    struct proc *proc; /* NULL: empty */
    struct proc *next; /* during a reload: who will take the seat */
    unsigned failures; /* ends in a row that came too early */
    unsigned refusals; /* of these: exits before READY */
    int64_t due_ns;    /* not filled before */
};

/* Takes note of an end nobody asked for; returns the delay until due_ns. */
int64_t seat_lost(struct seat *seat, const struct proc_end *end,
    bool was_ready, int64_t now_ns);
/* The end was asked for, or a new beginning: no delay. */
void seat_clear(struct seat *seat);

#endif
