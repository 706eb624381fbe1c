/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Memory that many share: what one takes, the others cannot have.  A share
 * may be a part of a larger one, so that a query is bounded by itself and
 * all queries are together.  Any thread.
 */

#ifndef SPOOR_CORE_MEM_SHARE_H
#define SPOOR_CORE_MEM_SHARE_H

#include "core/base.h"

struct mem_share {
    _Atomic size_t used;
    _Atomic size_t peak;        /* private: see mem_share_peak() */
    size_t max;
    struct mem_share *parent;   /* NULL: the whole */
    _Atomic bool was_starved;   /* the parent had too little left */
};

/* False: nothing was taken.  Accepts NULL: there is no bound. */
bool mem_share_take(struct mem_share *share, size_t bytes) WARN_UNUSED;
void mem_share_give(struct mem_share *share, size_t bytes);

/*
 * The most that was in use at a time since forget_peak(), about: a thread may
 * overwrite what another one noted in the same moment.
 */
size_t mem_share_peak(const struct mem_share *share);
void mem_share_forget_peak(struct mem_share *share);

#endif
