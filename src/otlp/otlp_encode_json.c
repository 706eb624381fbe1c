/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The OTLP/JSON encoder: lowerCamelCase names, ids in hex, 64-bit integers as
 * decimal strings, enums as numbers.
 */

#include "core/base.h"
#include "otlp/otlp_encode.h"

#include "core/json_out.h"
#include "core/num.h"
#include "span/value.h"

static void
put_text(struct json_out *out, const char *key, struct sv text)
{
    if (text.len == 0)
        return;
    json_key(out, key);
    json_string(out, text);
}

static void
put_u32(struct json_out *out, const char *key, uint32_t v)
{
    if (v == 0)
        return;
    json_key(out, key);
    json_u64(out, v);
}

static void
put_u64(struct json_out *out, const char *key, uint64_t v)
{
    char number[24];

    if (v == 0)
        return;
    json_key(out, key);
    json_string(out, sv_make(number, num_print_u64(number, v)));
}

static void
put_trace_id(struct json_out *out, const struct trace_id *id)
{
    if (trace_id_is_zero(id))
        return;
    json_key(out, "traceId");
    json_hex(out, id->b, sizeof(id->b));
}

static void
put_span_id(struct json_out *out, const char *key, const struct span_id *id)
{
    if (span_id_is_zero(id))
        return;
    json_key(out, key);
    json_hex(out, id->b, sizeof(id->b));
}

static void
put_attrs(struct json_out *out, const struct attrs *attrs)
{
    if (attrs->n == 0)
        return;
    json_key(out, "attributes");
    json_array(out);
    for (uint32_t i = 0; i < attrs->n; i++)
        attr_otlp_json(out, &attrs->v[i]);
    json_array_end(out);
}

static void
put_events(struct json_out *out, const struct span *span)
{
    if (span->nevents == 0)
        return;
    json_key(out, "events");
    json_array(out);
    for (uint32_t i = 0; i < span->nevents; i++) {
        const struct span_event *event = &span->events[i];

        json_object(out);
        put_u64(out, "timeUnixNano", event->time_ns);
        put_text(out, "name", event->name);
        put_attrs(out, &event->attrs);
        put_u32(out, "droppedAttributesCount", event->dropped_attrs);
        json_object_end(out);
    }
    json_array_end(out);
}

static void
put_links(struct json_out *out, const struct span *span)
{
    if (span->nlinks == 0)
        return;
    json_key(out, "links");
    json_array(out);
    for (uint32_t i = 0; i < span->nlinks; i++) {
        const struct span_link *link = &span->links[i];

        json_object(out);
        put_trace_id(out, &link->trace_id);
        put_span_id(out, "spanId", &link->span_id);
        put_text(out, "traceState", link->trace_state);
        put_attrs(out, &link->attrs);
        put_u32(out, "droppedAttributesCount", link->dropped_attrs);
        put_u32(out, "flags", link->flags);
        json_object_end(out);
    }
    json_array_end(out);
}

static void
put_status(struct json_out *out, const struct span *span)
{
    if (span->status_code == 0 && span->status_message.len == 0)
        return;
    json_key(out, "status");
    json_object(out);
    put_text(out, "message", span->status_message);
    if (span->status_code != 0) {
        json_key(out, "code");
        json_i64(out, span->status_code);
    }
    json_object_end(out);
}

static void
put_span(struct json_out *out, const struct span *span)
{
    json_object(out);
    put_trace_id(out, &span->trace_id);
    put_span_id(out, "spanId", &span->span_id);
    put_text(out, "traceState", span->trace_state);
    put_span_id(out, "parentSpanId", &span->parent_id);
    put_text(out, "name", span->name);
    if (span->kind != 0) {
        json_key(out, "kind");
        json_i64(out, span->kind);
    }
    put_u64(out, "startTimeUnixNano", (uint64_t)span->start_ns);
    put_u64(out, "endTimeUnixNano", (uint64_t)span->end_ns);
    put_attrs(out, &span->attrs);
    put_u32(out, "droppedAttributesCount", span->dropped_attrs);
    put_events(out, span);
    put_u32(out, "droppedEventsCount", span->dropped_events);
    put_links(out, span);
    put_u32(out, "droppedLinksCount", span->dropped_links);
    put_status(out, span);
    put_u32(out, "flags", span->flags);
    json_object_end(out);
}

/* Writes the spans of one scope; returns the first that is not. */
static uint32_t
put_scope_spans(struct json_out *out, const struct batch *batch,
    uint32_t from)
{
    const struct span *first = &batch->spans[from];
    const struct scope *scope = &batch->scopes[first->scope];
    uint32_t i = from;

    json_object(out);
    json_key(out, "scope");
    json_object(out);
    put_text(out, "name", scope->name);
    put_text(out, "version", scope->version);
    put_attrs(out, &scope->attrs);
    put_u32(out, "droppedAttributesCount", scope->dropped_attrs);
    json_object_end(out);
    json_key(out, "spans");
    json_array(out);
    while (i < batch->nspans && batch->spans[i].scope == first->scope &&
        batch->spans[i].resource == first->resource)
        put_span(out, &batch->spans[i++]);
    json_array_end(out);
    put_text(out, "schemaUrl", scope->schema_url);
    json_object_end(out);
    return i;
}

static uint32_t
put_resource_spans(struct json_out *out, const struct batch *batch,
    uint32_t from)
{
    uint32_t index = batch->spans[from].resource;
    const struct resource *resource = &batch->resources[index];
    uint32_t i = from;

    json_object(out);
    json_key(out, "resource");
    json_object(out);
    put_attrs(out, &resource->attrs);
    put_u32(out, "droppedAttributesCount", resource->dropped_attrs);
    json_object_end(out);
    json_key(out, "scopeSpans");
    json_array(out);
    while (i < batch->nspans && batch->spans[i].resource == index)
        i = put_scope_spans(out, batch, i);
    json_array_end(out);
    put_text(out, "schemaUrl", resource->schema_url);
    json_object_end(out);
    return i;
}

void
otlp_encode_json(const struct batch *batch, struct sb *out)
{
    struct json_out json;

    json_out_init(&json, out);
    json_object(&json);
    json_key(&json, "resourceSpans");
    json_array(&json);
    for (uint32_t i = 0; i < batch->nspans;)
        i = put_resource_spans(&json, batch, i);
    json_array_end(&json);
    json_object_end(&json);
}
