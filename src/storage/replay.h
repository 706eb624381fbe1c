/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Replay of one log into parts.  Applies no policy: what was accepted is
 * stored, what was refused stays out (the record says which), what is already
 * in parts is skipped.  A record that cannot be decoded, or that killed the
 * process twice, goes to quarantine/ and is counted, never dropped silently.
 */

#ifndef SPOOR_STORAGE_REPLAY_H
#define SPOOR_STORAGE_REPLAY_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "storage/manifest.h"
#include "storage/store.h"
#include "storage/wal.h"

struct replay;

/*
 * slot: where progress is noted, so that a crash names its record (NULL at
 * boot).  All rows that end before oldest_ns are counted and skipped.
 */
struct slot;
struct replay *replay_new(const struct conf *conf, store_decode_fn decode,
    struct slot *slot, int64_t oldest_ns);
void replay_free(struct replay *replay);

/*
 * Replays one log.  names: its files, in order.  The parts written are added
 * to the list below.
 */
int replay_log(struct replay *replay, uint64_t log_id,
    const struct wal_file_name *names, size_t n, struct err *err) WARN_UNUSED;

/*
 * Notes the digests of the log's requests whose rows are in parts, before any
 * log is replayed: they win over refused copies in other logs.
 */
int replay_claim_flushed(struct replay *replay, uint64_t log_id,
    const struct wal_file_name *names, size_t n, struct err *err) WARN_UNUSED;

/* Parts written by all calls so far. */
const struct manifest_part *replay_parts(const struct replay *replay,
    size_t *n);
uint64_t replay_rows(const struct replay *replay);

/*
 * The log's files are not needed any more: their digests stay in digest
 * files, they are removed.
 */
int replay_remove_log(const struct wal_file_name *names, size_t n,
    struct err *err) WARN_UNUSED;

#endif
