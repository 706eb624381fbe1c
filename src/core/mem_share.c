/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/mem_share.h"

#include "core/assert.h"

bool
mem_share_take(struct mem_share *share, size_t bytes)
{
    size_t used;

    if (share == NULL)
        return true;
    used = atomic_load_explicit(&share->used, memory_order_relaxed);
    do {
        if (used > share->max || bytes > share->max - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&share->used, &used,
        used + bytes, memory_order_relaxed, memory_order_relaxed));
    if (mem_share_take(share->parent, bytes)) {
        if (used + bytes > mem_share_peak(share))
            atomic_store_explicit(&share->peak, used + bytes,
                memory_order_relaxed);
        return true;
    }
    atomic_store(&share->was_starved, true);
    atomic_fetch_sub_explicit(&share->used, bytes, memory_order_relaxed);
    return false;
}

void
mem_share_give(struct mem_share *share, size_t bytes)
{
    for (; share != NULL; share = share->parent) {
        size_t used = atomic_fetch_sub_explicit(&share->used, bytes,
            memory_order_relaxed);

        check(used >= bytes);
    }
}

size_t
mem_share_peak(const struct mem_share *share)
{
    return atomic_load_explicit(&share->peak, memory_order_relaxed);
}

void
mem_share_forget_peak(struct mem_share *share)
{
    atomic_store_explicit(&share->peak,
        atomic_load_explicit(&share->used, memory_order_relaxed),
        memory_order_relaxed);
}
