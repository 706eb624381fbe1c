/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Hash tables over fixed keys of 128 bits: numbers, ids, pairs of codes.
 * The hash has a secret, so that nobody can send ids that collide.
 */

#ifndef SPOOR_QUERY_DICT_H
#define SPOOR_QUERY_DICT_H

#include "core/base.h"
#include "core/err.h"
#include "query/hold.h"

struct key128 {
    uint64_t lo;
    uint64_t hi;
};

/* Random, the same for the life of the process. */
uint64_t dict_secret(void);

static inline uint64_t
key128_hash(struct key128 key, uint64_t secret)
{
    __extension__ unsigned __int128 product =
        (unsigned __int128)(key.lo ^ secret) *
        (key.hi ^ (secret >> 29 | secret << 35) ^ 0x9e3779b97f4a7c15u);
    uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);

    return (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
}

/* --- dict: key to code --- */

struct dict_slot {
    struct key128 key;
    uint32_t code;
    uint32_t stamp; /* used when it is the dict's */
};

struct dict {
    struct hold *hold;
    struct hold_array slots; /* struct dict_slot */
    uint64_t secret;
    uint32_t shift;          /* 64 - log2(slots) */
    uint32_t n;
    uint32_t stamp;
};

void dict_init(struct dict *dict, struct hold *hold);
void dict_drop(struct dict *dict);
/* Forgets all keys; memory is kept. */
void dict_clear(struct dict *dict);
/*
 * The slot of a key, good until the next call; a new one has the code
 * DICT_NEW, which the caller replaces.
 */
#define DICT_NEW UINT32_MAX
struct dict_slot *dict_find(struct dict *dict, struct key128 key,
    struct err *err) WARN_UNUSED;

/* Asks the memory for the place of a key that is looked up soon. */
static inline void
dict_prefetch(const struct dict *dict, struct key128 key)
{
    const struct dict_slot *slots = dict->slots.items;

    if (slots != NULL)
        __builtin_prefetch(&slots[key128_hash(key, dict->secret) >>
            dict->shift], 1);
}

/* --- set of keys; {0, 0} is never in it --- */

struct id_set {
    struct key128 *slots;
    uint32_t n;
    uint32_t shift; /* 64 - log2(slots); 64: no slots yet */
};

/* 0 or -1.  Slots are in the order of the hashes' high bits. */
int id_set_add(struct id_set *set, struct key128 key, struct hold *hold,
    struct err *err) WARN_UNUSED;
/*
 * Adds n keys; those that are {0, 0} are left out.  Faster than one by one,
 * because it waits for memory once for many keys.
 */
int id_set_add_many(struct id_set *set, const struct key128 *keys, uint32_t n,
    struct hold *hold, struct err *err) WARN_UNUSED;
int id_set_merge(struct id_set *set, const struct id_set *from,
    struct hold *hold, struct err *err) WARN_UNUSED;
void id_set_drop(struct id_set *set, struct hold *hold);

static inline size_t
id_set_slots(const struct id_set *set)
{
    return set->slots == NULL ? 0 : (size_t)1 << (64 - set->shift);
}

#endif
