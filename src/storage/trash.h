/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Days on their way out: whole directories in .trash/ under a name of their
 * own ("dropped-20261121.<time>"), removed file by file, a few at a time,
 * since removing a large file can hold a disk for long.  What else is in
 * .trash/ belongs to housekeeping.h.
 */

#ifndef SPOOR_STORAGE_TRASH_H
#define SPOOR_STORAGE_TRASH_H

#include "core/base.h"
#include "core/err.h"

#define TRASH_DAY_PREFIX "dropped-"

/* Moves the directory of a day there; a missing one is no error. */
int trash_move(const char *path, uint32_t day, struct err *err) WARN_UNUSED;

/* True while there are such days. */
bool trash_has_days(void);

/* Removes at most max files; true when something is left. */
bool trash_sweep(unsigned max);

/*
 * Removes at most *budget files below path, counting down, then path itself.
 * 1: something is left because the budget is used up.
 */
int trash_remove_tree(const char *path, unsigned *budget, struct err *err)
    WARN_UNUSED;

#endif
