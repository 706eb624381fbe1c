/* SPDX-License-Identifier: BSD-2-Clause */

/* Stats functions that give rows, lists, ranges and rates. */

#include "core/base.h"
#include "query/pipe.h"

#include "stage_spans.h"

static void
test_counts(void)
{
    gives("* | stats count_empty(took) a, count_empty(took, duration) b, "
        "count_empty() c, count_empty(nosuch) d, count_empty(peer.*, took) e",
        "a=3 b=0 c=0 d=6 e=3");
    gives("* | stats by (kind) count_empty(took) if (!status_code:=0) a",
        "kind=2 a=1\nkind=3 a=1");
    gives("* | stats count_uniq_hash(took) a, count_uniq_hash(trace_id) b, "
        "count_uniq_hash(kind, status_code) limit 3 c", "a=3 b=3 c=3");
    gives("* | stats sum_len(took) a, sum_len(kind, status_code) b, "
        "sum_len(nosuch) c, sum_len(duration) d, sum_len(_time) e, "
        "sum_len(t*) f", "a=12 b=12 c=0 d=31 e=142 f=24");
    gives("* | stats by (service) sum_len(duration) n",
        "service=cart n=18\nservice=db n=6\nservice=pay n=7");
    /* Not those that depend on the order by a digit. */
    gives("* | stats stddev(kind) if (kind:=2) a, stddev(nosuch) b, "
        "stddev(took, nosuch) c, stddev(kind, status_code) if (span_id:=a1) d",
        "a=0 b=NaN c=746500000 d=1");
    gives("* | limit 9 | filter kind:=9 | stats count_empty(kind) a, "
        "count_uniq_hash(kind) b, sum_len(kind) c, stddev(kind) d, rate() e, "
        "rate_sum(kind) f, values(kind) g, json_values() h, row_any() i, "
        "row_max(kind) j, row_min(kind, name) k, histogram(kind) l, "
        "any(kind) m, field_max(kind, name) n, field_min(kind, name) o",
        "a=0 b=0 c=0 d=NaN e=0 f=NaN g=[] h=[] i={} j={} k={} l=[]");
}

static void
test_rates(void)
{
    gives("* | stats rate() a, rate_sum(kind) b, rate() if (kind:=3) c",
        "a=6 b=14 c=2");
    gives("* | stats by (_time:1m) rate() a, rate_sum(status_code) b",
        "_time=2026-03-01T10:00:00Z a=0.03333333333333333 "
        "b=0.03333333333333333\n"
        "_time=2026-03-01T10:01:00Z a=0.016666666666666666 "
        "b=0.016666666666666666\n"
        "_time=2026-03-01T10:02:00Z a=0.016666666666666666 b=0\n"
        "_time=2026-03-01T10:03:00Z a=0.03333333333333333 b=0");
    gives("_time:[2026-03-01T10:00, 2026-03-01T10:03] | stats rate() a, "
        "rate_sum(kind) b", "a=0.025 b=0.058333333333333334");
}

static void
test_histogram(void)
{
    gives("* | stats histogram(kind) h", "h=[{\"vmrange\":"
        "\"1.896e+00...2.154e+00\",\"hits\":4},{\"vmrange\":"
        "\"2.783e+00...3.162e+00\",\"hits\":2}]");
    gives("* | stats by (service) histogram(duration) h", "service=cart h=[{"
        "\"vmrange\":\"1.468e+06...1.668e+06\",\"hits\":1},{\"vmrange\":"
        "\"8.799e+07...1.000e+08\",\"hits\":1}]\nservice=db h=[{\"vmrange\":"
        "\"2.448e+05...2.783e+05\",\"hits\":1}]\nservice=pay h=[{\"vmrange\":"
        "\"6.813e+06...7.743e+06\",\"hits\":1}]");
    gives("* | stats histogram(status_code) h", "h=[{\"vmrange\":"
        "\"0...1.000e-09\",\"hits\":4},{\"vmrange\":"
        "\"1.896e+00...2.154e+00\",\"hits\":1},{\"vmrange\":"
        "\"8.799e-01...1.000e+00\",\"hits\":1}]");
    gives("* | stats histogram(took) h", "h=[{\"vmrange\":"
        "\"1.468e+09...1.668e+09\",\"hits\":1},{\"vmrange\":"
        "\"6.813e+06...7.743e+06\",\"hits\":1}]");
}

