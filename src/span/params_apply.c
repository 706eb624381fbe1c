/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Doing what a request asks for.  Removing comes first, then the escape
 * sequences, then the extra fields, which also remove what has their name;
 * so doing it again changes nothing.
 *
 * An event or link keeps its number when its fields go: it becomes an empty
 * one, unless no later one is left.
 */

#include "core/base.h"
#include "span/params_edit.h"

#include <stdio.h>

#include "core/num.h"

/* --- text and numbers --- */

static int64_t
edit_text(struct edit *edit, enum params_field field, struct sv *text)
{
    const struct rule *rule = &edit->rules[field];
    size_t before = text->len;

    switch (rule->act) {
    case ACT_CLEAR:
        *text = SV_EMPTY;
        break;
    case ACT_PLAIN:
        (void)edit_make_plain(edit, text);
        break;
    case ACT_SET:
        *text = rule->text;
        break;
    default:
        break;
    }
    return (int64_t)text->len - (int64_t)before;
}

static void
edit_u32(const struct edit *edit, enum params_field field, uint32_t *number)
{
    const struct rule *rule = &edit->rules[field];

    if (rule->act == ACT_CLEAR || rule->act == ACT_SET)
        *number = (uint32_t)rule->number;
}

static void
edit_i32(const struct edit *edit, enum params_field field, int32_t *number)
{
    const struct rule *rule = &edit->rules[field];

    if (rule->act == ACT_CLEAR || rule->act == ACT_SET)
        *number = (int32_t)rule->number;
}

/* --- events and links --- */

struct place_text {
    char before[64];
    char after[16];
};

/* kind: "event" or "link"; middle: "event_attr:" or "". */
static struct place
numbered_place(struct place_text *text, const char *kind, uint32_t number,
    const char *middle, struct sv other_before)
{
    int before = snprintf(text->before, sizeof(text->before), "%s:%u:%s",
        kind, number, middle);
    int after = snprintf(text->after, sizeof(text->after), ":%u", number);

    return (struct place){sv_make(text->before, (size_t)before),
        other_before, sv_make(text->after, (size_t)after)};
}

static bool
clear_u32(const struct edit *edit, const struct place *place, struct sv key,
    uint32_t *number)
{
    if (!edit_is_ignored(edit, place, key))
        return false;
    *number = 0;
    return true;
}

static int64_t
edit_place_text(struct edit *edit, const struct place *place, struct sv key,
    struct sv *text)
{
    size_t before = text->len;
    enum act act = text->len == 0 ? ACT_NONE : edit_act(edit, place, key);

    if (act == ACT_CLEAR)
        *text = SV_EMPTY;
    else if (act == ACT_PLAIN)
        (void)edit_make_plain(edit, text);
    return (int64_t)text->len - (int64_t)before;
}

/* True when nothing of the event is left. */
static bool
edit_event(struct edit *edit, struct span_event *event, uint32_t number,
    int64_t *grown)
{
    static const struct attrs none = {NULL, 0};
    struct place_text text, attr_text;
    struct place place = numbered_place(&text, "event", number, "",
        SV("event:"));
    struct place attrs = numbered_place(&attr_text, "event", number,
        "event_attr:", SV("event:event_attr:"));
    bool is_gone = edit_is_ignored(edit, &place, SV("event_time_unix_nano"));

    if (is_gone)
        event->time_ns = 0;
    *grown += edit_place_text(edit, &place, SV("event_name"), &event->name);
    (void)clear_u32(edit, &place, SV("event_dropped_attributes_count"),
        &event->dropped_attrs);
    *grown += edit_attrs(edit, &attrs, &event->attrs, &none);
    return is_gone && event->name.len == 0 && event->attrs.n == 0 &&
        event->dropped_attrs == 0;
}

static bool
edit_link(struct edit *edit, struct span_link *link, uint32_t number,
    int64_t *grown)
{
    static const struct attrs none = {NULL, 0};
    struct place_text text, attr_text;
    struct place place = numbered_place(&text, "link", number, "",
        SV("link:"));
    struct place attrs = numbered_place(&attr_text, "link", number,
        "link_attr:", SV("link:link_attr:"));

    if (edit_is_ignored(edit, &place, SV("link_trace_id")))
        memset(&link->trace_id, 0, sizeof(link->trace_id));
    if (edit_is_ignored(edit, &place, SV("link_span_id")))
        memset(&link->span_id, 0, sizeof(link->span_id));
    *grown += edit_place_text(edit, &place, SV("link_trace_state"),
        &link->trace_state);
    (void)clear_u32(edit, &place, SV("link_flags"), &link->flags);
    (void)clear_u32(edit, &place, SV("link_dropped_attributes_count"),
        &link->dropped_attrs);
    *grown += edit_attrs(edit, &attrs, &link->attrs, &none);
    return trace_id_is_zero(&link->trace_id) &&
        span_id_is_zero(&link->span_id) && link->trace_state.len == 0 &&
        link->attrs.n == 0 && link->flags == 0 && link->dropped_attrs == 0 &&
        edit_is_ignored(edit, &place, SV("link_trace_id"));
}

