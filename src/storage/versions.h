/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A directory that a newer spoor has written is refused before anything in
 * it is changed (design Q17): NODE says its version (layout.h); here are the
 * manifests, the logs and of each day the newest part, which the newer one
 * has written if it wrote anything of that day.
 */

#ifndef SPOOR_STORAGE_VERSIONS_H
#define SPOOR_STORAGE_VERSIONS_H

#include "core/base.h"
#include "core/err.h"
#include "storage/wal.h"

/* ERR_UNSUPPORTED names the file.  Damage is not looked for. */
int versions_check(const uint32_t *days, size_t ndays,
    const struct wal_file_name *logs, size_t nlogs, struct err *err)
    WARN_UNUSED;

#endif
