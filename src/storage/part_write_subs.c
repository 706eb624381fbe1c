/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: events and links are tables of their own, in the order of
 * the rows they belong to, then as they were sent.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/enc.h"

/* --- events --- */

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

/* --- links --- */

/* Rows of a trace that are looked at for the span of one link. */
#define SCAN_ROWS_MAX 64u

/* What becomes of the links: codes, and what stays raw. */
struct links {
    const struct write_link *v;
    uint32_t n;
    uint64_t *traces; /* codes */
    uint64_t *spans;
    uint64_t *raw_traces; /* two words each */
    uint64_t *raw_spans;
    uint32_t nraw_traces;
    uint32_t nraw_spans;
};

static uint64_t
trace_code(const struct part_writer *w, const struct write_link *link,
    const struct write_trace **trace)
{
    const struct write_trace *own =
        &w->traces[w->trace_order[w->row_ordinal[link->row]]];

    *trace = own;
    if (enc_get64(link->trace_id) == own->hi &&
        enc_get64(link->trace_id + 8) == own->lo)
        return PART_LINK_OWN;
    *trace = writer_find_trace(w, own->tenant, link->trace_id);
    return *trace == NULL ? PART_LINK_RAW :
        PART_LINK_KNOWN + 2 * (uint64_t)(*trace)->ordinal;
}

static uint64_t
span_code(const struct part_writer *w, const struct write_link *link,
    const struct write_trace *trace)
{
    const uint32_t *rows;

    if (w->parent_ids[link->row] == link->span_id)
        return PART_LINK_OWN;
    if (trace == NULL || trace->rows > SCAN_ROWS_MAX)
        return PART_LINK_RAW;
    rows = w->trace_rows + w->trace_first[trace->ordinal];
    for (uint32_t i = 0; i < trace->rows; i++) {
        if (w->ids[rows[i]] == link->span_id)
            return PART_LINK_KNOWN + 2 * (uint64_t)i;
    }
    return PART_LINK_RAW;
}

static void
code_links(const struct part_writer *w, struct links *links)
{
    for (uint32_t i = 0; i < links->n; i++) {
        const struct write_link *link = &links->v[i];
        const struct write_trace *trace;

        links->traces[i] = trace_code(w, link, &trace);
        if (links->traces[i] == PART_LINK_RAW) {
            memcpy(links->raw_traces + 2 * (size_t)links->nraw_traces,
                link->trace_id, 16);
            links->traces[i] += 2 * (uint64_t)links->nraw_traces++;
        }
        links->spans[i] = span_code(w, link, trace);
        if (links->spans[i] == PART_LINK_RAW) {
            links->raw_spans[links->nraw_spans] = link->span_id;
            links->spans[i] += 2 * (uint64_t)links->nraw_spans++;
        }
    }
}

/* Codes only where they say something. */
static int
write_link_ids(struct part_writer *w, const struct links *links)
{
    struct fixed traces = {PART_RAW, 16, links->raw_traces,
        links->nraw_traces};

    if (vector_fixed(w, vector_id(PART_LINK_TRACE, 0), &traces) != 0 ||
        vector_raw8(w, vector_id(PART_LINK_SPAN, 0), links->raw_spans,
            links->nraw_spans) != 0)
        return -1;
    if (links->nraw_traces < links->n && vector_u64(w,
            vector_id(PART_LINK_TRACE_CODE, 0), links->traces, links->n,
            COL_TRY_DELTA) != 0)
        return -1;
    if (links->nraw_spans == links->n)
        return 0;
    return vector_u64(w, vector_id(PART_LINK_SPAN_CODE, 0), links->spans,
        links->n, COL_TRY_DELTA);
}

static int
write_links(struct part_writer *w)
{
    struct links links = {.v = w->links, .n = w->tables[TABLE_LINKS].n};
    uint64_t *wide = writer_alloc(w, SCRATCH_WIDE, 5 * (size_t)links.n *
        sizeof(*wide));

    if (wide == NULL)
        return -1;
    for (uint32_t i = 0; i < links.n; i++)
        wide[i] = links.v[i].row;
    if (vector_u64(w, vector_id(PART_LINK_ROW, 0), wide, links.n,
            COL_TRY_DELTA) != 0)
        return -1;
    links.traces = wide;
    links.spans = wide + links.n;
    links.raw_spans = wide + 2 * (size_t)links.n;
    links.raw_traces = wide + 3 * (size_t)links.n;
    code_links(w, &links);
    return write_link_ids(w, &links);
}

/* --- both --- */

int
write_subs(struct part_writer *w)
{
    if (write_events(w) != 0)
        return -1;
    return write_links(w);
}
