/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which parts of a day are merged next: a pure function of what the catalogue
 * lists, so that tests can ask it about thousands of days.
 *
 * Rows are written two or three times in all: flushed (level 1), merged into
 * a part that is final at once when the load is high, or else into a small
 * one of which eight become the next size.  bench/merge_policy prints
 * files and bytes for several loads.
 */

#ifndef SPOOR_STORAGE_COMPACT_CHOICE_H
#define SPOOR_STORAGE_COMPACT_CHOICE_H

#include "core/base.h"
#include "storage/merge.h"

/*
 * A level-2 part of so many rows is final: what it costs in files (4,320 a
 * day at 50,000 spans a second, if it were not for COMPACT_SCALE) and in
 * index overhead (10 KB) does not justify to write it again.
 */
#define COMPACT_FINAL_ROWS (UINT64_C(1) << 20)
/*
 * Level-1 parts are merged when they hold this many rows: a quarter more
 * than final, so that the result is final although copies fall out, and
 * memtables that were full of bytes before they were full of rows count less.
 */
#define COMPACT_UNIT_ROWS (COMPACT_FINAL_ROWS + COMPACT_FINAL_ROWS / 4)
/*
 * ... or when there are this many small ones: each costs a query a look at
 * its index, and an hour of two workers at a low load makes 12.
 */
#define COMPACT_SMALL_COUNT 16u
#define COMPACT_SMALL_ROWS 16384u /* on average */
/* ... or so many of whatever size. */
#define COMPACT_COUNT 64u
/* ... or when the oldest has waited for so long. */
#define COMPACT_AGE_NS (3600 * NS_PER_SEC)
/*
 * A day with this many final parts merges twice as much at a time from then
 * on, one with twice as many four times as much: a day of 300,000 spans a
 * second has 5,300 files, not 25,000.  More than that is seldom allowed by
 * MERGE_TRACES_MAX, and would leave more level-1 parts waiting.
 */
#define COMPACT_SCALE 256u
#define COMPACT_SCALE_MAX 4u
/* Small level-2 parts of one size that become one of the next. */
#define COMPACT_FANIN 8u
/*
 * A day is closed when it ended this long ago; it is tidied up once more if
 * so many parts are left that are not final.  Fewer files would be dearer: to
 * write all rows of a slow day once more is more than 90 bytes a span.
 */
#define COMPACT_CLOSED_NS (3600 * NS_PER_SEC)
#define COMPACT_CLOSED_COUNT 12u
/* Parts that were in a merge that killed its process: few at a time. */
#define COMPACT_SUSPECT_INPUTS 4u

struct compact_part {
    uint64_t id;
    uint32_t level;
    uint32_t ntraces;
    uint64_t rows;
    int64_t min_end_ns;
    int64_t age_ns;   /* since it was seen first */
    bool is_suspect;
    uint32_t item;    /* the caller's */
};

struct compact_day {
    const struct compact_part *parts; /* of one day, that may be merged */
    size_t n;
    bool is_closed;
    bool is_pressed;     /* too many parts wait: merge what is there */
    uint64_t forced_ids; /* all below this are merged; 0: not forced */
};

/*
 * Writes the places in day->parts of those to merge to chosen, in the order
 * of their ends; returns how many: none or at least two, or, when it was
 * asked for, one of level 1 that has no partner.
 */
size_t compact_choose(const struct compact_day *day,
    uint32_t chosen[MERGE_INPUTS_MAX]);

/* Level-1 parts that wait, one of a day left out: it has no partner. */
size_t compact_pending(const struct compact_day *day, uint64_t *rows);

#endif
