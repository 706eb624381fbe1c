/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/quantile_samples.h"

#include "core/assert.h"
#include "query/atom.h"

#define PIECE_BYTES_MIN 32u
#define ARRAY_MIN 16u /* hold_grow()'s least number of bytes */

/* The same rows in the same order give the same answer. */
#define RANDOM_SEED 0x9e3779b97f4a7c15u

void
sampler_init(struct sampler *sampler, struct hold *hold, uint32_t max)
{
    memset(sampler, 0, sizeof(*sampler));
    sampler->hold = hold;
    sampler->random = RANDOM_SEED;
    sampler->max = max;
}

static inline uint64_t
next_random64(struct sampler *sampler)
{
    sampler->random ^= sampler->random >> 12;
    sampler->random ^= sampler->random << 25;
    sampler->random ^= sampler->random >> 27;
    return sampler->random * 0x2545f4914f6cdd1du;
}

uint32_t
sampler_random(struct sampler *sampler)
{
    return (uint32_t)(next_random64(sampler) >> 32);
}

/* --- pieces --- */

static inline uint32_t
piece_cap(uint32_t class)
{
    return ((PIECE_BYTES_MIN << class) - sizeof(struct piece)) /
        sizeof(int64_t);
}

int
samples_extend(struct sampler *sampler, struct samples *samples,
    uint32_t more, struct err *err)
{
    struct piece *last = samples->last, *piece;
    uint32_t class = last == NULL ? 0 : MIN(last->class + 1,
        PIECE_CLASSES - 1);

    while (class < PIECE_CLASSES - 1 && piece_cap(class) < more)
        class++;
    piece = sampler->spare[class];
    if (piece != NULL)
        sampler->spare[class] = piece->next;
    else
        piece = hold_alloc(sampler->hold, PIECE_BYTES_MIN << class, err);
    if (piece == NULL)
        return -1;
    piece->next = NULL;
    piece->class = class;
    if (last != NULL) {
        last->n = piece_cap(last->class) - samples->room;
        last->next = piece;
    } else {
        samples->first = piece;
    }
    samples->last = piece;
    samples->at = piece->v;
    samples->room = piece_cap(class);
    return 0;
}

int
samples_put_ints(struct sampler *sampler, struct samples *samples,
    const int64_t *v, uint32_t n, struct err *err)
{
    while (n > 0) {
        uint32_t count = MIN(n, samples->room);

        if (count == 0) {
            if (samples_extend(sampler, samples, n, err) != 0)
                return -1;
            continue;
        }
        memcpy(samples->at, v, count * sizeof(*v));
        samples->at += count;
        samples->room -= count;
        samples->n += count;
        v += count;
        n -= count;
    }
    return 0;
}

/* Values of a piece. */
static inline uint32_t
piece_count(const struct samples *samples, const struct piece *piece)
{
    return piece == samples->last
        ? (uint32_t)(samples->at - piece->v) : piece->n;
}

void
samples_copy(const struct samples *samples, void *dst)
{
    char *at = dst;

    if (samples->v != NULL) {
        memcpy(at, samples->v, samples->n * sizeof(int64_t));
        return;
    }
    for (const struct piece *piece = samples->first; piece != NULL;
        piece = piece->next) {
        size_t size = piece_count(samples, piece) * sizeof(int64_t);

        memcpy(at, piece->v, size);
        at += size;
    }
}

void
samples_link(struct samples *to, struct samples *add)
{
    if (add->n == 0)
        return;
    if (to->last != NULL) {
        to->last->n = piece_count(to, to->last);
        to->last->next = add->first;
    } else {
        to->first = add->first;
    }
    to->last = add->last;
    to->at = add->at;
    to->room = add->room;
    to->n += add->n;
    memset(add, 0, sizeof(*add));
}

/* --- the array --- */

static int
array_grow(struct sampler *sampler, struct samples *samples, uint32_t need,
    struct err *err)
{
    struct hold_array v = {samples->v, samples->cap};
    struct hold_array tags = {samples->tags,
        samples->tags == NULL ? 0 : samples->cap};
    uint32_t cap = MAX(samples->cap, ARRAY_MIN);

    if (need <= samples->cap)
        return 0;
    while (cap < need)
        cap *= 2;
    /* In bytes, so that small groups take no more than they need. */
    v.cap *= sizeof(*samples->v);
    if (hold_grow_raw(sampler->hold, &v, cap * sizeof(*samples->v), 1,
            err) != 0)
        return -1;
    samples->v = v.items;
    if (samples->tags != NULL) {
        if (hold_grow(sampler->hold, &tags, v.cap / sizeof(*samples->v), 1,
                err) != 0) {
            samples->cap = (uint32_t)tags.cap;
            return -1;
        }
        samples->tags = tags.items;
    }
    samples->cap = (uint32_t)(v.cap / sizeof(*samples->v));
    return 0;
}

int
samples_reserve(struct sampler *sampler, struct samples *samples,
    uint32_t need, struct err *err)
{
    struct samples pieces = *samples;

    if (samples->first == NULL)
        return array_grow(sampler, samples, need, err);
    if (array_grow(sampler, samples, MAX(need, samples->n), err) != 0)
        return -1;
    pieces.v = NULL;
    samples_copy(&pieces, samples->v);
    for (struct piece *piece = pieces.first, *next; piece != NULL;
        piece = next) {
        next = piece->next;
        piece->next = sampler->spare[piece->class];
        sampler->spare[piece->class] = piece;
    }
    samples->first = samples->last = NULL;
    samples->at = NULL;
    samples->room = 0;
    return 0;
}

int
samples_tag(struct sampler *sampler, struct samples *samples,
    struct err *err)
{
    struct hold_array tags = {NULL, 0};

    if (samples->tags != NULL)
        return 0;
    if (samples_reserve(sampler, samples, MAX(samples->n, 1u), err) != 0 ||
        hold_grow(sampler->hold, &tags, samples->cap, 1, err) != 0)
        return -1;
    samples->tags = tags.items;
    memset(samples->tags, ATOM_INT, samples->n);
    return 0;
}

void
samples_drop(struct sampler *sampler, struct samples *samples)
{
    struct hold_array v = {samples->v, samples->cap * sizeof(*samples->v)};
    struct hold_array tags = {samples->tags, samples->cap};

    hold_drop(sampler->hold, &v, 1);
    hold_drop(sampler->hold, &tags, 1);
    memset(samples, 0, sizeof(*samples));
}

/* --- samples --- */

void
samples_halve(struct sampler *sampler, struct samples *samples)
{
    uint32_t n = samples->n / 2;

    check(samples->first == NULL);
    for (uint32_t i = 0; i < n; i += 32) {
        uint64_t bits = next_random64(sampler) >> 32;

        for (uint32_t k = i; k < MIN(n, i + 32); k++, bits >>= 1) {
            uint32_t from = 2 * k + (uint32_t)(bits & 1);

            samples->v[k] = samples->v[from];
            if (UNLIKELY(samples->tags != NULL))
                samples->tags[k] = samples->tags[from];
        }
    }
    samples->n = n;
    samples->shift++;
}

uint32_t
samples_next(struct sampler *sampler, struct samples *samples)
{
    uint32_t rest;

    if (samples->shift == 0 && samples->n < sampler->max)
        return 1;
    rest = (1u << samples->shift) - 1 - samples->place;
    /* 2^30 rows in a window would be 10^13 rows. */
    if (samples->n >= sampler->max && samples->shift < 30)
        samples_halve(sampler, samples);
    samples->place = sampler_random(sampler) &
        ((1u << samples->shift) - 1);
    return rest + samples->place + 1;
}
