/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Days leave and come while the server runs (operator thread only).
 *
 * Detach (design Q7): DETACHING, new rows of the day are refused; a flush of
 * all memory, with which all logs end; DETACHED, merges of the day find their
 * edits refused; a catalogue generation without its parts; the last reader,
 * and whoever still has to remove files of the day; the file DETACHED.  From
 * then on the directory belongs to the operator: copy it, move it, delete it.
 *
 * Attach: every listed part is opened and compared with the manifest, which
 * changes nothing when it fails; then, if the day was open (its directory was
 * copied in while the server ran), it is closed as above; leftovers are dealt
 * with as at a start; the boot number rises above that of the parts' ids; the
 * manifest is rewritten as this server's own, without flushed positions; the
 * file DETACHED; one catalogue generation with exactly its parts; OPEN.
 */

#ifndef SPOOR_STORAGE_DAY_OPS_H
#define SPOOR_STORAGE_DAY_OPS_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"

/* name: "20261121".  ERR_INVALID, ERR_NOT_FOUND say what is wrong with it. */
int day_detach(struct sv name, struct err *err) WARN_UNUSED;
int day_attach(struct sv name, struct err *err) WARN_UNUSED;

/*
 * Days before keep_from that are detached and whose directory is gone: their
 * spans are refused for their age, so nobody has to remember them.
 */
void day_ops_forget(uint32_t keep_from);

/* Goes on, or back, where a predecessor was killed. */
void day_ops_resume(void);

/* Parses the name of a day, or fails with a text. */
int day_parse(struct sv name, uint32_t *day, struct err *err) WARN_UNUSED;

#endif
