/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reading the store: one snapshot of the catalogue, the memtables first, then
 * the parts, one answer.
 */

#include "core/base.h"
#include "storage/store.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "storage/catalog.h"
#include "storage/memtable.h"
#include "storage/part_cache.h"
#include "storage/shared.h"

/* A snapshot's items: 128 bytes each. */
#define SNAPSHOT_BYTES_MAX (64 * MIB)

struct reading {
    struct pool *pool;
    struct catalog_snapshot snapshot;
    struct store_answer *answer;
    int64_t start_ns;
};

static int
reading_begin(struct reading *reading, int64_t min_end, int64_t max_end,
    struct store_answer *answer, struct err *err)
{
    memset(answer, 0, sizeof(*answer));
    reading->answer = answer;
    reading->start_ns = clock_mono_ns();
    reading->pool = pool_new(SNAPSHOT_BYTES_MAX);
    if (catalog_snapshot_take(&reading->snapshot, reading->pool, min_end,
        max_end, err) != 0) {
        pool_free(reading->pool);
        return -1;
    }
    return 0;
}

static void
reading_end(struct reading *reading, enum metric_id seconds)
{
    catalog_snapshot_release(&reading->snapshot);
    pool_free(reading->pool);
    if (reading->answer->is_partial)
        metric_add(METRIC_QUERY_PARTIAL, 1);
    metric_observe_ns(seconds, clock_mono_ns() - reading->start_ns);
}

/*
 * What the item is read from.  0: go on with *mt or *part; 1: left out, the
 * answer is partial; -1: the query fails.
 */
static int
item_open(struct reading *reading, const struct catalog_item *item,
    const struct memtable **mt, struct part **part, struct err *err)
{
    struct err open_err = ERR_INIT;

    *mt = NULL;
    *part = NULL;
    if ((item->flags & CATALOG_BAD) != 0) {
        reading->answer->is_partial = true;
        return 1;
    }
    if (item->kind == CATALOG_MEMTABLE) {
        *mt = shared_buffer(item->slot, item->buffer);
        if ((item->flags & CATALOG_SUSPECT) != 0)
            reading->answer->is_partial = true;
        return 0;
    }
    if (part_cache_get(part, &item->part, &open_err) == 0)
        return 0;
    /* Files of a snapshot are not unlinked: a missing one is damage. */
    if (open_err.code == ERR_CORRUPT || open_err.code == ERR_NOT_FOUND) {
        log_error("part left out of answers: %s", open_err.text);
        catalog_flag(item->entry, CATALOG_BAD);
        reading->answer->is_partial = true;
        return 1;
    }
    if (err != NULL)
        *err = open_err;
    return -1;
}

/*
 * Damage found while reading: the item is flagged, the answer is partial.
 * Anything else ends the query.
 */
static int
item_failed(struct reading *reading, const struct catalog_item *item,
    const struct err *item_err, struct err *err)
{
    if (item_err->code != ERR_CORRUPT) {
        if (err != NULL)
            *err = *item_err;
        return -1;
    }
    log_error("damage, answers are partial from here on: %s",
        item_err->text);
    catalog_flag(item->entry, item->kind == CATALOG_MEMTABLE ?
        CATALOG_SUSPECT : CATALOG_BAD);
    reading->answer->is_partial = true;
    return 0;
}

/* What a question does with one memtable or part (the other is NULL). */
typedef int (*item_fn)(const struct memtable *mt, struct part *part,
    void *arg, struct err *err);

static int
item_read(struct reading *reading, const struct catalog_item *item,
    item_fn fn, void *arg, struct err *err)
{
    struct err item_err = ERR_INIT;
    const struct memtable *mt;
    struct part *part;
    int got = item_open(reading, item, &mt, &part, err);

    if (got != 0)
        return got < 0 ? -1 : 0;
    if (mt != NULL)
        got = memtable_check(mt, &item_err);
    if (got == 0)
        got = fn(mt, part, arg, &item_err);
    if (part != NULL)
        part_cache_put(part);
    if (got != 0)
        return item_failed(reading, item, &item_err, err);
    return 0;
}

static int
items_read(struct reading *reading, item_fn fn, void *arg, struct err *err)
{
    for (uint32_t i = 0; i < reading->snapshot.n; i++) {
        if (item_read(reading, &reading->snapshot.items[i], fn, arg,
            err) != 0)
            return -1;
    }
    return 0;
}