static int64_t
edit_events(struct edit *edit, struct span *span)
{
    size_t bytes = span->nevents * sizeof(struct span_event);
    struct span_event *events;
    uint32_t n = 0;
    int64_t grown = 0;

    if (span->nevents == 0 || (events = edit_alloc(edit, bytes)) == NULL)
        return 0;
    memcpy(events, span->events, bytes);
    for (uint32_t i = 0; i < span->nevents; i++) {
        if (!edit_event(edit, &events[i], i, &grown))
            n = i + 1;
    }
    span->events = n > 0 ? events : NULL;
    span->nevents = n;
    return grown;
}

static int64_t
edit_links(struct edit *edit, struct span *span)
{
    size_t bytes = span->nlinks * sizeof(struct span_link);
    struct span_link *links;
    uint32_t n = 0;
    int64_t grown = 0;

    if (span->nlinks == 0 || (links = edit_alloc(edit, bytes)) == NULL)
        return 0;
    memcpy(links, span->links, bytes);
    for (uint32_t i = 0; i < span->nlinks; i++) {
        if (!edit_link(edit, &links[i], i, &grown))
            n = i + 1;
    }
    span->links = n > 0 ? links : NULL;
    span->nlinks = n;
    return grown;
}

/* --- resources, scopes, spans --- */

/* Some parameter may touch fields that begin so. */
static bool
touches(const struct edit *edit, struct sv begin)
{
    const struct params_list *lists = edit->params->lists;

    return params_may_match(&lists[PARAMS_IGNORE], begin) ||
        params_may_match(&lists[PARAMS_DECOLORIZE], begin) ||
        params_may_match(&lists[PARAMS_EXTRA], begin);
}

static void
edit_resources(struct edit *edit)
{
    static const struct place place = {
        {"resource_attr:", 14}, {"", 0}, {"", 0}};

    if (!touches(edit, PARAMS_RESOURCE))
        return;
    for (uint32_t i = 0; i < edit->batch->nresources; i++) {
        struct resource *resource = &edit->batch->resources[i];

        (void)edit_attrs(edit, &place, &resource->attrs,
            &edit->resource_extra);
        resource_find_service(resource);
    }
}

static void
edit_scopes(struct edit *edit)
{
    static const struct place place = {{"scope_attr:", 11}, {"", 0}, {"", 0}};
    bool has_attrs = touches(edit, PARAMS_SCOPE);

    for (uint32_t i = 0; i < edit->batch->nscopes; i++) {
        struct scope *scope = &edit->batch->scopes[i];

        if (has_attrs)
            (void)edit_attrs(edit, &place, &scope->attrs,
                &edit->scope_extra);
        (void)edit_text(edit, PARAMS_SCOPE_NAME, &scope->name);
        (void)edit_text(edit, PARAMS_SCOPE_VERSION, &scope->version);
        scope->stream_fields = edit->stream_fields;
        scope->extra_fields = edit->extra_fields;
    }
}

static int64_t
edit_fields(struct edit *edit, struct span *span)
{
    int64_t grown = 0;

    grown += edit_text(edit, PARAMS_NAME, &span->name);
    grown += edit_text(edit, PARAMS_TRACE_STATE, &span->trace_state);
    grown += edit_text(edit, PARAMS_STATUS_MESSAGE, &span->status_message);
    edit_i32(edit, PARAMS_KIND, &span->kind);
    edit_i32(edit, PARAMS_STATUS_CODE, &span->status_code);
    edit_u32(edit, PARAMS_FLAGS, &span->flags);
    edit_u32(edit, PARAMS_DROPPED_ATTRS, &span->dropped_attrs);
    edit_u32(edit, PARAMS_DROPPED_EVENTS, &span->dropped_events);
    edit_u32(edit, PARAMS_DROPPED_LINKS, &span->dropped_links);
    return grown;
}

