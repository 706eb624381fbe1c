/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/jaeger_json.h"

#include "core/mem.h"
#include "core/num.h"
#include "span/value.h"

/* JavaScript reads integers exactly up to here. */
#define JSON_EXACT_INT_MAX ((INT64_C(1) << 53) - 1)
/* Dotted keys of nested maps. */
#define KEY_BYTES_MAX (64 * KIB)

void
jaeger_begin(struct json_out *out)
{
    json_object(out);
    json_key(out, "data");
}

void
jaeger_end(struct json_out *out, uint64_t total,
    const struct jaeger_error *errors, unsigned nerrors)
{
    json_key(out, "total");
    json_u64(out, total);
    json_key(out, "limit");
    json_u64(out, 0);
    json_key(out, "offset");
    json_u64(out, 0);
    json_key(out, "errors");
    if (nerrors == 0) {
        json_null(out);
    } else {
        json_array(out);
        for (unsigned i = 0; i < nerrors; i++) {
            json_object(out);
            json_key(out, "code");
            json_i64(out, errors[i].code);
            json_key(out, "msg");
            json_string(out, errors[i].text);
            if (errors[i].trace_id.len != 0) {
                json_key(out, "traceID");
                json_string(out, errors[i].trace_id);
            }
            json_object_end(out);
        }
        json_array_end(out);
    }
    json_object_end(out);
}

struct sv
jaeger_trace_id(const struct trace_id *id, char dst[32])
{
    static const char digits[] = "0123456789abcdef";
    static const uint8_t zeros[8];

    for (unsigned i = 0; i < 16; i++) {
        dst[2 * i] = digits[id->b[i] >> 4];
        dst[2 * i + 1] = digits[id->b[i] & 15];
    }
    if (memcmp(id->b, zeros, 8) == 0)
        return sv_make(dst + 16, 16);
    return sv_make(dst, 32);
}

static void
write_trace_id(struct json_out *out, const struct trace_id *id)
{
    char hex[32];

    json_string(out, jaeger_trace_id(id, hex));
}

/* --- tags --- */

/* Most of an answer: what is the same in all of them is copied as it is. */
#define TYPE(name) SV(",\"type\":\"" name "\",\"value\":")

static void
tag_begin(struct json_out *out, struct sv key, struct sv type)
{
    json_raw_open(out, SV("{\"key\":"));
    json_string(out, key);
    json_raw_next(out, type);
}

static void
tag_end(struct json_out *out)
{
    json_raw_close(out, SV("}"));
}

static void
tag_text(struct json_out *out, const char *key, struct sv text)
{
    tag_begin(out, sv_from(key), TYPE("string"));
    json_string(out, text);
    tag_end(out);
}

static void
tag_int(struct json_out *out, struct sv key, int64_t v)
{
    char digits[24];

    tag_begin(out, key, TYPE("int64"));
    if (v > JSON_EXACT_INT_MAX || v < -JSON_EXACT_INT_MAX)
        json_string(out, sv_make(digits, num_print_i64(digits, v)));
    else
        json_i64(out, v);
    tag_end(out);
}

static void
tag_array(struct json_out *out, struct sv key, const struct value *value)
{
    struct sb text;

    sb_init(&text, SPAN_BYTES_MAX * 8);
    value_text(&text, value);
    tag_begin(out, key, TYPE("string"));
    json_string(out, sb_sv(&text));
    tag_end(out);
    sb_release(&text);
}

static void
tag_scalar(struct json_out *out, struct sv key, const struct value *value)
{
    switch (value->type) {
    case VALUE_STRING:
        tag_begin(out, key, TYPE("string"));
        json_string(out, value->str.len != 0 ? value->str : SV("-"));
        tag_end(out);
        break;
    case VALUE_BOOL:
        tag_begin(out, key, TYPE("bool"));
        json_bool(out, value->b);
        tag_end(out);
        break;
    case VALUE_INT:
        tag_int(out, key, value->i);
        break;
    case VALUE_DOUBLE:
        tag_begin(out, key, TYPE("float64"));
        json_double(out, value->d);
        tag_end(out);
        break;
    case VALUE_BYTES:
        tag_begin(out, key, TYPE("binary"));
        json_base64(out, (const uint8_t *)value->str.ptr, value->str.len);
        tag_end(out);
        break;
    case VALUE_ARRAY:
        tag_array(out, key, value);
        break;
    default:
        break; /* no value, no tag */
    }
}

/*
 * A map becomes one tag per leaf, keys joined by dots.  The stack is ours:
 * depth is a peer's choice (VALUE_DEPTH_MAX).
 */
