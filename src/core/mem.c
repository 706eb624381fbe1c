/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/mem.h"

#include <malloc.h>

#include "core/assert.h"

static _Atomic uint64_t mem_calls_until_failure;

void
mem_tune(size_t keep)
{
    int bytes = (int)MIN(keep, 64 * MIB);

    (void)mallopt(M_MMAP_THRESHOLD, bytes / 2);
    (void)mallopt(M_TRIM_THRESHOLD, bytes);
}

void
mem_trim(void)
{
    (void)malloc_trim(0);
}

void *
xmalloc(size_t size)
{
    void *ptr = malloc(size > 0 ? size : 1);

    if (UNLIKELY(ptr == NULL))
        panic("out of memory: %zu bytes", size);
    return ptr;
}

void *
xcalloc(size_t count, size_t size)
{
    void *ptr = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

    if (UNLIKELY(ptr == NULL))
        panic("out of memory: %zu times %zu bytes", count, size);
    return ptr;
}

void *
xrealloc(void *ptr, size_t size)
{
    ptr = realloc(ptr, size > 0 ? size : 1);
    if (UNLIKELY(ptr == NULL))
        panic("out of memory: %zu bytes", size);
    return ptr;
}

char *
xstrdup(const char *text)
{
    return xmemdup0(text, strlen(text));
}

char *
xmemdup0(const char *ptr, size_t len)
{
    char *copy;

    check(len < SIZE_MAX);
    copy = xmalloc(len + 1);
    if (len > 0)
        memcpy(copy, ptr, len);
    copy[len] = '\0';
    return copy;
}

void
xfree(void *ptr)
{
    free(ptr);
}

static bool
mem_must_fail(void)
{
    uint64_t left = atomic_load_explicit(&mem_calls_until_failure,
        memory_order_relaxed);

    if (LIKELY(left == 0))
        return false;
    return atomic_fetch_sub(&mem_calls_until_failure, 1) == 1;
}

void *
mem_try_alloc(size_t size)
{
    if (UNLIKELY(mem_must_fail()))
        return NULL;
    return malloc(size > 0 ? size : 1);
}

void *
mem_try_realloc(void *ptr, size_t size)
{
    if (UNLIKELY(mem_must_fail()))
        return NULL;
    return realloc(ptr, size > 0 ? size : 1);
}

void
mem_fail_at(uint64_t nth)
{
    atomic_store(&mem_calls_until_failure, nth);
}
