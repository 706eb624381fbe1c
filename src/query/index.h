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

/* Are its fields those of cells (storage/part_cells.h), and no times? */
bool filter_is_of_cells(const struct filter *filter);

/* --- cells: rows that stand for many (stage_stats.c, stage_uniq.c) --- */

#define CELLS_FIELDS_MAX 16u

/* What a stage needs to know of each cell, besides how many rows it is. */
struct cells_want {
    struct sv fields[CELLS_FIELDS_MAX]; /* that cells have */
    uint32_t nfields;
    const struct stats_by *by; /* of _time, too; or NULL */
    bool has_durations;
};
/* Once each; false: too many. */
bool cells_want_add(struct cells_want *want, struct sv field);

struct cells_chunk {
    struct rows *rows; /* with these fields as columns, all selected */
    const struct acc_cell *v; /* by row */
};

/* False: it needs rows.  *want is empty before. */
bool stats_takes_cells(const struct stage *stage, struct cells_want *want);
int stats_add_cells(struct stage *stage, unsigned lane,
    const struct cells_chunk *cells, struct err *err) WARN_UNUSED;
bool uniq_takes_cells(const struct stage *stage, struct cells_want *want);
int uniq_add_cells(struct stage *stage, unsigned lane,
    const struct cells_chunk *cells, struct err *err) WARN_UNUSED;

/* Gives the first stage cells; blocks that are done leave the scan. */
int source_cells(const struct source_plan *plan, struct scan *scan,
    struct err *err) WARN_UNUSED;

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

/* --- field_names (stage_names.c) --- */

bool names_takes_counts(const struct stage *stage);
/* Names as texts, each once, and the rows that have them. */
int names_add_counts(struct stage *stage, unsigned lane,
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
/* The same of the names of fields, if that is what it wants. */
int source_names(const struct source_plan *plan, struct scan *scan,
    struct err *err) WARN_UNUSED;

/* --- parts whose share of stats is known or kept (source_cached.c) --- */

struct source_cached;

/*
 * Gives the first stage what is known; those blocks leave the scan.  *out is
 * NULL when nothing can be kept of this query.  Free in any case.
 */
int source_cached_take(struct source_cached **out,
    const struct source_plan *plan, struct scan *scan, struct err *err)
    WARN_UNUSED;
/*
 * Behind the other indexes: the blocks that are left are put in an order in
 * which few parts are under way at a time.
 */
int source_cached_sort(struct source_cached *cached, struct err *err)
    WARN_UNUSED;
/* The stage that takes the rows of a block of the item. */
int source_cached_stage(struct source_cached *cached, uint32_t item,
    struct stage **out, struct err *err) WARN_UNUSED;
/*
 * One block of the item is done.  Behind the last one its share is kept and
 * goes to the lane of the first stage.
 */
int source_cached_done(struct source_cached *cached, uint32_t item,
    unsigned lane, struct err *err) WARN_UNUSED;
/* Some of the item could not be read: nothing of it is kept. */
void source_cached_failed(struct source_cached *cached, uint32_t item);
void source_cached_free(struct source_cached *cached); /* accepts NULL */

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
