/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: the filter of the texts of strings and integers
 * (part_format.h).  Hashes are collected first, those of strings while their
 * dictionary is written and their bytes are at hand, since the size of the
 * filter follows from their number.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include <math.h>

/* Bits for each text: 2.5 % of the blocks without it are read in vain. */
#define BITS_PER_TEXT 8u
#define ROW_BITS (8 * PART_FILTER_ROW)
#define TEXTS_MAX (UINT32_C(1) << 28)

/*
 * Integers are not in the filter when more than a third of all between the
 * least and the largest are there (ports, sizes): most blocks would have to
 * be read anyway.
 */
#define DENSE 3u

/* Values of an integer column that tell whether it has many. */
#define SAMPLE 4096u
/* Marks in a table that the nearest cache holds. */
#define MARKS_LOG2 16u
#define MARKS (UINT32_C(1) << MARKS_LOG2)

static uint64_t
key_hash(const struct part_writer *w, const struct write_key *key)
{
    if (key->is_field)
        return part_filter_key(w->trace_seed, key->scope | 0x80,
            memtable_field_name(key->name));
    return part_filter_key(w->trace_seed, key->scope,
        writer_text(w, key->name));
}

/* Room for n hashes of one more entry of KEYS; NULL without memory. */
static uint64_t *
add_key(struct part_writer *w, uint32_t ordinal, uint32_t n)
{
    w->filter_hashes = writer_grow(w, SCRATCH_FILTER_HASHES,
        ((size_t)w->nfilter_hashes + n) * sizeof(*w->filter_hashes));
    w->filter_keys = writer_grow(w, SCRATCH_FILTER_KEYS,
        ((size_t)w->nfilter_keys + 1) * sizeof(*w->filter_keys));
    if (w->filter_hashes == NULL || w->filter_keys == NULL)
        return NULL;
    w->filter_keys[w->nfilter_keys++] = ordinal;
    w->nfilter_hashes += n;
    return w->filter_hashes + w->nfilter_hashes - n;
}

/* --- strings --- */

int
writer_filter(struct part_writer *w, const struct write_dict *dict,
    struct write_filter *filter)
{
    uint32_t ordinal = dict->column - PART_COLUMNS_CORE;

    filter->hashes = NULL;
    if (dict->column < PART_COLUMNS_CORE || dict->n <= PART_FILTER_MIN ||
        w->keys[ordinal].type != VALUE_STRING)
        return 0;
    filter->key = key_hash(w, &w->keys[ordinal]);
    filter->hashes = add_key(w, ordinal, dict->n);
    w->filter_texts += dict->n;
    return filter->hashes == NULL ? -1 : 0;
}

/* --- integers --- */

/*
 * Whether a sample has more than PART_FILTER_MIN distinct values; what a
 * column has only here and there is not worth finding.
 */
static bool
has_many(const uint64_t *v, uint32_t n)
{
    uint64_t known[PART_FILTER_MIN] = {0};
    uint32_t nknown = 0, step = 1 + n / SAMPLE;

    for (uint32_t i = 0; i < n; i += step) {
        uint32_t j = 0;

        /* The one looked for is mostly the first. */
        while (j < nknown && known[j] != v[i])
            j++;
        if (j == PART_FILTER_MIN)
            return true;
        if (j == nknown)
            nknown++;
        known[j] = known[0];
        known[0] = v[i];
    }
    return false;
}

/* How many distinct hashes there are, from those that share a mark. */
static uint32_t
count_distinct(const uint64_t *hashes, uint32_t n)
{
    uint64_t marks[MARKS / 64] = {0};
    uint32_t nfree = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t mark = (uint32_t)(hashes[i] >> (64 - MARKS_LOG2));

        marks[mark / 64] |= UINT64_C(1) << mark % 64;
    }
    for (uint32_t i = 0; i < MARKS / 64; i++)
        nfree += 64 - (uint32_t)__builtin_popcountll(marks[i]);
    if (nfree == 0)
        return n;
    return MIN(n, 1 + (uint32_t)(MARKS * log((double)MARKS / nfree)));
}

/* Of all between the least and the largest. */
static bool
is_dense(const uint64_t *v, uint32_t n, uint32_t ndistinct)
{
    int64_t min = (int64_t)v[0], max = min;

    for (uint32_t i = 1; i < n; i++) {
        min = MIN(min, (int64_t)v[i]);
        max = MAX(max, (int64_t)v[i]);
    }
    return ((uint64_t)max - (uint64_t)min) / DENSE < ndistinct;
}

static int
add_ints(struct part_writer *w, uint32_t ordinal)
{
    const struct write_key *column = &w->keys[ordinal];
    const uint64_t *v = w->twice + column->first;
    uint64_t key, *hashes;
    uint32_t n = 0, ndistinct;

    if (!has_many(v, column->nvalues))
        return 0;
    hashes = add_key(w, ordinal, column->nvalues);
    if (hashes == NULL)
        return -1;
    key = key_hash(w, column);
    for (uint32_t i = 0; i < column->nvalues; i++) {
        if (i == 0 || v[i] != v[i - 1])
            hashes[n++] = part_filter_int_hash(key, v[i]);
    }
    ndistinct = count_distinct(hashes, n);
    if (is_dense(v, column->nvalues, ndistinct)) {
        w->nfilter_hashes -= column->nvalues;
        w->nfilter_keys--;
        return 0;
    }
    w->nfilter_hashes -= column->nvalues - n;
    w->filter_texts += ndistinct;
    return 0;
}

/* --- the filter --- */

static void
set_bits(uint8_t *row, uint64_t hash)
{
    for (uint32_t i = 0; i < PART_FILTER_PROBES; i++) {
        uint32_t bit = part_filter_bit(hash, i);

        row[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
}

static int
write_bits(struct part_writer *w)
{
    uint32_t n = 1 + MIN(w->filter_texts, TEXTS_MAX) * BITS_PER_TEXT /
        ROW_BITS;
    struct fixed rows = {PART_RAW, PART_FILTER_ROW, NULL, n};
    uint8_t *bits = writer_alloc(w, SCRATCH_FILTER_BITS,
        (size_t)n * PART_FILTER_ROW);

    if (bits == NULL)
        return -1;
    memset(bits, 0, (size_t)n * PART_FILTER_ROW);
    for (uint32_t i = 0; i < w->nfilter_hashes; i++) {
        uint64_t hash = w->filter_hashes[i];

        set_bits(bits + (size_t)PART_FILTER_ROW * part_filter_row(hash, n),
            hash);
    }
    rows.bytes = bits;
    return vector_fixed(w, vector_id(PART_FILTER_BITS, PART_ROLE_VALUES),
        &rows);
}

static int
compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

int
write_filter(struct part_writer *w)
{
    for (uint32_t i = 0; i < w->nkeys; i++) {
        if (w->keys[i].type == VALUE_INT && add_ints(w, i) != 0)
            return -1;
    }
    if (w->nfilter_keys == 0)
        return 0;
    qsort(w->filter_keys, w->nfilter_keys, sizeof(*w->filter_keys),
        compare_u32);
    if (vector_u32(w, vector_id(PART_FILTER_KEYS, PART_ROLE_VALUES),
            w->filter_keys, w->nfilter_keys, 0) != 0)
        return -1;
    return write_bits(w);
}
