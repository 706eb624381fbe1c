/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * OTLP trace requests from JSON (https://opentelemetry.io/docs/specs/otlp/,
 * JSON protobuf encoding): ids in hex, other bytes in base64, 64-bit integers
 * as strings.  How lenient the reader is stands in otlp/json_read.h.
 *
 * Lists are turned into protobuf payloads, so a trace that comes as JSON
 * makes the same batch as one that comes as protobuf.
 */

#include "core/base.h"
#include "otlp/otlp.h"

#include "otlp/json_read.h"
#include "otlp/otlp_encode.h"
#include "span/value.h"

/* Bytes of a span in JSON, for the first size of the batch. */
#define SPAN_BYTES_GUESS 700

#define NAMES(list) list, ARRAY_LEN(list)

static bool
read_attrs(struct js *js)
{
    if (!js_enter_list(js))
        return !json_in_failed(&js->in);
    while (json_next_item(&js->in)) {
        struct attr *attr = otlp_push_attr(&js->dec);

        if (attr == NULL)
            return js_over(js, "too many attributes");
        if (!js_attr(js, attr, VALUE_DEPTH_MAX))
            return false;
        otlp_keep(&js->dec, &js->dec.nattrs);
    }
    return !json_in_failed(&js->in);
}

static bool
take_attrs(struct js *js, uint32_t base, struct attrs *attrs)
{
    if (json_in_failed(&js->in))
        return false;
    if (!otlp_take_attrs(&js->dec, base, attrs))
        return js_over(js, "too many attributes");
    return true;
}

/* --- events and links --- */

static bool
read_event(struct js *js)
{
    static const struct sv names[] = {SV("timeUnixNano"), SV("name"),
        SV("attributes"), SV("droppedAttributesCount")};
    struct span_event *event = otlp_push_event(&js->dec);
    uint32_t base = js->dec.nattrs;
    struct sv key;

    if (event == NULL)
        return js_over(js, "too many events");
    for (bool more = js_enter(js); more && json_next_key(&js->in, &key);) {
        switch (js_name(NAMES(names), key)) {
        case 0:
            more = js_u64(js, &event->time_ns);
            break;
        case 1:
            more = js_text(js, &event->name);
            break;
        case 2:
            more = read_attrs(js);
            break;
        case 3:
            more = js_u32(js, &event->dropped_attrs);
            break;
        default:
            more = json_skip(&js->in);
        }
    }
    if (!take_attrs(js, base, &event->attrs))
        return false;
    otlp_keep(&js->dec, &js->dec.nevents);
    return true;
}

static bool
read_link(struct js *js)
{
    static const struct sv names[] = {SV("traceId"), SV("spanId"),
        SV("traceState"), SV("attributes"), SV("droppedAttributesCount"),
        SV("flags")};
    struct span_link *link = otlp_push_link(&js->dec);
    uint32_t base = js->dec.nattrs;
    uint8_t id[16];
    struct sv sent;
    struct sv key;

    if (link == NULL)
        return js_over(js, "too many links");
    for (bool more = js_enter(js); more && json_next_key(&js->in, &key);) {
        switch (js_name(NAMES(names), key)) {
        case 0:
            more = js_id(js, id, 16, &sent);
            if (more)
                otlp_set_link(link, sent, SV_EMPTY);
            break;
        case 1:
            more = js_id(js, id, 8, &sent);
            if (more)
                otlp_set_link(link, SV_EMPTY, sent);
            break;
        case 2:
            more = js_text(js, &link->trace_state);
            break;
        case 3:
            more = read_attrs(js);
            break;
        case 4:
            more = js_u32(js, &link->dropped_attrs);
            break;
        case 5:
            more = js_u32(js, &link->flags);
            break;
        default:
            more = json_skip(&js->in);
        }
    }
    if (!take_attrs(js, base, &link->attrs))
        return false;
    otlp_keep(&js->dec, &js->dec.nlinks);
    return true;
}

/* Every element of a repeated message field. */
static bool
read_each(struct js *js, bool (*read)(struct js *js))
{
    if (!js_enter_list(js))
        return !json_in_failed(&js->in);
    while (json_next_item(&js->in)) {
        if (!read(js))
            return false;
    }
    return !json_in_failed(&js->in);
}

/* --- spans --- */

static bool
read_status(struct js *js, struct span *span)
{
    static const struct sv names[] = {SV("code"), SV("message")};
    static const char *const codes[] = {"UNSET", "OK", "ERROR"};
    struct sv key;

    for (bool more = js_enter(js); more && json_next_key(&js->in, &key);) {
        switch (js_name(NAMES(names), key)) {
        case 0:
            more = js_enum(js, SV("STATUS_CODE_"), NAMES(codes),
                &span->status_code);
            break;
        case 1:
            more = js_text(js, &span->status_message);
            break;
        default:
            more = json_skip(&js->in);
        }
    }
    return !json_in_failed(&js->in);
}

