/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Snappy for core/compress.c: the block format and the framing format.
 */

#ifndef SPOOR_CORE_SNAPPY_H
#define SPOOR_CORE_SNAPPY_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "core/sv.h"

/*
 * Appends the decoded bytes to out, at most bytes_max of them.  Errors as
 * decompress().
 */
int snappy_decode(struct sv src, size_t bytes_max, struct sb *out,
    struct err *err) WARN_UNUSED;

/* Appends one block to out. */
int snappy_encode(struct sv src, struct sb *out, struct err *err) WARN_UNUSED;

#endif