static void
tag_map(struct json_out *out, struct sb *key, const struct value *value)
{
    struct value_iter iters[VALUE_DEPTH_MAX];
    size_t lens[VALUE_DEPTH_MAX];
    unsigned depth = 0;

    value_iter_init(&iters[0], value);
    lens[0] = key->len;
    for (;;) {
        struct value item;
        struct sv name;

        if (!value_iter_next(&iters[depth], &name, &item)) {
            if (depth-- == 0)
                return;
            continue;
        }
        key->len = lens[depth];
        sb_add_char(key, '.');
        sb_add_sv(key, name);
        if (item.type != VALUE_KVLIST) {
            tag_scalar(out, sb_sv(key), &item);
        } else if (depth + 1 < VALUE_DEPTH_MAX) {
            depth++;
            value_iter_init(&iters[depth], &item);
            lens[depth] = key->len;
        }
    }
}

static void
tag_attr(struct json_out *out, const char *prefix, const struct attr *attr)
{
    struct sb key;

    if (prefix[0] == '\0' && attr->value.type != VALUE_KVLIST) {
        tag_scalar(out, attr->key, &attr->value);
        return;
    }
    sb_init(&key, KEY_BYTES_MAX);
    sb_add_str(&key, prefix);
    sb_add_sv(&key, attr->key);
    if (attr->value.type == VALUE_KVLIST)
        tag_map(out, &key, &attr->value);
    else
        tag_scalar(out, sb_sv(&key), &attr->value);
    sb_release(&key);
}

static void
tag_attrs(struct json_out *out, const char *prefix, struct attrs attrs)
{
    for (uint32_t i = 0; i < attrs.n; i++)
        tag_attr(out, prefix, &attrs.v[i]);
}

/* Fields that the request gave to all its spans (scope.extra_fields). */
static void
tag_extra_fields(struct json_out *out, const struct scope *scope)
{
    struct sv rest = scope->extra_fields, name, value;

    while (text_list_next(&rest, &name) && text_list_next(&rest, &value)) {
        tag_begin(out, name, TYPE("string"));
        json_string(out, value);
        tag_end(out);
    }
}

static void
span_tags(struct json_out *out, const struct span *span,
    const struct scope *scope)
{
    json_array(out);
    if (scope->name.len != 0)
        tag_text(out, "otel.scope.name", scope->name);
    if (scope->version.len != 0)
        tag_text(out, "otel.scope.version", scope->version);
    tag_attrs(out, "scope_attr:", scope->attrs);
    tag_attrs(out, "", span->attrs);
    tag_extra_fields(out, scope);
    /* VictoriaTraces shows an unspecified kind as an empty text. */
    tag_text(out, "span.kind", span->kind >= 1 && span->kind <= 5
        ? sv_from(span_kind_name(span->kind)) : SV_EMPTY);
    if (span->status_code == 1)
        tag_text(out, "otel.status_code", SV("OK"));
    if (span->status_code == 2) {
        tag_text(out, "otel.status_code", SV("ERROR"));
        tag_begin(out, SV("error"), TYPE("bool"));
        json_bool(out, true);
        tag_end(out);
    }
    if (span->status_message.len != 0)
        tag_text(out, "otel.status_description", span->status_message);
    if (span->trace_state.len != 0)
        tag_text(out, "w3c.tracestate", span->trace_state);
    json_array_end(out);
}

/* --- references and logs --- */

static bool
link_is_child_of(const struct span_link *link)
{
    for (uint32_t i = 0; i < link->attrs.n; i++) {
        const struct attr *attr = &link->attrs.v[i];

        if (sv_eq(attr->key, SV("opentracing.ref_type")) &&
            attr->value.type == VALUE_STRING)
            return sv_eq(attr->value.str, SV("child_of"));
    }
    return false;
}

static void
reference(struct json_out *out, const char *type,
    const struct trace_id *trace_id, const struct span_id *span_id)
{
    json_raw_open(out, SV("{\"refType\":"));
    json_string(out, sv_from(type));
    json_raw_next(out, SV(",\"traceID\":"));
    write_trace_id(out, trace_id);
    json_raw_next(out, SV(",\"spanID\":"));
    json_hex(out, span_id->b, sizeof(span_id->b));
    json_raw_close(out, SV("}"));
}

static bool
link_is_parent(const struct span_link *link, const struct span *span)
{
    return memcmp(&link->trace_id, &span->trace_id, 16) == 0 &&
        memcmp(&link->span_id, &span->parent_id, 8) == 0;
}

static void
span_references(struct json_out *out, const struct span *span)
{
    bool has_parent = !span_id_is_zero(&span->parent_id);
    const char *type = "CHILD_OF";

    json_array(out);
    if (has_parent) {
        /* A link to the parent only says of which kind it is. */
        for (uint32_t i = 0; i < span->nlinks; i++) {
            if (link_is_parent(&span->links[i], span))
                type = link_is_child_of(&span->links[i]) ? "CHILD_OF"
                    : "FOLLOWS_FROM";
        }
        reference(out, type, &span->trace_id, &span->parent_id);
    }
    for (uint32_t i = 0; i < span->nlinks; i++) {
        const struct span_link *link = &span->links[i];

        if (trace_id_is_zero(&link->trace_id) ||
            (has_parent && link_is_parent(link, span)))
            continue;
        reference(out, link_is_child_of(link) ? "CHILD_OF" : "FOLLOWS_FROM",
            &link->trace_id, &link->span_id);
    }
    json_array_end(out);
}

