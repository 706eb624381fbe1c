/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Metrics: counters, gauges and histograms in shared memory, declared once in
 * core/metrics.def with their help text.  Any process may add; any worker
 * answers /metrics for all.
 */

#ifndef SPOOR_CORE_METRICS_H
#define SPOOR_CORE_METRICS_H

#include "core/base.h"
#include "core/sb.h"

/* METRIC(id, type, name, labels, help): type COUNTER, GAUGE or HISTOGRAM. */
enum metric_id {
#define METRIC(id, type, name, labels, help) METRIC_##id,
#include "core/metrics.def"
#undef METRIC
    METRIC_COUNT,
};

/*
 * Bytes of shared memory the table needs, and its place.  Until
 * metrics_attach() a private table is used, so tests need no set-up.
 */
size_t metrics_bytes(void);
void metrics_attach(void *shared);

void metric_add(enum metric_id id, uint64_t n);
void metric_set(enum metric_id id, int64_t v);
void metric_gauge_add(enum metric_id id, int64_t delta);
/*
 * Nanoseconds into a histogram (printed in seconds).  Buckets reach from
 * 10 us to 50 s in steps of 1, 2.5 and 5.
 */
void metric_observe_ns(enum metric_id id, int64_t ns);
/* Value of a counter or gauge; number of observations of a histogram. */
uint64_t metric_get(enum metric_id id);

/*
 * The row of this name and labels; false if there is none.  Slow: for tables
 * that are made once.
 */
bool metric_find(const char *name, const char *labels, enum metric_id *out);

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE,
    METRIC_TYPE_HISTOGRAM };

struct metric_desc {
    const char *name;
    const char *labels;
    const char *help;
    enum metric_type type;
};

/* For docs and tests; a static row. */
const struct metric_desc *metric_describe(enum metric_id id);

/*
 * Called first when /metrics is asked: fn sets gauges of the table, or appends
 * whole lines of its own.
 */
typedef void (*metric_collect_fn)(struct sb *out, void *arg);
void metrics_on_collect(metric_collect_fn fn, void *arg); /* at most 16 */

/* Prometheus text format; with_metadata adds HELP and TYPE lines. */
void metrics_print(struct sb *out, bool with_metadata);

#endif
