/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Running pipes over the six spans of the reference, in columns of random
 * forms and chunks of random size, given to one and to several lanes.
 */

#include "core/base.h"
#include "query/pipe.h"

#include "tap.h"

#include "stage_spans.h"

static void
test_stats(void)
{
    gives("* | stats count() a, count(took) b, count(took, duration) c",
        "a=6 b=3 c=6");
    gives("* | stats min(took) a, max(took) b, median(took) c, "
        "quantile(0.9,took) d", "b=900us c=7ms d=900us");
    gives("* | stats count_uniq(took) c, count_uniq(kind,status_code) b, "
        "count_uniq(span_id) limit 3 d, count_uniq(trace_id) e",
        "c=3 b=4 d=3 e=3");
    gives("* | stats uniq_values(took) a", "a=[\"7ms\",\"1.5s\",\"900us\"]");
    gives("* | stats uniq_values(kind,status_code) a",
        "a=[\"0\",\"1\",\"2\",\"3\"]");
    gives("* | stats sum(duration) a, avg(duration) b, max(duration) c",
        "a=98750000 b=24687500 c=abc");
    gives("* | stats count() if (kind:=3) a, count() if (kind:=9) b, "
        "sum(duration) if (kind:=3)",
        "a=2 b=0 sum(duration) if (kind:=3)=7250000");
    gives("* | stats by (kind) count() if (kind:=3) a",
        "kind=2 a=0\nkind=3 a=2");
    gives("* | stats by (kind) sum(took) a, min(_time) b, max(_time) c, "
        "quantile(0.5, _time) d",
        "kind=2 a=1500000000 b=2026-03-01T10:00:00.000000001Z "
        "c=2026-03-01T10:03:59.999999999Z d=2026-03-01T10:03:00Z\n"
        "kind=3 a=7000000 b=2026-03-01T10:00:01.5Z c=2026-03-01T10:02:00Z "
        "d=2026-03-01T10:02:00Z");
    gives("* | limit 99 | filter kind:=9 "
        "| stats count() a, sum(kind) b, avg(kind) c, min(kind) d, "
        "max(kind) e, median(kind) f, count_uniq(kind) g, "
        "uniq_values(kind) h", "a=0 b=NaN c=NaN g=0 h=[]");
    gives("* | limit 99 | filter kind:=9 | stats by (kind) count() a", "");
    gives("* | stats by (kind) count() n | stats sum(n) s, count() g",
        "s=6 g=2");
    gives("* | stats by (trace_id, kind, status_code) count() n",
        "trace_id=t1 kind=2 status_code=0 n=1\n"
        "trace_id=t1 kind=3 status_code=2 n=1\n"
        "trace_id=t2 kind=2 status_code=1 n=1\n"
        "trace_id=t2 kind=3 status_code=0 n=1\n"
        "trace_id=t3 kind=2 status_code=0 n=2");
}

