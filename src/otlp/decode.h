/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the protobuf and the JSON decoder share, private to otlp/: scratch
 * vectors that grow while a message is read and are copied once to their
 * exact size, and the rules that decide which spans are rejected.
 */

#ifndef SPOOR_OTLP_DECODE_H
#define SPOOR_OTLP_DECODE_H

#include "core/base.h"
#include "span/span.h"

/*
 * Attributes, events and links that are kept of one span (or resource or
 * scope).  The limit that people may set, insert.max_fields_per_span, ends at
 * 2,000: a span beyond this one would be rejected anyway, so it is rejected
 * while it is decoded and its content need not be held.
 */
#define OTLP_FIELDS_MAX 4096u

struct otlp_decoder {
    struct batch *batch;
    /* A stack: the attributes of an event lie above those of its span. */
    struct attr *attrs;
    struct span_event *events;
    struct span_link *links;
    uint32_t nattrs;
    uint32_t nevents;
    uint32_t nlinks;
    uint32_t cap_attrs;
    uint32_t cap_events;
    uint32_t cap_links;
    uint32_t fields;   /* of the present span, resource or scope */
    bool is_over;      /* memory or count: ERR_LIMIT */
};

void otlp_decoder_init(struct otlp_decoder *dec, struct batch *batch);

/*
 * The slot for the next element, valid until the next push of its kind; NULL
 * sets is_over.  The element counts once its *_keep is called; beyond
 * OTLP_FIELDS_MAX it is dropped there.
 */
struct attr *otlp_push_attr(struct otlp_decoder *dec);
struct span_event *otlp_push_event(struct otlp_decoder *dec);
struct span_link *otlp_push_link(struct otlp_decoder *dec);

static inline void
otlp_keep(struct otlp_decoder *dec, uint32_t *n)
{
    if (LIKELY(++dec->fields <= OTLP_FIELDS_MAX))
        ++*n;
}

/*
 * Moves the attributes above base from the stack behind those that *attrs
 * has already (a message that came in two pieces).  False sets is_over.
 */
bool otlp_take_attrs(struct otlp_decoder *dec, uint32_t base,
    struct attrs *attrs) WARN_UNUSED;
/* Moves the events and links to span. */
bool otlp_take_lists(struct otlp_decoder *dec, struct span *span) WARN_UNUSED;

/* Ids as the peer sent them; a wrong length is a reason to reject. */
struct otlp_ids {
    struct sv trace_id;
    struct sv span_id;
    struct sv parent_id;
};

/* Sets ids and times of the span, or rejects it. */
void otlp_finish_span(struct otlp_decoder *dec, uint32_t index,
    const struct otlp_ids *ids, uint64_t start_ns, uint64_t end_ns);
/* Trace and span id of a link; zeros for a wrong length. */
void otlp_set_link(struct span_link *link, struct sv trace_id,
    struct sv span_id);
/* Rejects the spans from first on: their resource or scope is too large. */
void otlp_reject_from(struct otlp_decoder *dec, uint32_t first);

#endif
