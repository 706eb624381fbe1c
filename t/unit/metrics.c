/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/metrics.h"

#include "core/assert.h"
#include "core/metrics_table.h"
#include "core/timefmt.h"
#include "tap.h"

static struct sb sb;

static bool
ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), n = strlen(suffix);

    return len >= n && strcmp(text + len - n, suffix) == 0;
}

static bool
is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return n > 0 && name[n] == '\0' && !(name[0] >= '0' && name[0] <= '9');
}

/* key="value" pairs with commas between. */
static bool
are_labels(const char *p)
{
    if (*p == '\0')
        return true;
    for (;;) {
        size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz_");

        if (n == 0 || strncmp(p + n, "=\"", 2) != 0)
            return false;
        p = strchr(p + n + 2, '"');
        if (p == NULL)
            return false;
        if (*++p == '\0')
            return true;
        if (*p++ != ',')
            return false;
    }
}

/* Rules of core/metrics.def. */
static void
test_table(void)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const struct metric_desc *d = metric_describe(i), *other;
        bool unit;

        if (!is_name(d->name)
            || (!d->is_series && !d->is_sampled && !are_labels(d->labels))
            || d->help[0] == '\0' || strpbrk(d->help, "\n\\") != NULL)
            fail("row %s{%s} is malformed", d->name, d->labels);
        unit = d->type == METRIC_TYPE_COUNTER ? ends_with(d->name, "_total")
            : d->type == METRIC_TYPE_HISTOGRAM && !d->is_number
            ? ends_with(d->name, "_seconds")
            : !ends_with(d->name, "_total");
        if (!unit)
            fail("%s: the name does not end as its type says", d->name);
        for (unsigned k = i + 1; k < METRIC_COUNT; k++) {
            other = metric_describe(k);
            if (strcmp(other->name, d->name) != 0)
                continue;
            if (strcmp(metric_describe(k - 1)->name, d->name) != 0)
                fail("rows of %s are not adjacent", d->name);
            if (strcmp(other->labels, d->labels) == 0)
                fail("%s{%s} is there twice", d->name, d->labels);
            if (other->type != d->type || strcmp(other->help, d->help) != 0)
                fail("%s has two types or help texts", d->name);
        }
    }
    pass("%d rows follow the rules", METRIC_COUNT);
}

static const char *
print(bool with_metadata)
{
    sb_reset(&sb);
    metrics_print(&sb, with_metadata);
    return sb.ptr;
}

static void
test_values(void)
{
    metric_add(METRIC_SPANS_JSON, 5);
    metric_add(METRIC_SPANS_JSON, 2);
    metric_set(METRIC_HTTP_CONNECTIONS, 10);
    metric_gauge_add(METRIC_HTTP_CONNECTIONS, -12);
    is_int(metric_get(METRIC_SPANS_JSON), 7, "counter");
    ok(strstr(print(false), "\nvt_rows_ingested_total{type="
        "\"opentelemetry_traces_otlphttp_json\"} 7\n") != NULL, "printed");
    ok(strstr(sb.ptr, "\nspoor_http_connections -2\n") != NULL,
        "a gauge may be negative");
    ok(strstr(sb.ptr, "# ") == NULL, "no metadata");
    ok(strstr(print(true), "# HELP vt_rows_ingested_total Spans accepted\n"
        "# TYPE vt_rows_ingested_total counter\nvt_rows_ingested_total{")
        != NULL, "metadata");
    ok(strstr(sb.ptr, "# TYPE spoor_http_connections gauge\n") != NULL,
        "type of a gauge");
    ok(strstr(sb.ptr, "# TYPE spoor_query_seconds histogram\n") != NULL,
        "type of a histogram");
}

