/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A plain model of what parameters do: a span as sorted lines "name=value"
 * of its text view.  Ignoring takes lines out, an extra field replaces those
 * of its name.
 */

#ifndef SPOOR_T_UNIT_PARAMS_LINES_H
#define SPOOR_T_UNIT_PARAMS_LINES_H

#include "core/base.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/assert.h"
#include "core/sb.h"
#include "span/span.h"
#include "span/value.h"
#include "tap.h"

#define TEXT_MAX (16 * MIB)

struct lines {
    struct sv *v;
    size_t n, cap;
    const char *ignore; /* comma list; NULL: everything stays */
    const char *extra;
};

/* As naive as it can be. */
static bool
list_has(const char *list, struct sv name, bool is_extra)
{
    struct sv rest, item;

    if (list == NULL)
        return false;
    rest = sv_from(list);
    while (sv_split(&rest, ',', &item)) {
        if (is_extra)
            item = sv_sub(item, 0, sv_find_byte(item, '='));
        else if (sv_ends_with(item, SV("*")) &&
            sv_starts_with(name, sv_sub(item, 0, item.len - 1)))
            return true;
        if (sv_eq(item, name))
            return true;
    }
    return false;
}

static bool
is_out(const struct lines *lines, struct sv name, struct sv other)
{
    return list_has(lines->ignore, name, false) ||
        list_has(lines->extra, name, true) ||
        (other.len > 0 && (list_has(lines->ignore, other, false) ||
            list_has(lines->extra, other, true)));
}

static void
add_line(struct lines *lines, struct sv name, struct sv value)
{
    if (lines->n == lines->cap) {
        lines->cap = MAX(2 * lines->cap, 64u);
        lines->v = realloc(lines->v, lines->cap * sizeof(*lines->v));
        check(lines->v != NULL);
    }
    struct sb line;
    size_t len;

    sb_init(&line, TEXT_MAX);
    sb_add_sv(&line, name);
    sb_add_char(&line, '=');
    sb_add_sv(&line, value);
    check(!sb_failed(&line));
    char *text = sb_detach(&line, &len);
    lines->v[lines->n++] = sv_make(text, len);
}

static void
add_text(struct lines *lines, const char *name, struct sv value)
{
    if (value.len > 0 && !is_out(lines, sv_from(name), SV_EMPTY))
        add_line(lines, sv_from(name), value);
}

static void
add_number(struct lines *lines, const char *name, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    if (value != 0)
        add_text(lines, name, sv_from(text));
}

/* other, after: the second form of the name. */
static void
add_value(struct lines *lines, struct sv before, struct sv key,
    const struct sv other[2], const struct value *value)
{
    struct sb name, alias, text;
    struct value_iter iter;
    struct value item;
    struct sv sub;

    sb_init(&name, TEXT_MAX);
    sb_init(&alias, TEXT_MAX);
    sb_add_sv(&name, before);
    sb_add_sv(&name, key);
    if (other != NULL) {
        sb_add_sv(&alias, other[0]);
        sb_add_sv(&alias, key);
        sb_add_sv(&alias, other[1]);
    }
    if (is_out(lines, sb_sv(&name), sb_sv(&alias)))
        goto out;
    if (value->type != VALUE_KVLIST) {
        sb_init(&text, TEXT_MAX);
        sb_addf(&text, "%u ", value->type);
        value_text(&text, value);
        add_line(lines, sb_sv(&name), sb_sv(&text));
        sb_release(&text);
        goto out;
    }
    value_iter_init(&iter, value);
    while (value_iter_next(&iter, &sub, &item)) {
        struct sb path;

        sb_init(&path, TEXT_MAX);
        sb_add_sv(&path, key);
        sb_add_char(&path, '.');
        sb_add_sv(&path, sub);
        add_value(lines, before, sb_sv(&path), other, &item);
        sb_release(&path);
    }
out:
    sb_release(&name);
    sb_release(&alias);
}

static void
add_attrs(struct lines *lines, const char *before, const struct attrs *attrs,
    const struct sv other[2])
{
    for (uint32_t i = 0; i < attrs->n; i++)
        add_value(lines, sv_from(before), attrs->v[i].key, other,
            &attrs->v[i].value);
}

/* "event:3:event_name" and "event:event_name:3". */
static void
add_numbered(struct lines *lines, const char *kind, uint32_t i,
    const char *field, struct sv value)
{
    char name[64], alias[64];

    snprintf(name, sizeof(name), "%s:%u:%s_%s", kind, i, kind, field);
    snprintf(alias, sizeof(alias), "%s:%s_%s:%u", kind, kind, field, i);
    if (value.len > 0 && !is_out(lines, sv_from(name), sv_from(alias)))
        add_line(lines, sv_from(name), value);
}

static void
add_numbered_u64(struct lines *lines, const char *kind, uint32_t i,
    const char *field, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    add_numbered(lines, kind, i, field,
        value == 0 ? SV_EMPTY : sv_from(text));
}

