/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Quantiles of what was observed in the last minutes, by any process that has
 * the summary in its memory; zeroed at first.
 */

#ifndef SPOOR_CORE_METRICS_SUMMARY_H
#define SPOOR_CORE_METRICS_SUMMARY_H

#include "core/base.h"

/* Observations of these many seconds share buckets ... */
#define SUMMARY_SLOT_SEC 60
/* ... and so many such slots are looked at. */
#define SUMMARY_SLOTS 5u
/* Eight buckets an octave, so a quantile is off by 6 % at most; from 8 us. */
#define SUMMARY_SUB_BITS 3
#define SUMMARY_LOW_BITS 13
#define SUMMARY_OCTAVES 24u
#define SUMMARY_BUCKETS ((SUMMARY_OCTAVES << SUMMARY_SUB_BITS) + 1)

struct metric_summary {
    _Atomic uint64_t count;
    _Atomic uint64_t sum_ns;
    struct {
        _Atomic int64_t epoch; /* number of the time that it is of */
        _Atomic int64_t max_ns;
        _Atomic uint32_t buckets[SUMMARY_BUCKETS];
    } slots[SUMMARY_SLOTS];
};

void summary_observe(struct metric_summary *summary, int64_t ns,
    int64_t now_ns);

/* What a summary says now. */
#define SUMMARY_QUANTILES 5
extern const double summary_phis[SUMMARY_QUANTILES];
struct summary_view {
    uint64_t count; /* in the window; 0: no quantiles */
    double seconds[SUMMARY_QUANTILES];
};
void summary_read(const struct metric_summary *summary, int64_t now_ns,
    struct summary_view *view);

#endif
