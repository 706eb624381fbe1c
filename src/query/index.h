/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Answers from the indexes of parts: what some stages take instead of rows.
 * A source asks the first stage what it is content with, gives it that of the
 * parts and blocks all of whose rows the query wants, and gives the rows of
 * the others.
 */

#ifndef SPOOR_QUERY_INDEX_H
#define SPOOR_QUERY_INDEX_H

#include "core/base.h"
#include "core/err.h"
#include "query/acc.h"
#include "query/ast.h"
#include "query/pipe.h"
#include "query/source.h"
#include "storage/scan.h"

/* Does every row pass that ends within [min_end, max_end]? */
bool filter_is_passed(const struct filter *filter, int64_t min_end,
    int64_t max_end);

/* --- stats count_uniq(trace_id) (stage_stats.c) --- */

bool stats_counts_traces(const struct stage *stage);
int stats_add_traces(struct stage *stage, unsigned lane,
    const struct uniq_ids *add, struct err *err) WARN_UNUSED;
/* Ids of rows that the lane got; may be NULL. */
const struct id_set *stats_traces(const struct stage *stage, unsigned lane);

/* --- uniq by one field (stage_uniq.c) --- */

bool uniq_takes_counts(const struct stage *stage, struct sv *field);
/* Texts, not each once, and in how many rows they are. */
struct uniq_counts {
    struct pool *pool;
    const struct sv *texts;
    const uint64_t *rows;
    uint32_t n;
};
int uniq_add_counts(struct stage *stage, unsigned lane,
    const struct uniq_counts *counts, struct err *err) WARN_UNUSED;

/* --- parts (source_parts.c) --- */

/* What of an item of a scan is left to read. */
enum fate {
    FATE_SCAN = 0,
    FATE_INDEX,
    FATE_SKIP, /* nothing of it counts */
};
/* One for each item of the scan; the blocks of other fates leave it. */
void scan_drop_blocks(struct scan *scan, const uint8_t *fates);
/* Is the item a part all of whose rows the query wants, whoever's they are? */
bool source_wants_all(const struct source_plan *plan,
    const struct catalog_item *item);

/*
 * Gives the first stage the counts of the parts whose indexes tell them;
 * their blocks leave the scan.
 */
int source_values(const struct source_plan *plan, struct scan *scan,
    struct sv field, struct err *err) WARN_UNUSED;

/* --- traces (source_traces.c) --- */

struct source_traces;

/*
 * Takes the parts whose indexes can be asked: their blocks leave the scan.
 * *out is NULL when there are none.  Free in any case.
 */
int source_traces_take(struct source_traces **out,
    const struct source_plan *plan, struct scan *scan, struct err *err)
    WARN_UNUSED;
/* Behind all rows: gives the first stage what the indexes say. */
int source_traces_give(struct source_traces *traces, struct err *err)
    WARN_UNUSED;
void source_traces_free(struct source_traces *traces); /* accepts NULL */

#endif
