/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * OTLP trace requests from protobuf: one pass over the tags straight into a
 * batch whose views point into the body.  Nothing is allocated per attribute.
 *
 * What is accepted is what protobuf-c accepts for proto/opentelemetry (see
 * span/wire.h): a known field with a wrong wire type is malformed, unknown
 * fields are skipped, text is not checked for UTF-8, the last of a repeated
 * scalar wins.  Differences, all on purpose:
 *
 *   - groups are skipped, protobuf-c refuses them;
 *   - a bool with another wire type than varint is malformed;
 *   - a message field that comes twice is merged by the rules of proto3
 *     (protobuf-c 1.4 loses scalars then, and two empty values are an error);
 *   - values nested deeper than VALUE_DEPTH_MAX are malformed, more than
 *     BATCH_SPANS_MAX spans or more memory than the pool has is ERR_LIMIT.
 */

#include "core/base.h"
#include "otlp/otlp_pb.h"

#include "otlp/decode.h"
#include "otlp/otlp.h"
#include "span/value.h"
#include "span/wire.h"

/* Known fields of each message, bit = field number. */
#define REQUEST_FIELDS 0x02u
#define RESOURCE_SPANS_FIELDS 0x0eu
#define RESOURCE_FIELDS 0x0eu
#define ENTITY_FIELDS 0x1eu
#define SCOPE_SPANS_FIELDS 0x0eu
#define SCOPE_FIELDS 0x1eu
#define SPAN_FIELDS 0x1fffeu
#define EVENT_FIELDS 0x1eu
#define LINK_FIELDS 0x7eu
#define STATUS_FIELDS 0x0cu

struct pb {
    struct otlp_decoder dec;
    struct wire_fail fail;
};

static bool
read_u32(struct wire *w, uint32_t *out, struct wire_fail *fail)
{
    uint64_t v;

    if (!wire_read_varint(w, &v, fail))
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool
read_attr(struct pb *pb, struct wire *w)
{
    struct attr *attr = otlp_push_attr(&pb->dec);
    struct wire sub;

    if (UNLIKELY(attr == NULL))
        return wire_failed(&pb->fail, w, "too many attributes");
    if (!wire_read_message(w, &sub, &pb->fail) ||
        !attr_decode(sub, attr, VALUE_DEPTH_MAX, &pb->fail))
        return false;
    otlp_keep(&pb->dec, &pb->dec.nattrs);
    return true;
}

static bool
take_attrs(struct pb *pb, const struct wire *w, uint32_t base,
    struct attrs *attrs)
{
    if (LIKELY(otlp_take_attrs(&pb->dec, base, attrs)))
        return true;
    return wire_failed(&pb->fail, w, "too many attributes");
}

static bool
decode_event(struct pb *pb, struct wire w)
{
    struct span_event *event = otlp_push_event(&pb->dec);
    uint32_t base = pb->dec.nattrs;
    uint64_t tag;

    if (event == NULL)
        return wire_failed(&pb->fail, &w, "too many events");
    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, &pb->fail))
            return false;
        bool is_good;
        switch (tag) {
        case WIRE_TAG(1, WIRE_FIXED64):
            is_good = wire_read_fixed64(&w, &event->time_ns, &pb->fail);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            is_good = wire_read_bytes(&w, &event->name, &pb->fail);
            break;
        case WIRE_TAG(3, WIRE_BYTES):
            is_good = read_attr(pb, &w);
            break;
        case WIRE_TAG(4, WIRE_VARINT):
            is_good = read_u32(&w, &event->dropped_attrs, &pb->fail);
            break;
        default:
            is_good = wire_other(&w, tag, EVENT_FIELDS, &pb->fail);
        }
        if (!is_good)
            return false;
    }
    if (!take_attrs(pb, &w, base, &event->attrs))
        return false;
    otlp_keep(&pb->dec, &pb->dec.nevents);
    return true;
}

