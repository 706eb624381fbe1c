/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the files of the parser share.  A function returns 0, or -1 after it
 * has set the error; it stands behind what it took.
 */

#ifndef SPOOR_QUERY_PARSER_H
#define SPOOR_QUERY_PARSER_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "query/ast.h"
#include "query/lex.h"
#include "query/parse.h"

struct acc_ops; /* query/acc.h */

struct parser {
    struct lexer lex;
    struct pool *pool;
    struct err *err;
    int64_t now_ns;
    unsigned depth;
    uint32_t nodes;
    const struct query *query; /* the one being parsed; NULL: none */
    bool is_field_prefix; /* of the filters that are parsed now */
    unsigned inside;  /* queries around it */
    unsigned queries; /* inside the whole */
    unsigned pipes;   /* of all of them */
};

/* --- parse_word.c: errors, words, lists --- */

/* "position N: ..." with N counted in characters from 1.  Returns -1. */
int parse_fail(struct parser *p, uint32_t pos, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same with ERR_LIMIT: "more than <max> <what>". */
int parse_too_many(struct parser *p, uint32_t pos, unsigned max,
    const char *what);
/* The same with ERR_UNSUPPORTED. */
int parse_unsupported(struct parser *p, uint32_t pos, const char *what,
    struct sv name);
/* "expected <wanted>, found 'x'" at the present token.  Returns -1. */
int parse_unexpected(struct parser *p, const char *wanted);
int parse_no_memory(struct parser *p);

/* A word cut for messages, without control characters. */
#define SHOWN_MAX 48
struct shown {
    char text[SHOWN_MAX];
};
struct shown parse_show(struct sv word);

bool parse_at(const struct parser *p, const char *token);
/* parse_at() and behind it. */
bool parse_take(struct parser *p, const char *token);
/* Behind it, or an error that names where: "after 'by'". */
int parse_want(struct parser *p, const char *token, const char *where)
    WARN_UNUSED;
/* End of the query, '|' or ')'. */
bool parse_at_end(const struct parser *p);

int parse_enter(struct parser *p) WARN_UNUSED; /* counts nesting */
void parse_leave(struct parser *p);
int parse_count(struct parser *p) WARN_UNUSED; /* counts nodes */
/*
 * Room for one more item: the array, moved when it was full, or NULL after
 * an error.  Counts a node.
 */
void *parse_grow(struct parser *p, void *items, uint32_t n, uint32_t *cap,
    size_t size) WARN_UNUSED;

/* Where tokens that touch end to be one word (reference 2.4). */
#define STOP_PHRASE "*,()[]|:"  /* a filter that may have a field */
#define STOP_VALUE "*,()[]|"    /* behind "field:" */
#define STOP_ARGUMENT "*,()|"
#define STOP_REGEXP ",()[]|"
#define STOP_NAME ",()[]|"
#define STOP_BY ",()[]|:"
#define STOP_STREAM "=,(){}|"

struct word {
    struct sv text; /* decoded if it is one quoted string */
    bool is_quoted;
    uint32_t pos;
};

/* what: for "expected ..." */
int parse_word(struct parser *p, struct word *out, const char *stops,
    const char *what) WARN_UNUSED;
/* A word that is a field's name, through flat_name(). */
int parse_name(struct parser *p, struct sv *out, const char *stops)
    WARN_UNUSED;
int parse_pattern(struct parser *p, struct field_pattern *out) WARN_UNUSED;
struct field_pattern parse_to_pattern(struct parser *p, struct sv text);
/* "10", "10K" ...; is_plain: decimal digits only. */
int parse_uint(struct parser *p, uint64_t *out, bool is_plain,
    const char *what) WARN_UNUSED;

struct values {
    struct sv *items;
    uint32_t n;
    uint32_t cap;
    bool is_any; /* (*) */
};

/*
 * "(a, b, ...)" from the parenthesis on: 1 a list; 0 no list, without an
 * error, with the parser anywhere; -1.
 */
int parse_values(struct parser *p, struct values *out) WARN_UNUSED;

/* A builder's text in the pool; releases the builder. */
int parse_keep(struct parser *p, struct sb *sb, struct sv *out) WARN_UNUSED;
#define PARSE_TEXT_MAX (64 * KIB)

/* --- names.c --- */

enum function_trait {
    FUNCTION_LIMIT = 1,
    FUNCTION_PLAIN = 2,
    FUNCTION_PHI = 4,
    FUNCTION_NONE = 8,
    FUNCTION_ONE = 16,
    FUNCTION_KEY = 32,
    FUNCTION_SORT = 64,
    FUNCTION_EMPTY = 128,
    FUNCTION_LATE = 256,
};

struct function_name {
    const char *name;
    enum stats_kind kind;
    const struct acc_ops *acc;
    bool is_old;
    unsigned traits;
    const char *syntax;
    const char *example;
    const char *doc;
};

extern const struct function_name function_names[];
extern const size_t nfunction_names;

/* Letters in either case; NULL: none. */
const struct function_name *function_name_find(struct sv word);

struct call; /* query/parse_function.h */

/* A row of filters.def. */
struct filter_name {
    const char *name;
    int (*call)(struct parser *p, struct call *call); /* NULL: a form */
    const char *syntax;
    const char *example;
    const char *doc;
};

extern const struct filter_name filter_names[];
extern const size_t nfilter_names;

/* A filter's function: "in", "range" ...; NULL: none. */
const struct filter_name *filter_name_find(struct sv word);
/* The nearest names; an empty view: none is near. */
struct sv function_name_near(struct sv word);
struct sv filter_name_near(struct sv word);

/* --- parse_filter.c --- */

/*
 * From the present token to what no filter goes on with: the end, '|', ')'.
 * field: that of a group, or NULL.
 */
int parse_filter(struct parser *p, struct filter **out,
    const struct sv *field) WARN_UNUSED;
/* A whole filter, which must not begin with a pipe's name (3.5). */
int parse_first_filter(struct parser *p, struct filter **out) WARN_UNUSED;

/* --- parse_leaf.c, parse_function.c --- */

/* One filter, no NOT, no parenthesis.  field NULL: none was given. */
int parse_leaf(struct parser *p, struct filter **out,
    const struct sv *field) WARN_UNUSED;
/* 1: took "name(...)"; 0: the token begins no filter function; -1. */
int parse_function(struct parser *p, struct filter **out, struct sv field)
    WARN_UNUSED;
/* in(), contains_all(), contains_any() from the parenthesis on. */
int parse_in(struct parser *p, struct filter *filter, const char *name)
    WARN_UNUSED;

/* --- parse_time.c, parse_stream.c --- */

int parse_time(struct parser *p, struct filter **out) WARN_UNUSED;
int parse_stream(struct parser *p, struct filter **out) WARN_UNUSED;
int parse_stream_id(struct parser *p, struct filter **out) WARN_UNUSED;

/* --- parse_pipe.c, parse_sort.c, parse_stats.c --- */

/* From the token behind '|'. */
int parse_pipe(struct parser *p, struct pipe *pipe) WARN_UNUSED;
int parse_sort(struct parser *p, struct pipe *pipe) WARN_UNUSED;
/* "(a desc, b)"; "()" means no field. */
int parse_sort_fields(struct parser *p, struct sort_field **out, uint32_t *n)
    WARN_UNUSED;
/* Behind "partition" and behind "rank". */
int parse_partition(struct parser *p, struct sort_spec *sort) WARN_UNUSED;
int parse_rank(struct parser *p, struct sv *out) WARN_UNUSED;
/* From the functions or "by" on. */
int parse_stats(struct parser *p, struct pipe *pipe) WARN_UNUSED;
int parse_patterns(struct parser *p, struct pipe *pipe) WARN_UNUSED;
int parse_pairs(struct parser *p, struct pipe *pipe) WARN_UNUSED;
int parse_limit(struct parser *p, struct pipe *pipe) WARN_UNUSED;
int parse_offset(struct parser *p, struct pipe *pipe) WARN_UNUSED;
int parse_filter_pipe(struct parser *p, struct pipe *pipe) WARN_UNUSED;
/* "[by] (a, b)" or "a, b", one at least: the names of the pipe. */
int parse_by_names(struct parser *p, struct pipe *pipe) WARN_UNUSED;
/* With as many s behind as no name of the pipe has. */
int parse_new_name(struct parser *p, const struct pipe *pipe,
    struct sv wanted, struct sv *out) WARN_UNUSED;
/* Behind "filter": to pipe->substring. */
int parse_substring(struct parser *p, struct pipe *pipe) WARN_UNUSED;
int parse_uniq(struct parser *p, struct pipe *pipe) WARN_UNUSED;
int parse_field_names(struct parser *p, struct pipe *pipe) WARN_UNUSED;
/* "(a, b)" without stars, from the parenthesis on. */
int parse_plain_names(struct parser *p, struct values *out) WARN_UNUSED;

/* --- parse.c --- */

/* "(name=value, ...)" behind "options". */
int parse_query_options(struct parser *p, struct query *query,
    struct filter **global) WARN_UNUSED;
void print_query_options(struct sb *out, const struct query *query);

/* Options, filter and pipes up to the end or a ')'. */
int parse_query(struct parser *p, struct query **out) WARN_UNUSED;
/* "(QUERY)" inside the one that is being parsed. */
int parse_inside(struct parser *p, struct query **out) WARN_UNUSED;

/* --- parse_json.c: the whole text of p is a JSON object --- */

int parse_json_filter(struct parser *p, struct filter **out) WARN_UNUSED;
int parse_json_stream(struct parser *p, struct filter **out) WARN_UNUSED;

/* --- rewrite.c --- */

struct filter *filter_new(struct pool *pool, enum filter_kind kind,
    struct sv field, uint32_t pos);
/*
 * AND or OR of items (borrowed) with the simple cases solved: nested ones,
 * "*", one item, no item.  NULL: no memory.
 */
struct filter *filter_new_list(struct pool *pool, enum filter_kind kind,
    struct filter **items, uint32_t n);
struct filter *filter_new_not(struct pool *pool, struct filter *inner,
    uint32_t pos);
/* Safe rewrites of pipes (reference 3.10). */
int query_rewrite(struct query *query);

/* --- print.c --- */

/* A name or word, quoted if it must be. */
void print_word(struct sb *out, struct sv text);
/* Always quoted. */
void print_quoted(struct sb *out, struct sv text);
void print_pattern(struct sb *out, const struct field_pattern *pattern);
/* "a, b*" */
void print_patterns(struct sb *out, const struct field_pattern *patterns,
    uint32_t n);
/* "sum(a, b) limit 3 if (x)": without the result's name. */
void print_function(struct sb *out, const struct stats_fn *fn);
/* "a desc, b" */
void print_sort_fields(struct sb *out, const struct sort_field *fields,
    uint32_t n);
void print_pipe(struct sb *out, const struct pipe *pipe);
/* " filter "x"" */
void print_substring(struct sb *out, const struct pipe *pipe);

#endif
