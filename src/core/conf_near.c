/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Optimal string alignment: the least number of characters to insert,
 * delete, replace or swap with their neighbour, capitals ignored.  A word is
 * near when a third of it, but at most four characters, are wrong.
 */

#include "core/base.h"

#include "core/conf_near.h"

#define NEAR_WRONG_MAX 4u

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
    return MIN(MIN(a, b), c);
}

static unsigned
distance(struct sv a, struct sv b)
{
    unsigned rows[3][CONF_NEAR_WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *here = rows[2];

    for (size_t j = 0; j <= b.len; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *spare;

        here[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = lower(a.ptr[i - 1]);
            char y = lower(b.ptr[j - 1]);

            here[j] = min3(above[j] + 1, here[j - 1] + 1,
                above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.ptr[j - 2]) &&
                y == lower(a.ptr[i - 2]))
                here[j] = MIN(here[j], before[j - 2] + 1);
        }
        spare = before;
        before = above;
        above = here;
        here = spare;
    }
    return above[b.len];
}

void
conf_near_init(struct conf_near *near, struct sv word)
{
    near->word = word;
    near->best = sv_make(NULL, 0);
    near->distance = (unsigned)MIN(word.len / 3 + 1, NEAR_WRONG_MAX + 1);
}

void
conf_near_offer(struct conf_near *near, struct sv candidate)
{
    unsigned wrong;

    if (near->word.len == 0 || near->word.len > CONF_NEAR_WORD_MAX ||
        candidate.len > CONF_NEAR_WORD_MAX)
        return;
    wrong = distance(near->word, candidate);
    if (wrong < near->distance) {
        near->distance = wrong;
        near->best = candidate;
    }
}
