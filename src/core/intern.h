/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Numbers for distinct byte strings, in the order of their first appearance
 * from 0 on.  The strings are copied.  Not thread-safe.
 */

#ifndef SPOOR_CORE_INTERN_H
#define SPOOR_CORE_INTERN_H

#include "core/base.h"
#include "core/sv.h"

#define INTERN_NONE UINT32_MAX

struct mem_share;
struct pool;

struct intern {
    struct sv *v; /* by number; ptr is never NULL */
    uint32_t n;
    /* private */
    uint64_t *hashes;
    uint32_t cap;
    uint32_t nfixed;
    uint32_t *slots; /* number + 1 */
    uint32_t nslots; /* a power of two, or 0 */
    uint64_t seed;
    struct pool *fixed, *loose; /* where the bytes are */
};

/* At most bytes_max of strings before and after intern_fix() each. */
void intern_init(struct intern *intern, size_t bytes_max, uint64_t seed);
void intern_release(struct intern *intern);
/* Before the first: the strings count against the share as well. */
void intern_share(struct intern *intern, struct mem_share *share);

/* Its number; INTERN_NONE: no memory, or more than bytes_max. */
uint32_t intern_add(struct intern *intern, struct sv bytes) WARN_UNUSED;

/* What is there now stays for ever; call at most once. */
void intern_fix(struct intern *intern);
/* Forgets what came after intern_fix(). */
void intern_reset(struct intern *intern);

#endif
