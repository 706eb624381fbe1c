/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * JSON arrays in fields: what the pipes json_array_len, json_array_concat,
 * split, unpack_words (pipe_arrays.c) and unroll (pipe_unroll.c) read and
 * make.  Texts may be anything; no function fails but for memory.
 */

#ifndef SPOOR_QUERY_ARRAYS_H
#define SPOOR_QUERY_ARRAYS_H

#include "core/base.h"
#include "core/json_in.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/sv.h"

/*
 * Items of the text if it is one whole array (white space around it does not
 * matter) that is not nested deeper than the JSON reader goes; else 0.
 */
uint64_t array_count(struct sv text);

/* Items of a text of which array_count() is not 0. */
struct array_in {
    struct json_in in;
};
/* The pool is for texts with escapes. */
void array_begin(struct array_in *array, struct sv text, struct pool *pool);
/*
 * The next item: a string's text, or the JSON of another value.  False at the
 * end and when there is no memory, which json_in_failed() tells.
 */
bool array_next(struct array_in *array, struct sv *item);

/* The items with the separator between them; false: no memory. */
bool array_join(struct sb *out, struct sv text, struct sv separator,
    struct pool *pool) WARN_UNUSED;
/*
 * The words (reference 2.6) as an array; false: no memory.  To give each once
 * a table is needed of at most so many bytes.
 */
size_t array_words_bytes(struct sv text);
bool array_of_words(struct sb *out, struct sv text, bool is_uniq)
    WARN_UNUSED;
/* The pieces between separators; an empty one stands between code points. */
void array_of_pieces(struct sb *out, struct sv text, struct sv separator);

#endif