/* What is known of a span before its end. */
struct span_parts {
    struct otlp_ids ids;
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8];
    uint64_t start_ns;
    uint64_t end_ns;
};

enum span_name {
    NAME_TRACE_ID, NAME_SPAN_ID, NAME_PARENT_ID, NAME_NAME, NAME_KIND,
    NAME_START, NAME_END, NAME_ATTRIBUTES, NAME_DROPPED_ATTRIBUTES,
    NAME_EVENTS, NAME_DROPPED_EVENTS, NAME_LINKS, NAME_DROPPED_LINKS,
    NAME_STATUS, NAME_TRACE_STATE, NAME_FLAGS,
};

static const struct sv span_names[] = {
    SV("traceId"), SV("spanId"), SV("parentSpanId"), SV("name"), SV("kind"),
    SV("startTimeUnixNano"), SV("endTimeUnixNano"), SV("attributes"),
    SV("droppedAttributesCount"), SV("events"), SV("droppedEventsCount"),
    SV("links"), SV("droppedLinksCount"), SV("status"), SV("traceState"),
    SV("flags"),
};

static bool
read_span_counts(struct js *js, unsigned name, struct span *span)
{
    switch (name) {
    case NAME_DROPPED_ATTRIBUTES:
        return js_u32(js, &span->dropped_attrs);
    case NAME_DROPPED_EVENTS:
        return js_u32(js, &span->dropped_events);
    case NAME_DROPPED_LINKS:
        return js_u32(js, &span->dropped_links);
    case NAME_TRACE_STATE:
        return js_text(js, &span->trace_state);
    case NAME_FLAGS:
        return js_u32(js, &span->flags);
    default:
        return json_skip(&js->in);
    }
}

static bool
read_span_member(struct js *js, struct sv key, struct span *span,
    struct span_parts *parts)
{
    static const char *const kinds[] = {"UNSPECIFIED", "INTERNAL", "SERVER",
        "CLIENT", "PRODUCER", "CONSUMER"};
    unsigned name = js_name(NAMES(span_names), key);

    switch (name) {
    case NAME_TRACE_ID:
        return js_id(js, parts->trace_id, 16, &parts->ids.trace_id);
    case NAME_SPAN_ID:
        return js_id(js, parts->span_id, 8, &parts->ids.span_id);
    case NAME_PARENT_ID:
        return js_id(js, parts->parent_id, 8, &parts->ids.parent_id);
    case NAME_NAME:
        return js_text(js, &span->name);
    case NAME_KIND:
        return js_enum(js, SV("SPAN_KIND_"), NAMES(kinds), &span->kind);
    case NAME_START:
        return js_u64(js, &parts->start_ns);
    case NAME_END:
        return js_u64(js, &parts->end_ns);
    case NAME_ATTRIBUTES:
        return read_attrs(js);
    case NAME_EVENTS:
        return read_each(js, read_event);
    case NAME_LINKS:
        return read_each(js, read_link);
    case NAME_STATUS:
        return read_status(js, span);
    default:
        return read_span_counts(js, name, span);
    }
}

static bool
read_span(struct js *js, uint32_t resource, uint32_t scope)
{
    struct otlp_decoder *dec = &js->dec;
    struct span_parts parts = {.start_ns = 0};
    uint32_t index;
    struct span *span = batch_add_span(dec->batch, &index);
    struct sv key;

    if (span == NULL)
        return js_over(js, "too many spans");
    span->resource = resource;
    span->scope = scope;
    dec->fields = 0;
    for (bool more = js_enter(js); more && json_next_key(&js->in, &key);)
        more = read_span_member(js, key, span, &parts);
    if (!take_attrs(js, 0, &span->attrs))
        return false;
    if (!otlp_take_lists(dec, span))
        return js_over(js, "too many events");
    otlp_finish_span(dec, index, &parts.ids, parts.start_ns, parts.end_ns);
    span->bytes = (uint32_t)MIN(otlp_span_size(span), (size_t)UINT32_MAX);
    return true;
}

/* --- scopes and resources --- */

/* What is being read of one ScopeSpans or ResourceSpans. */
struct group {
    uint32_t index;      /* of its scope or resource */
    uint32_t first_span;
    bool is_too_large;
};

static bool
read_scope(struct js *js, struct group *group)
{
    static const struct sv names[] = {SV("name"), SV("version"),
        SV("attributes"), SV("droppedAttributesCount")};
    struct scope *scope = &js->dec.batch->scopes[group->index];
    struct sv key;

    js->dec.fields = scope->attrs.n;
    for (bool more = js_enter(js); more && json_next_key(&js->in, &key);) {
        switch (js_name(NAMES(names), key)) {
        case 0:
            more = js_text(js, &scope->name);
            break;
        case 1:
            more = js_text(js, &scope->version);
            break;
        case 2:
            more = read_attrs(js);
            break;
        case 3:
            more = js_u32(js, &scope->dropped_attrs);
            break;
        default:
            more = json_skip(&js->in);
        }
    }
    group->is_too_large |= js->dec.fields > OTLP_FIELDS_MAX;
    return take_attrs(js, 0, &scope->attrs);
}

