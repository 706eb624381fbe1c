/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The filter of a block (part_format.h): whether a text of a key cannot be
 * there, and whether the filter knows all texts that are.
 */

#include "core/base.h"
#include "storage/part_read.h"

#include "core/num.h"
#include "storage/memtable_format.h"

#define CHECK_POOL (64 * MIB)

/* The filter's vector, or NULL: none, or none that can be used. */
static const struct part_vector *
find_bits(const struct reading *r)
{
    const struct part_vector *bits = directory_find(r->dir, PART_FILTER_BITS,
        PART_ROLE_VALUES);

    if (bits == NULL || bits->encoding != PART_RAW ||
        bits->width != PART_FILTER_ROW)
        return NULL;
    return bits;
}

static uint64_t
key_hash(const struct part *part, uint32_t ordinal)
{
    const struct part_key *key = &part->keys[ordinal];

    if (key->is_field)
        return part_filter_key(part->traces.head.seed, key->scope | 0x80,
            memtable_field_name(key->field));
    return part_filter_key(part->traces.head.seed, key->scope, key->name);
}

static int
has_hash(struct reading *r, const struct part_vector *bits, uint64_t hash,
    bool *out)
{
    const uint8_t *row;

    *out = false;
    if (vector_get_fixed(r, bits, part_filter_row(hash, bits->count),
            PART_FILTER_ROW, &row) != 0)
        return -1;
    for (uint32_t i = 0; i < PART_FILTER_PROBES; i++) {
        uint32_t bit = part_filter_bit(hash, i);

        if ((row[bit / 8] >> bit % 8 & 1) == 0)
            return 0;
    }
    *out = true;
    return 0;
}

/* Is the key in the ascending list? */
static int
is_listed(struct reading *r, const struct part_vector *keys, uint32_t key,
    bool *out)
{
    uint32_t low = 0, high = keys->count;
    uint64_t v;

    *out = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (vector_get(r, keys, middle, &v) != 0)
            return -1;
        if (v == key) {
            *out = true;
            return 0;
        }
        if (v < key)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* false: no integer has this text. */
static bool
hash_of(const struct part *part, uint32_t key, struct sv text, uint64_t *hash)
{
    int64_t v;

    *hash = key_hash(part, key);
    if (part->keys[key].type != VALUE_INT) {
        *hash = part_filter_hash(*hash, text);
        return true;
    }
    if (!num_parse_exact_i64(text, &v))
        return false;
    *hash = part_filter_int_hash(*hash, (uint64_t)v);
    return true;
}

bool
filter_may_have(struct reading *r, uint32_t key, struct sv text)
{
    const struct part_vector *bits = find_bits(r);
    const struct part_vector *keys = directory_find(r->dir, PART_FILTER_KEYS,
        PART_ROLE_VALUES);
    bool found = false;
    uint64_t hash;

    if (bits == NULL || keys == NULL ||
        is_listed(r, keys, key, &found) != 0 || !found)
        return true;
    return hash_of(r->part, key, text, &hash) &&
        (has_hash(r, bits, hash, &found) != 0 || found);
}

/* --- checking --- */

static int
check_text(struct reading *r, const struct part_vector *bits, uint32_t key,
    uint64_t hash)
{
    bool found = false;

    if (has_hash(r, bits, hash, &found) != 0)
        return -1;
    return found ? 0 :
        reading_corrupt(r, "the filter lacks a text of key %u", key);
}

static int
check_strings(struct reading *r, const struct part_vector *bits,
    uint32_t key)
{
    uint32_t column = PART_COLUMNS_CORE + key;
    uint32_t n = dictionary_count(r, column);
    struct pool *pool = pool_new(CHECK_POOL);
    uint64_t hash = key_hash(r->part, key);
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        struct sv text;

        rc = dictionary_get(r, column, i, pool, &text);
        if (rc == 0)
            rc = check_text(r, bits, key, part_filter_hash(hash, text));
        pool_reset(pool);
    }
    pool_free(pool);
    return rc;
}

static int
check_ints(struct reading *r, const struct part_vector *bits, uint32_t key)
{
    const struct part_vector *ints = directory_find(r->dir,
        PART_COLUMNS_CORE + key, PART_ROLE_VALUES);
    uint64_t hash = key_hash(r->part, key), v;

    for (uint32_t i = 0; ints != NULL && i < ints->count; i++) {
        if (vector_get(r, ints, i, &v) != 0 || check_text(r, bits, key,
                part_filter_int_hash(hash, v)) != 0)
            return -1;
    }
    return 0;
}

int
filter_check(struct reading *r)
{
    const struct part_vector *bits = find_bits(r);
    const struct part_vector *keys = directory_find(r->dir, PART_FILTER_KEYS,
        PART_ROLE_VALUES);
    uint64_t key, next = 0;

    if (keys == NULL && directory_find(r->dir, PART_FILTER_BITS,
            PART_ROLE_VALUES) == NULL)
        return 0;
    if (keys == NULL || bits == NULL)
        return reading_corrupt(r, "filter: its size");
    for (uint32_t i = 0; i < keys->count; i++, next = key + 1) {
        if (vector_get(r, keys, i, &key) != 0)
            return -1;
        if (key < next || key >= r->part->nkeys)
            return reading_corrupt(r, "filter: key %llu",
                (unsigned long long)key);
        switch (r->part->keys[key].type) {
        case VALUE_STRING:
            if (check_strings(r, bits, (uint32_t)key) != 0)
                return -1;
            break;
        case VALUE_INT:
            if (check_ints(r, bits, (uint32_t)key) != 0)
                return -1;
            break;
        default:
            return reading_corrupt(r, "filter: type of key %llu",
                (unsigned long long)key);
        }
    }
    return 0;
}
