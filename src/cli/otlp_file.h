/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files of OTLP requests, as the file exporter of the OpenTelemetry Collector
 * writes them and export does:
 *
 *   JSON lines   one ExportTraceServiceRequest as OTLP/JSON on each line
 *   protobuf     each request behind its length, four bytes, big endian
 *
 * The whole file may be compressed with gzip or zstd.  Read, but not written,
 * are also requests that are compressed one by one with zstd (the Collector's
 * "compression: zstd", in both formats behind their lengths), and one bare
 * ExportTraceServiceRequest as protobuf.
 */

#ifndef SPOOR_CLI_OTLP_FILE_H
#define SPOOR_CLI_OTLP_FILE_H

#include "core/base.h"
#include "cli/input.h"
#include "core/compress.h"
#include "core/err.h"
#include "core/sb.h"
#include "span/ingest.h"
#include "span/span.h"

/* --- reading --- */

enum otlp_framing {
    OTLP_FRAMING_UNKNOWN = 0,
    OTLP_FRAMING_LINES,
    OTLP_FRAMING_LENGTHS,
    OTLP_FRAMING_BARE,
};

struct otlp_in {
    struct input in;
    enum otlp_framing framing;
    struct sb inflated; /* the present request */
    uint64_t number;    /* of the request given last, from 1 */
};

int otlp_in_open(struct otlp_in *in, const char *path, struct err *err)
    WARN_UNUSED;
void otlp_in_release(struct otlp_in *in);

struct otlp_item {
    struct sv body;            /* good until the next call */
    enum otlp_format format;
    const char *bad;           /* not NULL: cannot be read, this is why */
};

/* 1: an item; 0: the end; -1: the file cannot be read on. */
int otlp_in_next(struct otlp_in *in, struct otlp_item *item, struct err *err)
    WARN_UNUSED;
/* "line 7" or "request 7", for messages. */
void otlp_in_place(const struct otlp_in *in, char dst[40]);

/* --- writing --- */

/* Where an export stands: what a resumed one goes on from. */
struct otlp_mark {
    uint32_t file;  /* number of the present file, from 1 */
    uint64_t bytes; /* of it */
    uint64_t spans;
};

struct otlp_out;

struct otlp_out_conf {
    const char *path;      /* "-" is standard output */
    enum otlp_format format;
    enum encoding encoding; /* identity, gzip, zstd */
    uint64_t split_bytes;  /* a new file beyond so many; 0: one file */
};

/*
 * What the name says: .json, .jsonl or .pb, .proto, .otlp, then perhaps .gz
 * or .zst.  JSON for other names.
 */
void otlp_name_form(const char *path, enum otlp_format *format,
    enum encoding *encoding);

/*
 * mark: NULL for a new export, which does not overwrite a file (ERR_INVALID);
 * else files are cut back to it.  With split_bytes "a.jsonl.zst" becomes
 * "a-00001.jsonl.zst" and so on.
 */
int otlp_out_open(struct otlp_out **out, const struct otlp_out_conf *conf,
    const struct otlp_mark *mark, struct err *err) WARN_UNUSED;
/* Frees; nothing is written. */
void otlp_out_free(struct otlp_out *out); /* accepts NULL */

/* Spans of a batch as one or several requests. */
int otlp_out_batch(struct otlp_out *out, const struct batch *batch,
    struct err *err) WARN_UNUSED;
/* All so far is on the disk; *mark says where that ends. */
int otlp_out_sync(struct otlp_out *out, struct otlp_mark *mark,
    struct err *err) WARN_UNUSED;
uint64_t otlp_out_spans(const struct otlp_out *out);
uint64_t otlp_out_bytes(const struct otlp_out *out); /* of all files */

#endif
