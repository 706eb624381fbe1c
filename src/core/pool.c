/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/pool.h"

#include "core/assert.h"
#include "core/mem.h"
#include "core/mem_share.h"

#define POOL_MAGIC 0x4c4f4f50u /* "POOL" */

/* Most requests fit the first; the last keeps the number of chunks small. */
#define POOL_CHUNK_FIRST (8 * KIB)
#define POOL_CHUNK_LAST (1 * MIB)

#if POOL_ASAN
#include <sanitizer/asan_interface.h>
#define POOL_POISON(ptr, len) ASAN_POISON_MEMORY_REGION(ptr, len)
#define POOL_UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#else
#define POOL_POISON(ptr, len) ((void)(ptr), (void)(len))
#define POOL_UNPOISON(ptr, len) ((void)(ptr), (void)(len))
#endif

struct pool_chunk {
    struct pool_chunk *next;
    size_t size; /* of data */
    _Alignas(16) char data[];
};

struct pool_cleanup {
    struct pool_cleanup *next;
    pool_cleanup_fn fn;
    void *arg;
};

/* The region and its first chunk are one piece of memory. */
struct pool_head {
    struct pool pool;
    _Alignas(16) struct pool_chunk first;
};

static void
pool_open_chunk(struct pool *pool, struct pool_chunk *chunk)
{
    pool->ptr = chunk->data;
    pool->end = chunk->data + chunk->size;
}

struct pool *
pool_new(size_t bytes_max)
{
    struct pool_head *head;
    size_t size;

    bytes_max = MIN(bytes_max, SIZE_MAX / 4);
    bytes_max = ALIGN_UP(bytes_max, POOL_ALIGN);
    size = MIN(bytes_max, POOL_CHUNK_FIRST);
    head = xmalloc(sizeof(*head) + size);
    head->pool = (struct pool){
        .magic = POOL_MAGIC,
        .chunks = &head->first,
        .held = size,
        .bytes_max = bytes_max,
        .chunk_next = 2 * POOL_CHUNK_FIRST,
    };
    head->first.next = NULL;
    head->first.size = size;
    pool_open_chunk(&head->pool, &head->first);
    POOL_POISON(head->first.data, size);
    return &head->pool;
}

static void
pool_run_cleanups(struct pool *pool)
{
    while (pool->cleanups != NULL) {
        struct pool_cleanup *cleanup = pool->cleanups;

        pool->cleanups = cleanup->next;
        cleanup->fn(cleanup->arg);
    }
}

/* Frees the chunks down to the given one, which becomes empty and open. */
static void
pool_free_chunks(struct pool *pool, struct pool_chunk *last)
{
    struct pool_chunk *chunk = pool->chunks;

    while (chunk != last) {
        struct pool_chunk *next = chunk->next;

        POOL_UNPOISON(chunk->data, chunk->size);
        pool->held -= chunk->size;
        mem_share_give(pool->share, chunk->size);
        xfree(chunk);
        chunk = next;
    }
    pool->chunks = last;
    pool->unused = pool->held - last->size;
    pool->chunk_next = 2 * POOL_CHUNK_FIRST;
    pool_open_chunk(pool, last);
    POOL_POISON(last->data, last->size);
}

static struct pool_chunk *
pool_first_chunk(struct pool *pool)
{
    return &((struct pool_head *)pool)->first;
}

/* The chunk that the last reset kept, or NULL. */
static struct pool_chunk *
pool_kept_chunk(struct pool *pool)
{
    struct pool_chunk *chunk = pool->chunks;

    if (!pool->has_kept)
        return NULL;
    while (chunk->next != pool_first_chunk(pool))
        chunk = chunk->next;
    return chunk;
}

/* A power of two, so that regions that grow slowly rarely move. */
static size_t
pool_size_to_keep(const struct pool *pool)
{
    size_t size = POOL_CHUNK_FIRST;

    while (size < pool_used(pool) && size < pool->keep)
        size *= 2;
    return MIN(size, pool->keep);
}

static struct pool_chunk *pool_add_chunk(struct pool *pool, size_t size);

void
pool_reset(struct pool *pool)
{
    struct pool_chunk *kept;
    size_t size;

    OBJ_CHECK(pool, POOL_MAGIC);
    pool_run_cleanups(pool);
    size = pool_size_to_keep(pool);
    kept = pool_kept_chunk(pool);
    if (kept != NULL && kept->size >= size && kept->size <= pool->keep) {
        pool_free_chunks(pool, kept);
        return;
    }
    pool_free_chunks(pool, pool_first_chunk(pool));
    pool->has_kept = false;
    if (size <= POOL_CHUNK_FIRST)
        return;
    kept = pool_add_chunk(pool, size);
    if (kept == NULL)
        return;
    pool->has_kept = true;
    pool_free_chunks(pool, kept);
}

