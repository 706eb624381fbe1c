/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A parcel: spans on their way to one storage node, as an OTLP request of
 * their own, with all that the node must know to store them as if the sender
 * had come to it.  parcel.c begins with its bytes, which are the same in
 * requests to /internal/insert and in the durable queue.
 */

#ifndef SPOOR_CLUSTER_PARCEL_H
#define SPOOR_CLUSTER_PARCEL_H

#include "core/base.h"
#include "core/compress.h"
#include "core/err.h"
#include "core/sb.h"
#include "span/span.h"

/* "version" of /internal/insert: both sides must say the same. */
#define INSERT_PROTOCOL "spoor1"

#define PARCEL_ID_BYTES 16

/* Of a parcel: a request of 256 MiB is the largest that any server takes. */
#define PARCEL_BYTES_MAX (256 * MIB)
/* Before the params and the body. */
#define PARCEL_HEAD_BYTES 64u
#define PARCEL_ANSWER_BYTES 16u

struct parcel {
    /*
     * The digest (span/ingest.h) of tenant, parameters and the plain body: a
     * node stores a parcel with this id once (storage/requests.h), whoever
     * sends it again.
     */
    uint8_t id[PARCEL_ID_BYTES];
    struct tenant tenant;
    enum encoding encoding; /* of the body: IDENTITY or ZSTD */
    uint32_t nspans;
    int64_t made_ns;        /* wall clock of the front */
    struct sv params;       /* canonical (span/params.h) */
    struct sv body;         /* ExportTraceServiceRequest, protobuf */
};

/* Appends it; params and body together below PARCEL_BYTES_MAX. */
void parcel_put(struct sb *out, const struct parcel *parcel);
/*
 * Takes the first one off *in; views point into it.  1: there is one; 0: *in
 * is empty; -1: ERR_CORRUPT.
 */
int parcel_take(struct sv *in, struct parcel *out, struct err *err)
    WARN_UNUSED;
size_t parcel_size(const struct parcel *parcel);
void parcel_make_id(struct parcel *parcel, struct sv plain_body);

/*
 * What a node says of one parcel.  The reply to /internal/insert is
 * INSERT_REPLY, then as many answers as there were parcels, in their order.
 */
#define INSERT_REPLY INSERT_PROTOCOL "\n"
/* In one request; senders stay far below it. */
#define PARCELS_PER_REQUEST_MAX 1024u

enum parcel_status {
    PARCEL_STORED = 0,
    PARCEL_BUSY,      /* not stored: the node sheds load */
    PARCEL_UNAVAILABLE, /* not stored: read-only, disk full, stopping */
    PARCEL_MALFORMED, /* never will be */
    PARCEL_TOO_LARGE, /* nor this */
    PARCEL_UNSURE,    /* perhaps stored, perhaps not: this node alone may be
                         asked again */
    PARCEL_PUT_OFF,   /* not stored: this one must wait, others need not */
};
struct parcel_answer {
    enum parcel_status status;
    uint32_t rejected;     /* spans */
    uint32_t reject_mask;  /* 1 << enum reject */
};
void parcel_answer_put(struct sb *out, const struct parcel_answer *answer);
int parcel_answer_take(struct sv *in, struct parcel_answer *out,
    struct err *err) WARN_UNUSED; /* as parcel_take() */

#endif
