/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Times and durations as text, and the clocks.  Times are nanoseconds since
 * 1970 UTC in int64_t.
 */

#ifndef SPOOR_CORE_TIMEFMT_H
#define SPOOR_CORE_TIMEFMT_H

#include "core/base.h"
#include "core/sv.h"

int64_t clock_wall_ns(void);
int64_t clock_mono_ns(void);
/*
 * Monotonic, too, but as fast as the clock of a test (core/sys.h): for ages
 * of minutes and more, "flush what is ten minutes old", never for timeouts.
 * The second is how long really to wait for ns of it to pass.
 */
int64_t clock_pace_ns(void);
int64_t clock_pace_wait_ns(int64_t ns);

/* A date of the Gregorian calendar, also before it was made. */
struct civil {
    int year;
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
};
/* Days since 1970-01-01; a day behind the month's end counts on. */
struct civil civil_from_days(int64_t days);
int64_t civil_to_days(struct civil date);

/* UTC day as the number 20261121, and the first nanosecond of that day. */
uint32_t time_day(int64_t ns);
int64_t time_day_start(uint32_t day);

/* Go durations: "1.5ms", "2h45m", "300us"; plus d, w, y (365d). */
bool time_parse_duration(struct sv text, int64_t *ns);
/* Retention: as above, and a bare number means months of 31 days. */
bool time_parse_retention(struct sv text, int64_t *ns);

/* "2026-11-21T09:50:45.123Z": digits = 0, 3, 6 or 9.  32 bytes suffice. */
size_t time_print_rfc3339(char *dst, int64_t ns, int digits);
/*
 * "1.5ms", "2h3m4s", "7d" (whole days), "0s": 32 bytes suffice; reads back as
 * the same number.
 */
size_t time_print_duration(char *dst, int64_t ns);

#endif
