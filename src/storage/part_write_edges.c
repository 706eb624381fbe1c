/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: which services call which (part_format.h: EDGES), from the
 * parents that are in the same block.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/enc.h"

/* Pairs of services of a block; with more it has no edges. */
#define EDGES_MAX 4096u
#define SLOTS (4 * EDGES_MAX)

struct edge {
    uint32_t tenant;
    uint32_t parent; /* texts */
    uint32_t child;
    uint32_t calls;
    uint32_t errors;
    __extension__ __int128 duration;
};

/* Service and tenant of each row: those of its stream. */
static uint32_t *
row_streams(struct part_writer *w)
{
    const struct write_rows *table = &w->tables[TABLE_SPANS];
    uint32_t *streams = writer_alloc(w, SCRATCH_EDGE_STREAMS,
        w->nrows * sizeof(*streams));
    uint32_t row = 0;

    for (uint32_t i = 0; streams != NULL && i < table->nruns; i++) {
        for (uint32_t k = 0; k < table->runs[i].rows; k++)
            streams[row++] = table->runs[i].stream;
    }
    return streams;
}

static struct edge *
find_edge(struct part_writer *w, uint32_t *slots, const struct edge *like)
{
    struct edge *edges = w->scratch[SCRATCH_BLOCK_EDGES].ptr;
    uint64_t hash = ((uint64_t)like->parent << 32 | like->child) *
        UINT64_C(0x9e3779b97f4a7c15) + like->tenant;
    uint32_t slot = (uint32_t)(hash >> 40) % SLOTS;

    for (; slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        struct edge *edge = &edges[slots[slot] - 1];

        if (edge->tenant == like->tenant && edge->parent == like->parent &&
            edge->child == like->child)
            return edge;
    }
    if (w->nblock_edges == EDGES_MAX)
        return NULL;
    edges[w->nblock_edges] = *like;
    slots[slot] = ++w->nblock_edges;
    return &edges[w->nblock_edges - 1];
}

static void
add_call(struct part_writer *w, struct edge *edge, uint32_t row)
{
    edge->calls++;
    edge->errors += w->status[row] == 2;
    edge->duration += (int64_t)((uint64_t)w->end_ns[row] -
        (uint64_t)w->start_ns[row]);
}

int
write_edges(struct part_writer *w, const uint64_t *parents)
{
    uint32_t *streams = row_streams(w);
    uint32_t *slots = writer_alloc(w, SCRATCH_EDGE_SLOTS,
        SLOTS * sizeof(*slots));

    if (streams == NULL || slots == NULL || writer_alloc(w,
            SCRATCH_BLOCK_EDGES, EDGES_MAX * sizeof(struct edge)) == NULL)
        return -1;
    memset(slots, 0, SLOTS * sizeof(*slots));
    w->has_block_edges = true;
    for (uint32_t row = 0; row < w->nrows; row++) {
        const struct write_stream *child = &w->streams[streams[row]];
        const struct write_stream *parent;
        struct edge *edge;
        uint32_t place;

        if (parents[row] < 2)
            continue;
        place = w->trace_first[w->row_ordinal[row]] +
            (uint32_t)parents[row] - 2;
        parent = &w->streams[streams[w->trace_rows[place]]];
        if (parent->service == child->service)
            continue;
        edge = find_edge(w, slots, &(struct edge){child->tenant,
            parent->service, child->service, 0, 0, 0});
        if (edge == NULL) {
            w->has_block_edges = false;
            return 0;
        }
        add_call(w, edge, row);
    }
    return 0;
}

/* --- the part --- */

int
writer_add_edges(struct part_writer *w)
{
    uint32_t n = w->has_block_edges ? w->nblock_edges + 1 : 0;

    sb_add(&w->edges, &n, sizeof(n));
    if (n > 1)
        sb_add(&w->edges, w->scratch[SCRATCH_BLOCK_EDGES].ptr,
            w->nblock_edges * sizeof(struct edge));
    return writer_sb_ok(w, &w->edges);
}

static int
put_edge(struct part_writer *w, const struct edge *edge)
{
    section_varint(w, edge->tenant);
    if (writer_put_string(w, edge->parent) != 0 ||
        writer_put_string(w, edge->child) != 0)
        return -1;
    section_varint(w, edge->calls);
    section_varint(w, edge->errors);
    section_varint(w, enc_zigzag((int64_t)edge->duration));
    return 0;
}

/* n of a block, behind one another in w->edges. */
static int
put_edges(struct part_writer *w, size_t at, uint32_t n)
{
    struct edge edge;

    section_varint(w, n);
    for (uint32_t i = 0; i + 1 < n; i++) {
        memcpy(&edge, w->edges.ptr + at + i * sizeof(edge), sizeof(edge));
        if (put_edge(w, &edge) != 0)
            return -1;
    }
    return 0;
}

/* Sums that do not fit 64 bits are not of this world: no edges then. */
static bool
fit(const struct part_writer *w, size_t at, uint32_t n)
{
    struct edge edge;

    for (uint32_t i = 0; i + 1 < n; i++) {
        memcpy(&edge, w->edges.ptr + at + i * sizeof(edge), sizeof(edge));
        if (edge.duration < INT64_MIN || edge.duration > INT64_MAX)
            return false;
    }
    return true;
}

int
writer_put_edges(struct part_writer *w)
{
    size_t at = 0;
    uint32_t n;

    for (uint32_t block = 0; block < w->nblocks; block++) {
        size_t head = w->section.len;
        uint32_t len = 0;

        memcpy(&n, w->edges.ptr + at, sizeof(n));
        at += sizeof(n);
        sb_add(&w->section, &len, sizeof(len));
        if (n > 0 && fit(w, at, n) && put_edges(w, at, n) != 0)
            return -1;
        at += n > 0 ? (n - 1) * sizeof(struct edge) : 0;
        if (writer_sb_ok(w, &w->section) != 0)
            return -1;
        len = (uint32_t)(w->section.len - head - sizeof(len));
        memcpy(w->section.ptr + head, &len, sizeof(len));
    }
    return 0;
}
