/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the runs of a block have of one field, for rows, events and links.
 * Private to block_part*.c.
 */

#ifndef SPOOR_STORAGE_BLOCK_PART_LISTS_H
#define SPOOR_STORAGE_BLOCK_PART_LISTS_H

#include "core/base.h"
#include "storage/block_read.h"

/* Values of a vector in ascending order, or single ones. */
struct part_cursor {
    struct reading *r;
    const struct part_vector *vector;
    bool is_sparse; /* few values are wanted */
    uint32_t from;  /* what is in buf */
    uint32_t n;
    uint64_t *buf;  /* COL_MINI */
    uint64_t largest; /* that part_cursor_codes() has seen */
};

int part_cursor_init(struct part_cursor *cursor, struct block *block,
    const struct part_vector *vector, bool is_sparse) WARN_UNUSED;
int part_cursor_refill(struct part_cursor *cursor, uint32_t i) WARN_UNUSED;

/* Value i of the vector. */
static inline int WARN_UNUSED
part_cursor_get(struct part_cursor *cursor, uint32_t i, uint64_t *out)
{
    if (UNLIKELY(i - cursor->from >= cursor->n)) {
        if (cursor->is_sparse)
            return vector_get(cursor->r, cursor->vector, i, out);
        if (part_cursor_refill(cursor, i) != 0)
            return -1;
    }
    *out = cursor->buf[i - cursor->from];
    return 0;
}

/* Values [i, i + n). */
int part_cursor_copy(struct part_cursor *cursor, uint32_t i, uint32_t n,
    uint64_t *dst) WARN_UNUSED;
/* The same in 32 bits, plus shift. */
int part_cursor_codes(struct part_cursor *cursor, uint32_t i, uint32_t n,
    uint32_t shift, uint32_t *dst) WARN_UNUSED;

/* A key that may give the field its text. */
struct part_source {
    uint32_t key;
    uint32_t column;
    uint8_t type;
    struct part_cursor cursor;
    struct part_dict dict; /* when it was loaded */
    uint32_t *memo;        /* code + 1, by code of the dictionary */
};

/* A key of a shape that does. */
struct part_hit {
    uint32_t position; /* in the shape */
    uint32_t source;
};

struct part_plan {
    uint32_t first; /* in hits; the last that gives a text wins */
    uint32_t n;
};

struct part_lists {
    struct block *block;
    struct reading *r;
    const struct block_field *field;
    bool is_sparse;
    const struct part_runs *runs; /* NULL: there is no source */
    struct part_source *sources;
    uint32_t nsources;
    struct part_plan *plans;      /* by shape; only those of runs are made */
    struct part_hit *hits;
    uint32_t nhits;
    uint32_t hits_cap;
    uint32_t hits_max;            /* of one shape */
    uint32_t types;               /* of the hits: 1 << type */
    struct block_values values;
    uint32_t absent;              /* code + 1 of "" */
};

/* Only the sources: nothing is read. */
int part_lists_sources(struct part_lists *lists, struct block *block,
    const struct block_field *field, bool is_sparse) WARN_UNUSED;
int part_lists_init(struct part_lists *lists, struct block *block,
    const struct block_field *field, bool is_sparse) WARN_UNUSED;

/* The plan of a run. */
static inline const struct part_plan *
part_lists_plan(const struct part_lists *lists, uint32_t run)
{
    return &lists->plans[lists->runs->shape[run]];
}

/* Number of the value of a hit in the run's first row. */
static inline uint32_t
part_lists_base(const struct part_lists *lists, uint32_t run,
    const struct part_hit *hit)
{
    return lists->runs->base[lists->runs->first[run] + hit->position];
}

/* Code of the text of a row of the run. */
int part_lists_code(struct part_lists *lists, uint32_t run, uint32_t row,
    uint32_t *code) WARN_UNUSED;
int part_lists_absent(struct part_lists *lists, uint32_t *code) WARN_UNUSED;
/* Code of string `string` of the source; "" of an attribute is "-". */
int part_lists_string(struct part_lists *lists, struct part_source *source,
    uint64_t string, uint32_t *code) WARN_UNUSED;

#endif
