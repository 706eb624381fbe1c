/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The span model: what a decoder produces, the store keeps and every view
 * (LogsQL fields, Jaeger tags, Tempo attributes) is computed from.  Types
 * survive; nothing is flattened here.
 *
 * A batch owns nothing but its pool: all views point into that pool or into
 * the decoded request body, which must live as long as the batch.
 */

#ifndef SPOOR_SPAN_SPAN_H
#define SPOOR_SPAN_SPAN_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/sv.h"

struct trace_id { uint8_t b[16]; };
struct span_id { uint8_t b[8]; };

struct tenant {
    uint32_t account;
    uint32_t project;
};

enum value_type {
    VALUE_EMPTY = 0,
    VALUE_STRING,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_BYTES,
    VALUE_ARRAY,  /* str = the payload of a protobuf ArrayValue */
    VALUE_KVLIST, /* str = the payload of a protobuf KeyValueList */
    VALUE_TYPES,
};

/* AnyValue inside AnyValue: deeper is refused (400). */
#define VALUE_DEPTH_MAX 64

/*
 * ARRAY and KVLIST hold protobuf bytes that were validated when they were
 * decoded (well-formed, depth bounded); span/value.h walks them.
 */
struct value {
    union {
        struct sv str;
        int64_t i;
        double d;
        bool b;
    };
    uint8_t type; /* enum value_type */
};

struct attr {
    struct sv key;
    struct value value;
};

struct attrs {
    const struct attr *v;
    uint32_t n;
};

struct resource {
    struct attrs attrs;
    /* Text of service.name when it is a string ("-": an empty one), else
     * empty. */
    struct sv service;
    struct sv schema_url;
    uint32_t dropped_attrs;
};

struct scope {
    struct sv name;
    struct sv version;
    struct attrs attrs;
    struct sv schema_url;
    uint32_t dropped_attrs;
    /*
     * What the request said about all its spans, as text lists (below); most
     * requests say nothing, then both are empty.  They are of the scope since
     * the scope is part of the engine's stream: spans of one scope entry
     * agree in them.
     *
     * stream_fields: flat field names, ascending, that are stream labels
     * beside resource_attr:service.name and name.  Their values are those
     * that the span's fields have.
     *
     * extra_fields: name, value, name, value ...; names ascending.  Fields of
     * exactly that name (no attribute, no prefix) that every span has.
     */
    struct sv stream_fields;
    struct sv extra_fields;
};

struct span_event {
    uint64_t time_ns;
    struct sv name;
    struct attrs attrs;
    uint32_t dropped_attrs;
};

struct span_link {
    struct trace_id trace_id; /* zeros when absent or of a wrong length */
    struct span_id span_id;
    struct sv trace_state;
    struct attrs attrs;
    uint32_t dropped_attrs;
    uint32_t flags;
};

/* Why a span was not stored; also the bits of struct batch.reject_mask. */
enum reject {
    REJECT_NONE = 0,
    REJECT_TRACE_ID,      /* not 16 bytes, or zero */
    REJECT_SPAN_ID,       /* not 8 bytes, or zero */
    REJECT_PARENT_ID,     /* neither absent nor 8 bytes */
    REJECT_TOO_OLD,       /* ends before the retention window */
    REJECT_TOO_NEW,       /* ends after now + future retention */
    REJECT_TIME,          /* start or end does not fit int64 */
    REJECT_MANY_FIELDS,
    REJECT_LONG_NAME,
    REJECT_LARGE,         /* the span is over SPAN_BYTES_MAX */
    REJECT_DETACHED,      /* the day of its end is detached */
    REJECT_KINDS,
};

