/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The sink seam: one decoded request on its way to a store.  Decoders make
 * it, a sink (local store, cluster router, a test) takes it.
 */

#ifndef SPOOR_SPAN_INGEST_H
#define SPOOR_SPAN_INGEST_H

#include "core/base.h"
#include "core/compress.h"
#include "span/span.h"

enum otlp_format {
    OTLP_PROTOBUF = 0,
    OTLP_JSON = 1,
};

enum ingest_status {
    INGEST_OK = 0,
    INGEST_BUSY,      /* 429, Retry-After: the node sheds load */
    INGEST_UNAVAILABLE, /* 503, Retry-After: disk full, log failed, stopping */
    INGEST_TOO_LARGE, /* 413: more spans than the store ever takes at once */
    INGEST_REFUSED,   /* 500: a storage node found its share malformed */
};

/* One request on its way to the store.  Owned by the maker until done(). */
struct ingest {
    struct tenant tenant;
    enum otlp_format format;
    enum encoding encoding;
    struct sv wire;        /* body as received: what the log keeps */
    struct sv plain;       /* the same, inflated; lives as long as batch */
    struct sv params;      /* canonical (span/params.h); often empty */
    struct batch *batch;   /* the sink may still reject spans */
    uint8_t digest[16];    /* ingest_make_digest() */
    int64_t recv_time_ns;
    void (*done)(struct ingest *ingest); /* on the loop's thread */
    void *arg;
    /* results, set before done() */
    enum ingest_status status;
    uint32_t rejected;     /* of the first answer, if this was a duplicate */
    uint32_t reject_mask;
    bool is_duplicate;
    /*
     * With any status but OK: it may be stored all the same, or a part of it.
     * Nobody else may get it; the same body sent here again tells.
     */
    bool is_unsure;
    /* With BUSY: it is this body that must wait, others are welcome. */
    bool is_put_off;
    uint32_t retry_after_sec;
    const char *why;       /* not OK: what to say; NULL: the usual.  Valid
                              until done() has returned */
    struct ingest *next;   /* private to the sink */
};

/*
 * xxh3-128 of tenant, parameters and the plain body: what a request is
 * remembered by (storage/requests.h), and a parcel on its way to a storage
 * node is called (cluster/parcel.h).
 */
void ingest_make_digest(uint8_t digest[16], const struct tenant *tenant,
    struct sv params, struct sv plain_body);

#endif
