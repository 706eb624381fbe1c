/* SPDX-License-Identifier: BSD-2-Clause */

/* What stats_uniq.c and stats_uniq_state.c share. */

#ifndef SPOOR_QUERY_STATS_UNIQ_H
#define SPOOR_QUERY_STATS_UNIQ_H

#include "core/base.h"
#include "query/acc.h"
#include "query/keys.h"

enum {
    VALUE_TEXT = 16, /* beyond enum number_tag */
};

struct value_sets {
    struct id_set ids;    /* 16 bytes */
    struct id_set others;
    uint64_t unique;      /* ids that were counted elsewhere, of no set */
};

struct uniq {
    struct acc acc;
    struct hold_array groups;   /* struct value_sets */
    struct keys texts;          /* or tuples; number 0 is the empty one */
    struct hold_array as_value; /* struct text_value of the texts */
    uint32_t ntexts;            /* of them known in as_value */
};

static inline struct value_sets *
sets_of(struct acc *acc)
{
    return ((struct uniq *)acc)->groups.items;
}

int uniq_save(struct acc *acc, struct acc_range *range, struct sb *out,
    struct err *err) WARN_UNUSED;
uint64_t uniq_weigh(struct acc *acc, uint32_t group);
int uniq_load(struct acc *acc, struct enc_reader *in, struct err *err)
    WARN_UNUSED;

#endif
