/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/pool.h"

#include "core/assert.h"
#include "core/mem.h"

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

void
pool_reset(struct pool *pool)
{
    struct pool_chunk *chunk;

    OBJ_CHECK(pool, POOL_MAGIC);
    pool_run_cleanups(pool);
    chunk = pool->chunks;
    while (chunk->next != NULL) {
        struct pool_chunk *next = chunk->next;

        POOL_UNPOISON(chunk->data, chunk->size);
        xfree(chunk);
        chunk = next;
    }
    pool->chunks = chunk;
    pool->held = chunk->size;
    pool->unused = 0;
    pool->chunk_next = 2 * POOL_CHUNK_FIRST;
    pool_open_chunk(pool, chunk);
    POOL_POISON(chunk->data, chunk->size);
}

void
pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    pool_reset(pool);
    POOL_UNPOISON(pool->chunks->data, pool->chunks->size);
    pool->magic = 0;
    xfree(pool);
}

/* A chunk of size bytes behind the newest, or NULL. */
static struct pool_chunk *
pool_add_chunk(struct pool *pool, size_t size)
{
    struct pool_chunk *chunk;

    if (size > pool->bytes_max - pool->held)
        return NULL;
    chunk = mem_try_alloc(sizeof(*chunk) + size);
    if (chunk == NULL)
        return NULL;
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
