/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/vt_line.h"

#include "cli/vt_row.h"
#include "core/json_in.h"
#include "core/num.h"
#include "core/enc.h"
#include "query/text.h"
#include "span/flat.h"
#include "span/params.h"

/* --- fields by their names --- */

bool
vt_bad(struct vt_row *row, const char *what, struct sv text)
{
    (void)err_set(row->err, ERR_INVALID, "%s: \"%.*s\"", what,
        (int)MIN(text.len, (size_t)80), text.ptr);
    return false;
}

bool
vt_no_memory(struct vt_row *row)
{
    (void)err_set(row->err, ERR_LIMIT, "the line needs too much memory");
    return false;
}

bool
vt_take_u32(struct vt_row *row, const char *name, struct sv text, uint32_t *out)
{
    uint64_t v;

    if (!num_parse_u64(text, &v) || v > UINT32_MAX)
        return vt_bad(row, name, text);
    *out = (uint32_t)v;
    return true;
}

static bool
take_i32(struct vt_row *row, const char *name, struct sv text, int32_t *out)
{
    int64_t v;

    if (!num_parse_i64(text, &v) || v < INT32_MIN || v > INT32_MAX)
        return vt_bad(row, name, text);
    *out = (int32_t)v;
    return true;
}

/* Fields that are texts; NULL: no such one. */
static struct sv *
text_field(struct vt_row *row, struct sv name)
{
    const struct {
        struct sv name;
        struct sv *to;
    } fields[] = {
        {SV("name"), &row->span.name},
        {SV("trace_id"), &row->trace_id},
        {SV("span_id"), &row->span_id},
        {SV("parent_span_id"), &row->parent_id},
        {SV("trace_state"), &row->span.trace_state},
        {SV("status_message"), &row->span.status_message},
        {SV("scope_name"), &row->scope_name},
        {SV("scope_version"), &row->scope_version},
        {SV("start_time_unix_nano"), &row->start},
        {SV("end_time_unix_nano"), &row->end},
        {SV("duration"), &row->duration},
        {SV("_time"), &row->time},
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (sv_eq(fields[i].name, name))
            return fields[i].to;
    }
    return NULL;
}

/* 1: it was a number of the span; 0: it is none; -1: a bad one. */
static int
take_number(struct vt_row *row, struct sv name, struct sv text)
{
    struct span *span = &row->span;

    if (sv_eq(name, SV("kind")))
        return take_i32(row, "kind", text, &span->kind) ? 1 : -1;
    if (sv_eq(name, SV("status_code")))
        return take_i32(row, "status_code", text, &span->status_code) ? 1
                                                                      : -1;
    if (sv_eq(name, SV("flags")))
        return vt_take_u32(row, "flags", text, &span->flags) ? 1 : -1;
    if (sv_eq(name, SV("dropped_attributes_count")))
        return vt_take_u32(row, "dropped_attributes_count", text,
            &span->dropped_attrs) ? 1 : -1;
    if (sv_eq(name, SV("dropped_events_count")))
        return vt_take_u32(row, "dropped_events_count", text,
            &span->dropped_events) ? 1 : -1;
    if (sv_eq(name, SV("dropped_links_count")))
        return vt_take_u32(row, "dropped_links_count", text,
            &span->dropped_links) ? 1 : -1;
    return 0;
}

/* A field of an event or link. */
static bool
take_part(struct vt_row *row, struct sv name, struct sv text)
{
    struct flat_item item;

    if (!flat_item_parse(flat_name(name, row->vt->pool), &item))
        return vt_bad(row, "no event or link has this field", name);
    if (item.index >= VT_ITEMS_MAX)
        return vt_bad(row, "too many events or links", name);
    row->fields->parts[row->nparts] = (struct part){item.index, row->nparts,
        item.is_link, item.part, text};
    row->nparts++;
    return true;
}

