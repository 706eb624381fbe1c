/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Summaries: quantiles over the last minutes.  Time is cut into slots of a
 * minute; an observation goes to a bucket of the present slot, and the
 * buckets of all slots that are not too old are added up when it is asked
 * for.  The first observation of a minute empties the slot that is used
 * again; what others add to it in this moment may be lost.
 */

#include "core/base.h"
#include "core/metrics_summary.h"

#include "core/timefmt.h"

const double summary_phis[SUMMARY_QUANTILES] = {0.5, 0.9, 0.97, 0.99, 1};

static unsigned
bucket_of(int64_t ns)
{
    uint64_t n = (uint64_t)MAX(ns, 0) >> (SUMMARY_LOW_BITS -
        SUMMARY_SUB_BITS);
    unsigned octave;

    if (n < 1u << SUMMARY_SUB_BITS)
        return 0;
    octave = 63 - (unsigned)__builtin_clzll(n) - SUMMARY_SUB_BITS;
    if (octave >= SUMMARY_OCTAVES)
        return SUMMARY_BUCKETS - 1;
    return 1 + (octave << SUMMARY_SUB_BITS) +
        (unsigned)((n >> octave) & ((1u << SUMMARY_SUB_BITS) - 1));
}

/* The lower end of a bucket in ns. */
static double
bucket_start(unsigned bucket)
{
    unsigned octave, sub;

    if (bucket == 0)
        return 0;
    octave = (bucket - 1) >> SUMMARY_SUB_BITS;
    sub = (bucket - 1) & ((1u << SUMMARY_SUB_BITS) - 1);
    return (double)((uint64_t)((1u << SUMMARY_SUB_BITS) + sub) << octave
        << (SUMMARY_LOW_BITS - SUMMARY_SUB_BITS));
}

/* From 1, so that no epoch is that of untouched memory. */
static int64_t
epoch_of(int64_t now_ns)
{
    return now_ns / (SUMMARY_SLOT_SEC * NS_PER_SEC) + 1;
}

static void
max_raise(_Atomic int64_t *max, int64_t ns)
{
    int64_t seen = atomic_load_explicit(max, memory_order_relaxed);

    while (seen < ns && !atomic_compare_exchange_weak(max, &seen, ns))
        ;
}

void
summary_observe(struct metric_summary *summary, int64_t ns, int64_t now_ns)
{
    int64_t epoch = epoch_of(now_ns);
    unsigned at = (unsigned)((uint64_t)epoch % SUMMARY_SLOTS);
    int64_t seen = atomic_load_explicit(&summary->slots[at].epoch,
        memory_order_relaxed);

    if (seen != epoch && atomic_compare_exchange_strong(
        &summary->slots[at].epoch, &seen, epoch)) {
        atomic_store(&summary->slots[at].max_ns, 0);
        for (unsigned i = 0; i < SUMMARY_BUCKETS; i++)
            atomic_store_explicit(&summary->slots[at].buckets[i], 0,
                memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&summary->slots[at].buckets[bucket_of(ns)], 1,
        memory_order_relaxed);
    max_raise(&summary->slots[at].max_ns, ns);
    atomic_fetch_add_explicit(&summary->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&summary->sum_ns, (uint64_t)MAX(ns, 0),
        memory_order_relaxed);
}

/* Between the ends of the bucket, as if its values were spread evenly. */
static double
quantile(const uint64_t *buckets, uint64_t count, double phi, double max_ns)
{
    double rank = phi * (double)count, below = 0;

    for (unsigned i = 0; i < SUMMARY_BUCKETS; i++) {
        double n = (double)buckets[i], start, end;

        if (n == 0 || below + n < rank) {
            below += n;
            continue;
        }
        start = bucket_start(i);
        end = i + 1 < SUMMARY_BUCKETS ? bucket_start(i + 1) : max_ns;
        return MIN(start + (end - start) * (rank - below) / n, max_ns);
    }
    return max_ns;
}

void
summary_read(const struct metric_summary *summary, int64_t now_ns,
    struct summary_view *view)
{
    uint64_t buckets[SUMMARY_BUCKETS] = {0};
    int64_t epoch = epoch_of(now_ns), max_ns = 0;

    view->count = 0;
    for (unsigned k = 0; k < SUMMARY_SLOTS; k++) {
        if (epoch - atomic_load(&summary->slots[k].epoch) >= SUMMARY_SLOTS)
            continue;
        max_ns = MAX(max_ns, atomic_load(&summary->slots[k].max_ns));
        for (unsigned i = 0; i < SUMMARY_BUCKETS; i++) {
            uint32_t n = atomic_load_explicit(&summary->slots[k].buckets[i],
                memory_order_relaxed);

            buckets[i] += n;
            view->count += n;
        }
    }
    for (unsigned i = 0; i < SUMMARY_QUANTILES && view->count > 0; i++)
        view->seconds[i] = summary_phis[i] == 1 ? (double)max_ns / 1e9
            : quantile(buckets, view->count, summary_phis[i],
                (double)max_ns) / 1e9;
}