static void
add_numbered_attrs(struct lines *lines, const char *kind, uint32_t i,
    const struct attrs *attrs)
{
    char before[64], other[64], after[24];

    snprintf(before, sizeof(before), "%s:%u:%s_attr:", kind, i, kind);
    snprintf(other, sizeof(other), "%s:%s_attr:", kind, kind);
    snprintf(after, sizeof(after), ":%u", i);
    const struct sv forms[2] = {sv_from(other), sv_from(after)};
    add_attrs(lines, before, attrs, forms);
}

static void
add_events(struct lines *lines, const struct span *span)
{
    for (uint32_t i = 0; i < span->nevents; i++) {
        const struct span_event *event = &span->events[i];

        add_numbered_u64(lines, "event", i, "time_unix_nano",
            event->time_ns);
        add_numbered(lines, "event", i, "name", event->name);
        add_numbered_u64(lines, "event", i, "dropped_attributes_count",
            event->dropped_attrs);
        add_numbered_attrs(lines, "event", i, &event->attrs);
    }
    for (uint32_t i = 0; i < span->nlinks; i++) {
        const struct span_link *link = &span->links[i];

        add_numbered(lines, "link", i, "trace_id",
            trace_id_is_zero(&link->trace_id) ? SV_EMPTY
                : sv_make(link->trace_id.b, 16));
        add_numbered(lines, "link", i, "span_id",
            span_id_is_zero(&link->span_id) ? SV_EMPTY
                : sv_make(link->span_id.b, 8));
        add_numbered(lines, "link", i, "trace_state", link->trace_state);
        add_numbered_u64(lines, "link", i, "flags", link->flags);
        add_numbered_u64(lines, "link", i, "dropped_attributes_count",
            link->dropped_attrs);
        add_numbered_attrs(lines, "link", i, &link->attrs);
    }
}

static void
add_extra(struct lines *lines)
{
    struct sv rest, item;

    if (lines->extra == NULL)
        return;
    rest = sv_from(lines->extra);
    while (sv_split(&rest, ',', &item)) {
        size_t equals = sv_find_byte(item, '=');
        struct sv name = sv_sub(item, 0, equals);
        struct sv value = sv_sub(item, equals + 1, item.len);
        struct sb text;

        sb_init(&text, TEXT_MAX);
        if (memmem(name.ptr, name.len, "_attr:", 6) != NULL)
            sb_addf(&text, "%u ", VALUE_STRING);
        sb_add_sv(&text, value);
        add_line(lines, name, sb_sv(&text));
        sb_release(&text);
    }
}

static int
compare_lines(const void *a, const void *b)
{
    return sv_cmp(*(const struct sv *)a, *(const struct sv *)b);
}

static void
make_lines(struct lines *lines, const struct batch *batch, uint32_t i)
{
    const struct span *span = &batch->spans[i];
    const struct scope *scope = &batch->scopes[span->scope];
    struct sv rest = scope->extra_fields, name, value;

    lines->n = 0;
    add_attrs(lines, "resource_attr:",
        &batch->resources[span->resource].attrs, NULL);
    add_attrs(lines, "scope_attr:", &scope->attrs, NULL);
    add_attrs(lines, "span_attr:", &span->attrs, NULL);
    add_text(lines, "scope_name", scope->name);
    add_text(lines, "scope_version", scope->version);
    add_text(lines, "name", span->name);
    add_text(lines, "trace_state", span->trace_state);
    add_text(lines, "status_message", span->status_message);
    add_number(lines, "kind", span->kind);
    add_number(lines, "status_code", span->status_code);
    add_number(lines, "flags", span->flags);
    add_number(lines, "dropped_attributes_count", span->dropped_attrs);
    add_number(lines, "dropped_events_count", span->dropped_events);
    add_number(lines, "dropped_links_count", span->dropped_links);
    add_events(lines, span);
    while (text_list_next(&rest, &name) && text_list_next(&rest, &value))
        add_line(lines, name, value);
    add_extra(lines);
    qsort(lines->v, lines->n, sizeof(*lines->v), compare_lines);
}

static void
free_lines(struct lines *lines)
{
    for (size_t i = 0; i < lines->n; i++)
        free((void *)(uintptr_t)lines->v[i].ptr);
    free(lines->v);
}

static bool
lines_equal(const struct lines *a, const struct lines *b, const char *what)
{
    for (size_t i = 0; i < MIN(a->n, b->n); i++) {
        if (!sv_eq(a->v[i], b->v[i])) {
            diag("%s: is %.*s, not %.*s", what, SV_ARG(a->v[i]),
                SV_ARG(b->v[i]));
            return false;
        }
    }
    if (a->n != b->n)
        diag("%s: %zu lines, not %zu", what, a->n, b->n);
    return a->n == b->n;
}

#endif
