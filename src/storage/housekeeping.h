/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Small duties of the retention process: the read-only switch that follows
 * the free disk space, and the removal of digest files and of .trash.
 */

#ifndef SPOOR_STORAGE_HOUSEKEEPING_H
#define SPOOR_STORAGE_HOUSEKEEPING_H

#include "core/base.h"
#include "core/conf.h"

/* .trash/ keeps leftovers of crashes this long, for a person to look at. */
#define TRASH_KEEP_NS NS_PER_DAY

/* Called once a second. */
void housekeeping_run(const struct conf *conf);

#endif