/* Names of results, conditions, several fields, wildcards. */
static void
test_stats_forms(void)
{
    gives("* | count()", "count(*)=6");
    gives("* | by (kind) count() n", "kind=2 n=4\nkind=3 n=2");
    gives("* | stats (kind) count()", "kind=2 count(*)=4\nkind=3 count(*)=2");
    gives("* | stats by () count() n", "n=6");
    gives("* | stats count_uniq(trace_id) limit 2, "
        "sum(duration) if (kind:=3)",
        "count_uniq(trace_id) limit 2=2 sum(duration) if (kind:=3)=7250000");
    gives("* | stats count() if () a, count() if (!kind:=2) b, "
        "count() if (kind:=2 status_code:=0) c, "
        "count() if (kind:=3 or status_code:=1) d, "
        "count(took) if (kind:=2) e, count() if (nosuch:=\"\") f",
        "a=6 b=2 c=3 d=3 e=2 f=6");
    gives("* | stats by (service) count() n, min(duration) if (kind:=2) lo, "
        "uniq_values(span_id) if (kind:=2) ids, "
        "quantile(0.5, kind) if (status_code:=0) q",
        "service=cart n=4 ids=[\"a1\",\"b1\",\"c1\",\"c2\"] q=2\n"
        "service=db n=1 ids=[]\nservice=pay n=1 ids=[] q=3");
    gives("* | stats sum(kind, status_code) a, avg(kind, status_code) b, "
        "max(kind, status_code) c, min(kind, status_code) d, "
        "count_uniq(kind, status_code) e, quantile(1, kind, status_code) f",
        "a=17 b=1.4166666666666667 c=3 d=0 e=4 f=3");
    gives("* | stats sum(k*, st*) a, count(p*, to*) b, max(k*) c, "
        "uniq_values(k*) d, quantile(0, nos*) e", "a=17 b=3 c=3 "
        "d=[\"2\",\"3\"]");
    gives("* | stats sum(took) a, sum(peer.ip) b, sum(_time) c, "
        "avg(duration, took) d", "a=1507000000 b=NaN c=NaN "
        "d=267625000");
    gives("* | stats uniq_values(span_id) limit 2 a, "
        "uniq_values(nosuch) b | fields b", "b=[]");
    gives("* | stats by (nosuch) count() n", "n=6");
    gives("* | stats by (took, nosuch, kind) count() n",
        "kind=2 n=2\nkind=3 n=1\ntook=1.5s kind=2 n=1\n"
        "took=7ms kind=3 n=1\ntook=900us kind=2 n=1");
    gives("* | stats quantile(0, kind) a, quantile(1, kind) b, "
        "quantile(0.5, span_id) c, median(_time) d",
        "a=2 b=3 c=b2 d=2026-03-01T10:02:00Z");
    gives("* | stats min(to*) a, min(took) b, quantile(0, to*) c, "
        "quantile(0, took) d, min(to*, took) e, max(p*, to*) f, "
        "min(nos*) g", "a=7ms c=7ms f=900us");
    gives("* | stats by (kind) min(to*) a, median(to*, k*) b",
        "kind=2 a=1.5s b=2\nkind=3 a=7ms b=3");
    gives("* | fields kind | stats sum() a, min(*) b, max() c, count(*) d, "
        "quantile(0.9) e, uniq_values() f",
        "a=14 b=2 c=3 d=6 e=3 f=[\"2\",\"3\"]");
    gives("* | stats by (kind) count() n | sort by (n desc) limit 1",
        "!n=4 kind=2");
    gives("* | stats by (kind, trace_id) count() n "
        "| stats by (kind) max(n) m | sort by (kind)",
        "!kind=2 m=2\nkind=3 m=1");
}

static void
test_buckets(void)
{
    gives("* | stats by (duration:1ms) count() n",
        "duration=0 n=1\nduration=1000000 n=1\nduration=7000000 n=1\n"
        "duration=90000000 n=1\nduration=abc n=1\nn=1");
    gives("* | stats by (duration:10M offset 5M) count() n",
        "duration=-5000000 n=2\nduration=5000000 n=1\nduration=85000000 n=1\n"
        "duration=abc n=1\nn=1");
    gives("* | stats by (took:1s) count() n",
        "n=3\ntook=0 n=1\ntook=1s n=1\ntook=900us n=1");
    gives("* | stats by (peer.ip:/24) count() n",
        "n=3\npeer.ip=10.0.0.0 n=2\npeer.ip=10.0.1.0 n=1");
    gives("* | stats by (_time:1m offset 20s) count() n",
        "_time=2026-03-01T09:59:20Z n=2\n_time=2026-03-01T10:00:20Z n=1\n"
        "_time=2026-03-01T10:01:20Z n=1\n_time=2026-03-01T10:02:20Z n=1\n"
        "_time=2026-03-01T10:03:20Z n=1");
    gives("* | stats by (_time:1m, kind) count() n",
        "_time=2026-03-01T10:00:00Z kind=2 n=1\n"
        "_time=2026-03-01T10:00:00Z kind=3 n=1\n"
        "_time=2026-03-01T10:01:00Z kind=2 n=1\n"
        "_time=2026-03-01T10:02:00Z kind=3 n=1\n"
        "_time=2026-03-01T10:03:00Z kind=2 n=2");
    gives("* | stats by (_time:day offset 2h) count() n",
        "_time=2026-03-01T02:00:00Z n=6");
    gives("* | stats by (_time:week) count() n",
        "_time=2026-02-23T00:00:00Z n=6");
    gives("* | stats by (_time:1w) count() n",
        "_time=2026-02-26T00:00:00Z n=6");
    gives("* | stats by (_time:month) count() n",
        "_time=2026-03-01T00:00:00Z n=6");
    gives("* | stats by (_time:year) count() n",
        "_time=2026-01-01T00:00:00Z n=6");
    gives("* | stats by (kind:0.5) count() n", "kind=2 n=4\nkind=3 n=2");
    gives("* | stats by (kind:2.5 offset 0.5) count() n", "kind=2 n=6");
    gives("* | stats by (_time:0) count() n | stats count() m", "m=6");
    gives("* | stats by (_time:hour) count() n",
        "_time=2026-03-01T10:00:00Z n=6");
    gives("* | stats by (_time:2m) count() n, max(kind) k",
        "_time=2026-03-01T10:00:00Z n=3 k=3\n"
        "_time=2026-03-01T10:02:00Z n=3 k=3");
    gives("* | stats by (_time:1s) count() n | stats count() m", "m=6");
    gives("* | stats by (service, duration:10M) count() n",
        "service=cart duration=0 n=1\nservice=cart duration=90000000 n=1\n"
        "service=cart duration=abc n=1\nservice=cart n=1\n"
        "service=db duration=0 n=1\nservice=pay duration=0 n=1");
    gives("* | stats by (_time:1m, peer.ip:/16, kind:2) count() n",
        "_time=2026-03-01T10:00:00Z kind=2 n=2\n"
        "_time=2026-03-01T10:01:00Z kind=2 n=1\n"
        "_time=2026-03-01T10:02:00Z peer.ip=10.0.0.0 kind=2 n=1\n"
        "_time=2026-03-01T10:03:00Z peer.ip=10.0.0.0 kind=2 n=2");
    gives("* | stats by (kind:100 offset -1) count() n", "kind=-1 n=6");
}

