/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files of damaged parts leave their day for quarantine/, so that nothing
 * reads, copies or backs them up for a good one.
 *
 * The manifest keeps the part and says that it is BAD: its rows are missing,
 * and answers that need them say so, as if the file were gone, until the day
 * is dropped or the file is put back.  The order is: BAD is durable; a
 * generation that readers who might have the file do not have; the rename.
 * Whoever is killed in between finds a BAD part with a file, and begins again.
 */

#ifndef SPOOR_STORAGE_QUARANTINE_H
#define SPOOR_STORAGE_QUARANTINE_H

#include "core/base.h"
#include "core/err.h"
#include "storage/catalog.h"

/*
 * The part is BAD, and its file was just judged, for the reason `why`.  0: the
 * file is not there any more; 1: somebody may read it, or it is being put
 * back: later; -1.  Called by one thread.
 */
int quarantine_part(const struct catalog_item *item, const char *why,
    struct err *err) WARN_UNUSED;

/* Would quarantine_part() have something to do now?  Then judge the file. */
bool quarantine_is_due(const struct catalog_item *item);

#endif