static bool
read_spans(struct js *js, uint32_t resource, uint32_t scope)
{
    if (!js_enter_list(js))
        return !json_in_failed(&js->in);
    while (json_next_item(&js->in)) {
        if (!read_span(js, resource, scope))
            return false;
    }
    return !json_in_failed(&js->in);
}

static bool
read_scope_spans(struct js *js, uint32_t resource)
{
    static const struct sv names[] = {SV("scope"), SV("spans"),
        SV("schemaUrl")};
    struct batch *batch = js->dec.batch;
    struct group group = {.first_span = batch->nspans};
    struct sv key;

    if (batch_add_scope(batch, &group.index) == NULL)
        return js_over(js, "too many scopes");
    for (bool more = js_enter(js); more && json_next_key(&js->in, &key);) {
        switch (js_name(NAMES(names), key)) {
        case 0:
            more = read_scope(js, &group);
            break;
        case 1:
            more = read_spans(js, resource, group.index);
            break;
        case 2:
            more = js_text(js, &batch->scopes[group.index].schema_url);
            break;
        default:
            more = json_skip(&js->in);
        }
    }
    if (json_in_failed(&js->in))
        return false;
    if (batch->nspans == group.first_span)
        batch->nscopes = group.index;
    if (group.is_too_large)
        otlp_reject_from(&js->dec, group.first_span);
    return true;
}

static bool
read_resource(struct js *js, struct group *group)
{
    static const struct sv names[] = {SV("attributes"),
        SV("droppedAttributesCount")};
    struct resource *resource = &js->dec.batch->resources[group->index];
    struct sv key;

    js->dec.fields = resource->attrs.n;
    for (bool more = js_enter(js); more && json_next_key(&js->in, &key);) {
        switch (js_name(NAMES(names), key)) {
        case 0:
            more = read_attrs(js);
            break;
        case 1:
            more = js_u32(js, &resource->dropped_attrs);
            break;
        default:
            more = json_skip(&js->in);
        }
    }
    group->is_too_large |= js->dec.fields > OTLP_FIELDS_MAX;
    return take_attrs(js, 0, &resource->attrs);
}

static bool
read_scopes(struct js *js, uint32_t resource)
{
    if (!js_enter_list(js))
        return !json_in_failed(&js->in);
    while (json_next_item(&js->in)) {
        if (!read_scope_spans(js, resource))
            return false;
    }
    return !json_in_failed(&js->in);
}

static bool
read_resource_spans(struct js *js)
{
    static const struct sv names[] = {SV("resource"), SV("scopeSpans"),
        SV("schemaUrl")};
    struct batch *batch = js->dec.batch;
    struct group group = {.first_span = batch->nspans};
    struct sv key;

    if (batch_add_resource(batch, &group.index) == NULL)
        return js_over(js, "too many resources");
    for (bool more = js_enter(js); more && json_next_key(&js->in, &key);) {
        switch (js_name(NAMES(names), key)) {
        case 0:
            more = read_resource(js, &group);
            break;
        case 1:
            more = read_scopes(js, group.index);
            break;
        case 2:
            more = js_text(js,
                &batch->resources[group.index].schema_url);
            break;
        default:
            more = json_skip(&js->in);
        }
    }
    if (json_in_failed(&js->in))
        return false;
    resource_find_service(&batch->resources[group.index]);
    if (batch->nspans == group.first_span)
        batch->nresources = group.index;
    if (group.is_too_large)
        otlp_reject_from(&js->dec, group.first_span);
    return true;
}

static bool
read_request(struct js *js)
{
    static const struct sv names[] = {SV("resourceSpans")};
    struct sv key;
    bool more;

    for (more = json_enter_object(&js->in);
         more && json_next_key(&js->in, &key);) {
        if (js_name(NAMES(names), key) == 0)
            more = read_each(js, read_resource_spans);
        else
            more = json_skip(&js->in);
    }
    return !json_in_failed(&js->in) && json_peek(&js->in) == JSON_END;
}

int
otlp_decode_json(struct sv body, struct batch *batch, struct err *err)
{
    struct js js = {.in = {.start = NULL}};
    bool is_good;

    if (body.len == 0)
        return 0;
    if (!batch_reserve(batch, (uint32_t)MIN(body.len / SPAN_BYTES_GUESS + 1,
            BATCH_SPANS_MAX), 1, 1))
        return err_set(err, ERR_LIMIT, "no memory for the spans");
    json_in_init(&js.in, body, batch->pool);
    otlp_decoder_init(&js.dec, batch);
    /* {}, of a list takes six bytes in a payload; nothing else grows. */
    sb_init(&js.scratch, 2 * body.len + 64);
    is_good = read_request(&js);
    sb_release(&js.scratch);
    if (is_good)
        return 0;
    return err_set(err, js.dec.is_over ? ERR_LIMIT : js.in.err.code, "%s",
        js.in.err.text);
}