/* --- a trace --- */

static int
id_cmp(const struct span *a, const struct span *b)
{
    int order = memcmp(&a->span_id, &b->span_id, sizeof(a->span_id));

    if (order == 0)
        order = (a->start_ns > b->start_ns) - (a->start_ns < b->start_ns);
    if (order == 0)
        order = (a->end_ns > b->end_ns) - (a->end_ns < b->end_ns);
    return order;
}

static int
time_cmp(const void *left, const void *right)
{
    const struct span *a = left, *b = right;

    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return id_cmp(a, b);
}

static int
key_cmp(const void *left, const void *right)
{
    return id_cmp(*(const struct span *const *)left,
        *(const struct span *const *)right);
}

/*
 * One span per identity: equal ids, times and content are one span (design
 * P14); same ids with other content are kept.
 */
static int
spans_dedupe(struct batch *batch, struct err *err)
{
    const struct span **sorted;
    uint32_t kept = 0;

    if (batch->nspans < 2)
        return 0;
    sorted = pool_alloc(batch->pool, batch->nspans * sizeof(*sorted));
    if (sorted == NULL)
        return err_set(err, ERR_LIMIT, "trace needs too much memory");
    for (uint32_t i = 0; i < batch->nspans; i++)
        sorted[i] = &batch->spans[i];
    qsort(sorted, batch->nspans, sizeof(*sorted), key_cmp);
    for (uint32_t i = 1, first = 0; i < batch->nspans; i++) {
        if (id_cmp(sorted[first], sorted[i]) != 0) {
            first = i;
            continue;
        }
        for (uint32_t k = first; k < i; k++) {
            if (sorted[k]->reject == REJECT_NONE &&
                span_equal(batch, sorted[k], batch, sorted[i])) {
                ((struct span *)(uintptr_t)sorted[i])->reject = REJECT_LARGE;
                break;
            }
        }
    }
    for (uint32_t i = 0; i < batch->nspans; i++) {
        if (batch->spans[i].reject == REJECT_NONE)
            batch->spans[kept++] = batch->spans[i];
    }
    batch->nspans = kept;
    return 0;
}

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
    struct reading reading;
    int rc = -1;

    if (reading_begin(&reading, INT64_MIN, INT64_MAX, answer, err) != 0)
        return -1;
    if (items_read(&reading, trace_read, &question, err) == 0 &&
        spans_dedupe(out, err) == 0) {
        if (out->nspans > 1)
            qsort(out->spans, out->nspans, sizeof(*out->spans), time_cmp);
        rc = 0;
    }
    reading_end(&reading, METRIC_QUERY_SECONDS_TRACE);
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
    struct reading reading;
    int rc;

    if (reading_begin(&reading, visit->start_ns, visit->end_ns, answer,
        err) != 0)
        return -1;
    rc = items_read(&reading, streams_read, &question, err);
    reading_end(&reading, METRIC_QUERY_SECONDS_SERVICES);
    return rc;
}

/* --- search --- */

static int
newest_first(const void *left, const void *right)
{
    const struct catalog_item *a = left, *b = right;

    if (a->kind != b->kind) /* memtables first */
        return a->kind == CATALOG_MEMTABLE ? -1 : 1;
    if (a->part.max_end_ns != b->part.max_end_ns)
        return a->part.max_end_ns > b->part.max_end_ns ? -1 : 1;
    return (a->part.id > b->part.id) - (a->part.id < b->part.id);
}

static int IMPL(item_fn)
search_read(const struct memtable *mt, struct part *part, void *arg,
    struct err *err)
{
    struct search *search = arg;

    if (mt != NULL)
        return memtable_search(mt, memtable_committed(mt), search, err);
    /* Parts come newest first: an older one cannot matter any more. */
    if (search_is_settled(search, part_get_info(part)->max_end_ns))
        return 0;
    return part_search(part, search, err);
}

int
store_search(struct search *search, struct store_answer *answer,
    struct err *err)
{
    struct reading reading;
    int rc;

    if (reading_begin(&reading, search->start_ns, search->end_ns, answer,
        err) != 0)
        return -1;
    qsort(reading.snapshot.items, reading.snapshot.n,
        sizeof(*reading.snapshot.items), newest_first);
    rc = items_read(&reading, search_read, search, err);
    if (rc == 0)
        search_finish(search);
    reading_end(&reading, METRIC_QUERY_SECONDS_SEARCH);
    return rc;
}
