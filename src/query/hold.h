/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What one lane of a stage keeps: texts and small pieces that live until the
 * hold is freed, and arrays that grow.  All of it is charged to the query's
 * budget.  A hold is used by one thread at a time.
 */

#ifndef SPOOR_QUERY_HOLD_H
#define SPOOR_QUERY_HOLD_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"
#include "query/pipe.h"

struct hold_chunk;

struct hold {
    struct query_budget *budget;
    struct hold_chunk *chunks;
    char *ptr; /* free part of the newest chunk */
    char *end;
    size_t chunk_next;
    size_t taken; /* bytes charged */
};

void hold_init(struct hold *hold, struct query_budget *budget);
/* Frees chunks and gives the budget back; arrays must be dropped before. */
void hold_free(struct hold *hold);
/*
 * What hold_alloc() and hold_text() gave from `from` lives as long as `to`.
 * Both are of one budget.
 */
void hold_adopt(struct hold *to, struct hold *from);

/* 8-byte aligned, not zeroed.  NULL: ERR_LIMIT. */
void *hold_alloc(struct hold *hold, size_t size, struct err *err) WARN_UNUSED;
int hold_text(struct hold *hold, struct sv text, struct sv *out,
    struct err *err) WARN_UNUSED;

/* An array of items; zero it to begin.  New items are zeroed. */
struct hold_array {
    void *items;
    size_t cap; /* items */
};
/* Room for at least `need` items; grows by doubling. */
int hold_grow(struct hold *hold, struct hold_array *array, size_t need,
    size_t item_size, struct err *err) WARN_UNUSED;
/* The same without zeros. */
int hold_grow_raw(struct hold *hold, struct hold_array *array, size_t need,
    size_t item_size, struct err *err) WARN_UNUSED;
void hold_drop(struct hold *hold, struct hold_array *array, size_t item_size);

#endif
