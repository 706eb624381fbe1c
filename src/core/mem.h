/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The heap.  x-functions abort on failure: use them for small, fixed sizes.
 * A size that a peer chooses goes through mem_try_alloc() or a pool with a
 * maximum, and its failure is an ordinary error.
 */

#ifndef SPOOR_CORE_MEM_H
#define SPOOR_CORE_MEM_H

#include "core/base.h"

void *xmalloc(size_t size) WARN_UNUSED;
void *xcalloc(size_t count, size_t size) WARN_UNUSED;
void *xrealloc(void *ptr, size_t size) WARN_UNUSED;
char *xstrdup(const char *text) WARN_UNUSED;
char *xmemdup0(const char *ptr, size_t len) WARN_UNUSED; /* adds a NUL */
void xfree(void *ptr); /* accepts NULL */

/* NULL when the system refuses.  Free with xfree(). */
void *mem_try_alloc(size_t size) WARN_UNUSED;
void *mem_try_realloc(void *ptr, size_t size) WARN_UNUSED;

/*
 * Once per program: keeps up to so many bytes of freed memory (at most
 * 64 MiB, in pieces of at most half of it) in the process instead of giving
 * it to the kernel after each request, whose pages would be zeroed anew:
 * 0.2 us of 1.3 us a span.
 */
void mem_tune(size_t keep);
/* Gives what was freed back to the kernel now; takes a while. */
void mem_trim(void);

/*
 * Tests: the Nth mem_try_* call from now fails once (0 = never).
 */
void mem_fail_at(uint64_t nth);

#endif
