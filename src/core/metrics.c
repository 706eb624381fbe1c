/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/metrics.h"

#include "core/assert.h"
#include "core/num.h"

#define METRIC_COLLECTORS_MAX 16

/* Upper bounds in nanoseconds; one more bucket has none. */
static const int64_t bucket_bounds[] = {
    10000, 25000, 50000, 100000, 250000, 500000,
    1000000, 2500000, 5000000, 10000000, 25000000, 50000000,
    100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000,
    10000000000, 25000000000, 50000000000,
};
#define METRIC_BUCKETS (ARRAY_LEN(bucket_bounds) + 1)

/* Numbers the histograms, so that only they have buckets. */
#define ROW_COUNTER(id)
#define ROW_GAUGE(id)
#define ROW_HISTOGRAM(id) HISTOGRAM_##id,
enum {
#define METRIC(id, type, name, labels, help) ROW_##type(id)
#include "core/metrics.def"
#undef METRIC
    HISTOGRAM_COUNT,
};

#define INDEX_COUNTER(id) -1
#define INDEX_GAUGE(id) -1
#define INDEX_HISTOGRAM(id) HISTOGRAM_##id

static const struct metric_desc metric_descs[] = {
#define METRIC(id, type, name, labels, help) \
    {name, labels, help, METRIC_TYPE_##type},
#include "core/metrics.def"
#undef METRIC
};

static const int histogram_indices[] = {
#define METRIC(id, type, name, labels, help) INDEX_##type(id),
#include "core/metrics.def"
#undef METRIC
};

struct histogram {
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t buckets[METRIC_BUCKETS];
};

struct metrics_table {
    _Atomic uint64_t values[METRIC_COUNT];
    struct histogram histograms[HISTOGRAM_COUNT];
};

static struct metrics_table metrics_private;
static struct metrics_table *metrics = &metrics_private;

static struct {
    metric_collect_fn fn;
    void *arg;
} collectors[METRIC_COLLECTORS_MAX];
static unsigned collector_count;

size_t
metrics_bytes(void)
{
    return sizeof(struct metrics_table);
}

void
metrics_attach(void *shared)
{
    metrics = shared;
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
metric_add(enum metric_id id, uint64_t n)
{
    counter_add(&metrics->values[id], n);
}

void
metric_set(enum metric_id id, int64_t v)
{
    atomic_store_explicit(&metrics->values[id], (uint64_t)v,
        memory_order_relaxed);
}

void
metric_gauge_add(enum metric_id id, int64_t delta)
{
    counter_add(&metrics->values[id], (uint64_t)delta);
}

void
metric_observe_ns(enum metric_id id, int64_t ns)
{
    struct histogram *histogram;
    size_t bucket = 0;

    check(histogram_indices[id] >= 0);
    histogram = &metrics->histograms[histogram_indices[id]];
    ns = MAX(ns, 0);
    while (bucket < ARRAY_LEN(bucket_bounds) && ns > bucket_bounds[bucket])
        bucket++;
    counter_add(&histogram->buckets[bucket], 1);
    counter_add(&histogram->sum_ns, (uint64_t)ns);
}

uint64_t
metric_get(enum metric_id id)
{
    const struct histogram *histogram;
    uint64_t count = 0;

    if (histogram_indices[id] < 0)
        return counter_get(&metrics->values[id]);
    histogram = &metrics->histograms[histogram_indices[id]];
    for (size_t i = 0; i < METRIC_BUCKETS; i++)
        count += counter_get(&histogram->buckets[i]);
    return count;
}

bool
metric_find(const char *name, const char *labels, enum metric_id *out)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        if (strcmp(metric_descs[i].name, name) == 0
            && strcmp(metric_descs[i].labels, labels) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

const struct metric_desc *
metric_describe(enum metric_id id)
{
    return &metric_descs[id];
}

void
metrics_on_collect(metric_collect_fn fn, void *arg)
{
    check(collector_count < METRIC_COLLECTORS_MAX);
    collectors[collector_count].fn = fn;
    collectors[collector_count].arg = arg;
    collector_count++;
}

static void
print_seconds(struct sb *out, uint64_t ns)
{
    char text[NUM_DOUBLE_MAX];

    sb_add(out, text, num_print_double(text, (double)ns / 1e9));
}

/* name suffix {labels}: without braces when there are no labels. */
static void
print_series(struct sb *out, const struct metric_desc *desc,
    const char *suffix)
{
    sb_add_str(out, desc->name);
    sb_add_str(out, suffix);
    if (desc->labels[0] != '\0')
        sb_addf(out, "{%s}", desc->labels);
    sb_add_char(out, ' ');
}

static void
print_histogram(struct sb *out, const struct metric_desc *desc,
    const struct histogram *histogram)
{
    uint64_t count = 0;

    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        count += counter_get(&histogram->buckets[i]);
        sb_addf(out, "%s_bucket{%s%sle=\"", desc->name, desc->labels,
            desc->labels[0] != '\0' ? "," : "");
        if (i < ARRAY_LEN(bucket_bounds))
            print_seconds(out, (uint64_t)bucket_bounds[i]);
        else
            sb_add_str(out, "+Inf");
        sb_add_str(out, "\"} ");
        sb_add_u64(out, count);
        sb_add_char(out, '\n');
    }
    print_series(out, desc, "_sum");
    print_seconds(out, counter_get(&histogram->sum_ns));
    sb_add_char(out, '\n');
    print_series(out, desc, "_count");
    sb_add_u64(out, count);
    sb_add_char(out, '\n');
}

static void
print_metadata(struct sb *out, const struct metric_desc *desc)
{
    static const char *const types[] = {
        [METRIC_TYPE_COUNTER] = "counter",
        [METRIC_TYPE_GAUGE] = "gauge",
        [METRIC_TYPE_HISTOGRAM] = "histogram",
    };

    sb_addf(out, "# HELP %s %s\n# TYPE %s %s\n", desc->name, desc->help,
        desc->name, types[desc->type]);
}

void
metrics_print(struct sb *out, bool with_metadata)
{
    for (unsigned i = 0; i < collector_count; i++)
        collectors[i].fn(out, collectors[i].arg);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const struct metric_desc *desc = &metric_descs[i];
        uint64_t v = counter_get(&metrics->values[i]);

        if (with_metadata && (i == 0
            || strcmp(metric_descs[i - 1].name, desc->name) != 0))
            print_metadata(out, desc);
        if (desc->type == METRIC_TYPE_HISTOGRAM) {
            print_histogram(out, desc,
                &metrics->histograms[histogram_indices[i]]);
            continue;
        }
        print_series(out, desc, "");
        if (desc->type == METRIC_TYPE_GAUGE)
            sb_add_i64(out, (int64_t)v);
        else
            sb_add_u64(out, v);
        sb_add_char(out, '\n');
    }
}
