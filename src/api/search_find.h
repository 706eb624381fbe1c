/* SPDX-License-Identifier: BSD-2-Clause */

/* A search for traces by the backend, whichever it is. */

#ifndef SPOOR_API_SEARCH_FIND_H
#define SPOOR_API_SEARCH_FIND_H

#include "core/base.h"
#include "api/search.h"
#include "core/err.h"

struct job;
struct query;

/*
 * The newest traces with a span that passes the query's filter: search's hits,
 * sorted.  limit, pool, cancel and deadline are set; the rest is done here.
 * Damage and missing nodes are in job->answer.
 */
int search_find(struct job *job, struct search *search, struct query *query,
    struct err *err) WARN_UNUSED;

#endif
