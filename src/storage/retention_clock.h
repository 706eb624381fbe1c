/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The clock that retention believes (design Q11).  A wall clock that jumps
 * ahead must not delete everything: time is taken to go on as the monotonic
 * clock says, and what is more than RETENTION_JUMP_NS beyond that is believed
 * only after it has stood for RETENTION_DOUBT_NS.  A clock that is set back is
 * believed at once: it deletes nothing.  The monotonic times of this file are
 * those of clock_pace_ns().
 */

#ifndef SPOOR_STORAGE_RETENTION_CLOCK_H
#define SPOOR_STORAGE_RETENTION_CLOCK_H

#include "core/base.h"

#define RETENTION_JUMP_NS (3600 * NS_PER_SEC)
#define RETENTION_DOUBT_NS (3600 * NS_PER_SEC)

/* In shared memory; written by one process at a time. */
struct retention_clock {
    _Atomic int64_t wall_ns;  /* the last time that was believed; 0: none */
    _Atomic int64_t mono_ns;  /* and when that was */
    _Atomic int64_t doubt_ns; /* monotonic, since when it is doubted; 0: not */
};

/* Where time is taken to stand now; changes nothing. */
int64_t retention_clock_read(const struct retention_clock *clock,
    int64_t wall_ns, int64_t mono_ns);

/*
 * Looks at the wall clock, and returns what is believed.
 */
int64_t retention_clock_tick(struct retention_clock *clock, int64_t wall_ns,
    int64_t mono_ns);

/*
 * Begins: newest_ns is the newest time that anything on disk is known to be
 * of (INT64_MAX: nothing is there, the wall clock is right).
 */
void retention_clock_start(struct retention_clock *clock, int64_t newest_ns,
    int64_t wall_ns, int64_t mono_ns);

/* The newest time of change of a log or manifest; INT64_MAX: there is none. */
int64_t retention_clock_newest_on_disk(void);

#endif
