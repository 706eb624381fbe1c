/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The protobuf encoder.  A length stands before what it measures, so every
 * message has a function for its size and one that writes it, in the same
 * order of fields.
 */

#include "core/base.h"
#include "otlp/otlp_encode.h"

#include "span/value.h"
#include "span/wire.h"

static size_t
text_size(struct sv text)
{
    return text.len == 0 ? 0 : wire_bytes_size(text.len);
}

static size_t
u32_size(uint32_t v)
{
    return v == 0 ? 0 : 1 + wire_varint_size(v);
}

static void
put_text(struct sb *out, unsigned field, struct sv text)
{
    if (text.len > 0)
        wire_put_bytes(out, field, text);
}

static void
put_u32(struct sb *out, unsigned field, uint32_t v)
{
    if (v != 0)
        wire_put_tag_varint(out, field, v);
}

/* Enums are int32: a negative one takes ten bytes. */
static size_t
i32_size(int32_t v)
{
    return v == 0 ? 0 : 1 + wire_varint_size((uint64_t)(int64_t)v);
}

static void
put_i32(struct sb *out, unsigned field, int32_t v)
{
    if (v != 0)
        wire_put_tag_varint(out, field, (uint64_t)(int64_t)v);
}

static size_t
attrs_size(const struct attrs *attrs)
{
    size_t size = 0;

    for (uint32_t i = 0; i < attrs->n; i++)
        size += wire_bytes_size(attr_size(&attrs->v[i]));
    return size;
}

static void
put_attrs(struct sb *out, unsigned field, const struct attrs *attrs)
{
    for (uint32_t i = 0; i < attrs->n; i++) {
        wire_put_head(out, field, attr_size(&attrs->v[i]));
        attr_put(out, &attrs->v[i]);
    }
}

static size_t
event_size(const struct span_event *event)
{
    return (event->time_ns == 0 ? 0 : 9) + text_size(event->name) +
        attrs_size(&event->attrs) + u32_size(event->dropped_attrs);
}

static void
put_event(struct sb *out, const struct span_event *event)
{
    wire_put_head(out, 11, event_size(event));
    if (event->time_ns != 0)
        wire_put_fixed64(out, 1, event->time_ns);
    put_text(out, 2, event->name);
    put_attrs(out, 3, &event->attrs);
    put_u32(out, 4, event->dropped_attrs);
}

/* A trace or span id: empty when it is all zero. */
static struct sv
trace_id_sv(const struct trace_id *id)
{
    return trace_id_is_zero(id) ? SV_EMPTY : sv_make(id->b, sizeof(id->b));
}

static struct sv
span_id_sv(const struct span_id *id)
{
    return span_id_is_zero(id) ? SV_EMPTY : sv_make(id->b, sizeof(id->b));
}

static size_t
link_size(const struct span_link *link)
{
    return text_size(trace_id_sv(&link->trace_id)) +
        text_size(span_id_sv(&link->span_id)) +
        text_size(link->trace_state) + attrs_size(&link->attrs) +
        u32_size(link->dropped_attrs) + (link->flags == 0 ? 0 : 5);
}

static void
put_link(struct sb *out, const struct span_link *link)
{
    wire_put_head(out, 13, link_size(link));
    put_text(out, 1, trace_id_sv(&link->trace_id));
    put_text(out, 2, span_id_sv(&link->span_id));
    put_text(out, 3, link->trace_state);
    put_attrs(out, 4, &link->attrs);
    put_u32(out, 5, link->dropped_attrs);
    if (link->flags != 0)
        wire_put_fixed32(out, 6, link->flags);
}

static size_t
status_size(const struct span *span)
{
    return text_size(span->status_message) + i32_size(span->status_code);
}

size_t
otlp_span_size(const struct span *span)
{
    size_t status = status_size(span);
    size_t size = text_size(trace_id_sv(&span->trace_id)) +
        text_size(span_id_sv(&span->span_id)) +
        text_size(span->trace_state) +
        text_size(span_id_sv(&span->parent_id)) + text_size(span->name) +
        i32_size(span->kind) + (span->start_ns == 0 ? 0 : 9) +
        (span->end_ns == 0 ? 0 : 9) + attrs_size(&span->attrs) +
        u32_size(span->dropped_attrs) + u32_size(span->dropped_events) +
        u32_size(span->dropped_links) +
        (status == 0 ? 0 : wire_bytes_size(status)) +
        (span->flags == 0 ? 0 : 6);

    for (uint32_t i = 0; i < span->nevents; i++)
        size += wire_bytes_size(event_size(&span->events[i]));
    for (uint32_t i = 0; i < span->nlinks; i++)
        size += wire_bytes_size(link_size(&span->links[i]));
    return size;
}

