/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What makes two spans the same, and which spans a store refuses.
 */

#include "core/base.h"
#include "span/span.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/enc.h"
#include "span/value.h"

bool
trace_id_is_zero(const struct trace_id *id)
{
    uint64_t half[2];

    memcpy(half, id->b, sizeof(half));
    return (half[0] | half[1]) == 0;
}

bool
span_id_is_zero(const struct span_id *id)
{
    uint64_t all;

    memcpy(&all, id->b, sizeof(all));
    return all == 0;
}

const char *
span_kind_name(int32_t kind)
{
    static const char *const names[] = {"unspecified", "internal", "server",
        "client", "producer", "consumer"};

    if (kind < 0 || (size_t)kind >= ARRAY_LEN(names))
        return names[0];
    return names[kind];
}

/* --- text lists --- */

bool
text_list_next(struct sv *list, struct sv *text)
{
    struct enc_reader r = {.failed = false};

    if (list->len == 0)
        return false;
    r.ptr = (const uint8_t *)list->ptr;
    r.end = r.ptr + list->len;
    *text = enc_read_sv(&r);
    if (r.failed)
        return false;
    *list = sv_make(r.ptr, (size_t)(r.end - r.ptr));
    return true;
}

size_t
text_list_size(struct sv text)
{
    return wire_varint_size(text.len) + text.len;
}

void
text_list_put(struct sb *list, struct sv text)
{
    wire_put_varint(list, text.len);
    sb_add_sv(list, text);
}

/* --- limits --- */

/* Bytes that the names of the text view put around a key. */
#define PREFIX_RESOURCE (sizeof("resource_attr:") - 1)
#define PREFIX_SCOPE (sizeof("scope_attr:") - 1)
#define PREFIX_SPAN (sizeof("span_attr:") - 1)
#define PREFIX_EVENT (sizeof("event:0:event_attr:") - 1)
#define PREFIX_LINK (sizeof("link:0:link_attr:") - 1)

/* Fields of the text view that every span has, and each event and link. */
#define FIELDS_FIXED 9u
#define FIELDS_EVENT 2u
#define FIELDS_LINK 2u

static bool
has_long_name(const struct attrs *attrs, size_t prefix)
{
    for (uint32_t i = 0; i < attrs->n; i++) {
        if (attrs->v[i].key.len + prefix > SPAN_FIELD_NAME_MAX)
            return true;
    }
    return false;
}

static bool
span_has_long_name(const struct span *span)
{
    if (has_long_name(&span->attrs, PREFIX_SPAN))
        return true;
    for (uint32_t i = 0; i < span->nevents; i++) {
        if (has_long_name(&span->events[i].attrs, PREFIX_EVENT))
            return true;
    }
    for (uint32_t i = 0; i < span->nlinks; i++) {
        if (has_long_name(&span->links[i].attrs, PREFIX_LINK))
            return true;
    }
    return false;
}

/* What is looked at once for all spans of a resource and a scope. */
struct head {
    uint32_t resource;
    uint32_t scope;
    uint64_t fields;
    bool is_known;
    bool has_long_name;
};

static void
head_look(const struct batch *batch, const struct span *span,
    struct head *head)
{
    const struct resource *resource = &batch->resources[span->resource];
    const struct scope *scope = &batch->scopes[span->scope];
    struct sv rest = scope->extra_fields, name, value;

    if (head->is_known && head->resource == span->resource &&
        head->scope == span->scope)
        return;
    head->is_known = true;
    head->resource = span->resource;
    head->scope = span->scope;
    head->fields = (uint64_t)resource->attrs.n + scope->attrs.n;
    while (text_list_next(&rest, &name) && text_list_next(&rest, &value))
        head->fields++;
    head->has_long_name = has_long_name(&resource->attrs, PREFIX_RESOURCE) ||
        has_long_name(&scope->attrs, PREFIX_SCOPE);
}

/* 64 bits: the parts are each bounded, their sum need not fit 32. */
static uint64_t
span_fields(const struct span *span, const struct head *head)
{
    uint64_t n = FIELDS_FIXED + head->fields;

    n += span->attrs.n;
    for (uint32_t i = 0; i < span->nevents; i++)
        n += FIELDS_EVENT + (uint64_t)span->events[i].attrs.n;
    for (uint32_t i = 0; i < span->nlinks; i++)
        n += FIELDS_LINK + (uint64_t)span->links[i].attrs.n;
    return n;
}