static bool
decode_link(struct pb *pb, struct wire w)
{
    struct span_link *link = otlp_push_link(&pb->dec);
    struct sv trace_id = SV_EMPTY;
    struct sv span_id = SV_EMPTY;
    uint32_t base = pb->dec.nattrs;
    uint64_t tag;

    if (link == NULL)
        return wire_failed(&pb->fail, &w, "too many links");
    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, &pb->fail))
            return false;
        bool is_good;
        switch (tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            is_good = wire_read_bytes(&w, &trace_id, &pb->fail);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            is_good = wire_read_bytes(&w, &span_id, &pb->fail);
            break;
        case WIRE_TAG(3, WIRE_BYTES):
            is_good = wire_read_bytes(&w, &link->trace_state, &pb->fail);
            break;
        case WIRE_TAG(4, WIRE_BYTES):
            is_good = read_attr(pb, &w);
            break;
        case WIRE_TAG(5, WIRE_VARINT):
            is_good = read_u32(&w, &link->dropped_attrs, &pb->fail);
            break;
        case WIRE_TAG(6, WIRE_FIXED32):
            is_good = wire_read_fixed32(&w, &link->flags, &pb->fail);
            break;
        default:
            is_good = wire_other(&w, tag, LINK_FIELDS, &pb->fail);
        }
        if (!is_good)
            return false;
    }
    if (!take_attrs(pb, &w, base, &link->attrs))
        return false;
    otlp_set_link(link, trace_id, span_id);
    otlp_keep(&pb->dec, &pb->dec.nlinks);
    return true;
}

static bool
decode_status(struct pb *pb, struct wire w, struct span *span)
{
    uint64_t tag;

    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, &pb->fail))
            return false;
        bool is_good;
        switch (tag) {
        case WIRE_TAG(2, WIRE_BYTES):
            is_good = wire_read_bytes(&w, &span->status_message, &pb->fail);
            break;
        case WIRE_TAG(3, WIRE_VARINT): {
            uint32_t code = 0;
            is_good = read_u32(&w, &code, &pb->fail);
            span->status_code = (int32_t)code;
            break;
        }
        default:
            is_good = wire_other(&w, tag, STATUS_FIELDS, &pb->fail);
        }
        if (!is_good)
            return false;
    }
    return true;
}

/* Fields of a span that most spans do not have. */
static bool
decode_span_rare(struct pb *pb, struct wire *w, uint64_t tag,
    struct span *span)
{
    struct wire_fail *fail = &pb->fail;
    struct wire sub;

    switch (tag) {
    case WIRE_TAG(3, WIRE_BYTES):
        return wire_read_bytes(w, &span->trace_state, fail);
    case WIRE_TAG(10, WIRE_VARINT):
        return read_u32(w, &span->dropped_attrs, fail);
    case WIRE_TAG(11, WIRE_BYTES):
        return wire_read_message(w, &sub, fail) && decode_event(pb, sub);
    case WIRE_TAG(12, WIRE_VARINT):
        return read_u32(w, &span->dropped_events, fail);
    case WIRE_TAG(13, WIRE_BYTES):
        return wire_read_message(w, &sub, fail) && decode_link(pb, sub);
    case WIRE_TAG(14, WIRE_VARINT):
        return read_u32(w, &span->dropped_links, fail);
    case WIRE_TAG(16, WIRE_FIXED32):
        return wire_read_fixed32(w, &span->flags, fail);
    default:
        return wire_other(w, tag, SPAN_FIELDS, fail);
    }
}

/* What is known of a span before its end. */
struct span_parts {
    struct otlp_ids ids;
    uint64_t start_ns;
    uint64_t end_ns;
    bool has_status;
};

/* Both ids at the start, as every SDK writes them. */
static inline void
take_plain_ids(struct wire *w, struct otlp_ids *ids)
{
    const uint8_t *ptr = w->ptr;

    if (UNLIKELY(w->end - ptr < 28 || ptr[0] != WIRE_TAG(1, WIRE_BYTES) ||
        ptr[1] != 16 || ptr[18] != WIRE_TAG(2, WIRE_BYTES) || ptr[19] != 8))
        return;
    ids->trace_id = sv_make(ptr + 2, 16);
    ids->span_id = sv_make(ptr + 20, 8);
    w->ptr += 28;
}

/* The start and, when it comes next, the end. */
static inline bool
read_times(struct wire *w, struct span_parts *parts, struct wire_fail *fail)
{
    if (!wire_read_fixed64(w, &parts->start_ns, fail))
        return false;
    if (UNLIKELY(!wire_more(w) || *w->ptr != WIRE_TAG(8, WIRE_FIXED64)))
        return true;
    w->ptr++;
    return wire_read_fixed64(w, &parts->end_ns, fail);
}

