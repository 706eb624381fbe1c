/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * /internal/select/names, edges, tenants: lists, in which the same is told
 * once, as far as memory goes.
 */

#include "core/base.h"
#include "api/internal_select.h"

#include <stdlib.h>

#include "api/job.h"
#include "cluster/answer_wire.h"
#include "core/intern.h"
#include "core/mem.h"
#include "core/timefmt.h"

/* Of names and edges that are remembered. */
#define SEEN_BYTES_MAX (32 * MIB)

/* A payload that is sent when it is long enough. */
struct listing {
    const struct internal *internal;
    enum frame_type type;
    struct sb sb;
    struct intern seen;
    struct edge *edges; /* by number in seen; names are there */
    uint32_t cap;
    struct err *err;
};

static void
listing_init(struct listing *listing, const struct internal *internal,
    enum frame_type type, struct err *err)
{
    *listing = (struct listing){.internal = internal, .type = type,
        .err = err};
    sb_init(&listing->sb, FRAME_BYTES_MAX);
    intern_init(&listing->seen, SEEN_BYTES_MAX, (uint64_t)clock_mono_ns());
    intern_share(&listing->seen, &internal->job->memory);
}

static void
listing_release(struct listing *listing)
{
    sb_release(&listing->sb);
    intern_release(&listing->seen);
    xfree(listing->edges);
}

static int
listing_send(struct listing *listing, size_t least)
{
    int rc;

    if (listing->sb.len <= least)
        return 0;
    rc = internal_send(listing->internal, listing->type,
        sb_sv(&listing->sb), listing->err);
    sb_reset(&listing->sb);
    return rc;
}

/* --- names --- */

static int
put_name(struct sv service, struct sv name, int32_t kind, void *arg)
{
    struct listing *listing = arg;
    struct wire_name wire = {service, name, kind};
    size_t start = listing->sb.len;
    uint32_t n = listing->seen.n;

    wire_name_put(&listing->sb, &wire);
    /* Known already; without memory for more it is told again. */
    if (intern_add(&listing->seen, sv_make(listing->sb.ptr + start,
            listing->sb.len - start)) < n)
        listing->sb.len = start;
    if (atomic_load(&listing->internal->job->cancel))
        return err_set(listing->err, ERR_CANCELLED, "the front is gone");
    return listing_send(listing, ANSWER_PIECE);
}

int
internal_run_names(const struct internal *internal, struct err *err)
{
    struct listing listing;
    struct stream_visit visit = {put_name, &listing,
        internal->plan.min_time, internal->plan.max_time};
    struct backend_ask ask;
    int rc;

    listing_init(&listing, internal, FRAME_NAMES, err);
    internal_ask(internal, &ask);
    rc = backend_get()->visit_streams(&ask, &visit, err);
    if (rc == 0)
        rc = listing_send(&listing, 0);
    listing_release(&listing);
    return rc;
}

/* --- edges --- */

/* The names as one text, which stays for the listing's life; or none. */
static uint32_t
edge_number(struct listing *listing, const struct edge *edge)
{
    const struct edge names = {.parent = edge->parent,
        .child = edge->child};
    size_t start = listing->sb.len;
    uint32_t number;

    wire_edge_put(&listing->sb, &names);
    number = sb_failed(&listing->sb) ? INTERN_NONE
        : intern_add(&listing->seen, sv_make(listing->sb.ptr + start,
            listing->sb.len - start));
    listing->sb.len = start;
    return number;
}

static void
edge_sum(struct listing *listing, uint32_t number, const struct edge *edge)
{
    struct edge *sum;

    if (number >= listing->cap) {
        uint32_t cap = MAX(2 * listing->cap, 256u);

        listing->edges = xrealloc(listing->edges,
            cap * sizeof(*listing->edges));
        memset(listing->edges + listing->cap, 0,
            (cap - listing->cap) * sizeof(*listing->edges));
        listing->cap = cap;
    }
    sum = &listing->edges[number];
    sum->calls += edge->calls;
    sum->errors += edge->errors;
    sum->duration_ns += edge->duration_ns;
}

static int
put_edge(const struct edge *edge, void *arg, struct err *err)
{
    struct listing *listing = arg;
    uint32_t number = edge_number(listing, edge);

    (void)err;
    if (number != INTERN_NONE) {
        edge_sum(listing, number, edge);
        return 0;
    }
    /* The front adds it to the others of these names. */
    wire_edge_put(&listing->sb, edge);
    return listing_send(listing, ANSWER_PIECE);
}

static int
send_edges(struct listing *listing)
{
    for (uint32_t i = 0; i < listing->seen.n; i++) {
        struct sv text = listing->seen.v[i];
        struct edge edge;

        if (wire_edge_take(&text, &edge, listing->err) < 0)
            return -1;
        edge.calls = listing->edges[i].calls;
        edge.errors = listing->edges[i].errors;
        edge.duration_ns = listing->edges[i].duration_ns;
        wire_edge_put(&listing->sb, &edge);
        if (listing_send(listing, ANSWER_PIECE) != 0)
            return -1;
    }
    return listing_send(listing, 0);
}

int
internal_run_edges(const struct internal *internal, struct err *err)
{
    struct job *job = internal->job;
    struct listing listing;
    struct edge_visit visit = {.fn = put_edge, .arg = &listing,
        .min_end_ns = internal->plan.min_time,
        .max_end_ns = internal->plan.max_time,
        .bytes_max = job->bytes_max, .cancel = &job->cancel,
        .deadline_ns = job->deadline_ns};
    struct backend_ask ask;
    int rc;

    listing_init(&listing, internal, FRAME_EDGES, err);
    internal_ask(internal, &ask);
    rc = backend_get()->visit_edges(&ask, &visit, err);
    if (rc == 0)
        rc = send_edges(&listing);
    listing_release(&listing);
    return rc;
}

/* --- tenants --- */

int
internal_run_tenants(const struct internal *internal, struct err *err)
{
    struct tenant_list list = {.pool = internal->job->pool};
    struct listing listing;
    struct backend_ask ask;
    int rc;

    listing_init(&listing, internal, FRAME_TENANTS, err);
    internal_ask(internal, &ask);
    ask.allow_missing = false;
    rc = backend_get()->list_tenants(&ask, &list, internal->plan.min_time,
        internal->plan.max_time, err);
    for (uint32_t i = 0; rc == 0 && i < list.n; i++) {
        wire_tenant_put(&listing.sb, &list.v[i]);
        rc = listing_send(&listing, ANSWER_PIECE);
    }
    if (rc == 0)
        rc = listing_send(&listing, 0);
    listing_release(&listing);
    return rc;
}