struct span {
    struct trace_id trace_id;
    struct span_id span_id;
    struct span_id parent_id; /* zeros: no parent */
    int64_t start_ns;
    int64_t end_ns;
    struct sv name;
    struct attrs attrs;
    const struct span_event *events;
    const struct span_link *links;
    uint32_t nevents;
    uint32_t nlinks;
    struct sv trace_state;
    struct sv status_message;
    uint32_t flags;
    uint32_t dropped_attrs;
    uint32_t dropped_events;
    uint32_t dropped_links;
    uint32_t resource; /* index into batch.resources */
    uint32_t scope;    /* index into batch.scopes */
    uint32_t bytes;    /* encoded size, roughly; for limits and metrics */
    int32_t kind;      /* 0..5; other values are kept as sent */
    int32_t status_code;
    uint8_t reject;    /* enum reject; spans of a read are all REJECT_NONE */
};

struct batch {
    struct pool *pool;
    struct span *spans;
    struct resource *resources;
    struct scope *scopes;
    uint32_t nspans;
    uint32_t nresources;
    uint32_t nscopes;
    uint32_t cap_spans;     /* private to span/batch.c */
    uint32_t cap_resources;
    uint32_t cap_scopes;
    uint32_t rejected;      /* spans whose reject is not REJECT_NONE */
    uint32_t reject_mask;   /* 1 << enum reject */
};

/* One request may not carry more (the rest of the body is refused, 413). */
#define BATCH_SPANS_MAX 1000000u

/*
 * What the pool of a batch may hold for a body of so many (inflated) bytes.
 * Real requests need up to four times their size (an attribute of 9 bytes is
 * 40 in memory); only hostile ones, such as millions of empty spans, need
 * more than six times and are refused.
 */
#define BATCH_POOL_BYTES(body_len) (6 * (size_t)(body_len) + 4 * MIB)

void batch_init(struct batch *batch, struct pool *pool);

/*
 * Each returns a zeroed new element and its index in *index (may be NULL), or
 * NULL when the pool's or the batch's maximum is reached.  Pointers returned
 * earlier become stale.
 */
struct span *batch_add_span(struct batch *batch, uint32_t *index);
struct resource *batch_add_resource(struct batch *batch, uint32_t *index);
struct scope *batch_add_scope(struct batch *batch, uint32_t *index);

/*
 * Room for so many elements, so that adding them does not copy.  False when
 * that is beyond a maximum; the batch is then unchanged as far as its content
 * goes.
 */
bool batch_reserve(struct batch *batch, uint32_t spans, uint32_t resources,
    uint32_t scopes) WARN_UNUSED;

/* Sets resource->service from its attributes. */
void resource_find_service(struct resource *resource);

/* Marks a span as rejected (the first reason stays) and counts it. */
void batch_reject(struct batch *batch, uint32_t span, enum reject why);

/* "trace_id is not 16 bytes or all zero": a static string. */
const char *reject_text(enum reject why);
/* "too_small_timestamp": the label of vt_rows_dropped_total. */
const char *reject_label(enum reject why);

struct span_limits {
    int64_t oldest_ns;   /* end before this: REJECT_TOO_OLD */
    int64_t newest_ns;
    uint32_t fields_max; /* -insert.maxFieldsPerLine */
};

#define SPAN_FIELD_NAME_MAX 128
#define SPAN_BYTES_MAX (2 * MIB)

/* Applies the limits to every span that is not rejected yet. */
void batch_apply_limits(struct batch *batch, const struct span_limits *limits);

/* Same content in every field, attribute order included (indices resolved). */
bool span_equal(const struct batch *a, const struct span *x,
    const struct batch *b, const struct span *y);
/* 128 bits over everything span_equal() compares. */
void span_hash(const struct batch *batch, const struct span *span,
    uint8_t hash[16]);

/*
 * Text lists: each text behind its length as a varint.  Takes the first text
 * off *list; false at the end or where the list is malformed.
 */
bool text_list_next(struct sv *list, struct sv *text);
/* Room of a text in a list, and the text put there. */
size_t text_list_size(struct sv text);
void text_list_put(struct sb *list, struct sv text);

bool trace_id_is_zero(const struct trace_id *id);
bool span_id_is_zero(const struct span_id *id);

/* enum <-> "server"; unknown kinds print as "unspecified". */
const char *span_kind_name(int32_t kind);

#endif
