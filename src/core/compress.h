/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Content encodings.  Every decoder has a ceiling for what it may produce and
 * allocates as bytes arrive, never by what a header promises beyond the
 * ceiling.
 */

#ifndef SPOOR_CORE_COMPRESS_H
#define SPOOR_CORE_COMPRESS_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "core/sv.h"

enum encoding {
    ENCODING_IDENTITY = 0,
    ENCODING_GZIP,
    ENCODING_DEFLATE, /* zlib format; raw deflate is accepted too */
    ENCODING_ZSTD,
    ENCODING_SNAPPY,  /* block format or framed (detected by its magic) */
    ENCODING_COUNT,
};

/* "gzip", "x-gzip", "", "none", "identity" ...: false if unknown. */
bool encoding_from_name(struct sv name, enum encoding *out);
const char *encoding_name(enum encoding encoding);

/*
 * Replaces *out by the decoded bytes.  ERR_LIMIT when more than bytes_max
 * would come out, ERR_INVALID when the data is damaged or ends early or has
 * trailing garbage (several gzip members and zstd frames are legal).
 * Thread-safe: contexts are per thread.
 */
int decompress(enum encoding encoding, struct sv src, size_t bytes_max,
    struct sb *out, struct err *err) WARN_UNUSED;

/* Appends the encoded bytes to out (gzip, deflate, zstd, snappy block). */
int compress_append(enum encoding encoding, struct sv src, int level,
    struct sb *out, struct err *err) WARN_UNUSED;

#endif
