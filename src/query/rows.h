/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows on their way through filters and pipes: columns and a selection.  The
 * first pipe gets the rows of a block, with columns that are loaded when
 * somebody asks; later pipes get what the pipe before them made.
 *
 * Rows are valid during the call they are given to.  Whoever keeps a text
 * copies it.
 */

#ifndef SPOOR_QUERY_ROWS_H
#define SPOOR_QUERY_ROWS_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "query/ast.h"
#include "storage/block.h"

/* Pipes that make rows hand them on in chunks of at most this many. */
#define ROWS_MAX BLOCK_ROWS_MAX
#define ROWS_CHUNK 1024u

struct query_run;

struct rows {
    uint32_t n;             /* rows, selected or not */
    uint32_t nselected;
    const uint64_t *selected; /* BITMAP_WORDS(n) words */
    struct pool *pool;      /* of the chunk: scratch for the pipes, too */
    const struct query_run *run; /* that may end them early; NULL: none */

    /*
     * With a block: columns are loaded by name; `columns` holds those
     * already loaded, and rows_names() tells the names of all.  Without one:
     * `columns` are all there are, in output order.
     */
    struct block *block;
    struct column *columns;
    uint32_t ncolumns;
    uint32_t columns_cap;   /* private */
    /* With a block: fields that a pipe made, whatever the block has. */
    struct sv *made;
    uint32_t nmade;
    /*
     * Without a block: they are those of another server's, and the names of a
     * star ascend as if they had one.
     */
    bool had_block;
};

/* Rows without a block, all selected; columns are added in output order. */
void rows_init(struct rows *rows, uint32_t n, struct pool *pool);
/* All rows of a block; the caller sets the selection. */
void rows_init_block(struct rows *rows, struct block *block,
    uint32_t n, struct pool *pool);

/*
 * The column of that name, loaded for the selected rows; a COLUMN_EMPTY when
 * there is none.  The pointer is good until a column is added.
 */
int rows_column(struct rows *rows, struct sv name, const struct column **out,
    struct err *err) WARN_UNUSED;
/* Adds or replaces a column; name and content must live as long as rows. */
int rows_set_column(struct rows *rows, const struct column *column,
    struct err *err) WARN_UNUSED;
/*
 * The same by a pipe: the field is from now on what the column says, also
 * where the block has one of that name.
 */
int rows_make_column(struct rows *rows, const struct column *column,
    struct err *err) WARN_UNUSED;
/* The block that knows the field, by its indexes, too; NULL: none does. */
struct block *rows_block_of(const struct rows *rows, struct sv name);
/* Names of all columns, in output order. */
int rows_names(struct rows *rows, const struct sv **out, uint32_t *n,
    struct err *err) WARN_UNUSED;
/*
 * Names that match any of the patterns, in the patterns' order, each once;
 * those of a star from a block ascend.
 */
struct name_list {
    const struct sv *v;
    uint32_t n;
};
int rows_match_names(struct rows *rows, const struct field_pattern *patterns,
    uint32_t npatterns, struct name_list *out, struct err *err) WARN_UNUSED;

/*
 * The same rows with all columns loaded and no block, so that columns can be
 * removed and renamed (rows_keep() and so on).  Changes rows in place.
 */
int rows_detach(struct rows *rows, struct err *err) WARN_UNUSED;

/* Selection: selects only the rows of bits (a subset of the present ones). */
void rows_select(struct rows *rows, const uint64_t *bits);
/*
 * for (uint32_t row = rows_first(rows); row < rows->n;
 *     row = rows_next(rows, row))
 */
uint32_t rows_first(const struct rows *rows);
uint32_t rows_next(const struct rows *rows, uint32_t row);

/* --- filters over rows (query/filter.c) --- */

/*
 * Selects of the selected rows those that pass.  Evaluates each predicate
 * once per distinct value where the column has codes.
 */
int rows_filter(struct rows *rows, const struct filter *filter,
    struct err *err) WARN_UNUSED;

#endif
