/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Merging: which rows go into which block of the output.
 *
 * Rows of one trace stay together.  Only a trace whose rows end in more than
 * two neighbouring slices of MERGE_SLICE_NS is cut, between slices, so that
 * blocks hold a short time each; copies of a span end at the same moment, so
 * they meet in any case.  What stays together is a unit: units are sorted by
 * the end of their last row, and a block is as many of them as fit.  A unit
 * of more rows than fit into a block is cut wherever its entries allow.
 */

#include "core/base.h"
#include "storage/merge_state.h"

#include "core/assert.h"
#include "core/mem.h"

/*
 * Bytes of strings of a block of the output, about; far below PART_HEAP_MAX,
 * since how they are spread over an input's rows is not known.
 */
#define BLOCK_HEAP_BYTES (16 * MIB)

/* What is read of a block for the plan. */
#define KEEP_BYTES (4 * MIB)

/* Rows of one trace that end in one slice, in one block. */
struct piece {
    uint64_t hash; /* of tenant and trace id */
    int64_t max_end_ns;
    uint32_t block;
    uint32_t tenant;
    uint32_t rows;
    uint16_t ordinal;
    bool is_slice; /* its trace has more in this block */
};

struct unit {
    int64_t max_end_ns;
    uint32_t first, n; /* in `order` */
    uint32_t rows;
    uint64_t heap_bytes;
};

struct plan {
    struct merge *m;
    struct piece *pieces;
    uint32_t npieces, cap;
    uint32_t *heap_share; /* by block: bytes of strings a row, about */
    struct sort_item *a, *b;
    uint32_t *order; /* pieces: equal traces side by side */
    struct unit *units;
    uint32_t nunits;
};

static const struct piece *
piece_at(const struct plan *p, uint32_t i)
{
    return &p->pieces[p->order[i]];
}

/* --- pieces --- */

static struct piece *
piece_add(struct plan *p)
{
    size_t cap = MAX(2 * (size_t)p->cap, 4096u);
    struct piece *pieces;

    if (p->npieces < p->cap)
        return &p->pieces[p->npieces++];
    if (p->npieces >= 4 * MERGE_TRACES_MAX)
        pieces = NULL;
    else
        pieces = mem_try_realloc(p->pieces, cap * sizeof(*pieces));
    if (pieces == NULL) {
        (void)merge_no_memory(p->m);
        return NULL;
    }
    p->pieces = pieces;
    p->cap = (uint32_t)cap;
    return &p->pieces[p->npieces++];
}

/* The piece of the trace for a row that ends then. */
static struct piece *
piece_of(struct plan *p, uint32_t first, const struct piece *like,
    int64_t end_ns)
{
    int64_t slice = merge_slice(end_ns);
    struct piece *piece;

    /* A trace has few slices in a block, and mostly the last one. */
    for (uint32_t i = p->npieces; i > first; i--) {
        if (merge_slice(p->pieces[i - 1].max_end_ns) == slice)
            return &p->pieces[i - 1];
    }
    piece = piece_add(p);
    if (piece != NULL) {
        *piece = *like;
        piece->max_end_ns = end_ns;
    }
    return piece;
}

static int
add_trace(struct plan *p, const struct merge_outline *o, uint32_t ordinal,
    uint32_t number)
{
    struct part_writer *w = p->m->w;
    struct piece like = {.block = number, .ordinal = (uint16_t)ordinal,
        .tenant = o->traces.tenant[ordinal]};
    struct trace_id id;
    uint32_t first = p->npieces;

    memcpy(id.b, &o->traces.hi[ordinal], 8);
    memcpy(id.b + 8, &o->traces.lo[ordinal], 8);
    like.hash = part_trace_hash(w->trace_seed, &w->tenants[like.tenant], &id);
    for (uint32_t i = o->families->first[ordinal];
        i < o->families->first[ordinal + 1]; i++) {
        int64_t end_ns = o->end_ns[o->families->rows[i]];
        struct piece *piece = piece_of(p, first, &like, end_ns);

        if (piece == NULL)
            return -1;
        piece->rows++;
        piece->max_end_ns = MAX(piece->max_end_ns, end_ns);
    }
    for (uint32_t i = first; i < p->npieces; i++)
        p->pieces[i].is_slice = p->npieces - first > 1;
    return 0;
}

