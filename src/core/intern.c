/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/intern.h"

#include "core/assert.h"
#include "core/mem.h"
#include "core/pool.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FIRST_CAP 256u
/* Of strings that come and go, not given back to the system in between. */
#define KEEP_BYTES (4 * MIB)

void
intern_init(struct intern *intern, size_t bytes_max, uint64_t seed)
{
    memset(intern, 0, sizeof(*intern));
    intern->seed = seed;
    intern->fixed = pool_new(bytes_max);
    intern->loose = pool_new(bytes_max);
    pool_keep(intern->loose, MIN(bytes_max / 2, KEEP_BYTES));
}

void
intern_release(struct intern *intern)
{
    pool_free(intern->fixed);
    pool_free(intern->loose);
    xfree(intern->v);
    xfree(intern->hashes);
    xfree(intern->slots);
    memset(intern, 0, sizeof(*intern));
}

void
intern_share(struct intern *intern, struct mem_share *share)
{
    pool_share(intern->fixed, share);
    pool_share(intern->loose, share);
}

/* The slot of the bytes, or the free one where they belong. */
static uint32_t *
find_slot(const struct intern *intern, struct sv bytes, uint64_t hash)
{
    uint32_t mask = intern->nslots - 1;
    uint32_t slot = (uint32_t)hash & mask;

    while (intern->slots[slot] != 0) {
        uint32_t i = intern->slots[slot] - 1;

        if (intern->hashes[i] == hash && sv_eq(intern->v[i], bytes))
            break;
        slot = (slot + 1) & mask;
    }
    return &intern->slots[slot];
}

static void
fill_slots(struct intern *intern)
{
    uint32_t mask = intern->nslots - 1;

    memset(intern->slots, 0, intern->nslots * sizeof(*intern->slots));
    for (uint32_t i = 0; i < intern->n; i++) {
        uint32_t slot = (uint32_t)intern->hashes[i] & mask;

        while (intern->slots[slot] != 0)
            slot = (slot + 1) & mask;
        intern->slots[slot] = i + 1;
    }
}

static bool
grow(struct intern *intern)
{
    uint32_t cap = MAX(2 * intern->cap, FIRST_CAP);
    void *v = mem_try_realloc(intern->v, cap * sizeof(*intern->v));
    void *hashes, *slots;

    if (v == NULL)
        return false;
    intern->v = v;
    hashes = mem_try_realloc(intern->hashes, cap * sizeof(*intern->hashes));
    if (hashes == NULL)
        return false;
    intern->hashes = hashes;
    slots = mem_try_realloc(intern->slots, 2 * (size_t)cap *
        sizeof(*intern->slots));
    if (slots == NULL)
        return false;
    intern->slots = slots;
    intern->cap = cap;
    intern->nslots = 2 * cap;
    fill_slots(intern);
    return true;
}

uint32_t
intern_add(struct intern *intern, struct sv bytes)
{
    uint64_t hash = XXH3_64bits_withSeed(bytes.ptr, bytes.len, intern->seed);
    struct pool *pool = intern->nfixed == 0 ? intern->fixed : intern->loose;
    uint32_t *slot;
    char *copy;

    if (intern->n == intern->cap &&
        (intern->n >= INT32_MAX / 2 || !grow(intern)))
        return INTERN_NONE;
    slot = find_slot(intern, bytes, hash);
    if (*slot != 0)
        return *slot - 1;
    copy = pool_alloc(pool, bytes.len + 1);
    if (copy == NULL)
        return INTERN_NONE;
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    intern->v[intern->n] = sv_make(copy, bytes.len);
    intern->hashes[intern->n] = hash;
    *slot = ++intern->n;
    return intern->n - 1;
}

void
intern_fix(struct intern *intern)
{
    check(intern->nfixed == 0);
    /* There is one string at least, so that 0 means: not fixed yet. */
    if (intern->n == 0 && intern_add(intern, SV_EMPTY) == INTERN_NONE)
        panic("no memory");
    intern->nfixed = intern->n;
}

void
intern_reset(struct intern *intern)
{
    check(intern->nfixed != 0);
    if (intern->n == intern->nfixed)
        return;
    intern->n = intern->nfixed;
    fill_slots(intern);
    pool_reset(intern->loose);
}