static void
put_span(struct sb *out, const struct span *span)
{
    size_t status = status_size(span);

    wire_put_head(out, 2, otlp_span_size(span));
    put_text(out, 1, trace_id_sv(&span->trace_id));
    put_text(out, 2, span_id_sv(&span->span_id));
    put_text(out, 3, span->trace_state);
    put_text(out, 4, span_id_sv(&span->parent_id));
    put_text(out, 5, span->name);
    put_i32(out, 6, span->kind);
    if (span->start_ns != 0)
        wire_put_fixed64(out, 7, (uint64_t)span->start_ns);
    if (span->end_ns != 0)
        wire_put_fixed64(out, 8, (uint64_t)span->end_ns);
    put_attrs(out, 9, &span->attrs);
    put_u32(out, 10, span->dropped_attrs);
    for (uint32_t i = 0; i < span->nevents; i++)
        put_event(out, &span->events[i]);
    put_u32(out, 12, span->dropped_events);
    for (uint32_t i = 0; i < span->nlinks; i++)
        put_link(out, &span->links[i]);
    put_u32(out, 14, span->dropped_links);
    if (status > 0) {
        wire_put_head(out, 15, status);
        put_text(out, 2, span->status_message);
        put_i32(out, 3, span->status_code);
    }
    if (span->flags != 0)
        wire_put_fixed32(out, 16, span->flags);
}

static size_t
scope_size(const struct scope *scope)
{
    return text_size(scope->name) + text_size(scope->version) +
        attrs_size(&scope->attrs) + u32_size(scope->dropped_attrs);
}

static size_t
resource_size(const struct resource *resource)
{
    return attrs_size(&resource->attrs) + u32_size(resource->dropped_attrs);
}

/* Where the run of spans that starts at from ends. */
static uint32_t
scope_run(const struct batch *batch, uint32_t from, uint32_t to)
{
    uint32_t i = from;

    while (i < to && batch->spans[i].scope == batch->spans[from].scope)
        i++;
    return i;
}

static uint32_t
resource_run(const struct batch *batch, uint32_t from)
{
    uint32_t i = from;

    while (i < batch->nspans &&
        batch->spans[i].resource == batch->spans[from].resource)
        i++;
    return i;
}

static size_t
scope_spans_size(const struct batch *batch, uint32_t from, uint32_t to)
{
    const struct scope *scope = &batch->scopes[batch->spans[from].scope];
    size_t size = wire_bytes_size(scope_size(scope)) +
        text_size(scope->schema_url);

    for (uint32_t i = from; i < to; i++)
        size += wire_bytes_size(otlp_span_size(&batch->spans[i]));
    return size;
}

static void
put_scope_spans(struct sb *out, const struct batch *batch, uint32_t from,
    uint32_t to)
{
    const struct scope *scope = &batch->scopes[batch->spans[from].scope];

    wire_put_head(out, 2, scope_spans_size(batch, from, to));
    wire_put_head(out, 1, scope_size(scope));
    put_text(out, 1, scope->name);
    put_text(out, 2, scope->version);
    put_attrs(out, 3, &scope->attrs);
    put_u32(out, 4, scope->dropped_attrs);
    for (uint32_t i = from; i < to; i++)
        put_span(out, &batch->spans[i]);
    put_text(out, 3, scope->schema_url);
}

static void
put_resource_spans(struct sb *out, const struct batch *batch, uint32_t from,
    uint32_t to)
{
    const struct resource *resource =
        &batch->resources[batch->spans[from].resource];
    size_t size = wire_bytes_size(resource_size(resource)) +
        text_size(resource->schema_url);
    uint32_t end;

    for (uint32_t i = from; i < to; i = end) {
        end = scope_run(batch, i, to);
        size += wire_bytes_size(scope_spans_size(batch, i, end));
    }
    wire_put_head(out, 1, size);
    wire_put_head(out, 1, resource_size(resource));
    put_attrs(out, 1, &resource->attrs);
    put_u32(out, 2, resource->dropped_attrs);
    for (uint32_t i = from; i < to; i = end) {
        end = scope_run(batch, i, to);
        put_scope_spans(out, batch, i, end);
    }
    put_text(out, 3, resource->schema_url);
}

void
otlp_encode_protobuf(const struct batch *batch, struct sb *out)
{
    uint32_t end;

    for (uint32_t i = 0; i < batch->nspans; i = end) {
        end = resource_run(batch, i);
        put_resource_spans(out, batch, i, end);
    }
}

static int
group_cmp(const void *left, const void *right)
{
    const struct span *a = left, *b = right;

    if (a->resource != b->resource)
        return a->resource < b->resource ? -1 : 1;
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    if (a->end_ns != b->end_ns)
        return a->end_ns < b->end_ns ? -1 : 1;
    return memcmp(a->span_id.b, b->span_id.b, sizeof(a->span_id.b));
}

void
otlp_group_spans(struct batch *batch)
{
    if (batch->nspans > 1)
        qsort(batch->spans, batch->nspans, sizeof(*batch->spans), group_cmp);
}
