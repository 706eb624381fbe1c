/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The ballast (design Q4): a file without content, ".ballast", that takes
 * space while a disk fills, so that some can be had at once when it is full:
 * for the edits that free space, for what is in memory and for a start.
 *
 *     plenty of space      no ballast: it would be in the way for nothing
 *     the disk fills       made while there is still room for it
 *     ENOSPC somewhere     whoever meets it in upkeep (not in inserts) takes
 *                          it away and tries again; inserts are refused from
 *                          then on, or they would eat it up
 *     space again          inserts are taken when there is room for a new
 *                          ballast, too
 *
 * Its size: twice the memtables of all workers and 32 MiB, but at most 16
 * times storage.min_free_disk and a two hundredth of the file system.
 */

#ifndef SPOOR_STORAGE_BALLAST_H
#define SPOOR_STORAGE_BALLAST_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"

/* The size it has when there is one; 0: there is none on such a disk. */
uint64_t ballast_size(const struct conf *conf, uint64_t disk_bytes);

/*
 * Makes or removes it as the free space demands; retention process.  True
 * when there is one.
 */
bool ballast_tend(const struct conf *conf, uint64_t free_bytes);

/*
 * After ERR_NO_SPACE, in any process but on no event loop: true when there
 * was one; then trying once more may help.
 */
bool ballast_release(void);

#endif
