/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Texts that a state has of a table of more: they are numbered anew, in the
 * order in which they are met, so that a state has no other texts.
 */

#ifndef SPOOR_QUERY_STATE_TEXTS_H
#define SPOOR_QUERY_STATE_TEXTS_H

#include "core/base.h"
#include "core/err.h"
#include "query/dict.h"
#include "query/hold.h"

struct state_texts {
    struct dict numbers;
    struct hold_array ids; /* uint32_t: of the table */
    uint32_t n;
};

void state_texts_init(struct state_texts *texts, struct hold *hold);
void state_texts_drop(struct state_texts *texts);
/* The number of a text here, from 0; a new one gets the next. */
int state_texts_number(struct state_texts *texts, uint32_t id,
    uint32_t *number, struct err *err) WARN_UNUSED;
static inline uint32_t
state_texts_id(const struct state_texts *texts, uint32_t number)
{
    return ((const uint32_t *)texts->ids.items)[number];
}

#endif
