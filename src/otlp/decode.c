/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "otlp/decode.h"

#include "otlp/otlp.h"
#include "span/params.h"

/* First sizes: what an instrumented HTTP server sends fits. */
#define FIRST_ATTRS 64
#define FIRST_LISTS 8

void
otlp_decoder_init(struct otlp_decoder *dec, struct batch *batch)
{
    memset(dec, 0, sizeof(*dec));
    dec->batch = batch;
}

/* A vector twice as large with the old content; NULL sets is_over. */
static void *
grow(struct otlp_decoder *dec, const void *old, size_t old_bytes,
    size_t bytes)
{
    void *bigger = pool_alloc(dec->batch->pool, bytes);

    if (bigger == NULL)
        dec->is_over = true;
    else if (old_bytes > 0)
        memcpy(bigger, old, old_bytes);
    return bigger;
}

struct attr *
otlp_push_attr(struct otlp_decoder *dec)
{
    if (UNLIKELY(dec->nattrs == dec->cap_attrs)) {
        uint32_t want = MAX(dec->cap_attrs * 2, FIRST_ATTRS);
        void *bigger = grow(dec, dec->attrs,
            dec->nattrs * sizeof(struct attr), want * sizeof(struct attr));

        if (bigger == NULL)
            return NULL;
        dec->attrs = bigger;
        dec->cap_attrs = want;
    }
    return &dec->attrs[dec->nattrs];
}

struct span_event *
otlp_push_event(struct otlp_decoder *dec)
{
    if (dec->nevents == dec->cap_events) {
        uint32_t want = MAX(dec->cap_events * 2, FIRST_LISTS);
        void *bigger = grow(dec, dec->events,
            dec->nevents * sizeof(struct span_event),
            want * sizeof(struct span_event));

        if (bigger == NULL)
            return NULL;
        dec->events = bigger;
        dec->cap_events = want;
    }
    struct span_event *event = &dec->events[dec->nevents];
    memset(event, 0, sizeof(*event));
    return event;
}

struct span_link *
otlp_push_link(struct otlp_decoder *dec)
{
    if (dec->nlinks == dec->cap_links) {
        uint32_t want = MAX(dec->cap_links * 2, FIRST_LISTS);
        void *bigger = grow(dec, dec->links,
            dec->nlinks * sizeof(struct span_link),
            want * sizeof(struct span_link));

        if (bigger == NULL)
            return NULL;
        dec->links = bigger;
        dec->cap_links = want;
    }
    struct span_link *link = &dec->links[dec->nlinks];
    memset(link, 0, sizeof(*link));
    return link;
}

bool
otlp_take_attrs(struct otlp_decoder *dec, uint32_t base, struct attrs *attrs)
{
    uint32_t n = dec->nattrs - base;
    struct attr *all;

    dec->nattrs = base;
    if (n == 0)
        return true;
    all = grow(dec, attrs->v, attrs->n * sizeof(struct attr),
        (attrs->n + (size_t)n) * sizeof(struct attr));
    if (all == NULL)
        return false;
    memcpy(all + attrs->n, dec->attrs + base, n * sizeof(struct attr));
    attrs->v = all;
    attrs->n += n;
    return true;
}

bool
otlp_take_lists(struct otlp_decoder *dec, struct span *span)
{
    if (dec->nevents > 0) {
        span->events = grow(dec, dec->events,
            dec->nevents * sizeof(struct span_event),
            dec->nevents * sizeof(struct span_event));
        if (span->events == NULL)
            return false;
        span->nevents = dec->nevents;
        dec->nevents = 0;
    }
    if (dec->nlinks > 0) {
        span->links = grow(dec, dec->links,
            dec->nlinks * sizeof(struct span_link),
            dec->nlinks * sizeof(struct span_link));
        if (span->links == NULL)
            return false;
        span->nlinks = dec->nlinks;
        dec->nlinks = 0;
    }
    return true;
}

/* Drops the content that was too much to hold. */
static void
reject_many_fields(struct batch *batch, uint32_t index)
{
    struct span *span = &batch->spans[index];

    span->attrs = (struct attrs){NULL, 0};
    span->events = NULL;
    span->links = NULL;
    span->nevents = 0;
    span->nlinks = 0;
    batch_reject(batch, index, REJECT_MANY_FIELDS);
}

void
otlp_finish_span(struct otlp_decoder *dec, uint32_t index,
    const struct otlp_ids *ids, uint64_t start_ns, uint64_t end_ns)
{
    struct batch *batch = dec->batch;
    struct span *span = &batch->spans[index];
    enum reject why = REJECT_NONE;

    if (ids->trace_id.len == sizeof(span->trace_id))
        memcpy(&span->trace_id, ids->trace_id.ptr, sizeof(span->trace_id));
    if (ids->span_id.len == sizeof(span->span_id))
        memcpy(&span->span_id, ids->span_id.ptr, sizeof(span->span_id));
    if (ids->parent_id.len == sizeof(span->parent_id))
        memcpy(&span->parent_id, ids->parent_id.ptr,
            sizeof(span->parent_id));
    if (start_ns <= INT64_MAX)
        span->start_ns = (int64_t)start_ns;
    if (end_ns <= INT64_MAX)
        span->end_ns = (int64_t)end_ns;

    if (trace_id_is_zero(&span->trace_id))
        why = REJECT_TRACE_ID;
    else if (span_id_is_zero(&span->span_id))
        why = REJECT_SPAN_ID;
    else if (ids->parent_id.len != 0 &&
        ids->parent_id.len != sizeof(span->parent_id))
        why = REJECT_PARENT_ID;
    else if (start_ns > INT64_MAX || end_ns > INT64_MAX)
        why = REJECT_TIME;
    if (UNLIKELY(why != REJECT_NONE))
        batch_reject(batch, index, why);
    if (UNLIKELY(dec->fields > OTLP_FIELDS_MAX))
        reject_many_fields(batch, index);
}

void
otlp_set_link(struct span_link *link, struct sv trace_id, struct sv span_id)
{
    if (trace_id.len == sizeof(link->trace_id))
        memcpy(&link->trace_id, trace_id.ptr, sizeof(link->trace_id));
    if (span_id.len == sizeof(link->span_id))
        memcpy(&link->span_id, span_id.ptr, sizeof(link->span_id));
}

void
otlp_reject_from(struct otlp_decoder *dec, uint32_t first)
{
    for (uint32_t i = first; i < dec->batch->nspans; i++)
        reject_many_fields(dec->batch, i);
}

int
otlp_decode(enum otlp_format format, struct sv body, struct batch *batch,
    struct err *err)
{
    if (format == OTLP_JSON)
        return otlp_decode_json(body, batch, err);
    return otlp_decode_protobuf(body, batch, err);
}

int
otlp_decode_request(enum otlp_format format, struct sv params,
    struct sv body, struct batch *batch, struct err *err)
{
    if (otlp_decode(format, body, batch, err) != 0)
        return -1;
    return params_apply_canonical(params, batch, err);
}
