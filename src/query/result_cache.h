/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What stats has of whole parts, by part and plan: parts never change, so a
 * dashboard that asks the same again adds up what is known and reads only
 * what is new.  One for each process; thread-safe.
 */

#ifndef SPOOR_QUERY_RESULT_CACHE_H
#define SPOOR_QUERY_RESULT_CACHE_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

/* States that are kept at a time. */
#define RESULT_CACHE_ENTRIES_MAX 8192u
/* A larger state is not kept. */
#define RESULT_CACHE_STATE_MAX (1 * MIB)

/* Hash of all that the state depends on (source_cached.c). */
struct result_key {
    uint64_t lo;
    uint64_t hi;
};

/* Appends the state; false: it is not there. */
bool result_cache_get(const struct result_key *key, struct sb *out);
/* Is it there?  No hit, no miss. */
bool result_cache_has(const struct result_key *key);
/*
 * Keeps a copy; what was used least recently goes when all states together
 * take more than bytes_max.
 */
void result_cache_put(const struct result_key *key, struct sv state,
    size_t bytes_max);
/* At process end and in tests. */
void result_cache_clear(void);

#endif