static bool
decode_span_field(struct pb *pb, struct wire *w, struct span *span,
    struct span_parts *parts)
{
    struct wire_fail *fail = &pb->fail;
    struct wire sub;
    uint64_t tag;
    uint32_t kind;

    if (!wire_read_tag(w, &tag, fail))
        return false;
    switch (tag) {
    case WIRE_TAG(1, WIRE_BYTES):
        return wire_read_bytes(w, &parts->ids.trace_id, fail);
    case WIRE_TAG(2, WIRE_BYTES):
        return wire_read_bytes(w, &parts->ids.span_id, fail);
    case WIRE_TAG(4, WIRE_BYTES):
        return wire_read_bytes(w, &parts->ids.parent_id, fail);
    case WIRE_TAG(5, WIRE_BYTES):
        return wire_read_bytes(w, &span->name, fail);
    case WIRE_TAG(6, WIRE_VARINT):
        if (!read_u32(w, &kind, fail))
            return false;
        span->kind = (int32_t)kind;
        return true;
    case WIRE_TAG(7, WIRE_FIXED64):
        return read_times(w, parts, fail);
    case WIRE_TAG(8, WIRE_FIXED64):
        return wire_read_fixed64(w, &parts->end_ns, fail);
    case WIRE_TAG(9, WIRE_BYTES):
        return read_attr(pb, w);
    case WIRE_TAG(15, WIRE_BYTES):
        if (parts->has_status)
            fail->notes |= WIRE_NOTE_MERGE;
        parts->has_status = true;
        return wire_read_message(w, &sub, fail) &&
            decode_status(pb, sub, span);
    default:
        return decode_span_rare(pb, w, tag, span);
    }
}

static bool
decode_span(struct pb *pb, struct wire w, uint32_t resource, uint32_t scope)
{
    struct otlp_decoder *dec = &pb->dec;
    struct span_parts parts = {0};
    uint32_t index;
    struct span *span = batch_add_span(dec->batch, &index);

    if (UNLIKELY(span == NULL)) {
        dec->is_over = true;
        return wire_failed(&pb->fail, &w, "too many spans");
    }
    span->resource = resource;
    span->scope = scope;
    span->bytes = (uint32_t)(w.end - w.ptr);
    dec->fields = 0;
    take_plain_ids(&w, &parts.ids);
    while (wire_more(&w)) {
        bool is_attr = *w.ptr == WIRE_TAG(9, WIRE_BYTES);

        w.ptr += is_attr;
        if (!(is_attr ? read_attr(pb, &w)
                      : decode_span_field(pb, &w, span, &parts)))
            return false;
    }
    if (!take_attrs(pb, &w, 0, &span->attrs))
        return false;
    if (UNLIKELY(dec->nevents + dec->nlinks > 0) &&
        !otlp_take_lists(dec, span))
        return wire_failed(&pb->fail, &w, "too many events");
    otlp_finish_span(dec, index, &parts.ids, parts.start_ns, parts.end_ns);
    return true;
}

static bool
decode_scope(struct pb *pb, struct wire w, struct scope *scope)
{
    uint64_t tag;

    pb->dec.fields = scope->attrs.n;
    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, &pb->fail))
            return false;
        bool is_good;
        switch (tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            is_good = wire_read_bytes(&w, &scope->name, &pb->fail);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            is_good = wire_read_bytes(&w, &scope->version, &pb->fail);
            break;
        case WIRE_TAG(3, WIRE_BYTES):
            is_good = read_attr(pb, &w);
            break;
        case WIRE_TAG(4, WIRE_VARINT):
            is_good = read_u32(&w, &scope->dropped_attrs, &pb->fail);
            break;
        default:
            is_good = wire_other(&w, tag, SCOPE_FIELDS, &pb->fail);
        }
        if (!is_good)
            return false;
    }
    return take_attrs(pb, &w, 0, &scope->attrs);
}

/* What is being read of one ScopeSpans or ResourceSpans. */
struct group {
    uint32_t index;      /* of its scope or resource */
    uint32_t first_span;
    bool has_head;       /* the scope or resource message was seen */
    bool is_too_large;
};

