/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Pipes that make fields of the fields of the same row: extract, format,
 * math, replace, unpack_json and their like.  Each is a mapper: a function
 * of some texts that sets texts of targets.  The stage does the rest: the
 * "if (...)", which rows and fields are replaced, columns, memory, polling,
 * and that a mapper of one coded column runs once per distinct text.
 */

#ifndef SPOOR_QUERY_STAGE_MAP_H
#define SPOOR_QUERY_STAGE_MAP_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/sv.h"
#include "query/ast.h"
#include "query/stage.h"

/* What happens to a target that is in the row already (reference 5). */
enum map_keep {
    MAP_REPLACE,
    MAP_KEEP_ORIGINAL, /* keep_original_fields: a text that is not empty
                          stays */
    MAP_SKIP_EMPTY,    /* skip_empty_results: an empty result does nothing */
};

/* Where a mapper puts its results; private to stage_map.c, map_out.c. */
struct map_out;

/* Targets of one chunk: keys of JSON objects are what others wrote. */
#define MAP_TARGETS_MAX 20000u
/* A text in the making. */
#define MAP_TEXT_MAX (16 * MIB)

/*
 * The text of a target in this row; the last one counts.  It is copied unless
 * it is a piece of one of the inputs or of the newest map_alloc().  A name
 * that is not among the mapper's targets makes a column, in which the other
 * rows keep what they had; it is copied when it is new.
 */
int map_set(struct map_out *out, struct sv name, struct sv text,
    struct err *err) WARN_UNUSED;
/* Memory of the chunk; NULL with err set when there is none. */
char *map_alloc(struct map_out *out, size_t len, struct err *err);
/*
 * Charges memory to the query that a mapper takes from elsewhere while it
 * looks at one text; what was taken is given back.
 */
int map_take(struct map_out *out, size_t bytes, struct err *err) WARN_UNUSED;
void map_give(struct map_out *out, size_t bytes);
/* run_poll(), for mappers that need long for one text. */
int map_poll(const struct map_out *out, struct err *err) WARN_UNUSED;
/* The chunk's; what lies in it is copied by map_set(). */
struct pool *map_pool(struct map_out *out);
/*
 * A builder that is empty now and that the next map_text() empties; and its
 * text as that of a target, an error if it got too long.
 */
struct sb *map_text(struct map_out *out);
int map_set_text(struct map_out *out, struct sv name, struct err *err)
    WARN_UNUSED;

struct map_field {
    struct sv name;
    struct sv text;
};

/*
 * Of a pipe; pipe->filter is its "if (...)".  What nobody reads behind the
 * pipe is not made.
 */
struct mapper {
    enum map_keep keep;
    /*
     * What is read: names, in this order; or with patterns all fields that
     * match one of them (npatterns > 0), the empty ones too.
     */
    const struct sv *sources;
    uint32_t nsources;
    const struct field_pattern *patterns;
    uint32_t npatterns;
    /* Targets that every row gets, in this order, set or not (then ""). */
    const struct sv *targets;
    uint32_t ntargets;
    /* False: the result also depends on other things (rand(), now()). */
    bool is_pure;
    /* True: it sets names that are not among the targets, too. */
    bool is_open;
    const void *spec;
    /*
     * in: of the sources or the matching fields.  Called by several threads
     * at a time.
     */
    int (*map)(const void *spec, const struct map_field *in, uint32_t nin,
        struct map_out *out, struct err *err);
};

/* pipe_ops.make of a pipe with a mapper. */
int map_make(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct err *err) WARN_UNUSED;

/*
 * pipe_ops.needed of such a pipe: targets are made here (unless the mapper
 * keeps or skips some, or has a filter), sources and the fields of the
 * filter are read, if any target is wanted behind.
 */
int map_needed(struct needed *needed, const struct pipe *pipe,
    struct pool *pool) WARN_UNUSED;

/* --- shared syntax (parse_map.c) --- */

struct parser;

/* "[if (FILTER)]"; NULL when there is none. */
int parse_if(struct parser *p, struct filter **out) WARN_UNUSED;
/* "[keep_original_fields|skip_empty_results]" */
int parse_keep_mode(struct parser *p, enum map_keep *out) WARN_UNUSED;
/* "[WORD name]": "from", "at"; the default is _msg. */
int parse_word_name(struct parser *p, const char *word, struct sv *out)
    WARN_UNUSED;
/* "[[as] name]" up to the end; the default is _msg. */
int parse_as_name(struct parser *p, struct sv *out) WARN_UNUSED;
/* A text as an operand, quoted or not; what: for "expected ...". */
int parse_text(struct parser *p, struct sv *out, const char *what)
    WARN_UNUSED;
struct regexp;
/*
 * The source that stands at pos, compiled with captures; a dot matches
 * newlines, too.
 */
int parse_regexp(struct parser *p, struct regexp **out, struct sv source,
    uint32_t pos) WARN_UNUSED;
/* Nothing but the end may follow; wanted: what might have stood here. */
int parse_pipe_end(struct parser *p, const char *wanted) WARN_UNUSED;
/*
 * The end of a pipe that takes fields out of a text, behind parse_keep_mode();
 * tells whether it leaves _time alone.
 */
int parse_targets_end(struct parser *p, struct pipe *pipe,
    const struct sv *targets, uint32_t n) WARN_UNUSED;
/* " if (FILTER)", or nothing. */
void print_if(struct sb *out, const struct filter *filter);
/* " keep_original_fields" ..., or nothing. */
void print_keep_mode(struct sb *out, enum map_keep keep);
/* " WORD name", or nothing if it is _msg. */
void print_word_name(struct sb *out, const char *word, struct sv name);

#endif
