/* SPDX-License-Identifier: BSD-2-Clause */

/* What the name of a field means: the tables behind span/flat.h's list. */

#include "core/base.h"
#include "storage/block_read.h"

#include "span/flat.h"

struct entry {
    struct sv name;
    enum block_what what;
    enum field_key field;
};

#define NAME(literal) {"" literal, sizeof(literal) - 1}

static const struct entry core[] = {
    {NAME("_time"), BLOCK_TIME, 0},
    {NAME("_msg"), BLOCK_MSG, 0},
    {NAME("_stream"), BLOCK_STREAM, 0},
    {NAME("_stream_id"), BLOCK_STREAM_ID, 0},
    {NAME("trace_id"), BLOCK_TRACE_ID, 0},
    {NAME("span_id"), BLOCK_SPAN_ID, 0},
    {NAME("parent_span_id"), BLOCK_PARENT_ID, 0},
    {NAME("name"), BLOCK_NAME, 0},
    {NAME("kind"), BLOCK_KIND, 0},
    {NAME("start_time_unix_nano"), BLOCK_START, 0},
    {NAME("end_time_unix_nano"), BLOCK_END, 0},
    {NAME("duration"), BLOCK_DURATION, 0},
    {NAME("status_code"), BLOCK_STATUS, 0},
    {NAME("scope_name"), BLOCK_SCOPE_NAME, 0},
    {NAME("scope_version"), BLOCK_SCOPE_VERSION, 0},
    {NAME("trace_state"), BLOCK_TEXT, FIELD_TRACE_STATE},
    {NAME("status_message"), BLOCK_TEXT, FIELD_STATUS_MESSAGE},
    {NAME("flags"), BLOCK_NUMBER, FIELD_FLAGS},
    {NAME("dropped_attributes_count"), BLOCK_NUMBER, FIELD_DROPPED_ATTRS},
    {NAME("dropped_events_count"), BLOCK_NUMBER, FIELD_DROPPED_EVENTS},
    {NAME("dropped_links_count"), BLOCK_NUMBER, FIELD_DROPPED_LINKS},
};

static const struct entry event_parts[] = {
    {NAME("event_time_unix_nano"), BLOCK_EVENT_TIME, 0},
    {NAME("event_dropped_attributes_count"), BLOCK_NUMBER,
        FIELD_DROPPED_ATTRS},
    {NAME("event_name"), BLOCK_EVENT_NAME, 0},
};

static const struct entry link_parts[] = {
    {NAME("link_trace_id"), BLOCK_LINK_TRACE, 0},
    {NAME("link_span_id"), BLOCK_LINK_SPAN, 0},
    {NAME("link_trace_state"), BLOCK_TEXT, FIELD_TRACE_STATE},
    {NAME("link_flags"), BLOCK_NUMBER, FIELD_FLAGS},
    {NAME("link_dropped_attributes_count"), BLOCK_NUMBER,
        FIELD_DROPPED_ATTRS},
};

static const struct {
    struct sv prefix;
    enum key_scope scope;
} attr_prefixes[] = {
    {NAME("span_attr:"), KEY_SPAN},
    {NAME("resource_attr:"), KEY_RESOURCE},
    {NAME("scope_attr:"), KEY_SCOPE},
};

static bool
find(const struct entry *entries, size_t n, struct sv name,
    struct block_field *out)
{
    for (size_t i = 0; i < n; i++) {
        if (sv_eq(entries[i].name, name)) {
            out->what = entries[i].what;
            out->field = entries[i].field;
            return true;
        }
    }
    return false;
}

/* "event_attr:K" */
static void
parse_part(struct sv part, struct block_field *out)
{
    bool is_link = out->scope == KEY_LINK;
    struct sv prefix = is_link ? SV("link_attr:") : SV("event_attr:");

    if (sv_starts_with(part, prefix) && part.len > prefix.len) {
        out->what = BLOCK_ATTR;
        out->key = sv_sub(part, prefix.len, part.len);
    } else if (is_link) {
        (void)find(link_parts, ARRAY_LEN(link_parts), part, out);
    } else {
        (void)find(event_parts, ARRAY_LEN(event_parts), part, out);
    }
}

/* No request may give its spans an extra field of such a name. */
static bool
is_reserved(struct sv name)
{
    for (size_t i = 0; i < ARRAY_LEN(attr_prefixes); i++) {
        if (sv_eq(name, attr_prefixes[i].prefix))
            return true;
    }
    return name.len == 0 || sv_starts_with(name, SV("event:")) ||
        sv_starts_with(name, SV("link:"));
}

struct block_field
block_field_parse(struct sv name)
{
    struct block_field out = {.what = BLOCK_NOTHING, .scope = KEY_SPAN};
    struct flat_item item;

    if (find(core, ARRAY_LEN(core), name, &out))
        return out;
    for (size_t i = 0; i < ARRAY_LEN(attr_prefixes); i++) {
        struct sv prefix = attr_prefixes[i].prefix;

        if (sv_starts_with(name, prefix) && name.len > prefix.len) {
            out.what = BLOCK_ATTR;
            out.scope = attr_prefixes[i].scope;
            out.key = sv_sub(name, prefix.len, name.len);
            return out;
        }
    }
    if (flat_item_parse(name, &item)) {
        out.scope = item.is_link ? KEY_LINK : KEY_EVENT;
        out.item = item.index;
        parse_part(item.part, &out);
    } else if (!is_reserved(name)) {
        out.what = BLOCK_EXTRA;
        out.scope = KEY_SCOPE;
        out.key = name;
    }
    return out;
}

struct sv
block_core_name(unsigned i)
{
    return i < ARRAY_LEN(core) ? core[i].name : (struct sv){NULL, 0};
}

struct sv
block_part_name(bool is_link, unsigned i)
{
    if (is_link)
        return i < ARRAY_LEN(link_parts) ? link_parts[i].name :
            (struct sv){NULL, 0};
    return i < ARRAY_LEN(event_parts) ? event_parts[i].name :
        (struct sv){NULL, 0};
}