static void
span_logs(struct json_out *out, const struct span *span)
{
    json_array(out);
    for (uint32_t i = 0; i < span->nevents; i++) {
        const struct span_event *event = &span->events[i];

        json_object(out);
        json_key(out, "timestamp");
        json_u64(out, event->time_ns / 1000);
        json_key(out, "fields");
        json_array(out);
        if (event->name.len != 0)
            tag_text(out, "event", event->name);
        tag_attrs(out, "", event->attrs);
        json_array_end(out);
        json_object_end(out);
    }
    json_array_end(out);
}

/* --- processes --- */

static bool
resource_equal(const struct resource *a, const struct resource *b)
{
    if (a->attrs.n != b->attrs.n || !sv_eq(a->service, b->service))
        return false;
    for (uint32_t i = 0; i < a->attrs.n; i++) {
        if (!sv_eq(a->attrs.v[i].key, b->attrs.v[i].key) ||
            !value_equal(&a->attrs.v[i].value, &b->attrs.v[i].value))
            return false;
    }
    return true;
}

/*
 * Process number of each resource of the batch (identical ones share one),
 * in order of the first span that uses it.  Returns how many there are.
 */
static uint32_t
processes_number(const struct batch *batch, uint32_t *numbers,
    uint32_t *firsts)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->nresources; i++)
        numbers[i] = UINT32_MAX;
    for (uint32_t i = 0; i < batch->nspans; i++) {
        uint32_t resource = batch->spans[i].resource, k;

        if (numbers[resource] != UINT32_MAX)
            continue;
        for (k = 0; k < n && !resource_equal(
            &batch->resources[firsts[k]], &batch->resources[resource]); k++)
            ;
        if (k == n)
            firsts[n++] = resource;
        numbers[resource] = k;
    }
    return n;
}

static void
process(struct json_out *out, uint32_t number,
    const struct resource *resource)
{
    char key[16];

    snprintf(key, sizeof(key), "p%u", number + 1);
    json_key(out, key);
    json_object(out);
    json_key(out, "serviceName");
    json_string(out, resource->service);
    json_key(out, "tags");
    json_array(out);
    for (uint32_t i = 0; i < resource->attrs.n; i++) {
        if (!sv_eq(resource->attrs.v[i].key, SV("service.name")))
            tag_attr(out, "", &resource->attrs.v[i]);
    }
    json_array_end(out);
    json_object_end(out);
}

/* --- a trace --- */

static void
span(struct json_out *out, const struct batch *batch, const struct span *s,
    uint32_t process_number)
{
    char key[16];

    snprintf(key, sizeof(key), "p%u", process_number + 1);
    json_raw_open(out, SV("{\"traceID\":"));
    write_trace_id(out, &s->trace_id);
    json_raw_next(out, SV(",\"spanID\":"));
    json_hex(out, s->span_id.b, sizeof(s->span_id.b));
    json_raw_next(out, SV(",\"flags\":"));
    json_u64(out, s->flags & 0xff);
    json_raw_next(out, SV(",\"operationName\":"));
    json_string(out, s->name);
    json_raw_next(out, SV(",\"references\":"));
    span_references(out, s);
    json_raw_next(out, SV(",\"startTime\":"));
    json_i64(out, s->start_ns / 1000);
    json_raw_next(out, SV(",\"duration\":"));
    json_i64(out, (s->end_ns - s->start_ns) / 1000);
    json_raw_next(out, SV(",\"tags\":"));
    span_tags(out, s, &batch->scopes[s->scope]);
    json_raw_next(out, SV(",\"logs\":"));
    span_logs(out, s);
    json_raw_next(out, SV(",\"processID\":"));
    json_string(out, sv_from(key));
    json_raw_close(out, SV(",\"warnings\":null}"));
}

static void
warnings(struct json_out *out, const char *warning)
{
    json_key(out, "warnings");
    if (warning == NULL) {
        json_null(out);
        return;
    }
    json_array(out);
    json_string(out, sv_from(warning));
    json_array_end(out);
}

void
jaeger_trace(struct json_out *out, const struct batch *batch,
    const char *warning)
{
    uint32_t *numbers = xcalloc(2 * (size_t)MAX(batch->nresources, 1u),
        sizeof(*numbers));
    uint32_t *firsts = numbers + MAX(batch->nresources, 1u);
    uint32_t n = processes_number(batch, numbers, firsts);

    json_object(out);
    json_key(out, "traceID");
    write_trace_id(out, &batch->spans[0].trace_id);
    json_key(out, "spans");
    json_array(out);
    for (uint32_t i = 0; i < batch->nspans; i++)
        span(out, batch, &batch->spans[i],
            numbers[batch->spans[i].resource]);
    json_array_end(out);
    json_key(out, "processes");
    json_object(out);
    for (uint32_t i = 0; i < n; i++)
        process(out, i, &batch->resources[firsts[i]]);
    json_object_end(out);
    warnings(out, warning);
    json_object_end(out);
    xfree(numbers);
}