static void
test_fields(void)
{
    gives("* | fields span_id, nosuch, k*", "span_id=a1 kind=2\n"
        "span_id=a2 kind=3\nspan_id=b1 kind=2\nspan_id=b2 kind=3\n"
        "span_id=c1 kind=2\nspan_id=c2 kind=2");
    gives("* | limit 99 | filter span_id:=b2 | delete _*, t*, s*, n*, d*",
        "kind=3 peer.ip=10.0.0.7");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind, took "
        "| copy kind as x, x as y", "span_id=b2 kind=3 took=7ms x=3 y=3");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind, took "
        "| rename span_id name, name span_id", "span_id=b2 kind=3 took=7ms");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind "
        "| rename nosuch as kind", "span_id=b2");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind "
        "| copy * as a.*", "span_id=b2 kind=3 a.span_id=b2 a.kind=3");
    gives("* | limit 99 | filter span_id:=b2 | fields span_id, kind "
        "| rename span_id as kind", "kind=b2");
    gives("* | delete * | stats count() n", "n=6");
    gives("* | rename kind as x | stats by (x) count() n",
        "x=2 n=4\nx=3 n=2");
    gives("* | fields k*, kind, span_id, span_* | filter span_id:=b2",
        "kind=3 span_id=b2");
    gives("* | fields * | filter span_id:=b2 | fields nosuch, t*",
        "trace_id=t2 took=7ms");
    gives("* | fields nosuch | stats count() n, count(nosuch) c", "n=6 c=0");
    gives("* | rm nosuch, duration, _time | limit 99 | where span_id:=a1",
        "span_id=a1 trace_id=t1 name=GET /cart kind=2 status_code=0 "
        "service=cart");
    gives("* | fields kind, took, span_id | limit 99 | filter span_id:=b2 "
        "| cp kind as b, b as c, nosuch as took",
        "kind=3 span_id=b2 b=3 c=3");
    gives("* | fields kind, span_id | limit 99 | filter span_id:=b2 "
        "| copy s* as x, k* as y.*", "kind=3 span_id=b2 x=b2 y.ind=3");
    gives("* | fields span_id, status_code, service | limit 99 "
        "| filter span_id:=b1 | copy s* as x", "span_id=b1 status_code=1 "
        "service=cart x=cart");
    gives("* | fields span_id, status_code, service | limit 99 "
        "| filter span_id:=b1 | mv s* as x.*",
        "x.pan_id=b1 x.tatus_code=1 x.ervice=cart");
    gives("* | fields kind, span_id | limit 99 | filter span_id:=b2 "
        "| rename kind as kind, span_id as a, a as b", "kind=3 b=b2");
    gives("* | copy _time as t | sort by (t) limit 1 | fields _time, t",
        "_time=2026-03-01T10:00:00.000000001Z "
        "t=2026-03-01T10:00:00.000000001Z");
    gives("* | rename duration as d, kind as duration | limit 99 "
        "| filter duration:=3 | stats sum(d) s, count() n", "s=7250000 n=2");
}

