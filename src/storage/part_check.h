/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Verifying sections that say again what the rows say; private to
 * part_check*.c.  Begin, then each block, then end.
 */

#ifndef SPOOR_STORAGE_PART_CHECK_H
#define SPOOR_STORAGE_PART_CHECK_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "storage/part_read.h"

/* --- VALUES (part_check_values.c) --- */

struct part_check_values;

/* *out is NULL when there is no section; everything is in the pool. */
int part_check_values_begin(struct part_check_values **out,
    struct part *part, struct pool *pool, struct err *err) WARN_UNUSED;
/* The pool here is reset. */
int part_check_values_block(struct part_check_values *check,
    struct reading *r, struct pool *pool) WARN_UNUSED;
int part_check_values_end(const struct part_check_values *check,
    struct err *err) WARN_UNUSED;

#endif
