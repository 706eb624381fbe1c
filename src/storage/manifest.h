/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The manifest of a partition: which part files count, and up to which row
 * position each log's rows of this day are in them.  An append-only log of
 * edits; manifest.c begins with the format.
 */

#ifndef SPOOR_STORAGE_MANIFEST_H
#define SPOOR_STORAGE_MANIFEST_H

#include "core/base.h"
#include "core/err.h"
#include "storage/part.h"

struct manifest_part {
    struct part_info info;
    struct part_lineage lineage; /* of a level-1 part; log_id 0: merged */
    bool is_bad;                 /* damage was confirmed */
};

struct manifest_flushed {
    uint64_t log_id;
    uint64_t lsn; /* every row of this day below it is in a part */
};

/* What a manifest says when all its edits are applied. */
struct manifest {
    uint64_t number;
    uint8_t node_id[16]; /* of the server that wrote it last as a whole */
    uint32_t day;
    uint64_t end; /* offset behind the last valid edit */
    struct manifest_part *parts;
    size_t nparts, cap_parts;
    struct manifest_flushed *flushed;
    size_t nflushed, cap_flushed;
    bool is_damaged; /* a bad edit with a valid one behind it */
};

/*
 * Reads a manifest; a missing file is an empty one with end 0.  A torn last
 * edit is not damage.  Release with manifest_release().
 */
int manifest_read(struct manifest *manifest, uint32_t day, struct err *err)
    WARN_UNUSED;
void manifest_release(struct manifest *manifest);
/* The same of a file at another place (a snapshot); ERR_NOT_FOUND. */
int manifest_read_file(struct manifest *manifest, const char *path,
    uint32_t day, struct err *err) WARN_UNUSED;
/*
 * Writes what *manifest says as a new file there, without flushed positions
 * and damaged parts: they stay where they are.
 */
int manifest_write_copy(const struct manifest *manifest, const char *path,
    struct err *err) WARN_UNUSED;

/* Position up to which the log's rows of this day are flushed (0: none). */
uint64_t manifest_flushed_lsn(const struct manifest *manifest,
    uint64_t log_id);

/* One atomic change. */
struct manifest_edit {
    const struct manifest_part *add;
    size_t nadd;
    const uint64_t *drop; /* part ids */
    size_t ndrop;
    const struct manifest_flushed *flushed;
    size_t nflushed;
    /* From partition_incarnation(); 0: whatever is there. */
    uint32_t incarnation;
    const uint64_t *bad; /* part ids: damage was confirmed */
    size_t nbad;
};

/*
 * Appends an edit under the partition's lock, which this takes; sync makes it
 * durable before it returns.  Creates partition and manifest when needed,
 * rewrites the manifest when it has grown beyond use.
 *
 * ERR_CANCELLED, and nothing was changed: the day is not open (while it is
 * being detached, edits with flushed positions pass: their rows were
 * acknowledged), or it was dropped or detached since edit->incarnation was
 * read.  Whoever gets it takes back the files it has prepared.
 */
int manifest_append(uint32_t day, const struct manifest_edit *edit,
    bool sync, struct err *err) WARN_UNUSED;

/* Makes durable what its writers may have left unsynced when they died. */
int manifest_sync(uint32_t day, struct err *err) WARN_UNUSED;

/*
 * Replaces the manifest by one that says what *manifest says (checkpoint).
 * keep_flushed: also the flushed positions.  Takes no lock.
 */
int manifest_rewrite(struct manifest *manifest, bool keep_flushed,
    struct err *err) WARN_UNUSED;

/* Changes to a manifest in memory; adding an id that is there replaces it. */
void manifest_add(struct manifest *manifest, const struct manifest_part *part);
void manifest_drop(struct manifest *manifest, uint64_t part_id);
void manifest_flush(struct manifest *manifest, uint64_t log_id, uint64_t lsn);

#endif
