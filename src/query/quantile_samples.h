/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The values of one group that a quantile is of.  Whole numbers are in pieces
 * as long as all are kept, so that none is copied when more come or when the
 * groups of two lanes become one; samples and values of other kinds are in
 * one array.
 */

#ifndef SPOOR_QUERY_QUANTILE_SAMPLES_H
#define SPOOR_QUERY_QUANTILE_SAMPLES_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "query/hold.h"

/* Pieces of 32, 64, ... 4096 bytes. */
#define PIECE_CLASSES 8u

struct piece {
    struct piece *next;
    uint32_t n;     /* but of the last piece, whose room is samples->room */
    uint32_t class;
    int64_t v[];
};

/* Either first or v and tags are NULL. */
struct samples {
    struct piece *first;
    struct piece *last;
    int64_t *at;   /* where the next one goes in the last piece */
    int64_t *v;    /* INT, TIME: the value; TEXT: its number in texts */
    uint8_t *tags; /* enum atom_tag; NULL: all are INT */
    uint32_t room; /* left in the last piece */
    uint32_t n;
    uint32_t cap;  /* of v */
    uint32_t place; /* of this window's value in it */
    uint8_t shift;
    bool is_done;  /* the answer is `answer` */
    int64_t answer;
};

/* What the groups of a lane share. */
struct sampler {
    struct hold *hold;
    uint64_t random;
    uint32_t max; /* samples of a group */
    struct piece *spare[PIECE_CLASSES];
};

void sampler_init(struct sampler *sampler, struct hold *hold, uint32_t max);
uint32_t sampler_random(struct sampler *sampler);

/* Is there no array yet? */
static inline bool
samples_in_pieces(const struct samples *samples)
{
    return samples->v == NULL && samples->tags == NULL;
}

/* Another piece; the last one is full. */
int samples_extend(struct sampler *sampler, struct samples *samples,
    uint32_t more, struct err *err) WARN_UNUSED;
/* Only in pieces, and while fewer than sampler->max - 1 are there. */
int samples_put_ints(struct sampler *sampler, struct samples *samples,
    const int64_t *v, uint32_t n, struct err *err) WARN_UNUSED;
static inline int
samples_put_int(struct sampler *sampler, struct samples *samples, int64_t v,
    struct err *err)
{
    if (UNLIKELY(samples->room == 0) &&
        samples_extend(sampler, samples, 1, err) != 0)
        return -1;
    *samples->at++ = v;
    samples->room--;
    samples->n++;
    return 0;
}

/* Pieces become an array, with room for `need` values. */
int samples_reserve(struct sampler *sampler, struct samples *samples,
    uint32_t need, struct err *err) WARN_UNUSED;
/* The first value that is no INT: from now on each has a tag. */
int samples_tag(struct sampler *sampler, struct samples *samples,
    struct err *err) WARN_UNUSED;
/* Of each two samples of the array one stays. */
void samples_halve(struct sampler *sampler, struct samples *samples);
/*
 * Behind a sample: in how many values the next one comes.  Pieces have room
 * for all.
 */
uint32_t samples_next(struct sampler *sampler, struct samples *samples);

/* Both in pieces: `add` is empty then, its memory is used by `to`. */
void samples_link(struct samples *to, struct samples *add);
/* Values of pieces or array, one behind the other, aligned or not. */
void samples_copy(const struct samples *samples, void *dst);
void samples_drop(struct sampler *sampler, struct samples *samples);

/*
 * The k-th of the n whole numbers from 0; scratch has room for n + 1.  They
 * stay as they are.
 */
int64_t samples_select(const struct samples *samples, uint32_t k,
    int64_t *scratch);
/* The same of an array, whose order it spoils. */
int64_t select_int(int64_t *v, uint32_t n, uint32_t k);

#endif
