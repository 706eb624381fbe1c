/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/vt_row.h"

#include "core/num.h"
#include "core/enc.h"

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
            vt_bad(row, "event_time_unix_nano", part->text);
    if (sv_eq(part->name, SV("event_dropped_attributes_count")))
        return vt_take_u32(row, "event_dropped_attributes_count", part->text,
            &event->dropped_attrs);
    if (!sv_eq(part->name, SV("event_name")))
        return vt_bad(row, "no event has this field", part->name);
    event->name = part->text;
    return true;
}

static bool
link_field(struct vt_row *row, struct span_link *link,
    const struct part *part)
{
    if (sv_eq(part->name, SV("link_trace_id")))
        return enc_unhex(part->text, link->trace_id.b, 16) ||
            vt_bad(row, "link_trace_id", part->text);
    if (sv_eq(part->name, SV("link_span_id")))
        return enc_unhex(part->text, link->span_id.b, 8) ||
            vt_bad(row, "link_span_id", part->text);
    if (sv_eq(part->name, SV("link_flags")))
        return vt_take_u32(row, "link_flags", part->text, &link->flags);
    if (sv_eq(part->name, SV("link_dropped_attributes_count")))
        return vt_take_u32(row, "link_dropped_attributes_count", part->text,
            &link->dropped_attrs);
    if (!sv_eq(part->name, SV("link_trace_state")))
        return vt_bad(row, "no link has this field", part->name);
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
        return vt_no_memory(row);
    out->v = v;
    for (uint32_t i = 0; i < *n; i++) {
        struct sv key = parts[i].name;

        if (vt_cut_prefix(&key, parts[i].is_link ? SV("link_attr:")
            : SV("event_attr:")))
            vt_add_attr(v, &out->n, key, parts[i].text);
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

bool
vt_read_items(struct vt_row *row)
{
    struct span_event *events;
    struct span_link *links;
    struct part *parts = row->fields->parts;
    struct span *span = &row->span;
    uint32_t end;

    if (row->nparts == 0)
        return true;
    qsort(parts, row->nparts, sizeof(*parts), part_cmp);
    for (uint32_t i = 0; i < row->nparts; i++) {
        uint32_t *n = parts[i].is_link ? &span->nlinks : &span->nevents;

        *n = parts[i].index + 1;
    }
    events = pool_zalloc(row->vt->pool, (span->nevents + 1) *
        sizeof(*events));
    links = pool_zalloc(row->vt->pool, (span->nlinks + 1) * sizeof(*links));
    if (events == NULL || links == NULL)
        return vt_no_memory(row);
    span->events = events;
    span->links = links;
    for (uint32_t i = 0; i < row->nparts; i = end) {
        struct part *first = &parts[i];
        uint32_t index = first->index;
        bool is_link = first->is_link;

        for (end = i; end < row->nparts && parts[end].index == index &&
            parts[end].is_link == is_link; end++)
            ;
        if (!read_item(row, first, end - i, is_link ? NULL : &events[index],
            is_link ? &links[index] : NULL))
            return false;
    }
    return true;
}
