/* SPDX-License-Identifier: BSD-2-Clause */

/* Prometheus' text format, row by row of core/metrics.def. */

#include "core/base.h"
#include "core/metrics.h"

#include "core/assert.h"
#include "core/mem.h"
#include "core/metrics_table.h"
#include "core/num.h"
#include "core/timefmt.h"

#define METRIC_COLLECTORS_MAX 16
/*
 * What collectors give in one scrape: some hundred flags, and 36 of each
 * storage node.
 */
#define METRIC_SAMPLES_MAX 12288u
#define METRIC_SAMPLE_LABELS_MAX (2 * MIB)

static struct {
    metric_collect_fn fn;
    void *arg;
} collectors[METRIC_COLLECTORS_MAX];
static unsigned collector_count;

struct sample {
    uint32_t next;   /* of the same row; index + 1, 0: none */
    uint32_t labels; /* in the text; UINT32_MAX: those of the row */
    double value;
};

struct metrics_scrape {
    struct sb *out;
    struct sb text;
    uint32_t n;
    uint32_t first[METRIC_COUNT]; /* index + 1; 0: none */
    uint32_t last[METRIC_COUNT];
    struct sample samples[METRIC_SAMPLES_MAX];
};

void
metrics_on_collect(metric_collect_fn fn, void *arg)
{
    check(collector_count < METRIC_COLLECTORS_MAX);
    collectors[collector_count].fn = fn;
    collectors[collector_count].arg = arg;
    collector_count++;
}

void
metric_sample(struct metrics_scrape *scrape, enum metric_id id,
    const char *labels, double value)
{
    struct sample *sample = &scrape->samples[scrape->n];

    /* A flag may be longer than all there is room for: then it is left out. */
    if (scrape->n == METRIC_SAMPLES_MAX || (labels != NULL &&
        scrape->text.len + strlen(labels) + 1 > METRIC_SAMPLE_LABELS_MAX))
        return;
    scrape->n++;
    *sample = (struct sample){0, UINT32_MAX, value};
    if (labels != NULL) {
        sample->labels = (uint32_t)scrape->text.len;
        sb_add_str(&scrape->text, labels);
        sb_add_char(&scrape->text, '\0');
    }
    if (scrape->last[id] != 0)
        scrape->samples[scrape->last[id] - 1].next = scrape->n;
    else
        scrape->first[id] = scrape->n;
    scrape->last[id] = scrape->n;
}

static void
print_double(struct sb *out, double v)
{
    char text[NUM_DOUBLE_MAX];

    sb_add(out, text, num_print_double(text, v));
}

/* name suffix {labels,more}: without braces when there are none. */
static void
print_name(struct sb *out, const char *name, const char *labels,
    const char *more)
{
    sb_add_str(out, name);
    if (labels[0] != '\0' || more[0] != '\0')
        sb_addf(out, "{%s%s%s}", labels,
            labels[0] != '\0' && more[0] != '\0' ? "," : "", more);
    sb_add_char(out, ' ');
}

static void
print_integer(struct sb *out, const struct metric_desc *desc,
    const char *labels, uint64_t v)
{
    print_name(out, desc->name, labels, "");
    if (desc->type == METRIC_TYPE_GAUGE)
        sb_add_i64(out, (int64_t)v);
    else
        sb_add_u64(out, v);
    sb_add_char(out, '\n');
}

static double
in_unit(const struct metric_desc *desc, uint64_t v)
{
    return desc->is_number ? (double)v : (double)v / 1e9;
}

static void
print_end(struct sb *out, const struct metric_desc *desc, const char *suffix,
    const char *labels, double v)
{
    char name[128];

    snprintf(name, sizeof(name), "%s%s", desc->name, suffix);
    print_name(out, name, labels, "");
    print_double(out, v);
    sb_add_char(out, '\n');
}

static void
histogram_sum(int index, uint64_t buckets[METRIC_BUCKETS], uint64_t *sum)
{
    *sum = 0;
    memset(buckets, 0, METRIC_BUCKETS * sizeof(*buckets));
    for (unsigned k = 0; k < metrics_nstripes; k++) {
        const struct metric_histogram *histogram =
            &metrics->stripes[k].histograms[index];

        *sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
        for (size_t i = 0; i < METRIC_BUCKETS; i++)
            buckets[i] += atomic_load_explicit(&histogram->buckets[i],
                memory_order_relaxed);
    }
}

