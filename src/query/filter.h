/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Evaluating filters.
 *
 *   filter.c          the tree: AND, OR, NOT over bitmaps of rows
 *   filter_any.c      one predicate over all fields of a prefix
 *   filter_column.c   one predicate over a column, by its form
 *   filter_match.c    one predicate over the text of a value
 *   filter_stream.c   {...} over the text of a stream
 *   filter_prepare.c  before the first row: cheap predicates first, lists
 *                     sorted; and which blocks need not be read
 */

#ifndef SPOOR_QUERY_FILTER_H
#define SPOOR_QUERY_FILTER_H

#include "core/base.h"
#include "core/enc.h"
#include "core/err.h"
#include "query/ast.h"
#include "query/rows.h"

/*
 * Once per query, before any row and by one thread: sorts the items of ANDs
 * and ORs by cost and the values of lists.  Fails for what cannot be run.
 */
int filter_prepare(struct filter *filter, struct err *err) WARN_UNUSED;
/* All filters of a query, those of pipes included, not of queries inside. */
typedef int (*filter_visit_fn)(struct filter *filter, void *arg,
    struct err *err);
int query_visit_filters(struct query *query, filter_visit_fn fn, void *arg,
    struct err *err) WARN_UNUSED;
int query_prepare(struct query *query, struct err *err) WARN_UNUSED;

/*
 * False when no row of the block passes, as far as the block's index and time
 * range tell without reading columns.
 */
bool filter_may_match(const struct filter *filter, struct block *block);

/*
 * The labels of a stream's text, {a="b",c="d"}, one at a time: the value is
 * decoded into buf[STREAM_VALUE_MAX] and cut there.  False at the end, or
 * when the rest is no list of labels.
 */
#define STREAM_VALUE_MAX (4 * KIB)
struct sv stream_labels(struct sv stream);
bool stream_label_next(struct sv *rest, struct sv *label, struct sv *value,
    char *buf);

/* --- private to the files above --- */

/*
 * 1 if the text of the filter's field passes, 0 if not, -1 with err (limit of
 * a regular expression).  Not for AND, OR, NOT and the filters that compare
 * two fields.
 */
int filter_match_text(const struct filter *filter, struct sv text,
    struct err *err) WARN_UNUSED;
/* The same of a row's time. */
bool filter_match_time(const struct filter *filter, int64_t time_ns);
/* {...} and the text of a stream. */
int filter_match_stream(const struct filter *filter, struct sv stream,
    struct err *err) WARN_UNUSED;
/* One label's condition and its value ("": the label is missing). */
int stream_tag_matches(const struct stream_tag *tag, struct sv value,
    struct err *err) WARN_UNUSED;

/*
 * A predicate of all fields of a prefix: out = rows of `in` with a field that
 * passes.  filter_run_field() is the same of the field that the predicate
 * names (filter.c).
 */
int filter_run_any(struct rows *rows, const struct filter *filter,
    const uint64_t *in, uint64_t *out, struct err *err) WARN_UNUSED;
/* A block's question (storage/block.h); arg is the filter. */
int filter_ask_text(void *arg, struct sv text, struct err *err) WARN_UNUSED;
struct predicate;
int filter_run_field(struct rows *rows, const struct predicate *predicate,
    const uint64_t *in, uint64_t *out, struct err *err) WARN_UNUSED;

/* What one predicate does to rows. */
struct predicate {
    const struct filter *filter; /* or, NULL, */
    const struct stream_tag *tag;
    struct sv field;
};
/*
 * out = rows of `in` whose text passes; both have BITMAP_WORDS(rows->n)
 * words and may not be the same.
 */
struct column_rows {
    const struct column *column;
    const uint64_t *in;
    uint32_t n;
    struct pool *pool;
    const struct query_run *run;
};
int predicate_run(const struct predicate *predicate,
    const struct column_rows *rows, uint64_t *out, struct err *err)
    WARN_UNUSED;
/* Its parts: one text (1, 0, -1 with err), and COLUMN_CODES. */
int predicate_ask(const struct predicate *predicate, struct sv text,
    struct err *err) WARN_UNUSED;
int predicate_run_codes(const struct predicate *predicate,
    const struct column_rows *rows, uint64_t *out, struct err *err)
    WARN_UNUSED;
/* Asking takes long, so at least for each 64 texts: is the query still on? */
int column_rows_poll(const struct column_rows *rows, struct err *err)
    WARN_UNUSED;
/* One text may take so long that it is asked for each. */
bool predicate_is_slow(const struct predicate *predicate);

/*
 * Bit i is flags[i], which is 0 or 1: the compiler makes bytes out of many
 * comparisons at a time, and one multiplication makes bits out of eight.
 */
static inline uint64_t
word_of_flags(const uint8_t flags[64])
{
    uint64_t word = 0;

    for (unsigned i = 0; i < 64; i += 8)
        word |= (enc_get64(flags + i) * UINT64_C(0x0102040810204080) >> 56)
            << i;
    return word;
}

#endif
