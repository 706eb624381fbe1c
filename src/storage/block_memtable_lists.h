/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Values of one field in the lists of a memtable: of rows, events and links.
 * Private to block_memtable*.c.
 */

#ifndef SPOOR_STORAGE_BLOCK_MEMTABLE_LISTS_H
#define SPOOR_STORAGE_BLOCK_MEMTABLE_LISTS_H

#include "core/base.h"
#include "storage/block_read.h"
#include "storage/memtable_format.h"

/* An element of a shape that gives the field its text. */
struct memtable_hit {
    uint32_t off; /* words from the list's first */
    uint32_t type;
    uint32_t key;
};

/* What a shape says about the field. */
struct memtable_plan {
    uint32_t words; /* of the values of the shape */
    uint32_t first; /* in hits; the last that gives a text wins */
    uint32_t n;
    uint32_t off;   /* of the last hit */
    bool is_made;
};

struct memtable_lists {
    struct block *block;
    const struct block_field *field;
    struct memtable_plan *plans; /* by shape */
    uint32_t nplans;
    struct memtable_hit *hits;
    uint32_t nhits;
    uint32_t hits_cap;
    uint32_t types;      /* seen in hits: 1 << type */
    uint32_t hits_max;   /* of one shape */
    struct block_values values;
    uint32_t *memo;      /* code + 1 of the string, by its code */
    uint32_t nstrings;
    uint32_t absent;     /* code + 1 of "" */
    bool is_plain;       /* all texts are strings of the memtable */
};

/* field NULL: of no field. */
int memtable_lists_init(struct memtable_lists *lists, struct block *block,
    const struct block_field *field) WARN_UNUSED;
/* Private: makes the plan. */
int memtable_lists_new_plan(struct memtable_lists *lists, uint32_t shape)
    WARN_UNUSED;

static inline int WARN_UNUSED
memtable_lists_plan(struct memtable_lists *lists, uint32_t shape,
    const struct memtable_plan **out)
{
    if (UNLIKELY(shape >= lists->nplans || !lists->plans[shape].is_made) &&
        memtable_lists_new_plan(lists, shape) != 0)
        return -1;
    *out = &lists->plans[shape];
    return 0;
}

/* Types that shapes have the field in: 1 << type; nothing is kept. */
int memtable_lists_types(struct block *block,
    const struct block_field *field, uint32_t *types) WARN_UNUSED;
/* The words [at, at + n) are in the heap; at 0 never is. */
static inline bool
memtable_has_words(uint32_t at, uint32_t n)
{
    return at != 0 && at <= MEMTABLE_HEAP_WORDS &&
        n <= MEMTABLE_HEAP_WORDS - at;
}

/* Code of the text of the list whose values start at word `at`. */
int memtable_lists_code(struct memtable_lists *lists, uint32_t shape,
    uint32_t at, uint32_t *code) WARN_UNUSED;
/* Makes the memo of strings, with one place more. */
int memtable_lists_memo(struct memtable_lists *lists) WARN_UNUSED;
/* Of a string of the memtable; "" stays "". */
int memtable_lists_string(struct memtable_lists *lists, uint32_t string,
    uint32_t *code) WARN_UNUSED;
/* Code of "". */
int memtable_lists_new_absent(struct memtable_lists *lists) WARN_UNUSED;

static inline int WARN_UNUSED
memtable_lists_absent(struct memtable_lists *lists, uint32_t *code)
{
    if (UNLIKELY(lists->absent == 0) && memtable_lists_new_absent(lists) != 0)
        return -1;
    *code = lists->absent - 1;
    return 0;
}

/* The number, and whether there is one. */
int memtable_lists_number(struct memtable_lists *lists, uint32_t shape,
    uint32_t at, int64_t *number) WARN_UNUSED;

/* --- events and links (block_memtable_subs.c) --- */

/* How many a row has. */
int memtable_items_count(struct block *block, uint32_t row,
    uint32_t *nevents, uint32_t *nlinks) WARN_UNUSED;
/* The list of each: its shape, and its values start at word `at`. */
typedef int (*memtable_item_fn)(void *arg, bool is_link, uint32_t shape,
    uint32_t at);
int memtable_items_visit(struct memtable_lists *lists, uint32_t row,
    memtable_item_fn fn, void *arg) WARN_UNUSED;

#endif
