/* SPDX-License-Identifier: BSD-2-Clause */

/* Copies of spans that a sender or a crash has left in the store. */

#ifndef SPOOR_STORAGE_DEDUPE_H
#define SPOOR_STORAGE_DEDUPE_H

#include "core/base.h"
#include "core/err.h"
#include "span/span.h"

/* By span id, start and end. */
int dedupe_id_cmp(const struct span *a, const struct span *b);

/*
 * One span per identity: of spans with equal ids, times and content the first
 * in the batch stays; same ids with other content are kept (design P14).  The
 * order of the rest is not changed.  For the spans of one trace; all of them
 * have to be REJECT_NONE, and are afterwards.  Memory comes from the batch's
 * pool; ERR_LIMIT: it has not enough.  Takes O(n log n) whatever the spans.
 */
int spans_dedupe(struct batch *batch, struct err *err) WARN_UNUSED;

/* As traces are shown: by start, then by id and end. */
void spans_sort(struct batch *batch);

#endif
