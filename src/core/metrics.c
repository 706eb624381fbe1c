/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/metrics.h"

#include "core/assert.h"
#include "core/metrics_table.h"

const uint64_t metric_bounds_ns[METRIC_BOUNDS] = {
    10000, 25000, 50000, 100000, 250000, 500000,
    1000000, 2500000, 5000000, 10000000, 25000000, 50000000,
    100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000,
    10000000000, 25000000000, 50000000000,
};

const uint64_t metric_bounds_numbers[METRIC_BOUNDS] = {
    1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000, 300000,
    1000000, 3000000, 10000000, 30000000, 100000000, 300000000,
    1000000000, 3000000000, 10000000000,
};

#define DESC_COUNTER METRIC_TYPE_COUNTER, false, false, false
#define DESC_GAUGE METRIC_TYPE_GAUGE, false, false, false
#define DESC_HISTOGRAM METRIC_TYPE_HISTOGRAM, false, false, false
#define DESC_NUMBERS METRIC_TYPE_HISTOGRAM, false, false, true
#define DESC_COUNTER_SERIES METRIC_TYPE_COUNTER, true, false, false
#define DESC_GAUGE_SERIES METRIC_TYPE_GAUGE, true, false, false
#define DESC_SUMMARY_SERIES METRIC_TYPE_SUMMARY, true, false, false
#define DESC_COUNTER_SAMPLE METRIC_TYPE_COUNTER, false, true, false
#define DESC_GAUGE_SAMPLE METRIC_TYPE_GAUGE, false, true, false
#define DESC_SUMMARY_SAMPLE METRIC_TYPE_SUMMARY, false, true, false

static const struct metric_desc metric_descs[] = {
#define METRIC(id, type, name, labels, help) \
    {name, labels, help, DESC_##type},
#include "core/metrics.def"
#undef METRIC
};

#define INDEX_COUNTER(id) -1
#define INDEX_GAUGE(id) -1
#define INDEX_HISTOGRAM(id) HISTOGRAM_##id
#define INDEX_NUMBERS(id) HISTOGRAM_##id
#define INDEX_COUNTER_SERIES(id) -1
#define INDEX_GAUGE_SERIES(id) -1
#define INDEX_SUMMARY_SERIES(id) -1
#define INDEX_COUNTER_SAMPLE(id) -1
#define INDEX_GAUGE_SAMPLE(id) -1
#define INDEX_SUMMARY_SAMPLE(id) -1

static const int histogram_indices[] = {
#define METRIC(id, type, name, labels, help) INDEX_##type(id),
#include "core/metrics.def"
#undef METRIC
};

static union {
    struct metrics_table table;
    char bytes[sizeof(struct metrics_table) + sizeof(struct metric_stripe)];
} metrics_private;

struct metrics_table *metrics = &metrics_private.table;
unsigned metrics_nstripes = 1;
static struct metric_stripe *own = &metrics_private.table.stripes[0];

size_t
metrics_bytes(unsigned nstripes)
{
    return sizeof(struct metrics_table) +
        nstripes * sizeof(struct metric_stripe);
}

/* A series has its place by its labels, so series stay what they were. */
void
metrics_attach(void *shared, unsigned nstripes)
{
    check(nstripes > 0);
    memcpy(shared, metrics, metrics_bytes(1));
    metrics = shared;
    metrics_nstripes = nstripes;
    metrics_take_stripe(0);
}

void
metrics_take_stripe(unsigned stripe)
{
    check(stripe < metrics_nstripes);
    own = &metrics->stripes[stripe];
}

static void
counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t
counter_get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void
metrics_clear_gauges(unsigned stripe)
{
    struct metric_stripe *gone = &metrics->stripes[stripe];

    check(stripe < metrics_nstripes);
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        if (metric_descs[i].type == METRIC_TYPE_GAUGE)
            atomic_store_explicit(&gone->values[i], 0, memory_order_relaxed);
    for (unsigned i = 0; i < METRIC_SERIES_MAX; i++)
        if (atomic_load(&metrics->names[i].state) == SERIES_READY &&
            metric_descs[metrics->names[i].id].type == METRIC_TYPE_GAUGE)
            atomic_store_explicit(&gone->series[i], 0, memory_order_relaxed);
}

void
metric_add(enum metric_id id, uint64_t n)
{
    counter_add(&own->values[id], n);
}

void
metric_set(enum metric_id id, int64_t v)
{
    atomic_store_explicit(&own->values[id], (uint64_t)v,
        memory_order_relaxed);
}

void
metric_gauge_add(enum metric_id id, int64_t delta)
{
    counter_add(&own->values[id], (uint64_t)delta);
}

int
metric_histogram_index(enum metric_id id)
{
    return histogram_indices[id];
}

static void
observe(enum metric_id id, uint64_t n, const uint64_t *bounds)
{
    struct metric_histogram *histogram;
    size_t bucket = 0;

    check(histogram_indices[id] >= 0);
    histogram = &own->histograms[histogram_indices[id]];
    while (bucket < METRIC_BOUNDS && n > bounds[bucket])
        bucket++;
    counter_add(&histogram->buckets[bucket], 1);
    counter_add(&histogram->sum, n);
}

void
metric_observe_ns(enum metric_id id, int64_t ns)
{
    observe(id, (uint64_t)MAX(ns, 0), metric_bounds_ns);
}

void
metric_observe(enum metric_id id, uint64_t n)
{
    check(metric_descs[id].is_number);
    observe(id, n, metric_bounds_numbers);
}

void
metric_series_add(unsigned series, uint64_t n)
{
    if (series < METRIC_SERIES_MAX)
        counter_add(&own->series[series], n);
}

void
metric_series_gauge_add(unsigned series, int64_t delta)
{
    metric_series_add(series, (uint64_t)delta);
}

uint64_t
metric_sum(enum metric_id id)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < metrics_nstripes; i++)
        sum += counter_get(&metrics->stripes[i].values[id]);
    return sum;
}

uint64_t
metric_series_sum(unsigned series)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < metrics_nstripes; i++)
        sum += counter_get(&metrics->stripes[i].series[series]);
    return sum;
}

static uint64_t
histogram_count(int index)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < metrics_nstripes; i++)
        for (size_t k = 0; k < METRIC_BUCKETS; k++)
            count += counter_get(
                &metrics->stripes[i].histograms[index].buckets[k]);
    return count;
}

uint64_t
metric_get(enum metric_id id)
{
    uint64_t sum = 0;

    if (histogram_indices[id] >= 0)
        return histogram_count(histogram_indices[id]);
    if (!metric_descs[id].is_series)
        return metric_sum(id);
    for (unsigned i = 0; i < METRIC_SERIES_MAX; i++)
        if (atomic_load(&metrics->names[i].state) == SERIES_READY &&
            metrics->names[i].id == (uint32_t)id)
            sum += metric_series_sum(i);
    return sum;
}

const struct metric_desc *
metric_describe(enum metric_id id)
{
    return &metric_descs[id];
}