static void
test_rows_out(void)
{
    gives("* | uniq by (kind) with hits", "kind=2 hits=4\nkind=3 hits=2");
    gives("* | uniq by (took, kind)", "kind=2\nkind=3\ntook=1.5s kind=2\n"
        "took=7ms kind=3\ntook=900us kind=2");
    gives("* | uniq by (span_id) with hits limit 2 | stats count() n, "
        "sum(hits) s", "n=2 s=0");
    gives("* | uniq by (kind) with hits limit 2",
        "kind=2 hits=4\nkind=3 hits=2");
    gives("* | uniq by (span_id) limit 2 | stats count() n", "n=2");
    gives("* | fields kind, took, nosuch | field_names",
        "name=kind hits=6\nname=took hits=3");
    gives("* | limit 4 | stats count() n", "n=4");
    gives("* | limit 0 | stats count() n", "n=0");
    gives("* | offset 4 | stats count() n", "n=2");
    gives("* | offset 100 | stats count() n", "n=0");
    gives("* | limit 3 | offset 2 | stats count() n", "n=1");
    gives("* | limit | count() n", "n=6");
    gives("* | head 1K | skip 1 | count() n", "n=5");
    gives("* | offset 2 | limit 3 | offset 2 | limit 3 | count() n", "n=1");
    gives("* | limit 99 | filter kind:=2 | limit 99 | where status_code:=0 "
        "| limit 99 | trace_id:=t3 | fields span_id",
        "span_id=c1\nspan_id=c2");
}

static void
test_uniq(void)
{
    gives("* | uniq (trace_id)", "trace_id=t1\ntrace_id=t2\ntrace_id=t3");
    gives("* | uniq by (kind) hits | filter hits:=4", "kind=2 hits=4");
    gives("* | uniq by (took) with hits | filter took:=\"\"", "hits=3");
    gives("* | uniq by (nosuch, none) with hits", "hits=6");
    gives("* | uniq by (kind, status_code) with hits",
        "kind=2 status_code=0 hits=3\nkind=2 status_code=1 hits=1\n"
        "kind=3 status_code=0 hits=1\nkind=3 status_code=2 hits=1");
    gives("* | uniq by (span_id) limit 6 | count() n", "n=6");
    gives("* | uniq by (span_id) with hits limit 6 | sum(hits) s", "s=6");
    gives("* | uniq by (span_id) with hits limit 5 "
        "| stats count() n, sum(hits) s", "n=5 s=0");
    gives("* | uniq by (span_id) limit 0 | count() n", "n=6");
    gives("* | uniq by (_time) | count() n", "n=6");
    gives("* | limit 99 | filter kind:=9 | uniq by (kind) with hits", "");
    gives("* | rename kind as hits | uniq by (hits) with hits",
        "hits=2 hitss=4\nhits=3 hitss=2");
    gives("* | uniq by (trace_id) | sort by (trace_id desc) limit 2",
        "!trace_id=t3\ntrace_id=t2");
    gives("* | fields kind, took | field_names as f | sort by (f)",
        "!f=kind hits=6\nf=took hits=3");
    gives("* | limit 99 | filter kind:=3 | field_names | filter hits:=1",
        "name=peer.ip hits=1\nname=took hits=1");
    gives("* | limit 99 | filter kind:=9 | field_names", "");
    gives("* | delete * | field_names", "");
}

static void
test_sort(void)
{
    gives("* | sort by (kind, span_id desc) | fields span_id",
        "!span_id=c2\nspan_id=c1\nspan_id=b1\nspan_id=a1\nspan_id=b2\n"
        "span_id=a2");
    gives("* | sort by (kind, span_id) offset 2 limit 2 rank as r "
        "| fields span_id, r", "!span_id=c1 r=3\nspan_id=c2 r=4");
    gives("* | sort by (took, span_id) limit 10 | fields took, span_id",
        "!span_id=a1\nspan_id=a2\nspan_id=b1\ntook=7ms span_id=b2\n"
        "took=1.5s span_id=c1\ntook=900us span_id=c2");
    gives("* | sort by (took desc) limit 2 | fields took, kind",
        "!took=900us kind=2\ntook=1.5s kind=2");
    gives("* | sort by (name) | fields name",
        "!name=GET /cart\nname=GET /cart/checkout\nname=GET /carts\n"
        "name=SELECT orders\nname=charge card\nname=get /cart");
    gives("* | sort by (_time desc) limit 1 partition by (trace_id) "
        "| fields trace_id, span_id",
        "!trace_id=t1 span_id=a2\ntrace_id=t2 span_id=b2\n"
        "trace_id=t3 span_id=c2");
    gives("* | fields kind, span_id | sort by (span_id) limit 2 rank",
        "!rank=1 span_id=a1 kind=2\nrank=2 span_id=a2 kind=3");
    gives("* | sort by (duration desc) limit 3 | fields duration",
        "!duration=abc\nduration=90000000\nduration=7000000");
    gives("* | fields span_id | sort desc limit 2",
        "!span_id=c2\nspan_id=c1");
    gives("* | sort by (span_id) | limit 2 | fields span_id",
        "!span_id=a1\nspan_id=a2");
    gives("* | sort by (span_id desc) | offset 5 | fields span_id",
        "!span_id=a1");
}

