/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The protobuf decoder against protobuf-c: for any bytes both accept or both
 * refuse, and what they read is equal.  Included by t/unit/otlp_pb_diff.c (over
 * the corpus) and fuzz/otlp_diff.c.
 *
 * Left out are inputs where the two differ on purpose (enum wire_note): they
 * are decoded, but not compared.  protobuf-c's strings end at a NUL, so text
 * is compared up to there.
 */

#ifndef SPOOR_UNIT_OTLP_DIFF_H
#define SPOOR_UNIT_OTLP_DIFF_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "otlp/otlp_pb.h"
#include "span/span.h"
#include "span/value.h"
#include "span/wire.h"
#include "trace_service.pb-c.h"

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest
    PbRequest;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans PbResourceSpans;
typedef Opentelemetry__Proto__Trace__V1__ScopeSpans PbScopeSpans;
typedef Opentelemetry__Proto__Trace__V1__Span PbSpan;
typedef Opentelemetry__Proto__Trace__V1__Span__Event PbEvent;
typedef Opentelemetry__Proto__Trace__V1__Span__Link PbLink;
typedef Opentelemetry__Proto__Common__V1__KeyValue PbAttr;
typedef Opentelemetry__Proto__Common__V1__AnyValue PbValue;

enum diff_result {
    DIFF_SAME,     /* compared and equal, or both refused */
    DIFF_SKIPPED,  /* a deliberate difference: not compared */
    DIFF_DIFFERENT,
};

static bool
diff_text(const char *pb, struct sv ours)
{
    size_t len = ours.len == 0 ? 0 : strnlen(ours.ptr, ours.len);

    return strlen(pb) == len && (len == 0 || memcmp(pb, ours.ptr, len) == 0);
}

static bool
diff_bytes(ProtobufCBinaryData pb, struct sv ours)
{
    return sv_eq(sv_make(pb.data, pb.len), ours);
}

static bool diff_attr(const PbAttr *pb, const struct attr *ours);

static bool
diff_value(const PbValue *pb, const struct value *ours)
{
    struct value_iter iter;
    struct attr item;
    uint64_t bits;

    switch (pb->value_case) {
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE:
        return ours->type == VALUE_STRING &&
            diff_text(pb->string_value, ours->str);
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE:
        return ours->type == VALUE_BOOL && ours->b == (pb->bool_value != 0);
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE:
        return ours->type == VALUE_INT && ours->i == pb->int_value;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE:
        memcpy(&bits, &pb->double_value, sizeof(bits));
        return ours->type == VALUE_DOUBLE && (uint64_t)ours->i == bits;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BYTES_VALUE:
        return ours->type == VALUE_BYTES &&
            diff_bytes(pb->bytes_value, ours->str);
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_ARRAY_VALUE:
        if (ours->type != VALUE_ARRAY)
            return false;
        value_iter_init(&iter, ours);
        for (size_t i = 0; i < pb->array_value->n_values; i++) {
            if (!value_iter_next(&iter, &item.key, &item.value) ||
                !diff_value(pb->array_value->values[i], &item.value))
                return false;
        }
        return !value_iter_next(&iter, &item.key, &item.value);
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_KVLIST_VALUE:
        if (ours->type != VALUE_KVLIST)
            return false;
        value_iter_init(&iter, ours);
        for (size_t i = 0; i < pb->kvlist_value->n_values; i++) {
            if (!value_iter_next(&iter, &item.key, &item.value) ||
                !diff_attr(pb->kvlist_value->values[i], &item))
                return false;
        }
        return !value_iter_next(&iter, &item.key, &item.value);
    default:
        return ours->type == VALUE_EMPTY;
    }
}

static bool
diff_attr(const PbAttr *pb, const struct attr *ours)
{
    if (!diff_text(pb->key, ours->key))
        return false;
    if (pb->value == NULL)
        return ours->value.type == VALUE_EMPTY;
    return diff_value(pb->value, &ours->value);
}

static bool
diff_attrs(PbAttr *const *pb, size_t n, const struct attrs *ours)
{
    if (n != ours->n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!diff_attr(pb[i], &ours->v[i]))
            return false;
    }
    return true;
}

static bool
diff_event(const PbEvent *pb, const struct span_event *ours)
{
    return pb->time_unix_nano == ours->time_ns &&
        diff_text(pb->name, ours->name) &&
        pb->dropped_attributes_count == ours->dropped_attrs &&
        diff_attrs(pb->attributes, pb->n_attributes, &ours->attrs);
}

/* An id that has not the right length is kept as zeros. */
static bool
diff_id(ProtobufCBinaryData pb, const uint8_t *ours, size_t len)
{
    static const uint8_t zeros[16];

    return memcmp(pb.len == len ? pb.data : zeros, ours, len) == 0;
}

static bool
diff_link(const PbLink *pb, const struct span_link *ours)
{
    return diff_id(pb->trace_id, ours->trace_id.b, 16) &&
        diff_id(pb->span_id, ours->span_id.b, 8) &&
        diff_text(pb->trace_state, ours->trace_state) &&
        pb->flags == ours->flags &&
        pb->dropped_attributes_count == ours->dropped_attrs &&
        diff_attrs(pb->attributes, pb->n_attributes, &ours->attrs);
}

