/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: events and links are tables of their own, in the order of
 * the rows they belong to, then as they were sent.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/enc.h"

static int
write_events(struct part_writer *w)
{
    const struct write_event *events = w->events;
    uint32_t n = w->tables[TABLE_EVENTS].n;
    uint64_t *wide = writer_alloc(w, SCRATCH_WIDE, n * sizeof(*wide));
    uint32_t *names = (uint32_t *)wide;

    if (wide == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        wide[i] = events[i].row;
    if (vector_u64(w, vector_id(PART_EVENT_ROW, 0), wide, n,
            COL_TRY_DELTA) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        wide[i] = enc_zigzag((int64_t)((uint64_t)events[i].time_ns -
            (uint64_t)w->start_ns[events[i].row]));
    if (vector_u64(w, vector_id(PART_EVENT_TIME, 0), wide, n,
            COL_TRY_SCALE) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        names[i] = events[i].name;
    return writer_strings(w, PART_EVENT_NAME, names, n);
}

static int
write_links(struct part_writer *w)
{
    const struct write_link *links = w->links;
    uint32_t n = w->tables[TABLE_LINKS].n;
    uint64_t *wide = writer_alloc(w, SCRATCH_WIDE, 2 * (size_t)n *
        sizeof(*wide));
    struct fixed traces = {PART_RAW, 16, wide, n};

    if (wide == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        wide[i] = links[i].row;
    if (vector_u64(w, vector_id(PART_LINK_ROW, 0), wide, n,
            COL_TRY_DELTA) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        wide[i] = links[i].span_id;
    if (vector_raw8(w, vector_id(PART_LINK_SPAN, 0), wide, n) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        memcpy(wide + 2 * (size_t)i, links[i].trace_id, 16);
    return vector_fixed(w, vector_id(PART_LINK_TRACE, 0), &traces);
}

int
write_subs(struct part_writer *w)
{
    if (write_events(w) != 0)
        return -1;
    return write_links(w);
}
