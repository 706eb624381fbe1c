/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The catalogue: which parts and memtables make up the store now.  A
 * multi-version table in shared memory: each entry is visible in the
 * generations [born, dead).  Writers fill entries for generation g + 1 under
 * the table mutex and flip with one store; there is no odd state.  A writer
 * that dies before the flip leaves entries born or dead in the future, which
 * the next one takes back.
 *
 * A query registers the generation it reads in the reader table.  Files and
 * buffers that left the catalogue in generation d are given back only when
 * no reader is registered with a generation below d.  Readers take no lock.
 */

#ifndef SPOOR_STORAGE_CATALOG_H
#define SPOOR_STORAGE_CATALOG_H

#include "core/base.h"
#include "core/err.h"
#include "storage/part.h"

/* 262,144 parts: a month of a node at 50,000 spans a second, unmerged. */
#define CATALOG_ENTRIES_MAX 262144u
/* Queries that run at a time, over all processes. */
#define CATALOG_READERS_MAX 4096u

enum catalog_kind {
    CATALOG_FREE = 0,
    CATALOG_PART,
    CATALOG_MEMTABLE,
};

enum catalog_flag {
    CATALOG_BAD = 1,     /* damage was found: answers that need it are partial */
    CATALOG_SUSPECT = 2, /* memtable of a crashed worker */
    CATALOG_UNMERGED = 4, /* part that merges leave alone (compact.h) */
    /*
     * Left out of answers, which are partial, until the retention process has
     * looked again (scrub.h): damage was seen once; the disk gave an error.
     */
    CATALOG_DOUBT = 8,
    CATALOG_OFFLINE = 16,
};

struct catalog_entry {
    _Atomic uint64_t born; /* 0: free */
    _Atomic uint64_t dead; /* UINT64_MAX: alive */
    uint32_t kind;
    _Atomic uint32_t flags;
    uint32_t slot;         /* of a memtable */
    uint32_t buffer;
    struct part_info part;
};

int catalog_create(struct err *err) WARN_UNUSED;
void catalog_destroy(void);

/* --- changing: begin, any of add and remove, then commit or abort --- */

void catalog_begin(void);
/* ERR_LIMIT when the table is full.  *entry may be NULL. */
int catalog_add_part(const struct part_info *info, uint32_t *entry,
    struct err *err) WARN_UNUSED;
int catalog_add_memtable(unsigned slot, unsigned buffer, uint32_t *entry,
    struct err *err) WARN_UNUSED;
void catalog_remove(uint32_t entry);
/* Removes every entry. */
void catalog_remove_all(void);
/* Removes every memtable of a slot. */
void catalog_remove_memtables(unsigned slot);
/* Removes every part of a day; returns how many. */
uint32_t catalog_remove_day(uint32_t day);
/* True when a part of this id is alive (or being added). */
bool catalog_has_part(uint64_t part_id);
/* The same for n ids, rising, in one look at the table. */
void catalog_find_parts(const uint64_t *part_ids, bool *found, size_t n);
/* True when the entry is this part, and alive. */
bool catalog_is_part(uint32_t entry, uint64_t part_id);
/* The new generation: what was removed is gone for readers from it on. */
uint64_t catalog_commit(void);
void catalog_abort(void);

/* Flags are set without a generation: they only add caution. */
void catalog_flag(uint32_t entry, uint32_t flags);
/* The same on a part if it is alive, and flags to take away; false: it is not. */
bool catalog_change_flags(const struct part_info *part, uint32_t set,
    uint32_t clear);
/* Marks the memtables of a crashed worker. */
void catalog_flag_memtables(unsigned slot, uint32_t flags);

/* --- reading --- */

/* The present generation: as long as it stays, nothing was changed. */
uint64_t catalog_generation(void);

struct catalog_item {
    uint32_t entry;
    uint32_t kind;
    uint32_t flags;
    uint32_t slot;
    uint32_t buffer;
    struct part_info part;
};

struct catalog_snapshot {
    uint64_t gen;
    uint32_t reader; /* cell in the reader table */
    uint32_t n;
    struct catalog_item *items; /* memtables first, then parts */
};

/*
 * Registers as a reader and copies the entries whose end range meets
 * [min_end, max_end] (memtables always).  ERR_BUSY when the reader table is
 * full.  Items live in the pool.
 */
int catalog_snapshot_take(struct catalog_snapshot *snapshot,
    struct pool *pool, int64_t min_end, int64_t max_end, struct err *err)
    WARN_UNUSED;
void catalog_snapshot_release(struct catalog_snapshot *snapshot);

/* Lowest generation any reader uses; UINT64_MAX when there is none. */
uint64_t catalog_oldest_reader(void);
/* Frees the reader cells of a process that died. */
void catalog_clear_readers(pid_t pid);

/* For metrics: parts and memtables alive, and rows and bytes of parts. */
struct catalog_totals {
    uint64_t parts, memtables, rows, bytes, bad;
    uint64_t blocks;
    /* of these, above level 1 */
    uint64_t merged_parts, merged_rows, merged_bytes, merged_blocks;
    int64_t max_end_ns;                 /* INT64_MIN without parts */
    uint64_t unmerged;                  /* CATALOG_UNMERGED */
    uint64_t offline;                   /* CATALOG_DOUBT, CATALOG_OFFLINE */
};
void catalog_totals(struct catalog_totals *totals);

/* Days that have parts, rising; free with xfree(). */
struct catalog_day {
    uint32_t day;
    uint32_t parts;
    uint32_t bad;
    uint64_t rows;
    uint64_t bytes;
};
size_t catalog_sum_days(struct catalog_day **days);
/*
 * Copies of all parts with any of these flags (0: all parts), in no order;
 * free with xfree().
 */
struct catalog_item;
size_t catalog_copy_parts(struct catalog_item **items, uint32_t flags);
/* Ids of the parts of a day, rising; free with xfree(). */
size_t catalog_day_ids(uint32_t day, uint64_t **ids);

#endif
