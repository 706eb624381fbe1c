/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * "Did you mean": the candidate that is nearest to a mistyped word.
 */

#ifndef SPOOR_CORE_CONF_NEAR_H
#define SPOOR_CORE_CONF_NEAR_H

#include "core/base.h"
#include "core/sv.h"

/* Longer words are never compared: no name in our tables comes near. */
#define CONF_NEAR_WORD_MAX 64

struct conf_near {
    struct sv word;
    struct sv best; /* ptr NULL: nothing near enough yet */
    unsigned distance;
};

/* word is borrowed. */
void conf_near_init(struct conf_near *near, struct sv word);
/* Keeps candidate (borrowed) if it is nearer than what was offered before. */
void conf_near_offer(struct conf_near *near, struct sv candidate);

#endif
