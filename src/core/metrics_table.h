/* SPDX-License-Identifier: BSD-2-Clause */

/* What core/metrics*.c share: the layout of the table. */

#ifndef SPOOR_CORE_METRICS_TABLE_H
#define SPOOR_CORE_METRICS_TABLE_H

#include "core/base.h"
#include "core/metrics.h"
#include "core/metrics_summary.h"

/* Upper bounds of histograms; one more bucket has none. */
#define METRIC_BOUNDS 21
#define METRIC_BUCKETS (METRIC_BOUNDS + 1)
extern const uint64_t metric_bounds_ns[METRIC_BOUNDS];
extern const uint64_t metric_bounds_numbers[METRIC_BOUNDS];

/* Numbers the histograms, so that only they have buckets. */
#define METRIC_IF_COUNTER(id)
#define METRIC_IF_GAUGE(id)
#define METRIC_IF_HISTOGRAM(id) HISTOGRAM_##id,
#define METRIC_IF_NUMBERS(id) HISTOGRAM_##id,
#define METRIC_IF_COUNTER_SERIES(id)
#define METRIC_IF_GAUGE_SERIES(id)
#define METRIC_IF_SUMMARY_SERIES(id)
#define METRIC_IF_COUNTER_SAMPLE(id)
#define METRIC_IF_GAUGE_SAMPLE(id)
#define METRIC_IF_SUMMARY_SAMPLE(id)
enum {
#define METRIC(id, type, name, labels, help) METRIC_IF_##type(id)
#include "core/metrics.def"
#undef METRIC
    HISTOGRAM_COUNT,
};

/* -1: the row is no histogram. */
int metric_histogram_index(enum metric_id id);

struct metric_histogram {
    _Atomic uint64_t sum; /* ns, or what it counts */
    _Atomic uint64_t buckets[METRIC_BUCKETS];
};

struct metric_stripe {
    _Alignas(64) _Atomic uint64_t values[METRIC_COUNT];
    struct metric_histogram histograms[HISTOGRAM_COUNT];
    _Atomic uint64_t series[METRIC_SERIES_MAX];
};

/* Endpoints that are timed, by format. */
#define METRIC_SUMMARIES_MAX 64u

/* --- the whole --- */

enum { SERIES_FREE, SERIES_FILLING, SERIES_READY };

struct metric_name {
    _Atomic uint32_t state;
    uint32_t id;      /* enum metric_id */
    uint32_t summary; /* of SUMMARY_SERIES */
    char labels[METRIC_LABELS_MAX];
};

struct metrics_table {
    _Atomic uint32_t nsummaries;
    /* Places of names + 1, in the order in which they were made. */
    _Atomic uint32_t nnames;
    _Atomic uint32_t order[METRIC_SERIES_MAX];
    struct metric_name names[METRIC_SERIES_MAX];
    struct metric_summary summaries[METRIC_SUMMARIES_MAX];
    struct metric_stripe stripes[];
};

extern struct metrics_table *metrics;
extern unsigned metrics_nstripes;

/* Sums over the stripes. */
uint64_t metric_sum(enum metric_id id);
uint64_t metric_series_sum(unsigned series);

#endif
