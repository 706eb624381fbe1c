/* SPDX-License-Identifier: BSD-2-Clause */

/* The newest traces of a search: what is kept while rows are looked at. */

#ifndef SPOOR_API_SEARCH_H
#define SPOOR_API_SEARCH_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"

/* Keeps the `limit` traces whose newest matching span ends last. */
struct search_hit {
    struct trace_id id;
    int64_t end_ns; /* newest matching span */
};

struct search {
    int64_t start_ns;
    int64_t end_ns;
    uint32_t limit;
    struct pool *pool;
    struct search_hit *hits; /* min-heap by end_ns, at most limit */
    uint32_t nhits;
    const _Atomic bool *cancel; /* may be NULL */
    int64_t deadline_ns;        /* monotonic, 0: none */
    void *index;          /* private: hits by id */
};

int search_init(struct search *search, struct err *err) WARN_UNUSED;
/* A matching row: inserted, raised, or ignored. */
void search_offer(struct search *search, const struct trace_id *id,
    int64_t end_ns);
/* True when nothing that ends at or before end_ns can matter any more. */
bool search_is_settled(const struct search *search, int64_t end_ns);
/* Sorts hits, newest first (ties by id). */
void search_finish(struct search *search);
/* ERR_CANCELLED or ERR_TIMEOUT; call every few thousand rows. */
int search_poll(const struct search *search, struct err *err) WARN_UNUSED;

#endif
