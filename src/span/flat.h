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
#include "span/span.h"

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
 *
 *   _time, _msg ("-"), trace_id, span_id, parent_span_id, trace_state, flags,
 *   name, kind, start_time_unix_nano, end_time_unix_nano, duration,
 *   dropped_attributes_count, dropped_events_count, dropped_links_count,
 *   status_message, status_code, scope_name, scope_version
 *   resource_attr:K, scope_attr:K, span_attr:K
 *   event:I:event_time_unix_nano, event:I:event_name,
 *   event:I:event_dropped_attributes_count, event:I:event_attr:K
 *   link:I:link_trace_id, ...
 *
 * Attributes: an empty string is "-"; a kvlist is flattened into "K.child";
 * of equal names the last wins; an attribute without a value or with an
 * empty key has no field.
 */
bool flat_span(struct flat *out, const struct batch *batch,
    const struct span *span, struct pool *pool) WARN_UNUSED;

/*
 * The name a query may use, as it is stored: "event:event_name:0" becomes
 * "event:0:event_name", "" becomes "_msg".  In the pool when it changes.
 */
struct sv flat_name(struct sv name, struct pool *pool);

/* {name="GET /",resource_attr:service.name="cart"} of a span. */
void flat_stream(struct sb *out, struct sv service, struct sv name);

/* _stream_id: 48 lower-case hex digits, reference victoriatraces.md 5.6. */
#define FLAT_STREAM_ID_LEN 48
void flat_stream_id(char dst[FLAT_STREAM_ID_LEN],
    const struct tenant *tenant, struct sv service, struct sv name);

#endif
