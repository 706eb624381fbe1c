/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A thread of the retention process that reads what nobody asks for, so that
 * damage is found before it is needed, and that judges what queries have
 * complained about (design Q10).
 *
 *   background   the checksums of all parts, at storage.scrub_rate bytes a
 *                second, round after round; 0: never
 *   DOUBT        a query met damage: the whole part is checked, with what the
 *                kernel has cached of it forgotten.  Whole: it is back in
 *                answers.  Damaged again: BAD, in the manifest, too.
 *   OFFLINE      the disk gave an error: read again with growing pauses; it
 *                is back as soon as that works
 *   BAD          once nobody reads it any more, the file goes to quarantine/
 *                (quarantine.h); one that was put back is checked, and taken
 *                if it is whole
 */

#ifndef SPOOR_STORAGE_SCRUB_H
#define SPOOR_STORAGE_SCRUB_H

#include "core/base.h"
#include "core/conf.h"
#include "storage/catalog.h"

void scrub_start(const struct conf *conf);
/* No-op if it was not started. */
void scrub_stop(void);

/* For tests, on the caller's thread: judges one part; what it has now. */
uint32_t scrub_judge(const struct catalog_item *item);

#endif