static bool
diff_lists(const PbSpan *pb, const struct span *ours)
{
    if (pb->n_events != ours->nevents || pb->n_links != ours->nlinks)
        return false;
    for (size_t i = 0; i < pb->n_events; i++) {
        if (!diff_event(pb->events[i], &ours->events[i]))
            return false;
    }
    for (size_t i = 0; i < pb->n_links; i++) {
        if (!diff_link(pb->links[i], &ours->links[i]))
            return false;
    }
    return true;
}

static bool
diff_is_zero(ProtobufCBinaryData id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (id.data[i] != 0)
            return false;
    }
    return true;
}

static enum reject
diff_reject(const PbSpan *pb)
{
    if (pb->trace_id.len != 16 || diff_is_zero(pb->trace_id))
        return REJECT_TRACE_ID;
    if (pb->span_id.len != 8 || diff_is_zero(pb->span_id))
        return REJECT_SPAN_ID;
    if (pb->parent_span_id.len != 0 && pb->parent_span_id.len != 8)
        return REJECT_PARENT_ID;
    if (pb->start_time_unix_nano > INT64_MAX ||
        pb->end_time_unix_nano > INT64_MAX)
        return REJECT_TIME;
    return REJECT_NONE;
}

static bool
diff_span(const PbSpan *pb, const struct span *ours)
{
    uint64_t start = pb->start_time_unix_nano;
    uint64_t end = pb->end_time_unix_nano;
    int32_t code = pb->status == NULL ? 0 : (int32_t)pb->status->code;
    const char *message = pb->status == NULL ? "" : pb->status->message;

    return diff_id(pb->trace_id, ours->trace_id.b, 16) &&
        diff_id(pb->span_id, ours->span_id.b, 8) &&
        diff_id(pb->parent_span_id, ours->parent_id.b, 8) &&
        ours->start_ns == (start > INT64_MAX ? 0 : (int64_t)start) &&
        ours->end_ns == (end > INT64_MAX ? 0 : (int64_t)end) &&
        diff_text(pb->name, ours->name) &&
        diff_text(pb->trace_state, ours->trace_state) &&
        (int32_t)pb->kind == ours->kind && pb->flags == ours->flags &&
        pb->dropped_attributes_count == ours->dropped_attrs &&
        pb->dropped_events_count == ours->dropped_events &&
        pb->dropped_links_count == ours->dropped_links &&
        code == ours->status_code &&
        diff_text(message, ours->status_message) &&
        ours->reject == diff_reject(pb) &&
        diff_attrs(pb->attributes, pb->n_attributes, &ours->attrs) &&
        diff_lists(pb, ours);
}

static bool
diff_heads(const PbResourceSpans *rs, const PbScopeSpans *ss,
    const struct resource *resource, const struct scope *scope)
{
    static const struct attrs none = {NULL, 0};

    if (!diff_text(rs->schema_url, resource->schema_url) ||
        !diff_text(ss->schema_url, scope->schema_url))
        return false;
    if (rs->resource == NULL) {
        if (resource->attrs.n != 0 || resource->dropped_attrs != 0)
            return false;
    } else if (!diff_attrs(rs->resource->attributes,
                   rs->resource->n_attributes, &resource->attrs) ||
        rs->resource->dropped_attributes_count != resource->dropped_attrs) {
        return false;
    }
    if (ss->scope == NULL)
        return scope->name.len == 0 && scope->version.len == 0 &&
            diff_attrs(NULL, 0, &scope->attrs) && none.n == 0;
    return diff_text(ss->scope->name, scope->name) &&
        diff_text(ss->scope->version, scope->version) &&
        ss->scope->dropped_attributes_count == scope->dropped_attrs &&
        diff_attrs(ss->scope->attributes, ss->scope->n_attributes,
            &scope->attrs);
}

static bool
diff_request(const PbRequest *pb, const struct batch *batch)
{
    uint32_t n = 0;

    for (size_t i = 0; i < pb->n_resource_spans; i++) {
        const PbResourceSpans *rs = pb->resource_spans[i];

        for (size_t j = 0; j < rs->n_scope_spans; j++) {
            const PbScopeSpans *ss = rs->scope_spans[j];

            for (size_t k = 0; k < ss->n_spans; k++) {
                if (n == batch->nspans)
                    return false;
                const struct span *span = &batch->spans[n++];
                /* Too many fields: what was read is not kept. */
                if (span->reject == REJECT_MANY_FIELDS)
                    continue;
                if (!diff_span(ss->spans[k], span) ||
                    !diff_heads(rs, ss, &batch->resources[span->resource],
                        &batch->scopes[span->scope]))
                    return false;
            }
        }
    }
    return n == batch->nspans;
}

static enum diff_result
otlp_diff(const uint8_t *data, size_t size)
{
    /* protobuf-c is given no more than what it can hold. */
    struct pool *pool = pool_new(256 * MIB);
    enum diff_result result = DIFF_SAME;
    struct err err = ERR_INIT;
    struct batch batch;
    unsigned notes;

    batch_init(&batch, pool);
    bool is_good = otlp_decode_protobuf_notes(sv_make(data, size), &batch,
        &notes, &err) == 0;
    if (notes != 0) {
        pool_free(pool);
        return DIFF_SKIPPED;
    }
    PbRequest *pb =
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
            NULL, size, data);
    if ((pb != NULL) != is_good || (pb != NULL && !diff_request(pb, &batch)))
        result = DIFF_DIFFERENT;
    if (pb != NULL)
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(
            pb, NULL);
    pool_free(pool);
    return result;
}

#endif
