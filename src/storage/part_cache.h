/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The parts a process has open, by id: opening costs a few reads, so they
 * stay open until the budget is used up or the catalogue dropped them.
 * Thread-safe.
 */

#ifndef SPOOR_STORAGE_PART_CACHE_H
#define SPOOR_STORAGE_PART_CACHE_H

#include "core/base.h"
#include "core/err.h"
#include "storage/part.h"

/* Open parts of a process: one descriptor and its index sections each. */
#define PART_CACHE_MAX 4096u

/* A part of the caller's snapshot; give back with part_cache_put(). */
int part_cache_get(struct part **out, const struct part_info *info,
    struct err *err) WARN_UNUSED;
void part_cache_put(struct part *part);

/*
 * Closes what has left the catalogue, or is BAD there: the file of a merged part takes space
 * on the disk as long as anybody has it open.  False when some are still in
 * use.
 */
bool part_cache_sweep(void);

/* Closes what nobody uses; at process end and in tests. */
void part_cache_clear(void);

#endif
