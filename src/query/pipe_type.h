/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the query engine has to know of a pipe: its row in pipes.def and its
 * functions.  A pipe (or a family) is one file, pipe_NAME.c, with a struct
 * of its own behind pipe->spec, its syntax, its canonical text, the fields
 * it reads and its stage; the older ones have parse_*.c and stage_*.c.
 */

#ifndef SPOOR_QUERY_PIPE_TYPE_H
#define SPOOR_QUERY_PIPE_TYPE_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "query/ast.h"
#include "query/stage.h"

struct parser; /* query/parser.h */

struct mapper;

struct pipe_ops {
    /* Behind the name, up to parse_at_end(). */
    int (*parse)(struct parser *p, struct pipe *pipe);
    /* The whole pipe, name first, so that parsing it gives the same. */
    void (*print)(struct sb *out, const struct pipe *pipe);
    /*
     * *needed is what the pipes behind read; becomes what is read in front.
     * NULL: nothing changes.  -1: no memory.
     */
    int (*needed)(struct needed *needed, const struct pipe *pipe,
        struct pool *pool);
    stage_maker make;
    /* Of a pipe whose needed and make are map_needed and map_make. */
    struct mapper (*mapper)(const struct pipe *pipe);
};

enum pipe_trait {
    PIPE_OLD = 1,  /* its name cannot begin a filter (reference 3.5); the
                      names of later versions were free then */
    PIPE_ROW = 2,  /* row by row: a storage node may run it */
    PIPE_TAIL = 4, /* besides those: live tailing may use it */
    PIPE_PICKS = 8, /* which rows there are depends on all of them: "limit"
                       of /query is a pipe, not the newest rows */
    PIPE_AFTER_STATS = 16, /* may follow stats in stats_query */
    /* --- what storage nodes do of a pipe that is not row by row --- */
    PIPE_STATE = 32, /* they give its state (query/state.h) */
    PIPE_BEST = 64,  /* rows of its answer are in the answer of a node */
    PIPE_SUM = 128,  /* its answer is that of all nodes together */
};

struct pipe_type {
    const char *name;
    const char *aliases;
    enum pipe_kind kind;
    const struct pipe_ops *ops; /* NULL: not executed yet */
    unsigned traits;
    const char *syntax;
    const char *example;
    const char *doc;
};

extern const struct pipe_type pipe_types[];
extern const size_t npipe_types;

/* Letters in either case; NULL: none. */
const struct pipe_type *pipe_type_find(struct sv word);
/* The nearest name; an empty view: none is near. */
struct sv pipe_name_near(struct sv word);
/* The first one of a kind. */
const struct pipe_type *pipe_type_of_kind(enum pipe_kind kind);

/* parse_pipe.c, print_pipe.c, needed.c, stage_*.c */
extern const struct pipe_ops pipe_fields;
extern const struct pipe_ops pipe_delete;
extern const struct pipe_ops pipe_copy;
extern const struct pipe_ops pipe_rename;
extern const struct pipe_ops pipe_limit;
extern const struct pipe_ops pipe_offset;
extern const struct pipe_ops pipe_sort;
extern const struct pipe_ops pipe_filter;
extern const struct pipe_ops pipe_uniq;
extern const struct pipe_ops pipe_field_names;
extern const struct pipe_ops pipe_stats;

/* pipe_NAME.c; those of one line are in one file */
extern const struct pipe_ops pipe_coalesce;
extern const struct pipe_ops pipe_collapse_nums;
extern const struct pipe_ops pipe_decolorize;
extern const struct pipe_ops pipe_drop_empty_fields;
extern const struct pipe_ops pipe_extract;
extern const struct pipe_ops pipe_extract_regexp;
extern const struct pipe_ops pipe_format;
extern const struct pipe_ops pipe_generate_sequence;
extern const struct pipe_ops pipe_replace;
extern const struct pipe_ops pipe_replace_regexp; /* pipe_replace.c */
extern const struct pipe_ops pipe_sample;
extern const struct pipe_ops pipe_set_stream_fields;
extern const struct pipe_ops pipe_time_add;
extern const struct pipe_ops pipe_hash; /* pipe_len.c */
extern const struct pipe_ops pipe_len;
extern const struct pipe_ops pipe_json_array_concat; /* pipe_arrays.c */
extern const struct pipe_ops pipe_json_array_len;
extern const struct pipe_ops pipe_split;
extern const struct pipe_ops pipe_unpack_words;
extern const struct pipe_ops pipe_math;
extern const struct pipe_ops pipe_pack_json; /* pipe_pack.c */
extern const struct pipe_ops pipe_pack_logfmt;
extern const struct pipe_ops pipe_unpack_json;
extern const struct pipe_ops pipe_unpack_logfmt;
extern const struct pipe_ops pipe_unpack_syslog;
extern const struct pipe_ops pipe_unroll;
extern const struct pipe_ops pipe_join;
extern const struct pipe_ops pipe_union;
extern const struct pipe_ops pipe_stream_context;
extern const struct pipe_ops pipe_first; /* pipe_first.c */
extern const struct pipe_ops pipe_last;
extern const struct pipe_ops pipe_top;
extern const struct pipe_ops pipe_field_values;
extern const struct pipe_ops pipe_facets;
extern const struct pipe_ops pipe_block_stats; /* pipe_blocks.c */
extern const struct pipe_ops pipe_blocks_count;
extern const struct pipe_ops pipe_query_stats;
extern const struct pipe_ops pipe_running_stats; /* pipe_running.c */
extern const struct pipe_ops pipe_total_stats;

#endif
