/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The flat view of a span: the string fields of LogsQL.  This is the one
 * definition of their names and texts (design 15.6 L1); the columns of blocks
 * (storage/block.h) show the same, only faster.
 */

#ifndef SPOOR_SPAN_FLAT_H
#define SPOOR_SPAN_FLAT_H

#include "core/base.h"
#include "core/pool.h"
#include "core/sb.h"
#include "span/params.h"
#include "span/span.h"
#include "span/value.h"

struct flat_field {
    struct sv name;
    struct sv text;
};

struct flat {
    struct flat_field *fields; /* no name twice, no empty text */
    uint32_t n;
};

/*
 * All fields of a span, without _stream and _stream_id.  False: no memory.
 * Names and texts are in the pool or views into the batch.
 *
 *   _time, _msg ("-"), trace_id, span_id, parent_span_id, trace_state, flags,
 *   name, kind, start_time_unix_nano, end_time_unix_nano, duration,
 *   dropped_attributes_count, dropped_events_count, dropped_links_count,
 *   status_message, status_code, scope_name, scope_version
 *   resource_attr:K, scope_attr:K, span_attr:K
 *   event:I:event_time_unix_nano, event:I:event_name,
 *   event:I:event_dropped_attributes_count, event:I:event_attr:K
 *   link:I:link_trace_id, ...
 *   and the extra fields that the request gave its spans, under their names
 *
 * Attributes: an empty string is "-"; a kvlist is flattened into "K.child";
 * of equal names the last wins; an attribute without a value or with an
 * empty key has no field.
 */
bool flat_span(struct flat *out, const struct batch *batch,
    const struct span *span, struct pool *pool) WARN_UNUSED;

/*
 * The fields that one attribute makes, in order: fn gets the key (without
 * "span_attr:"; a view that is good during the call, or the attribute's own)
 * and a value that is no kvlist.  False: fn returned false, or no memory.
 */
typedef bool (*flat_attr_fn)(void *arg, struct sv key,
    const struct value *value);
bool flat_visit(const struct attr *attr, flat_attr_fn fn, void *arg)
    WARN_UNUSED;

/*
 * The text that the attribute gives to the field `key` (without "span_attr:"),
 * as flat_text(); *text stays as it is when it gives none.  False: no memory.
 */
bool flat_find(const struct attr *attr, struct sv key, struct pool *pool,
    struct sv *text) WARN_UNUSED;

/*
 * The text of an attribute's value: never empty.  In the pool, or a view into
 * the value's own string.  False: no memory.
 */
bool flat_text(const struct value *value, struct pool *pool, struct sv *text)
    WARN_UNUSED;

/*
 * Times as _time shows them: RFC3339 with up to nine fraction digits and no
 * trailing zeros.  Returns the length.
 */
#define FLAT_TIME_MAX 40
size_t flat_time(char *dst, int64_t ns);

/*
 * What a part of an event or link is called: "event:3:event_name" is item 3,
 * part "event_name"; false for other names.
 */
struct flat_item {
    uint32_t index;
    bool is_link;
    struct sv part;
};
bool flat_item_parse(struct sv name, struct flat_item *out);

/*
 * The name a query may use, as it is stored: "event:event_name:0" becomes
 * "event:0:event_name", "" becomes "_msg".  In the pool when it changes.
 */
struct sv flat_name(struct sv name, struct pool *pool);

/*
 * The labels of a span's stream: name, resource_attr:service.name and the
 * scope's stream_fields, each with the text of the span's field of that
 * name.  flat_label_names() puts their names, which ascend, into `names`
 * (FLAT_LABELS_MAX of them) and returns how many; _stream and _stream_id,
 * which are made of labels, and what is out of order are left out.
 */
#define FLAT_LABELS_MAX (PARAMS_NAMES_MAX + 2)
#define FLAT_LABEL_NAME SV("name")
#define FLAT_LABEL_SERVICE SV("resource_attr:service.name")
uint32_t flat_label_names(struct sv stream_fields, struct sv *names);

struct flat_label {
    struct sv name;
    struct sv text; /* empty: the span has no such label */
};

/* {name="GET /",resource_attr:service.name="cart"} of n ascending labels. */
void flat_labels(struct sb *out, const struct flat_label *labels, uint32_t n);
/* Of a span whose scope declares none. */
void flat_stream(struct sb *out, struct sv service, struct sv name);

/* _stream_id: 48 lower-case hex digits, reference victoriatraces.md 5.6. */
#define FLAT_STREAM_ID_LEN 48
void flat_labels_id(char dst[FLAT_STREAM_ID_LEN],
    const struct tenant *tenant, const struct flat_label *labels, uint32_t n);
void flat_stream_id(char dst[FLAT_STREAM_ID_LEN],
    const struct tenant *tenant, struct sv service, struct sv name);

#endif