static void
print_histogram(struct sb *out, const struct metric_desc *desc, int index)
{
    const uint64_t *bounds = desc->is_number ? metric_bounds_numbers
                                             : metric_bounds_ns;
    uint64_t buckets[METRIC_BUCKETS], count = 0, sum;

    histogram_sum(index, buckets, &sum);
    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        count += buckets[i];
        sb_addf(out, "%s_bucket{%s%sle=\"", desc->name, desc->labels,
            desc->labels[0] != '\0' ? "," : "");
        if (i < METRIC_BOUNDS)
            print_double(out, in_unit(desc, bounds[i]));
        else
            sb_add_str(out, "+Inf");
        sb_add_str(out, "\"} ");
        sb_add_u64(out, count);
        sb_add_char(out, '\n');
    }
    print_end(out, desc, "_sum", desc->labels, in_unit(desc, sum));
    print_end(out, desc, "_count", desc->labels, (double)count);
}

static void
print_summary(struct sb *out, const struct metric_desc *desc,
    const struct metric_name *name, int64_t now_ns)
{
    const struct metric_summary *summary;
    struct summary_view view;

    if (name->summary >= METRIC_SUMMARIES_MAX)
        return;
    summary = &metrics->summaries[name->summary];
    /* Most endpoints are never used. */
    if (atomic_load(&summary->count) == 0)
        return;
    summary_read(summary, now_ns, &view);
    for (unsigned i = 0; i < SUMMARY_QUANTILES; i++) {
        char more[32];

        snprintf(more, sizeof(more), "quantile=\"%g\"", summary_phis[i]);
        print_name(out, desc->name, name->labels, more);
        if (view.count > 0)
            print_double(out, view.seconds[i]);
        else
            sb_add_str(out, "NaN");
        sb_add_char(out, '\n');
    }
    print_end(out, desc, "_sum", name->labels,
        (double)atomic_load(&summary->sum_ns) / 1e9);
    print_end(out, desc, "_count", name->labels,
        (double)atomic_load(&summary->count));
}

static void
print_series(struct sb *out, enum metric_id id, int64_t now_ns)
{
    const struct metric_desc *desc = metric_describe(id);

    for (unsigned i = 0; i < METRIC_SERIES_MAX; i++) {
        uint32_t at = atomic_load(&metrics->order[i]);
        const struct metric_name *name = &metrics->names[at > 0 ? at - 1
            : 0];

        if (at == 0 || name->id != (uint32_t)id)
            continue;
        if (desc->type == METRIC_TYPE_SUMMARY)
            print_summary(out, desc, name, now_ns);
        else
            print_integer(out, desc, name->labels, metric_series_sum(at - 1));
    }
}

static void
print_samples(struct metrics_scrape *scrape, enum metric_id id)
{
    const struct metric_desc *desc = metric_describe(id);
    uint32_t at = scrape->first[id];

    while (at != 0) {
        const struct sample *sample = &scrape->samples[at - 1];

        print_name(scrape->out, desc->name, sample->labels == UINT32_MAX
            ? desc->labels : scrape->text.ptr + sample->labels, "");
        print_double(scrape->out, sample->value);
        sb_add_char(scrape->out, '\n');
        at = sample->next;
    }
}

static void
print_metadata(struct sb *out, const struct metric_desc *desc)
{
    static const char *const types[] = {
        [METRIC_TYPE_COUNTER] = "counter",
        [METRIC_TYPE_GAUGE] = "gauge",
        [METRIC_TYPE_HISTOGRAM] = "histogram",
        [METRIC_TYPE_SUMMARY] = "summary",
    };

    sb_addf(out, "# HELP %s %s\n# TYPE %s %s\n", desc->name, desc->help,
        desc->name, types[desc->type]);
}

static void
print_row(struct metrics_scrape *scrape, enum metric_id id, int64_t now_ns)
{
    const struct metric_desc *desc = metric_describe(id);

    if (scrape->first[id] != 0)
        print_samples(scrape, id);
    else if (desc->is_series)
        print_series(scrape->out, id, now_ns);
    else if (desc->type == METRIC_TYPE_HISTOGRAM)
        print_histogram(scrape->out, desc, metric_histogram_index(id));
    else if (!desc->is_sampled)
        print_integer(scrape->out, desc, desc->labels, metric_sum(id));
}

void
metrics_print(struct sb *out, bool with_metadata)
{
    struct metrics_scrape *scrape = xcalloc(1, sizeof(*scrape));
    int64_t now_ns = clock_mono_ns();

    scrape->out = out;
    sb_init(&scrape->text, 2 * METRIC_SAMPLE_LABELS_MAX);
    for (unsigned i = 0; i < collector_count; i++)
        collectors[i].fn(scrape, collectors[i].arg);
    check(!sb_failed(&scrape->text));
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        if (with_metadata && (i == 0 || strcmp(metric_describe(i - 1)->name,
            metric_describe(i)->name) != 0))
            print_metadata(out, metric_describe(i));
        print_row(scrape, i, now_ns);
    }
    sb_release(&scrape->text);
    xfree(scrape);
}
