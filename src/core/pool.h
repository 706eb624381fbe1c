/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A region: everything allocated from it lives until the region is reset or
 * freed.  One per request and one per query; nothing from a region outlives
 * it.  Not thread-safe; a region may be handed from thread to thread.
 */

#ifndef SPOOR_CORE_POOL_H
#define SPOOR_CORE_POOL_H

#include "core/base.h"

struct pool;

/* bytes_max bounds what the region may hold at a time. */
struct pool *pool_new(size_t bytes_max);
void pool_free(struct pool *pool); /* accepts NULL */

/* Frees all but the first chunk. */
void pool_reset(struct pool *pool);

/*
 * 16-byte aligned memory, not zeroed.  NULL when bytes_max would be passed
 * or the system refuses: an expected failure (ERR_LIMIT).
 */
void *pool_alloc(struct pool *pool, size_t size) WARN_UNUSED;
void *pool_zalloc(struct pool *pool, size_t size) WARN_UNUSED;

/* A copy of the bytes with a NUL behind them; NULL as above. */
char *pool_dup(struct pool *pool, const void *ptr, size_t len) WARN_UNUSED;

/* Runs fn(arg) when the region is reset or freed, last added first. */
typedef void (*pool_cleanup_fn)(void *arg);
int pool_on_free(struct pool *pool, pool_cleanup_fn fn, void *arg) WARN_UNUSED;

/* Bytes handed out now. */
size_t pool_used(const struct pool *pool);

#endif
