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

/* Where a mapper puts its results; private to stage_map.c. */
struct map_out;

/*
 * The text of a target in this row, copied if it is not in the chunk's pool
 * or one of the inputs; name must live as long as the query or be in the
 * chunk's pool.  The first call with a name makes the column.
 */
int map_set(struct map_out *out, struct sv name, struct sv text,
    struct err *err) WARN_UNUSED;
/* Memory of the chunk; NULL with err set when there is none. */
char *map_alloc(struct map_out *out, size_t len, struct err *err);

struct map_field {
    struct sv name;
    struct sv text;
};

struct mapper {
    const struct filter *filter; /* if (...); NULL: every row */
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
    const void *spec;
    /*
     * in: of the sources or the matching fields.  Called by several threads
     * at a time.
     */
    int (*map)(const void *spec, const struct map_field *in, uint32_t nin,
        struct map_out *out, struct err *err);
};

/* A stage of it; the mapper is copied, what it points to is in the query. */
int stage_new_map(struct stage **out, const struct mapper *mapper,
    struct query_run *run, struct err *err) WARN_UNUSED;

/*
 * pipe_ops.needed of such a pipe: targets are made here (unless the mapper
 * keeps or skips some, or has a filter), sources and the fields of the
 * filter are read, if any target is wanted behind.
 */
int needed_before_map(struct needed *needed, const struct mapper *mapper,
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
void print_if(struct sb *out, const struct filter *filter);
void print_keep_mode(struct sb *out, enum map_keep keep);

#endif
