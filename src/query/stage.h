/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to the stages: their makers and what they share.
 */

#ifndef SPOOR_QUERY_STAGE_H
#define SPOOR_QUERY_STAGE_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "query/ast.h"
#include "query/pipe.h"
#include "query/rows.h"

/* Long loops call run_poll() every so many rows. */
#define STAGE_POLL_ROWS 4096u

/* The stage's run and next are set by stage_new(). */
typedef int (*stage_maker)(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);

int stage_new_fields(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);
int stage_new_limit(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);
int stage_new_offset(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);
int stage_new_sort(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);
int stage_new_filter(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);
int stage_new_uniq(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);
int stage_new_names(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);
int stage_new_stats(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err);

/* A flush of a stage that keeps nothing. */
int stage_flush_nothing(struct stage *stage, struct err *err);

/* An empty part is in every text. */
static inline bool
text_has(struct sv text, struct sv part)
{
    return part.len == 0 ||
        memmem(text.ptr, text.len, part.ptr, part.len) != NULL;
}

/* What the pipes behind a stage read. */
struct needed {
    struct field_pattern *patterns;
    uint32_t n;
    bool is_all;
};
/* Of the pipes from `pipe` on; NULL: all. */
int needed_find(struct needed *out, const struct pipe *pipe,
    struct pool *pool, struct err *err) WARN_UNUSED;
bool needed_has(const struct needed *needed, struct sv name);
/* Adds the fields that a filter reads, its subqueries' not. */
int needed_add_filter(struct needed *needed, const struct filter *filter,
    struct pool *pool) WARN_UNUSED;
int needed_add(struct needed *needed, const struct field_pattern *pattern,
    struct pool *pool) WARN_UNUSED;
int needed_add_name(struct needed *needed, struct sv name, struct pool *pool)
    WARN_UNUSED;
/* A name that is made or removed here is not read in front of it. */
void needed_remove(struct needed *needed, const struct field_pattern *pattern);

/*
 * Which rows of a chunk a stage works on: row i of n is index[i], or
 * first + i when index is NULL (all rows are selected).
 */
struct picks {
    uint32_t n;
    const uint32_t *index;
    uint32_t first; /* not 0 for a part of the rows only */
};
static inline uint32_t
picks_row(const struct picks *picks, uint32_t i)
{
    return picks->index == NULL ? picks->first + i : picks->index[i];
}
/* In rows->pool. */
int picks_make(struct picks *out, const struct rows *rows, struct err *err)
    WARN_UNUSED;
/*
 * Of those, the rows that pass the filter (NULL: all); the selection stays as
 * it was.
 */
int rows_pick(struct rows *rows, const struct filter *filter,
    struct picks *out, struct err *err) WARN_UNUSED;

/* Rows whose text in this column is not empty: counts them. */
uint32_t column_count_filled(const struct column *column,
    const struct picks *picks);
bool column_is_filled(const struct column *column, uint32_t row);

/*
 * Rows of texts to the next stage, ROWS_CHUNK at a time.  Begin, then for
 * each row emit_row() and fill the cells it gives; then emit_end().
 */
struct emit {
    struct stage *next;
    struct pool *pool; /* of the chunk in the making */
    const struct sv *names;
    uint32_t ncolumns;
    uint32_t n;
    struct sv **texts; /* per column */
    bool is_done;      /* the next stage needs no more */
    unsigned lane;     /* 0 after emit_begin(), as it is in a flush */
};
void emit_begin(struct emit *emit, struct stage *next,
    const struct sv *names, uint32_t ncolumns);
/* Copies the texts.  Check is_done. */
int emit_row(struct emit *emit, const struct sv *texts, struct err *err)
    WARN_UNUSED;
int emit_end(struct emit *emit, struct err *err) WARN_UNUSED;
/* Frees the memory, after errors, too. */
void emit_free(struct emit *emit);

#endif
