/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Answers of /internal/select/...: frames, one after the other, the last an
 * END.  An answer without END is none: the node died or was cut off.
 * frame.c begins with the bytes.
 */

#ifndef SPOOR_CLUSTER_FRAME_H
#define SPOOR_CLUSTER_FRAME_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"

/* "version" of /internal/select/...: both sides must say the same. */
#define SELECT_PROTOCOL "spoor1"

/* Of one frame, before and after compression. */
#define FRAME_BYTES_MAX (64 * MIB)

enum frame_type {
    FRAME_ROWS = 1,   /* cluster/rows_wire.h */
    FRAME_STATE,      /* of stats; several are pieces of one state */
    FRAME_STATE_END,  /* the last piece */
    FRAME_HITS,       /* of a search: struct search_hit's, see plan.h */
    FRAME_SPANS,      /* one trace: ExportTraceServiceRequest */
    FRAME_NAMES,      /* services and span names */
    FRAME_EDGES,
    FRAME_TENANTS,
    FRAME_FIGURES,    /* what the query cost */
    FRAME_ERROR,      /* the answer ends with it: code and text */
    FRAME_ALIVE,      /* nothing: the node still works */
    FRAME_END,        /* flags, see below */
};
#define FRAME_IS_PARTIAL 1u
#define FRAME_IS_TRUNCATED 2u
#define FRAME_LACKS_NODES 4u /* partial since nodes behind it are missing */

/*
 * Appends a frame; compresses (zstd 1) when it is worth it.  A payload of more
 * than FRAME_BYTES_MAX, as one that there is no memory for, turns out failed.
 */
void frame_put(struct sb *out, enum frame_type type, struct sv payload,
    bool may_compress);
void frame_put_end(struct sb *out, unsigned flags);
void frame_put_error(struct sb *out, const struct err *err);

/* Takes bytes as they come, gives whole frames. */
struct frame_reader {
    struct sb in;      /* a part of a frame */
    struct sb plain;   /* decompressed */
    bool is_ended;     /* there was an END */
    bool is_last;      /* private: or an ERROR */
};
void frame_reader_init(struct frame_reader *reader);
void frame_reader_release(struct frame_reader *reader);
/*
 * fn: 0 go on; 1 enough; -1.  FRAME_ALIVE is not told.  ERR_CORRUPT for what
 * is no frame, or comes behind an end.  Returns what fn returned last; after 1
 * or -1 the reader is not to be fed any more.
 */
typedef int (*frame_fn)(void *arg, enum frame_type type, struct sv payload,
    struct err *err);
int frame_reader_feed(struct frame_reader *reader, struct sv data,
    frame_fn fn, void *arg, struct err *err) WARN_UNUSED;
/* Of a FRAME_ERROR: sets err to what the node said; always -1. */
int frame_error(struct sv payload, struct err *err);
/* Of a FRAME_END. */
int frame_end_flags(struct sv payload, unsigned *flags, struct err *err)
    WARN_UNUSED;

#endif
