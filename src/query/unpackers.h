/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The pipes that take a text apart into fields: unpack_json, unpack_logfmt,
 * unpack_syslog.  What they have in common: options, the wanted fields, how
 * results come into the row.
 */

#ifndef SPOOR_QUERY_UNPACKERS_H
#define SPOOR_QUERY_UNPACKERS_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/sv.h"
#include "query/ast.h"
#include "query/stage.h"
#include "query/stage_map.h"

struct parser;

/* Of one text; what comes behind them is left out. */
#define UNPACK_FIELDS_MAX 1000u
/* Longer flattened names are not made (reference 5.37). */
#define UNPACK_NAME_MAX 128u
/* Names, decoded texts and the list of fields of one text. */
#define UNPACK_POOL_MAX (128 * MIB)

/* Fields that a text has, in its order; a name may come twice. */
struct unpacked {
    struct pool *pool;
    const struct field_pattern *wanted; /* none: every field */
    uint32_t nwanted;
    struct map_field *fields;
    uint32_t n;
    uint32_t cap;
};

/* Borrows both; unwanted and too many fields are left out.  -1: no memory. */
int unpacked_add(struct unpacked *out, struct sv name, struct sv text)
    WARN_UNUSED;

struct unpack_spec;

/*
 * Pure functions of a text that anybody may have written.  Names and texts
 * are pieces of it, or in out->pool.  -1: no memory.
 */
typedef int (*unpack_fn)(struct unpacked *out, struct sv text,
    const struct unpack_spec *spec);
int unpack_json(struct unpacked *out, struct sv text,
    const struct unpack_spec *spec) WARN_UNUSED;
int unpack_logfmt(struct unpacked *out, struct sv text,
    const struct unpack_spec *spec) WARN_UNUSED;
int unpack_syslog(struct unpacked *out, struct sv text,
    const struct unpack_spec *spec) WARN_UNUSED;

struct unpack_spec {
    unpack_fn unpack;
    struct sv from;
    struct field_pattern *fields;
    uint32_t nfields;
    struct sv prefix;
    enum map_keep keep;
    struct sv *targets; /* fields without a star, with the prefix */
    uint32_t ntargets;
    bool is_open;       /* other fields may come, too */
    /* syslog: the zone of times without one, and now. */
    int64_t offset_ns;
    int64_t now_ns;
    struct sv offset_text; /* as written; empty: none */
};

/*
 * "[if (f)] [[from] field]", then in any order "fields (a, b*)" (unless it is
 * syslog), "result_prefix p", "offset D" (of syslog), keep_original_fields or
 * skip_empty_results (not of syslog).
 */
int unpack_parse(struct parser *p, struct pipe *pipe, unpack_fn unpack)
    WARN_UNUSED;
void unpack_print(struct sb *out, const struct pipe *pipe);
struct mapper unpack_mapper(const struct pipe *pipe);

/* "fields (a, b*)" behind the word, also of the pack pipes. */
int unpack_parse_fields(struct parser *p, struct field_pattern **out,
    uint32_t *n) WARN_UNUSED;
/* " fields (a, b*)", or nothing. */
void unpack_print_fields(struct sb *out, const struct field_pattern *fields,
    uint32_t n);

#endif
