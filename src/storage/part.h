/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Parts: immutable files of rows.  part_format.h describes the bytes,
 * part_write.c makes them, part.c opens and checks them, part_read.c turns
 * rows back into spans.
 */

#ifndef SPOOR_STORAGE_PART_H
#define SPOOR_STORAGE_PART_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "span/span.h"
#include "storage/memtable.h"
#include "storage/stream_visit.h"

/* Rows of one log that a part holds. */
struct part_lineage {
    uint64_t log_id;
    uint64_t first_lsn; /* inclusive */
    uint64_t last_lsn;  /* exclusive */
};

/* What a part says of itself: catalogue entries and manifests hold this. */
struct part_info {
    uint64_t id;
    uint32_t day;
    uint32_t level; /* 1: flushed by a worker, 2: merged */
    uint64_t rows;
    uint64_t bytes; /* of the file */
    uint32_t nblocks;
    uint32_t ntraces;
    int64_t min_start_ns;
    int64_t max_start_ns;
    int64_t min_end_ns;
    int64_t max_end_ns;
};

/* --- writing --- */

struct part_writer; /* scratch memory, reused from part to part */

struct part_writer *part_writer_new(void);
void part_writer_free(struct part_writer *w);

/*
 * Encodes the given rows of a memtable (all of one day; at most
 * MEMTABLE_ROWS_MAX; any order) as the bytes of a complete level-1 part file
 * and fills *info.  The bytes belong to the writer until its next call.
 */
int part_encode(struct part_writer *w, const struct memtable *mt,
    const uint32_t *rows, uint32_t nrows, uint64_t part_id, uint32_t day,
    const uint8_t node_id[16], const struct part_lineage *lineage,
    struct sv *file, struct part_info *info, struct err *err) WARN_UNUSED;

/* --- reading: a struct part may be used by several threads --- */

struct part;

/* Opens and checks footer and index sections.  ERR_CORRUPT names the spot. */
int part_open(struct part **out, const char *path, struct err *err)
    WARN_UNUSED;
void part_close(struct part *part); /* accepts NULL */
const struct part_info *part_get_info(const struct part *part);
/* Rows of which logs it holds, over all merges: at least one range. */
const struct part_lineage *part_get_lineage(const struct part *part,
    size_t *n);
/* Ids of the parts it was merged from; none at level 1. */
const uint64_t *part_get_inputs(const struct part *part, size_t *n);
const uint8_t *part_get_node_id(const struct part *part);

/* As memtable_read_trace(). */
int part_read_trace(struct part *part, const struct tenant *tenant,
    const struct trace_id *id, uint32_t spans_max, struct batch *out,
    bool *truncated, struct err *err) WARN_UNUSED;

/* All rows from `from` on, at most n, in the part's order; *got says how many. */
int part_read_rows(struct part *part, uint64_t from, uint32_t n,
    struct batch *out, struct tenant *tenants /* n, or NULL */,
    uint32_t *got, struct err *err) WARN_UNUSED;

int part_visit_streams(struct part *part, const struct tenant *tenant,
    struct stream_visit *visit, struct err *err) WARN_UNUSED;

/*
 * Reads every byte and checks every checksum and bound; decodes every row.
 * The first damage is in err with file, offset and reason.
 */
int part_check(const char *path, struct err *err) WARN_UNUSED;

/* After so many bytes were read; false: ERR_CANCELLED. */
typedef bool (*part_pace_fn)(uint64_t bytes);
/* The same, block by block; not deep: the checksums of all bytes only. */
int part_check_paced(const char *path, bool deep, part_pace_fn pace,
    struct err *err) WARN_UNUSED;

#endif
