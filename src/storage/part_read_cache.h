/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What was read from parts, verified and made ready to use: directories, run
 * tables, chunks, heap pages.  One cache for all parts of a process, with a
 * budget in bytes; the piece unused for longest goes first, but tables
 * (directories, runs, rows of traces: small, and needed whatever is read) go
 * only when they alone fill half of it.  A piece in use is pinned and stays,
 * whatever the budget says.  Thread-safe; pieces never
 * change once they are in.
 */

#ifndef SPOOR_STORAGE_PART_READ_CACHE_H
#define SPOOR_STORAGE_PART_READ_CACHE_H

#include "core/base.h"

/* Ten busy level-1 parts, or the tables of eighty and some of the rest. */
#define DATA_CACHE_BYTES (32 * MIB)

enum data_kind {
    DATA_DIRECTORY = 0,
    DATA_RUNS,     /* index: enum part_table */
    DATA_FAMILIES,
    DATA_SUBS,     /* index: enum part_table */
    DATA_CHUNK,    /* index: number in the directory */
    DATA_PAGE,     /* index: number in the heap */
};

struct data_key {
    uint32_t block;
    uint32_t kind;
    uint32_t index;
};

/* The head of every piece; the rest is private to its maker. */
struct data {
    struct data_key key;
    size_t bytes;              /* what it counts */
    void (*free)(struct data *data);
    /* private to the cache */
    struct data_owner *owner;
    uint32_t pins;
    struct data *next_in_bucket;
    struct data *newer, *older; /* while not pinned */
    struct data *next_of_owner, *previous_of_owner;
};

/* One open part. */
struct data_owner {
    uint64_t serial;
    struct data *first;
};

void data_owner_init(struct data_owner *owner);
/* Drops all its pieces; none may be pinned. */
void data_owner_release(struct data_owner *owner);

/* The piece, pinned, or NULL. */
struct data *data_find(struct data_owner *owner, const struct data_key *key);

/*
 * Puts a piece with key, bytes and free set into the cache.  Returns it
 * pinned, or the one that another thread put in first (and frees this one).
 */
struct data *data_add(struct data_owner *owner, struct data *data);

/* Unpins n pieces; NULLs among them are skipped. */
void data_unpin(struct data *const *data, size_t n);

/* For tests: the budget, and what is held now. */
void data_cache_set_budget(size_t bytes);
size_t data_cache_held(void);

#endif