static int
add_block(struct plan *p, struct pool *pool, uint32_t number)
{
    struct merge_outline outline;
    struct reading r;
    int rc;

    rc = merge_outline(p->m, number, &r, pool, &outline);
    for (uint32_t i = 0; rc == 0 && i < outline.traces.n; i++)
        rc = add_trace(p, &outline, i, number);
    if (rc == 0)
        p->heap_share[number] = outline.heap_bytes / outline.nrows;
    reading_release(&r);
    pool_reset(pool);
    return rc;
}

static int
collect(struct plan *p)
{
    struct pool *pool = pool_new(MERGE_BLOCK_BYTES_MAX);
    int rc = 0;

    pool_keep(pool, KEEP_BYTES);
    p->heap_share = merge_alloc(p->m, p->m->pool,
        p->m->nblocks * sizeof(*p->heap_share));
    if (p->heap_share == NULL)
        rc = -1;
    for (uint32_t i = 0; rc == 0 && i < p->m->nblocks; i++) {
        if (merge_is_cancelled(p->m))
            rc = -1;
        else
            rc = add_block(p, pool, i);
    }
    pool_free(pool);
    return rc;
}

/* --- units --- */

/* Equal traces side by side, their ends rising. */
static void
sort_pieces(struct plan *p)
{
    uint32_t n = p->npieces;
    struct sort_item *sorted;

    for (uint32_t i = 0; i < n; i++)
        p->a[i] = (struct sort_item){
            (uint64_t)p->pieces[i].max_end_ns ^ UINT64_C(1) << 63, i};
    sorted = sort_items(p->a, p->b, n, 64);
    for (uint32_t i = 0; i < n; i++)
        sorted[i].key = p->pieces[sorted[i].index].hash;
    sorted = sort_items(sorted, sorted == p->a ? p->b : p->a, n, 64);
    for (uint32_t i = 0; i < n; i++)
        p->order[i] = sorted[i].index;
}

/* Does the trace that begins at i of the order end in many slices? */
static bool
is_long(const struct plan *p, uint32_t i)
{
    uint32_t last = i;

    while (last + 1 < p->npieces &&
        piece_at(p, last + 1)->hash == piece_at(p, i)->hash)
        last++;
    return merge_slice(piece_at(p, last)->max_end_ns) -
        merge_slice(piece_at(p, i)->max_end_ns) > 1;
}

static bool
is_cut_before(const struct plan *p, const struct unit *unit, bool is_long,
    uint32_t i)
{
    const struct piece *piece = piece_at(p, i);
    const struct piece *before = piece_at(p, i - 1);

    if (piece->hash != before->hash)
        return true;
    if (is_long && merge_slice(piece->max_end_ns) !=
        merge_slice(before->max_end_ns))
        return true;
    return unit->rows + piece->rows > PART_BLOCK_ROWS;
}

static void
make_units(struct plan *p)
{
    struct unit *unit = NULL;
    bool cut_slices = false;

    for (uint32_t i = 0; i < p->npieces; i++) {
        const struct piece *piece = piece_at(p, i);

        if (i == 0 || piece->hash != piece_at(p, i - 1)->hash)
            cut_slices = is_long(p, i);
        if (i == 0 || is_cut_before(p, unit, cut_slices, i)) {
            unit = &p->units[p->nunits++];
            *unit = (struct unit){.first = i};
        }
        unit->n++;
        unit->rows += piece->rows;
        unit->heap_bytes += (uint64_t)piece->rows *
            p->heap_share[piece->block];
        unit->max_end_ns = piece->max_end_ns;
    }
}

