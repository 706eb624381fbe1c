/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/search_sink.h"

#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"
#include "query/text.h"
#include "storage/block.h"

/* A lane's heap and table of at most search.max_traces hits. */
#define LANE_BYTES_MAX (64 * MIB)

struct sink {
    struct stage stage;
    struct search *search;
    struct search *lanes[QUERY_LANES_MAX]; /* each in its own pool */
};

static int
lane_open(struct sink *sink, unsigned lane, struct err *err)
{
    struct pool *pool;
    struct search *search;

    check(lane < QUERY_LANES_MAX);
    if (sink->lanes[lane] != NULL)
        return 0;
    pool = pool_new(LANE_BYTES_MAX);
    pool_share(pool, sink->stage.run->budget.share);
    search = pool_alloc(pool, sizeof(*search));
    if (search != NULL) {
        *search = *sink->search;
        search->pool = pool;
        if (search_init(search, err) == 0) {
            sink->lanes[lane] = search;
            return 0;
        }
    } else {
        (void)err_set(err, ERR_LIMIT, "the search has no memory");
    }
    pool_free(pool);
    return -1;
}

static bool
row_id(const struct column *column, uint32_t row, struct trace_id *id)
{
    char buf[COLUMN_TEXT_MAX];

    if (column->kind != COLUMN_IDS || column->width != sizeof(id->b))
        return enc_unhex(column_text(column, row, buf), id->b,
            sizeof(id->b));
    memcpy(id->b, column_id(column, row), sizeof(id->b));
    return true;
}

static bool
row_time(const struct column *column, uint32_t row, int64_t *ns)
{
    char buf[COLUMN_TEXT_MAX];

    if (column->kind != COLUMN_TIMES)
        return time_parse_value(column_text(column, row, buf), ns);
    *ns = column->ints[row];
    return true;
}

/* What ends before the worst of a full heap cannot get into any. */
static void
raise_bound(struct query_run *run, const struct search *search)
{
    int64_t bound, old = atomic_load(&run->time_bound);

    if (search->nhits < search->limit || search->limit == 0)
        return;
    bound = search->hits[0].end_ns;
    while (bound > old && !atomic_compare_exchange_weak(&run->time_bound,
        &old, bound))
        ;
}

/* Selects the rows whose time can matter still. */
static int
select_newest(const struct search *search, struct rows *rows,
    struct column *times, struct err *err)
{
    const struct column *column;
    uint64_t *bits;

    if (rows_column(rows, SV("_time"), &column, err) != 0)
        return -1;
    *times = *column;
    bits = pool_zalloc(rows->pool, BITMAP_WORDS(rows->n) * sizeof(*bits) + 8);
    if (bits == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        int64_t end_ns;

        if (row_time(times, row, &end_ns) &&
            !search_is_settled(search, end_ns))
            bitmap_set(bits, row);
    }
    rows_select(rows, bits);
    return 0;
}

static int
sink_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink *sink = (struct sink *)stage;
    const struct column *ids;
    struct column times;
    struct search *search;

    if (lane_open(sink, lane, err) != 0)
        return -1;
    search = sink->lanes[lane];
    if (select_newest(search, rows, &times, err) != 0)
        return -1;
    if (rows->nselected == 0)
        return 0;
    if (rows_column(rows, SV("trace_id"), &ids, err) != 0)
        return -1;
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        struct trace_id id;
        int64_t end_ns;

        if (row_time(&times, row, &end_ns) &&
            !search_is_settled(search, end_ns) && row_id(ids, row, &id))
            search_offer(search, &id, end_ns);
    }
    raise_bound(stage->run, search);
    return 0;
}

static int
sink_flush(struct stage *stage, struct err *err)
{
    struct sink *sink = (struct sink *)stage;

    (void)err;
    for (unsigned lane = 0; lane < QUERY_LANES_MAX; lane++) {
        const struct search *search = sink->lanes[lane];

        for (uint32_t i = 0; search != NULL && i < search->nhits; i++)
            search_offer(sink->search, &search->hits[i].id,
                search->hits[i].end_ns);
    }
    search_finish(sink->search);
    return 0;
}

static void
sink_free(struct stage *stage)
{
    struct sink *sink = (struct sink *)stage;

    for (unsigned lane = 0; lane < QUERY_LANES_MAX; lane++) {
        if (sink->lanes[lane] != NULL)
            pool_free(sink->lanes[lane]->pool);
    }
    xfree(sink);
}

static const struct stage_ops sink_ops = {sink_write, sink_flush, sink_free};

struct stage *
search_sink_new(struct search *search)
{
    struct sink *sink = xcalloc(1, sizeof(*sink));

    sink->stage.ops = &sink_ops;
    sink->search = search;
    return &sink->stage;
}
