/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A parsed LogsQL query: a filter, then pipes.  Everything lives in the
 * query's pool and is read-only after parsing, so that several threads may
 * use it.  Names and texts are decoded (no quotes, no escapes).
 */

#ifndef SPOOR_QUERY_AST_H
#define SPOOR_QUERY_AST_H

#include "core/base.h"
#include "core/pool.h"
#include "core/sv.h"

struct function_name;
struct pipe_type;
struct query;
struct regexp; /* query/regexp.h */
struct text_pattern;

/* --- filters --- */

enum filter_kind {
    FILTER_ALL,          /* every row */
    FILTER_NONE,         /* no row */
    FILTER_AND,          /* items */
    FILTER_OR,           /* items */
    FILTER_NOT,          /* items[0] */
    FILTER_PHRASE,       /* text; empty: the field is empty */
    FILTER_PREFIX,       /* text; empty: the field is not empty */
    FILTER_PHRASE_NOCASE,
    FILTER_PREFIX_NOCASE,
    FILTER_EXACT,        /* text */
    FILTER_EXACT_PREFIX, /* text */
    FILTER_IN,           /* values, or subquery */
    FILTER_CONTAINS_ALL, /* values, or subquery */
    FILTER_CONTAINS_ANY, /* values, or subquery */
    FILTER_SEQ,          /* values */
    FILTER_REGEXP,       /* regexp; text is its source */
    FILTER_NUMBER_RANGE, /* min .. max, both inclusive (see range_is_open) */
    FILTER_TEXT_RANGE,   /* text <= v < text_end; see has_text_end */
    FILTER_LEN_RANGE,    /* len_min .. len_max code points */
    FILTER_IPV4_RANGE,   /* len_min .. len_max as u32 addresses */
    FILTER_VALUE_TYPE,   /* text */
    FILTER_EQ_FIELD,     /* text: the other field */
    FILTER_LE_FIELD,
    FILTER_LT_FIELD,
    FILTER_TIME,         /* _time in [time_min, time_max] */
    FILTER_DAY_RANGE,    /* (t - offset) mod 24 h in [time_min, time_max] */
    FILTER_WEEK_RANGE,   /* day of (t - offset), 0 = Sunday, in
                            [len_min, len_max] */
    FILTER_STREAM,       /* stream: {...} */
    FILTER_STREAM_ID,    /* values: 48 lower-case hex digits, or subquery */
    FILTER_SUBSTRING,    /* text, anywhere */
    FILTER_PATTERN,      /* pattern */
    FILTER_IPV6_RANGE,   /* text .. text_end: addresses of 16 bytes */
    FILTER_JSON_ARRAY,   /* values */
};

enum stream_op {
    STREAM_EQ,     /* values[0] */
    STREAM_NE,     /* values[0] */
    STREAM_RE,     /* regexp, anchored */
    STREAM_NOT_RE,
    STREAM_IN,     /* values; is_any: in(*) */
    STREAM_NOT_IN,
};

struct stream_tag {
    struct sv label;
    enum stream_op op;
    bool is_any;
    struct sv *values;
    uint32_t nvalues;
    struct regexp *regexp;
};

/* An OR of ANDs; no alternative at all ("{}") matches every stream. */
struct stream_all {
    struct stream_tag *tags;
    uint32_t ntags;
};

struct filter {
    enum filter_kind kind;
    struct sv field;        /* "_msg" when none was given */
    /*
     * Some field whose name starts with `field` passes ("*:x": field is
     * empty).  Only the fields that a row has, so one with a value, count:
     * a predicate that accepts the empty text needs one, too.
     */
    bool is_field_prefix;
    struct filter **items;
    uint32_t nitems;
    uint32_t nvalues;
    struct sv text;
    struct sv text_end;
    bool has_text_end;      /* TEXT_RANGE: false = no upper bound */
    bool is_empty_matched;  /* TEXT_RANGE: a missing value counts as "" */
    struct sv *values;
    struct query *subquery; /* instead of values; field in subquery_field */
    bool is_resolved;       /* values are those of the subquery now */
    struct sv subquery_field;
    struct regexp *regexp;
    struct text_pattern *pattern; /* query/text_pattern.h */
    struct stream_all *stream;
    uint32_t nstream;
    double min, max;        /* NUMBER_RANGE, after nextafter() for ( and ) */
    int64_t time_min, time_max;
    int64_t offset;         /* ns, day and week ranges */
    uint64_t len_min, len_max;
    uint32_t pos;           /* byte offset in the query's text */
    /*
     * Canonical text of the operator and its operands for the kinds whose
     * members do not tell it (ranges, times); empty: print from the members.
     * For printing only.
     */
    struct sv written;
};

/* --- pipes --- */

enum pipe_kind {
    PIPE_FIELDS,      /* names */
    PIPE_DELETE,      /* names */
    PIPE_COPY,        /* pairs */
    PIPE_RENAME,      /* pairs */
    PIPE_LIMIT,       /* n */
    PIPE_OFFSET,      /* n */
    PIPE_SORT,        /* sort */
    PIPE_FILTER,      /* filter */
    PIPE_UNIQ,        /* names, hits, n = limit (0: none) */
    PIPE_FIELD_NAMES, /* result */
    PIPE_STATS,       /* stats */
    PIPE_OTHER,       /* told by type; spec */
};