static void
note_head(struct pb *pb, struct group *group)
{
    if (group->has_head)
        pb->fail.notes |= WIRE_NOTE_MERGE;
    group->has_head = true;
}

static bool
decode_scope_spans_field(struct pb *pb, struct wire *w, uint32_t resource,
    struct group *group)
{
    struct scope *scope = &pb->dec.batch->scopes[group->index];
    struct wire sub;
    uint64_t tag;

    if (!wire_read_tag(w, &tag, &pb->fail))
        return false;
    switch (tag) {
    case WIRE_TAG(1, WIRE_BYTES):
        note_head(pb, group);
        if (!wire_read_message(w, &sub, &pb->fail) ||
            !decode_scope(pb, sub, scope))
            return false;
        group->is_too_large |= pb->dec.fields > OTLP_FIELDS_MAX;
        return true;
    case WIRE_TAG(2, WIRE_BYTES):
        return wire_read_message(w, &sub, &pb->fail) &&
            decode_span(pb, sub, resource, group->index);
    case WIRE_TAG(3, WIRE_BYTES):
        return wire_read_bytes(w, &scope->schema_url, &pb->fail);
    default:
        return wire_other(w, tag, SCOPE_SPANS_FIELDS, &pb->fail);
    }
}

static bool
decode_scope_spans(struct pb *pb, struct wire w, uint32_t resource)
{
    struct batch *batch = pb->dec.batch;
    struct group group = {.first_span = batch->nspans};

    if (batch_add_scope(batch, &group.index) == NULL) {
        pb->dec.is_over = true;
        return wire_failed(&pb->fail, &w, "too many scopes");
    }
    while (wire_more(&w)) {
        if (!decode_scope_spans_field(pb, &w, resource, &group))
            return false;
    }
    if (batch->nspans == group.first_span)
        batch->nscopes = group.index;
    if (group.is_too_large)
        otlp_reject_from(&pb->dec, group.first_span);
    return true;
}

/* References to entities are checked and not kept: attributes name them. */
static bool
check_entity(struct pb *pb, struct wire w)
{
    struct sv ignored;
    uint64_t tag;

    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, &pb->fail))
            return false;
        bool is_text = (tag & 7) == WIRE_BYTES && tag >> 3 >= 1 &&
            tag >> 3 <= 4;
        if (!(is_text ? wire_read_bytes(&w, &ignored, &pb->fail)
                      : wire_other(&w, tag, ENTITY_FIELDS, &pb->fail)))
            return false;
    }
    return true;
}

static bool
decode_resource(struct pb *pb, struct wire w, struct resource *resource)
{
    struct wire sub;
    uint64_t tag;

    pb->dec.fields = resource->attrs.n;
    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, &pb->fail))
            return false;
        bool is_good;
        switch (tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            is_good = read_attr(pb, &w);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            is_good = read_u32(&w, &resource->dropped_attrs, &pb->fail);
            break;
        case WIRE_TAG(3, WIRE_BYTES):
            is_good = wire_read_message(&w, &sub, &pb->fail) &&
                check_entity(pb, sub);
            break;
        default:
            is_good = wire_other(&w, tag, RESOURCE_FIELDS, &pb->fail);
        }
        if (!is_good)
            return false;
    }
    return take_attrs(pb, &w, 0, &resource->attrs);
}

static bool
decode_resource_spans_field(struct pb *pb, struct wire *w,
    struct group *group)
{
    struct resource *resource = &pb->dec.batch->resources[group->index];
    struct wire sub;
    uint64_t tag;

    if (!wire_read_tag(w, &tag, &pb->fail))
        return false;
    switch (tag) {
    case WIRE_TAG(1, WIRE_BYTES):
        note_head(pb, group);
        if (!wire_read_message(w, &sub, &pb->fail) ||
            !decode_resource(pb, sub, resource))
            return false;
        group->is_too_large |= pb->dec.fields > OTLP_FIELDS_MAX;
        return true;
    case WIRE_TAG(2, WIRE_BYTES):
        return wire_read_message(w, &sub, &pb->fail) &&
            decode_scope_spans(pb, sub, group->index);
    case WIRE_TAG(3, WIRE_BYTES):
        return wire_read_bytes(w, &resource->schema_url, &pb->fail);
    default:
        return wire_other(w, tag, RESOURCE_SPANS_FIELDS, &pb->fail);
    }
}