static void
test_histograms(void)
{
    metric_observe_ns(METRIC_QUERY_SECONDS_TRACE, 0);
    metric_observe_ns(METRIC_QUERY_SECONDS_TRACE, 10000);
    metric_observe_ns(METRIC_QUERY_SECONDS_TRACE, 10001);
    metric_observe_ns(METRIC_QUERY_SECONDS_TRACE, 100 * NS_PER_SEC);
    metric_observe_ns(METRIC_QUERY_SECONDS_TRACE, -5);
    is_int(metric_get(METRIC_QUERY_SECONDS_TRACE), 5, "observations");
    print(false);
    ok(strstr(sb.ptr, "spoor_query_seconds_bucket{kind=\"trace\","
        "le=\"0.00001\"} 3\n") != NULL, "a bound belongs to its bucket");
    ok(strstr(sb.ptr, "spoor_query_seconds_bucket{kind=\"trace\","
        "le=\"0.000025\"} 4\n") != NULL, "buckets add up");
    ok(strstr(sb.ptr, "spoor_query_seconds_bucket{kind=\"trace\","
        "le=\"50\"} 4\n") != NULL, "the last bound");
    ok(strstr(sb.ptr, "spoor_query_seconds_bucket{kind=\"trace\","
        "le=\"+Inf\"} 5\n") != NULL, "everything");
    ok(strstr(sb.ptr, "spoor_query_seconds_sum{kind=\"trace\"} "
        "100.000020001\n") != NULL, "sum in seconds");
    ok(strstr(sb.ptr, "spoor_query_seconds_count{kind=\"trace\"} 5\n")
        != NULL, "count");
    ok(strstr(sb.ptr, "spoor_decode_seconds_bucket{le=\"0.00001\"} 0\n")
        != NULL, "a histogram without labels");
}

static void
test_series(void)
{
    unsigned a = metric_series(METRIC_HTTP_REQUESTS, "path=\"/a\"");
    unsigned b = metric_series(METRIC_HTTP_REQUESTS, "path=\"/b\"");
    unsigned c = metric_series(METRIC_HTTP_ERRORS, "path=\"/a\"");
    char labels[2 * METRIC_LABELS_MAX];

    ok(a != b && a != c && b != c, "series are told apart");
    is_int(metric_series(METRIC_HTTP_REQUESTS, "path=\"/a\""), a,
        "and found again");
    metric_series_add(a, 3);
    metric_series_add(b, 4);
    is_int(metric_get(METRIC_HTTP_REQUESTS), 7, "their sum");
    ok(strstr(print(false), "\nvt_http_requests_total{path=\"/a\"} 3\n")
        != NULL, "printed");
    memset(labels, 'x', sizeof(labels));
    labels[METRIC_LABELS_MAX] = '\0';
    is_int(metric_series(METRIC_HTTP_REQUESTS, labels), METRIC_SERIES_NONE,
        "labels may be too long");
    metric_series_add(METRIC_SERIES_NONE, 1);
    for (unsigned i = 0; i < METRIC_SERIES_MAX; i++) {
        snprintf(labels, sizeof(labels), "path=\"/%u\"", i);
        c = metric_series(METRIC_HTTP_REQUESTS, labels);
    }
    is_int(c, METRIC_SERIES_NONE, "there may be too many");
    is_int(metric_series(METRIC_HTTP_REQUESTS, "path=\"/a\""), a,
        "the first ones stay");
}

static double
quantile_of(const char *phi)
{
    char text[128];
    const char *at;

    snprintf(text, sizeof(text), "vt_http_request_duration_seconds{"
        "path=\"/s\",quantile=\"%s\"} ", phi);
    at = strstr(print(false), text);
    return at == NULL ? -1 : strtod(at + strlen(text), NULL);
}

static bool
is_near(double a, double b)
{
    return a > b * 0.93 && a < b * 1.07;
}

static void
test_summaries(void)
{
    unsigned series = metric_series(METRIC_HTTP_SECONDS, "path=\"/s\"");

    is_int((long)quantile_of("0.5"), -1, "not there until it is seen");
    for (int i = 1; i <= 1000; i++)
        metric_series_observe_ns(series, i * NS_PER_MS, clock_mono_ns());
    ok(is_near(quantile_of("0.5"), 0.5), "median %f", quantile_of("0.5"));
    ok(is_near(quantile_of("0.9"), 0.9), "0.9");
    ok(is_near(quantile_of("0.97"), 0.97), "0.97");
    ok(is_near(quantile_of("0.99"), 0.99), "0.99 %f", quantile_of("0.99"));
    ok(quantile_of("1") == 1, "the largest is exact");
    ok(strstr(sb.ptr, "\nvt_http_request_duration_seconds_count{path=\"/s\"}"
        " 1000\n") != NULL, "count");
    ok(strstr(sb.ptr, "\nvt_http_request_duration_seconds_sum{path=\"/s\"}"
        " 500.5\n") != NULL, "sum");
    metric_series_observe_ns(series, INT64_MAX, clock_mono_ns());
    metric_series_observe_ns(series, -1, clock_mono_ns());
    metric_series_observe_ns(series, 0, clock_mono_ns());
    ok(quantile_of("1") > 9e9, "the ends");
}

