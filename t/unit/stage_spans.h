/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Queries over the six spans of the reference, in columns of random forms
 * and chunks of random size, given to one and to several lanes.
 */

#ifndef SPOOR_UNIT_STAGE_SPANS_H
#define SPOOR_UNIT_STAGE_SPANS_H

#include "tap.h"

#include "stage_run.h"

static struct sink sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- the six spans of the reference (14) --- */

#define SPAN_COLUMNS 10

static const char *const spans[][SPAN_COLUMNS] = {
    {"a1", "2026-03-01T10:00:00.000000001Z", "t1", "GET /cart", "2", "0",
        "1500000", "cart", "", ""},
    {"a2", "2026-03-01T10:00:01.5Z", "t1", "SELECT orders", "3", "2",
        "250000", "db", "", ""},
    {"b1", "2026-03-01T10:01:00Z", "t2", "GET /cart/checkout", "2", "1",
        "90000000", "cart", "", ""},
    {"b2", "2026-03-01T10:02:00Z", "t2", "charge card", "3", "0",
        "7000000", "pay", "7ms", "10.0.0.7"},
    {"c1", "2026-03-01T10:03:00Z", "t3", "get /cart", "2", "0",
        "abc", "cart", "1.5s", "10.0.1.9"},
    {"c2", "2026-03-01T10:03:59.999999999Z", "t3", "GET /carts", "2", "0",
        "", "cart", "900us", "10.0.0.12"},
};

static struct sv span_cells[ARRAY_LEN(spans) * SPAN_COLUMNS];
static struct table span_table = {
    .names = {"span_id", "_time", "trace_id", "name", "kind", "status_code",
        "duration", "service", "took", "peer.ip"},
    .ncolumns = SPAN_COLUMNS,
    .nrows = ARRAY_LEN(spans),
    .cells = span_cells,
};

/* Lines parted by '\n': with '!' in this order, else sorted. */
static inline void
gives(const char *query, const char *want)
{
    bool is_ordered = want[0] == '!';
    uint32_t wrong = 0;
    char first[2048] = "";

    for (uint64_t round = 0; round < 40; round++) {
        struct sb got;
        unsigned nlanes = 1 + round % 4;

        if (run_table(&sink, query, &span_table, nlanes, round) != 0) {
            wrong++;
            continue;
        }
        if (!is_ordered && sink.n > 0)
            qsort(sink.lines, sink.n, sizeof(char *), line_order);
        sb_init(&got, MIB);
        for (uint32_t i = 0; i < sink.n; i++)
            sb_addf(&got, "%s%s", i > 0 ? "\n" : "", sink.lines[i]);
        if (strcmp(got.ptr, want + is_ordered) != 0 && wrong++ == 0)
            snprintf(first, sizeof(first), "%s", got.ptr);
        sb_release(&got);
        sink_reset(&sink);
    }
    if (!ok(wrong == 0, "%s", query))
        diag("wrong in %u of 40 rounds:\n%s\n- want -\n%s", wrong, first,
            want);
}

static inline void
spans_init(void)
{
    for (size_t i = 0; i < ARRAY_LEN(span_cells); i++)
        span_cells[i] = sv_from(spans[i / SPAN_COLUMNS][i % SPAN_COLUMNS]);
}

#endif
