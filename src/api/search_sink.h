/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The last stage of a search for traces: keeps those whose newest row ends
 * last, and tells the source which rows cannot matter any more.
 */

#ifndef SPOOR_API_SEARCH_SINK_H
#define SPOOR_API_SEARCH_SINK_H

#include "core/base.h"
#include "query/pipe.h"
#include "api/search.h"

/* search was initialised; its hits are sorted when the query has ended. */
struct stage *search_sink_new(struct search *search);

#endif
