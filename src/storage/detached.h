/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which days are detached, in shared memory and on disk.  The file DETACHED
 * in the data directory, not a mark in the day's own: a directory that is
 * copied to another server says nothing about that one, and a day that was
 * moved away stays detached here.  Text, replaced as a whole:
 *
 *     spoor-detached 1
 *     day 20261120
 *     day 20261121
 *
 * A missing file: none is.  One that cannot be read goes to quarantine/, and
 * none is.
 */

#ifndef SPOOR_STORAGE_DETACHED_H
#define SPOOR_STORAGE_DETACHED_H

#include "core/base.h"
#include "core/err.h"

/*
 * Boot, before replay: the days of the file are DETACHING, so that logs with
 * rows of them can be replayed into their directories.
 */
int detached_load(struct err *err) WARN_UNUSED;
/* Boot, behind replay: they are DETACHED. */
void detached_settle(void);

/* Writes the days that are DETACHED, but for `except` (0: none). */
int detached_save(uint32_t except, struct err *err) WARN_UNUSED;

/* Days in a state other than OPEN, rising; free with xfree(). */
size_t detached_list(uint32_t **days);

/* The days that a file says, without any state (spoorctl check). */
int detached_read(uint32_t **days, size_t *n, struct err *err) WARN_UNUSED;

#endif