static void
test_lists(void)
{
    gives("* | sort by (span_id) | stats values(took) a, values(span_id) b, "
        "values(kind) limit 2 c", "a=[\"\",\"\",\"\",\"7ms\",\"1.5s\","
        "\"900us\"] b=[\"a1\",\"a2\",\"b1\",\"b2\",\"c1\",\"c2\"] "
        "c=[\"2\",\"3\"]");
    gives("* | sort by (span_id) | stats by (trace_id) values(to*) a, "
        "values(nosuch, kind) b",
        "trace_id=t1 a=[] b=[\"\",\"\",\"2\",\"3\"]\n"
        "trace_id=t2 a=[\"7ms\"] b=[\"\",\"\",\"2\",\"3\"]\n"
        "trace_id=t3 a=[\"1.5s\",\"900us\"] b=[\"\",\"\",\"2\",\"2\"]");
    gives("* | stats by (trace_id) json_values(span_id, took, nosuch) "
        "if (kind:=3) a", "trace_id=t1 a=[\"{\\\"span_id\\\":\\\"a2\\\"}\"]\n"
        "trace_id=t2 a=[\"{\\\"span_id\\\":\\\"b2\\\",\\\"took\\\":"
        "\\\"7ms\\\"}\"]\ntrace_id=t3 a=[]");
    gives("* | stats json_values(span_id) sort by (kind desc, span_id) a",
        "a=[\"{\\\"span_id\\\":\\\"a2\\\"}\",\"{\\\"span_id\\\":\\\"b2\\\"}\""
        ",\"{\\\"span_id\\\":\\\"a1\\\"}\",\"{\\\"span_id\\\":\\\"b1\\\"}\","
        "\"{\\\"span_id\\\":\\\"c1\\\"}\",\"{\\\"span_id\\\":\\\"c2\\\"}\"]");
    gives("* | stats json_values(span_id) sort by (_time desc) limit 1 a, "
        "json_values(span_id) sort by (name) limit 2 b",
        "a=[\"{\\\"span_id\\\":\\\"c2\\\"}\"] "
        "b=[\"{\\\"span_id\\\":\\\"a1\\\"}\",\"{\\\"span_id\\\":"
        "\\\"b1\\\"}\"]");
    gives("* | stats json_values(nosuch) limit 2 a", "a=[\"{}\",\"{}\"]");
}

static void
test_rows(void)
{
    gives("* | limit 9 | filter span_id:=b2 | stats row_any(took, span_id, "
        "nosuch) a, row_any(nosuch) b", "a={\"span_id\":\"b2\","
        "\"took\":\"7ms\"} b={}");
    gives("* | sort by (span_id desc) limit 1 | stats row_any(took, span_id) "
        "a, row_any(nosuch) b",
        "a={\"span_id\":\"c2\",\"took\":\"900us\"} b={}");
    gives("* | stats row_max(duration, span_id, duration) if (!span_id:=c1) "
        "a, row_min(duration, name, took) b, row_max(nosuch, name) c, "
        "row_max(_time, name) d, row_min(_time, kind, span_id) e",
        "a={\"span_id\":\"b1\",\"duration\":\"90000000\"} "
        "b={\"name\":\"SELECT orders\"} c={} d={\"name\":\"GET /carts\"} "
        "e={\"kind\":\"2\",\"span_id\":\"a1\"}");
    gives("* | stats by (trace_id) row_min(took, took) a, "
        "row_max(span_id, s*) b",
        "trace_id=t1 a={} b={\"span_id\":\"a2\",\"status_code\":\"2\","
        "\"service\":\"db\"}\n"
        "trace_id=t2 a={\"took\":\"7ms\"} b={\"span_id\":\"b2\","
        "\"status_code\":\"0\",\"service\":\"pay\"}\n"
        "trace_id=t3 a={\"took\":\"1.5s\"} b={\"span_id\":\"c2\","
        "\"status_code\":\"0\",\"service\":\"cart\"}");
    gives("* | stats by (trace_id) any(took) a, field_max(_time, span_id) b, "
        "field_min(_time, took) c, any(nosuch, service) if (kind:=3) d",
        "trace_id=t1 b=a2 d=db\ntrace_id=t2 a=7ms b=b2 d=pay\n"
        "trace_id=t3 a=1.5s b=c2 c=1.5s");
}

static void
test_switch(void)
{
    gives("* | stats count() switch(case (kind:=3) as a, "
        "case (status_code:=0) as b, default as c), count() n",
        "a=2 b=3 c=1 n=6");
    gives("* | stats by (kind) sum(duration) switch(if (status_code:=0) zero, "
        "default other)", "kind=2 zero=1500000 other=90000000\n"
        "kind=3 zero=7000000 other=250000");
    gives("* | stats count() switch", "switch=6");
}

int
main(void)
{
    spans_init();
    test_counts();
    test_rates();
    test_histogram();
    test_lists();
    test_rows();
    test_switch();
    return tap_done();
}
