/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to stage_map.c: what mappers set, until it is columns.
 */

#ifndef SPOOR_QUERY_MAP_OUT_H
#define SPOOR_QUERY_MAP_OUT_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "query/rows.h"
#include "query/stage.h"
#include "query/stage_map.h"

struct map_entry {
    uint32_t unit;
    struct sv text;
};

struct map_target {
    struct sv name;
    bool is_wanted; /* somebody reads it behind */
    bool is_listed; /* every row gets it */
    struct map_entry *entries; /* by unit; of a unit the last one counts */
    uint32_t n;
    uint32_t cap;
};

/*
 * A unit is what the mapper is called for: a picked row, or a distinct text
 * of the one source.
 */
struct map_out {
    const struct mapper *mapper;
    const struct needed *needed; /* behind */
    struct query_run *run;
    struct rows *rows;
    struct picks picks;          /* rows that the mapper is for */
    uint32_t nunits;
    const uint32_t *units;       /* of each picked row; NULL: its number */
    struct map_target *targets;
    uint32_t ntargets;
    uint32_t targets_cap;
    uint32_t *slots;             /* hash table of targets, index + 1 */
    uint32_t slots_mask;
    uint32_t cursor;             /* of the target that is likely next */
    /* The present call. */
    uint32_t unit;
    const struct map_field *in;
    uint32_t nin;
    struct sv scratch;           /* inputs in here do not last */
    struct sv newest;            /* newest map_alloc() */
    struct sb text;
    size_t charged;              /* of the text, to the query's budget */
    size_t work;                 /* since the last poll */
};

/* mapper, needed, run and rows are set. */
int map_out_init(struct map_out *out, struct err *err) WARN_UNUSED;
void map_out_release(struct map_out *out);
/* All that was set becomes columns of the rows. */
int map_out_finish(struct map_out *out, struct err *err) WARN_UNUSED;

#endif