static void
edit_spans(struct edit *edit)
{
    static const struct place place = {{"span_attr:", 10}, {"", 0}, {"", 0}};
    bool has_attrs = touches(edit, PARAMS_SPAN);
    bool has_events = touches(edit, PARAMS_EVENT);
    bool has_links = touches(edit, PARAMS_LINK);
    bool has_fields = false;

    for (unsigned i = 0; i < PARAMS_FIELDS; i++)
        has_fields = has_fields || edit->rules[i].act != ACT_NONE;
    if (!has_attrs && !has_events && !has_links && !has_fields)
        return;
    for (uint32_t i = 0; i < edit->batch->nspans && !edit->is_full; i++) {
        struct span *span = &edit->batch->spans[i];
        int64_t bytes = span->bytes;

        if (span->reject != REJECT_NONE)
            continue;
        if (has_fields)
            bytes += edit_fields(edit, span);
        if (has_attrs)
            bytes += edit_attrs(edit, &place, &span->attrs,
                &edit->span_extra);
        if (has_events)
            bytes += edit_events(edit, span);
        if (has_links)
            bytes += edit_links(edit, span);
        span->bytes = (uint32_t)MAX(0, MIN(bytes, (int64_t)UINT32_MAX));
    }
}

/* --- what is to be done, worked out once --- */

static void
make_rules(struct edit *edit)
{
    const struct params_list *lists = edit->params->lists;

    for (unsigned i = 0; i < PARAMS_FIELDS; i++) {
        struct rule *rule = &edit->rules[i];
        struct field_name name = {{params_field_name((enum params_field)i),
            SV_EMPTY, SV_EMPTY}};
        const struct param *extra = params_find(&lists[PARAMS_EXTRA], &name);

        *rule = (struct rule){ACT_NONE, SV_EMPTY, 0};
        if (extra != NULL) {
            rule->act = ACT_SET;
            rule->text = extra->value;
            if (i >= PARAMS_KIND &&
                !num_parse_i64(extra->value, &rule->number))
                rule->act = ACT_CLEAR; /* refused when it was sent */
        } else if (params_match(&lists[PARAMS_IGNORE], &name)) {
            rule->act = ACT_CLEAR;
        } else if (params_match(&lists[PARAMS_DECOLORIZE], &name)) {
            rule->act = ACT_PLAIN;
        }
    }
}

/* The extra fields that begin so, as attributes. */
static struct attrs
extra_attrs(struct edit *edit, struct sv begin)
{
    const struct params_list *list = &edit->params->lists[PARAMS_EXTRA];
    struct attr *v;
    uint32_t n = 0;

    if (list->n == 0 ||
        (v = edit_alloc(edit, list->n * sizeof(*v))) == NULL)
        return (struct attrs){NULL, 0};
    for (uint32_t i = 0; i < list->n; i++) {
        const struct param *param = &list->v[i];

        if (!sv_starts_with(param->name, begin))
            continue;
        v[n].key = sv_sub(param->name, begin.len, param->name.len);
        v[n++].value = (struct value){
            .str = param->value, .type = VALUE_STRING};
    }
    return (struct attrs){v, n};
}

static bool
is_bare(struct sv name)
{
    for (unsigned i = 0; i < PARAMS_FIELDS; i++) {
        if (sv_eq(name, params_field_name((enum params_field)i)))
            return false;
    }
    return !sv_starts_with(name, PARAMS_RESOURCE) &&
        !sv_starts_with(name, PARAMS_SCOPE) &&
        !sv_starts_with(name, PARAMS_SPAN);
}

/* A text list in the pool; with_values: only bare names, with values. */
static struct sv
make_text_list(struct edit *edit, const struct params_list *list,
    bool with_values)
{
    struct sv out = SV_EMPTY;
    struct sb text;
    char *copy;

    sb_init(&text, 2 * PARAMS_BYTES_MAX);
    for (uint32_t i = 0; i < list->n; i++) {
        const struct param *param = &list->v[i];

        if (with_values && !is_bare(param->name))
            continue;
        text_list_put(&text, param->name);
        if (with_values)
            text_list_put(&text, param->value);
    }
    edit->is_full = edit->is_full || sb_failed(&text);
    if (text.len > 0 && (copy = edit_alloc(edit, text.len)) != NULL) {
        memcpy(copy, text.ptr, text.len);
        out = sv_make(copy, text.len);
    }
    sb_release(&text);
    return out;
}

int
params_apply(const struct params *params, struct batch *batch,
    struct err *err)
{
    struct edit edit = {.params = params, .batch = batch};

    make_rules(&edit);
    edit.resource_extra = extra_attrs(&edit, PARAMS_RESOURCE);
    edit.scope_extra = extra_attrs(&edit, PARAMS_SCOPE);
    edit.span_extra = extra_attrs(&edit, PARAMS_SPAN);
    edit.stream_fields = make_text_list(&edit,
        &params->lists[PARAMS_STREAM], false);
    edit.extra_fields = make_text_list(&edit, &params->lists[PARAMS_EXTRA],
        true);
    edit_resources(&edit);
    edit_scopes(&edit);
    edit_spans(&edit);
    if (edit.is_full)
        return err_set(err, ERR_LIMIT,
            "too much memory for the request's parameters");
    return 0;
}