static void
test_summary_time(void)
{
    static struct metric_summary summary;
    int64_t minute = 60 * NS_PER_SEC, now = 1000 * minute;
    struct summary_view view;

    summary_observe(&summary, NS_PER_SEC, now);
    summary_read(&summary, now, &view);
    is_int((long)view.count, 1, "seen at once");
    summary_observe(&summary, 2 * NS_PER_SEC, now + 3 * minute);
    summary_read(&summary, now + 4 * minute, &view);
    is_int((long)view.count, 2, "after four minutes, too");
    summary_read(&summary, now + 5 * minute, &view);
    is_int((long)view.count, 1, "the first is forgotten after five");
    summary_observe(&summary, 3 * NS_PER_SEC, now + 5 * minute);
    summary_read(&summary, now + 5 * minute, &view);
    is_int((long)view.count, 2, "its slot is used again");
    ok(view.seconds[SUMMARY_QUANTILES - 1] == 3, "the largest of them");
    summary_read(&summary, now + 60 * minute, &view);
    is_int((long)view.count, 0, "nothing for an hour");
}

/* Stripes: sums, and what is left of a process that ended. */
static void
test_stripes(void *shared)
{
    metrics_attach(shared, 3);
    metrics_take_stripe(1);
    metric_add(METRIC_SPANS_GRPC, 5);
    metric_set(METRIC_TAILS, 2);
    metric_series_gauge_add(metric_series(METRIC_LISTENER_CONNS,
        "name=\"http\",addr=\":1\""), 7);
    metrics_take_stripe(2);
    metric_add(METRIC_SPANS_GRPC, 6);
    metric_set(METRIC_TAILS, 3);
    is_int(metric_get(METRIC_SPANS_GRPC), 11, "counters of all processes");
    is_int(metric_get(METRIC_TAILS), 5, "gauges of all processes");
    metrics_clear_gauges(1);
    is_int(metric_get(METRIC_SPANS_GRPC), 11, "counts stay");
    is_int(metric_get(METRIC_TAILS), 3, "what it held is gone");
    is_int(metric_get(METRIC_LISTENER_CONNS), 0, "in series, too");
    metrics_take_stripe(0);
}

static char huge[3 * MIB]; /* a flag that is too long to be shown */

static void
collect(struct metrics_scrape *scrape, void *arg)
{
    metric_sample(scrape, METRIC_APP_VERSION, arg, 1);
    metric_sample(scrape, METRIC_FLAG, huge, 1);
    metric_sample(scrape, METRIC_PARTS_BAD, NULL, 17);
    for (unsigned i = 0; i < 13000; i++)
        metric_sample(scrape, METRIC_PROCESSES, "role=\"x\"", i);
}

int
main(void)
{
    void *shared = aligned_alloc(64, metrics_bytes(3));
    struct sb labels;
    char arg[] = "version=\"test\"";

    check(shared != NULL);
    memset(shared, 0, metrics_bytes(3));
    sb_init(&sb, MIB);
    test_table();
    test_values();
    test_histograms();
    metric_observe(METRIC_GROUP_INSERTS, 3);
    metric_observe(METRIC_GROUP_INSERTS, 4);
    ok(strstr(print(false), "\nspoor_log_group_inserts_bucket{le=\"3\"} 1\n"
        "spoor_log_group_inserts_bucket{le=\"10\"} 2\n") != NULL,
        "numbers");
    test_summaries();
    test_summary_time();
    test_stripes(shared);
    is_int(metric_get(METRIC_SPANS_JSON), 7, "a new table takes all over");
    metrics_on_collect(collect, arg);
    memset(huge, 'x', sizeof(huge) - 1);
    ok(strncmp(print(false), "vm_app_version{version=\"test\"} 1\n", 33)
        == 0, "collector");
    ok(strstr(sb.ptr, "\nspoor_parts_bad 17\n") != NULL,
        "a sample stands for the row");
    ok(strstr(sb.ptr, "xxx") == NULL, "what is too much is left out");
    ok(strstr(sb.ptr, "process_open_fds") == NULL, "no sample, no line");
    test_series();
    sb_init(&labels, KIB);
    metric_add_label(&labels, "a", SV("x\"\\\n"));
    metric_add_label(&labels, "b", SV(""));
    is_str(labels.ptr, "a=\"x\\\"\\\\\\n\",b=\"\"", "labels are escaped");
    sb_release(&labels);
    sb_release(&sb);
    free(shared);
    return tap_done();
}