static bool
take_field(struct vt_row *row, struct sv name, struct sv text)
{
    struct sv *to = text_field(row, name);
    int number;

    if (to != NULL) {
        *to = text;
        return true;
    }
    if (sv_eq(name, SV("_stream")) || sv_eq(name, SV("_stream_id")) ||
        sv_eq(name, SV("_msg")) || text.len == 0)
        return true;
    if (sv_starts_with(name, PARAMS_EVENT) ||
        sv_starts_with(name, PARAMS_LINK))
        return take_part(row, name, text);
    number = take_number(row, name, text);
    if (number != 0)
        return number > 0;
    if (vt_cut_prefix(&name, PARAMS_SPAN))
        vt_add_attr(row->fields->attrs, &row->nattrs, name, text);
    else if (vt_cut_prefix(&name, PARAMS_RESOURCE))
        vt_add_attr(row->fields->resource, &row->nresource, name, text);
    else if (vt_cut_prefix(&name, PARAMS_SCOPE))
        vt_add_attr(row->fields->scope, &row->nscope, name, text);
    else
        vt_add_attr(row->fields->extra, &row->nextra, name, text);
    return true;
}

/* --- reading the line --- */

/* LogsQL's values are strings; plain numbers and booleans do no harm. */
static bool
read_text(struct json_in *in, struct sv *text)
{
    bool b;

    switch (json_peek(in)) {
    case JSON_NUMBER:
        return json_read_number(in, text);
    case JSON_TRUE:
    case JSON_FALSE:
        if (!json_read_bool(in, &b))
            return false;
        *text = b ? SV("true") : SV("false");
        return true;
    case JSON_NULL:
        *text = SV_EMPTY;
        return json_read_null(in);
    default:
        return json_read_string(in, text);
    }
}

bool
vt_row_read(struct vt_row *row, struct sv line)
{
    char *copy = pool_dup(row->vt->pool, line.ptr, line.len);
    struct json_in in;
    struct sv key, text;

    if (copy == NULL)
        return vt_no_memory(row);
    json_in_init(&in, sv_make(copy, line.len), row->vt->pool);
    if (json_enter_object(&in)) {
        while (json_next_key(&in, &key)) {
            if (row->nfields++ == VT_FIELDS_MAX)
                return vt_bad(row, "too many fields", key);
            if (!read_text(&in, &text))
                break;
            if (!take_field(row, key, text))
                return false;
        }
    }
    if (!json_in_failed(&in) && json_peek(&in) != JSON_END)
        (void)json_fail(&in, "something behind the object");
    if (json_in_failed(&in)) {
        *row->err = in.err;
        return false;
    }
    return true;
}

/* --- ids and times --- */

enum reject
vt_read_ids(struct vt_row *row)
{
    struct span *span = &row->span;

    if (!enc_unhex(row->trace_id, span->trace_id.b, 16) ||
        trace_id_is_zero(&span->trace_id))
        return REJECT_TRACE_ID;
    if (!enc_unhex(row->span_id, span->span_id.b, 8) ||
        span_id_is_zero(&span->span_id))
        return REJECT_SPAN_ID;
    if (row->parent_id.len > 0 &&
        !enc_unhex(row->parent_id, span->parent_id.b, 8))
        return REJECT_PARENT_ID;
    return REJECT_NONE;
}

static bool
read_time(struct vt_row *row, const char *name, struct sv text, int64_t *ns)
{
    return num_parse_i64(text, ns) || vt_bad(row, name, text);
}

/*
 * A server that keeps only what was on the wire has no field for a time of
 * zero, and no duration without both times.
 */
bool
vt_read_times(struct vt_row *row)
{
    struct span *span = &row->span;
    int64_t duration = 0;

    if (row->duration.len > 0 &&
        !read_time(row, "duration", row->duration, &duration))
        return false;
    if (row->start.len > 0 && !read_time(row, "start_time_unix_nano",
        row->start, &span->start_ns))
        return false;
    if (row->end.len > 0)
        return read_time(row, "end_time_unix_nano", row->end,
            &span->end_ns) && (row->start.len > 0 ||
            row->duration.len == 0 || !__builtin_sub_overflow(span->end_ns,
            duration, &span->start_ns) || vt_bad(row, "duration",
            row->duration));
    if (row->start.len > 0 && row->duration.len > 0)
        return !__builtin_add_overflow(span->start_ns, duration,
            &span->end_ns) || vt_bad(row, "duration", row->duration);
    return time_parse_value(row->time, &span->end_ns) ||
        vt_bad(row, "_time", row->time);
}
