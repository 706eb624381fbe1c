/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/vt_line.h"

#include "core/json_in.h"
#include "core/mem.h"
#include "core/num.h"
#include "query/text.h"
#include "span/flat.h"
#include "span/params.h"
#include "span/wire.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BATCH_SPANS 2000u
#define BATCH_BYTES (8 * MIB)
/* A line of 64 MiB may need some six times that (BATCH_POOL_BYTES). */
#define POOL_BYTES_MAX GIB

/* One attribute of an event or link, or a field of one. */
struct part {
    uint32_t index;
    uint32_t number; /* of the field in its line */
    bool is_link;
    struct sv name;  /* "event_name", "event_attr:key" */
    struct sv text;
};

/* Memory for the fields of one line. */
struct vt_fields {
    struct attr resource[VT_FIELDS_MAX];
    struct attr scope[VT_FIELDS_MAX];
    struct attr attrs[VT_FIELDS_MAX];
    struct attr extra[VT_FIELDS_MAX];
    struct part parts[VT_FIELDS_MAX];
};

/* A line's fields, sorted out. */
struct vt_row {
    struct vt_batch *vt;
    struct err *err;
    struct vt_fields *fields;
    uint32_t nresource, nscope, nattrs, nextra, nparts, nfields;
    uint32_t kept_names;
    struct sv scope_name, scope_version;
    struct sv trace_id, span_id, parent_id;
    struct sv start, end, duration, time;
    struct span span;
};

/* --- batches --- */

void
vt_batch_init(struct vt_batch *vt)
{
    memset(vt, 0, sizeof(*vt));
    vt->pool = pool_new(POOL_BYTES_MAX);
    pool_keep(vt->pool, 2 * BATCH_BYTES);
    vt->fields = xmalloc(sizeof(*vt->fields));
    sb_init(&vt->extra, PARAMS_BYTES_MAX);
    sb_init(&vt->next_extra, PARAMS_BYTES_MAX);
    batch_init(&vt->batch, vt->pool);
}

void
vt_batch_release(struct vt_batch *vt)
{
    pool_free(vt->pool);
    xfree(vt->fields);
    sb_release(&vt->extra);
    sb_release(&vt->next_extra);
}

void
vt_batch_reset(struct vt_batch *vt)
{
    pool_reset(vt->pool);
    batch_init(&vt->batch, vt->pool);
    memset(vt->resources, 0, sizeof(vt->resources));
    memset(vt->scopes, 0, sizeof(vt->scopes));
    sb_reset(&vt->extra);
}

bool
vt_batch_is_full(const struct vt_batch *vt)
{
    return vt->batch.nspans >= BATCH_SPANS ||
        pool_used(vt->pool) >= BATCH_BYTES;
}

/* --- fields by their names --- */

static bool
bad(struct vt_row *row, const char *what, struct sv text)
{
    (void)err_set(row->err, ERR_INVALID, "%s: \"%.*s\"", what,
        (int)MIN(text.len, (size_t)80), text.ptr);
    return false;
}

static bool
no_memory(struct vt_row *row)
{
    (void)err_set(row->err, ERR_LIMIT, "the line needs too much memory");
    return false;
}

static void
add_attr(struct attr *v, uint32_t *n, struct sv key, struct sv text)
{
    v[(*n)++] = (struct attr){key, {.str = text, .type = VALUE_STRING}};
}

static bool
take_u32(struct vt_row *row, const char *name, struct sv text, uint32_t *out)
{
    uint64_t v;

    if (!num_parse_u64(text, &v) || v > UINT32_MAX)
        return bad(row, name, text);
    *out = (uint32_t)v;
    return true;
}

static bool
take_i32(struct vt_row *row, const char *name, struct sv text, int32_t *out)
{
    int64_t v;

    if (!num_parse_i64(text, &v) || v < INT32_MIN || v > INT32_MAX)
        return bad(row, name, text);
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
        return take_u32(row, "flags", text, &span->flags) ? 1 : -1;
    if (sv_eq(name, SV("dropped_attributes_count")))
        return take_u32(row, "dropped_attributes_count", text,
            &span->dropped_attrs) ? 1 : -1;
    if (sv_eq(name, SV("dropped_events_count")))
        return take_u32(row, "dropped_events_count", text,
            &span->dropped_events) ? 1 : -1;
    if (sv_eq(name, SV("dropped_links_count")))
        return take_u32(row, "dropped_links_count", text,
            &span->dropped_links) ? 1 : -1;
    return 0;
}

static bool
cut_prefix(struct sv *name, struct sv prefix)
{
    if (!sv_starts_with(*name, prefix))
        return false;
    *name = sv_sub(*name, prefix.len, name->len);
    return true;
}