/* --- blocks of the output --- */

/* By tenant, then end: what a query asks for stands in few blocks. */
static struct sort_item *
sort_units(struct plan *p)
{
    uint32_t n = p->nunits;
    struct sort_item *sorted;

    for (uint32_t i = 0; i < n; i++)
        p->a[i] = (struct sort_item){
            (uint64_t)p->units[i].max_end_ns ^ UINT64_C(1) << 63, i};
    sorted = sort_items(p->a, p->b, n, 64);
    if (p->m->w->ntenants == 1)
        return sorted;
    for (uint32_t i = 0; i < n; i++)
        sorted[i].key =
            piece_at(p, p->units[sorted[i].index].first)->tenant;
    return sort_items(sorted, sorted == p->a ? p->b : p->a, n,
        bits_for(p->m->w->ntenants));
}

static int
compare_entries(const void *a, const void *b)
{
    const struct merge_entry *x = a, *y = b;

    if (x->block != y->block)
        return x->block < y->block ? -1 : 1;
    if (x->ordinal != y->ordinal)
        return x->ordinal < y->ordinal ? -1 : 1;
    return x->slice < y->slice ? -1 : x->slice > y->slice;
}

static void
end_block(struct merge *m)
{
    struct merge_out *out = &m->outs[m->nouts];

    out->end = m->nentries;
    qsort(m->entries + out->first, out->end - out->first,
        sizeof(*m->entries), compare_entries);
    m->nouts++;
}

static int
make_blocks(struct plan *p, const struct sort_item *order)
{
    struct merge *m = p->m;
    uint32_t rows = 0;
    uint64_t heap_bytes = 0;

    m->entries = merge_alloc(m, m->pool, p->npieces * sizeof(*m->entries));
    m->outs = merge_alloc(m, m->pool, p->nunits * sizeof(*m->outs));
    if (m->entries == NULL || m->outs == NULL)
        return -1;
    for (uint32_t i = 0; i < p->nunits; i++) {
        const struct unit *unit = &p->units[order[i].index];

        if (rows > 0 && (rows + unit->rows > PART_BLOCK_ROWS ||
            heap_bytes + unit->heap_bytes > BLOCK_HEAP_BYTES)) {
            end_block(m);
            rows = 0;
            heap_bytes = 0;
        }
        if (rows == 0)
            m->outs[m->nouts].first = m->nentries;
        rows += unit->rows;
        heap_bytes += unit->heap_bytes;
        for (uint32_t j = unit->first; j < unit->first + unit->n; j++) {
            const struct piece *piece = piece_at(p, j);

            m->entries[m->nentries++] = (struct merge_entry){
                merge_slice(piece->max_end_ns), piece->block, piece->rows,
                piece->ordinal, piece->is_slice};
        }
    }
    end_block(m);
    return 0;
}

static int
arrange(struct plan *p)
{
    size_t n = p->npieces;

    check(n > 0);
    p->a = mem_try_alloc(n * sizeof(*p->a));
    p->b = mem_try_alloc(n * sizeof(*p->b));
    p->order = mem_try_alloc(n * sizeof(*p->order));
    if (p->a == NULL || p->b == NULL || p->order == NULL)
        return merge_no_memory(p->m);
    sort_pieces(p);
    p->units = mem_try_alloc(n * sizeof(*p->units));
    if (p->units == NULL)
        return merge_no_memory(p->m);
    make_units(p);
    return make_blocks(p, sort_units(p));
}

int
merge_plan(struct merge *m)
{
    struct plan p = {.m = m};
    int rc = collect(&p);

    if (rc == 0)
        rc = arrange(&p);
    xfree(p.pieces);
    xfree(p.a);
    xfree(p.b);
    xfree(p.order);
    xfree(p.units);
    return rc;
}