void
batch_apply_limits(struct batch *batch, const struct span_limits *limits)
{
    struct head head = {0};

    for (uint32_t i = 0; i < batch->nspans; i++) {
        const struct span *span = &batch->spans[i];

        if (span->reject != REJECT_NONE)
            continue;
        head_look(batch, span, &head);
        if (span->end_ns < limits->oldest_ns)
            batch_reject(batch, i, REJECT_TOO_OLD);
        else if (span->end_ns > limits->newest_ns)
            batch_reject(batch, i, REJECT_TOO_NEW);
        else if (span_fields(span, &head) > limits->fields_max)
            batch_reject(batch, i, REJECT_MANY_FIELDS);
        else if (head.has_long_name || span_has_long_name(span))
            batch_reject(batch, i, REJECT_LONG_NAME);
        else if (span->bytes > SPAN_BYTES_MAX)
            batch_reject(batch, i, REJECT_LARGE);
    }
}

/* --- equality --- */

static bool
attrs_equal(const struct attrs *a, const struct attrs *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        if (!sv_eq(a->v[i].key, b->v[i].key) ||
            !value_equal(&a->v[i].value, &b->v[i].value))
            return false;
    }
    return true;
}

static bool
events_equal(const struct span *a, const struct span *b)
{
    if (a->nevents != b->nevents)
        return false;
    for (uint32_t i = 0; i < a->nevents; i++) {
        const struct span_event *x = &a->events[i];
        const struct span_event *y = &b->events[i];

        if (x->time_ns != y->time_ns || !sv_eq(x->name, y->name) ||
            x->dropped_attrs != y->dropped_attrs ||
            !attrs_equal(&x->attrs, &y->attrs))
            return false;
    }
    return true;
}

static bool
links_equal(const struct span *a, const struct span *b)
{
    if (a->nlinks != b->nlinks)
        return false;
    for (uint32_t i = 0; i < a->nlinks; i++) {
        const struct span_link *x = &a->links[i];
        const struct span_link *y = &b->links[i];

        if (memcmp(&x->trace_id, &y->trace_id, sizeof(x->trace_id)) != 0 ||
            memcmp(&x->span_id, &y->span_id, sizeof(x->span_id)) != 0 ||
            !sv_eq(x->trace_state, y->trace_state) ||
            x->dropped_attrs != y->dropped_attrs || x->flags != y->flags ||
            !attrs_equal(&x->attrs, &y->attrs))
            return false;
    }
    return true;
}

static bool
heads_equal(const struct batch *a, const struct span *x,
    const struct batch *b, const struct span *y)
{
    const struct resource *r = &a->resources[x->resource];
    const struct resource *s = &b->resources[y->resource];
    const struct scope *t = &a->scopes[x->scope];
    const struct scope *u = &b->scopes[y->scope];

    if (r == s && t == u)
        return true;
    return r->dropped_attrs == s->dropped_attrs &&
        sv_eq(r->schema_url, s->schema_url) &&
        attrs_equal(&r->attrs, &s->attrs) && sv_eq(t->name, u->name) &&
        sv_eq(t->version, u->version) &&
        sv_eq(t->schema_url, u->schema_url) &&
        t->dropped_attrs == u->dropped_attrs &&
        sv_eq(t->stream_fields, u->stream_fields) &&
        sv_eq(t->extra_fields, u->extra_fields) &&
        attrs_equal(&t->attrs, &u->attrs);
}

