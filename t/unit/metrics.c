/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/metrics.h"

#include "core/mem.h"
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

        if (!is_name(d->name) || !are_labels(d->labels)
            || d->help[0] == '\0' || strpbrk(d->help, "\n\\") != NULL)
            fail("row %s{%s} is malformed", d->name, d->labels);
        unit = d->type == METRIC_TYPE_COUNTER ? ends_with(d->name, "_total")
            : d->type == METRIC_TYPE_HISTOGRAM ? ends_with(d->name, "_seconds")
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
collect(struct sb *out, void *arg)
{
    sb_addf(out, "vm_app_%s 1\n", (const char *)arg);
    metric_set(METRIC_PARTS_BAD, 17);
}

int
main(void)
{
    enum metric_id id = METRIC_COUNT;
    void *shared = xcalloc(1, metrics_bytes());
    char arg[] = "test";

    sb_init(&sb, MIB);
    test_table();
    test_values();
    metrics_attach(shared);
    is_int(metric_get(METRIC_SPANS_JSON), 0, "another table");
    test_values();
    test_histograms();
    metrics_on_collect(collect, arg);
    ok(strncmp(print(false), "vm_app_test 1\n", 14) == 0, "collector");
    ok(strstr(sb.ptr, "\nspoor_parts_bad 17\n") != NULL,
        "a gauge that it sets is as new");
    ok(metric_find("vt_http_requests_total", "path=\"/health\"", &id)
        && id == METRIC_HTTP_REQUESTS_HEALTH, "find a row");
    ok(!metric_find("vt_http_requests_total", "", &id), "or not");
    sb_release(&sb);
    xfree(shared);
    return tap_done();
}