void
pool_keep(struct pool *pool, size_t bytes)
{
    OBJ_CHECK(pool, POOL_MAGIC);
    pool->keep = ALIGN_UP(MIN(bytes, pool->bytes_max / 2), POOL_ALIGN);
}

void
pool_share(struct pool *pool, struct mem_share *share)
{
    OBJ_CHECK(pool, POOL_MAGIC);
    check(pool->share == NULL && pool->chunks == pool_first_chunk(pool));
    pool->share = share;
}

void
pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    OBJ_CHECK(pool, POOL_MAGIC);
    pool_run_cleanups(pool);
    pool_free_chunks(pool, pool_first_chunk(pool));
    POOL_UNPOISON(pool->chunks->data, pool->chunks->size);
    pool->magic = 0;
    xfree(pool);
}

/* A chunk of size bytes before the newest, or NULL. */
static struct pool_chunk *
pool_add_chunk(struct pool *pool, size_t size)
{
    struct pool_chunk *chunk;

    if (size > pool->bytes_max - pool->held ||
        !mem_share_take(pool->share, size))
        return NULL;
    chunk = mem_try_alloc(sizeof(*chunk) + size);
    if (chunk == NULL) {
        mem_share_give(pool->share, size);
        return NULL;
    }
    chunk->size = size;
    chunk->next = pool->chunks;
    pool->chunks = chunk;
    pool->held += size;
    POOL_POISON(chunk->data, size);
    return chunk;
}

void *
pool_alloc_slow(struct pool *pool, size_t size)
{
    struct pool_chunk *chunk;
    size_t rounded, want, left;
    void *ptr;

    OBJ_CHECK(pool, POOL_MAGIC);
    if (size > pool->bytes_max)
        return NULL;
    rounded = ALIGN_UP(size, POOL_ALIGN);
    left = (size_t)(pool->end - pool->ptr);

    if (rounded > left) {
        if (rounded > pool->chunk_next / 4) {
            /* A large piece gets its own chunk; the current stays open. */
            chunk = pool_add_chunk(pool, rounded);
            if (chunk == NULL)
                return NULL;
            POOL_UNPOISON(chunk->data, size);
            return chunk->data;
        }
        want = MIN(pool->chunk_next, pool->bytes_max - pool->held);
        chunk = pool_add_chunk(pool, MAX(want, rounded));
        if (chunk == NULL)
            return NULL;
        pool->unused += left;
        pool->chunk_next = MIN(2 * pool->chunk_next, POOL_CHUNK_LAST);
        pool_open_chunk(pool, chunk);
    }
    ptr = pool->ptr;
    pool->ptr += rounded;
    POOL_UNPOISON(ptr, size);
    return ptr;
}

void *
pool_zalloc(struct pool *pool, size_t size)
{
    void *ptr = pool_alloc(pool, size);

    if (ptr != NULL)
        memset(ptr, 0, size);
    return ptr;
}

char *
pool_dup(struct pool *pool, const void *ptr, size_t len)
{
    char *copy;

    if (len == SIZE_MAX)
        return NULL;
    copy = pool_alloc(pool, len + 1);
    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, ptr, len);
    copy[len] = '\0';
    return copy;
}

bool
pool_extend(struct pool *pool, void *ptr, size_t size, size_t larger)
{
    char *start = ptr;

    check_slow(larger >= size);
    if (start + ALIGN_UP(size, POOL_ALIGN) != pool->ptr)
        return false;
    if (larger > (size_t)(pool->end - start))
        return false;
    pool->ptr = start + ALIGN_UP(larger, POOL_ALIGN);
    POOL_UNPOISON(start, larger);
    return true;
}

int
pool_on_free(struct pool *pool, pool_cleanup_fn fn, void *arg)
{
    struct pool_cleanup *cleanup = pool_alloc(pool, sizeof(*cleanup));

    if (cleanup == NULL)
        return -1;
    cleanup->next = pool->cleanups;
    cleanup->fn = fn;
    cleanup->arg = arg;
    pool->cleanups = cleanup;
    return 0;
}

size_t
pool_used(const struct pool *pool)
{
    return pool->held - pool->unused - (size_t)(pool->end - pool->ptr);
}
