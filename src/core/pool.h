/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A region: everything allocated from it lives until the region is reset or
 * freed.  One per request and one per query; nothing from a region outlives
 * it.  Not thread-safe; a region may be handed from thread to thread.
 */

#ifndef SPOOR_CORE_POOL_H
#define SPOOR_CORE_POOL_H

#include "core/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif
#ifndef POOL_ASAN
#define POOL_ASAN 0
#endif

#define POOL_ALIGN ((size_t)16)

struct mem_share;
struct pool_chunk;
struct pool_cleanup;

/* All members are private; they are here for the inline pool_alloc(). */
struct pool {
    uint32_t magic;
    char *ptr;                    /* next free byte of the current chunk */
    char *end;
    struct pool_chunk *chunks;    /* newest first; the first made is last */
    struct pool_cleanup *cleanups;
    size_t held;                  /* bytes of all chunks */
    size_t unused;                /* of these, in chunks that are closed */
    size_t bytes_max;
    size_t chunk_next;            /* size of the next ordinary chunk */
    size_t keep;                  /* what pool_keep() said */
    struct mem_share *share;      /* what pool_share() said */
    bool has_kept;                /* the chunk before the first is kept */
};

/*
 * bytes_max bounds what the region may hold at a time (whole chunks count,
 * so what can be handed out is somewhat less).
 */
struct pool *pool_new(size_t bytes_max);
void pool_free(struct pool *pool); /* accepts NULL */

/* Frees all but the first chunk, and what pool_keep() allows. */
void pool_reset(struct pool *pool);

/*
 * From now on a reset keeps about as much memory as was used, in one piece of
 * at most so many bytes (0, as at first: none; at most half of bytes_max).
 * For regions that are filled again at once: the kernel zeroes pages anew
 * that went back to it, which costs more than most of what is put there.
 */
void pool_keep(struct pool *pool, size_t bytes);

/*
 * Once, before anything was allocated: all but the first 8 KiB counts against
 * the share as well, which lives longer than the region.  NULL: against none.
 */
void pool_share(struct pool *pool, struct mem_share *share);

/* Private: the case that needs a new chunk. */
void *pool_alloc_slow(struct pool *pool, size_t size) WARN_UNUSED;

/*
 * 16-byte aligned memory, not zeroed.  NULL when bytes_max would be passed
 * or the system refuses: an expected failure (ERR_LIMIT).
 */
static inline void *WARN_UNUSED
pool_alloc(struct pool *pool, size_t size)
{
#if !POOL_ASAN
    size_t left = (size_t)(pool->end - pool->ptr);

    /* left is a multiple of POOL_ALIGN, so the rounding fits as well. */
    if (LIKELY(size <= left)) {
        void *ptr = pool->ptr;

        pool->ptr += ALIGN_UP(size, POOL_ALIGN);
        return ptr;
    }
#endif
    return pool_alloc_slow(pool, size);
}

void *pool_zalloc(struct pool *pool, size_t size) WARN_UNUSED;

/* A copy of the bytes with a NUL behind them; NULL as above. */
char *pool_dup(struct pool *pool, const void *ptr, size_t len) WARN_UNUSED;

/*
 * Makes the newest allocation, of size bytes, larger in place; false if it is
 * not the newest or its chunk is full.
 */
bool pool_extend(struct pool *pool, void *ptr, size_t size, size_t larger)
    WARN_UNUSED;

/* Runs fn(arg) when the region is reset or freed, last added first. */
typedef void (*pool_cleanup_fn)(void *arg);
int pool_on_free(struct pool *pool, pool_cleanup_fn fn, void *arg) WARN_UNUSED;

/* Bytes handed out now, rounded up to the alignment. */
size_t pool_used(const struct pool *pool);

#endif
