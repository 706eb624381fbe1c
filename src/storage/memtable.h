/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Memtable: the newest rows of one worker, in memory that every process
 * shares.  One writer (a thread of the owning worker) appends; any process
 * reads rows below `committed` at any time without a lock.
 *
 * Layout (all offsets are bytes from the start of the region, all arrays are
 * append-only and never move while the memtable is in use):
 *
 *   struct memtable          header, 4 KiB
 *   fixed arrays             sized by MEMTABLE_ROWS_MAX: one entry a row
 *     trace_id  16 B         span_id 8 B        parent_id 8 B
 *     start_ns  i64          end_ns  i64
 *     stream    u32          shape   u32        resource u32
 *     values    u32          word index of the row's values in the word heap
 *     subs      u32          word index of events and links, 0 = none
 *     chain     u32          next older row (+1) of the same trace bucket
 *     status    u8           status code clipped to 0..3 (3 = see values)
 *   buckets   u32[65536]     newest row (+1) by hash of (tenant, trace id)
 *   tables                   strings, keys, shapes, streams, scopes,
 *                            resources: fixed-size entries, append-only
 *   word heap                u32 words: values, shapes' key lists, events
 *   byte heap                bytes of strings
 *
 * A row's values stand in the order of its shape: a shape is a list of
 * (key, type); string-like types take one word (string code), BOOL one, INT
 * and DOUBLE two (low word first), EMPTY none.  Span fields that are mostly
 * absent (trace_state, status_message, flags, dropped counts) are keys of
 * scope KEY_FIELD, present only when not zero or empty.
 *
 * Memory order: everything a row refers to is written before
 * memtable_commit() stores `committed` with release; readers load it with
 * acquire and never follow anything of a row at or beyond it.  Bucket heads
 * may name uncommitted rows: readers skip them.  Readers check every offset
 * against the region and treat a wrong one as damage, since the writer may
 * have died with the memory scribbled on.
 */

#ifndef SPOOR_STORAGE_MEMTABLE_H
#define SPOOR_STORAGE_MEMTABLE_H

#include "core/base.h"
#include "span/span.h"

#define MEMTABLE_BYTES (16 * MIB)
#define MEMTABLE_ROWS_MAX 65536u
#define MEMTABLE_DAYS_MAX 64u /* a row of a 65th day: full */
#define MEMTABLE_LAYOUT 2u

/* Where a key stands in the span; part of its identity. */
enum key_scope {
    KEY_SPAN = 0,
    KEY_RESOURCE,
    KEY_SCOPE,
    KEY_EVENT,
    KEY_LINK,
    KEY_FIELD, /* the names of enum field_key */
};

enum field_key {
    FIELD_TRACE_STATE = 0,
    FIELD_STATUS_MESSAGE,
    FIELD_FLAGS,
    FIELD_DROPPED_ATTRS,
    FIELD_DROPPED_EVENTS,
    FIELD_DROPPED_LINKS,
    FIELD_STATUS_CODE, /* only when it is not 0, 1 or 2 */
    FIELD_SCHEMA_URL,  /* resources and scopes */
    FIELD_NAME,        /* scopes */
    FIELD_VERSION,     /* scopes */
    FIELD_STREAM_FIELDS, /* scopes */
    FIELD_EXTRA_FIELDS,  /* scopes */
    FIELD_KEYS,
};

struct memtable;        /* shared */
struct memtable_writer; /* private to the writing thread */

/* A region of MEMTABLE_BYTES becomes an empty memtable. */
struct memtable *memtable_init(void *region, uint64_t log_id,
    uint64_t first_lsn);

struct memtable_writer *memtable_writer_new(void);
void memtable_writer_free(struct memtable_writer *w);
/* Starts writing to an empty memtable; caches are reset. */
void memtable_writer_attach(struct memtable_writer *w, struct memtable *mt);

/*
 * Rejects (REJECT_LARGE) the spans that, with their resource and scope, would
 * not fit an empty memtable: hundreds of thousands of attributes or events.
 * Must be asked before memtable_append() and before the batch is logged.
 */
void memtable_reject_oversize(struct batch *batch);

/*
 * Appends spans [from, batch->nspans) of one request, skipping rejected ones.
 * Each span, skipped or not, takes one row position (lsn): the header's
 * next_lsn advances by the spans consumed.  Returns the index of the first
 * span that was not consumed: less than nspans means the memtable is full
 * (rotate, then continue there; asking again without rotating returns the
 * same index).  Rotating helps unless the memtable was empty: then the span
 * never fits (memtable_reject_oversize was not asked).  Nothing is visible
 * before the commit.
 */
uint32_t memtable_append(struct memtable_writer *w,
    const struct tenant *tenant, const struct batch *batch, uint32_t from);

/* Rows appended so far / row positions consumed so far (writer's view). */
uint32_t memtable_rows(const struct memtable *mt);
uint64_t memtable_next_lsn(const struct memtable *mt);
uint64_t memtable_first_lsn(const struct memtable *mt);
uint64_t memtable_log_id(const struct memtable *mt);
/* Bytes used of the region, roughly (for rotation and metrics). */
size_t memtable_used(const struct memtable *mt);

/* Makes the first `rows` rows visible to all processes. */
void memtable_commit(struct memtable *mt, uint32_t rows);
uint32_t memtable_committed(const struct memtable *mt);

/* --- reading: any process; rows = what memtable_committed() said --- */

/* 0 or ERR_CORRUPT: the header is not one of a memtable of this layout. */
int memtable_check(const struct memtable *mt, struct err *err) WARN_UNUSED;

/* Time range over the first `rows` rows' end; false when there is none. */
bool memtable_end_range(const struct memtable *mt, uint32_t rows,
    int64_t *min_end, int64_t *max_end);

/*
 * Adds the spans of one trace to the batch (deep copies into its pool).
 * spans_max bounds batch->nspans; beyond it *truncated is set.
 */
int memtable_read_trace(const struct memtable *mt, uint32_t rows,
    const struct tenant *tenant, const struct trace_id *id,
    uint32_t spans_max, struct batch *out, bool *truncated, struct err *err)
    WARN_UNUSED;

/* False when none of the rows is of the trace, whoever its tenant is. */
bool memtable_may_have_trace(const struct memtable *mt, uint32_t rows,
    const struct trace_id *id);

/* Adds one row; the general form of the above. */
int memtable_read_row(const struct memtable *mt, uint32_t row,
    struct batch *out, struct err *err) WARN_UNUSED;

/* Adds n rows; those of one resource or scope share its copy. */
int memtable_read_rows(const struct memtable *mt, const uint32_t *rows,
    uint32_t n, struct batch *out, struct err *err) WARN_UNUSED;

/* Adds one resource or scope of the memtable; *index is its place. */
int memtable_read_resource(const struct memtable *mt, uint32_t ordinal,
    struct batch *out, uint32_t *index, struct err *err) WARN_UNUSED;
int memtable_read_scope(const struct memtable *mt, uint32_t ordinal,
    struct batch *out, uint32_t *index, struct err *err) WARN_UNUSED;

struct stream_visit; /* storage/stream_visit.h */

/* The same question a part answers. */
int memtable_visit_streams(const struct memtable *mt, uint32_t rows,
    const struct tenant *tenant, struct stream_visit *visit, struct err *err)
    WARN_UNUSED;

/* Distinct UTC days of end (time_day) over all rows; returns their number. */
unsigned memtable_days(const struct memtable *mt,
    uint32_t days[MEMTABLE_DAYS_MAX]);

#endif
