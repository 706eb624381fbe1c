/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Names inside a data directory:
 *
 *     NODE                     identity: text, see layout.c
 *     LOCK                     flock(2) of the master, inherited by children
 *     wal/                     logs and digest files (wal.h)
 *     partitions/YYYYMMDD/     one UTC day of span ends
 *         MANIFEST             which parts count (manifest.h)
 *         <id, 16 hex>.l<n>    parts (part.h)
 *         snapshots/<id>/      links to them, for backups (snapshot.h)
 *     DETACHED                 days that are not served (detached.h)
 *     quarantine/              damaged files and records, never deleted
 *     queue/                   of a front: spans on their way (front.h)
 *     .trash/                  leftovers of crashes, kept for 24 h, and
 *                              days that were dropped
 */

#ifndef SPOOR_STORAGE_LAYOUT_H
#define SPOOR_STORAGE_LAYOUT_H

#include "core/base.h"
#include "core/err.h"

/* Version of the directory as a whole, in NODE. */
#define LAYOUT_VERSION 1u

/* Sets the data directory for this process and its children. */
void layout_set(const char *data_path);
const char *layout_root(void);

/* Each writes a path of at most PATH_MAX bytes to dst. */
void layout_path(char dst[PATH_MAX], const char *name);
void layout_wal_dir(char dst[PATH_MAX]);
void layout_partition_dir(char dst[PATH_MAX], uint32_t day);
void layout_manifest(char dst[PATH_MAX], uint32_t day);
void layout_part(char dst[PATH_MAX], uint32_t day, uint64_t part_id,
    uint32_t level);

/* "0000010000000001.l1" of a part; false for any other name. */
bool layout_parse_part(const char *name, uint64_t *part_id, uint32_t *level);
/* "20261121" and a real day; false for any other name. */
bool layout_parse_day(const char *name, uint32_t *day);

/* Days that have a partition directory, rising; free with xfree(). */
int layout_days(uint32_t **days, size_t *n, struct err *err) WARN_UNUSED;

/* Makes the fixed directories. */
int layout_create(struct err *err) WARN_UNUSED;
/* Makes a partition's directory durably. */
int layout_create_partition(uint32_t day, struct err *err) WARN_UNUSED;
/* Makes the names of all partitions durable. */
int layout_sync_partitions(struct err *err) WARN_UNUSED;

/* Moves a file to .trash/ or quarantine/ under a name that tells its origin. */
int layout_discard(const char *path, const char *where, struct err *err)
    WARN_UNUSED;

/* A hard link there; the file stays, too (until it is replaced). */
int layout_keep_copy(const char *path, const char *where, struct err *err)
    WARN_UNUSED;

struct layout_node {
    uint8_t id[16];
    uint32_t version;
    uint32_t boot; /* of the last start; 0: never started */
    int64_t created_ns;
};
/* ERR_NOT_FOUND when there is none yet; ERR_UNSUPPORTED for a newer version. */
int layout_read_node(struct layout_node *node, struct err *err) WARN_UNUSED;
int layout_write_node(const struct layout_node *node, struct err *err)
    WARN_UNUSED;

#endif
