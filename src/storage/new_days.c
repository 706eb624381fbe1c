/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/new_days.h"

#include "core/timefmt.h"

static bool
is_known(const struct new_days *days, uint64_t index)
{
    return (atomic_load_explicit(&days->known[index / 64],
        memory_order_relaxed) >> index % 64 & 1) != 0;
}

/* True when the tenant has a day left in this minute, and takes it. */
static bool
grant(struct new_days *days, const struct tenant *tenant, int64_t mono_ns)
{
    uint32_t hash = tenant->account * 31 + tenant->project;
    _Atomic uint64_t *count = &days->granted[hash % NEW_DAYS_TENANTS];
    uint64_t minute = (uint64_t)(mono_ns / NEW_DAYS_NS) + 1;
    uint64_t was = atomic_load(count), now;

    do {
        now = was >> 32 == minute ? was + 1 : minute << 32 | 1;
        if ((now & UINT32_MAX) > NEW_DAYS_MAX)
            return false;
    } while (!atomic_compare_exchange_weak(count, &was, now));
    return true;
}

bool
new_days_allow(struct new_days *days, const struct tenant *tenant,
    const struct batch *batch, int64_t mono_ns)
{
    int64_t start_ns = INT64_MAX;

    for (uint32_t i = 0; i < batch->nspans; i++) {
        int64_t end_ns = batch->spans[i].end_ns;
        uint64_t index;

        /* Neighbours mostly share their day. */
        if (batch->spans[i].reject != REJECT_NONE || (end_ns >= start_ns &&
            end_ns - start_ns < NS_PER_DAY))
            continue;
        index = (uint64_t)(end_ns / NS_PER_DAY);
        if (end_ns < 0 || index >= NEW_DAYS_BITS)
            continue;
        start_ns = (int64_t)index * NS_PER_DAY;
        if (is_known(days, index))
            continue;
        if (!grant(days, tenant, mono_ns))
            return false;
        atomic_fetch_or(&days->known[index / 64], UINT64_C(1) << index % 64);
    }
    return true;
}

static uint64_t
index_of(uint32_t day)
{
    return (uint64_t)(time_day_start(day) / NS_PER_DAY);
}

void
new_days_know(struct new_days *days, uint32_t day)
{
    uint64_t index = index_of(day);

    atomic_fetch_or(&days->known[index / 64], UINT64_C(1) << index % 64);
}

void
new_days_forget(struct new_days *days, uint32_t day)
{
    uint64_t index = index_of(day);

    atomic_fetch_and(&days->known[index / 64],
        ~(UINT64_C(1) << index % 64));
}