/* A field of an event or link. */
static bool
take_part(struct vt_row *row, struct sv name, struct sv text)
{
    struct flat_item item;

    if (!flat_item_parse(flat_name(name, row->vt->pool), &item))
        return bad(row, "no event or link has this field", name);
    if (item.index >= VT_ITEMS_MAX)
        return bad(row, "too many events or links", name);
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
    if (cut_prefix(&name, PARAMS_SPAN))
        add_attr(row->fields->attrs, &row->nattrs, name, text);
    else if (cut_prefix(&name, PARAMS_RESOURCE))
        add_attr(row->fields->resource, &row->nresource, name, text);
    else if (cut_prefix(&name, PARAMS_SCOPE))
        add_attr(row->fields->scope, &row->nscope, name, text);
    else
        add_attr(row->fields->extra, &row->nextra, name, text);
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

static bool
row_read(struct vt_row *row, struct sv line)
{
    char *copy = pool_dup(row->vt->pool, line.ptr, line.len);
    struct json_in in;
    struct sv key, text;

    if (copy == NULL)
        return no_memory(row);
    json_in_init(&in, sv_make(copy, line.len), row->vt->pool);
    if (json_enter_object(&in)) {
        while (json_next_key(&in, &key)) {
            if (row->nfields++ == VT_FIELDS_MAX)
                return bad(row, "too many fields", key);
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

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: not that many bytes of hex. */
static bool
read_hex(struct sv text, uint8_t *dst, size_t len)
{
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text.ptr[2 * i]);
        int low = hex_digit(text.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        dst[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Ids that OTLP does not allow: the span is marked, as a decoder does. */
static enum reject
read_ids(struct vt_row *row)
{
    struct span *span = &row->span;

    if (!read_hex(row->trace_id, span->trace_id.b, 16) ||
        trace_id_is_zero(&span->trace_id))
        return REJECT_TRACE_ID;
    if (!read_hex(row->span_id, span->span_id.b, 8) ||
        span_id_is_zero(&span->span_id))
        return REJECT_SPAN_ID;
    if (row->parent_id.len > 0 &&
        !read_hex(row->parent_id, span->parent_id.b, 8))
        return REJECT_PARENT_ID;
    return REJECT_NONE;
}

static bool
read_time(struct vt_row *row, const char *name, struct sv text, int64_t *ns)
{
    return num_parse_i64(text, ns) || bad(row, name, text);
}

/*
 * A server that keeps only what was on the wire has no field for a time of
 * zero, and no duration without both times.
 */
static bool
read_times(struct vt_row *row)
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
            duration, &span->start_ns) || bad(row, "duration",
            row->duration));
    if (row->start.len > 0 && row->duration.len > 0)
        return !__builtin_add_overflow(span->start_ns, duration,
            &span->end_ns) || bad(row, "duration", row->duration);
    return time_parse_value(row->time, &span->end_ns) ||
        bad(row, "_time", row->time);
}

/* --- events and links --- */

static int
part_cmp(const void *left, const void *right)
{
    const struct part *a = left, *b = right;

    if (a->is_link != b->is_link)
        return a->is_link ? 1 : -1;
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static bool
event_field(struct vt_row *row, struct span_event *event,
    const struct part *part)
{
    if (sv_eq(part->name, SV("event_time_unix_nano")))
        return num_parse_u64(part->text, &event->time_ns) ||
            bad(row, "event_time_unix_nano", part->text);
    if (sv_eq(part->name, SV("event_dropped_attributes_count")))
        return take_u32(row, "event_dropped_attributes_count", part->text,
            &event->dropped_attrs);
    if (!sv_eq(part->name, SV("event_name")))
        return bad(row, "no event has this field", part->name);
    event->name = part->text;
    return true;
}

static bool
link_field(struct vt_row *row, struct span_link *link,
    const struct part *part)
{
    if (sv_eq(part->name, SV("link_trace_id")))
        return read_hex(part->text, link->trace_id.b, 16) ||
            bad(row, "link_trace_id", part->text);
    if (sv_eq(part->name, SV("link_span_id")))
        return read_hex(part->text, link->span_id.b, 8) ||
            bad(row, "link_span_id", part->text);
    if (sv_eq(part->name, SV("link_flags")))
        return take_u32(row, "link_flags", part->text, &link->flags);
    if (sv_eq(part->name, SV("link_dropped_attributes_count")))
        return take_u32(row, "link_dropped_attributes_count", part->text,
            &link->dropped_attrs);
    if (!sv_eq(part->name, SV("link_trace_state")))
        return bad(row, "no link has this field", part->name);
    link->trace_state = part->text;
    return true;
}

/* The attributes of one item among its n parts; the rest stay in front. */
static bool
part_attrs(struct vt_row *row, struct part *parts, uint32_t *n,
    struct attrs *out)
{
    struct attr *v = pool_alloc(row->vt->pool, (*n + 1) * sizeof(*v));
    uint32_t nrest = 0;

    if (v == NULL)
        return no_memory(row);
    out->v = v;
    for (uint32_t i = 0; i < *n; i++) {
        struct sv key = parts[i].name;

        if (cut_prefix(&key, parts[i].is_link ? SV("link_attr:")
            : SV("event_attr:")))
            add_attr(v, &out->n, key, parts[i].text);
        else
            parts[nrest++] = parts[i];
    }
    *n = nrest;
    return true;
}

static bool
read_item(struct vt_row *row, struct part *parts, uint32_t n,
    struct span_event *event, struct span_link *link)
{
    struct attrs attrs = {NULL, 0};

    if (!part_attrs(row, parts, &n, &attrs))
        return false;
    if (event != NULL)
        event->attrs = attrs;
    else
        link->attrs = attrs;
    for (uint32_t i = 0; i < n; i++) {
        if (event != NULL ? !event_field(row, event, &parts[i])
            : !link_field(row, link, &parts[i]))
            return false;
    }
    return true;
}

/* Events and links up to the highest number that a field names. */
static bool
read_items(struct vt_row *row)
{
    struct span_event *events;
    struct span_link *links;
    struct span *span = &row->span;
    uint32_t end;

    if (row->nparts == 0)
        return true;
    qsort(row->fields->parts, row->nparts, sizeof(*row->fields->parts), part_cmp);
    for (uint32_t i = 0; i < row->nparts; i++) {
        uint32_t *n = row->fields->parts[i].is_link ? &span->nlinks : &span->nevents;

        *n = row->fields->parts[i].index + 1;
    }
    events = pool_zalloc(row->vt->pool, (span->nevents + 1) *
        sizeof(*events));
    links = pool_zalloc(row->vt->pool, (span->nlinks + 1) * sizeof(*links));
    if (events == NULL || links == NULL)
        return no_memory(row);
    span->events = events;
    span->links = links;
    for (uint32_t i = 0; i < row->nparts; i = end) {
        struct part *first = &row->fields->parts[i];
        uint32_t index = first->index;
        bool is_link = first->is_link;

        for (end = i; end < row->nparts && row->fields->parts[end].index == index &&
            row->fields->parts[end].is_link == is_link; end++)
            ;
        if (!read_item(row, first, end - i, is_link ? NULL : &events[index],
            is_link ? &links[index] : NULL))
            return false;
    }
    return true;
}

/* --- resources and scopes --- */

static int
attr_cmp(const void *left, const void *right)
{
    const struct attr *a = left, *b = right;

    return sv_cmp(a->key, b->key);
}

static bool
attrs_equal(const struct attrs *a, const struct attrs *b)
{
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        if (!sv_eq(a->v[i].key, b->v[i].key) ||
            !sv_eq(a->v[i].value.str, b->v[i].value.str))
            return false;
    }
    return true;
}

/* From the line's memory to the batch's. */
static bool
attrs_keep(struct vt_row *row, struct attrs *attrs)
{
    attrs->v = (struct attr *)pool_dup(row->vt->pool, attrs->v,
        attrs->n * sizeof(*attrs->v));
    return attrs->v != NULL || no_memory(row);
}

static uint64_t
attrs_hash(const struct attrs *attrs, uint64_t hash)
{
    for (uint32_t i = 0; i < attrs->n; i++) {
        hash = XXH3_64bits_withSeed(attrs->v[i].key.ptr, attrs->v[i].key.len,
            hash);
        hash = XXH3_64bits_withSeed(attrs->v[i].value.str.ptr,
            attrs->v[i].value.str.len, hash + 1);
    }
    return hash;
}

static bool
find_resource(struct vt_row *row)
{
    struct batch *batch = &row->vt->batch;
    struct attrs attrs = {row->fields->resource, row->nresource};
    uint64_t hash = attrs_hash(&attrs, 0);
    struct vt_shared *shared = &row->vt->resources[hash % VT_SHARED_MAX];
    struct resource *resource;

    if (batch->nresources > 0 && shared->hash == hash &&
        shared->index < batch->nresources &&
        attrs_equal(&batch->resources[shared->index].attrs, &attrs)) {
        row->span.resource = shared->index;
        return true;
    }
    resource = batch_add_resource(batch, &row->span.resource);
    if (resource == NULL || !attrs_keep(row, &attrs))
        return no_memory(row);
    resource->attrs = attrs;
    resource_find_service(resource);
    *shared = (struct vt_shared){hash, row->span.resource};
    return true;
}

static bool
find_scope(struct vt_row *row)
{
    struct batch *batch = &row->vt->batch;
    struct attrs attrs = {row->fields->scope, row->nscope};
    uint64_t hash = attrs_hash(&attrs, XXH3_64bits_withSeed(
        row->scope_name.ptr, row->scope_name.len,
        XXH3_64bits(row->scope_version.ptr, row->scope_version.len)));
    struct vt_shared *shared = &row->vt->scopes[hash % VT_SHARED_MAX];
    struct scope *scope = shared->index < batch->nscopes
        ? &batch->scopes[shared->index] : NULL;

    if (scope != NULL && shared->hash == hash &&
        sv_eq(scope->name, row->scope_name) &&
        sv_eq(scope->version, row->scope_version) &&
        attrs_equal(&scope->attrs, &attrs)) {
        row->span.scope = shared->index;
        return true;
    }
    scope = batch_add_scope(batch, &row->span.scope);
    if (scope == NULL || !attrs_keep(row, &attrs))
        return no_memory(row);
    scope->name = row->scope_name;
    scope->version = row->scope_version;
    scope->attrs = attrs;
    *shared = (struct vt_shared){hash, row->span.scope};
    return true;
}

/* --- extra fields --- */

/* Whether a list "name=value,..." in a header can say it. */
static bool
fits_list(struct sv name, struct sv text)
{
    struct sv both[] = {name, text};

    if (sv_find_byte(name, '=') < name.len || name.len == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        const char *ptr = both[i].ptr;

        for (size_t k = 0; k < both[i].len; k++) {
            if (ptr[k] == ',' || (unsigned char)ptr[k] < 0x20 ||
                (unsigned char)ptr[k] >= 0x7f)
                return false;
        }
        if (!sv_eq(sv_trim(both[i]), both[i]))
            return false;
    }
    return true;
}

/* A head of 32 KiB also has other lines. */
#define EXTRA_BYTES_MAX (6 * KIB)

/* What a list cannot say becomes an attribute of the span. */
static void
read_extra(struct vt_row *row)
{
    struct sb *list = &row->vt->next_extra;

    sb_reset(list);
    qsort(row->fields->extra, row->nextra, sizeof(*row->fields->extra), attr_cmp);
    for (uint32_t i = 0; i < row->nextra; i++) {
        const struct attr *attr = &row->fields->extra[i];
        struct sv text = attr->value.str;

        if (list->len + attr->key.len + text.len > EXTRA_BYTES_MAX ||
            !fits_list(attr->key, text)) {
            add_attr(row->fields->attrs, &row->nattrs, attr->key, text);
            row->kept_names++;
            continue;
        }
        if (list->len > 0)
            sb_add_char(list, ',');
        sb_add_sv(list, attr->key);
        sb_add_char(list, '=');
        sb_add_sv(list, text);
    }
}

/* --- a line --- */

static bool
row_finish(struct vt_row *row, enum reject why)
{
    struct batch *batch = &row->vt->batch;
    struct span *added;
    uint32_t index;

    qsort(row->fields->resource, row->nresource, sizeof(*row->fields->resource), attr_cmp);
    qsort(row->fields->scope, row->nscope, sizeof(*row->fields->scope), attr_cmp);
    row->span.attrs = (struct attrs){row->fields->attrs, row->nattrs};
    if (!attrs_keep(row, &row->span.attrs) || !find_resource(row) ||
        !find_scope(row))
        return false;
    added = batch_add_span(batch, &index);
    if (added == NULL)
        return no_memory(row);
    *added = row->span;
    if (why != REJECT_NONE)
        batch_reject(batch, index, why);
    return true;
}

enum vt_result
vt_batch_add(struct vt_batch *vt, struct sv line, struct err *err)
{
    struct vt_row row = {.vt = vt, .err = err, .fields = vt->fields};

    if (!row_read(&row, line))
        return VT_BAD;
    if (row.trace_id.len == 0 && row.span_id.len == 0)
        return VT_NO_SPAN;
    read_extra(&row);
    if (vt->batch.nspans == 0) {
        sb_reset(&vt->extra);
        sb_add_sv(&vt->extra, sb_sv(&vt->next_extra));
    } else if (!sv_eq(sb_sv(&vt->extra), sb_sv(&vt->next_extra))) {
        return VT_OTHER;
    }
    if (!read_times(&row) || !read_items(&row) ||
        !row_finish(&row, read_ids(&row)))
        return VT_BAD;
    vt->kept_names += row.kept_names;
    return VT_SPAN;
}
