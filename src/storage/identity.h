/* SPDX-License-Identifier: BSD-2-Clause */

/* Who the server is and which start this is: NODE at boot. */

#ifndef SPOOR_STORAGE_IDENTITY_H
#define SPOOR_STORAGE_IDENTITY_H

#include "core/base.h"
#include "core/err.h"
#include "storage/layout.h"
#include "storage/wal.h"

/*
 * Reads NODE, or makes a new one in memory; logs (the files in wal/) have
 * their say.
 */
int identity_load(struct layout_node *node, const struct wal_file_name *logs,
    size_t nlogs, struct err *err) WARN_UNUSED;

/*
 * Writes NODE with a boot number above every one on disk: ids that contain it
 * are new even when NODE was lost or restored from a copy.  From then on
 * shared memory gives out ids.
 */
int identity_advance(struct layout_node *node, const uint32_t *days,
    size_t ndays, struct err *err) WARN_UNUSED;

#endif
