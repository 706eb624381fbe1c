/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One line of a LogsQL answer while it becomes a span; private to cli/vt_*.c.
 *
 *   vt_line.c    a line's fields, sorted out by their names; ids and times
 *   vt_items.c   fields of events and links
 *   vt_batch.c   spans of lines, with resources and scopes that they share
 */

#ifndef SPOOR_CLI_VT_ROW_H
#define SPOOR_CLI_VT_ROW_H

#include "core/base.h"
#include "cli/vt_line.h"

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

/* Each sets the error and returns false. */
bool vt_bad(struct vt_row *row, const char *what, struct sv text);
bool vt_no_memory(struct vt_row *row);

/* Sorts the fields of a line into row. */
bool vt_row_read(struct vt_row *row, struct sv line);
/* Start and end of the span. */
bool vt_read_times(struct vt_row *row);
/* Ids that OTLP does not allow: the span is marked, as a decoder does. */
enum reject vt_read_ids(struct vt_row *row);
/* Events and links up to the highest number that a field names. */
bool vt_read_items(struct vt_row *row);

/* "name: text" is the error when it is no such number. */
bool vt_take_u32(struct vt_row *row, const char *name, struct sv text,
    uint32_t *out);

static inline void
vt_add_attr(struct attr *v, uint32_t *n, struct sv key, struct sv text)
{
    v[(*n)++] = (struct attr){key, {.str = text, .type = VALUE_STRING}};
}

static inline bool
vt_cut_prefix(struct sv *name, struct sv prefix)
{
    if (!sv_starts_with(*name, prefix))
        return false;
    *name = sv_sub(*name, prefix.len, name->len);
    return true;
}

#endif
