/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Writing large groups of a log past the page cache (O_DIRECT): nobody reads
 * a log but after a crash, and pages that are taken, filled, written and
 * given back cost more than the copy to an aligned buffer.
 */

#ifndef SPOOR_STORAGE_WAL_DIRECT_H
#define SPOOR_STORAGE_WAL_DIRECT_H

#include "core/base.h"
#include "core/err.h"

#include <sys/uio.h>

/*
 * Groups below this are as well off in the page cache (below 64 KiB what
 * counts is the sync).  Tests lower it.
 */
#define WAL_DIRECT_MIN (256 * KIB)
extern size_t wal_direct_min;

struct wal_direct {
    int fd;          /* of the present file, or -1 */
    char *stage;     /* from the first write on */
    bool is_refused; /* this file system does not do it */
};

void wal_direct_init(struct wal_direct *direct);
/* The file that was written to is left. */
void wal_direct_leave(struct wal_direct *direct);
void wal_direct_release(struct wal_direct *direct);

/*
 * Writes the vector, which ends with a NULL, at the offset of the file; its
 * sum and the offset are multiples of WAL_PAGE.  1: written, 0: cannot be
 * done here (perhaps after a part of it), so do it the usual way, -1: err.
 */
int wal_direct_write(struct wal_direct *direct, const char *path,
    const struct iovec *iov, uint64_t offset, struct err *err) WARN_UNUSED;

#endif
