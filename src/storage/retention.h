/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which days have to go, and how a day goes.
 *
 *     state DROPPING          no edit, no new row of it from here on
 *     catalogue generation    without its parts
 *     last reader             of an older generation ends (retire.h)
 *     rename                  to .trash/dropped-YYYYMMDD.<time>
 *     state OPEN              rows of the day would make a new partition
 *     removal                 file by file (trash.h)
 *
 * The retention process may be killed between any two of them: its successor
 * goes on.  When the whole server ends the day is there at the next boot, or
 * it is in .trash.
 */

#ifndef SPOOR_STORAGE_RETENTION_H
#define SPOOR_STORAGE_RETENTION_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "storage/catalog.h"

struct retention_rules {
    int64_t now_ns;
    int64_t retention_ns;
    uint64_t bytes_max;  /* of all days; 0: no limit */
    uint64_t bytes_over; /* to be freed on the file system; 0: nothing */
};

/* Limits of size leave so many days. */
#define RETENTION_DAYS_KEPT 2u

/* The oldest day that may stay by its age. */
uint32_t retention_oldest_day(const struct retention_rules *rules);

/*
 * How many of the days, which rise, have to go, always the oldest; *by_age:
 * how many of these because of their age alone.
 */
size_t retention_choose(const struct retention_rules *rules,
    const struct catalog_day *days, size_t n, size_t *by_age);

/*
 * Looks at clock, configuration and disk and begins to drop what has to go.
 * Retention process only, as are the next three.
 */
void retention_check(const struct conf *conf);
/* Begins to drop a day that is OPEN; false if it is not. */
bool retention_drop_day(uint32_t day);
/* Goes on with what a predecessor that was killed has begun. */
void retention_resume(void);
/* Renames days that no reader needs any more; how many still wait. */
uint32_t retention_poll(void);

/*
 * Where time stands for decisions to drop, in any process: see
 * retention_clock.h.
 */
int64_t retention_now_ns(void);

#endif