/* A field, or all whose names start with it. */
struct field_pattern {
    struct sv name; /* without the star */
    bool is_prefix; /* "a*"; "*" alone: name is empty */
};

static inline bool
field_pattern_has(const struct field_pattern *pattern, struct sv name)
{
    return pattern->is_prefix ? sv_starts_with(name, pattern->name)
        : sv_eq(name, pattern->name);
}

/* Does any of them? */
static inline bool
field_patterns_have(const struct field_pattern *patterns, uint32_t n,
    struct sv name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (field_pattern_has(&patterns[i], name))
            return true;
    }
    return false;
}

struct field_pair {
    struct field_pattern src;
    struct field_pattern dst;
};

struct sort_field {
    struct sv name;
    bool is_desc; /* after a trailing desc was applied */
};

struct sort_spec {
    struct sort_field *fields; /* none: all fields of a row */
    uint32_t nfields;
    bool is_desc;              /* of the case without fields */
    uint64_t offset;
    uint64_t limit;            /* 0: none */
    struct sv *partition;      /* partition by */
    uint32_t npartition;
    struct sv rank;            /* result field; empty: none */
};

enum stats_kind {
    STATS_COUNT,
    STATS_SUM,
    STATS_AVG,
    STATS_MIN,
    STATS_MAX,
    STATS_QUANTILE, /* and median */
    STATS_COUNT_UNIQ,
    STATS_UNIQ_VALUES,
    STATS_OTHER, /* told by type */
};

struct stats_fn {
    enum stats_kind kind;
    const struct function_name *type; /* query/parser.h */
    struct field_pattern *args; /* none: all fields */
    uint32_t nargs;
    /*
     * Fields by which rows are chosen or sorted: the first argument of
     * row_max() and its like, or those of "sort by".
     */
    struct sort_field *keys;
    uint32_t nkeys;
    double phi;
    uint64_t limit;        /* 0: none */
    struct filter *filter; /* if (...); NULL: every row */
    struct sv result;      /* name of the result */
    struct sv name;        /* as in functions.def: "median", "quantile" */
    void *spec;            /* STATS_OTHER: of the function; in the pool */
};

enum bucket_kind {
    BUCKET_NONE,
    BUCKET_STEP,  /* step and offset as written; see query/bucket.h */
    BUCKET_IPV4,  /* "/24": the mask (0xffffff00) in step_ns */
    BUCKET_WEEK,  /* Monday 00:00 */
    BUCKET_MONTH,
    BUCKET_YEAR,
};

struct stats_by {
    struct sv name;
    enum bucket_kind bucket;
    double step;       /* as a number: operand path without times and IPs */
    double offset;
    int64_t step_ns;   /* the same exactly, when it is an integer or time */
    int64_t offset_ns;
    struct sv step_text; /* as written, for the canonical text */
    struct sv offset_text;
};

struct stats_spec {
    struct stats_by *by;
    uint32_t nby;
    struct stats_fn *fns;
    uint32_t nfns;
};

struct pipe {
    enum pipe_kind kind;
    const struct pipe_type *type; /* query/pipe_type.h */
    void *spec;       /* PIPE_OTHER: of the pipe's own file; in the pool */
    struct pipe *next;
    uint32_t pos; /* byte offset in the query's text */
    struct field_pattern *names;
    uint32_t nnames;
    struct field_pair *pairs;
    uint32_t npairs;
    uint64_t n;
    struct sv result;     /* FIELD_NAMES: field of the name */
    struct sv hits;       /* UNIQ with hits: name of the counter, else "" */
    struct sv substring;  /* FIELD_NAMES and its like: of what is given */
    struct sort_spec *sort;
    struct filter *filter;   /* FILTER; the "if (...)" of others, or NULL */
    struct query *subquery;  /* of join, union ...; or NULL */
    struct stats_spec *stats;
    bool keeps_time; /* PIPE_OTHER: rows have the _time they came with */
};

/* --- a query --- */

/* options(allow_partial_response=...) */
enum partial_option {
    PARTIAL_NOT_GIVEN,
    PARTIAL_ALLOWED,
    PARTIAL_REFUSED,
};

struct query {
    struct pool *pool;
    struct sv text;        /* as given */
    const struct query *outer; /* that this one is inside of; NULL: none */
    struct filter *filter; /* never NULL */
    struct pipe *pipes;
    uint32_t npipes;
    uint32_t concurrency;  /* options(concurrency=N); 0: not given */
    uint32_t parallel_readers; /* the same of this option */
    bool ignore_global_time_filter;
    enum partial_option allow_partial;
    /*
     * options(time_offset=D): the filter looks so much earlier, and pipes
     * see times that are so much later.
     */
    int64_t time_offset_ns;
    struct sv time_offset; /* as written */
    /* Fields that nothing of the query may see; see query_hide(). */
    struct field_pattern *hidden;
    uint32_t nhidden;
    bool is_hiding;        /* query_hide() has been here */
    /* Intersection of the _time filters that every row has to pass. */
    int64_t min_time;      /* INT64_MIN: none */
    int64_t max_time;      /* INT64_MAX: none */
    double rate_step;      /* seconds; 0: not known */
    int64_t now_ns;        /* that relative times in it count from */
    const struct filter *added; /* what query_add_filter() added last */
};

#endif
