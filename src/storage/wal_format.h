/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Bytes of a log file, shared by its writer and its reader.
 *
 * A log belongs to one incarnation of one worker and is named by a log_id
 * that is never used again: boot number << 32 | counter.  Its files are
 *
 *     wal/<log_id, 16 hex>-<number, 8 hex>.wal
 *
 *     0      struct wal_file_header, the rest of the first 4 KiB is zero
 *     4096   groups, each starting on a 4 KiB boundary
 *     ...    zeros (the file is allocated ahead)
 *
 * A group is what one write and one sync cover: struct wal_group_header, then
 * its records back to back, then zeros to the next boundary.  So no write
 * ever touches a page that holds an acknowledged record.  A group never spans
 * files.  Large ones are written past the page cache (wal_direct.h).
 *
 * A record is struct wal_record_header, then params_len bytes of canonical
 * request parameters, nrejected u32 (rows of this body that were refused, in
 * rising order), body_len bytes of the body as received.  Every span of a
 * body, refused or not, has a row position: first_lsn, first_lsn + 1, ...
 * Replay decides nothing: it decodes the body and leaves out what the record
 * says was refused.
 *
 * Checksums are XXH3-64 seeded with log_id ^ number << 32 ^ offset, so bytes
 * of another log, file or place never pass.  A group's covers all of it with
 * the checksum field as zero; records are covered by their group.
 *
 * Reading: at each boundary either a valid group stands, and reading goes on
 * behind it, or not, and reading goes on at the next boundary.  The last
 * group may be torn by a crash before it was acknowledged.  A bad group with
 * a valid one behind it is damage; the valid ones still count.
 */

#ifndef SPOOR_STORAGE_WAL_FORMAT_H
#define SPOOR_STORAGE_WAL_FORMAT_H

#include "core/base.h"

#define WAL_FILE_MAGIC 0x31304c4157505300ull   /* "\0SPWAL01" */
#define WAL_GROUP_MAGIC 0x50554f5247524c57ull  /* "WLRGROUP" */
#define WAL_RECORD_MAGIC 0x44524352u           /* "RCRD" */
#define WAL_DIGEST_MAGIC 0x3130474944505300ull /* "\0SPDIG01" */
#define WAL_VERSION 1u
#define WAL_PAGE 4096u

struct wal_file_header {
    uint64_t magic;
    uint32_t version;
    uint32_t number;
    uint64_t log_id;
    uint8_t node_id[16];
    int64_t created_ns;
    uint64_t checksum; /* of the fields above */
};
_Static_assert(sizeof(struct wal_file_header) == 56, "disk format");

struct wal_group_header {
    uint64_t magic;
    uint64_t checksum;
    uint64_t log_id;
    uint64_t offset;
    uint64_t len; /* with this header, without the padding */
    uint32_t number;
    uint32_t nrecords;
};
_Static_assert(sizeof(struct wal_group_header) == 48, "disk format");

struct wal_record_header {
    uint32_t magic;
    uint16_t version;
    uint8_t format;   /* enum otlp_format */
    uint8_t encoding; /* enum encoding */
    uint32_t account;
    uint32_t project;
    uint64_t first_lsn;
    int64_t recv_time_ns;
    uint32_t nrows;
    uint32_t nrejected;
    uint32_t reject_mask;
    uint32_t params_len;
    uint64_t body_len;
    uint8_t digest[16];
};
_Static_assert(sizeof(struct wal_record_header) == 72, "disk format");

/* A digest file: this header, then n entries. */
struct wal_digest_header {
    uint64_t magic;
    uint32_t version;
    uint32_t n;
    uint64_t log_id;
    uint64_t checksum; /* of all bytes with this field as zero */
};
_Static_assert(sizeof(struct wal_digest_header) == 32, "disk format");

struct wal_digest_entry {
    uint8_t digest[16];
    int64_t recv_time_ns;
    uint32_t rejected;
    uint32_t reject_mask;
};
_Static_assert(sizeof(struct wal_digest_entry) == 32, "disk format");

static inline uint64_t
wal_seed(uint64_t log_id, uint32_t number, uint64_t offset)
{
    return log_id ^ (uint64_t)number << 32 ^ offset;
}

#endif