static void
test_sort_forms(void)
{
    gives("* | sort by (kind desc, span_id asc) desc | fields span_id",
        "!span_id=c2\nspan_id=c1\nspan_id=b1\nspan_id=a1\nspan_id=b2\n"
        "span_id=a2");
    gives("* | order by (span_id) limit 0 | fields span_id",
        "!span_id=a1\nspan_id=a2\nspan_id=b1\nspan_id=b2\nspan_id=c1\n"
        "span_id=c2");
    gives("* | sort by (span_id) offset 4 | fields span_id",
        "!span_id=c1\nspan_id=c2");
    gives("* | sort by (span_id) offset 9 limit 1", "!");
    gives("* | sort by (span_id) limit 2 offset 5 rank as r | fields r",
        "!r=6");
    gives("* | sort by (nosuch, span_id desc) limit 2 | fields span_id",
        "!span_id=c2\nspan_id=c1");
    gives("* | sort by (_time) limit 2 | fields span_id",
        "!span_id=a1\nspan_id=a2");
    gives("* | sort by (_time desc) limit 2 offset 1 | fields span_id",
        "!span_id=c1\nspan_id=b2");
    gives("* | sort by (_time desc) | fields span_id | limit 2",
        "!span_id=c2\nspan_id=c1");
    gives("* | sort by (duration) limit 4 | fields duration",
        "!\nduration=250000\nduration=1500000\nduration=7000000");
    gives("* | sort by (peer.ip desc) limit 3 | fields peer.ip",
        "!peer.ip=10.0.1.9\npeer.ip=10.0.0.12\npeer.ip=10.0.0.7");
    gives("* | sort by (trace_id desc, kind) limit 3 | fields trace_id, kind",
        "!trace_id=t3 kind=2\ntrace_id=t3 kind=2\ntrace_id=t2 kind=2");
    gives("* | sort by (span_id) limit 2 partition by (kind) "
        "rank as r | fields kind, span_id, r",
        "!kind=2 span_id=a1 r=1\nkind=2 span_id=b1 r=2\n"
        "kind=3 span_id=a2 r=1\nkind=3 span_id=b2 r=2");
    gives("* | sort by (span_id) offset 1 limit 1 "
        "partition by (kind, status_code) | fields span_id",
        "!span_id=c1");
    gives("* | sort by (span_id desc) limit 9 partition by (took) "
        "| fields span_id", "!span_id=b1\nspan_id=a2\nspan_id=a1\n"
        "span_id=b2\nspan_id=c1\nspan_id=c2");
    gives("* | sort by (kind) partition by (service) limit 1 "
        "| fields service, kind",
        "!service=cart kind=2\nservice=db kind=3\nservice=pay kind=3");
    gives("* | fields span_id, kind | sort by (span_id) limit 1 "
        "rank as kind", "!kind=1 span_id=a1");
    gives("* | fields span_id, kind | sort by (kind desc, span_id) limit 1 "
        "rank as span_id", "!kind=3 span_id=a2");
    gives("* | sort by (span_id) limit 3 | filter kind:=3 | fields span_id",
        "!span_id=a2");
    gives("* | sort by (span_id desc) limit 4 | sort by (span_id) limit 2 "
        "| fields span_id", "!span_id=b1\nspan_id=b2");
    gives("* | sort by (span_id) | uniq by (kind) with hits",
        "kind=2 hits=4\nkind=3 hits=2");
    gives("* | sort by (name desc) limit 2 rank | fields name, rank",
        "!name=get /cart rank=1\nname=charge card rank=2");
}

int
main(void)
{
    spans_init();
    test_stats();
    test_stats_forms();
    test_buckets();
    test_fields();
    test_rows_out();
    test_uniq();
    test_sort();
    test_sort_forms();
    return tap_done();
}
