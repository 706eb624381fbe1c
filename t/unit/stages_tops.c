/* SPDX-License-Identifier: BSD-2-Clause */

/* Pipes that give the first rows, values or tuples of some order. */

#include "core/base.h"
#include "query/pipe.h"

#include "stage_spans.h"

static void
test_first(void)
{
    gives("* | first 2 by (span_id) | fields span_id",
        "!span_id=a1\nspan_id=a2");
    gives("* | first by (kind desc, span_id) | fields span_id",
        "!span_id=a2");
    gives("* | first 1 by (_time) partition by (trace_id) rank as r "
        "| fields r, span_id",
        "!r=1 span_id=a1\nr=1 span_id=b1\nr=1 span_id=c1");
    gives("* | last 1 by (_time) partition by (trace_id) | fields span_id",
        "!span_id=a2\nspan_id=b2\nspan_id=c2");
    gives("* | last 2 by (span_id) | fields span_id",
        "!span_id=c2\nspan_id=c1");
    gives("* | last 2 (kind desc, span_id) rank | fields rank, span_id",
        "!rank=1 span_id=c2\nrank=2 span_id=c1");
    gives("* | last 100 by (name) | fields span_id",
        "!span_id=c1\nspan_id=b2\nspan_id=a2\nspan_id=c2\nspan_id=b1\n"
        "span_id=a1");
}

static void
test_top(void)
{
    gives("* | top 2 by (kind) hits as kind", "!kind=2 kinds=4\n"
        "kind=3 kinds=2");
    gives("* | top 2 by (kind, status_code) rank",
        "!kind=2 status_code=0 hits=3 rank=1\n"
        "kind=2 status_code=1 hits=1 rank=2");
    gives("* | top 1 took", "!hits=3");
    gives("* | top took", "!hits=3\ntook=1.5s hits=1\ntook=7ms hits=1\n"
        "took=900us hits=1");
    gives("* | top 3 (span_id) rank as pos hits as n", "!span_id=a1 n=1 pos=1"
        "\nspan_id=a2 n=1 pos=2\nspan_id=b1 n=1 pos=3");
    gives("* | top by (nosuch)", "!hits=6");
    gives("* | limit 9 | filter kind:=9 | top (kind)", "!");
    gives("* | top 10K by (service, kind) | fields service, hits",
        "!service=cart hits=4\nservice=db hits=1\nservice=pay hits=1");
}

static void
test_field_values(void)
{
    gives("* | field_values took", "hits=3\ntook=1.5s hits=1\n"
        "took=7ms hits=1\ntook=900us hits=1");
    gives("* | field_values kind limit 2", "kind=2 hits=4\nkind=3 hits=2");
    gives("* | field_values name filter cart", "name=GET /cart hits=1\n"
        "name=GET /cart/checkout hits=1\nname=GET /carts hits=1\n"
        "name=get /cart hits=1");
    gives("* | field_values name filter \"c\" limit 4 | stats count() n, "
        "sum(hits) h", "n=4 h=0");
    gives("* | field_values kind limit 1 | fields hits", "hits=0");
    gives("* | field_values name limit 2 filter checkout",
        "name=GET /cart/checkout hits=1");
    gives("* | fields kind | rename kind as hits | field_values hits",
        "hits=2 hitss=4\nhits=3 hitss=2");
    gives("* | field_names filter \"_\"", "name=_time hits=6\n"
        "name=span_id hits=6\nname=status_code hits=6\nname=trace_id hits=6");
    gives("* | field_names as n filter pee", "n=peer.ip hits=3");
}

static void
test_facets(void)
{
    gives("* | fields kind, took, service | facets",
        "!field_name=kind field_value=2 hits=4\n"
        "field_name=kind field_value=3 hits=2\n"
        "field_name=service field_value=cart hits=4\n"
        "field_name=service field_value=db hits=1\n"
        "field_name=service field_value=pay hits=1\n"
        "field_name=took field_value=1.5s hits=1\n"
        "field_name=took field_value=7ms hits=1\n"
        "field_name=took field_value=900us hits=1");
    gives("* | fields kind, took, service | facets 1 max_values_per_field 2",
        "!field_name=kind field_value=2 hits=4");
    gives("* | fields kind, took, service | facets 1 max_value_len 3",
        "!field_name=kind field_value=2 hits=4");
    gives("* | limit 9 | filter kind:=3 | fields kind, span_id | facets",
        "!field_name=span_id field_value=a2 hits=1\n"
        "field_name=span_id field_value=b2 hits=1");
    gives("* | limit 9 | filter kind:=3 | fields kind | facets "
        "keep_const_fields", "!field_name=kind field_value=3 hits=2");
    gives("* | limit 9 | filter kind:=9 | facets", "!");
    gives("* | fields took | facets max_values_per_field 3 | count() n",
        "n=3");
    gives("* | facets max_values_per_field 0", "!");
}

int
main(void)
{
    spans_init();
    test_first();
    test_top();
    test_field_values();
    test_facets();
    return tap_done();
}
