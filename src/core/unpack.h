/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A file read from front to end, decompressed on the way in bounded memory:
 * gzip and zstd (several members or frames, too) are recognised by their
 * first bytes, anything else is taken as it is.
 */

#ifndef SPOOR_CORE_UNPACK_H
#define SPOOR_CORE_UNPACK_H

#include "core/base.h"
#include "core/err.h"

struct unpack;

/* "-" is standard input. */
int unpack_open(struct unpack **out, const char *path, struct err *err)
    WARN_UNUSED;
void unpack_close(struct unpack *unpack); /* accepts NULL */

/*
 * Up to len bytes; *got is 0 at the end only.  ERR_INVALID: the compressed
 * data is damaged or ends early; what came before was good.
 */
int unpack_read(struct unpack *unpack, void *dst, size_t len, size_t *got,
    struct err *err) WARN_UNUSED;

#endif
