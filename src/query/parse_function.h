/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to parse_function*.c and names.c: parsers of filters that are
 * written as functions, one for each FILTER_CALL in filters.def.
 */

#ifndef SPOOR_QUERY_PARSE_FUNCTION_H
#define SPOOR_QUERY_PARSE_FUNCTION_H

#include "core/base.h"
#include "query/parser.h"

/* A call while it is parsed. */
struct call {
    const char *name;
    uint32_t pos; /* of the name */
    struct filter *filter;
    struct values args;
};

/* From the parenthesis on: sets kind and operands of call->filter. */
typedef int (*filter_call_fn)(struct parser *p, struct call *call);

/* --- parse_function.c --- */

int call_in(struct parser *p, struct call *call);
int call_contains_all(struct parser *p, struct call *call);
int call_contains_any(struct parser *p, struct call *call);
int call_seq(struct parser *p, struct call *call);
int call_exact(struct parser *p, struct call *call);
int call_nocase(struct parser *p, struct call *call);
int call_regexp(struct parser *p, struct call *call);
int call_value_type(struct parser *p, struct call *call);
int call_field(struct parser *p, struct call *call);

/* A list of least to most values, no (*). */
int call_take_args(struct parser *p, struct call *call, uint32_t least,
    uint32_t most) WARN_UNUSED;
/* name(a, b): keeps it as it was written, for the canonical text. */
int call_keep_written(struct parser *p, struct call *call) WARN_UNUSED;

/* --- parse_range.c --- */

int call_range(struct parser *p, struct call *call);
int call_string_range(struct parser *p, struct call *call);
int call_len_range(struct parser *p, struct call *call);
int call_ipv4_range(struct parser *p, struct call *call);

/* --- parse_newer.c --- */

int call_pattern_match(struct parser *p, struct call *call);
int call_pattern_match_full(struct parser *p, struct call *call);
int call_pattern_match_prefix(struct parser *p, struct call *call);
int call_pattern_match_suffix(struct parser *p, struct call *call);
int call_equals_case(struct parser *p, struct call *call);
int call_contains_case(struct parser *p, struct call *call);
int call_ipv6_range(struct parser *p, struct call *call);
int call_json_array(struct parser *p, struct call *call);

#endif
