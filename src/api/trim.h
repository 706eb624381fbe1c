/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Memory of queries goes back to the kernel: malloc keeps what a query has
 * freed in the heap of each of its threads, and a worker would stay as large
 * as its hungriest queries together.
 */

#ifndef SPOOR_API_TRIM_H
#define SPOOR_API_TRIM_H

#include "core/base.h"
#include "core/mem_share.h"
#include "event/module.h"

/*
 * A query has given back its part of the share of all queries: when they had
 * much of it since the last time, the heaps are trimmed about TRIM_DELAY_NS
 * later, on a query thread.  Loop's thread.
 */
void trim_after(const struct process *process, struct mem_share *queries);

#endif