bool
span_equal(const struct batch *a, const struct span *x,
    const struct batch *b, const struct span *y)
{
    return memcmp(&x->trace_id, &y->trace_id, sizeof(x->trace_id)) == 0 &&
        memcmp(&x->span_id, &y->span_id, sizeof(x->span_id)) == 0 &&
        memcmp(&x->parent_id, &y->parent_id, sizeof(x->parent_id)) == 0 &&
        x->start_ns == y->start_ns && x->end_ns == y->end_ns &&
        x->flags == y->flags && x->kind == y->kind &&
        x->status_code == y->status_code &&
        x->dropped_attrs == y->dropped_attrs &&
        x->dropped_events == y->dropped_events &&
        x->dropped_links == y->dropped_links && sv_eq(x->name, y->name) &&
        sv_eq(x->trace_state, y->trace_state) &&
        sv_eq(x->status_message, y->status_message) &&
        attrs_equal(&x->attrs, &y->attrs) && events_equal(x, y) &&
        links_equal(x, y) && heads_equal(a, x, b, y);
}

/* --- hash: every text goes in behind its length --- */

static void
hash_u64(XXH3_state_t *state, uint64_t v)
{
    XXH3_128bits_update(state, &v, sizeof(v));
}

static void
hash_sv(XXH3_state_t *state, struct sv v)
{
    hash_u64(state, v.len);
    if (v.len > 0)
        XXH3_128bits_update(state, v.ptr, v.len);
}

static void
hash_value(XXH3_state_t *state, const struct value *value)
{
    hash_u64(state, value->type);
    switch ((enum value_type)value->type) {
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        hash_sv(state, value->str);
        break;
    case VALUE_BOOL:
        hash_u64(state, value->b);
        break;
    case VALUE_INT:
    case VALUE_DOUBLE:
        hash_u64(state, (uint64_t)value->i);
        break;
    default:
        break;
    }
}

static void
hash_attrs(XXH3_state_t *state, const struct attrs *attrs)
{
    hash_u64(state, attrs->n);
    for (uint32_t i = 0; i < attrs->n; i++) {
        hash_sv(state, attrs->v[i].key);
        hash_value(state, &attrs->v[i].value);
    }
}

static void
hash_heads(XXH3_state_t *state, const struct resource *resource,
    const struct scope *scope)
{
    hash_attrs(state, &resource->attrs);
    hash_sv(state, resource->schema_url);
    hash_u64(state, resource->dropped_attrs);
    hash_sv(state, scope->name);
    hash_sv(state, scope->version);
    hash_sv(state, scope->schema_url);
    hash_attrs(state, &scope->attrs);
    hash_u64(state, scope->dropped_attrs);
    hash_sv(state, scope->stream_fields);
    hash_sv(state, scope->extra_fields);
}

static void
hash_lists(XXH3_state_t *state, const struct span *span)
{
    hash_u64(state, span->nevents);
    for (uint32_t i = 0; i < span->nevents; i++) {
        const struct span_event *event = &span->events[i];

        hash_u64(state, event->time_ns);
        hash_sv(state, event->name);
        hash_u64(state, event->dropped_attrs);
        hash_attrs(state, &event->attrs);
    }
    hash_u64(state, span->nlinks);
    for (uint32_t i = 0; i < span->nlinks; i++) {
        const struct span_link *link = &span->links[i];

        XXH3_128bits_update(state, &link->trace_id, sizeof(link->trace_id));
        XXH3_128bits_update(state, &link->span_id, sizeof(link->span_id));
        hash_sv(state, link->trace_state);
        hash_u64(state, (uint64_t)link->dropped_attrs << 32 | link->flags);
        hash_attrs(state, &link->attrs);
    }
}

void
span_hash(const struct batch *batch, const struct span *span,
    uint8_t hash[16])
{
    XXH3_state_t state;
    const struct {
        struct trace_id trace_id;
        struct span_id span_id;
        struct span_id parent_id;
        int64_t start_ns;
        int64_t end_ns;
        uint32_t numbers[6];
    } fixed = {
        span->trace_id, span->span_id, span->parent_id, span->start_ns,
        span->end_ns,
        {span->flags, (uint32_t)span->kind, (uint32_t)span->status_code,
            span->dropped_attrs, span->dropped_events, span->dropped_links},
    };

    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &fixed, sizeof(fixed));
    hash_sv(&state, span->name);
    hash_sv(&state, span->trace_state);
    hash_sv(&state, span->status_message);
    hash_attrs(&state, &span->attrs);
    hash_lists(&state, span);
    hash_heads(&state, &batch->resources[span->resource],
        &batch->scopes[span->scope]);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    memcpy(hash, canonical.digest, 16);
}
