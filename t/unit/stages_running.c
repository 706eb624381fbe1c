/* SPDX-License-Identifier: BSD-2-Clause */

/* running_stats, total_stats and pipes that tell how a query is executed. */

#include "core/base.h"
#include "query/pipe.h"

#include "stage_spans.h"

static void
test_running(void)
{
    gives("* | running_stats count() n, sum(kind) s | fields span_id, n, s",
        "!span_id=a1 n=1 s=2\nspan_id=a2 n=2 s=5\nspan_id=b1 n=3 s=7\n"
        "span_id=b2 n=4 s=10\nspan_id=c1 n=5 s=12\nspan_id=c2 n=6 s=14");
    gives("* | running_stats by (kind) count() as n, max(span_id) m, "
        "min(span_id) l | fields span_id, n, m, l",
        "!span_id=a1 n=1 m=a1 l=a1\nspan_id=a2 n=1 m=a2 l=a2\n"
        "span_id=b1 n=2 m=b1 l=a1\nspan_id=b2 n=2 m=b2 l=a2\n"
        "span_id=c1 n=3 m=c1 l=a1\nspan_id=c2 n=4 m=c2 l=a1");
    gives("* | running_stats (trace_id) last(span_id) offset 1 p, "
        "count(took) n, last(took) | fields span_id, p, n, \"last(took)\"",
        "!span_id=a1 n=0\nspan_id=a2 p=a1 n=0\nspan_id=b1 n=0\n"
        "span_id=b2 p=b1 n=1 last(took)=7ms\n"
        "span_id=c1 n=1 last(took)=1.5s\n"
        "span_id=c2 p=c1 n=2 last(took)=900us");
    gives("* | running_stats count() kind | fields kind, service",
        "!kind=1 service=cart\nkind=2 service=db\nkind=3 service=cart\n"
        "kind=4 service=pay\nkind=5 service=cart\nkind=6 service=cart");
    gives("* | running_stats sum(took) s, min(to*) m | fields s, m",
        "!s=NaN\ns=NaN\ns=NaN\ns=7000000 m=7ms\n"
        "s=1507000000 m=7ms\ns=1507000000 m=7ms");
    gives("* | limit 9 | filter kind:=9 | running_stats count() n", "!");
    gives("* | running_stats count() n | limit 2 | fields n", "!n=1\nn=2");
}

static void
test_total(void)
{
    gives("* | total_stats count() n, sum(kind) s | fields span_id, n, s",
        "!span_id=a1 n=6 s=14\nspan_id=a2 n=6 s=14\nspan_id=b1 n=6 s=14\n"
        "span_id=b2 n=6 s=14\nspan_id=c1 n=6 s=14\nspan_id=c2 n=6 s=14");
    gives("* | total_stats by (trace_id) first(span_id) f, last(span_id) l, "
        "first(span_id) offset 1 f1, last(span_id) offset 2 l2, max(kind) m "
        "| fields span_id, f, l, f1, l2, m",
        "!span_id=a1 f=a1 l=a2 f1=a2 m=3\nspan_id=a2 f=a1 l=a2 f1=a2 m=3\n"
        "span_id=b1 f=b1 l=b2 f1=b2 m=3\nspan_id=b2 f=b1 l=b2 f1=b2 m=3\n"
        "span_id=c1 f=c1 l=c2 f1=c2 m=2\nspan_id=c2 f=c1 l=c2 f1=c2 m=2");
    gives("* | total_stats min(took) m, count(took) n | fields m, n | limit 1",
        "!n=3");
    gives("* | limit 9 | filter kind:=9 | total_stats count() n", "!");
}

static void
test_figures(void)
{
    gives("* | sort by (span_id) limit 3 | blocks_count", "blocks_count=1");
    gives("* | limit 9 | filter kind:=9 | blocks_count as n", "n=0");
    gives("* | block_stats", "");
    gives("* | query_stats | fields RowsFound | count(RowsFound) n", "n=1");
}

int
main(void)
{
    spans_init();
    test_running();
    test_total();
    test_figures();
    return tap_done();
}
