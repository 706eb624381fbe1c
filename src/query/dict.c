/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/dict.h"

#include "core/sys.h"
#include "core/timefmt.h"

#define DICT_BITS_MIN 6u /* 64 slots */
#define ID_SET_BITS_MIN 2u /* 4 slots: most groups have few values */

static _Atomic uint64_t secret;

uint64_t
dict_secret(void)
{
    uint64_t value = atomic_load_explicit(&secret, memory_order_relaxed);
    uint64_t fresh, none = 0;

    if (value != 0)
        return value;
    if (sys.random(&fresh, sizeof(fresh)) != 0)
        fresh = (uint64_t)clock_wall_ns() * 0x9e3779b97f4a7c15u;
    fresh |= 1;
    /* Whoever comes first decides for all. */
    if (atomic_compare_exchange_strong(&secret, &none, fresh))
        return fresh;
    return none;
}

static inline bool
key128_eq(struct key128 a, struct key128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* --- dict --- */

void
dict_init(struct dict *dict, struct hold *hold)
{
    memset(dict, 0, sizeof(*dict));
    dict->hold = hold;
    dict->secret = dict_secret();
    dict->stamp = 1;
}

void
dict_drop(struct dict *dict)
{
    if (dict->hold != NULL)
        hold_drop(dict->hold, &dict->slots, sizeof(struct dict_slot));
}

void
dict_clear(struct dict *dict)
{
    dict->n = 0;
    if (++dict->stamp != 0)
        return;
    memset(dict->slots.items, 0, dict->slots.cap * sizeof(struct dict_slot));
    dict->stamp = 1;
}

static struct dict_slot *
dict_place(struct dict *dict, struct key128 key)
{
    struct dict_slot *slots = dict->slots.items;
    size_t mask = dict->slots.cap - 1;
    size_t at = key128_hash(key, dict->secret) >> dict->shift;

    while (slots[at].stamp == dict->stamp && !key128_eq(slots[at].key, key))
        at = (at + 1) & mask;
    return &slots[at];
}

static int
dict_grow(struct dict *dict, struct err *err)
{
    struct dict old = *dict;
    struct dict_slot *slots = old.slots.items;
    size_t cap = MAX(2 * old.slots.cap, (size_t)1 << DICT_BITS_MIN);

    dict->slots = (struct hold_array){NULL, 0};
    if (hold_grow(dict->hold, &dict->slots, cap, sizeof(*slots), err) != 0) {
        dict->slots = old.slots;
        return -1;
    }
    dict->shift = 64 - (uint32_t)__builtin_ctzll(cap);
    for (size_t i = 0; i < old.slots.cap; i++) {
        if (slots[i].stamp == dict->stamp)
            *dict_place(dict, slots[i].key) = slots[i];
    }
    hold_drop(dict->hold, &old.slots, sizeof(*slots));
    return 0;
}

struct dict_slot *
dict_find(struct dict *dict, struct key128 key, struct err *err)
{
    struct dict_slot *slot;

    if (UNLIKELY(2 * (size_t)dict->n >= dict->slots.cap) &&
        dict_grow(dict, err) != 0)
        return NULL;
    slot = dict_place(dict, key);
    if (slot->stamp != dict->stamp) {
        *slot = (struct dict_slot){key, DICT_NEW, dict->stamp};
        dict->n++;
    }
    return slot;
}

/* --- id_set --- */

static inline bool
id_set_put(struct id_set *set, struct key128 key, uint64_t hash)
{
    size_t mask = ((size_t)1 << (64 - set->shift)) - 1;
    size_t at = hash >> set->shift;

    for (;; at = (at + 1) & mask) {
        struct key128 *slot = &set->slots[at];

        if (key128_eq(*slot, key))
            return false;
        if ((slot->lo | slot->hi) == 0) {
            *slot = key;
            set->n++;
            return true;
        }
    }
}

static bool
id_set_is_full(const struct id_set *set, uint32_t more)
{
    return set->slots == NULL ||
        ((uint64_t)set->n + more) * 8 > id_set_slots(set) * UINT64_C(5);
}

static int
id_set_grow(struct id_set *set, struct hold *hold, struct err *err)
{
    struct id_set old = *set;
    size_t nold = id_set_slots(&old);
    struct hold_array array = {NULL, 0};
    uint32_t bits = old.slots == NULL ? ID_SET_BITS_MIN : 65 - old.shift;
    uint64_t mix = dict_secret();
    size_t size = ((size_t)1 << bits) * sizeof(struct key128);

    /* Bytes as items: hold_grow() starts with at least 16 of them. */
    if (hold_grow(hold, &array, size, 1, err) != 0)
        return -1;
    set->slots = array.items;
    set->shift = 64 - bits;
    set->n = 0;
    for (size_t i = 0; i < nold; i++) {
        if ((old.slots[i].lo | old.slots[i].hi) != 0)
            id_set_put(set, old.slots[i], key128_hash(old.slots[i], mix));
    }
    id_set_drop(&old, hold);
    return 0;
}

int
id_set_add(struct id_set *set, struct key128 key, struct hold *hold,
    struct err *err)
{
    if (UNLIKELY(id_set_is_full(set, 1)) && id_set_grow(set, hold, err) != 0)
        return -1;
    id_set_put(set, key, key128_hash(key, dict_secret()));
    return 0;
}

/* Misses in the cache that are waited for at a time. */
#define BATCH 32u

int
id_set_add_many(struct id_set *set, const struct key128 *keys, uint32_t n,
    struct hold *hold, struct err *err)
{
    uint64_t hashes[BATCH], mix = dict_secret();

    for (uint32_t done = 0; done < n; done += BATCH) {
        uint32_t count = MIN(BATCH, n - done);
        const struct key128 *batch = keys + done;

        while (UNLIKELY(id_set_is_full(set, count))) {
            if (id_set_grow(set, hold, err) != 0)
                return -1;
        }
        for (uint32_t i = 0; i < count; i++) {
            hashes[i] = key128_hash(batch[i], mix);
            __builtin_prefetch(&set->slots[hashes[i] >> set->shift], 1);
        }
        for (uint32_t i = 0; i < count; i++) {
            if (LIKELY((batch[i].lo | batch[i].hi) != 0))
                id_set_put(set, batch[i], hashes[i]);
        }
    }
    return 0;
}

int
id_set_merge(struct id_set *set, const struct id_set *from,
    struct hold *hold, struct err *err)
{
    /*
     * Both tables are in the order of hashes, so that this walks through
     * either from the front to the end.
     */
    size_t nslots = id_set_slots(from);

    while (nslots > 0 && id_set_is_full(set, from->n)) {
        if (id_set_grow(set, hold, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < nslots; i += BATCH) {
        if (id_set_add_many(set, from->slots + i,
                (uint32_t)MIN(BATCH, nslots - i), hold, err) != 0)
            return -1;
    }
    return 0;
}

void
id_set_drop(struct id_set *set, struct hold *hold)
{
    struct hold_array array = {
        set->slots, id_set_slots(set) * sizeof(*set->slots)
    };

    hold_drop(hold, &array, 1);
    set->slots = NULL;
    set->n = 0;
}
