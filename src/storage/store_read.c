/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reading the store: one snapshot of the catalogue, the memtables first, then
 * the parts, one answer.
 */

#include "core/base.h"
#include "storage/store.h"

#include "core/metrics.h"
#include "storage/dedupe.h"
#include "storage/memtable.h"
#include "storage/scan.h"

/* What a question does with one memtable or part (the other is NULL). */
typedef int (*item_fn)(const struct memtable *mt, struct part *part,
    void *arg, struct err *err);

static int
item_read(struct scan *scan, uint32_t i, item_fn fn, void *arg,
    struct err *err)
{
    struct err item_err = ERR_INIT;
    const struct memtable *mt;
    struct part *part;
    int got = scan_open_item(scan, i, &mt, &part, err);

    if (got != 0)
        return got < 0 ? -1 : 0;
    if (mt != NULL)
        got = memtable_check(mt, &item_err);
    if (got == 0)
        got = fn(mt, part, arg, &item_err);
    scan_close_item(part);
    if (got != 0)
        return scan_item_failed(scan, i, &item_err, err);
    return 0;
}

static int
items_read(struct scan *scan, item_fn fn, void *arg, struct err *err)
{
    for (uint32_t i = 0; i < scan->snapshot.n; i++) {
        if (item_read(scan, i, fn, arg, err) != 0)
            return -1;
    }
    return 0;
}

/* --- a trace --- */

struct trace_question {
    const struct tenant *tenant;
    const struct trace_id *id;
    struct batch *out;
    bool *is_truncated;
    uint32_t spans_max;
};

static int IMPL(item_fn)
trace_read(const struct memtable *mt, struct part *part, void *arg,
    struct err *err)
{
    const struct trace_question *q = arg;

    if (mt != NULL)
        return memtable_read_trace(mt, memtable_committed(mt), q->tenant,
            q->id, q->spans_max, q->out, q->is_truncated, err);
    return part_read_trace(part, q->tenant, q->id, q->spans_max, q->out,
        q->is_truncated, err);
}

int
store_read_trace(const struct tenant *tenant, const struct trace_id *id,
    struct batch *out, struct store_answer *answer, struct err *err)
{
    struct trace_question question = {tenant, id, out, &answer->is_truncated,
        store_trace_spans_max()};
    struct scan scan;
    int rc = -1;

    memset(answer, 0, sizeof(*answer));
    if (scan_begin(&scan, INT64_MIN, INT64_MAX, err) != 0)
        return -1;
    if (items_read(&scan, trace_read, &question, err) == 0 &&
        spans_dedupe(out, err) == 0) {
        spans_sort(out);
        rc = 0;
    }
    scan_end(&scan, answer, METRIC_QUERY_SECONDS_TRACE);
    return rc;
}

/* --- streams --- */

struct stream_question {
    const struct tenant *tenant;
    struct stream_visit *visit;
};

static int IMPL(item_fn)
streams_read(const struct memtable *mt, struct part *part, void *arg,
    struct err *err)
{
    const struct stream_question *q = arg;

    if (mt != NULL)
        return memtable_visit_streams(mt, memtable_committed(mt), q->tenant,
            q->visit, err);
    return part_visit_streams(part, q->tenant, q->visit, err);
}

int
store_visit_streams(const struct tenant *tenant, struct stream_visit *visit,
    struct store_answer *answer, struct err *err)
{
    struct stream_question question = {tenant, visit};
    struct scan scan;
    int rc;

    memset(answer, 0, sizeof(*answer));
    if (scan_begin(&scan, visit->start_ns, visit->end_ns, err) != 0)
        return -1;
    rc = items_read(&scan, streams_read, &question, err);
    scan_end(&scan, answer, METRIC_QUERY_SECONDS_SERVICES);
    return rc;
}