static bool
decode_resource_spans(struct pb *pb, struct wire w)
{
    struct batch *batch = pb->dec.batch;
    struct group group = {.first_span = batch->nspans};

    if (batch_add_resource(batch, &group.index) == NULL) {
        pb->dec.is_over = true;
        return wire_failed(&pb->fail, &w, "too many resources");
    }
    while (wire_more(&w)) {
        if (!decode_resource_spans_field(pb, &w, &group))
            return false;
    }
    resource_find_service(&batch->resources[group.index]);
    if (batch->nspans == group.first_span)
        batch->nresources = group.index;
    if (group.is_too_large)
        otlp_reject_from(&pb->dec, group.first_span);
    return true;
}

static bool
decode_request(struct pb *pb, struct wire w)
{
    struct wire sub;
    uint64_t tag;

    while (wire_more(&w)) {
        if (!wire_read_tag(&w, &tag, &pb->fail))
            return false;
        if (tag != WIRE_TAG(1, WIRE_BYTES)) {
            if (!wire_other(&w, tag, REQUEST_FIELDS, &pb->fail))
                return false;
            continue;
        }
        if (!wire_read_message(&w, &sub, &pb->fail) ||
            !decode_resource_spans(pb, sub))
            return false;
    }
    return true;
}

/*
 * The next field with this tag as a message.  False at the end and where the
 * wire is malformed, which the decoder proper finds again.
 */
static bool
next_message(struct wire *w, uint64_t want, struct wire *sub)
{
    struct wire_fail fail = {0};
    uint64_t tag;

    while (wire_more(w)) {
        if (!wire_read_tag(w, &tag, &fail))
            return false;
        if (tag == want)
            return wire_read_message(w, sub, &fail);
        if (!wire_skip(w, tag, &fail))
            return false;
    }
    return false;
}

struct counts {
    uint32_t spans;
    uint32_t resources;
    uint32_t scopes;
};

/* Counts elements that have spans, so that nothing needs to grow. */
static struct counts
count_elements(struct sv body)
{
    struct counts counts = {0, 0, 0};
    struct wire request = wire_make(body);
    struct wire resource_spans;
    struct wire scope_spans;
    struct wire span;

    while (next_message(&request, WIRE_TAG(1, WIRE_BYTES),
        &resource_spans)) {
        uint32_t spans_before = counts.spans;

        while (next_message(&resource_spans, WIRE_TAG(2, WIRE_BYTES),
            &scope_spans)) {
            uint32_t before = counts.spans;

            while (next_message(&scope_spans, WIRE_TAG(2, WIRE_BYTES),
                &span)) {
                if (++counts.spans > BATCH_SPANS_MAX)
                    return counts;
            }
            counts.scopes += counts.spans > before;
        }
        counts.resources += counts.spans > spans_before;
    }
    return counts;
}

int
otlp_decode_protobuf_notes(struct sv body, struct batch *batch,
    unsigned *notes, struct err *err)
{
    struct pb pb = {.fail = {0}};
    struct counts counts = count_elements(body);

    *notes = WIRE_NOTE_LIMIT;
    if (counts.spans > BATCH_SPANS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u spans in a request",
            BATCH_SPANS_MAX);
    if (!batch_reserve(batch, counts.spans, counts.resources, counts.scopes))
        return err_set(err, ERR_LIMIT,
            "%u spans need more memory than a request may have",
            counts.spans);
    otlp_decoder_init(&pb.dec, batch);
    bool is_good = decode_request(&pb, wire_make(body));
    *notes = pb.fail.notes;
    if (is_good)
        return 0;
    size_t at = (size_t)(pb.fail.at - (const uint8_t *)body.ptr);
    if (pb.dec.is_over) {
        *notes |= WIRE_NOTE_LIMIT;
        return err_set(err, ERR_LIMIT, "%s at byte %zu: the request needs "
            "more memory than it may have", pb.fail.text, at);
    }
    return err_set(err, ERR_INVALID, "protobuf: %s at byte %zu",
        pb.fail.text, at);
}

int
otlp_decode_protobuf(struct sv body, struct batch *batch, struct err *err)
{
    unsigned notes;

    return otlp_decode_protobuf_notes(body, batch, &notes, err);
}
