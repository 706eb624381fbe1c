/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Metrics: counters, gauges, histograms and summaries, declared once in
 * core/metrics.def with their help text.  They live in shared memory, where
 * every process has a stripe of its own to add to without disturbing others
 * (a few ns); any worker answers /metrics with the sums.  A stripe outlives
 * its process, so no counter ever goes backwards while the master lives;
 * gauges of a process that ended are cleared.
 */

#ifndef SPOOR_CORE_METRICS_H
#define SPOOR_CORE_METRICS_H

#include "core/base.h"
#include "core/sb.h"

/* METRIC(id, type, name, labels, help): see core/metrics.def. */
enum metric_id {
#define METRIC(id, type, name, labels, help) METRIC_##id,
#include "core/metrics.def"
#undef METRIC
    METRIC_COUNT,
};

/*
 * Bytes of shared memory for so many stripes, and their place.  Until
 * metrics_attach() a private table with one stripe is used, so tests need no
 * set-up.
 */
size_t metrics_bytes(unsigned nstripes);
void metrics_attach(void *shared, unsigned nstripes);
/* What this process counts goes to this stripe from now on. */
void metrics_take_stripe(unsigned stripe);
/* The process of the stripe is gone: what it held, it holds no more. */
void metrics_clear_gauges(unsigned stripe);

void metric_add(enum metric_id id, uint64_t n);
/* This process' share of the gauge; the sum of all shares is shown. */
void metric_set(enum metric_id id, int64_t v);
void metric_gauge_add(enum metric_id id, int64_t delta);
/*
 * Nanoseconds into a HISTOGRAM (printed in seconds).  Buckets reach from
 * 10 us to 50 s in steps of 1, 2.5 and 5.
 */
void metric_observe_ns(enum metric_id id, int64_t ns);
/* A number into NUMBERS; buckets from 1 to 10^10 in steps of 1 and 3. */
void metric_observe(enum metric_id id, uint64_t n);
/*
 * Value of a counter or gauge; number of observations of a histogram; the
 * sum of all series.
 */
uint64_t metric_get(enum metric_id id);

/* --- series: labels that are known at run time --- */

/* Of all processes; those beyond it are not counted. */
#define METRIC_SERIES_MAX 768u
#define METRIC_LABELS_MAX 200u
#define METRIC_SERIES_NONE UINT_MAX

/*
 * The series of a *_SERIES row with these labels ('path="/x",format="json"',
 * without braces; values escaped), made if it is new: the same number in
 * every process.  Slow: keep the number.  METRIC_SERIES_NONE, which may be
 * added to in vain, when there are too many.
 */
unsigned metric_series(enum metric_id id, const char *labels);
void metric_series_add(unsigned series, uint64_t n);
void metric_series_gauge_add(unsigned series, int64_t delta);
/*
 * SUMMARY_SERIES: the quantiles of the last 5 minutes are printed.  now_ns:
 * monotonic, roughly; the caller has read the clock anyway.
 */
void metric_series_observe_ns(unsigned series, int64_t ns, int64_t now_ns);

/* Appends name="value", a comma before it unless it is the first. */
void metric_add_label(struct sb *labels, const char *name, struct sv value);

/* --- the table --- */

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE,
    METRIC_TYPE_HISTOGRAM, METRIC_TYPE_SUMMARY };

struct metric_desc {
    const char *name;
    const char *labels; /* of a series or sample: their names, for people */
    const char *help;
    enum metric_type type;
    bool is_series;  /* labels are known at run time */
    bool is_sampled; /* values are made when they are asked for */
    bool is_number;  /* a histogram without a unit */
};

/* For docs and tests; a static row. */
const struct metric_desc *metric_describe(enum metric_id id);

/* --- /metrics --- */

/*
 * Called when /metrics is asked: fn gives values with metric_sample(), to
 * *_SAMPLE rows or in place of what was added.
 */
struct metrics_scrape;
typedef void (*metric_collect_fn)(struct metrics_scrape *scrape, void *arg);
void metrics_on_collect(metric_collect_fn fn, void *arg); /* at most 16 */
/* labels as in metric_series(); NULL: those of the row. */
void metric_sample(struct metrics_scrape *scrape, enum metric_id id,
    const char *labels, double value);

/* Prometheus text format; with_metadata adds HELP and TYPE lines. */
void metrics_print(struct sb *out, bool with_metadata);

#endif
