/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The write-ahead log: request bodies as they were received, on disk before
 * they are acknowledged.  wal.c begins with the format and its rules.
 */

#ifndef SPOOR_STORAGE_WAL_H
#define SPOOR_STORAGE_WAL_H

#include "core/base.h"
#include "core/err.h"
#include "span/ingest.h"

/* A file is closed when it passes this; one larger group gets it for itself. */
#define WAL_FILE_BYTES (64 * MIB)

/* --- writing: one thread --- */

struct wal;

/* Makes the directory entry of a new log at its first group. */
int wal_open(struct wal **out, const char *dir, uint64_t log_id,
    const uint8_t node_id[16], struct err *err) WARN_UNUSED;
/* Closes; files stay unless wal_release() removed them. */
void wal_close(struct wal *wal); /* accepts NULL */

struct wal_record {
    const struct ingest *ingest;
    uint64_t first_lsn;
};

/*
 * Writes one group and, if sync, makes it durable.  On failure nothing of it
 * counts, the file is cut back as well as the disk allows, and the log must
 * not be used again (design P15).
 */
int wal_append(struct wal *wal, const struct wal_record *records, unsigned n,
    bool sync, struct err *err) WARN_UNUSED;
/* fsync: interval.  No-op when nothing was written since the last. */
int wal_sync(struct wal *wal, struct err *err) WARN_UNUSED;
/*
 * The next group begins a new file: what wal_sync() has not reached in this
 * one it never will.
 */
bool wal_is_full(const struct wal *wal);
uint64_t wal_log_id(const struct wal *wal);
/* Bytes in files that are not released yet. */
uint64_t wal_bytes(const struct wal *wal);

/*
 * All rows below lsn are in published parts: files that hold nothing else
 * are replaced by their digests (requests.h) and unlinked.  The present file
 * goes, too, when `all` is set (clean stop, log given up).
 * Called by the flush thread while the ingest thread appends.
 */
int wal_release(struct wal *wal, uint64_t lsn, bool all, struct err *err)
    WARN_UNUSED;

/* --- reading: recovery, check --- */

struct wal_entry {
    struct tenant tenant;
    enum otlp_format format;
    enum encoding encoding;
    uint64_t log_id;
    uint64_t first_lsn;
    uint32_t nrows;
    uint32_t nrejected;
    const uint8_t *rejected; /* nrejected u32, unaligned, row in the body */
    uint32_t reject_mask;
    int64_t recv_time_ns;
    uint8_t digest[16];
    struct sv params;
    struct sv wire;
    uint64_t offset; /* of the record in its file */
};

struct wal_scan {
    uint64_t groups;
    uint64_t records;
    uint64_t rows;
    /* Bad groups with a valid one of the log behind them; a bad header. */
    uint64_t damaged;
    uint64_t torn;    /* 1: the file ends in an unfinished group */
};

/*
 * Calls fn for each record of a file, in order; continues behind bad groups.
 * fn returns -1 with err set to stop.  A file of another version is
 * ERR_UNSUPPORTED.  File and record memory lives during the call of fn only.
 */
typedef int (*wal_entry_fn)(const struct wal_entry *entry, void *arg,
    struct err *err);
int wal_read_file(const char *path, wal_entry_fn fn, void *arg,
    struct wal_scan *scan, struct err *err) WARN_UNUSED;

/* The server that wrote a log file; false: its header does not tell. */
bool wal_read_node_id(const char *path, uint8_t node_id[16]);
/* ERR_UNSUPPORTED for a newer version; damage is none. */
int wal_check_version(const char *path, struct err *err) WARN_UNUSED;

/*
 * The files of a log directory: fn is called with each log id and file number
 * in order.  Other names are ignored.
 */
struct wal_file_name {
    uint64_t log_id;
    uint32_t number;
    bool is_digests; /* ".dig" */
};
int wal_list(const char *dir, struct wal_file_name **names, size_t *n,
    struct err *err) WARN_UNUSED;
void wal_file_path(char *dst, size_t size, const char *dir,
    const struct wal_file_name *name);

/* Digest files: what a released log file leaves behind for 15 minutes. */
struct wal_digest {
    uint8_t digest[16];
    int64_t recv_time_ns;
    uint32_t rejected;
    uint32_t reject_mask;
};
int wal_read_digests(const char *path, struct wal_digest **digests,
    size_t *n, struct err *err) WARN_UNUSED;
/* Writes the digests of one log file (for recovery's own releases). */
int wal_write_digests(const char *dir, const struct wal_file_name *file,
    const struct wal_digest *digests, size_t n, struct err *err) WARN_UNUSED;

#endif
